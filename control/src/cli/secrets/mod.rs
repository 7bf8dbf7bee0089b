//! `floe secrets`: what roles' hosts get that no bundle carries.
//!
//! | file | holds |
//! | --- | --- |
//! | [`edit`] | a whole file, in an editor |
//! | [`set`] | one secret gets a value: of somebody, or of chance |
//! | [`place`] | where the value of a secret stands, and who else uses it |
//! | [`seal`] | a role's secrets go to its hosts |

mod edit;
mod place;
mod seal;
mod set;

use clap::Subcommand;
use floe_proto::id::Role;

use super::context::Context;
use super::end::End;
use super::sealing;
use super::view::secrets::{AuditView, SecretsView};
use crate::secrets::recipients::Known;

/// Look at secrets, change them, and send them to hosts
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
    Edit(edit::Edit),
    Set(set::Set),
    Rotate(set::Rotate),
    Seal(seal::Seal),
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
  floe secrets edit                        # the vault, in your editor
  floe secrets rotate www.fossable.org db-password --seal
  floe secrets seal www.fossable.org       # after a secret has changed, without a push
  floe secrets audit www.fossable.org      # who can read them, who has them";

const LIST_EXAMPLES: &str = "\
Examples:
  floe secrets list
  floe secrets list www.fossable.org --output json";

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
            Self::Edit(edit) => Box::pin(edit.run(context, &repository)).await,
            Self::Set(set) => Box::pin(set.run(context, &repository)).await,
            Self::Rotate(rotate) => Box::pin(rotate.run(context, &repository)).await,
            Self::Seal(seal) => Box::pin(seal.run(context, &repository)).await,
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
