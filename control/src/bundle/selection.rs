//! Which files of a tree go into a bundle, and which stay out.
//!
//! Of `hosts/<role>/` it is everything but settings and litter. Of a flake it is what Nix
//! itself would see: in a checkout the files that git keeps, and nothing that lies around; and
//! nothing of floe's own, where the flake is the repository.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::git;
use crate::repository::{FLEET_FILE, HOST_FILE, HOSTS, LOCK_FILE, PROPOSAL_FILE, TRUST_FILE};

/// Which files of a role's tree are packed.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Of `hosts/<role>/`.
    Role,
    /// Of a flake.
    Flake {
        /// Where it is in the repository.
        directory: PathBuf,
        /// What git keeps of it, and the directories of that; `None` where there is no checkout.
        kept: Option<BTreeSet<PathBuf>>,
    },
}

impl Selection {
    /// Of the flake `directory` of the repository at `root`.
    ///
    /// # Errors
    ///
    /// [`git::Error`] where there is a checkout, and git does not say what is in it.
    pub fn of_flake(root: &Path, directory: &Path) -> Result<Self, git::Error> {
        let kept = git::list(&root.join(directory))?.map(|files| {
            let above = files.iter().flat_map(|file| file.ancestors());
            above.filter(|path| *path != Path::new("")).map(Path::to_owned).collect()
        });
        Ok(Self::Flake { directory: directory.to_owned(), kept })
    }

    /// Whether `inside`, a path in the tree, stays out, and all that is below it.
    pub fn leaves_out(&self, inside: &Path) -> bool {
        match self {
            Self::Role => is_left_out(inside),
            Self::Flake { directory, kept } => {
                let is_kept = kept.as_ref().is_none_or(|kept| kept.contains(inside));
                let variables = inside.components().any(|part| {
                    VARIABLES.iter().any(|name| part == Component::Normal(OsStr::new(name)))
                });
                !is_kept || variables || is_litter(inside) || is_floes(&directory.join(inside))
            }
        }
    }

    /// Whether `path` is, or would be, packed with `tree`, whose selection this is.
    pub fn reaches(&self, path: &Path, tree: &Path) -> bool {
        place_in(path, tree).is_some_and(|inside| match self {
            // Whatever lies in a role's directory may be packed under another name tomorrow.
            Self::Role => true,
            Self::Flake { .. } => self.takes(&inside),
        })
    }

    /// Whether the file `inside` is packed, if it is there.
    pub fn takes(&self, inside: &Path) -> bool {
        inside.ancestors().all(|part| part == Path::new("") || !self.leaves_out(part))
    }
}

/// Where `path` is, or would be, below `tree`, by whatever links.
fn place_in(path: &Path, tree: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let (there, rest) = path.ancestors().find_map(|above| {
        let rest = path.strip_prefix(above).ok()?;
        above.canonicalize().ok().map(|there| (there, rest))
    })?;
    Some(there.join(rest).strip_prefix(tree.canonicalize().ok()?).ok()?.to_owned())
}

/// Whether `path` is, or would be, below `tree`, by whatever links.
pub(crate) fn is_inside(path: &Path, tree: &Path) -> bool {
    place_in(path, tree).is_some()
}

/// Where Ansible reads variables beside a playbook, too: whatever is in them is for no bundle.
const VARIABLES: [&str; 2] = ["group_vars", "host_vars"];

/// Whether a file of `hosts/<role>/` stays out of the payload; `inside` is its path there.
pub fn is_left_out(inside: &Path) -> bool {
    let variables = VARIABLES.iter().any(|name| inside.starts_with(name));
    inside == Path::new(HOST_FILE) || variables || is_litter(inside)
}

/// Whether a file of the repository says something to floe, and nothing to Nix.
fn is_floes(path: &Path) -> bool {
    let own = [FLEET_FILE, LOCK_FILE, TRUST_FILE, PROPOSAL_FILE, "trust", ".floe"];
    let parts: Vec<_> = path.iter().collect();
    match parts.as_slice() {
        [first] => own.iter().any(|name| first == name),
        [hosts, _, file] => *hosts == HOSTS && *file == HOST_FILE,
        _ => false,
    }
}

/// Whether a file is what git and editors leave behind.
pub fn is_litter(inside: &Path) -> bool {
    let Some(Component::Normal(name)) = inside.components().next_back() else { return false };
    let name = name.as_encoded_bytes();
    let swap = [".swp", ".swo", ".swx"].iter().any(|end| name.ends_with(end.as_bytes()));
    name == OsStr::new(".git").as_encoded_bytes()
        || name.ends_with(b"~")
        || name.starts_with(b".#")
        || (name.starts_with(b"#") && name.ends_with(b"#"))
        || (name.starts_with(b".") && swap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_editors_and_host_toml_stay_out() {
        let variables = ["group_vars", "group_vars/all/vault", "host_vars/www.yml"];
        let litter = [".git", "a/.git", "x.nix~", "a/.#x.nix", "#x.nix#", ".x.nix.swp"];
        for out in litter.into_iter().chain(variables).chain(["host.toml"]) {
            assert!(is_left_out(Path::new(out)), "{out}");
        }
        for kept in [
            "configuration.nix",
            ".gitignore",
            "a/host.toml",
            "#x",
            "x.swp",
            "a~b",
            "group_vars.nix",
        ] {
            assert!(!is_left_out(Path::new(kept)), "{kept}");
        }
    }

    #[test]
    fn of_a_flake_what_git_keeps_goes_in_and_nothing_of_floes_own() {
        let files = ["flake.nix", "hosts/www/configuration.nix", "hosts/www/host.toml"];
        let more = ["floe.toml", "trust.json", "group_vars/all/vault", "a/group_vars/x.yml"];
        let kept: BTreeSet<PathBuf> = files
            .iter()
            .chain(&more)
            .flat_map(|file| Path::new(file).ancestors())
            .map(Path::to_owned)
            .collect();
        let flake = |directory: &str, kept| Selection::Flake { directory: directory.into(), kept };
        let selection = flake("", Some(kept));
        assert!(selection.takes(Path::new("flake.nix")));
        assert!(selection.takes(Path::new("hosts/www/configuration.nix")));
        for out in
            ["keys/release.pem", ".floe/operator", "result", "new.nix", "hosts/www/host.toml"]
                .iter()
                .chain(&more)
        {
            assert!(!selection.takes(Path::new(out)), "{out}");
        }
        // Elsewhere the same names mean nothing, and without git everything is kept.
        let selection = flake("nix", None);
        for kept in ["flake.nix", "floe.toml", "hosts/www/host.toml", "keys/x"] {
            assert!(selection.takes(Path::new(kept)), "{kept}");
        }
        assert!(!flake("", None).takes(Path::new(".floe/operator/key.pem")));
        assert!(flake("", None).takes(Path::new("keys/release.pem")));
    }
}
