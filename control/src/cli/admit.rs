//! `floe hosts pending`, `approve` and `deny`: machines that do not enrol by themselves.

use clap::Args;
use floe_proto::id::{HostId, Role};
use floe_proto::pb;

use super::connection::Connection;
use super::view::pending::{DecisionView, PendingHostView, PendingView};

#[derive(Args, Debug)]
pub(super) struct Asking {
    /// Which machine; its instance id
    host: HostId,
    /// With which key, or the beginning of it, where several ask [default: the only one]
    #[arg(long, value_name = "SHA256")]
    key: Option<String>,
}

/// The machines that wait.
pub(super) async fn pending(connection: &Connection) -> anyhow::Result<PendingView> {
    let listed = connection.admission().list_pending(pb::ListPendingRequest {}).await;
    let refusal = connection.refusal("list the machines that wait");
    let hosts = listed.map_err(refusal)?.into_inner().hosts;
    Ok(PendingView { pending: hosts.into_iter().map(PendingHostView::from).collect() })
}

impl Asking {
    /// Lets it in, once.
    pub(super) async fn approve(
        self,
        connection: &Connection,
        role: Option<Role>,
    ) -> anyhow::Result<DecisionView> {
        let refusal = connection.refusal(&format!("approve `{}`", self.host));
        let request = self.request(role);
        let host = connection.admission().approve_host(request).await.map_err(refusal)?;
        Ok(DecisionView { host: host.into_inner().into(), decision: "approved" })
    }

    /// Refuses it until somebody approves it.
    pub(super) async fn deny(self, connection: &Connection) -> anyhow::Result<DecisionView> {
        let refusal = connection.refusal(&format!("deny `{}`", self.host));
        let request = self.request(None);
        let host = connection.admission().deny_host(request).await.map_err(refusal)?;
        Ok(DecisionView { host: host.into_inner().into(), decision: "denied" })
    }

    fn request(self, role: Option<Role>) -> pb::DecideRequest {
        pb::DecideRequest {
            host: self.host.into(),
            key: self.key.unwrap_or_default().to_ascii_lowercase(),
            role: role.map(String::from).unwrap_or_default(),
        }
    }
}
