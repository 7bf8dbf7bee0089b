//! Which options of NixOS the modules set, and where nixpkgs declares them.

use std::collections::BTreeMap;
use std::fs;

use floe_tests::script;
use serde::Deserialize;

use crate::store::{CONTROL, HOST, Store};

/// An option that a module of floe sets.
#[derive(Deserialize)]
struct Setting {
    option: String,
    /// The files of the stand-in that declare it, as nixpkgs would name them.
    declared: Vec<String>,
    /// The module.
    by: String,
}

/// The list of what was looked up in nixpkgs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookedUp {
    file: Vec<LookedUpFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookedUpFile {
    path: String,
    seen: String,
    options: Vec<String>,
}

#[test]
fn every_option_that_is_set_is_one_of_nixpkgs_and_cites_its_file() {
    let root = script::repository_root();
    let list = fs::read_to_string(root.join("tests/modules/nixpkgs.toml")).unwrap();
    let list: LookedUp = toml::from_str(&list).unwrap();
    assert!(list.file.iter().all(|file| !file.seen.is_empty()));
    let looked_up: BTreeMap<&str, &str> = list
        .file
        .iter()
        .flat_map(|file| file.options.iter().map(|option| (option.as_str(), file.path.as_str())))
        .collect();

    let image = "services.floe-agent = { trustRoot = @trust@; ca = @trust@; };
      services.floe.openFirewall = true;";
    let modules = ["image.nix", "control.nix"];
    let settings = Store::new().evaluate(&modules, &[HOST, CONTROL, image], "settings").unwrap();
    let settings: Vec<Setting> = serde_json::from_str(&settings).unwrap();

    let mut faults = Vec::new();
    for Setting { option, declared, by } in &settings {
        let module = fs::read_to_string(root.join("nixos").join(by)).unwrap();
        match looked_up.get(option.as_str()) {
            None => faults.push(format!("{by} sets {option}, which nobody looked up in nixpkgs")),
            Some(path) if declared != &[(*path).to_owned()] => faults.push(format!(
                "{option} is declared in {path}, and in the stand-in in {declared:?}"
            )),
            // A unit's own options stand below the one that is cited.
            Some(path) if !option.contains("<name>") && !module.contains(path) => {
                faults.push(format!("{by} sets {option} and does not cite {path}"));
            }
            Some(_) => {}
        }
    }
    assert!(settings.len() > 30, "{}", settings.len());
    assert!(faults.is_empty(), "{faults:#?}");
    let unused: Vec<&&str> = looked_up
        .keys()
        .filter(|option| !settings.iter().any(|setting| setting.option == ***option))
        .collect();
    assert!(unused.is_empty(), "looked up, and set by nobody: {unused:?}");
}
