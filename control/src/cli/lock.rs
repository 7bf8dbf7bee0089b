//! `floe lock`: what hosts build with, taken on to what is newest. A flake has a lock file of
//! its own, which Nix takes on.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use floe_proto::id::Role;
use floe_proto::payload::lock as file;
use floe_proto::payload::pin::{Pin, PinHash, PinName, PinUrl};

use super::context::Context;
use super::end::{End, Stopped};
use super::progress::Progress;
use super::view::lock::{Change, LockView, PinView};
use crate::bundle::pins;
use crate::durable;
use crate::repository::{Code, LOCK_FILE, Repository};

/// Take the pins of floe.lock on to what they follow
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Lock {
    Update(Update),
}

/// Look what each pin follows, fetch it, and write its URL and hash into floe.lock
///
/// A pin says with `follow` what it follows: a URL that leads to what is newest, as the
/// channels of NixOS do, or a branch of the repository on GitHub that its `url` names. Pins
/// that follow nothing stay. Hosts get what is new with the next push. Roles of a flake are
/// pinned by its flake.lock, which `nix flake update` takes on.
#[derive(Args, Debug)]
#[command(after_help = UPDATE_EXAMPLES)]
pub(super) struct Update {
    /// Only these pins [default: all that follow something]
    #[arg(value_name = "PIN")]
    pins: Vec<PinName>,

    /// Show where each pin would go, fetch nothing, and write nothing
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe lock update";

const UPDATE_EXAMPLES: &str = "\
Examples:
  floe lock update                  # all pins that follow something
  floe lock update nixpkgs
  floe lock update --dry-run        # is there anything new?

In floe.lock, beside url and sha256:
  follow = \"https://channels.nixos.org/nixos-24.11/nixexprs.tar.xz\"
  follow = \"nixos-24.11\"            # url is https://github.com/NixOS/nixpkgs/archive/….tar.gz";

impl Lock {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        match self {
            Self::Update(update) => update.run(context).await,
        }
    }
}

impl Update {
    async fn run(self, context: &Context) -> anyhow::Result<End> {
        let repository = context.repository()?;
        let flakes = flakes(&repository);
        if let (Some((role, directory)), true) =
            (flakes.first(), flakes.len() == repository.roles().len())
        {
            let why = format!("no role is pinned by {LOCK_FILE}: `{role}` is of a flake");
            return Err(Stopped::failed(why, flake_update(directory)).into());
        }
        let lock = repository.lock()?;
        self.all_follow(&lock)?;
        let progress = context.progress();
        for (role, directory) in &flakes {
            let update = flake_update(directory);
            progress.note(&format!("{role} is of a flake, with its own lock file: {update}"));
        }
        let (mut pins, mut new) = (Vec::new(), Vec::new());
        for (name, pin) in &lock.pins {
            if self.pins.is_empty() || self.pins.contains(name) {
                let (view, found) = self.look(name, pin, &progress).await?;
                pins.push(view);
                new.extend(found.map(|(url, sha256)| (name, url, sha256)));
            }
        }
        // All of them or none: whoever fails above has changed nothing.
        if !new.is_empty() {
            write(&repository, &new)?;
        }
        drop(progress);
        context.print(&LockView { file: LOCK_FILE.into(), dry_run: self.dry_run, pins })?;
        Ok(End::Done)
    }

    /// Whether every pin that was named can be taken on.
    fn all_follow(&self, lock: &file::Lock) -> Result<(), Stopped> {
        for name in &self.pins {
            let (why, advice) = match lock.pins.get(name) {
                Some(Pin::Url { follow: Some(_), .. }) => continue,
                Some(Pin::Url { follow: None, .. }) => (
                    "follows nothing",
                    "say what: follow = \"https://channels.nixos.org/nixos-24.11/nixexprs.tar.xz\"",
                ),
                Some(Pin::Path(_)) => {
                    ("is a tree of the repository", "bring it up to date where it comes from")
                }
                None => ("is not there", "name one of the tables below [pins]"),
            };
            return Err(Stopped::failed(format!("the pin `{name}` of {LOCK_FILE} {why}"), advice));
        }
        Ok(())
    }

    /// What becomes of `pin`, and what is to be written for it.
    async fn look(
        &self,
        name: &PinName,
        pin: &Pin,
        progress: &Progress,
    ) -> anyhow::Result<(PinView, Option<(PinUrl, PinHash)>)> {
        let mut view = PinView::kept(name, pin);
        let Pin::Url { url, sha256, follow: Some(follow) } = pin else { return Ok((view, None)) };
        progress.doing(&format!("asking where {follow} leads"));
        let target = pins::target(follow, url).await?;
        if !target.is_fixed {
            progress.note(&format!(
                "warning: what lies at {} may become something else; hosts would refuse it then",
                target.url
            ));
        }
        view.change = Change::Unchanged;
        // What lies behind a name of its own is what it was.
        if target.is_fixed && target.url == *url {
            return Ok((view, None));
        }
        if self.dry_run {
            (view.change, view.new_url) = (Change::Found, Some(target.url.to_string()));
            return Ok((view, None));
        }
        progress.doing(&format!("fetching {}", target.url));
        let hash = pins::prefetch(&target.url).await?;
        if target.url == *url && hash == *sha256 {
            return Ok((view, None));
        }
        view.change = Change::Updated;
        (view.new_url, view.new_sha256) = (Some(target.url.to_string()), Some(hash.to_string()));
        Ok((view, Some((target.url, hash))))
    }
}

/// The roles that floe.lock pins nothing for, and where their flakes are.
fn flakes(repository: &Repository) -> Vec<(Role, PathBuf)> {
    let flake = |role: Role| match repository.host_file(&role).ok()?.code {
        Code::File(_) => None,
        Code::Flake(flake) => Some((role, flake.directory)),
    };
    repository.roles().into_iter().filter_map(flake).collect()
}

/// Every version of Nix takes this form.
fn flake_update(directory: &Path) -> String {
    match directory == Path::new("") {
        true => "nix flake update".into(),
        false => format!("cd {} && nix flake update", directory.display()),
    }
}

/// Writes the `new` places of pins into floe.lock.
fn write(repository: &Repository, new: &[(&PinName, PinUrl, PinHash)]) -> anyhow::Result<()> {
    let path = repository.root().join(LOCK_FILE);
    // Fetching takes its time, in which somebody may have written to it.
    let mut text = fs::read_to_string(&path)
        .with_context(|| format!("could not read `{}`", path.display()))?;
    for (name, url, sha256) in new {
        text = pins::edit(&text, name, url, sha256)?;
    }
    durable::write_file(&path, text.as_bytes(), 0o644)
        .with_context(|| format!("could not write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flake_is_taken_on_by_nix_and_where_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("floe.toml", "fleet = 'a.b'\nserver = 'https://x'");
        write("hosts/mail/host.toml", "system = 'x86_64-linux'");
        write("hosts/web/host.toml", "system = 'x86_64-linux'\nflake = '.'");
        write("hosts/www/host.toml", "system = 'x86_64-linux'\nflake = 'nix#web'");
        let found = flakes(&Repository::open(directory.path()).unwrap());
        let said: Vec<_> =
            found.iter().map(|(role, at)| format!("{role}: {}", flake_update(at))).collect();
        assert_eq!(said, ["web: nix flake update", "www: cd nix && nix flake update"]);
    }
}
