//! `floe secrets`: what roles' hosts get that no bundle carries.

use clap::Subcommand;
use floe_proto::id::Role;

use super::context::Context;
use super::end::End;
use super::sealing::{self, Consent, Sealing, SealingArgs};
use super::vault::VaultArgs;
use super::view::secrets::{AuditView, SecretsView};
use crate::repository::{SecretEntry, SecretSource};
use crate::secrets::recipients::Known;

/// Look at secrets, and send them to hosts
///
/// Which secrets a role has is said in `[secrets]` of its host.toml; `floe push` sends them
/// along. They are signed by your release keys and sealed to the keys of the role's hosts.
/// Hosts keep them sealed, and place them in /run/floe/secrets at boot.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Secrets {
    /// List the secrets of a role, or of all: what they are called, never what they are
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Whose [default: every role's]
        role: Option<Role>,
    },
    /// Send a role's secrets to its hosts, without a push
    ///
    /// Hosts that are connected have them at once, and restart or reload the units that
    /// host.toml names for what has changed. Nothing is rebuilt.
    #[command(after_help = SEAL_EXAMPLES)]
    Seal {
        /// Whose
        role: Role,
        #[command(flatten)]
        sealing: SealingArgs,
        #[command(flatten)]
        vault: VaultArgs,
        /// Show what would be sent to whom, and stop
        #[arg(long)]
        dry_run: bool,
    },
    /// Show which hosts can read a role's secrets, and which have the newest
    ///
    /// Fails where a host does not have them.
    #[command(after_help = AUDIT_EXAMPLES)]
    Audit {
        /// Whose
        role: Role,
    },
}

const EXAMPLES: &str = "\
Examples:
  floe secrets list
  floe secrets seal www.fossable.org       # after a secret has changed, without a push
  floe secrets audit www.fossable.org      # who can read them, who has them";

const LIST_EXAMPLES: &str = "\
Examples:
  floe secrets list
  floe secrets list www.fossable.org --output json";

const SEAL_EXAMPLES: &str = "\
Examples:
  floe secrets seal www.fossable.org --dry-run
  floe secrets seal www.fossable.org
  floe secrets seal www.fossable.org --accept-new-keys   # where nobody can be asked";

const AUDIT_EXAMPLES: &str = "\
Examples:
  floe secrets audit www.fossable.org
  floe secrets audit www.fossable.org --output json";

impl Secrets {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        let repository = context.repository()?;
        match self {
            Self::List { role } => {
                let roles = role.map_or_else(|| repository.roles(), |role| vec![role]);
                let mut view = SecretsView::default();
                for role in roles {
                    view.add(&role, &repository.host_file(&role)?.secrets);
                }
                context.print(&view)?;
                Ok(End::Done)
            }
            Self::Seal { role, sealing, vault, dry_run } => {
                let root = repository.trust()?;
                let signers = context.release_signers(&repository, &root, &[])?;
                let (repository, root) = (&repository, &root);
                let entries = repository.host_file(&role)?.secrets;
                let is_template = |entry: &SecretEntry| match entry.source {
                    SecretSource::Value(_) => true,
                    SecretSource::Age(_) => false,
                };
                let needed = entries.iter().any(is_template);
                let mut vault = vault.open(context, repository, &role, needed).await?;
                let consent = Consent { given: sealing.accept_new_keys, dry_run };
                let sealing = Sealing { context, repository, root, role: &role, thorough: true };
                let preparing = sealing.prepare(consent, &signers, &mut vault);
                let Some(sealed) = Box::pin(preparing).await? else {
                    context.print(&SecretsView::default())?;
                    return Ok(End::Done);
                };
                let view = sealed.view(dry_run);
                if !dry_run {
                    sealed.publish(&context.connect_from(Some(repository)).await?).await?;
                }
                context.print(&view)?;
                Ok(End::Done)
            }
            Self::Audit { role } => {
                let connection = context.connect_from(Some(&repository)).await?;
                let listed = sealing::list(&connection, &role).await?;
                let known = Known::read(repository.root())?;
                let view = AuditView::new(&role, listed, &known)?;
                context.print(&view)?;
                Ok(if view.is_whole() { End::Done } else { End::Failed })
            }
        }
    }
}
