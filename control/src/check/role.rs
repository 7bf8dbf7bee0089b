//! The roles: each directory below hosts/, its settings, the files that they name, and Nix.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use floe_proto::id::Role;
use floe_proto::payload::ROLE;
use floe_proto::payload::limits::Limits;
use floe_proto::payload::pack::{self, Packer};
use walkdir::WalkDir;

use super::finding::{Findings, Severity, reason, with_causes};
use super::{flake, templates};
use crate::bundle::selection::{Selection, is_litter};
use crate::bundle::syntax;
use crate::repository::{
    Code, HOST_FILE, HOSTS, HostFile, Place, SecretSource, place_in, read_host_file,
};
use crate::secrets::age_file;

/// Every role, by its directory; what is in hosts/ and is none is a finding.
pub(super) fn roles(findings: &mut Findings) -> Vec<(Role, PathBuf)> {
    let hosts = findings.root().join(HOSTS);
    let mut entries = match fs::read_dir(&hosts) {
        Ok(entries) => entries.flatten().collect::<Vec<_>>(),
        Err(error) => {
            let advice =
                "make a directory for each role, or an example: floe init FLEET --example ROLE";
            let gone = error.kind() == io::ErrorKind::NotFound;
            let message = if gone { "there are no roles".to_owned() } else { reason(&error) };
            findings.error(&hosts, message, advice);
            return Vec::new();
        }
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut roles = Vec::new();
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if is_litter(Path::new(&*name)) || name.starts_with('.') {
            continue;
        }
        if !path.is_dir() {
            let advice = "move it into the directory of the role that it is for";
            findings.warning(
                &path,
                "a file among the directories of roles belongs to none",
                advice,
            );
            continue;
        }
        match name.parse::<Role>() {
            Ok(role) => roles.push((role, path)),
            Err(error) => {
                let plain = name.to_lowercase().replace(['_', ' '], "-");
                let advice = match plain.parse::<Role>() {
                    Ok(role) => format!("rename it to `{role}`"),
                    Err(_) => {
                        "give it the name of a role, such as `www` or `www.fossable.org`".into()
                    }
                };
                findings.error(&path, error.to_string(), &advice);
            }
        }
    }
    roles
}

/// Looks at the role in `directory`. `false` where nobody asked Nix.
pub(super) async fn look(directory: &Path, findings: &mut Findings) -> bool {
    let path = directory.join(HOST_FILE);
    let settings = read_host_file(&path).map_err(|error| findings.refused(&error)).ok();
    let flake = settings.as_ref().and_then(|settings| settings.code.flake());
    let tree = match flake {
        None => Some((directory.to_owned(), Selection::Role)),
        Some(flake) => flake::look(flake, findings).await,
    };
    match &settings {
        Some(settings) => {
            named_files(directory, tree.as_ref(), settings, findings);
            let files = tree.as_ref().map_or(directory, |(files, _)| files.as_path());
            templates::look(directory, files, settings, findings);
        }
        // A flake has none, also where something else is wrong.
        None if place_of(&path, "flake").is_some() => {}
        // The entry is not known, but most likely the one that everybody has.
        None => entry(directory, Path::new("configuration.nix"), findings),
    }
    let Some((tree, selection)) = tree else { return true };
    packed(&tree, &selection, findings);
    private_keys(&tree, &selection, findings);
    let templates = settings.map(|settings| settings.templates).unwrap_or_default();
    nix(&tree, &selection, &templates, findings).await
}

/// The flake that is packed for the role in `directory`, where it is of one.
pub(super) fn flake_of(root: &Path, directory: &Path) -> Option<(PathBuf, Selection)> {
    match read_host_file(&directory.join(HOST_FILE)).ok()?.code {
        Code::File(_) => None,
        Code::Flake(flake) => {
            let selection = Selection::of_flake(root, &flake.directory).ok()?;
            Some((root.join(flake.directory), selection))
        }
    }
}

/// Every file that host.toml names is there, and is what it should be.
fn named_files(
    directory: &Path,
    tree: Option<&(PathBuf, Selection)>,
    settings: &HostFile,
    findings: &mut Findings,
) {
    let path = directory.join(HOST_FILE);
    if let Some(inside) = settings.code.entry_inside() {
        entry(directory, &inside, findings);
    }
    for file in &settings.files {
        if tree.is_some_and(|(tree, _)| !tree.join(file).is_file()) {
            let name = format!("files.{}", file.display());
            let whose = if settings.code.flake().is_some() { "flake" } else { "role" };
            let message = format!("there is no file `{}` in the {whose}", file.display());
            missing(&path, &name, message, findings);
        }
    }
    for secret in &settings.secrets {
        let SecretSource::Age(file) = &secret.source else { continue };
        let name = format!("secrets.{}.age", secret.name);
        let shown = file.display();
        match age_file::is_age(&findings.root().join(file)) {
            Ok(true) => {}
            Ok(false) => {
                let message = format!("`{shown}` is not encrypted by age");
                missing(&path, &name, message, findings);
            }
            Err(_) => {
                let message = format!("there is no file `{shown}` in the repository");
                missing(&path, &name, message, findings);
            }
        }
    }
    if settings.image.is_some() {
        unused(&path, "image", "bakes", findings);
    }
    if let Some(stack) = &settings.stack {
        if !directory.join(&stack.template).is_file() {
            let message =
                format!("there is no template `{}` in the role", stack.template.display());
            let said = place_of(&path, "stack.template");
            findings.add(Severity::Error, &path, said, message, None);
        }
        unused(&path, "stack", "deploys", findings);
    }
}

/// A table that later versions of floe will use.
fn unused(path: &Path, table: &str, does: &str, findings: &mut Findings) {
    let message = format!("[{table}] is right, and nothing {does} it yet");
    findings.add(Severity::Note, path, place_of(path, table), message, None);
}

fn missing(path: &Path, name: &str, message: String, findings: &mut Findings) {
    findings.add(Severity::Error, path, place_of(path, name), message, None);
}

fn place_of(path: &Path, name: &str) -> Option<Place> {
    place_in(&fs::read_to_string(path).ok()?, name)
}

fn entry(directory: &Path, inside: &Path, findings: &mut Findings) {
    let path = directory.join(inside);
    if !path.is_file() {
        let advice = "write it, or name another file as `entry` in host.toml";
        findings.error(&path, "the entry of the role is not there", advice);
    }
}

/// What no bundle may hold: the first such thing, since packing stops there.
fn packed(directory: &Path, selection: &Selection, findings: &mut Findings) {
    let leaves_out = |inside: &Path| selection.leaves_out(inside);
    let packed = Packer::new(Limits::default()).tree(directory, ROLE, leaves_out);
    let Err(error) = packed else { return };
    let path = match &error {
        pack::Error::Refused { path, .. }
        | pack::Error::Escapes { path }
        | pack::Error::Twice { path }
        | pack::Error::TooMuch { path, .. }
        | pack::Error::Changed { path }
        | pack::Error::Read { path, .. } => path.clone(),
        pack::Error::Write { .. } => directory.to_owned(),
        _ => directory.to_owned(),
    };
    let path = if path.is_absolute() { path } else { directory.join(path) };
    let message = with_causes(&error).replace(&format!("{}/", findings.root().display()), "");
    findings.error(&path, message, error.advice());
}

/// A key in the role's directory goes to every host, and into the world-readable store.
fn private_keys(directory: &Path, selection: &Selection, findings: &mut Findings) {
    for path in files(directory, selection) {
        let mut start = Vec::new();
        let read = fs::File::open(&path).and_then(|file| file.take(4096).read_to_end(&mut start));
        let text = String::from_utf8_lossy(&start);
        let is_key = |line: &str| {
            let is_pem = line.starts_with("-----BEGIN ") && line.ends_with("PRIVATE KEY-----");
            is_pem || line.starts_with("AGE-SECRET-KEY-1")
        };
        if read.is_ok() && text.lines().any(|line| is_key(line.trim())) {
            findings.warning(
                &path,
                "a private key travels in the bundle, and every host and the object store can read it",
                "move it out of the role, encrypt it with age, and name it in [secrets]",
            );
        }
    }
}

fn files(directory: &Path, selection: &Selection) -> impl Iterator<Item = PathBuf> {
    let walk = WalkDir::new(directory).min_depth(1).sort_by_file_name().into_iter();
    let inside = move |path: &Path| path.strip_prefix(directory).unwrap_or(path).to_owned();
    let kept = walk.filter_entry(move |entry| !selection.leaves_out(&inside(entry.path())));
    let kept = kept.flatten();
    kept.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path)
}

/// Every file that Nix cannot read; `false` where there is no Nix.
async fn nix(
    directory: &Path,
    selection: &Selection,
    templates: &[PathBuf],
    findings: &mut Findings,
) -> bool {
    let Some(faults) = syntax::faults(directory, selection).await else { return false };
    for fault in faults {
        let inside = fault.file.strip_prefix(directory).unwrap_or(&fault.file);
        let is_template = templates.iter().any(|template| template == inside);
        let text = fs::read_to_string(&fault.file).unwrap_or_default();
        let place = Place::at(&text, fault.line, fault.column);
        // What it becomes is looked at when it is rendered.
        let (severity, advice) = match is_template {
            true => (Severity::Note, Some("it is a template: Nix may read what it becomes".into())),
            false => (Severity::Error, None),
        };
        findings.add(severity, &fault.file, place, fault.message, advice);
    }
    true
}
