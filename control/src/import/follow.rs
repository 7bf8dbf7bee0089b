//! Files that a role's Nix files name by paths: what lies elsewhere in the repository is taken
//! along, since a bundle holds the role's directory and nothing around it. What cannot be taken
//! along is told of with its line: such a role does not evaluate.

use std::collections::BTreeMap;

use super::nix::{self, Named};
use super::report::{Outcome, Report};
use super::role::RoleFile;
use super::tree::{self, Tree, base, looks_secret, parent};

/// Takes along what `files`, which are `role`'s, name. `agent` is the file that floe writes
/// itself.
pub(super) fn follow(
    role: &str,
    files: &mut BTreeMap<String, RoleFile>,
    agent: &str,
    tree: &Tree,
    report: &mut Report,
) {
    let is_free = |name: &&str| !files.keys().any(|known| known.starts_with(&format!("{name}/")));
    let shared = ["shared", "imported", "from-repository"].into_iter().find(is_free);
    let mut follower = Follower {
        role,
        files,
        agent,
        shared: shared.unwrap_or("shared").to_owned(),
        tree,
        report,
    };
    let is_nix = |name: &&String| name.ends_with(".nix");
    let mut left: Vec<String> = follower.files.keys().filter(is_nix).cloned().collect();
    while let Some(name) = left.pop() {
        left.extend(follower.file(&name).into_iter().filter(|name| name.ends_with(".nix")));
    }
}

struct Follower<'a> {
    role: &'a str,
    files: &'a mut BTreeMap<String, RoleFile>,
    agent: &'a str,
    /// The directory of the role for what lies outside of it.
    shared: String,
    tree: &'a Tree,
    report: &'a mut Report,
}

/// What a path leads to.
enum Leads {
    /// What is among the role's files, or is no business of theirs.
    There,
    /// The same, if it is written so.
    Rewritten(String),
    /// These files of the repository, as those of the role; and how the path is written then.
    Along(Vec<(String, String)>, Option<String>),
    /// Nothing that goes along.
    Nowhere(String),
}

impl Follower<'_> {
    /// Follows what the file `name` names; what was taken along.
    fn file(&mut self, name: &str) -> Vec<String> {
        let Some(file) = self.files.get(name).cloned() else { return Vec::new() };
        let Ok(text) = str::from_utf8(&file.bytes) else { return Vec::new() };
        let (mut along, mut edits) = (Vec::new(), Vec::new());
        for named in nix::named(text, file.is_template) {
            let line = file.line(text, named.line);
            let written = match self.leads(&named, name, &file) {
                Leads::There => continue,
                Leads::Rewritten(path) => {
                    let outcome = Outcome::into_file(
                        &format!("hosts/{}/{name}", self.role),
                        format!("hosts/{}/{name}, as `{path}`", self.role),
                    );
                    self.report.add((&file.origin.0, line), &named.path, outcome);
                    Some(path)
                }
                Leads::Along(files, path) => {
                    along.extend(self.take(files, (&file.origin.0, line), &named.path));
                    path
                }
                Leads::Nowhere(why) => {
                    let outcome = match named.is_optional {
                        true => Outcome::Look(format!(
                            "there is no such file, and `{name}` asks whether there is: copy it into \
                             the role's directory where it is meant to be there"
                        )),
                        false => Outcome::NotSupported(why),
                    };
                    self.report.add((&file.origin.0, line), &named.path, outcome);
                    None
                }
            };
            edits.extend(written.map(|path| (named.range, path)));
        }
        let text = nix::apply(text, edits);
        if let Some(file) = self.files.get_mut(name) {
            file.bytes = text.into_bytes();
        }
        along
    }

    fn leads(&self, named: &Named, name: &str, file: &RoleFile) -> Leads {
        let path = named.path.as_str();
        if let Some(inside) = path.strip_prefix('<') {
            let pin = inside.split(['/', '>']).next().unwrap_or_default();
            return match pin {
                "nixpkgs" | "floe" => Leads::There,
                pin => Leads::Nowhere(format!(
                    "floe looks at no channels, so it does not evaluate: pin it in floe.lock, \
                     [pins.{pin}]"
                )),
            };
        }
        if let Some(inside) = path.strip_prefix("/etc/nixos/") {
            let found = tree::join("", inside).filter(|inside| self.has(inside));
            return match found {
                Some(found) => Leads::Rewritten(relative(parent(name), &found)),
                None => Leads::Nowhere(
                    "/etc/nixos of a host is not used, and nothing brings this file there, so it \
                     does not evaluate: copy it from a machine into the role's directory"
                        .into(),
                ),
            };
        }
        if path.starts_with('~') {
            return Leads::Nowhere(
                "the agent has no home: copy it into the role's directory".into(),
            );
        }
        if path.starts_with('/') {
            return Leads::There; // a path on hosts, as for options that are told a file
        }
        // What is shared climbs in its own directory only.
        let is_shared = |name: &str| name.starts_with(&format!("{}/", self.shared));
        let inside = tree::join(parent(name), path);
        let inside = inside.filter(|inside| !is_shared(name) || is_shared(inside));
        if inside.as_ref().is_some_and(|inside| self.has(inside)) {
            return Leads::There;
        }
        // Only what is a file of the repository has a place there.
        let source = &file.origin.0;
        let is_file = self.tree.bytes(source) == Some(&file.bytes);
        let outside = is_file.then(|| tree::join(parent(source), path)).flatten();
        let is_around =
            |outside: &str| outside.is_empty() || source.starts_with(&format!("{outside}/"));
        let Some(outside) = outside else {
            return Leads::Nowhere(match inside {
                Some(_) => missing(path),
                None => format!("`{path}` leads out of the role's files, so it does not evaluate"),
            });
        };
        if is_around(&outside) {
            return Leads::Nowhere(
                "it is a directory around the role, with everything in it: name what is meant, and \
                 copy it into the role's directory"
                    .into(),
            );
        }
        let to = match &inside {
            Some(inside) => inside.clone(),
            None => format!("{}/{outside}", self.shared),
        };
        let written = inside.is_none().then(|| relative(parent(name), &to));
        if self.has(&to) {
            return written.map_or(Leads::There, Leads::Rewritten);
        }
        let files: Vec<(String, String)> = if self.tree.has(&outside) {
            vec![(outside, to)]
        } else {
            let rest = |name: &str| name.get(outside.len()..).unwrap_or_default().to_owned();
            let below = self.tree.below(&outside);
            below.map(|name| (name.to_owned(), format!("{to}{}", rest(name)))).collect()
        };
        match files.is_empty() {
            true => Leads::Nowhere(missing(path)),
            false => Leads::Along(files, written),
        }
    }

    /// Whether `inside` is a file of the role, or a directory with some.
    fn has(&self, inside: &str) -> bool {
        let below = format!("{inside}/");
        let next = self.files.range(below.clone()..).next();
        inside.is_empty()
            || inside == self.agent
            || self.files.contains_key(inside)
            || next.is_some_and(|(name, _)| name.starts_with(&below))
    }

    /// Takes `files` along, each by its name here and there; what of them is new.
    fn take(&mut self, files: Vec<(String, String)>, at: (&str, usize), what: &str) -> Vec<String> {
        let mut taken = Vec::new();
        for (from, to) in files {
            if looks_secret(&from) {
                let outcome = Outcome::NotSupported(format!(
                    "`{from}` looks like a secret in the clear, and was not copied: make it one of \
                     [secrets] in host.toml, and name /run/floe/secrets/…"
                ));
                self.report.add(at, what, outcome);
                continue;
            }
            let bytes = self.tree.bytes(&from).unwrap_or_default().to_vec();
            let is_nix = from.ends_with(".nix");
            let is_template = is_nix && str::from_utf8(&bytes).is_ok_and(nix::is_template);
            let place = format!("hosts/{}/{to}", self.role);
            let outcome = Outcome::into_file(&place, place.clone());
            self.report.add(at, what, outcome.clone());
            self.report.add((&from, None), base(&from), outcome);
            self.files.insert(to.clone(), RoleFile { bytes, is_template, origin: (from, 1) });
            taken.push(to);
        }
        taken
    }
}

fn missing(path: &str) -> String {
    format!(
        "there is no `{path}` in the repository, so it does not evaluate: copy it from a machine \
         into the role's directory"
    )
}

/// `to` as a file in `directory` names it.
fn relative(directory: &str, to: &str) -> String {
    let from: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    let to: Vec<&str> = to.split('/').collect();
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.len() - same;
    let down = to.get(same..).unwrap_or_default().join("/");
    if up == 0 { format!("./{down}") } else { format!("{}{down}", "../".repeat(up)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(names: &[&str], files: &[(&str, &str)]) -> (BTreeMap<String, String>, Report) {
        let tree = Tree::of("x", files);
        let mut report = Report::default();
        let mut found: BTreeMap<String, RoleFile> = BTreeMap::new();
        for name in names {
            let bytes = tree.bytes(name).unwrap().to_vec();
            let origin = ((*name).to_owned(), 1);
            let inside = name.strip_prefix("hosts/www/").unwrap().to_owned();
            found.insert(inside, RoleFile { bytes, is_template: false, origin });
        }
        follow("www", &mut found, "floe.nix", &tree, &mut report);
        let text =
            |(name, file): (String, RoleFile)| (name, String::from_utf8(file.bytes).unwrap());
        (found.into_iter().map(text).collect(), report)
    }

    fn said(report: &Report, what: &str) -> String {
        let found = report.findings().iter().find(|finding| finding.what == what);
        found.map(|it| format!("{}: {}", it.outcome.word(), it.outcome.text())).unwrap_or_default()
    }

    #[test]
    fn what_lies_around_the_role_goes_along_and_is_named_where_it_is_then() {
        let (files, report) = followed(
            &["hosts/www/configuration.nix"],
            &[
                (
                    "hosts/www/configuration.nix",
                    "{ imports = [ ../common.nix ./hw.nix ../../modules ]; a = ./app.py; }",
                ),
                ("hosts/www/hw.nix", "{ }"),
                ("hosts/www/app.py", "x"),
                ("hosts/common.nix", "{ imports = [ ./base/x.nix ../modules/y.nix ]; }"),
                ("hosts/base/x.nix", "{ }"),
                ("modules/default.nix", "{ imports = [ ./y.nix ]; }"),
                ("modules/y.nix", "{ }"),
                ("modules/unused/z.txt", "z"),
            ],
        );
        assert_eq!(
            files["configuration.nix"],
            "{ imports = [ ./shared/hosts/common.nix ./hw.nix ./shared/modules ]; a = ./app.py; }"
        );
        assert_eq!(
            files["shared/hosts/common.nix"],
            "{ imports = [ ./base/x.nix ../modules/y.nix ]; }"
        );
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "app.py",
                "configuration.nix",
                "hw.nix",
                "shared/hosts/base/x.nix",
                "shared/hosts/common.nix",
                "shared/modules/default.nix",
                "shared/modules/unused/z.txt",
                "shared/modules/y.nix",
            ]
        );
        assert!(said(&report, "../common.nix").starts_with("taken over: hosts/www/shared/"));
    }

    #[test]
    fn what_cannot_go_along_is_told_of() {
        let (files, report) = followed(
            &["hosts/www/configuration.nix", "hosts/www/a/b.nix"],
            &[
                (
                    "hosts/www/configuration.nix",
                    "{ imports = [ ./hardware-configuration.nix <home-manager/nixos> ../../../x.nix \
                     /etc/nixos/a/b.nix /etc/nixos/no.nix ./floe.nix <nixpkgs/nixos> ]; s = ../..; \
                     k = ../keys/id_rsa; l = /var/lib/x; }",
                ),
                ("hosts/www/a/b.nix", "{ imports = [ /etc/nixos/configuration.nix ]; }"),
                ("hosts/keys/id_rsa", "secret"),
            ],
        );
        for (what, words) in [
            ("./hardware-configuration.nix", "not supported: there is no"),
            ("<home-manager/nixos>", "[pins.home-manager]"),
            ("../../../x.nix", "leads out"),
            ("/etc/nixos/no.nix", "copy it from a machine"),
            ("../..", "a directory around the role"),
            ("../keys/id_rsa", "looks like a secret"),
            ("/etc/nixos/a/b.nix", "taken over"),
        ] {
            assert!(said(&report, what).contains(words), "{what}: {}", said(&report, what));
        }
        for what in ["./floe.nix", "<nixpkgs/nixos>", "/var/lib/x"] {
            assert_eq!(said(&report, what), "", "{what}");
        }
        assert!(files["configuration.nix"].contains(" ./a/b.nix "));
        assert!(files["a/b.nix"].contains("[ ../configuration.nix ]"));
        assert!(!files.values().any(|text| text.contains("secret")));
    }
}
