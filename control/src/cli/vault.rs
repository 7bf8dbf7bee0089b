//! What a command that builds a bundle does with the vault: it asks for the password only
//! where that is needed, renders, and lets no secret into what is packed.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::context::Context;
use super::end::Stopped;
use crate::bundle::leaks::Scan;
use crate::bundle::rendered::{self, Rendered};
use crate::bundle::source::Source;
use crate::repository::Repository;
use crate::template::{SALTS_FILE, SaltFile};
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

impl VaultArgs {
    /// Renders the templates of `source`, and refuses what holds a secret. May ask for the
    /// password, so it comes before any progress.
    pub(super) async fn prepare(
        &self,
        context: &Context,
        repository: &Repository,
        source: &Source,
    ) -> anyhow::Result<Prepared> {
        let (root, role) = (repository.root(), source.role.as_str());
        let is_needed = source.settings.needs_vault();
        let is_sealed = Variables::need_password(root, role)?;
        let password = match (is_sealed, is_needed) {
            (false, _) => None,
            (true, _) => self.password(context, repository, is_needed).await?,
        };
        if is_sealed && password.is_none() && !is_needed {
            return Ok(Prepared { rendered: Rendered::default(), notes: Vec::new() });
        }
        let variables = Variables::read(root, role, password.as_ref())?;
        let unsalted = || format!("could not use `{}`", root.join(SALTS_FILE).display());
        let mut salts = SaltFile::read(root).with_context(unsalted)?;
        let rendered = Rendered::of(source, &variables, &mut salts)?;
        salts.save(root).with_context(unsalted)?;

        let secrets = variables.secrets().iter();
        let scan = Scan::new(secrets.map(|it| (it.name.as_str(), it.value.as_bytes())))
            .context("could not look for secrets")?;
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
        if !scan.too_short().is_empty() {
            let names = scan.too_short().join(", ");
            notes.push(format!("warning: too short to look for in the bundle: {names}"));
        }
        Ok(Prepared { rendered, notes })
    }

    /// The password, where it is at hand; or of who is asked, where it `is_needed`.
    async fn password(
        &self,
        context: &Context,
        repository: &Repository,
        is_needed: bool,
    ) -> anyhow::Result<Option<Password>> {
        let environment = context.environment();
        let typed = self.vault_password_file.clone();
        let said = typed.or_else(|| environment.vault_password_file.clone());
        if let Some(path) = said.or_else(|| repository.vault_password_file()) {
            return Ok(Some(Password::of_file(&path).await?));
        }
        if !is_needed {
            return Ok(None);
        }
        let typed = environment.ask_plainly("Vault password: ")?;
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
