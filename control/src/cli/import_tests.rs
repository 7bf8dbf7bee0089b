//! The guide's own repository goes through without a hand, and other people's with a report.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::cli::view::{Page, View as _};
use crate::repository::Repository;
use crate::signing::Environment;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/seed").join(name)
}

fn import(arguments: &[&str], dir: &Path) -> Import {
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        import: Import,
    }
    let from = fixture("fossable.org");
    let typed = ["import", from.to_str().unwrap(), "--dir", dir.to_str().unwrap()];
    Typed::parse_from(typed.iter().chain(arguments)).import
}

fn password() -> String {
    fixture("vault-password").to_str().unwrap().to_owned()
}

/// What would be written, and the view of it.
async fn imported(
    arguments: &[&str],
    dir: &Path,
) -> anyhow::Result<(BTreeMap<String, String>, ImportView)> {
    planned(import(arguments, dir)).await
}

async fn planned(import: Import) -> anyhow::Result<(BTreeMap<String, String>, ImportView)> {
    let tree = Tree::read(&import.from)?;
    let fleet = import.fleet(&tree)?;
    let plan = import::plan(&tree, &import.variables(&tree).await?, &fleet)?;
    let mut files = files(&fleet, &plan);
    let mut plan = plan;
    plan.report.kept(&import.different(&files));
    let view = ImportView::new(&fleet, Path::new("fleet"), &plan, next(&plan));
    files.push((REPORT.to_owned(), view.markdown().into_bytes()));
    let text = |(name, bytes)| Ok((name, String::from_utf8(bytes)?));
    Ok((files.into_iter().map(text).collect::<anyhow::Result<_>>()?, view))
}

#[tokio::test]
async fn the_guides_own_repository_goes_through_without_a_hand() {
    let dir = tempfile::tempdir().unwrap();
    let password = password();
    let arguments = ["--vault-password-file", password.as_str()];
    let (files, view) = imported(&arguments, dir.path()).await.unwrap();

    let role = "hosts/www.fossable.org";
    let written = &files[&format!("{role}/configuration.nix")];
    let original = fs::read_to_string(fixture("fossable.org").join(role).join("configuration.nix"));
    let expected = original
        .unwrap()
        .replace(
            "hashedPassword = \"{{ hosts.www.users.root.password | password_hash }}\";",
            "hashedPasswordFile = \"/run/floe/secrets/root-password\";",
        )
        .replace("amazon-image.nix> ];", "amazon-image.nix> ./floe.nix ];");
    assert_eq!(*written, expected);

    let vault = fs::read_to_string(fixture("fossable.org/group_vars/all/vault")).unwrap();
    assert_eq!(files["group_vars/all/vault"], vault);
    let host = &files[&format!("{role}/host.toml")];
    insta::assert_snapshot!("the_host_file_of_the_guide", host);
    insta::assert_snapshot!(
        "the_report_of_the_guide",
        view.text(Page::endless(floe_proto::time::Timestamp::default()))
    );
    insta::assert_snapshot!("the_markdown_of_the_guide", files[REPORT]);
    assert!(files[LOCK_FILE].contains("nixos-24.11"));
    assert!(files[&format!("{role}/floe.nix")].contains("aarch64-linux.tar.gz"));
    for (name, text) in &files {
        assert!(!text.contains("correct horse"), "{name}");
    }
}

#[tokio::test]
async fn what_is_written_is_a_fleet_repository_and_a_second_time_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("fossable.org");
    let (files, _) = imported(&["--no-vault"], &dest).await.unwrap();
    for is_first in [true, false] {
        assert_eq!(written(&dest, &files).created.is_empty(), !is_first);
    }
    let repository = Repository::open(&dest).unwrap();
    repository.trust().unwrap();
    assert_eq!(repository.roles().len(), 1);
}

/// `files`, and what every fleet has, in `dest`.
fn written(dest: &Path, files: &BTreeMap<String, String>) -> Files {
    let environment = Environment::default();
    let keys = Choices { escrow: true, no_passphrase: true, environment: &environment };
    let fleet: Fleet = "fossable.org".parse().unwrap();
    let now = "2026-11-28T10:00:00Z".parse().unwrap();
    let mut written = Files::new(dest);
    written.directory("").unwrap();
    written.fleet(&fleet, &keys, now).unwrap();
    for (name, text) in files {
        written.write(name, text.as_bytes()).unwrap();
    }
    written
}

#[tokio::test]
async fn a_wrong_password_is_said_with_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = dir.path().join("password");
    fs::write(&wrong, "wrong").unwrap();
    let arguments = ["--vault-password-file", wrong.to_str().unwrap()];
    let error = imported(&arguments, dir.path()).await.unwrap_err();
    assert!(format!("{error:#}").contains("group_vars/all/vault"), "{error:#}");
}

#[test]
fn what_is_imported_is_not_written_to() {
    let inside = fixture("fossable.org").join("new/fleet");
    assert!(import(&[], &inside).refuse_overlap().is_err());
    assert!(import(&[], &fixture("fossable.org")).refuse_overlap().is_err());
    let dir = tempfile::tempdir().unwrap();
    import(&[], &dir.path().join("new")).refuse_overlap().unwrap();
}

#[test]
fn what_is_imported_does_not_lie_where_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for (name, is_refused) in [("hosts", true), ("hosts/www", true), ("keys", true), ("old", false)]
    {
        let from = dir.path().join(name);
        fs::create_dir_all(&from).unwrap();
        let mut import = import(&[], dir.path());
        import.from = from;
        assert_eq!(import.refuse_overlap().is_err(), is_refused, "{name}");
    }
}

#[tokio::test]
async fn what_was_there_and_stays_is_not_called_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let role = dir.path().join("hosts/www.fossable.org");
    fs::create_dir_all(&role).unwrap();
    fs::write(role.join("configuration.nix"), "{ }").unwrap();
    let (_, view) = imported(&["--no-vault"], dir.path()).await.unwrap();
    let of_nix = |finding: &&crate::cli::view::import::FindingView| {
        finding.text.contains("hosts/www.fossable.org/configuration.nix")
    };
    let of_nix: Vec<_> = view.findings.iter().filter(of_nix).collect();
    assert!(of_nix.len() > 3);
    for finding in of_nix {
        assert_eq!(finding.outcome, "look", "{}: {}", finding.what, finding.text);
        assert!(finding.text.contains("was kept"), "{}", finding.text);
    }
}

#[tokio::test]
async fn what_other_people_have_is_imported_and_every_line_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["web-ami", "inventory-roles", "many-templates"] {
        let mut import = import(&["--no-vault", "--fleet", "example.org"], dir.path());
        import.from = fixture("../strangers").join(name);
        let tree = Tree::read(&import.from).unwrap();
        let (files, view) = planned(import).await.unwrap();
        for (file, text) in &files {
            assert!(!text.contains("glpat"), "{name}: {file}");
        }
        // Every file of theirs is told of.
        for file in tree.names() {
            assert!(view.findings.iter().any(|finding| finding.file == file), "{name}: {file}");
        }
        // What is written is what floe itself reads.
        let dest = dir.path().join(name);
        written(&dest, &files);
        let repository = Repository::open(&dest).unwrap();
        for role in repository.roles() {
            repository.host_file(&role).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let text = view.text(Page::endless(floe_proto::time::Timestamp::default()));
        insta::assert_snapshot!(format!("the_report_of_{name}"), text);
        let hosts = files.iter().filter(|(file, _)| file.starts_with("hosts/"));
        let hosts: String = hosts.map(|(file, text)| format!("== {file}\n{text}\n")).collect();
        insta::assert_snapshot!(format!("the_hosts_of_{name}"), hosts);
    }
}
