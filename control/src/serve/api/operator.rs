//! `floe.v1.Operator`: parse, call, answer.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use floe_proto::digest::Digest;
use floe_proto::id::{Epoch, HostId, InvalidRole, Role, RolloutId, Serial};
use floe_proto::pb;
use floe_proto::verify;
use futures_util::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};
use tracing::info;

use super::{closure, failure, view};
use crate::clock;
use crate::enrol::token::JoinToken;
use crate::objects::{Object, Presence, Upload};
use crate::rollout::handle::Error as RolloutError;
use crate::rollout::ports::Trust as _;
use crate::serve::app::App;
use crate::serve::auth;
use crate::store::{self, Activation, Begun, HostRecord, ManifestRecord, TokenRecord};

/// The handler.
pub struct Operator {
    app: Arc<App>,
}

impl Operator {
    /// The handler of a running control plane.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// The most manifests that are looked up for one answer.
const MAX_MANIFESTS: u32 = 64;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl pb::operator_server::Operator for Operator {
    async fn newest_manifest(
        &self,
        request: Request<pb::NewestManifestRequest>,
    ) -> Result<Response<pb::NewestManifestReply>, Status> {
        let role = role(&request.get_ref().role)?;
        let newest = self.app.store.newest_manifest(&role).await.map_err(failure::of_store)?;
        let newest = newest
            .ok_or_else(|| Status::not_found(format!("nothing of role `{role}` is published")))?;
        Ok(Response::new(pb::NewestManifestReply { manifest_envelope: newest.envelope }))
    }

    async fn list_manifests(
        &self,
        request: Request<pb::ListManifestsRequest>,
    ) -> Result<Response<pb::ListManifestsReply>, Status> {
        let asked = request.get_ref();
        let role = role(&asked.role)?;
        let below = match asked.below_serial {
            0 => None,
            serial => {
                let epoch = u32::try_from(asked.below_epoch).map_err(failure::malformed)?;
                let serial = Serial::try_from(serial).map_err(failure::malformed)?;
                Some((Epoch::new(epoch), serial))
            }
        };
        let limit = match asked.limit {
            0 => MAX_MANIFESTS,
            limit => limit.min(MAX_MANIFESTS),
        };
        let found = self.app.store.published_manifests(&role, below, limit).await;
        Ok(Response::new(view::manifests(found.map_err(failure::of_store)?)))
    }

    async fn begin_publication(
        &self,
        request: Request<pb::BeginPublicationRequest>,
    ) -> Result<Response<pb::BeginPublicationReply>, Status> {
        let (app, now) = (&self.app, clock::now());
        let (publisher, topic) = (auth::operator(&request)?, auth::topic(&request));
        let envelope = request.into_inner().manifest_envelope;
        let manifest = verify::manifest(&envelope, &app.roots.newest().root, now)
            .map_err(|error| failure::refused(&error))?;
        topic.is(format_args!("{} serial {}", manifest.role, manifest.serial));
        let (payload, length) = (manifest.payload.sha256, manifest.payload.length.get());
        let record = ManifestRecord {
            digest: manifest.digest(),
            role: manifest.role.clone(),
            epoch: manifest.epoch,
            serial: manifest.serial,
            envelope,
            payload,
            payload_length: length,
            publisher,
            begun: now,
            published: None,
        };
        match app.store.begin_publication(&record).await.map_err(failure::of_store)? {
            Begun::Begun | Begun::Published => {}
            Begun::Taken { epoch, serial } => {
                let text = format!(
                    "serial {} of role `{}` is taken: the newest published is {serial} (epoch {epoch})",
                    record.serial, record.role
                );
                return Err(Status::already_exists(text));
            }
        }
        let manifest_digest = record.digest.to_string();
        let object = Object::Payload(payload);
        let there = app.objects.presence(&object, length).await;
        let Upload { url, headers } = match there.map_err(of_objects)? {
            Presence::There => Upload { url: String::new(), headers: Vec::new() },
            Presence::Absent | Presence::Other => {
                app.objects.upload(&object, length).await.map_err(of_objects)?
            }
        };
        let upload_headers =
            headers.into_iter().map(|(name, value)| pb::Header { name, value }).collect();
        Ok(Response::new(pb::BeginPublicationReply {
            manifest_digest,
            upload_url: url,
            upload_headers,
        }))
    }

    async fn begin_nars(
        &self,
        request: Request<pb::BeginNarsRequest>,
    ) -> Result<Response<pb::BeginNarsReply>, Status> {
        let pb::BeginNarsRequest { manifest_digest, nar_digests } = request.get_ref();
        let digest: Digest = manifest_digest.parse().map_err(failure::malformed)?;
        let manifest = self.app.store.manifest(&digest).await.map_err(failure::of_store)?;
        let manifest = manifest.ok_or_else(not_begun)?;
        auth::about(&request, format_args!("{} serial {}", manifest.role, manifest.serial));
        let uploads = closure::begin(&self.app, &manifest, nar_digests).await?;
        Ok(Response::new(pb::BeginNarsReply { uploads }))
    }

    async fn finish_publication(
        &self,
        request: Request<pb::FinishPublicationRequest>,
    ) -> Result<Response<pb::FinishPublicationReply>, Status> {
        let app = &self.app;
        let publisher = auth::operator(&request)?;
        let digest: Digest =
            request.get_ref().manifest_digest.parse().map_err(failure::malformed)?;
        let manifest = app.store.manifest(&digest).await.map_err(failure::of_store)?;
        let manifest = manifest.ok_or_else(not_begun)?;
        auth::about(&request, format_args!("{} serial {}", manifest.role, manifest.serial));
        // The trust root may have changed since the publication was begun.
        if let Some(why) = app.roots.objection(&manifest.envelope, Some(clock::now())) {
            return Err(Status::failed_precondition(why));
        }
        let object = Object::Payload(manifest.payload);
        let there = app.objects.presence(&object, manifest.payload_length).await;
        match there.map_err(of_objects)? {
            Presence::There => {}
            Presence::Absent => {
                return Err(Status::failed_precondition("the payload is not uploaded"));
            }
            Presence::Other => {
                return Err(Status::failed_precondition(
                    "what was uploaded is not the payload that the manifest speaks for",
                ));
            }
        }
        closure::check(app, &manifest).await?;
        let finished = app.store.finish_publication(&digest, clock::now()).await;
        if !finished.map_err(failure::of_store)? {
            return Err(Status::already_exists(format!(
                "somebody else published or began role `{}` meanwhile",
                manifest.role
            )));
        }
        let ManifestRecord { role, serial, .. } = &manifest;
        info!(%role, %serial, operator = publisher, "published");
        Ok(Response::new(pb::FinishPublicationReply {}))
    }

    async fn start_rollout(
        &self,
        request: Request<pb::StartRolloutRequest>,
    ) -> Result<Response<pb::Rollout>, Status> {
        let (operator, topic) = (auth::operator(&request)?, auth::topic(&request));
        let pb::StartRolloutRequest { role: name, epoch, serial, retry } = request.into_inner();
        let role = role(&name)?;
        let again = if retry { ", also where it was reverted" } else { "" };
        topic.is(format_args!("{role} serial {serial}{again}"));
        let epoch = Epoch::new(u32::try_from(epoch).map_err(failure::malformed)?);
        let serial = Serial::try_from(serial).map_err(failure::malformed)?;
        let started = self.app.rollouts.start(role, epoch, serial, retry).await;
        let started = started.map_err(of_rollout)?;
        info!(rollout = %started.id, role = %started.release.role, %serial, operator, "rollout started");
        Ok(Response::new(view::rollout(&started)))
    }

    async fn show_rollout(
        &self,
        request: Request<pb::ShowRolloutRequest>,
    ) -> Result<Response<pb::Rollout>, Status> {
        let id = self.rollout_id(&request.get_ref().rollout)?;
        let found = self.app.rollouts.show(&id).await.map_err(of_rollout)?;
        let rollout = found.ok_or_else(|| no_rollout(&id))?;
        Ok(Response::new(view::rollout(&rollout)))
    }

    type WatchRolloutStream = Answers<pb::Rollout>;

    async fn watch_rollout(
        &self,
        request: Request<pb::ShowRolloutRequest>,
    ) -> Result<Response<Self::WatchRolloutStream>, Status> {
        let id = self.rollout_id(&request.get_ref().rollout)?;
        let found = self.app.rollouts.watch(&id).await.map_err(of_rollout)?;
        let changes = found.ok_or_else(|| no_rollout(&id))?;
        let answers = changes.map(|rollout| Ok(view::rollout(&rollout)));
        let answers = answers.take_until(self.app.closing.clone().cancelled_owned());
        Ok(Response::new(Box::pin(answers)))
    }

    async fn list_hosts(
        &self,
        request: Request<pb::ListHostsRequest>,
    ) -> Result<Response<pb::ListHostsReply>, Status> {
        let app = &self.app;
        let wanted = &request.get_ref().role;
        let role = if wanted.is_empty() { None } else { Some(role(wanted)?) };
        let records = app.store.hosts(role.as_ref()).await.map_err(failure::of_store)?;
        let latest = app.store.latest_activations().await.map_err(failure::of_store)?;
        let host = |record: HostRecord| {
            let activation = latest.get(&record.id);
            self.host(record, activation)
        };
        Ok(Response::new(pb::ListHostsReply { hosts: records.into_iter().map(host).collect() }))
    }

    async fn show_host(
        &self,
        request: Request<pb::ShowHostRequest>,
    ) -> Result<Response<pb::ShowHostReply>, Status> {
        let app = &self.app;
        let id = host(&request.get_ref().host)?;
        let record = app.store.host(&id).await.map_err(failure::of_store)?;
        let record = record.ok_or_else(|| no_host(&id))?;
        let latest = app.store.activations(&id, SHOWN).await.map_err(failure::of_store)?;
        let activations = latest.iter().map(view::activation).collect();
        let host = self.host(record, latest.first());
        Ok(Response::new(pb::ShowHostReply { host: Some(host), activations }))
    }

    type HostLogsStream = Answers<pb::LogLine>;

    async fn host_logs(
        &self,
        request: Request<pb::HostLogsRequest>,
    ) -> Result<Response<Self::HostLogsStream>, Status> {
        let pb::HostLogsRequest { host: name, activation, follow } = request.into_inner();
        let id = host(&name)?;
        if self.app.store.host(&id).await.map_err(failure::of_store)?.is_none() {
            return Err(no_host(&id));
        }
        let activation = match activation.as_str() {
            "" => None,
            text => Some(text.parse().map_err(failure::malformed)?),
        };
        let news = follow.then(|| self.app.rollouts.news());
        let lines = self.app.store.output(id, activation, news);
        let answers = lines.map(|line| line.map(view::line).map_err(failure::of_store));
        let answers = answers.take_until(self.app.closing.clone().cancelled_owned());
        Ok(Response::new(Box::pin(answers)))
    }

    async fn take_over_host(
        &self,
        request: Request<pb::TakeOverHostRequest>,
    ) -> Result<Response<pb::TakeOverHostReply>, Status> {
        let operator = auth::operator(&request)?;
        let id = host(&request.get_ref().host)?;
        auth::about(&request, format_args!("{id}"));
        if !self.app.store.take_over(&id).await.map_err(failure::of_store)? {
            let text = format!("`{id}` does not wait to be taken over");
            return Err(Status::not_found(text));
        }
        self.app.sessions.release(&id);
        info!(host = %id, operator, "taken over");
        Ok(Response::new(pb::TakeOverHostReply {}))
    }

    async fn create_join_token(
        &self,
        request: Request<pb::CreateJoinTokenRequest>,
    ) -> Result<Response<pb::CreateJoinTokenReply>, Status> {
        let (app, now) = (&self.app, clock::now());
        let (creator, topic) = (auth::operator(&request)?, auth::topic(&request));
        let pb::CreateJoinTokenRequest { role: name, host: only, ttl_seconds, adopt } =
            request.into_inner();
        let role = role(&name)?;
        let only = if only.is_empty() { None } else { Some(host(&only)?) };
        let whom = only.as_ref().map_or("any host", HostId::as_str);
        topic.is(format_args!("{role} for {whom}"));
        let lifetime = match ttl_seconds {
            0 => DEFAULT_TOKEN_LIFETIME,
            seconds => Duration::from_secs(seconds.into()),
        };
        if lifetime > MAX_TOKEN_LIFETIME {
            return Err(Status::invalid_argument("a join token lives for a day at most"));
        }
        let token = JoinToken::generate().map_err(|error| failure::internal(&error, true))?;
        let expires = now.after(lifetime);
        let record = TokenRecord {
            digest: token.digest(),
            role,
            host: only,
            adopts: adopt,
            creator,
            created: now,
            expires,
        };
        app.store.add_token(&record).await.map_err(failure::of_store)?;
        info!(role = %record.role, operator = record.creator, "made a join token");
        Ok(Response::new(pb::CreateJoinTokenReply {
            token: token.text().to_owned(),
            expires: expires.as_micros(),
        }))
    }
}

impl Operator {
    /// A host as it stands: what is on record, and what its session knows better.
    fn host(&self, record: HostRecord, latest: Option<&Activation>) -> pb::Host {
        let presence = self.app.sessions.presence(&record.id);
        let assignment = self.app.rollouts.assignment(&record.id);
        view::host(record, presence, assignment.as_ref(), latest)
    }

    /// A rollout's id, or the newest of a role.
    fn rollout_id(&self, text: &str) -> Result<RolloutId, Status> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let role = text.parse().map_err(|_: InvalidRole| {
            let text: String = text.chars().take(80).flat_map(char::escape_debug).collect();
            Status::invalid_argument(format!(
                "`{text}` is neither a rollout such as `r-12` nor a role"
            ))
        })?;
        match self.app.rollouts.newest(&role) {
            Some(newest) => Ok(newest.id.clone()),
            None => Err(Status::not_found(format!("role `{role}` has no rollout"))),
        }
    }
}

/// How many activations of a host are shown.
const SHOWN: u32 = 20;
const DEFAULT_TOKEN_LIFETIME: Duration = Duration::from_secs(10 * 60);
const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

fn role(text: &str) -> Result<Role, Status> {
    text.parse().map_err(failure::malformed)
}

fn host(text: &str) -> Result<HostId, Status> {
    text.parse().map_err(failure::malformed)
}

fn not_begun() -> Status {
    Status::failed_precondition("no publication of this manifest was begun")
}

fn no_host(id: &HostId) -> Status {
    Status::not_found(format!("there is no host `{id}`"))
}

fn no_rollout(id: &RolloutId) -> Status {
    Status::not_found(format!("there is no rollout `{id}`"))
}

fn of_objects(error: crate::objects::s3::Error) -> Status {
    failure::internal(&error, true)
}

fn of_rollout(error: RolloutError<store::Error>) -> Status {
    match error {
        RolloutError::NotPublished { .. } => Status::not_found(error.to_string()),
        RolloutError::NotBelieved { .. } => Status::failed_precondition(error.to_string()),
        RolloutError::Closed => Status::unavailable(error.to_string()),
        RolloutError::Records(error) => failure::of_store(error),
    }
}
