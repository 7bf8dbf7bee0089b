//! `floe.v1.Admission`: parse, call, answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use floe_proto::id::{HostId, Role};
use floe_proto::pb;
use tonic::{Request, Response, Status};
use tracing::info;

use super::failure;
use crate::clock;
use crate::enrol::instance::{Account, ImageId, Region};
use crate::serve::app::App;
use crate::serve::auth;
use crate::store::{Decision, ImageRecord, PendingRecord};

/// The handler.
pub struct Admission {
    app: Arc<App>,
}

impl Admission {
    /// The handler of a running control plane.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    fn account(&self, text: &str) -> Result<Account, Status> {
        let policy = self.app.aws.as_ref().map(|aws| &aws.policy.accounts);
        chosen(text, policy, "account")
    }

    fn region(&self, text: &str) -> Result<Region, Status> {
        let policy = self.app.aws.as_ref().map(|aws| &aws.policy.regions);
        chosen(text, policy, "region")
    }
}

#[tonic::async_trait]
impl pb::admission_server::Admission for Admission {
    async fn add_image(
        &self,
        request: Request<pb::AddImageRequest>,
    ) -> Result<Response<pb::Image>, Status> {
        let adder = auth::operator(&request)?;
        let asked = request.get_ref();
        let image = ImageRecord {
            account: self.account(&asked.account)?,
            region: self.region(&asked.region)?,
            id: asked.id.parse().map_err(failure::malformed)?,
            role: asked.role.parse().map_err(failure::malformed)?,
            adder,
            added: clock::now(),
        };
        auth::about(&request, format_args!("{} role {}", image.id, image.role));
        if !self.app.store.add_image(&image).await.map_err(failure::of_store)? {
            let text = format!("`{}` is on record with another role", image.id);
            return Err(Status::already_exists(text));
        }
        info!(image = %image.id, role = %image.role, "put an image on record");
        Ok(Response::new(shown(image)))
    }

    async fn remove_image(
        &self,
        request: Request<pb::RemoveImageRequest>,
    ) -> Result<Response<pb::Image>, Status> {
        let asked = request.get_ref();
        let id: ImageId = asked.id.parse().map_err(failure::malformed)?;
        auth::about(&request, &id);
        let (account, region) = (self.account(&asked.account)?, self.region(&asked.region)?);
        let store = &self.app.store;
        let images = store.images().await.map_err(failure::of_store)?;
        let found = images
            .into_iter()
            .find(|image| (&image.account, &image.region, &image.id) == (&account, &region, &id));
        let gone = || Status::not_found(format!("`{id}` is not on record in {region}"));
        let found = found.ok_or_else(gone)?;
        if !store.remove_image(&account, &region, &id).await.map_err(failure::of_store)? {
            return Err(gone());
        }
        info!(image = %id, "took an image off the record");
        Ok(Response::new(shown(found)))
    }

    async fn list_images(
        &self,
        _: Request<pb::ListImagesRequest>,
    ) -> Result<Response<pb::ListImagesReply>, Status> {
        let images = self.app.store.images().await.map_err(failure::of_store)?;
        Ok(Response::new(pb::ListImagesReply { images: images.into_iter().map(shown).collect() }))
    }

    async fn list_pending(
        &self,
        _: Request<pb::ListPendingRequest>,
    ) -> Result<Response<pb::ListPendingReply>, Status> {
        let pending = self.app.store.pending().await.map_err(failure::of_store)?;
        Ok(Response::new(pb::ListPendingReply { hosts: pending.into_iter().map(asks).collect() }))
    }

    async fn approve_host(
        &self,
        request: Request<pb::DecideRequest>,
    ) -> Result<Response<pb::PendingHost>, Status> {
        let decider = auth::operator(&request)?;
        let asked = request.get_ref();
        let host: HostId = asked.host.parse().map_err(failure::malformed)?;
        auth::about(&request, &host);
        let asking = self.app.store.undecided(&host).await.map_err(failure::of_store)?;
        let asking = the_one(asking, &host, &asked.key)?;
        let given: Option<Role> = match asked.role.as_str() {
            "" => None,
            role => Some(role.parse().map_err(failure::malformed)?),
        };
        let role = given.or_else(|| asking.role.clone()).ok_or_else(|| {
            let text = format!("no role is on record for {}: say which it is to get", asking.image);
            Status::failed_precondition(text)
        })?;
        let decision = Decision::Approve(role.clone());
        self.decide(&asking, &decision, &decider).await?;
        info!(%host, %role, "approved an enrolment");
        Ok(Response::new(asks(PendingRecord { role: Some(role), ..asking })))
    }

    async fn deny_host(
        &self,
        request: Request<pb::DecideRequest>,
    ) -> Result<Response<pb::PendingHost>, Status> {
        let decider = auth::operator(&request)?;
        let asked = request.get_ref();
        let host: HostId = asked.host.parse().map_err(failure::malformed)?;
        auth::about(&request, &host);
        if !asked.role.is_empty() {
            return Err(Status::invalid_argument("who is denied gets no role"));
        }
        let asking = self.app.store.deniable(&host).await.map_err(failure::of_store)?;
        let asking = the_one(asking, &host, &asked.key)?;
        self.decide(&asking, &Decision::Deny, &decider).await?;
        info!(%host, "denied an enrolment");
        Ok(Response::new(asks(asking)))
    }
}

impl Admission {
    async fn decide(
        &self,
        asking: &PendingRecord,
        decision: &Decision,
        decider: &str,
    ) -> Result<(), Status> {
        let PendingRecord { host, key, .. } = asking;
        let decided = self.app.store.decide(host, key, decision, decider, clock::now()).await;
        if decided.map_err(failure::of_store)? {
            Ok(())
        } else {
            Err(Status::not_found(format!("nobody asks to enrol as `{host}` any more")))
        }
    }
}

/// What was said, or the only one that there is.
fn chosen<T>(text: &str, known: Option<&BTreeSet<T>>, what: &str) -> Result<T, Status>
where
    T: Clone + std::str::FromStr<Err: std::fmt::Display>,
{
    if !text.is_empty() {
        return text.parse().map_err(failure::malformed);
    }
    let mut known = known.into_iter().flatten();
    match (known.next(), known.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None | Some(_), _) => Err(Status::invalid_argument(format!(
            "say in which {what}: `aws` in floe.toml does not have exactly one"
        ))),
    }
}

/// The one machine that a decision is about.
fn the_one(
    mut asking: Vec<PendingRecord>,
    host: &HostId,
    key: &str,
) -> Result<PendingRecord, Status> {
    asking.retain(|asking| asking.key.to_string().starts_with(key));
    // Those who were denied stand back for the one who was not.
    if key.is_empty() && asking.iter().any(|asking| !asking.denied) {
        asking.retain(|asking| !asking.denied);
    }
    match asking.pop() {
        None => Err(Status::not_found(format!("nobody asks to enrol as `{host}`"))),
        Some(only) if asking.is_empty() => Ok(only),
        Some(last) => {
            let keys: Vec<_> =
                asking.iter().chain([&last]).map(|asking| asking.key.to_string()).collect();
            Err(Status::failed_precondition(format!(
                "several machines ask to enrol as `{host}`: say with which key, {}",
                keys.join(" or ")
            )))
        }
    }
}

fn shown(image: ImageRecord) -> pb::Image {
    pb::Image {
        account: image.account.to_string(),
        region: image.region.to_string(),
        id: image.id.to_string(),
        role: image.role.into(),
        adder: image.adder,
        added: image.added.as_micros(),
    }
}

fn asks(pending: PendingRecord) -> pb::PendingHost {
    pb::PendingHost {
        host: pending.host.into(),
        key: pending.key.to_string(),
        account: pending.account.to_string(),
        region: pending.region.to_string(),
        image: pending.image.to_string(),
        role: pending.role.map(String::from).unwrap_or_default(),
        reasons: pending.reasons,
        address: pending.address,
        asked: pending.asked.as_micros(),
    }
}
