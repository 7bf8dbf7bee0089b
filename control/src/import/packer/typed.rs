//! What is typed at `ansible-playbook` where Packer runs it. Values of variables are not shown:
//! people hand over passwords this way.

use crate::import::line;
use crate::import::report::{Outcome, Report, SENSITIVE};

/// What becomes of `words`, which stand at `here`.
pub(super) fn arguments(words: Vec<String>, here: (&str, usize), report: &mut Report) {
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (option, value) = parted(&word);
        let value = match value {
            None if VALUED.contains(&option) => words.next().unwrap_or_default(),
            None => String::new(),
            Some(value) => value.to_owned(),
        };
        let outcome = match option {
            "--vault-password-file" | "--vault-id" | "--ask-vault-pass" | "-J" => {
                Outcome::Replaced(
                    "`--vault-password-file`, or a prompt, where floe reads it".into(),
                )
            }
            "--extra-vars" | "-e" => {
                variables(option, &value, here, report);
                continue;
            }
            "--tags" | "-t" | "--skip-tags" | "--limit" | "-l" => Outcome::NotSupported(
                "every task of the playbook that runs without being asked for was read".into(),
            ),
            _ => Outcome::NotNeeded("Ansible is not run".into()),
        };
        // A word by itself may be anything.
        let option = if option.starts_with('-') { option } else { SENSITIVE };
        let what = format!("extra_arguments: {option} {value}");
        report.add(here, what.trim(), outcome);
    }
}

/// An option and its value, where that is written in one word: `--x=y`, `-e y`, `-ey`.
fn parted(word: &str) -> (&str, Option<&str>) {
    if let Some((option, value)) = word.split_once('=').filter(|_| word.starts_with("--")) {
        return (option, Some(value));
    }
    match word.split_at_checked(2) {
        Some((short, value)) if !value.is_empty() && VALUED.contains(&short) => {
            (short, Some(value.trim_start()))
        }
        Some(_) | None => (word, None),
    }
}

/// What becomes of the variables of one `--extra-vars`.
fn variables(option: &str, value: &str, here: (&str, usize), report: &mut Report) {
    let supported = || {
        Outcome::NotSupported(
            "its value is not shown; write the variable into group_vars/all, where templates find \
             it, and what is secret into the vault"
                .into(),
        )
    };
    let value = value.trim();
    if let Some(file) = value.strip_prefix('@') {
        let outcome = Outcome::NotSupported(
            "write its variables into group_vars/all, where templates find them".into(),
        );
        return report.add(here, format!("extra_arguments: {option} @{file}"), outcome);
    }
    let pairs = line::words(value);
    if value.starts_with(['{', '[']) || pairs.is_empty() {
        let what = format!("extra_arguments: {option} {SENSITIVE}");
        return report.add(here, what, supported());
    }
    for pair in pairs {
        let name = pair.split_once('=').map(|(name, _)| name);
        let what = match name {
            Some(name) => format!("extra_arguments: {option} {name}={SENSITIVE}"),
            None => format!("extra_arguments: {option} {SENSITIVE}"),
        };
        let outcome = match name {
            Some(name) if name.starts_with("ansible_") => {
                Outcome::NotNeeded("nothing connects to a host".into())
            }
            Some(_) | None => supported(),
        };
        report.add(here, what, outcome);
    }
}

/// Options that a value follows.
const VALUED: [&str; 19] = [
    "--extra-vars",
    "-e",
    "--vault-password-file",
    "--vault-id",
    "--tags",
    "-t",
    "--user",
    "-u",
    "--skip-tags",
    "--limit",
    "-l",
    "--forks",
    "-f",
    "--scp-extra-args",
    "--ssh-common-args",
    "--ssh-extra-args",
    "--private-key",
    "--key-file",
    "-i",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_are_not_shown() {
        let typed = [
            "--extra-vars",
            "ansible_host=${build.Host} token='hunter2 x'",
            "-e",
            "{\"password\": \"hunter2\"}",
            "-e@vars.yml",
            "-epassword=hunter2",
            "--extra-vars=a=hunter2",
            "-e",
            "hunter2",
            "--tags",
            "web",
            "--diff",
        ];
        let mut report = Report::default();
        arguments(typed.iter().map(|it| (*it).to_owned()).collect(), ("x", 1), &mut report);
        let what: Vec<&str> = report.findings().iter().map(|it| it.what.as_str()).collect();
        let expected = [
            "extra_arguments: --extra-vars ansible_host=(sensitive)",
            "extra_arguments: --extra-vars token=(sensitive)",
            "extra_arguments: -e (sensitive)",
            "extra_arguments: -e @vars.yml",
            "extra_arguments: -e password=(sensitive)",
            "extra_arguments: --extra-vars a=(sensitive)",
            "extra_arguments: --tags web",
            "extra_arguments: --diff",
        ];
        assert_eq!(what, expected);
    }
}
