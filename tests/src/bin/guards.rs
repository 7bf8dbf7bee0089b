//! `make guards`: takes every guard out, one at a time, and shows its test failing.
//!
//! A test that passes with and without what it tests is worth nothing. For each entry
//! of `tests/guards.toml` the guard is taken out of a copy of this repository, the copy
//! must compile, and the test must fail; before that it must pass with all guards in
//! place. The copy lies in `target/guards`, and what is tracked there is never changed.
//!
//! `--list` shows the guards; `--only WORD` (an id, a file, a package, a test; may come
//! several times) takes out those. Ends with 1 where a guard was not missed.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a tool for developers: it starts cargo, talks to people, stops where it cannot go on"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use floe_tests::guards::{self, Guard};
use floe_tests::script;

/// How long the tests of one guard may take. Some wait for ever without their guard.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let (list, only) = arguments();
    let root = script::repository_root();
    let mut guards = guards::read(&root);
    guards.retain(|guard| only.is_empty() || only.iter().any(|word| guard.is_meant_by(word)));
    // Few rebuilds: what is built together comes together.
    guards.sort_by(|a, b| (&a.package, &a.file).cmp(&(&b.package, &b.file)));
    if list {
        guards.iter().for_each(|guard| println!("{guard}"));
        return ExitCode::SUCCESS;
    }

    let copy = Copy::of(&root);
    let mut faults = 0;
    for (package, guards) in by_package(&guards) {
        let whole = match copy.build(package) {
            Ok(tests) => tests.run(&guards.iter().map(|guard| &*guard.test).collect::<Vec<_>>()),
            Err(output) => panic!("{package} does not compile with all guards in place\n{output}"),
        };
        for guard in guards {
            let begun = Instant::now();
            let verdict = judge(guard, &whole, &copy);
            let seconds = begun.elapsed().as_secs();
            match verdict {
                Ok(how) => println!("missed      {guard}: {how} [{seconds} s]"),
                Err(fault) => {
                    faults += 1;
                    println!("NOT MISSED  {guard}: {fault} [{seconds} s]");
                }
            }
        }
    }
    println!("{} guards, {faults} not missed", guards.len());
    if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How the tests noticed that `guard` was gone, or why that is not known.
fn judge(guard: &Guard, whole: &Outcome, copy: &Copy) -> Result<String, String> {
    let tests: Vec<_> = whole.0.iter().filter(|(name, _)| name.contains(&guard.test)).collect();
    if tests.is_empty() {
        return Err(format!("there is no test `{}`", guard.test));
    }
    if let Some((name, _)) = tests.iter().find(|(_, passed)| !**passed) {
        return Err(format!("`{name}` fails with the guard in place"));
    }
    let named = |id: &&String| tests.iter().any(|(name, _)| name.contains(id.as_str()));
    if let Some(id) = guard.ids.iter().find(|id| !named(id)) {
        return Err(format!("no test that `{}` names carries {id}", guard.test));
    }

    let original = copy.text(&guard.file);
    copy.write(&guard.file, &guard.taken_out_of(&original)?);
    let built = copy.build(&guard.package);
    let outcome = built.map(|tests| tests.run(&[&guard.test]));
    copy.write(&guard.file, &original);
    let outcome = outcome.map_err(|output| format!("does not compile without it\n{output}"))?;
    // A test that neither passed nor failed is one that never came to an end.
    let passed = |name: &str| outcome.0.get(name) == Some(&true);
    let missed: Vec<_> = tests.iter().filter(|(name, _)| !passed(name)).map(|(n, _)| n).collect();
    match missed.first() {
        None => Err(format!("`{}` passes without it", guard.test)),
        Some(first) => Ok(format!("{} of {} fail, `{first}`", missed.len(), tests.len())),
    }
}

fn by_package(guards: &[Guard]) -> BTreeMap<&str, Vec<&Guard>> {
    let mut groups: BTreeMap<&str, Vec<&Guard>> = BTreeMap::new();
    guards.iter().for_each(|guard| groups.entry(&guard.package).or_default().push(guard));
    groups
}

fn arguments() -> (bool, Vec<String>) {
    let (mut list, mut only) = (false, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), argument.strip_prefix("--only=")) {
            ("--list", _) => list = true,
            ("--only", _) => only.push(arguments.next().unwrap_or_else(|| usage())),
            (_, Some(word)) => only.push(word.to_owned()),
            _ => usage(),
        }
    }
    (list, only)
}

fn usage() -> ! {
    println!("usage: guards [--list] [--only WORD]…");
    std::process::exit(2)
}

/// The tracked files of the repository, in a place where they may be changed.
struct Copy {
    path: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// What is the same already is left alone, so that it is not built again.
    fn of(root: &Path) -> Self {
        // Dependencies are built once, for the repository and for its copy.
        let target = script::target_directory();
        let copy = Self { path: target.join("guards"), target };
        let mut git = Command::new("git");
        let files = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = git.arg("-C").arg(root).args(files).output().unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        for name in listed.stdout.split(|byte| *byte == 0) {
            let name = Path::new(std::str::from_utf8(name).unwrap());
            // A file that was removed is listed until that is committed.
            let Ok(text) = fs::read(root.join(name)) else { continue };
            let file = copy.path.join(name);
            if fs::read(&file).ok().as_ref() != Some(&text) {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
        }
        copy
    }

    fn text(&self, file: &Path) -> String {
        fs::read_to_string(self.path.join(file)).unwrap_or_default()
    }

    fn write(&self, file: &Path, text: &str) {
        fs::write(self.path.join(file), text).unwrap();
    }

    /// Builds the unit tests of `package`, or gives what the compiler said.
    fn build(&self, package: &str) -> Result<Tests, String> {
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--package", package, "--lib", "--no-run", "--message-format=json"]);
        let output = cargo.current_dir(&self.path).env("CARGO_TARGET_DIR", &self.target).output();
        let output = output.unwrap();
        let messages: Vec<serde_json::Value> = output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let text = |value: &serde_json::Value| value.as_str().map(PathBuf::from);
        let tests = messages.iter().rev().find_map(|message| {
            let program = text(&message["executable"])?;
            let manifest = text(&message["manifest_path"])?;
            message["profile"]["test"].as_bool().filter(|is_test| *is_test)?;
            Some(Tests { program, package: manifest.parent()?.to_owned() })
        });
        match tests {
            Some(tests) if output.status.success() => Ok(tests),
            Some(_) | None => {
                let said = messages.iter().filter(|m| m["message"]["level"] == "error");
                let said = said.filter_map(|m| m["message"]["rendered"].as_str());
                let said: String = said.take(3).collect();
                Err(said + &String::from_utf8_lossy(&output.stderr))
            }
        }
    }
}

/// A built test program.
struct Tests {
    program: PathBuf,
    package: PathBuf,
}

/// Whether each test that came to an end passed.
struct Outcome(BTreeMap<String, bool>);

impl Tests {
    /// Runs the tests whose names contain one of `names`.
    fn run(&self, names: &[&str]) -> Outcome {
        let said = self.program.with_extension("said");
        let mut child = Command::new(&self.program)
            .args(names)
            .current_dir(&self.package)
            .env("CARGO_MANIFEST_DIR", &self.package)
            .env("INSTA_UPDATE", "no")
            .stdin(Stdio::null())
            .stdout(File::create(&said).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let said = String::from_utf8_lossy(&fs::read(&said).unwrap()).into_owned();
        let result = |line: &str| {
            let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
            Some((name.trim_end_matches(" - should panic").to_owned(), result == "ok"))
        };
        Outcome(said.lines().filter_map(result).collect())
    }
}
