//! `floe secrets seal`: a role's secrets go to its hosts.

use clap::Args;
use floe_proto::id::Role;

use crate::cli::context::Context;
use crate::cli::end::End;
use crate::cli::sealing::{Consent, Sealing, SealingArgs};
use crate::cli::vault::{Vault, VaultArgs};
use crate::cli::view::secrets::{SealedView, SecretsView};
use crate::repository::{Repository, SecretEntry, SecretSource};
use crate::vault::Password;

/// Send a role's secrets to its hosts, without a push
///
/// Hosts that are connected have them at once, and restart or reload the units that
/// host.toml names for what has changed. Nothing is rebuilt.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Seal {
    /// Whose
    role: Role,
    #[command(flatten)]
    sealing: SealingArgs,
    #[command(flatten)]
    vault: VaultArgs,
    /// Show what would be sent to whom, and stop
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe secrets seal www.fossable.org --dry-run
  floe secrets seal www.fossable.org
  floe secrets seal www.fossable.org --accept-new-keys   # where nobody can be asked";

impl Seal {
    pub(super) async fn run(
        self,
        context: &Context,
        repository: &Repository,
    ) -> anyhow::Result<End> {
        let entries = repository.host_file(&self.role)?.secrets;
        let needed = entries.iter().any(is_template);
        let vault = self.vault.open(context, repository, &self.role, needed).await?;
        let consent = Consent { given: self.sealing.accept_new_keys, dry_run: self.dry_run };
        match Box::pin(send(context, repository, &self.role, vault, consent)).await? {
            Some(view) => context.print(&view)?,
            None => context.print(&SecretsView::default())?,
        }
        Ok(End::Done)
    }
}

/// The same for a role whose secret was changed just now, with the password that it took.
pub(super) async fn changed(
    context: &Context,
    repository: &Repository,
    role: &Role,
    password: Option<&Password>,
    sealing: &SealingArgs,
) -> anyhow::Result<Option<SealedView>> {
    let needed = repository.host_file(role)?.secrets.iter().any(is_template);
    let vault = Vault::open(repository, role, password, needed)?;
    let consent = Consent { given: sealing.accept_new_keys, dry_run: false };
    Box::pin(send(context, repository, role, vault, consent)).await
}

/// `None` where the role has no secrets, and had none.
async fn send(
    context: &Context,
    repository: &Repository,
    role: &Role,
    vault: Vault,
    consent: Consent,
) -> anyhow::Result<Option<SealedView>> {
    let root = &repository.trust()?;
    let signers = context.release_signers(repository, root, &[])?;
    let mut vault = vault.for_dry_run(consent.dry_run);
    let sealing = Sealing { context, repository, root, role, thorough: true };
    let Some(sealed) = Box::pin(sealing.prepare(consent, &signers, &mut vault)).await? else {
        return Ok(None);
    };
    let view = sealed.view(consent.dry_run);
    if !consent.dry_run {
        sealed.publish(&context.connect_from(Some(repository)).await?).await?;
    }
    Ok(Some(view))
}

fn is_template(entry: &SecretEntry) -> bool {
    match entry.source {
        SecretSource::Value(_) => true,
        SecretSource::Age(_) => false,
    }
}
