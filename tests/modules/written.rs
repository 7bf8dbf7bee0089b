//! Nix files are files of Nix, and look alike.

use std::fs;
use std::process::Command;

use floe_tests::nix_files;

#[test]
fn every_nix_file_is_one() {
    let parsed = Command::new("nix-instantiate").arg("--parse").args(nix_files::all()).output();
    let parsed = parsed.unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
}

#[test]
fn every_nix_file_is_laid_out_as_the_formatter_would() {
    let files = nix_files::all();
    let ill: Vec<_> = files
        .iter()
        .filter(|file| nix_files::is_formatted(file))
        .filter(|file| {
            let text = fs::read_to_string(file).unwrap();
            nix_files::formatted(file, &text).as_ref() != Ok(&text)
        })
        .collect();
    assert!(ill.is_empty(), "run `make format`: {ill:#?}");
}

#[test]
fn the_text_for_a_stock_image_is_a_configuration() {
    use floe_tests::script::repository_root;
    let user_data = repository_root().join("nixos/user-data/default.nix");
    let parameters = "{ fleet = \"a.b\"; role = \"it's \\${x}\"; ca = \"''\"; }";
    let rendered = Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--json", "--expr"])
        .arg(format!("import {} {parameters}", user_data.display()))
        .output()
        .unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let text: String = serde_json::from_slice(&rendered.stdout).unwrap();
    // What is given is data: none of it ends the string that it stands in, or is filled in.
    let given = text.split("''").nth(1).unwrap();
    let given: serde_json::Value = serde_json::from_str(given).unwrap();
    assert_eq!((given["role"].as_str(), given["ca"].as_str()), (Some("it's ${x}"), Some("''")));
    let parsed = Command::new("nix-instantiate").args(["--parse", "--expr", &text]).output();
    assert!(parsed.unwrap().status.success(), "{text}");
}
