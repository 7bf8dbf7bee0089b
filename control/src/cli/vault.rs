//! What a command that builds a bundle does with the vault: it asks for the password only
//! where that is needed, renders, and lets no secret into what is packed.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use floe_proto::id::Role;
use floe_proto::secret::{Name, Secret};
use zeroize::Zeroizing;

use super::context::Context;
use super::end::Stopped;
use crate::bundle::leaks::Scan;
use crate::bundle::rendered::{self, Rendered};
use crate::bundle::source::Source;
use crate::repository::Repository;
use crate::template::{self, SALTS_FILE, SaltFile};
use crate::vault::{Password, Variables};

/// Where the vault's password comes from.
#[derive(Args, Clone, Debug)]
pub(super) struct VaultArgs {
    /// File with the vault's password; one that is executable is run, and prints it
    ///
    /// Without it: FLOE_VAULT_PASSWORD_FILE, ANSIBLE_VAULT_PASSWORD_FILE,
    /// `vault_password_file` of floe.toml, and where it is needed a prompt.
    #[arg(long, value_name = "FILE")]
    vault_password_file: Option<PathBuf>,
}

/// What became of a role's templates.
pub(super) struct Prepared {
    pub(super) rendered: Rendered,
    /// What the operator should know.
    pub(super) notes: Vec<String>,
}

/// The vault of one role, opened for one command.
pub(super) struct Vault {
    /// `None` where it is sealed, nobody gave a password, and nothing needs it.
    variables: Option<Variables>,
    salts: SaltFile,
    role: Role,
    root: PathBuf,
    /// Whether new salts are written down.
    keeps_salts: bool,
    /// The sealed variables that floe.toml lets into bundles.
    not_secret: Vec<String>,
}

impl Vault {
    /// Nothing that is made here is written down.
    pub(super) fn for_dry_run(self, dry_run: bool) -> Self {
        Self { keeps_salts: !dry_run, ..self }
    }

    /// The variables of `role`, and its salts; without a password only where that is not
    /// `needed`, or nothing is sealed.
    pub(super) fn open(
        repository: &Repository,
        role: &Role,
        password: Option<&Password>,
        is_needed: bool,
    ) -> anyhow::Result<Self> {
        let root = repository.root();
        let unsalted = || format!("could not use `{}`", root.join(SALTS_FILE).display());
        let salts = SaltFile::read(root).with_context(unsalted)?;
        let is_sealed = Variables::need_password(root, role.as_str())?;
        let variables = match (is_sealed, password) {
            (true, None) if is_needed => return Err(locked(root).into()),
            (true, None) => None,
            (true, Some(_)) | (false, _) => Some(Variables::read(root, role.as_str(), password)?),
        };
        let (role, root) = (role.clone(), root.to_owned());
        let not_secret = repository.file().not_secret.clone();
        Ok(Self { variables, salts, role, root, keeps_salts: true, not_secret })
    }

    /// `text`, a template, of the secret `name`. Its salts are kept beside those of files.
    pub(super) fn render(&mut self, name: &Name, text: &str) -> anyhow::Result<Zeroizing<String>> {
        let none = || locked(&self.root);
        let variables = self.variables.as_ref().ok_or_else(none)?;
        let name = format!("{}/[secrets.{name}]", self.role);
        Ok(template::render(&name, text, variables, &mut self.salts)?)
    }

    /// Renders the templates of `source`, and refuses what holds a secret: of the vault's, or
    /// one of `values`, which were made of them.
    pub(super) fn prepare(
        &mut self,
        source: &Source,
        values: &[Secret],
    ) -> anyhow::Result<Prepared> {
        let role = source.role.as_str();
        let made = values.iter().map(|it| (it.name.as_str(), it.value.expose()));
        let Some(variables) = &self.variables else {
            let scan = Scan::new(made).context("could not look for secrets")?;
            rendered::refuse_leaks(source, &scan)?;
            let note = "warning: the vault is sealed, and nobody looked whether one of its values is \
                        in the bundle; --vault-password-file has that done";
            return Ok(Prepared { rendered: Rendered::default(), notes: vec![note.to_owned()] });
        };
        let rendered = Rendered::of(source, variables, &mut self.salts)?;
        self.keep_salts()?;
        let all = self.variables.iter().flat_map(Variables::secrets);
        let (excepted, looked): (Vec<_>, Vec<_>) =
            all.partition(|it| self.not_secret.contains(&it.name));
        // What is made of such a variable alone is as ordinary.
        let is_excepted = |value: &[u8]| {
            excepted.iter().any(|it| it.value.as_bytes().trim_ascii() == value.trim_ascii())
        };
        let known = looked.iter().map(|it| (it.name.as_str(), it.value.as_bytes()));
        let known = known.chain(made.filter(|(_, value)| !is_excepted(value)));
        let scan = Scan::new(known).context("could not look for secrets")?;
        rendered::refuse_leaks(source, &scan)?;
        let mut notes: Vec<_> = rendered
            .files()
            .map(|(path, _)| {
                format!(
                    "warning: `{role}/{}` is a template: what it is rendered with will be in the \
                     Nix store, where every user of the host can read it",
                    path.display()
                )
            })
            .collect();
        if !excepted.is_empty() {
            let names: Vec<_> = excepted.iter().map(|it| it.name.as_str()).collect();
            let names = names.join(", ");
            notes.push(format!("not looked for in the bundle, as floe.toml says: {names}"));
        }
        let is_none = |name: &&String| excepted.iter().all(|it| it.name != **name);
        for name in self.not_secret.iter().filter(is_none) {
            notes.push(format!(
                "warning: `{name}`, of `not_secret` in floe.toml, is not sealed here"
            ));
        }
        if !scan.too_short().is_empty() {
            let names = scan.too_short().join(", ");
            notes.push(format!("warning: too short to look for in the bundle: {names}"));
        }
        Ok(Prepared { rendered, notes })
    }

    /// Writes down the salts that were made, so that digests stay what they are.
    pub(super) fn keep_salts(&mut self) -> anyhow::Result<()> {
        if !self.keeps_salts {
            return Ok(());
        }
        let unsalted = || format!("could not use `{}`", self.root.join(SALTS_FILE).display());
        self.salts.save(&self.root).with_context(unsalted)
    }
}

fn locked(root: &Path) -> Stopped {
    Stopped::failed(
        format!("the vault in `{}` is sealed, and there is no password for it", root.display()),
        "name a file with --vault-password-file, FLOE_VAULT_PASSWORD_FILE or \
         `vault_password_file` in floe.toml",
    )
}

impl VaultArgs {
    /// Reads the variables of `role`. The password is asked for only where a file of them is
    /// sealed, and something needs them.
    pub(super) async fn open(
        &self,
        context: &Context,
        repository: &Repository,
        role: &Role,
        is_needed: bool,
    ) -> anyhow::Result<Vault> {
        let password = match Variables::need_password(repository.root(), role.as_str())? {
            false => None,
            true => self.password(context, repository, is_needed).await?,
        };
        Vault::open(repository, role, password.as_ref(), is_needed)
    }

    /// The password for what is sealed, which is needed.
    pub(super) async fn needed_password(
        &self,
        context: &Context,
        repository: &Repository,
    ) -> anyhow::Result<Password> {
        let password = self.password(context, repository, true).await?;
        password.ok_or_else(|| locked(repository.root()).into())
    }

    /// The password for a vault that begins; on a terminal it is typed twice.
    pub(super) async fn new_password(
        &self,
        context: &Context,
        repository: &Repository,
    ) -> anyhow::Result<Password> {
        if self.file(context, repository).is_some() {
            return self.needed_password(context, repository).await;
        }
        let environment = context.environment();
        let typed = environment.ask_plainly("New vault password: ")?;
        let typed = typed.ok_or_else(|| locked(repository.root()))?;
        if environment.ask_plainly("Once more: ")?.is_none_or(|again| *again != *typed) {
            let advice = "type the same password twice";
            return Err(Stopped::failed("the two passwords are not the same", advice).into());
        }
        Ok(Password::new(typed.as_bytes())?)
    }

    /// The file with the password, where one is named.
    fn file(&self, context: &Context, repository: &Repository) -> Option<PathBuf> {
        let typed = self.vault_password_file.clone();
        let said = typed.or_else(|| context.environment().vault_password_file.clone());
        said.or_else(|| repository.vault_password_file())
    }

    /// The password, where it is at hand; or of who is asked, where it `is_needed`.
    async fn password(
        &self,
        context: &Context,
        repository: &Repository,
        is_needed: bool,
    ) -> anyhow::Result<Option<Password>> {
        if let Some(path) = self.file(context, repository) {
            return Ok(Some(Password::of_file(&path).await?));
        }
        if !is_needed {
            return Ok(None);
        }
        let typed = context.environment().ask_plainly("Vault password: ")?;
        Ok(typed.map(|typed| Password::new(typed.as_bytes())).transpose()?)
    }
}

/// A system that is built here is built of the files as they are.
pub(super) fn refuse_closure(prepared: &Prepared) -> Result<(), Stopped> {
    if prepared.rendered.files().next().is_none() {
        return Ok(());
    }
    Err(Stopped::refused(
        "the role has templates, and --closure builds of files that are not rendered",
        "push it without --closure, or make the values secrets: [secrets] of host.toml",
    ))
}
