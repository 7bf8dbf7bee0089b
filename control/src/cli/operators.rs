//! `floe operators`: who may do what.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use floe_proto::key::PublicKey;
use floe_proto::pb;

use super::connection::Connection;
use super::context::Context;
use super::end::{End, Stopped};
use super::view::operator::{OperatorChangeView, OperatorView, OperatorsView};
use crate::operator::OperatorRole;

/// List operators, add one, revoke one
///
/// A viewer looks, a deployer publishes and rolls out, an admin decides who belongs to
/// the fleet. An operator proves with a login key who they are; its secret half never
/// leaves them.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Operators {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List operators: their roles, and when they logged in last
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Those who were revoked as well
        #[arg(long)]
        revoked: bool,
    },
    /// Add an operator, who may log in with their key from now on
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// Their name: letters a-z, digits, `.`, `_`, `-`
        name: String,
        /// What they may do
        #[arg(long, value_enum)]
        role: OperatorRole,
        /// The public half of their login key (base64, as `floe keys show` prints it), or a
        /// file that holds it
        #[arg(long, value_name = "PUBLIC|FILE")]
        key: String,
    },
    /// Revoke an operator: the next call is refused, and what they watch ends
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke {
        /// Their name
        name: String,
    },
}

const EXAMPLES: &str = "\
Examples:
  floe operators
  floe operators add ada --role deployer --key bpd2GXSJYM8pTFyhKFdcPX3UZGOBwP83r6j7KRCpAmg=
  floe operators revoke ada";

const LIST_EXAMPLES: &str = "\
Examples:
  floe operators list --revoked";

const ADD_EXAMPLES: &str = "\
Examples:
  floe keys new ada.pem                                  # ada makes a key, and sends its public half
  floe operators add ada --role deployer --key ada.pub   # an admin adds her
  floe login ada --key ada.pem                           # ada logs in";

const REVOKE_EXAMPLES: &str = "\
Examples:
  floe operators revoke ada";

impl Operators {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        match self.command.unwrap_or(Command::List { revoked: false }) {
            Command::List { revoked } => {
                let connection = context.connect().await?;
                context.print(&list(&connection, revoked).await?)?;
            }
            Command::Add { name, role, key } => {
                let key = public_key(&key)?;
                let connection = context.connect().await?;
                let refusal = connection.refusal(&format!("add the operator `{name}`"));
                let request = pb::AddOperatorRequest {
                    name: name.clone(),
                    role: role.to_string(),
                    login_key: key.into(),
                };
                connection.operators().add(request).await.map_err(refusal)?;
                let role = Some(role.to_string());
                context.print(&OperatorChangeView { name, role, change: "added" })?;
            }
            Command::Revoke { name } => {
                let connection = context.connect().await?;
                let refusal = connection.refusal(&format!("revoke the operator `{name}`"));
                let request = pb::RevokeOperatorRequest { name: name.clone() };
                connection.operators().revoke(request).await.map_err(refusal)?;
                context.print(&OperatorChangeView { name, role: None, change: "revoked" })?;
            }
        }
        Ok(End::Done)
    }
}

async fn list(connection: &Connection, revoked: bool) -> anyhow::Result<OperatorsView> {
    let request = pb::ListOperatorsRequest { revoked };
    let listed = connection.operators().list(request).await;
    let operators = listed.map_err(connection.refusal("list operators"))?.into_inner().operators;
    Ok(OperatorsView { operators: operators.into_iter().map(OperatorView::from).collect() })
}

/// A public key as it was typed, or the one in a file of that name.
fn public_key(typed: &str) -> anyhow::Result<PublicKey> {
    if let Ok(key) = PublicKey::try_from(typed.to_owned()) {
        return Ok(key);
    }
    let wrong = |what: &str| {
        Stopped::failed(
            format!("`{typed}` is {what}"),
            "give the line `public` of `floe keys show FILE`, or a file that holds it alone",
        )
    };
    let path = Path::new(typed);
    if !path.is_file() {
        return Err(wrong("no public key, and no file").into());
    }
    let text = fs::read_to_string(path).with_context(|| format!("could not read `{typed}`"))?;
    if text.contains("PRIVATE KEY") || text.starts_with("age-encryption.org") {
        return Err(wrong("a secret key, which its owner should keep").into());
    }
    PublicKey::try_from(text.trim().to_owned()).map_err(|_| wrong("no public key").into())
}

#[cfg(test)]
mod tests {
    use floe_proto::key::SecretKey;

    use super::*;

    #[test]
    fn a_public_key_is_typed_or_lies_in_a_file_and_a_secret_one_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let key = SecretKey::from_seed(&[7; 32]);
        let public = String::from(key.public());
        assert_eq!(public_key(&public).unwrap(), key.public());
        let file = directory.path().join("ada.pub");
        let typed = file.to_str().unwrap();
        fs::write(&file, format!("{public}\n")).unwrap();
        assert_eq!(public_key(typed).unwrap(), key.public());
        fs::write(&file, key.to_pem().unwrap().as_bytes()).unwrap();
        assert!(public_key(typed).unwrap_err().to_string().contains("a secret key"));
        assert!(public_key("nothing").unwrap_err().to_string().contains("no file"));
    }
}
