//! Pages in a directory of their own, looked at as man and bash look at them. Both
//! programs' tests use this file.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::pages;

/// What a package would install.
pub(crate) struct Pages {
    directory: TempDir,
    /// As it was given, and with all that clap makes of it.
    given: clap::Command,
    command: clap::Command,
}

impl Pages {
    pub(crate) fn of(command: clap::Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        pages::write(command.clone(), directory.path()).unwrap();
        let given = command.clone();
        let mut command = command.disable_help_subcommand(true);
        command.build();
        Self { directory, given, command }
    }

    /// Each command that can be seen has a page with what its help has, and nothing else has one.
    pub(crate) fn are_complete(&self) {
        let mut pages = Vec::new();
        self.has_page(&self.command, &mut pages);
        let manual = self.path("man/man1");
        let mut written: Vec<_> = fs::read_dir(manual)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        written.sort();
        pages.sort();
        assert_eq!(written, pages);
    }

    fn has_page(&self, command: &clap::Command, pages: &mut Vec<String>) {
        let name =
            format!("{}.1", command.get_display_name().unwrap_or_else(|| command.get_name()));
        let page = fs::read_to_string(self.path(&format!("man/man1/{name}"))).unwrap();
        let lines: Vec<_> = page.lines().collect();
        let mut sections = vec!["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"];
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if help.contains("Examples:") {
            sections.push("EXAMPLES");
        }
        for section in sections {
            assert!(lines.contains(&format!(".SH {section}").as_str()), "{name}: no {section}");
        }
        assert!(page.contains(concat!("\"floe ", env!("CARGO_PKG_VERSION"), "\"")), "{name}");
        pages.push(name);
        let seen = command.get_subcommands().filter(|below| !below.is_hide_set());
        seen.for_each(|below| self.has_page(below, pages));
    }

    /// man has nothing to say against any page, and shows `line` as it is typed on `page`.
    pub(crate) fn are_read_by_man(&self, page: &str, line: &str) {
        let manual = self.path("man/man1");
        let mut all: Vec<_> =
            fs::read_dir(&manual).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        let shown = |pages: &[PathBuf]| {
            let mut man = Command::new("man");
            man.env("MANWIDTH", "120").env("LC_ALL", "C.UTF-8").env("MANPAGER", "cat");
            man.args(["--warnings", "--local-file"]).args(pages).output()
        };
        let Ok(read) = shown(&all) else {
            #[expect(clippy::print_stderr, reason = "who reads the test's output should know")]
            {
                eprintln!("skipped: there is no man here");
            }
            return;
        };
        assert!(read.status.success());
        assert_eq!(text(&read.stderr), "");
        let read = shown(&[manual.join(page)]).unwrap();
        assert!(text(&read.stdout).contains(line), "{}", text(&read.stdout));
    }

    /// The same, whenever and wherever they are made.
    pub(crate) fn are_reproducible(&self) {
        let other = tempfile::tempdir().unwrap();
        pages::write(self.given.clone(), other.path()).unwrap();
        let differ = Command::new("diff")
            .args(["--recursive", "--brief"])
            .args([self.directory.path(), other.path()])
            .output()
            .unwrap();
        assert_eq!(text(&differ.stdout), "");
    }

    /// What bash offers where `words` are typed, of which the last is not finished.
    pub(crate) fn completed(&self, words: &[&str]) -> Vec<String> {
        let name = self.command.get_name();
        let script = self.path(&format!("bash-completion/completions/{name}"));
        let checked = Command::new("bash").arg("-n").arg(&script).output().unwrap();
        assert!(checked.status.success(), "{}", text(&checked.stderr));
        // As bash does it when the tab key is hit.
        let typed = r#"
            source "$1"; shift
            completes=$(complete -p "$1") && completes=${completes#* -F }
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            "${completes%% *}" "$1" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
            printf '%s\n' "${COMPREPLY[@]}""#;
        let Output { status, stdout, stderr } = Command::new("bash")
            .args(["-c", typed, "bash"])
            .arg(script)
            .arg(name)
            .args(words)
            .output()
            .unwrap();
        assert!(status.success(), "{status}: {}", text(&stderr));
        text(&stdout).lines().map(str::to_owned).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("share").join(name)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
