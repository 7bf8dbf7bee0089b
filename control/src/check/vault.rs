//! What secrets are made of, and what is kept of them: files of variables, salts.toml,
//! recipients.toml. Nothing is opened, so no password is asked for.

use std::fs;
use std::path::Path;

use super::finding::{Findings, Severity, reason, with_causes};
use crate::repository::Place;
use crate::secrets::recipients::{self, Known};
use crate::template::{SALTS_FILE, SaltFile};
use crate::vault::{self, Variables};

/// Looks at all of it.
pub(super) fn look(findings: &mut Findings) {
    let root = findings.root().to_owned();
    match Variables::all_files(&root) {
        Ok(files) => files.iter().for_each(|path| variables(path, findings)),
        Err(error) => {
            let path = root.join("group_vars");
            findings.error(&path, with_causes(&error), &error.advice());
        }
    }
    salts(&root.join(SALTS_FILE), findings);
    if let Err(error) = Known::read(&root) {
        let path = root.join(recipients::FILE);
        let (place, message) = match &error {
            recipients::Error::Malformed { source, .. } => {
                (place(&path, source), source.message().to_owned())
            }
            recipients::Error::Disk { source, .. } => (None, reason(source)),
        };
        let advice = Some(error.advice().to_owned());
        findings.add(Severity::Error, &path, place, message, advice);
    }
}

/// A file of variables: sealed and all there, or YAML.
fn variables(path: &Path, findings: &mut Findings) {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return findings.add(Severity::Error, path, None, reason(&error), None),
    };
    if vault::is_sealed(&bytes) {
        if let Err(error) = vault::look_at(&bytes) {
            findings.error(path, format!("the vault is not whole: {error}"), error.advice());
        }
        return;
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        let advice = "variables are text; a file of bytes can be a secret by itself";
        return findings.error(path, "this is no text in UTF-8", advice);
    };
    if let Some(fault) = vault::fault(text) {
        let place = Place::of_line(text, fault.line);
        findings.add(Severity::Error, path, place, fault.why, None);
    }
}

fn salts(path: &Path, findings: &mut Findings) {
    let Err(error) = SaltFile::read(findings.root()) else { return };
    let text = fs::read_to_string(path).unwrap_or_default();
    let (place, message) = match toml::from_str::<toml::Table>(&text) {
        Err(fault) => (place(path, &fault), fault.message().to_owned()),
        Ok(_) if error.kind() == std::io::ErrorKind::InvalidData => (None, error.to_string()),
        Ok(_) => (None, reason(&error)),
    };
    let advice = "restore it from version control; without it every digest is another one";
    findings.add(Severity::Error, path, place, message, Some(advice.into()));
}

fn place(path: &Path, fault: &toml::de::Error) -> Option<Place> {
    Place::of_span(&fs::read_to_string(path).ok()?, fault.span()?)
}
