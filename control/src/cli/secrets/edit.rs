//! `floe secrets edit`: a sealed file in an editor, and sealed again as it was.
//!
//! In the clear it is in a file of its own only while the editor runs ([`PrivateFile`]). What was
//! typed is never lost: where it cannot take its place it is kept beside it, sealed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use zeroize::Zeroizing;

use crate::cli::ask;
use crate::cli::context::Context;
use crate::cli::end::{End, Stopped};
use crate::cli::progress;
use crate::cli::secrets::set::without_end;
use crate::cli::vault::VaultArgs;
use crate::cli::view::secrets::EditView;
use crate::repository::Repository;
use crate::secrets::age_file;
use crate::secrets::editor::{self, Ended, Signals};
use crate::secrets::private::PrivateFile;
use crate::vault::{self, OpenFile, Password, Variables};

/// Edit a sealed file: the vault, or a file of age's
///
/// Opens it in $VISUAL or $EDITOR, and seals it again if it was changed: a vault under the same
/// password and vault id, a file of age's to `age_recipients` of floe.toml. A file that is not
/// there is begun. While the editor runs, the text is in a file of yours alone, in memory where
/// that can be had; afterwards it is overwritten and gone. What your editor keeps elsewhere, such
/// as a history of what was edited, is yours to turn off.
///
/// Variables must be YAML. Where they are not you are asked to go on editing; otherwise what was
/// typed is kept, sealed, in FILE.edited.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Edit {
    /// Which [default: the one sealed file of group_vars/ and host_vars/]
    file: Option<PathBuf>,
    #[command(flatten)]
    vault: VaultArgs,
}

const EXAMPLES: &str = "\
Examples:
  floe secrets edit
  floe secrets edit group_vars/all/vault --vault-password-file .password
  EDITOR='nano -R' floe secrets edit
  floe secrets edit secrets/tls.key.age";

/// What is edited.
enum Subject {
    Vault {
        file: OpenFile,
        password: Password,
    },
    /// `before` is the file as it was read; `None` where it was not there.
    Age {
        path: PathBuf,
        before: Option<Vec<u8>>,
        content: Zeroizing<Vec<u8>>,
    },
}

/// What came of an editor.
enum Typed {
    Nothing,
    Right(Zeroizing<Vec<u8>>),
    /// It cannot take its place: why.
    Wrong(Zeroizing<Vec<u8>>, Stopped),
}

impl Edit {
    pub(super) async fn run(
        self,
        context: &Context,
        repository: &Repository,
    ) -> anyhow::Result<End> {
        let path = self.path(repository)?;
        let subject = self.subject(&path, context, repository).await?;
        let shown = path.strip_prefix(repository.root()).unwrap_or(&path).display().to_string();
        let environment = context.environment();
        // What would keep it from being sealed is found before anybody types.
        subject.rehearse(context, repository)?;
        let mut signals = Signals::catch().context("could not wait for signals")?;
        let runtime = environment.runtime_directory.as_deref();
        let private = PrivateFile::new(&subject.name(&path), subject.content(), runtime)
            .context("could not make a private file for the editor")?;
        let ended = match typed(&subject, &shown, &private, context, &mut signals).await {
            Ok(ended) => ended,
            Err(error) => return Err(left(error, &subject, private)),
        };
        let changed = match ended {
            Typed::Nothing => false,
            Typed::Right(content) => {
                let written = subject.write(&content, context, repository);
                written.map_err(|error| {
                    kept(error, &subject, &content, private, context, repository)
                })?;
                true
            }
            Typed::Wrong(content, stopped) => {
                return Err(kept(stopped.into(), &subject, &content, private, context, repository));
            }
        };
        context.print(&EditView { file: shown, changed })?;
        Ok(End::Done)
    }

    /// As it was typed, from here or from the repository; or the one that there is.
    fn path(&self, repository: &Repository) -> anyhow::Result<PathBuf> {
        let root = repository.root();
        if let Some(typed) = &self.file {
            let inside = root.join(typed);
            let path = if typed.exists() || !inside.exists() { typed.clone() } else { inside };
            return Ok(std::path::absolute(path)?);
        }
        let is_sealed = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| vault::is_sealed(&bytes));
        let sealed: Vec<_> = Variables::all_files(root)?.into_iter().filter(is_sealed).collect();
        match <[PathBuf; 1]>::try_from(sealed) {
            Ok([path]) => Ok(path),
            Err(sealed) if sealed.is_empty() => Err(Stopped::failed(
                "no file of group_vars/ or host_vars/ is sealed",
                "begin one: floe secrets edit group_vars/all/vault",
            )
            .into()),
            Err(sealed) => {
                let shown =
                    |path: &PathBuf| path.strip_prefix(root).unwrap_or(path).display().to_string();
                let listed: Vec<_> = sealed.iter().map(shown).collect();
                let advice = format!("say which: {}", listed.join(", "));
                Err(Stopped::failed("there are several sealed files", advice).into())
            }
        }
    }

    async fn subject(
        &self,
        path: &Path,
        context: &Context,
        repository: &Repository,
    ) -> anyhow::Result<Subject> {
        let root = repository.root();
        if !path.exists() {
            if !path.parent().is_some_and(Path::is_dir) {
                let what = format!("there is no directory for `{}`", path.display());
                return Err(Stopped::failed(what, "make it, or correct the path").into());
            }
            if path.extension().is_some_and(|ending| ending == "age") {
                let (path, content) = (path.to_owned(), Zeroizing::default());
                return Ok(Subject::Age { path, before: None, content });
            }
            let password = self.vault.new_password(context, repository).await?;
            return Ok(Subject::Vault { file: OpenFile::new(path, root), password });
        }
        let unread = || format!("could not read `{}`", path.display());
        if age_file::is_age(path).with_context(unread)? {
            let before = Some(fs::read(path).with_context(unread)?);
            let content = age_file::decrypt(path, context.environment())?;
            return Ok(Subject::Age { path: path.to_owned(), before, content });
        }
        if !vault::is_sealed(&fs::read(path).with_context(unread)?) {
            let what = format!("`{}` is not sealed as a whole", path.display());
            let advice = "edit it with any editor; `ansible-vault encrypt FILE` seals it, and \
                          `floe secrets set` changes a value that is sealed by itself";
            return Err(Stopped::failed(what, advice).into());
        }
        let password = self.vault.needed_password(context, repository).await?;
        let file = OpenFile::read(path, root, Some(&password))?;
        Ok(Subject::Vault { file, password })
    }
}

/// Runs the editor, until what is typed can take its place or nobody goes on.
async fn typed(
    subject: &Subject,
    shown: &str,
    private: &PrivateFile,
    context: &Context,
    signals: &mut Signals,
) -> anyhow::Result<Typed> {
    let environment = context.environment();
    loop {
        let ended = editor::edit(environment.editor.as_deref(), private.path(), signals).await?;
        let content = private.read().context("could not read what the editor wrote")?;
        let content = subject.as_typed(content);
        let is_new = content.as_slice() != subject.content();
        if let Ended::Badly(status) = ended {
            let what = format!("the editor ended with {status}; `{shown}` is as it was");
            let stopped = Stopped::failed(what, "leave the editor in the usual way");
            return if is_new { Ok(Typed::Wrong(content, stopped)) } else { Err(stopped.into()) };
        }
        if !is_new {
            return Ok(Typed::Nothing);
        }
        if ended == Ended::Interrupted {
            let stopped = Stopped::failed("interrupted while the editor ran", "go on there");
            return Ok(Typed::Wrong(content, stopped));
        }
        let Some(fault) = subject.fault(&content) else { return Ok(Typed::Right(content)) };
        progress::line(&format!("`{shown}` cannot be that: {fault}"));
        let question = "Edit it again?";
        let again = ask::yes_unless_interrupted(question, environment, signals).await?;
        if again != Some(true) {
            let what =
                format!("`{shown}` is as it was, since what was typed is not right: {fault}");
            return Ok(Typed::Wrong(content, Stopped::failed(what, "correct it there")));
        }
    }
}

/// Leaves what was typed where it is, if anything was and it could not even be read.
fn left(error: anyhow::Error, subject: &Subject, private: PrivateFile) -> anyhow::Error {
    let is_new = |content: &Zeroizing<Vec<u8>>| content.as_slice() != subject.content();
    if private.path().exists() && private.read().as_ref().map_or(true, is_new) {
        let path = private.leave();
        progress::line(&format!(
            "what was typed is in the clear in {}, until you remove it or this machine starts anew",
            path.display()
        ));
    }
    error
}

/// Keeps what was typed, and says where, beside why it could not take its place.
fn kept(
    error: anyhow::Error,
    subject: &Subject,
    content: &[u8],
    private: PrivateFile,
    context: &Context,
    repository: &Repository,
) -> anyhow::Error {
    match subject.keep(content, context, repository) {
        Ok(path) => {
            let path = path.display();
            progress::line(&format!(
                "what was typed is kept, sealed, in {path}; open it with: floe secrets edit {path}"
            ));
        }
        Err(unkept) => {
            let path = private.leave();
            progress::line(&format!(
                "what was typed could not be sealed ({unkept:#}); it is in the clear in {}, until \
                 you remove it or this machine starts anew",
                path.display()
            ));
        }
    }
    error
}

impl Subject {
    fn content(&self) -> &[u8] {
        match self {
            Self::Vault { file, .. } => file.text().as_bytes(),
            Self::Age { content, .. } => content,
        }
    }

    /// Seals what is there, and throws it away.
    fn rehearse(&self, context: &Context, repository: &Repository) -> anyhow::Result<()> {
        match self {
            Self::Vault { file, password } => {
                file.sealed_bytes(self.content(), password).map(drop)?
            }
            Self::Age { path, content, .. } => {
                encrypted(path, content, context, repository).map(drop)?;
            }
        }
        Ok(())
    }

    /// What is meant by what an editor wrote: it ends the last line, also of what had no end.
    fn as_typed(&self, mut content: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Vault { .. } => content,
            Self::Age { before: None, .. } => without_end(content),
            Self::Age { content: known, .. } => {
                if !known.ends_with(b"\n") && content.ends_with(b"\n") {
                    content.pop();
                }
                content
            }
        }
    }

    /// What editors show, and know the colours of.
    fn name(&self, path: &Path) -> String {
        let named = |name: Option<&std::ffi::OsStr>| {
            name.unwrap_or_default().to_string_lossy().into_owned()
        };
        match self {
            Self::Vault { .. } if path.extension().is_none() => {
                format!("{}.yml", named(path.file_name()))
            }
            Self::Vault { .. } => named(path.file_name()),
            Self::Age { .. } => named(path.file_stem()),
        }
    }

    /// Why `content` cannot take its place.
    fn fault(&self, content: &[u8]) -> Option<String> {
        match self {
            Self::Age { .. } => None,
            Self::Vault { .. } => match std::str::from_utf8(content) {
                Ok(text) => vault::fault(text).map(|fault| fault.to_string()),
                Err(_) => Some("it is no UTF-8 text".into()),
            },
        }
    }

    fn write(
        &self,
        content: &[u8],
        context: &Context,
        repository: &Repository,
    ) -> anyhow::Result<()> {
        match self {
            Self::Vault { file, password } => {
                file.edited(std::str::from_utf8(content)?, password)?.write()?;
            }
            Self::Age { path, before, .. } => {
                encrypted(path, content, context, repository)?.write_over(before.as_deref())?;
            }
        }
        Ok(())
    }

    fn keep(
        &self,
        content: &[u8],
        context: &Context,
        repository: &Repository,
    ) -> anyhow::Result<PathBuf> {
        match self {
            Self::Vault { file, password } => {
                // What is no text must be kept as well, and is sealed like any bytes.
                let sealed = file.sealed_bytes(content, password)?;
                Ok(sealed.keep_beside()?)
            }
            Self::Age { path, .. } => {
                Ok(encrypted(path, content, context, repository)?.keep_beside()?)
            }
        }
    }
}

fn encrypted(
    path: &Path,
    content: &[u8],
    context: &Context,
    repository: &Repository,
) -> Result<age_file::Encrypted, age_file::Error> {
    age_file::encrypt(path, content, &repository.file().age_recipients, context.environment())
}
