//! `floe.v1.Operators`: who operates the fleet, and what they did.

use std::sync::Arc;

use floe_proto::key::PublicKey;
use floe_proto::pb;
use floe_proto::spiffe;
use floe_proto::time::Timestamp;
use tonic::{Request, Response, Status};
use tracing::info;

use super::failure;
use crate::clock;
use crate::operator::OperatorRole;
use crate::serve::app::App;
use crate::serve::auth;
use crate::store::{Added, AuditQuery, AuditRecord, OperatorRecord, Revoked};

/// The handler.
pub struct Operators {
    app: Arc<App>,
}

impl Operators {
    /// The handler of a running control plane.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl pb::operators_server::Operators for Operators {
    async fn add(
        &self,
        request: Request<pb::AddOperatorRequest>,
    ) -> Result<Response<pb::AddOperatorReply>, Status> {
        let (by, topic) = (auth::operator(&request)?, auth::topic(&request));
        let pb::AddOperatorRequest { name, role, login_key } = request.into_inner();
        let name = operator(name)?;
        let role: OperatorRole = role.parse().map_err(failure::malformed)?;
        let key = PublicKey::try_from(login_key).map_err(failure::malformed)?;
        topic.is(format_args!("{name} as {role}, key {}", key.id()));
        let record = OperatorRecord {
            name: name.clone(),
            role,
            key: Some(key),
            added: clock::now(),
            added_by: by.clone(),
            last_login: None,
            revoked: None,
        };
        match self.app.roster.add(&record).await.map_err(failure::of_store)? {
            Added::Added => {
                info!(operator = name, %role, by, "added an operator");
                Ok(Response::new(pb::AddOperatorReply {}))
            }
            Added::NameTaken => {
                Err(Status::already_exists(format!("there is an operator `{name}` already")))
            }
            Added::KeyTaken(other) => {
                Err(Status::already_exists(format!("this is the login key of operator `{other}`")))
            }
        }
    }

    async fn revoke(
        &self,
        request: Request<pb::RevokeOperatorRequest>,
    ) -> Result<Response<pb::RevokeOperatorReply>, Status> {
        let by = auth::operator(&request)?;
        let name = operator(request.get_ref().name.clone())?;
        auth::about(&request, &name);
        let revoked = self.app.roster.revoke(&name, &by, clock::now()).await;
        match revoked.map_err(failure::of_store)? {
            Revoked::Revoked => {
                info!(operator = name, by, "revoked an operator");
                Ok(Response::new(pb::RevokeOperatorReply {}))
            }
            Revoked::Unknown => Err(Status::not_found(format!("there is no operator `{name}`"))),
            Revoked::LastAdmin => Err(Status::failed_precondition(format!(
                "`{name}` is the last admin, without whom nobody could add an operator"
            ))),
        }
    }

    async fn list(
        &self,
        request: Request<pb::ListOperatorsRequest>,
    ) -> Result<Response<pb::ListOperatorsReply>, Status> {
        let revoked = request.get_ref().revoked;
        let known = self.app.store.operators().await.map_err(failure::of_store)?;
        let operators = known.into_iter().filter(|one| revoked || one.revoked.is_none()).map(entry);
        Ok(Response::new(pb::ListOperatorsReply { operators: operators.collect() }))
    }

    async fn audit(
        &self,
        request: Request<pb::AuditRequest>,
    ) -> Result<Response<pb::AuditReply>, Status> {
        let pb::AuditRequest { after, since, actor } = request.into_inner();
        let query = AuditQuery {
            after,
            since: Timestamp::from_micros(since),
            actor: (!actor.is_empty()).then_some(actor),
            limit: PAGE,
        };
        let rows = self.app.store.audit_log(&query).await.map_err(failure::of_store)?;
        Ok(Response::new(pb::AuditReply { rows: rows.into_iter().map(row).collect() }))
    }
}

/// Rows in one answer: the longest of them fit into a message.
const PAGE: u32 = 500;

fn operator(name: String) -> Result<String, Status> {
    if spiffe::is_operator(&name) {
        return Ok(name);
    }
    Err(Status::invalid_argument("an operator's name is 1 to 63 of `a-z`, `0-9`, `.`, `_`, `-`"))
}

fn entry(operator: OperatorRecord) -> pb::OperatorEntry {
    let micros = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_micros);
    pb::OperatorEntry {
        name: operator.name,
        role: operator.role.to_string(),
        login_key: operator.key.map(String::from).unwrap_or_default(),
        added: operator.added.as_micros(),
        added_by: operator.added_by,
        last_login: micros(operator.last_login),
        revoked: micros(operator.revoked),
    }
}

fn row(AuditRecord { number, entry, hash }: AuditRecord) -> pb::AuditRow {
    pb::AuditRow {
        number,
        at: entry.at.as_micros(),
        actor: entry.actor,
        role: entry.role,
        address: entry.address,
        action: entry.action,
        target: entry.target,
        outcome: entry.outcome,
        reason: entry.reason,
        hash: hash.to_string(),
    }
}
