//! The NARs of a closure: which there are is read from the payload that the signed manifest
//! speaks for, never taken from who asks.

use std::collections::BTreeMap;

use floe_proto::digest::Digest;
use floe_proto::manifest::Kind;
use floe_proto::pb;
use floe_proto::verify;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tonic::Status;

use super::failure;
use crate::bundle::listed;
use crate::clock;
use crate::objects::{Object, Presence, Upload};
use crate::serve::app::App;
use crate::store::ManifestRecord;

/// The most NARs that one call asks for.
const MAX_ASKED: usize = 64;

/// How many objects are looked at at once.
const PARALLEL: usize = 16;

/// Where NARs of the closure go that `manifest` speaks for.
pub(super) async fn begin(
    app: &App,
    manifest: &ManifestRecord,
    asked: &[String],
) -> Result<Vec<pb::NarUpload>, Status> {
    if asked.len() > MAX_ASKED {
        return Err(Status::invalid_argument(format!("ask for {MAX_ASKED} NARs at once at most")));
    }
    if kind(app, manifest)? != Kind::Closure {
        return Err(Status::failed_precondition("this manifest is not of a closure"));
    }
    register(app, manifest).await?;
    let mut wanted = Vec::new();
    for text in asked {
        let nar: Digest = text.parse().map_err(failure::malformed)?;
        let length = app.store.nar_length(&manifest.payload, &nar).await;
        let length = length.map_err(failure::of_store)?;
        wanted.push((
            nar,
            length
                .ok_or_else(|| Status::not_found(format!("the closure's list has no NAR {nar}")))?,
        ));
    }
    let mut places = Vec::new();
    for (nar, length) in wanted {
        places.push(place(app, nar, length));
    }
    stream::iter(places).buffered(PARALLEL).try_collect().await
}

/// Where one NAR goes, if it is not there.
async fn place(app: &App, nar: Digest, length: u64) -> Result<pb::NarUpload, Status> {
    let object = Object::Nar(nar);
    let Upload { url, headers } =
        match app.objects.presence(&object, length).await.map_err(of_objects)? {
            Presence::There => Upload { url: String::new(), headers: Vec::new() },
            Presence::Absent | Presence::Other => {
                app.objects.upload(&object, length).await.map_err(of_objects)?
            }
        };
    let upload_headers =
        headers.into_iter().map(|(name, value)| pb::Header { name, value }).collect();
    Ok(pb::NarUpload { nar_digest: nar.to_string(), upload_url: url, upload_headers })
}

/// Whether all that `manifest` needs beside its payload is in the bucket.
pub(super) async fn check(app: &App, manifest: &ManifestRecord) -> Result<(), Status> {
    match kind(app, manifest)? {
        Kind::Configuration => return Ok(()),
        Kind::Closure => register(app, manifest).await?,
    }
    let nars = app.store.closure(&manifest.payload).await.map_err(failure::of_store)?;
    let mut looks = Vec::new();
    for (nar, length) in nars {
        looks.push(async move {
            let found = app.objects.presence(&Object::Nar(nar), length).await;
            Ok::<_, Status>((nar, found.map_err(of_objects)?))
        });
    }
    let found: Vec<_> = stream::iter(looks).buffer_unordered(PARALLEL).try_collect().await?;
    let mut missing = found.iter().filter(|(_, presence)| *presence != Presence::There);
    match (missing.next(), missing.count()) {
        (None, _) => Ok(()),
        (Some((nar, _)), more) => Err(Status::failed_precondition(format!(
            "{} of the closure's {} NARs are not uploaded, such as {nar}",
            more + 1,
            found.len()
        ))),
    }
}

/// What the payload of a manifest is; the trust root may have changed since it was begun.
fn kind(app: &App, manifest: &ManifestRecord) -> Result<Kind, Status> {
    let believed = verify::manifest(&manifest.envelope, &app.roots.newest().root, clock::now());
    Ok(believed.map_err(|error| failure::refused(&error))?.kind)
}

/// Reads the closure's list, if that was not done before.
async fn register(app: &App, manifest: &ManifestRecord) -> Result<(), Status> {
    let payload = manifest.payload;
    if app.store.knows_closure(&payload).await.map_err(failure::of_store)? {
        return Ok(());
    }
    // Its length was bounded when the manifest was parsed.
    let read = app.objects.read(&Object::Payload(payload), manifest.payload_length).await;
    let bytes = read.map_err(of_objects)?;
    let bytes = bytes.filter(|bytes| Digest::of(bytes) == payload).ok_or_else(|| {
        Status::failed_precondition("the payload that the manifest speaks for is not uploaded")
    })?;
    let closure = tokio::task::spawn_blocking(move || listed::read(bytes.as_slice())).await;
    let closure = closure.map_err(|error| failure::internal(&error, true))?;
    let closure = closure.map_err(|error| {
        if error.is_ours() {
            return failure::internal(&error, true);
        }
        Status::failed_precondition(format!("hosts would refuse the closure: {error}"))
    })?;
    let nars: BTreeMap<_, _> =
        closure.files().into_iter().map(|(nar, file)| (nar, file.length.get())).collect();
    app.store.add_closure(&payload, &nars).await.map_err(failure::of_store)
}

fn of_objects(error: crate::objects::s3::Error) -> Status {
    failure::internal(&error, true)
}
