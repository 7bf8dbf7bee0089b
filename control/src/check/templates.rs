//! The templates of a role, read and not rendered: files of `[files]`, and values of `[secrets]`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::finding::{Findings, Severity, reason};
use crate::repository::{HOST_FILE, HostFile, Place, SecretSource, place_in};
use crate::template;

/// Looks at the templates of the role in `directory`, whose files lie in `files`.
pub(super) fn look(directory: &Path, files: &Path, settings: &HostFile, findings: &mut Findings) {
    for inside in &settings.templates {
        file(&files.join(inside), findings);
    }
    let path = directory.join(HOST_FILE);
    for secret in &settings.secrets {
        let SecretSource::Value(text) = &secret.source else { continue };
        let name = format!("secrets.{}.value", secret.name);
        let place = || place_in(&fs::read_to_string(&path).ok()?, &name);
        for fault in template::faults(&name, text) {
            findings.add(Severity::Error, &path, place(), fault.why, None);
        }
    }
}

/// As a push refuses it, too.
fn file(path: &Path, findings: &mut Findings) {
    let Ok(found) = fs::symlink_metadata(path) else { return }; // said where it is named
    if !found.is_file() {
        let advice = "name the file itself under [files] of host.toml";
        return findings.error(path, "a template must be a plain file", advice);
    }
    if found.permissions().mode() & 0o100 != 0 {
        let advice = "take its executable bit away; Nix can give it one: pkgs.writeShellScript";
        findings.error(path, "a template must not be executable", advice);
    }
    match fs::read_to_string(path) {
        Ok(text) => {
            for fault in template::faults(&path.display().to_string(), &text) {
                let place = match fault.column {
                    Some(column) => Place::at(&text, fault.line, column),
                    None => Place::of_line(&text, fault.line),
                };
                findings.add(Severity::Error, path, place, fault.why, None);
            }
        }
        Err(error) => findings.add(Severity::Error, path, None, reason(&error), None),
    }
}
