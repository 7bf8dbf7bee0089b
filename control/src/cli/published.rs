//! Manifests between here and the control plane: what it has, and what it is handed.
//!
//! What it answers is believed only as far as it is signed, which `bundle::history`
//! judges; what it is handed was believed before.

use std::path::Path;

use floe_proto::id::{Epoch, Role, Serial};
use floe_proto::manifest::Manifest;
use floe_proto::pb;
use floe_proto::root::Root;
use floe_proto::time::Timestamp;
use floe_proto::verify::Verified;

use super::closure;
use super::connection::{self, Connection};
use super::end::Stopped;
use super::progress::Progress;
use super::view::closure::SentView;
use crate::bundle::closure::Made;
use crate::bundle::history::{self, Entry};
use crate::bundle::publish::{self, Target};
use crate::bundle::sign::Signed;

/// Whose signatures count, and whose did.
pub(super) struct Trust<'a> {
    pub(super) root: &'a Verified<Root>,
    pub(super) older: Vec<Verified<Root>>,
}

/// A manifest as the control plane lists it.
pub(super) struct Listed {
    /// `Err` with the reason for what must not be believed.
    pub(super) entry: Result<Entry, history::Error>,
    pub(super) publisher: String,
    pub(super) published: Timestamp,
}

/// The newest published manifest of `role`.
pub(super) async fn newest(
    connection: &Connection,
    role: &Role,
    trust: &Trust<'_>,
) -> anyhow::Result<Option<Entry>> {
    let refusal = connection.refusal("ask for the newest serial");
    let request = pb::NewestManifestRequest { role: role.to_string() };
    let answer = connection.operator.clone().newest_manifest(request).await.map_err(refusal);
    match answer {
        Ok(reply) => Ok(Some(trust.read(role, &reply.into_inner().manifest_envelope)?)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Published manifests of `role`, newest first, as many as fit into one answer.
pub(super) async fn list(
    connection: &Connection,
    role: &Role,
    trust: &Trust<'_>,
) -> Result<Vec<Listed>, connection::Error> {
    page(connection, role, trust, None, 0).await
}

/// What may be said again: what `list` shows, and the manifest with the number `asked`,
/// however old it is.
pub(super) async fn history(
    connection: &Connection,
    role: &Role,
    trust: &Trust<'_>,
    asked: Option<Serial>,
) -> anyhow::Result<Vec<Entry>> {
    let listed = list(connection, role, trust).await?;
    let mut entries =
        listed.into_iter().map(|listed| listed.entry).collect::<Result<Vec<_>, _>>()?;
    if let (Some(serial), Some(newest)) = (asked, entries.first())
        && entries.iter().all(|entry| entry.manifest.serial != serial)
        && let Some(after) = serial.next()
    {
        let below = Some((newest.manifest.epoch, after));
        for listed in page(connection, role, trust, below, 1).await? {
            entries.push(listed.entry?);
        }
    }
    Ok(entries)
}

async fn page(
    connection: &Connection,
    role: &Role,
    trust: &Trust<'_>,
    below: Option<(Epoch, Serial)>,
    limit: u32,
) -> Result<Vec<Listed>, connection::Error> {
    let (below_epoch, below_serial) =
        below.map_or((0, 0), |(epoch, serial)| (epoch.get().into(), serial.get()));
    let request =
        pb::ListManifestsRequest { role: role.to_string(), below_epoch, below_serial, limit };
    let reply = connection.operator.clone().list_manifests(request).await;
    let reply = reply.map_err(connection.refusal("ask what is published"))?.into_inner();
    let listed = reply.manifests.into_iter().map(|found| Listed {
        entry: trust.read(role, &found.manifest_envelope),
        publisher: found.publisher,
        published: Timestamp::from_micros(found.published),
    });
    Ok(listed.collect())
}

impl Trust<'_> {
    fn read(&self, role: &Role, envelope: &[u8]) -> Result<Entry, history::Error> {
        history::read(envelope, role, self.root, &self.older)
    }
}

/// Hands in a manifest, and its payload where the store does not have it; `true` if that
/// had to be sent. `payload` is `None` for one that should be there, and so is `made`, of
/// which the NARs are sent.
pub(super) async fn publish(
    connection: &Connection,
    signed: &Signed,
    payload: Option<&Path>,
    made: Option<&Made>,
    progress: &Progress,
) -> anyhow::Result<(bool, Option<SentView>)> {
    let mut operator = connection.operator.clone();
    let request = pb::BeginPublicationRequest { manifest_envelope: signed.envelope.clone() };
    let refusal = connection.refusal("publish the bundle");
    let begun = operator.begin_publication(request).await.map_err(&refusal)?.into_inner();
    let digest = signed.manifest.digest().to_string();
    if begun.manifest_digest != digest {
        return Err(Stopped::refused(
            "the control plane took another manifest than the one that was sent",
            "do not use this control plane",
        )
        .into());
    }
    let uploads = !begun.upload_url.is_empty();
    if uploads {
        let payload = payload.ok_or_else(|| gone(&signed.manifest))?;
        let headers = begun.upload_headers.into_iter().map(|header| (header.name, header.value));
        let target = Target { url: begun.upload_url, headers: headers.collect() };
        let length = signed.manifest.payload.length.get();
        publish::upload(payload, length, &target, &connection.ca).await?;
    }
    let sent = match made {
        Some(made) => {
            let manifest = signed.manifest.digest();
            Some(Box::pin(closure::send(connection, manifest, made, progress)).await?)
        }
        None => None,
    };
    let request = pb::FinishPublicationRequest { manifest_digest: digest };
    operator.finish_publication(request).await.map_err(refusal)?;
    Ok((uploads, sent))
}

fn gone(manifest: &Manifest) -> Stopped {
    let revision = manifest.source.revision.as_deref().unwrap_or("it was made of");
    Stopped::failed(
        format!("the store does not have the payload {} any more", manifest.payload.sha256),
        format!("check out the revision {revision}, and push that"),
    )
}

/// Takes a published manifest to its role's hosts; with `retry` also to those that went
/// back from it before.
pub(super) async fn start(
    connection: &Connection,
    manifest: &Manifest,
    retry: bool,
) -> Result<pb::Rollout, connection::Error> {
    let request = pb::StartRolloutRequest {
        role: manifest.role.to_string(),
        epoch: manifest.epoch.get().into(),
        serial: manifest.serial.get(),
        retry,
    };
    let started = connection.operator.clone().start_rollout(request).await;
    Ok(started.map_err(connection.refusal("start the rollout"))?.into_inner())
}
