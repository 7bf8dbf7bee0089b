//! One host is asked what a bundle would change on it: the manifest goes there signed as a
//! preview, which none ever runs.

use std::path::Path;
use std::time::Duration;

use floe_proto::id::HostId;
use floe_proto::manifest::Manifest;
use floe_proto::pb;
use floe_proto::pb::preview_answer::Answer;
use floe_proto::root::Root;
use floe_proto::time::Timestamp;
use floe_proto::verify::Verified;
use tokio_stream::StreamExt as _;

use super::connection::Connection;
use super::end::Stopped;
use super::progress::Progress;
use super::view::diff::DiffView;
use crate::bundle::publish::{self, Target};
use crate::bundle::sign;
use crate::signing::Signer;

/// What hosts are asked about.
pub(super) struct Preview {
    envelope: Vec<u8>,
    role: String,
}

/// For how long a host may build it.
const GOOD_FOR: Duration = Duration::from_secs(3600);

impl Preview {
    /// Signs `manifest` as a preview, and sends its payload where the store does not have it;
    /// `None` for one that should be there.
    pub(super) async fn begin(
        connection: &Connection,
        manifest: &Manifest,
        payload: Option<&Path>,
        signers: &[Signer],
        (root, now): (&Verified<Root>, Timestamp),
    ) -> anyhow::Result<Self> {
        // Of no use to anybody later.
        let created = now.whole_seconds();
        let (expires, manifest) = (created.after(GOOD_FOR), manifest.clone());
        let manifest = Manifest { created, expires, ..manifest };
        let envelope = sign::preview(&manifest, signers, root, now).await?;
        let refusal = connection.refusal("show what would change");
        let request = pb::BeginPreviewRequest { preview_envelope: envelope.clone() };
        let begun = connection.preview().begin_preview(request).await.map_err(refusal)?;
        let begun = begun.into_inner();
        if !begun.upload_url.is_empty() {
            let headers = begun.upload_headers.into_iter().map(|it| (it.name, it.value)).collect();
            let target = Target { url: begun.upload_url, headers };
            let payload = payload.ok_or_else(|| {
                Stopped::failed(
                    "the store does not have the payload any more",
                    "push what it was made of",
                )
            })?;
            let length = manifest.payload.length.get();
            publish::upload(payload, length, &target, &connection.ca).await?;
        }
        Ok(Self { envelope, role: manifest.role.to_string() })
    }

    /// What `host` says, or the first of the role that is connected.
    pub(super) async fn ask(
        &self,
        connection: &Connection,
        host: Option<&HostId>,
        progress: &Progress,
    ) -> anyhow::Result<DiffView> {
        let refusal = connection.refusal("show what would change");
        let request = pb::ShowPreviewRequest {
            preview_envelope: self.envelope.clone(),
            host: host.map(HostId::to_string).unwrap_or_default(),
        };
        let answers = connection.preview().show_preview(request).await.map_err(&refusal)?;
        let mut answers = answers.into_inner();
        let mut host = String::new();
        while let Some(answer) = answers.next().await {
            match answer.map_err(&refusal)?.answer {
                Some(Answer::Host(name)) => {
                    progress.doing(&format!("{name} builds {}", self.role));
                    host = name;
                }
                Some(Answer::Output(output)) => {
                    if let Some(line) = output.lines.last() {
                        progress.detail(line);
                    }
                }
                Some(Answer::Difference(found)) => {
                    return Ok(DiffView::of(self.role.clone(), host, found));
                }
                Some(Answer::Failed(why)) => {
                    return Err(Stopped::failed(
                        format!("`{host}` could not say what would change: {why}"),
                        "mend that; `floe diff ROLE --host HOST` asks another host, and `floe hosts` lists them",
                    )
                    .into());
                }
                // A newer control plane may say what we do not know.
                None => {}
            }
        }
        let gone = format!("the control plane went away before `{host}` said what would change");
        Err(Stopped::failed(gone, "ask again").into())
    }
}
