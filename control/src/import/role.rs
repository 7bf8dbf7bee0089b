//! The files of a role: what Packer and Ansible bring to `/etc/nixos`, in their order.

use std::collections::BTreeMap;

use super::error::Error;
use super::report::{Outcome, Report};
use super::tree::{Tree, base};

/// More than is brought to the machines of any role, each file as often as it is.
const MOST_FILES: usize = 50_000;

/// The same in bytes.
const MOST_BYTES: usize = 256 << 20;

/// A file, or a directory, that is brought to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) from: From,
    /// The path on the machine.
    pub(super) dest: String,
    /// Whether Ansible renders it.
    pub(super) is_template: bool,
    /// Where it is said.
    pub(super) file: String,
    pub(super) line: usize,
}

/// Where the content comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// A file of the repository, or a directory of it; with a `/` at the end what is in it.
    File(String),
    /// It is written out.
    Text(String),
}

/// A file of a role, before anything is changed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RoleFile {
    pub(super) bytes: Vec<u8>,
    pub(super) is_template: bool,
    /// Where its text is, and on which line its first line stands there.
    pub(super) origin: (String, usize),
}

impl RoleFile {
    /// The line, in the file that it comes from, of a `line` of `text`, which is its own. A text
    /// of several lines begins on the line after the one that introduces it.
    pub(super) fn line(&self, text: &str, line: usize) -> usize {
        let (_, start) = &self.origin;
        let is_own_file = *start == 1;
        match (is_own_file, text.contains('\n')) {
            (true, _) => line,
            (false, true) => start + line,
            (false, false) => *start,
        }
    }
}

/// Whether a path on the machine belongs to its configuration.
pub(super) fn is_nixos(dest: &str) -> bool {
    dest == "/etc/nixos" || dest.starts_with("/etc/nixos/")
}

/// The files that `puts` make, by their paths in hosts/<role>/. What comes later replaces
/// what was there; what goes elsewhere is told of.
pub(super) fn files(
    role: &str,
    puts: &[Put],
    tree: &Tree,
    report: &mut Report,
) -> Result<BTreeMap<String, RoleFile>, Error> {
    let (mut count, mut bytes) = (0_usize, 0_usize);
    let mut files: BTreeMap<String, RoleFile> = BTreeMap::new();
    let mut by: BTreeMap<String, (&Put, String)> = BTreeMap::new();
    for put in puts {
        if !is_nixos(&put.dest) {
            let source = match &put.from {
                From::File(name) => name.as_str(),
                From::Text(_) => "",
            };
            let outcome = elsewhere(&put.dest, source, put.is_template);
            report.add((&put.file, put.line), &put.dest, outcome);
            continue;
        }
        for (name, file) in brought(put, tree) {
            // The same directory may be brought many times.
            (count, bytes) = (count + 1, bytes + file.bytes.len());
            if count > MOST_FILES {
                return Err(Error::too_much(format!("the role `{role}`"), MOST_FILES, "files"));
            }
            if bytes > MOST_BYTES {
                let most = MOST_BYTES >> 20;
                return Err(Error::too_much(format!("the role `{role}`"), most, "MiB of files"));
            }
            let to = format!("hosts/{role}/{name}");
            let taken = Outcome::into_file(&to, to.clone());
            if let Some((before, what)) = by.get(&name).filter(|(before, _)| *before != put) {
                let outcome = Outcome::NotNeeded(format!(
                    "`{}` line {} replaces it before the machine is done",
                    put.file, put.line
                ));
                report.replace((&before.file, before.line), what, &taken, outcome);
            }
            let what = format!("/etc/nixos/{name}");
            report.add((&put.file, put.line), &what, taken.clone());
            if put.file != file.origin.0 {
                report.add((&file.origin.0, None), base(&file.origin.0), taken);
            }
            by.insert(name.clone(), (put, what));
            files.insert(name, file);
        }
    }
    Ok(files)
}

/// The files of one put, by their paths below `/etc/nixos`.
fn brought(put: &Put, tree: &Tree) -> Vec<(String, RoleFile)> {
    let inside = put.dest.strip_prefix("/etc/nixos").unwrap_or_default();
    let is_directory = inside.is_empty() || inside.ends_with('/');
    let inside = inside.trim_matches('/').to_owned();
    let below = |name: &str| match inside.as_str() {
        "" => name.to_owned(),
        inside => format!("{inside}/{name}"),
    };
    let file = |name: &str| RoleFile {
        bytes: tree.bytes(name).unwrap_or_default().to_vec(),
        is_template: put.is_template,
        origin: (name.to_owned(), 1),
    };
    let found = match &put.from {
        From::Text(text) => {
            let name = if is_directory { below("configuration.nix") } else { inside.clone() };
            let origin = (put.file.clone(), put.line);
            let bytes = text.clone().into_bytes();
            vec![(name, RoleFile { bytes, is_template: put.is_template, origin })]
        }
        From::File(name) if tree.has(name) => {
            let to = if is_directory { below(base(name)) } else { inside.clone() };
            vec![(to, file(name))]
        }
        From::File(directory) => {
            // As cp and Ansible have it: without a `/` at the end the directory itself goes.
            let (directory, prefix) = match directory.strip_suffix('/') {
                Some(directory) => (directory, String::new()),
                None => (directory.as_str(), format!("{}/", base(directory))),
            };
            let names = tree.below(directory);
            let pairs = names.map(|name| {
                let rest = name.get(directory.len()..).unwrap_or_default();
                (below(&format!("{prefix}{}", rest.trim_start_matches('/'))), file(name))
            });
            pairs.collect()
        }
    };
    let is_sound = |name: &str| name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    found.into_iter().filter(|(name, _)| is_sound(name)).collect()
}

/// What becomes of a file that is brought to `dest`, outside of `/etc/nixos`.
pub(super) fn elsewhere(dest: &str, source: &str, is_template: bool) -> Outcome {
    let what = match dest.strip_prefix("/etc/") {
        Some(name) => format!("environment.etc.\"{name}\".source = ./…"),
        None => format!("systemd.tmpfiles.rules = [ \"C+ {dest} …\" ], or the option for it"),
    };
    let source = if source.is_empty() { "its text" } else { source };
    let secret = match is_template {
        true => "; what is secret in it belongs in [secrets] of host.toml",
        false => "",
    };
    Outcome::NotSupported(format!(
        "put {source} beside configuration.nix, and write there {what}{secret}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(from: From, dest: &str, line: usize) -> Put {
        Put { from, dest: dest.into(), is_template: false, file: "p".into(), line }
    }

    #[test]
    fn the_last_one_counts_and_the_first_one_is_told_of() {
        let tree = Tree::of("x", &[("a.nix", "{ }")]);
        let puts = [
            put(From::Text("{ b = 1; }".into()), "/etc/nixos/configuration.nix", 1),
            put(From::File("a.nix".into()), "/etc/nixos/configuration.nix", 2),
            put(From::File("a.nix".into()), "/etc/motd", 3),
        ];
        let mut report = Report::default();
        let files = files("www", &puts, &tree, &mut report).unwrap();
        assert_eq!(files["configuration.nix"].bytes, b"{ }");
        let of = |line| {
            let found = report.findings().iter().find(|it| it.file == "p" && it.line == Some(line));
            found.map(|finding| finding.outcome.word())
        };
        assert_eq!(
            (of(1), of(2), of(3)),
            (Some("not needed"), Some("taken over"), Some("not supported"))
        );
    }

    #[test]
    fn a_directory_goes_with_or_without_its_name() {
        let tree = Tree::of("x", &[("d/a.nix", ""), ("d/b/c.nix", "")]);
        let names = |from: &str, dest: &str| {
            let puts = [put(From::File(from.into()), dest, 1)];
            let files = files("www", &puts, &tree, &mut Report::default()).unwrap();
            files.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(names("d/", "/etc/nixos/"), ["a.nix", "b/c.nix"]);
        assert_eq!(names("d", "/etc/nixos"), ["d/a.nix", "d/b/c.nix"]);
        assert_eq!(names("d/a.nix", "/etc/nixos/"), ["a.nix"]);
        assert_eq!(names("d/a.nix", "/etc/nixos/../x.nix"), [""; 0]);
    }
}
