//! Where the Nix code of a role is: `entry` or `flake` of `host.toml`.
//!
//! ```toml
//! entry = "configuration.nix"      # relative to hosts/<role>/; this is the default
//! flake = "."                      # or the directory of a flake, relative to the repository
//! flake = "nix#web"                # and another of its nixosConfigurations than the role's name
//! ```

use std::path::{Component, Path, PathBuf};

use floe_proto::entry::{Attribute, Entry, File};
use floe_proto::id::Role;
use floe_proto::payload;

use super::fault::Faults;

/// Where the Nix code of a role is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// In `hosts/<role>/`. The file that is `nixos-config`, relative to the payload.
    File(File),
    /// In a flake of the repository.
    Flake(Flake),
}

/// A configuration of a flake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flake {
    /// The directory with flake.nix, relative to the repository; empty for the repository.
    pub directory: PathBuf,
    /// Which of its `nixosConfigurations`.
    pub attribute: Attribute,
}

impl Code {
    /// What the manifest says of it.
    pub fn entry(&self) -> Entry {
        match self {
            Self::File(file) => Entry::File(file.clone()),
            Self::Flake(Flake { attribute, .. }) => Entry::Flake(attribute.clone()),
        }
    }

    /// The entry, relative to `hosts/<role>/`; `None` for a flake.
    pub fn entry_inside(&self) -> Option<PathBuf> {
        match self {
            Self::File(file) => Some(file.as_path().components().skip(1).collect()),
            Self::Flake(_) => None,
        }
    }

    /// The flake, where it is one.
    pub fn flake(&self) -> Option<&Flake> {
        match self {
            Self::File(_) => None,
            Self::Flake(flake) => Some(flake),
        }
    }
}

/// What `entry` and `flake` say in the file `path`; what is wrong goes to `faults`.
pub(super) fn code(
    entry: Option<String>,
    flake: Option<&str>,
    path: &Path,
    faults: &mut Faults,
) -> Option<Code> {
    let Some(flake) = flake else {
        let entry = entry.unwrap_or_else(|| "configuration.nix".into());
        let file = File::try_from(format!("{}/{entry}", payload::ROLE))
            .map_err(|_| format!("`{entry}` is no relative path inside the role"));
        return faults.take("entry", file).map(Code::File);
    };
    if entry.is_some() {
        let message = "a role has either `entry` or `flake`, and here are both";
        let advice = "remove `entry`: a flake says in flake.nix which files it is made of";
        faults.advise("entry", message.into(), Some(advice.into()));
    }
    let (directory, name) = match flake.split_once('#') {
        Some((directory, name)) => (directory, Some(name)),
        None => (flake, None),
    };
    let directory = self::directory(directory, faults);
    let attribute = attribute(name, path, faults);
    Some(Code::Flake(Flake { directory: directory?, attribute: attribute? }))
}

/// The directory, without what says nothing in it.
fn directory(text: &str, faults: &mut Faults) -> Option<PathBuf> {
    let parts = Path::new(text).components().filter(|part| *part != Component::CurDir);
    let directory: PathBuf = parts.collect();
    if directory.components().all(|part| matches!(part, Component::Normal(_))) && !is_url(text) {
        return Some(directory);
    }
    let message = format!("`{text}` is no directory of the repository");
    let advice = "a bundle carries the flake along: name the directory that flake.nix is in, as \
                  `.`, and make what lies elsewhere an input of it";
    faults.advise("flake", message, Some(advice.into()));
    None
}

/// Whether it is a flake reference with a scheme, as `github:NixOS/nixpkgs`.
fn is_url(text: &str) -> bool {
    text.contains(':') || text.contains('?')
}

fn attribute(name: Option<&str>, path: &Path, faults: &mut Faults) -> Option<Attribute> {
    let Some(name) = name else {
        let role = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let role = role.and_then(|role| role.parse::<Role>().ok());
        if role.is_none() {
            faults.add("flake", "it must name a configuration: `DIRECTORY#NAME`".into());
        }
        return role.as_ref().map(Attribute::from);
    };
    let inner = name.strip_prefix("nixosConfigurations.");
    let inner = inner.map(|name| name.trim_matches('"'));
    if let Some(inner) = inner {
        let message = "it names one of `nixosConfigurations`, which is not to be said".to_owned();
        faults.advise("flake", message, Some(format!("did you mean `#{inner}`?")));
        return None;
    }
    match name.parse() {
        Ok(attribute) => Some(attribute),
        Err(_) => {
            let message = format!("`{name}` is no name of a configuration");
            let advice = "letters, digits, `_`, `-` and `.`, as `flake = \".#web\"`";
            faults.advise("flake", message, Some(advice.into()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "hosts/www.fossable.org/host.toml";

    fn read(entry: Option<&str>, flake: &str) -> Result<Flake, Vec<String>> {
        let mut faults = Faults::default();
        let code = code(entry.map(str::to_owned), Some(flake), Path::new(PATH), &mut faults);
        match code {
            Some(Code::Flake(flake)) if faults.is_empty() => Ok(flake),
            Some(_) | None => Err(faults.sentences()),
        }
    }

    #[test]
    fn a_flake_is_a_directory_and_a_name() {
        for (text, directory, attribute) in [
            (".", "", "www.fossable.org"),
            ("./", "", "www.fossable.org"),
            ("nix", "nix", "www.fossable.org"),
            ("./nix/fleet/", "nix/fleet", "www.fossable.org"),
            ("nix#web", "nix", "web"),
            (".#web-1.a", "", "web-1.a"),
            ("#web", "", "web"),
        ] {
            let attribute = attribute.parse().unwrap();
            let flake = Flake { directory: directory.into(), attribute };
            assert_eq!(read(None, text), Ok(flake), "{text}");
        }
    }

    #[test]
    fn what_no_bundle_can_carry_and_nix_would_read_is_refused() {
        for text in [
            "..",
            "/srv/nix",
            "nix/../..",
            "github:NixOS/nixpkgs",
            "git+file:///srv/x#web",
            ".?dir=nix",
            ".#",
            ".#a/b",
            ".#${x}",
            ".#a#b",
            ".#nixosConfigurations.web",
            ".#nixosConfigurations.\"web\"",
        ] {
            let faults = read(None, text).unwrap_err();
            assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        }
        assert_eq!(read(Some("x.nix"), "..").unwrap_err().len(), 2);
    }

    #[test]
    fn a_file_in_no_directory_of_a_role_must_name_the_configuration() {
        let mut faults = Faults::default();
        assert_eq!(code(None, Some("."), Path::new("host.toml"), &mut faults), None);
        assert!(faults.sentences()[0].contains("DIRECTORY#NAME"));
    }
}
