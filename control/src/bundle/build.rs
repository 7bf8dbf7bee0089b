//! The payload of a role: the same bytes for the same tree, whoever packs it, and when.

use std::io::Write;

use floe_proto::payload::limits::Limits;
use floe_proto::payload::lock;
use floe_proto::payload::pack::{Error, Packed, Packer};
use floe_proto::payload::{PINS, ROLE};

use super::rendered::Rendered;
use super::selection;
use super::source::Source;

/// Writes the payload of `source` to `out`, which should be buffered; what is `rendered`
/// stands in place of its file.
///
/// # Errors
///
/// [`Error`] for what no host would unpack, and what the disk said.
pub fn build(source: &Source, rendered: &Rendered, out: impl Write) -> Result<Packed, Error> {
    let mut packer = Packer::new(Limits::default());
    if let Some(lock) = &source.lock {
        packer.file(lock::FILE, lock.for_payload().to_toml().into_bytes())?;
    }
    packer.tree(&source.directory, ROLE, |inside| {
        source.selection.leaves_out(inside) || rendered.holds(inside)
    })?;
    for (path, text) in rendered.files() {
        packer.file(&format!("{ROLE}/{}", path.display()), text.as_bytes().to_vec())?;
    }
    for (name, tree) in &source.trees {
        packer.tree(tree, &format!("{PINS}/{name}"), selection::is_litter)?;
    }
    packer.write(out)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    use floe_proto::digest::Digest;

    use super::*;
    use crate::repository::Repository;

    fn write_repository(root: &Path) {
        let files = [
            ("floe.toml", "fleet = 'a.b'\nserver = 'https://x'"),
            ("floe.lock", "schema = 1\n[pins.nixpkgs]\npath = 'vendor/nixpkgs'\n"),
            ("vendor/nixpkgs/default.nix", "{ }"),
            ("hosts/www/host.toml", "system = 'x86_64-linux'"),
            ("hosts/www/configuration.nix", "{ imports = [ ./site/nginx.nix ]; }"),
            ("hosts/www/site/nginx.nix", "{ }"),
            ("hosts/www/site/deploy.sh", "#!/bin/sh\n"),
        ];
        for (name, content) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let script = root.join("hosts/www/site/deploy.sh");
        fs::set_permissions(script, Permissions::from_mode(0o755)).unwrap();
    }

    fn repository() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        write_repository(directory.path());
        directory
    }

    fn digest(root: &Path) -> Digest {
        let repository = Repository::open(root).unwrap();
        let source = Source::read(&repository, &"www".parse().unwrap()).unwrap();
        let mut bytes = Vec::new();
        let packed = build(&source, &Rendered::default(), &mut bytes).unwrap();
        assert_eq!(packed.digest, Digest::of(&bytes));
        packed.digest
    }

    #[test]
    fn twice_and_from_a_copy_gives_the_same_digest() {
        let (one, other) = (repository(), repository());
        assert_eq!(digest(one.path()), digest(one.path()));
        assert_eq!(digest(one.path()), digest(other.path()));
    }

    #[test]
    fn times_umask_litter_and_settings_do_not_matter() {
        let directory = repository();
        let root = directory.path();
        let before = digest(root);
        let nginx = root.join("hosts/www/site/nginx.nix");
        let file = File::options().write(true).open(&nginx).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        fs::set_permissions(&nginx, Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(root.join("hosts/www/site"), Permissions::from_mode(0o700)).unwrap();
        fs::write(root.join("hosts/www/site/nginx.nix~"), "old").unwrap();
        fs::create_dir(root.join("vendor/nixpkgs/.git")).unwrap();
        fs::write(root.join("hosts/www/host.toml"), "system = 'aarch64-linux'").unwrap();
        assert_eq!(digest(root), before);
    }

    #[test]
    fn a_byte_a_name_or_an_executable_bit_does() {
        let change: [fn(&Path); 4] = [
            |root| fs::write(root.join("hosts/www/site/nginx.nix"), "{  }").unwrap(),
            |root| fs::write(root.join("hosts/www/more.nix"), "").unwrap(),
            |root| fs::write(root.join("vendor/nixpkgs/default.nix"), "{}").unwrap(),
            |root| {
                let script = root.join("hosts/www/site/deploy.sh");
                fs::set_permissions(script, Permissions::from_mode(0o644)).unwrap();
            },
        ];
        for change in change {
            let directory = repository();
            let before = digest(directory.path());
            change(directory.path());
            assert_ne!(digest(directory.path()), before);
        }
    }

    #[test]
    fn what_is_missing_is_named_before_anything_is_packed() {
        let directory = repository();
        let root = directory.path();
        let repository = Repository::open(root).unwrap();
        let read = || Source::read(&repository, &"www".parse().unwrap()).map_err(|e| e.to_string());
        fs::remove_file(root.join("hosts/www/configuration.nix")).unwrap();
        assert!(read().unwrap_err().contains("configuration.nix`, the entry"));
        write_repository(root);
        fs::remove_dir_all(root.join("vendor")).unwrap();
        assert!(read().unwrap_err().contains("the pin `nixpkgs`"));
    }
}
