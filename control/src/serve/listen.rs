//! The one place where a control plane is put together, and taken apart again.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use floe_proto::pb::admission_server::AdmissionServer;
use floe_proto::pb::authority_server::AuthorityServer;
use floe_proto::pb::enrolment_server::EnrolmentServer;
use floe_proto::pb::host_session_server::HostSessionServer;
use floe_proto::pb::login_server::LoginServer;
use floe_proto::pb::operator_server::OperatorServer;
use floe_proto::pb::operators_server::OperatorsServer;
use floe_proto::pb::preview_server::PreviewServer;
use floe_proto::pb::role_secrets_server::RoleSecretsServer;
use floe_proto::pb::trust_server::TrustServer;
use floe_proto::transport::MAX_MESSAGE_BYTES;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Router, Server};
use tower::layer::util::{Identity as Unlayered, Stack};
use tracing::{info, warn};

use super::accept::{self, Acceptor};
use super::api::admission::Admission;
use super::api::authority::Authority;
use super::api::enrolment::Enrolment;
use super::api::login::Login;
use super::api::operator::Operator;
use super::api::operators::Operators;
use super::api::preview::Preview;
use super::api::secrets::Secrets;
use super::api::session::Session;
use super::api::trust::Trust;
use super::app::App;
use super::aws::{self, Aws};
use super::begun;
use super::bucket;
use super::config::ServeConfig;
use super::escrow;
use super::first;
use super::gate::Gate;
use super::limits::Limits;
use super::port::{self, Port};
use super::roster::Roster;
use super::tls;
use crate::clock;
use crate::enrol::ca;
use crate::objects::s3::Settings;
use crate::objects::{Embedded, Objects, embedded, s3};
use crate::rollout::{Drive, Rollouts};
use crate::session::registry::Signer;
use crate::session::{Sealed, Sessions, keep};
use crate::store::{self, DataDir, DataDirError, Store};
use crate::trust::{Roots, roots};

/// Where a control plane can be reached, once it can.
#[derive(Clone, Debug)]
pub struct Bound {
    /// gRPC, as hosts and operators reach it.
    pub url: String,
    /// The embedded bucket, likewise.
    pub objects_url: String,
    /// The directory of the first operator's credentials.
    pub operator: PathBuf,
}

/// Runs a control plane until `shutdown` comes, and then until what was begun is
/// done, but not for long. `ready` is called once it can be reached.
pub async fn serve(
    config: ServeConfig,
    ready: impl FnOnce(&Bound),
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let now = clock::now();
    raise_open_files();
    let data = DataDir::open(&config.data)?;
    let store = Store::open(&data.path().join("floe.sqlite")).await?;
    let roots = Roots::open(&store, &config.fleet, &config.trust_root, now).await?;
    let aws = match config.aws.policy.accounts.is_empty() {
        true => None,
        false => Some(Box::pin(Aws::open(&config.aws)).await?),
    };
    let grpc = Port::bind("gRPC", config.listen, config.public_url.as_deref()).await?;
    let bucket =
        Port::bind("objects", config.objects_listen, config.objects_url.as_deref()).await?;

    let authority = ca::Authority::open(&data.subdirectory("ca")?, &config.fleet, now)?;
    let authority = Arc::new(authority.with_host_lifetime(config.host_lifetime));
    begun::record(&store, &roots, &authority, now).await?;
    let names = port::names(&[&grpc, &bucket])?;
    let (keeper, tls) = tls::Keeper::new(Arc::clone(&authority), names, clock::now)?;

    // Who talks with others ends first, so that what was said can still be stored.
    let (closing, stop) = (CancellationToken::new(), CancellationToken::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper.run(stop.clone()));
    let connections = |port: Port, tls, guests, tasks: &mut JoinSet<()>| {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let acceptor = Acceptor {
            listener: port.listener,
            tls,
            issuers: authority.issuers(),
            fleet: config.fleet.clone(),
            max_connections: config.max_connections,
            max_handshakes: accept::MAX_HANDSHAKES,
            guests,
        };
        tasks.spawn(acceptor.run(sender));
        receiver
    };

    let roster = Roster::open(store.clone(), now).await?;
    let operator = data.subdirectory("operator/admin")?;
    first::operator(&operator, &authority, &roster, now).await?;
    let bound = Bound { url: grpc.url.clone(), objects_url: bucket.url.clone(), operator };
    let embedded = Embedded::open(&data.subdirectory("objects")?)?;
    let incoming = connections(bucket, tls.bucket, None, &mut tasks);
    tasks.spawn(bucket::serve(incoming, embedded.service(), closing.clone()));
    let objects = Objects::new(Settings {
        endpoint: bound.objects_url.clone(),
        region: "floe".to_owned(),
        bucket: embedded::BUCKET.to_owned(),
        access_key: embedded.credentials().access_key.clone(),
        secret_key: embedded.credentials().secret_key.clone(),
        ca_pem: authority.root_pem().to_owned(),
    })?;
    objects.create_bucket().await?;

    let (sessions, rollouts) = live(&store, &roots, &stop, &mut tasks).await?;
    let issuer = authority.issuers().borrow().newest();
    sessions.renew_from(Signer { issuer, within_seconds: SPREAD_SECONDS });
    let escrow = config.escrow.then(|| escrow::open(data.path())).transpose()?;
    let app = Arc::new(App {
        fleet: config.fleet.clone(),
        roots,
        store: store.clone(),
        objects,
        roster: roster.clone(),
        authority: Arc::clone(&authority),
        operator: bound.operator.clone(),
        limits: Limits::default(),
        aws,
        rollouts,
        sealed: Sealed::new(store.clone(), config.fleet.clone(), escrow),
        sessions,
        closing: closing.clone(),
    });

    let incoming = connections(grpc, tls.grpc, Some(Arc::default()), &mut tasks);
    let incoming = ReceiverStream::new(incoming).map(Ok::<_, io::Error>);
    let gate = Gate::new(roster, store.clone());
    let server =
        router(&app, gate.clone()).serve_with_incoming_shutdown(incoming, closing.cancelled());
    info!(url = bound.url, objects_url = bound.objects_url, "listening");
    ready(&bound);

    let mut server = std::pin::pin!(server);
    tokio::select! {
        () = shutdown => {}
        ended = &mut server => return Ok(ended?),
    }
    info!("shutting down");
    app.sessions.close();
    closing.cancel();
    if timeout(PATIENCE, &mut server).await.is_err() {
        warn!("connections are still open; they are cut");
    }
    if timeout(PATIENCE, gate.finish()).await.is_err() {
        warn!("calls are still under way; the audit log may miss them");
    }
    stop.cancel();
    if timeout(PATIENCE, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
        warn!("not everything ended in time; it is cut");
    }
    tasks.shutdown().await;
    store.close().await;
    drop(data);
    Ok(())
}

/// Comes when the process is asked to end: SIGTERM or SIGINT.
pub async fn terminated() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// As many open files as the system lets us have: the usual soft limit of 1,024 is
/// for programs that use select(2).
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, "could not raise the limit of open files");
    }
}

/// The live part: sessions, the owner of rollouts, and the keeper of presence.
async fn live(
    store: &Store,
    roots: &Roots,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<(Sessions, Rollouts<Store>), store::Error> {
    let sessions = Sessions::new(clock::now);
    for host in store.hosts(None).await? {
        if host.standing.conflict.is_some() {
            sessions.quarantine(&host.id);
        }
        if host.adopted.is_some() {
            sessions.hold(&host.id);
        }
    }
    let (rollouts, mut drive) =
        Drive::new(store.clone(), sessions.clone(), roots.clone(), clock::now);
    drive.recall().await?;
    tasks.spawn(drive.run(stop.clone()));
    tasks.spawn(keep::keep(sessions.clone(), store.clone(), stop.clone()));
    tasks.spawn(keep::raise(sessions.clone(), store.clone(), clock::now, stop.clone()));
    Ok((sessions, rollouts))
}

/// All services, behind the gate.
fn router(app: &Arc<App>, gate: Gate) -> Router<Stack<Gate, Unlayered>> {
    let enrolment = EnrolmentServer::new(Enrolment::new(Arc::clone(app)))
        .max_decoding_message_size(MAX_ENROL_BYTES);
    let session = HostSessionServer::new(Session::new(Arc::clone(app)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let operator = OperatorServer::new(Operator::new(Arc::clone(app)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let trust =
        TrustServer::new(Trust::new(Arc::clone(app))).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let operators = OperatorsServer::new(Operators::new(Arc::clone(app)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let authority = AuthorityServer::new(Authority::new(Arc::clone(app)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let login =
        LoginServer::new(Login::new(Arc::clone(app))).max_decoding_message_size(MAX_ENROL_BYTES);
    let admission = AdmissionServer::new(Admission::new(Arc::clone(app)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let secrets = RoleSecretsServer::new(Secrets::new(Arc::clone(app)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let preview = PreviewServer::new(Preview::new(Arc::clone(app)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
        .layer(gate)
        .add_service(enrolment)
        .add_service(admission)
        .add_service(session)
        .add_service(operator)
        .add_service(secrets)
        .add_service(preview)
        .add_service(trust)
        .add_service(operators)
        .add_service(authority)
        .add_service(login)
}

/// Connections whose handshake is done and that nobody serves yet.
const BACKLOG: usize = 128;
/// How long what was begun may go on after the order to stop.
const PATIENCE: Duration = Duration::from_secs(5);
/// Over how long hosts that come with a certificate of an older issuer spread renewals.
const SPREAD_SECONDS: u32 = 300;
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(15);
/// A signed document of 16 KiB and what comes with it.
const MAX_ENROL_BYTES: usize = 24 * 1024;
const MAX_HEADER_BYTES: u32 = 16 * 1024;
const MAX_STREAMS: u32 = 64;
/// Small, as a busy agent sends little: what a peer may have us hold for it.
const WINDOW_BYTES: u32 = 256 * 1024;

/// Why a control plane could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The trust root is not to be believed.
    #[error(transparent)]
    Trust(#[from] roots::Error<store::Error>),
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// A port cannot be used.
    #[error(transparent)]
    Port(#[from] port::Error),
    /// The CA cannot be used.
    #[error(transparent)]
    Authority(#[from] ca::Error),
    /// The first operator cannot be one.
    #[error(transparent)]
    First(#[from] first::Error),
    /// There is no escrow key.
    #[error(transparent)]
    Escrow(#[from] escrow::Error),
    /// Instances of EC2 cannot be judged.
    #[error(transparent)]
    Aws(#[from] aws::Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The embedded bucket cannot be opened.
    #[error(transparent)]
    Bucket(#[from] embedded::Error),
    /// The bucket cannot be used.
    #[error(transparent)]
    Objects(#[from] s3::Error),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The server broke.
    #[error("the gRPC server broke")]
    Server(#[from] tonic::transport::Error),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Trust(error) => error.advice(),
            Self::Data(error) => error.advice(),
            Self::Port(error) => error.advice(),
            Self::Authority(error) => error.advice(),
            Self::First(error) => error.advice(),
            Self::Tls(error) => error.advice(),
            Self::Aws(error) => error.advice(),
            Self::Escrow(error) => error.advice(),
            Self::Bucket(error) => error.advice(),
            Self::Objects(error) => error.advice(),
            Self::Store(error) => error.advice(),
            Self::Server(_) => "look at the log, and start it again",
        }
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
