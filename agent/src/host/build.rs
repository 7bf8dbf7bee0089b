//! Nix makes a system of a payload's files, in a transient unit with limits of its own:
//! an evaluation that eats the machine dies alone, and one that this process does not
//! survive goes on and is found again.
//!
//! Only what the payload pins is used: every pin is passed with `-I`, NIX_PATH is
//! empty, channels are never consulted. What a flake pins is in its own lock file (flake).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_proto::entry::Entry;
use floe_proto::payload::lock::{self, Lock};
use floe_proto::payload::pin::Pin;

use super::flake;
use super::output;
use super::paths::{Paths, STORE, source};
use super::process;
use super::system;
use super::unit::{self, Facts, Transient};
use crate::activation::state::{Order, Toplevel};

/// Lines of output that are searched for what went wrong.
const TAIL: usize = 60;

/// The most of it that is told, in characters and lines.
const TOLD: (usize, usize) = (1500, 12);

/// The link to what was built, as `nixos-rebuild build` calls it.
const RESULT: &str = "result";

/// Builds the order's system. `tell` is given what Nix writes. Returns the system,
/// rooted by the link `result`, and how long it took.
///
/// # Errors
///
/// [`Error`]: nothing on the machine was changed.
pub async fn build(
    order: &Order,
    paths: &Paths,
    mut tell: impl FnMut(Vec<String>),
) -> Result<(Toplevel, Duration), Error> {
    let began = system::uptime();
    let directory = paths.activation(&order.activation);
    let argv = argv(Goal::Build, order, &directory, paths, &mut tell).await?;
    let unit = Unit { purpose: "build", order, directory: &directory, stdout: None };
    unit.run(&argv, paths, &mut tell).await?;

    let result = directory.join(RESULT);
    let took = began.until(system::uptime());
    let built = system::toplevel(&result).ok_or(Error::NoSystem)?;
    if !built.join("bin/switch-to-configuration").exists() {
        return Err(Error::NoSystem);
    }
    system::sync_store().await.map_err(|source| Error::Read { file: STORE.into(), source })?;
    Ok((built, took))
}

/// Has Nix say what it would fetch and build for the order's system. `tell` is given that.
///
/// # Errors
///
/// As [`build`].
pub async fn foretell(
    order: &Order,
    paths: &Paths,
    mut tell: impl FnMut(Vec<String>),
) -> Result<(), Error> {
    let directory = paths.activation(&order.activation);
    let argv = argv(Goal::Foretell, order, &directory, paths, &mut tell).await?;
    let unit = Unit { purpose: "foretell", order, directory: &directory, stdout: None };
    unit.run(&argv, paths, &mut tell).await
}

/// What Nix is to do with a system.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// Make it; the link `result` is where it is called.
    Build,
    /// Say what that would take.
    Foretell,
}

/// What makes the order's system, of files with every pin where it lies, or of a flake.
async fn argv(
    goal: Goal,
    order: &Order,
    directory: &Path,
    paths: &Paths,
    tell: &mut impl FnMut(Vec<String>),
) -> Result<Vec<OsString>, Error> {
    let source = source(directory);
    let entry = match &order.manifest.entry {
        Entry::File(file) => source.join(file.as_path()),
        Entry::Flake(attribute) => {
            let result = directory.join(RESULT);
            let link = (goal == Goal::Build).then_some(result.as_path());
            return Ok(flake::building(&source, attribute, link)?);
        }
    };
    let action = match goal {
        Goal::Build => "build",
        Goal::Foretell => "dry-build",
    };
    let pins = pins(order, &source, directory, paths, tell).await?;
    let mut argv: Vec<OsString> = vec![paths.nixos_rebuild.clone().into()];
    argv.extend([action, "--fast", "--no-flake"].map(OsString::from));
    for (name, path) in pins {
        argv.extend(["-I".into(), search_path(&name, &path)]);
    }
    argv.extend(["-I".into(), search_path("nixos-config", &entry)]);
    Ok(argv)
}

/// Where every pin lies: in the payload, or in the store once Nix has fetched it.
async fn pins(
    order: &Order,
    source: &Path,
    directory: &Path,
    paths: &Paths,
    tell: &mut impl FnMut(Vec<String>),
) -> Result<BTreeMap<String, PathBuf>, Error> {
    let file = source.join(lock::FILE);
    let text = std::fs::read_to_string(&file).map_err(|source| Error::Read { file, source })?;
    let lock: Lock = text.parse()?;
    let packed = lock.pins.iter().filter_map(|(name, pin)| match pin {
        Pin::Path(path) => Some((name.to_string(), source.join(path.as_str()))),
        Pin::Url { .. } => None,
    });
    let mut found: BTreeMap<_, _> = packed.collect();
    let Some(expression) = lock.fetching() else { return Ok(found) };

    // Inside of a unit as well: so that what the network does to it is a failed build.
    let stdout = directory.join("pins.json");
    let argv = ["nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", "--expr"];
    let argv: Vec<OsString> =
        argv.into_iter().chain([expression.as_str()]).map(Into::into).collect();
    let unit = Unit { purpose: "pins", order, directory, stdout: Some(&stdout) };
    unit.run(&argv, paths, tell).await?;
    let bytes =
        std::fs::read(&stdout).map_err(|source| Error::Read { file: stdout.clone(), source })?;
    let fetched: BTreeMap<String, PathBuf> =
        serde_json::from_slice(&bytes).map_err(|_| Error::NoPins)?;
    found.extend(fetched);
    Ok(found)
}

fn search_path(name: &str, path: &Path) -> OsString {
    let mut text = OsString::from(format!("{name}="));
    text.push(path);
    text
}

/// The name of a [`Unit`], which a later process finds it by.
pub(super) fn unit_name(purpose: &str, order: &Order) -> String {
    format!("floe-{purpose}-{}", order.activation)
}

/// A transient unit in which Nix runs.
pub(super) struct Unit<'a> {
    /// What stands in its name: one of each for an activation.
    pub(super) purpose: &'static str,
    /// For whose sake.
    pub(super) order: &'a Order,
    /// Where it runs.
    pub(super) directory: &'a Path,
    /// Where its standard output goes; the journal unless it is said.
    pub(super) stdout: Option<&'a Path>,
}

impl Unit<'_> {
    /// Runs it to its end, or waits for one that an earlier process started.
    pub(super) async fn run(
        &self,
        argv: &[OsString],
        paths: &Paths,
        tell: &mut impl FnMut(Vec<String>),
    ) -> Result<(), Error> {
        let name = unit_name(self.purpose, self.order);
        let service = format!("{name}.service");
        let found = unit::show(&service).await?;
        if !found.is_running() {
            if found.is_loaded() {
                unit::forget(&service).await?;
            }
            self.start(&name, argv, paths).await?;
        }
        let facts = output::while_following(&name, tell, unit::ended(&service)).await?;
        unit::forget(&service).await?;
        self.judge(&facts, &name, paths).await
    }

    async fn start(&self, name: &str, argv: &[OsString], paths: &Paths) -> Result<(), Error> {
        let Self { purpose, order, directory, stdout } = self;
        let limits = &paths.limits;
        let description = format!("floe: {purpose} of activation {}", order.activation);
        let mut unit = Transient::new(name, &description)
            .option("--service-type=exec")
            // So that how it ended can be read afterwards.
            .property("RemainAfterExit=yes")
            .property(&format!("RuntimeMaxSec={}", limits.build_time.as_secs().max(1)))
            .property("TimeoutStopSec=5")
            .property(&format!("MemoryMax={}", limits.build_memory))
            .property("OOMPolicy=kill")
            .property("Nice=5")
            .property(&format!("SyslogIdentifier={name}"))
            .option(&format!("--working-directory={}", directory.display()))
            .env("PATH", &paths.search)
            .env("HOME", OsStr::new("/root"))
            .env("NIX_PATH", OsStr::new(""))
            // Settings of a flake that root once said yes to (trusted-settings.json of nix) are
            // for root's own work: here is nothing of it.
            .env("XDG_DATA_HOME", directory.as_os_str());
        if let Some(stdout) = stdout {
            // Standard error follows standard output into the file unless told otherwise.
            unit = unit
                .property(&format!("StandardOutput=truncate:{}", stdout.display()))
                .property("StandardError=journal");
        }
        Ok(unit.start(argv).await?)
    }

    async fn judge(&self, facts: &Facts, name: &str, paths: &Paths) -> Result<(), Error> {
        match facts.result() {
            "success" if facts.main_status() == 0 => Ok(()),
            "timeout" => Err(Error::TooLong(paths.limits.build_time)),
            "oom-kill" => Err(Error::TooMuch(paths.limits.build_memory.clone())),
            _ => Err(Error::Failed { said: cause(&output::tail(name, TAIL).await) }),
        }
    }
}

/// The first error in Nix' output and what follows it, or its last lines.
fn cause(lines: &[String]) -> String {
    let (most, count) = TOLD;
    let first = lines.iter().position(|line| line.trim_start().starts_with("error:"));
    let from = first.unwrap_or_else(|| lines.len().saturating_sub(count));
    let told: Vec<&str> = lines
        .iter()
        .skip(from)
        .map(|line| line.trim_end())
        .filter(|line| !line.is_empty())
        .take(count)
        .collect();
    if told.is_empty() {
        return "it said nothing".to_owned();
    }
    told.join("\n").chars().take(most).collect()
}

/// Why there is no new system. Nothing on the machine was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nix said no.
    #[error("the build failed: {said}")]
    Failed {
        /// What it said.
        said: String,
    },
    /// It was stopped.
    #[error("the build was stopped: it took longer than {0:?}")]
    TooLong(Duration),
    /// It was killed.
    #[error("the build was killed: it needed more memory than {0}")]
    TooMuch(String),
    /// What was built is something else.
    #[error("what was built is no NixOS system")]
    NoSystem,
    /// Nix fetched the pins, and did not say where they are.
    #[error("the pins of `floe.lock` could not be found after they were fetched")]
    NoPins,
    /// The payload's lock file makes no sense.
    #[error("the payload's `floe.lock` was refused")]
    Lock(#[from] lock::Error),
    /// The payload's flake cannot be used.
    #[error(transparent)]
    Flake(#[from] flake::Error),
    /// The payload lacks a file.
    #[error("could not read `{}`", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// systemd said no.
    #[error(transparent)]
    Systemd(#[from] process::Error),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "correct the role's configuration and push again",
            Self::TooLong(_) => "raise `build_timeout` of the agent, or build less",
            Self::TooMuch(_) => "raise `build_memory_max` of the agent, or use a larger machine",
            Self::NoSystem => "does the pinned nixpkgs hold NixOS?",
            Self::NoPins => "look at the host's journal",
            Self::Lock(error) => error.advice(),
            Self::Flake(error) => error.advice(),
            Self::Read { .. } => "build the bundle with `floe bundle build`",
            Self::Systemd(error) => error.advice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_first_error_is_what_is_told() {
        let said = lines(
            "building the system configuration...\nerror: undefined variable 'pkg'\n\n       at /x.nix:3:5:\nerror: build failed",
        );
        let told = cause(&said);
        assert!(told.starts_with("error: undefined variable 'pkg'"), "{told}");
        assert!(told.contains("/x.nix:3:5"));
    }

    #[test]
    fn without_an_error_the_last_lines_are_told_and_never_too_much() {
        assert_eq!(cause(&lines("a\nb")), "a\nb");
        assert_eq!(cause(&[]), "it said nothing");
        assert!(cause(&lines(&"x".repeat(10_000))).len() <= TOLD.0);
    }
}
