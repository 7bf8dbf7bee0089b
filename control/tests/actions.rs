//! Every call of an AWS SDK in the source has a row in `aws/actions.rs`, and every row a
//! call; the policies in `docs/iam` are what the table says.
//!
//! What can be called is read from the SDKs' own sources, so that an SDK that is added, or
//! grows, needs nothing here.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop; it runs cargo and floe"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use floe::aws::actions::CALLS;
use serde_json::Value;

#[test]
fn every_call_of_aws_has_its_actions_and_every_action_its_call() {
    let sdks = sdks();
    let mut unknown = BTreeSet::new();
    let mut called = BTreeSet::new();
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let code = code(&fs::read_to_string(&file).unwrap());
        let names: BTreeSet<_> = code.split(|c| !char::is_alphanumeric(c) && c != '_').collect();
        for (service, calls) in &sdks {
            for Called { name, how, operation } in calls {
                // Looked up first, since an SDK has hundreds.
                let is_named = names.contains(name.as_str());
                if !is_named || !how.iter().any(|how| code.contains(how.as_str())) {
                    continue;
                }
                called.insert((*service, operation.as_str()));
                let mut rows = CALLS.iter().map(|row| (row.service, row.operation));
                if !rows.any(|row| row == (*service, operation)) {
                    unknown.insert(format!("{service} {operation} ({})", file.display()));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "no row in aws/actions.rs says what IAM must allow: {unknown:#?}");
    for row in CALLS {
        let row = (row.service, row.operation);
        assert!(called.contains(&row), "nothing calls {row:?}, and IAM allows it");
    }
}

#[test]
fn a_host_speaks_no_aws() {
    for package in ["floe-agent", "floe-proto"] {
        for name in dependencies(package) {
            assert!(!name.starts_with("aws-sdk-") && name != "aws-config", "{package}: {name}");
        }
    }
}

#[test]
fn the_policies_of_the_documentation_are_what_floe_prints() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/iam");
    let files: Vec<_> = fs::read_dir(policies).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        let part = file.file_stem().unwrap().to_str().unwrap();
        let printed = Command::new(env!("CARGO_BIN_EXE_floe"))
            .args(["aws", "policy", part])
            // Where no repository narrows it.
            .current_dir("/")
            .env_remove("FLOE_REPO")
            .output()
            .unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        let written = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(written, printed, "floe aws policy {part} > docs/iam/{part}.json");
    }
}

/// What can be called of an SDK.
struct Called {
    /// The method.
    name: String,
    /// What its calls look like, without blanks.
    how: Vec<String>,
    /// What AWS is asked for by it.
    operation: String,
}

/// The SDKs that floe has, and what can be called of each.
fn sdks() -> BTreeMap<&'static str, Vec<Called>> {
    let metadata = metadata();
    let mut sdks = BTreeMap::new();
    for name in dependencies("floe") {
        let Some(service) = name.strip_prefix("aws-sdk-") else { continue };
        let packages = metadata["packages"].as_array().unwrap();
        let package = packages.iter().find(|package| package["name"] == *name).unwrap();
        let manifest = package["manifest_path"].as_str().unwrap();
        let source = Path::new(manifest).parent().unwrap().join("src");
        let calls = calls(&source);
        assert!(calls.len() > 20, "the sources of {name} do not look as they did");
        sdks.insert(service.to_owned().leak() as &str, calls);
    }
    assert!(sdks.contains_key("ec2") && sdks.contains_key("s3"), "{:?}", sdks.keys());
    sdks
}

fn calls(sdk: &Path) -> Vec<Called> {
    let mut calls = Vec::new();
    for (name, text) in files(&sdk.join("client")) {
        if text.contains(&format!("pub fn {name}(&self)")) {
            // On a client; as a function of its type; by a builder of its input, or its errors.
            let how =
                [format!(".{name}()"), format!("Client::{name}("), format!("operation::{name}::")];
            calls.push(Called { name: name.clone(), how: how.into(), operation: name });
        }
    }
    // Who waits asks, again and again.
    for (name, text) in files(&sdk.join("waiters")) {
        let Some((_, asked)) = text.split_once("inner: crate::operation::") else { continue };
        let operation = asked.split_once("::").unwrap().0;
        let (name, operation) = (format!("wait_until_{name}"), operation.to_owned());
        calls.push(Called { how: vec![format!(".{name}(")], name, operation });
    }
    calls
}

/// The files of a directory, by their names without `.rs`.
fn files(directory: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// What ships: every source file that is not a test's.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && !name.ends_with("_tests.rs") {
            found.push(path);
        }
    }
    found
}

/// A file up to its tests, without comments and blanks: rustfmt breaks calls as it likes.
fn code(text: &str) -> String {
    let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = shipped.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect()
}

/// What `package` itself depends on, also for its tests.
fn dependencies(package: &str) -> Vec<String> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|known| known["name"] == package).unwrap();
    let dependencies = package["dependencies"].as_array().unwrap();
    dependencies.iter().map(|known| known["name"].as_str().unwrap().to_owned()).collect()
}

fn metadata() -> Value {
    // Packages for other systems need not be on this machine.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(["--filter-platform", &platform])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    serde_json::from_slice(&cargo.stdout).unwrap()
}
