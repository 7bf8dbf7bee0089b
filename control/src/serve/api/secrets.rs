//! `floe.v1.RoleSecrets`: to whom secrets are sealed, and what was sealed.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_proto::admit::MAX_JUMP;
use floe_proto::id::{Epoch, HostId, Role, Serial};
use floe_proto::pb;
use floe_proto::pb::publish_secrets_request::Message;
use floe_proto::sealed::{self, SealingKey};
use tonic::{Request, Response, Status, Streaming};
use tracing::info;

use super::failure;
use crate::clock;
use crate::serve::app::App;
use crate::serve::auth;
use crate::session::sealed::{ForHost, Number, Published, Records as _};

/// The handler.
pub struct Secrets {
    app: Arc<App>,
}

impl Secrets {
    /// The handler of a running control plane.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl pb::role_secrets_server::RoleSecrets for Secrets {
    async fn list_recipients(
        &self,
        request: Request<pb::ListRecipientsRequest>,
    ) -> Result<Response<pb::ListRecipientsReply>, Status> {
        let role: Role = request.into_inner().role.parse().map_err(failure::malformed)?;
        let store = &self.app.store;
        let newest = store.published_secrets(&role).await.map_err(failure::of_store)?;
        let mut recipients = Vec::new();
        for host in self.hosts(&role).await? {
            let said = store.says(&host).await.map_err(failure::of_store)?;
            let sealed = store.sealed_for(&host, &role).await.map_err(failure::of_store)?;
            let is_sealed = |key: &SealingKey| {
                let newest = newest.as_ref().map(|newest| newest.number);
                sealed.as_ref().is_some_and(|s| s.key == *key && Some(s.number) == newest)
            };
            let host = String::from(host);
            recipients.push(match said {
                None => pb::Recipient { host, ..pb::Recipient::default() },
                Some(said) => pb::Recipient {
                    host,
                    sealed: is_sealed(&said.key),
                    key: said.key.as_bytes().to_vec(),
                    since: said.since.as_micros(),
                    held: said.held.map(held),
                    problem: said.problem,
                },
            });
        }
        let escrow_key = self.app.sealed.escrow_key();
        let escrow_key = escrow_key.map(|key| key.as_bytes().to_vec()).unwrap_or_default();
        Ok(Response::new(pb::ListRecipientsReply {
            recipients,
            escrow_key,
            published: newest.as_ref().map_or(0, |newest| newest.published.as_micros()),
            count: newest.as_ref().map_or(0, |newest| newest.count),
            in_escrow: newest.as_ref().is_some_and(|newest| newest.escrow.is_some()),
            newest: newest.as_ref().map(|newest| held(newest.number)),
            publisher: newest.map(|newest| newest.publisher).unwrap_or_default(),
        }))
    }

    async fn publish_secrets(
        &self,
        request: Request<Streaming<pb::PublishSecretsRequest>>,
    ) -> Result<Response<pb::PublishSecretsReply>, Status> {
        let (publisher, topic) = (auth::operator(&request)?, auth::topic(&request));
        let mut messages = request.into_inner();
        let first = messages.message().await?.and_then(|first| first.message);
        let Some(Message::Header(header)) = first else {
            return Err(Status::invalid_argument("the first message must be a header"));
        };
        let (role, number) = read_header(&header)?;
        topic.is(format_args!("secrets of {role} serial {}", number.1));
        self.may_follow(&role, number).await?;

        let known = self.hosts(&role).await?;
        let mut hosts: BTreeMap<HostId, ForHost> = BTreeMap::new();
        let mut escrow = None;
        while let Some(message) = messages.message().await? {
            let Some(Message::Sealed(sealed)) = message.message else {
                return Err(Status::invalid_argument("after the header come sealed secrets"));
            };
            if sealed.sealed.len() > sealed::MAX_BYTES {
                return Err(Status::invalid_argument("sealed secrets are too long"));
            }
            let key = SealingKey::try_from(sealed.key.as_slice()).map_err(failure::malformed)?;
            if sealed.host.is_empty() {
                self.is_the_escrow(&key)?;
                if escrow.replace(sealed.sealed).is_some() {
                    return Err(Status::invalid_argument("the escrow was named twice"));
                }
                continue;
            }
            let host: HostId = sealed.host.parse().map_err(failure::malformed)?;
            if !known.contains(&host) {
                let text = format!("`{host}` is no host of `{role}` any more; seal them again");
                return Err(Status::failed_precondition(text));
            }
            let one = ForHost { host: host.clone(), key, number, sealed: sealed.sealed };
            if hosts.insert(host, one).is_some() {
                return Err(Status::invalid_argument("a host was named twice"));
            }
        }
        let published = clock::now();
        let count = header.count;
        let set = Published { role, number, escrow, count, publisher, published };
        let hosts: Vec<_> = hosts.into_values().collect();
        let new = self.app.store.publish_secrets(&set, &hosts).await.map_err(failure::of_store)?;
        if !new {
            return Err(taken());
        }
        self.app.sealed.are_published();
        let (role, serial) = (&set.role, set.number.1.get());
        info!(%role, serial, hosts = hosts.len(), operator = set.publisher, "published secrets");
        Ok(Response::new(pb::PublishSecretsReply {}))
    }
}

impl Secrets {
    /// Hosts of `role` that are not revoked, and that are one machine each.
    async fn hosts(&self, role: &Role) -> Result<Vec<HostId>, Status> {
        let hosts = self.app.store.hosts(Some(role)).await.map_err(failure::of_store)?;
        let kept = hosts
            .into_iter()
            .filter(|host| host.standing.revoked.is_none() && host.standing.conflict.is_none());
        Ok(kept.map(|host| host.id).collect())
    }

    /// Early, before anything is uploaded; the store decides once more.
    async fn may_follow(&self, role: &Role, number: Number) -> Result<(), Status> {
        // Nothing of a header is signed: what it says must not shut out everybody after it.
        let epoch = self.app.roots.newest().root.epoch;
        if number.0 != epoch {
            let text = format!("these are of epoch {}, the trust root has {epoch}", number.0);
            return Err(Status::failed_precondition(text));
        }
        let newest = self.app.store.published_secrets(role).await.map_err(failure::of_store)?;
        let Some(newest) = newest else {
            return if number.1.get() > MAX_JUMP { Err(far()) } else { Ok(()) };
        };
        if number <= newest.number {
            return Err(taken());
        }
        // Hosts would refuse it, and then everything after it.
        let apart = number.1.get().saturating_sub(newest.number.1.get());
        if number.0 == newest.number.0 && apart > MAX_JUMP {
            return Err(far());
        }
        Ok(())
    }

    fn is_the_escrow(&self, key: &SealingKey) -> Result<(), Status> {
        match self.app.sealed.escrow_key() {
            Some(ours) if ours == *key => Ok(()),
            Some(_) | None => {
                let text = "these are sealed to another escrow key than this control plane's";
                Err(Status::failed_precondition(text))
            }
        }
    }
}

fn read_header(header: &pb::SecretsHeader) -> Result<(Role, Number), Status> {
    let role = header.role.parse().map_err(failure::malformed)?;
    let epoch = u32::try_from(header.epoch).map_err(failure::malformed)?;
    let serial = Serial::try_from(header.serial).map_err(failure::malformed)?;
    Ok((role, (Epoch::new(epoch), serial)))
}

fn held((epoch, serial): Number) -> pb::SecretsHeld {
    pb::SecretsHeld { epoch: epoch.get().into(), serial: serial.get() }
}

fn far() -> Status {
    Status::failed_precondition(format!("the serial is more than {MAX_JUMP} above the newest"))
}

fn taken() -> Status {
    Status::already_exists("newer secrets of this role were published meanwhile")
}
