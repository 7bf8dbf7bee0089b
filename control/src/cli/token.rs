//! Join tokens, and the file that brings one to a machine.

use std::path::Path;

use anyhow::Context as _;
use floe_proto::id::{HostId, Role};
use floe_proto::pb;
use floe_proto::time::Timestamp;

use super::connection::{Connection, Error};
use crate::durable;
use crate::repository::Span;

/// A token that was made just now.
pub(super) struct Token {
    pub(super) token: String,
    pub(super) expires: Timestamp,
}

/// What a machine is before it joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// Made to become a host.
    New,
    /// In use: nothing is to change on it before an operator has seen what.
    InUse,
}

/// Makes a token for `role`, for `host` alone if one is given.
pub(super) async fn create(
    connection: &Connection,
    role: &Role,
    host: Option<&HostId>,
    valid_for: Span,
    joining: Joining,
) -> Result<Token, Error> {
    let request = pb::CreateJoinTokenRequest {
        role: role.to_string(),
        host: host.map(ToString::to_string).unwrap_or_default(),
        ttl_seconds: u32::try_from(valid_for.duration().as_secs()).unwrap_or(u32::MAX).max(1),
        adopt: joining == Joining::InUse,
    };
    let refusal = connection.refusal(&format!("make a join token for `{role}`"));
    let made = connection.operator.clone().create_join_token(request).await.map_err(refusal)?;
    let made = made.into_inner();
    Ok(Token { token: made.token, expires: Timestamp::from_micros(made.expires) })
}

/// The `join.toml` that an agent reads at its first start.
pub(super) fn join_file(host: &HostId, token: &str) -> String {
    format!("host = \"{host}\"\ntoken = \"{token}\"\n")
}

/// Writes it.
pub(super) fn write_join_file(path: &Path, host: &HostId, token: &str) -> anyhow::Result<()> {
    let text = join_file(host, token);
    durable::write_file(path, text.as_bytes(), 0o600)
        .with_context(|| format!("could not write `{}`", path.display()))
}
