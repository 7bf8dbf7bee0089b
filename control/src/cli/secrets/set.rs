//! `floe secrets set`, `floe secrets rotate`: one secret gets a value, of somebody or of chance.
//!
//! A value is never typed as an argument: whoever lists processes would read it, and the shell
//! would keep it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use floe_proto::id::Role;
use floe_proto::secret::Name;
use zeroize::Zeroizing;

use super::place::{self, Place};
use super::seal;
use crate::bounded;
use crate::cli::context::Context;
use crate::cli::end::{End, Stopped};
use crate::cli::progress;
use crate::cli::sealing::SealingArgs;
use crate::cli::vault::VaultArgs;
use crate::cli::view::secrets::{Change, SetView};
use crate::repository::Repository;
use crate::template::{SALTS_FILE, SaltFile};

/// Give a secret another value: in the vault, or in its file of age's
///
/// The value is typed (twice, unseen), or read with --from. What host.toml makes the secret of
/// must name one variable; that is replaced where it stands, and the rest of the file, its
/// comments and its order stay. A file of age's is encrypted to `age_recipients` of floe.toml.
/// Of a value of one line its end is taken away.
///
/// No host has it before `floe secrets seal` or the next push.
#[derive(Args, Debug)]
#[command(after_help = SET_EXAMPLES)]
pub(in crate::cli) struct Set {
    /// Whose
    role: Role,
    /// Which, as host.toml calls it
    #[arg(value_name = "SECRET")]
    name: Name,
    /// Read the value from this file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// Give a secret a new value of chance
///
/// As `floe secrets set`, with letters and digits (and `.`, `_`) that nobody saw. A digest of it
/// (`password_hash`) gets a new salt. What is no password, such as a key of several lines, is
/// refused: make one, and use `floe secrets set --from`.
#[derive(Args, Debug)]
#[command(after_help = ROTATE_EXAMPLES)]
pub(in crate::cli) struct Rotate {
    /// Whose
    role: Role,
    /// Which, as host.toml calls it
    #[arg(value_name = "SECRET")]
    name: Name,
    /// How many characters it gets; each is one of 64
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(u16).range(12..=1024))]
    length: u16,
    #[command(flatten)]
    options: Options,
}

#[derive(Args, Debug)]
struct Options {
    /// Send the role's secrets to its hosts at once, as `floe secrets seal` does
    #[arg(long, conflicts_with = "dry_run")]
    seal: bool,
    #[command(flatten)]
    sealing: SealingArgs,
    #[command(flatten)]
    vault: VaultArgs,
    /// Show where it would be written and who uses it, and stop
    #[arg(long)]
    dry_run: bool,
}

const SET_EXAMPLES: &str = "\
Examples:
  floe secrets set www.fossable.org db-password              # asks for it
  floe secrets set www.fossable.org tls.key --from tls.key   # of a file
  pass show db | floe secrets set www.fossable.org db-password --from - --seal
  floe secrets set www.fossable.org db-password --dry-run    # where does it stand?";

const ROTATE_EXAMPLES: &str = "\
Examples:
  floe secrets rotate www.fossable.org db-password           # then: floe secrets seal
  floe secrets rotate www.fossable.org db-password --seal    # and hosts have it at once
  floe secrets rotate www.fossable.org pin --length 12";

impl Set {
    pub(super) async fn run(
        self,
        context: &Context,
        repository: &Repository,
    ) -> anyhow::Result<End> {
        let value = || value(self.from.as_deref(), &self.name, context);
        let change = Changing { role: &self.role, name: &self.name, change: Change::Set };
        change.run(context, repository, &self.options, value).await
    }
}

impl Rotate {
    pub(super) async fn run(
        self,
        context: &Context,
        repository: &Repository,
    ) -> anyhow::Result<End> {
        let value = || random(self.length.into());
        let change = Changing { role: &self.role, name: &self.name, change: Change::Rotated };
        change.run(context, repository, &self.options, value).await
    }
}

/// What becomes of which secret.
struct Changing<'a> {
    role: &'a Role,
    name: &'a Name,
    change: Change,
}

impl Changing<'_> {
    async fn run(
        &self,
        context: &Context,
        repository: &Repository,
        options: &Options,
        value: impl FnOnce() -> anyhow::Result<Zeroizing<Vec<u8>>>,
    ) -> anyhow::Result<End> {
        let Self { role, name, change } = *self;
        let entry = place::entry(repository, role, name)?;
        let place = Place::of(&entry, role, context, repository, &options.vault).await?;
        if change == Change::Rotated && !place.is_one_line(context)? {
            return Err(Stopped::failed(
                format!("`{name}` of `{role}` is no password: it is not one line of text"),
                format!("make another one, and: floe secrets set {role} {name} --from FILE"),
            )
            .into());
        }
        let (used_by, templates) = place.users(repository)?;
        // Asked for only where it has a place, and tried there also where nothing is written.
        let is_asked = change == Change::Rotated || !options.dry_run;
        let changed = match is_asked {
            true => Some(place.with(&value()?, context, repository)?),
            false => None,
        };
        let mut view = SetView {
            role: role.to_string(),
            secret: name.to_string(),
            change,
            file: place.file(repository),
            variable: place.variable(),
            used_by,
            templates,
            new_salt: false,
            sealed: None,
            dry_run: options.dry_run,
        };
        if let Some(changed) = changed.filter(|_| !options.dry_run) {
            changed.write()?;
            if change == Change::Rotated {
                view.new_salt = forget_salts(repository.root(), role, name)?;
            }
            if options.seal {
                // Whatever becomes of the rest.
                progress::line(&format!("{} has another value; sending it", view.file));
                let password = place.password().cloned();
                let password = match password {
                    Some(password) => Some(password),
                    None => seal_password(context, repository, role, options).await?,
                };
                let sealed =
                    seal::changed(context, repository, role, password.as_ref(), &options.sealing);
                view.sealed = Box::pin(sealed).await?;
            }
        }
        context.print(&view)?;
        Ok(End::Done)
    }
}

/// Of the vault, which the role's other secrets need.
async fn seal_password(
    context: &Context,
    repository: &Repository,
    role: &Role,
    options: &Options,
) -> anyhow::Result<Option<crate::vault::Password>> {
    let needed = repository.host_file(role)?.needs_vault();
    if !needed || !crate::vault::Variables::need_password(repository.root(), role.as_str())? {
        return Ok(None);
    }
    options.vault.needed_password(context, repository).await.map(Some)
}

/// What somebody types, or has in a file.
fn value(
    from: Option<&Path>,
    name: &Name,
    context: &Context,
) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let typed = match from {
        Some(path) if path == Path::new("-") => all(io::stdin().lock(), 0, "standard input")?,
        Some(path) => {
            let unread = || format!("could not read `{}`", path.display());
            let file = File::open(path).with_context(unread)?;
            let length = file.metadata().with_context(unread)?.len();
            all(file, length, &format!("`{}`", path.display()))?
        }
        None => asked(name, context)?,
    };
    if typed.trim_ascii().is_empty() {
        let advice = "a secret that is no more is taken out of host.toml";
        return Err(Stopped::failed("the value is empty", advice).into());
    }
    Ok(without_end(typed))
}

/// Twice, since nobody sees it.
fn asked(name: &Name, context: &Context) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let environment = context.environment();
    let Some(typed) = environment.ask_plainly(&format!("New value of {name}: "))? else {
        let advice = "name a file with --from; `-` is standard input";
        return Err(Stopped::failed("nobody is here to type the value", advice).into());
    };
    let again = environment.ask_plainly("Once more: ")?;
    if again.is_none_or(|again| *again != *typed) {
        let advice = "type the same twice; it was left as it was";
        return Err(Stopped::failed("the two values are not the same", advice).into());
    }
    Ok(Zeroizing::new(typed.as_bytes().to_vec()))
}

/// Longer than all secrets of a role together may be.
const MAX_BYTES: u64 = 96 * 1024;

fn all(reader: impl io::Read, length: u64, name: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let read = bounded::read(reader, length.max(8 << 10), MAX_BYTES);
    let read = read.with_context(|| format!("could not read {name}"))?;
    read.ok_or_else(|| {
        let advice = "bring it to the hosts by other means";
        Stopped::failed(format!("{name} has more than 96 KiB"), advice).into()
    })
}

/// Of one line of text its end is what `echo` and editors add.
pub(super) fn without_end(mut value: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let is_text =
        |line: &&[u8]| std::str::from_utf8(line).is_ok_and(|text| !text.contains(char::is_control));
    let line = value.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    if let Some(line) = line.filter(is_text) {
        let length = line.len();
        value.truncate(length);
    }
    value
}

/// As many characters, each as likely as any other: there are 64, so that six bits are one.
fn random(length: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut value = Zeroizing::new(vec![0; length]);
    getrandom::fill(&mut value).context("this machine has no randomness")?;
    for byte in value.iter_mut() {
        *byte = LETTERS[usize::from(*byte % 64)];
    }
    Ok(value)
}

/// Nothing that shells, URLs or files of settings would take for something else.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";

/// Whether there was one.
fn forget_salts(root: &Path, role: &Role, name: &Name) -> anyhow::Result<bool> {
    let unsalted = || format!("could not use `{}`", root.join(SALTS_FILE).display());
    let mut salts = SaltFile::read(root).with_context(unsalted)?;
    let forgotten = salts.forget(&format!("{role}/[secrets.{name}]#"));
    salts.save(root).with_context(unsalted)?;
    Ok(forgotten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_of_text_the_end_is_taken_and_of_anything_else_nothing() {
        let kept = |value: &[u8]| without_end(Zeroizing::new(value.to_vec())).to_vec();
        assert_eq!(kept(b"hunter2\n"), b"hunter2");
        assert_eq!(kept("stra\u{df}e\r\n".as_bytes()), "stra\u{df}e".as_bytes());
        for whole in [&b"one\ntwo\n"[..], b"\x00\x01\n", b"\xff\xfe\r\n", b"no end"] {
            assert_eq!(kept(whole), whole);
        }
    }

    #[test]
    fn a_random_value_has_its_length_and_its_letters_and_is_another_each_time() {
        let values: Vec<_> = (0..50).map(|_| random(32).unwrap()).collect();
        for value in &values {
            assert_eq!(value.len(), 32);
            assert!(value.iter().all(|byte| LETTERS.contains(byte)));
            assert_eq!(values.iter().filter(|other| *other == value).count(), 1);
        }
        let used: std::collections::BTreeSet<u8> =
            values.iter().flat_map(|it| it.to_vec()).collect();
        assert!(used.len() > 50, "{} letters", used.len());
    }

    #[test]
    fn only_one_line_loses_its_end() {
        let end = |text: &str| without_end(Zeroizing::new(text.as_bytes().to_vec())).to_vec();
        assert_eq!(end("a b\n"), b"a b");
        assert_eq!(end("a\r\n"), b"a");
        assert_eq!(end("a\nb\n"), b"a\nb\n");
        assert_eq!(end("a\n\n"), b"a\n\n");
        assert_eq!(end("a"), b"a");
    }
}
