//! Nix on the operator's machine: builds a role's system, and puts what it needs into a
//! binary cache. What is pinned is used, and neither NIX_PATH nor channels.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufReader, BufWriter, Seek as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_proto::entry::{Attribute, File};
use floe_proto::id::Fleet;
use floe_proto::payload::ROLE;
use floe_proto::payload::flake::{self, in_url};
use floe_proto::payload::limits::Limits;
use floe_proto::payload::lock::Lock;
use floe_proto::payload::pack;
use floe_proto::payload::unpack::{self, unpack};
use floe_proto::store_path::StorePath;

use super::build;
use super::cache_key::CacheKey;
use super::process::{self, Ended};
use super::rendered::Rendered;
use super::source::Source;
use crate::repository::Code;

/// Longer than any build that an operator waits for.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

/// Nothing from elsewhere decides what is built.
const ENVIRONMENT: [(&str, &str); 2] = [("NIX_PATH", ""), ("NIXOS_CONFIG", "")];

/// Builds the system of `source`, and roots it by `link`.
///
/// # Errors
///
/// [`Error::Failed`] with what Nix said.
pub async fn build(source: &Source, link: &Path) -> Result<StorePath, Error> {
    match &source.settings.code {
        Code::File(file) => build_file(source, file, link).await?,
        Code::Flake(flake) => build_flake(source, &flake.attribute, link).await?,
    }
    let built = link.canonicalize().map_err(|_| Error::NoSystem { what: link.to_owned() })?;
    let text = built.to_string_lossy().into_owned();
    text.try_into().map_err(|_| Error::NoSystem { what: built })
}

async fn build_file(source: &Source, file: &File, link: &Path) -> Result<(), Error> {
    let entry: PathBuf = file.as_path().components().skip(1).collect();
    let mut arguments: Vec<OsString> =
        ["<nixpkgs/nixos>", "--attr", "config.system.build.toplevel"].map(Into::into).to_vec();
    arguments.extend(["--argstr", "system", &source.settings.system].map(Into::into));
    arguments.extend(["--no-build-output", "--out-link"].map(Into::into));
    arguments.push(link.into());
    for (name, path) in pins(source).await? {
        arguments.extend(["-I".into(), search_path(&name, &path)]);
    }
    let entry = source.directory.join(entry);
    arguments.extend(["-I".into(), search_path("nixos-config", &entry)]);
    run("nix-build", arguments).await?;
    Ok(())
}

/// Builds what hosts would: the flake as it is packed, from a directory in which nothing else
/// lies. Nix would copy all of a checkout into the store that is named by its path.
async fn build_flake(source: &Source, attribute: &Attribute, link: &Path) -> Result<(), Error> {
    let scratch = tempfile::tempdir().map_err(Error::Scratch)?;
    let target = scratch.path().join("payload");
    let (source, unpacked) = (source.clone(), target.clone());
    let packing = tokio::task::spawn_blocking(move || {
        let mut file = tempfile::tempfile().map_err(Error::Scratch)?;
        // A closure has no templates.
        build::build(&source, &Rendered::default(), BufWriter::new(&mut file))?;
        file.rewind().map_err(Error::Scratch)?;
        unpack(BufReader::new(file), &unpacked, &Limits::default())?;
        Ok::<_, Error>(())
    });
    packing.await.map_err(|error| Error::Scratch(error.into()))??;
    let arguments = flake::building(&target.join(ROLE), attribute, Some(link));
    // Where Nix keeps which settings of flakes somebody said yes to: to none, here.
    let data = scratch.path().to_string_lossy();
    let data = [("XDG_DATA_HOME", &*data), ("NIX_DATA_HOME", &*data)];
    let environment = [ENVIRONMENT.as_slice(), &data].concat();
    run_with("nix", arguments, &environment).await?;
    Ok(())
}

/// Roots a system that was built before by `link`.
///
/// # Errors
///
/// [`Error::Failed`] where the store does not have it.
pub async fn take(toplevel: &StorePath, link: &Path) -> Result<(), Error> {
    let there = run("nix-store", ["--check-validity".as_ref(), toplevel.as_path()]).await;
    if let Err(Error::Failed { .. }) = there {
        return Err(Error::NotThere { toplevel: toplevel.clone() });
    }
    there?;
    let realise = ["--realise".as_ref(), toplevel.as_path(), "--add-root".as_ref(), link];
    run("nix-store", realise).await?;
    Ok(())
}

/// Puts `toplevel` and all that it needs into the binary cache `directory`, signed. What is
/// there already is left as it is.
///
/// # Errors
///
/// [`Error::Failed`] with what Nix said.
pub async fn copy(toplevel: &StorePath, directory: &Path, key: &CacheKey) -> Result<(), Error> {
    let (directory, key) = (in_url(directory), in_url(&key.path));
    let url = format!("file://{directory}?compression=zstd&secret-key={key}");
    // `nix copy` has no other form, and is still called experimental.
    let copy = ["--extra-experimental-features", "nix-command", "copy", "--to", &url];
    run("nix", copy.into_iter().chain([toplevel.as_str()])).await?;
    Ok(())
}

/// Whether hosts of `source` could run `toplevel`: what they would refuse is found here.
///
/// # Errors
///
/// [`Error::NoSystem`], [`Error::NoAgent`] or [`Error::OtherSystem`].
pub fn look_over(toplevel: &StorePath, source: &Source, fleet: &Fleet) -> Result<(), Error> {
    let file = |name: &str| toplevel.as_path().join(name);
    if !file("bin/switch-to-configuration").exists() {
        return Err(Error::NoSystem { what: toplevel.as_path().to_owned() });
    }
    let agent = ["sw/bin/floe-agent", "etc/systemd/system/floe-agent.service"];
    if !agent.iter().all(|name| file(name).exists()) {
        return Err(Error::NoAgent { toplevel: toplevel.clone() });
    }
    let system = fs::read_to_string(file("system")).unwrap_or_default();
    if system.trim() != source.settings.system {
        let (found, wanted) = (shown(&system), source.settings.system.clone());
        return Err(Error::OtherSystem { what: "system", found, wanted });
    }
    // Where the agent is told by other means, hosts find out.
    let said = fs::read_to_string(file("etc/floe/agent.toml")).unwrap_or_default();
    let said: toml::Table = said.parse().unwrap_or_default();
    for (what, wanted) in [("fleet", fleet.to_string()), ("role", source.role.to_string())] {
        if let Some(found) = said.get(what).and_then(toml::Value::as_str)
            && found != wanted
        {
            return Err(Error::OtherSystem { what, found: shown(found), wanted });
        }
    }
    Ok(())
}

/// Where every pin lies: in the repository, or in the store once Nix has fetched it.
async fn pins(source: &Source) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut found: BTreeMap<_, _> = source.trees.iter().cloned().collect();
    if let Some(expression) = source.lock.as_ref().and_then(Lock::fetching) {
        let evaluate = ["--eval", "--strict", "--json", "--read-write-mode", "--expr"];
        let ended =
            run("nix-instantiate", evaluate.into_iter().chain([expression.as_str()])).await?;
        let fetched: BTreeMap<String, PathBuf> = serde_json::from_str(&ended.stdout)
            .map_err(|_| Error::Failed { program: "nix-instantiate", said: ended.stdout })?;
        found.extend(fetched);
    }
    Ok(found)
}

fn search_path(name: &str, path: &Path) -> OsString {
    let mut text = OsString::from(format!("{name}="));
    text.push(path);
    text
}

async fn run(
    program: &'static str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<Ended, Error> {
    run_with(program, arguments, &ENVIRONMENT).await
}

async fn run_with(
    program: &'static str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    environment: &[(&str, &str)],
) -> Result<Ended, Error> {
    let ended = process::run_with(program, arguments, Path::new("."), environment, LIMIT).await;
    match ended {
        Ok(ended) if ended.status.success() => Ok(ended),
        Ok(ended) => Err(Error::Failed { program, said: told(&ended.stderr) }),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Err(Error::NoNix { program }),
        Err(source) => Err(Error::Started { program, source }),
    }
}

/// The first error and what follows it, or the end.
fn told(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    let first = lines.iter().position(|line| line.trim_start().starts_with("error:"));
    let from = first.unwrap_or_else(|| lines.len().saturating_sub(12));
    let told: Vec<&str> = lines.into_iter().skip(from).take(12).collect();
    let text: String = told.join("\n").chars().filter(|c| !c.is_control() || *c == '\n').collect();
    text.chars().take(1500).collect()
}

fn shown(text: &str) -> String {
    text.trim().chars().take(80).flat_map(char::escape_debug).collect()
}

/// Why there is no system to publish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nix is not here.
    #[error("there is no `{program}` here: a closure is built by Nix on your machine")]
    NoNix {
        /// Which of its programs.
        program: &'static str,
    },
    /// It could not be run, or did not end.
    #[error("could not run `{program}`")]
    Started {
        /// Which of its programs.
        program: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nix said no.
    #[error("`{program}` failed: {said}")]
    Failed {
        /// Which of its programs.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// It is not what hosts would unpack.
    #[error("the flake could not be packed")]
    Pack(#[from] pack::Error),
    /// Hosts could not unpack it.
    #[error("the flake, packed, cannot be unpacked")]
    Unpack(#[from] unpack::Error),
    /// There is no room.
    #[error("could not make a directory to build the flake from")]
    Scratch(#[source] io::Error),
    /// The store does not have it.
    #[error("`{toplevel}` is not in the Nix store of this machine")]
    NotThere {
        /// What was given.
        toplevel: StorePath,
    },
    /// Some other package.
    #[error("`{}` is no NixOS system", what.display())]
    NoSystem {
        /// What was built, or given.
        what: PathBuf,
    },
    /// Hosts would be lost.
    #[error("`{toplevel}` has no floe-agent: hosts could not be reached after the switch")]
    NoAgent {
        /// What was built, or given.
        toplevel: StorePath,
    },
    /// For other hosts.
    #[error("the system is for the {what} `{found}`, and not for `{wanted}`")]
    OtherSystem {
        /// `system`, `fleet` or `role`.
        what: &'static str,
        /// What it says.
        found: String,
        /// What the role is.
        wanted: String,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoNix { .. } => "install Nix here, or push without --closure: hosts build then",
            Self::Started { .. } => "look at Nix on this machine",
            Self::Failed { .. } => "correct what Nix says, then try again",
            Self::Pack(error) => error.advice(),
            Self::Unpack(error) => error.advice(),
            Self::Scratch(_) => "free space in the directory for temporary files",
            Self::NotThere { .. } => "build it, or copy it here with `nix copy --from`",
            Self::NoSystem { .. } => {
                "give what `nix-build '<nixpkgs/nixos>' -A config.system.build.toplevel` prints"
            }
            Self::NoAgent { .. } => {
                "import floe's NixOS module in this role, with `services.floe-agent.enable`"
            }
            Self::OtherSystem { .. } => "give the system of this role, or none: it is built then",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nix_says_begins_with_the_error() {
        let said =
            "these 2 derivations will be built:\n  /nix/store/x.drv\n\nerror: no\n  at x:1\n";
        assert_eq!(told(said), "error: no\n  at x:1");
        assert_eq!(told("a\nb\n"), "a\nb");
    }
}
