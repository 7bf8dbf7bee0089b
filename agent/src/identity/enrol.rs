//! The one call that makes a machine a host, until it succeeds.
//!
//! What may pass (nobody answers) is tried again with full jitter. What will not pass
//! by itself (a used token, another role) is said once, clearly, and then waited for:
//! somebody has to put another `join.toml` there, and the agent sees it when they do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_proto::id::Role;
use floe_proto::pb::enrolment_client::EnrolmentClient;
use floe_proto::pb::{EnrolRequest, enrol_request};
use floe_proto::transport::{self, Identity, MAX_MESSAGE_BYTES};
use log::{error, info, warn};
use rcgen::CertificateParams;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::join::{self, Join};
use super::store::{self, Enrolled, Store};
use crate::backoff::Backoff;
use crate::telemetry::Chain;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How often it is looked whether somebody changed `join.toml`.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What enrolment needs to know.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The role that this machine was configured for.
    pub role: Role,
    /// Where the control plane is.
    pub control_plane: String,
    /// The fleet's CA, which the control plane's certificate must come from.
    pub ca: Vec<CertificateDer<'static>>,
    /// Where `join.toml` lies and the identity goes.
    pub state_directory: PathBuf,
}

/// The identity of this machine: the one on the disk, or a new one. Waits as long as
/// it takes; returns no error, since there is nothing else that an agent could do.
pub async fn obtain(terms: &Terms) -> Enrolled {
    let store = Store::new(&terms.state_directory);
    let path = terms.state_directory.join("join.toml");
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        // Taken before the try: the file may be replaced while it goes on.
        let before = fingerprint(&path);
        let refused = match once(terms, &store, &path).await {
            Ok(enrolled) => return enrolled,
            Err(failure) if failure.is_transient() => {
                let wait = backoff.next_wait();
                warn!(wait:? = wait; "not enrolled yet, will try again: {}", Chain(&failure));
                sleep(wait).await;
                continue;
            }
            Err(failure) => failure,
        };
        error!("{}; waiting for another `{}`", Chain(&refused), path.display());
        error!("what to do: {}", refused.advice());
        while fingerprint(&path) == before {
            sleep(LOOK_AGAIN).await;
        }
        backoff.reset();
    }
}

async fn once(terms: &Terms, store: &Store, path: &Path) -> Result<Enrolled, Error> {
    if let Some(enrolled) = store.load()? {
        discard_used(path, &enrolled);
        return Ok(enrolled);
    }
    let join = join::read(path)?;
    let certificate = call(terms, store, &join).await?;
    store.save(&join.host, &certificate)?;
    info!(host:% = join.host, role:% = terms.role; "enrolled");
    // The next turn of the loop would find it too; this finds it without a wait.
    let enrolled = store.load()?.ok_or(Error::Vanished)?;
    discard_used(path, &enrolled);
    Ok(enrolled)
}

/// Asks for a certificate, and believes it only if it can be used.
async fn call(terms: &Terms, store: &Store, join: &Join) -> Result<Vec<u8>, Error> {
    let key = store.key()?;
    let request = CertificateParams::default().serialize_request(&key).map_err(Error::Request)?;
    let tls = transport::client_config(&terms.ca, None)?;
    let asking = async {
        let channel = transport::connect(&terms.control_plane, tls).await?;
        let mut client = EnrolmentClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let request = EnrolRequest {
            certificate_request: request.der().to_vec(),
            host: join.host.to_string(),
            attestation: Some(enrol_request::Attestation::Token(join.token.to_string())),
        };
        let reply = client.enrol(request).await.map_err(Box::new)?;
        Ok::<_, Error>(reply.into_inner())
    };
    let reply = timeout(CALL_TIMEOUT, asking).await.unwrap_or(Err(Error::Slow))?;
    if reply.role != terms.role.as_str() {
        return Err(Error::OtherRole {
            ours: terms.role.clone(),
            theirs: reply.role.escape_debug().take(253).collect(),
        });
    }
    // rustls refuses a certificate of another key.
    let identity = Identity {
        chain: vec![CertificateDer::from(reply.certificate.clone())],
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    };
    transport::client_config(&terms.ca, Some(identity)).map_err(Error::Certificate)?;
    Ok(reply.certificate)
}

/// The token is used up, or somebody left another for a machine that is enrolled.
fn discard_used(path: &Path, enrolled: &Enrolled) {
    let host = &enrolled.host;
    if let Ok(join) = join::read(path)
        && join.host != *host
    {
        let theirs = join.host;
        warn!(host:% = host; "`join.toml` names {theirs}, but this machine is enrolled already; the file was removed (to enrol anew, remove `identity/` first)");
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            warn!("could not remove the used `{}`: {error}", path.display());
        }
        Ok(()) | Err(_) => {}
    }
}

/// Enough to see that a file was replaced.
fn fingerprint(path: &Path) -> Option<(std::time::SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

/// Why this machine is no host yet.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Join(#[from] join::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the identity was stored and is gone again")]
    Vanished,
    #[error("could not make a certificate request")]
    Request(#[source] rcgen::Error),
    #[error(transparent)]
    Connection(#[from] transport::Error),
    #[error("the control plane did not answer in time")]
    Slow,
    #[error("the control plane did not enrol this machine")]
    Refused(#[from] Box<tonic::Status>),
    #[error(
        "this machine is configured for the role `{ours}`, but the control plane has it on record as `{theirs}`"
    )]
    OtherRole { ours: Role, theirs: String },
    #[error("the control plane sent a certificate that cannot be used with this machine's key")]
    Certificate(#[source] transport::Error),
}

impl Error {
    /// Whether the same try may succeed later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Refused(status) => !matches!(
                status.code(),
                Code::Unauthenticated
                    | Code::PermissionDenied
                    | Code::InvalidArgument
                    | Code::AlreadyExists
                    | Code::Unimplemented
            ),
            Self::Connection(error) => match error {
                transport::Error::Unreachable { .. } => true,
                transport::Error::Pem { .. }
                | transport::Error::Tls(_)
                | transport::Error::Url { .. } => false,
            },
            Self::Store(error) => match error {
                store::Error::Disk { .. } | store::Error::Key(_) => true,
                store::Error::Broken { .. } => false,
            },
            Self::Slow | Self::Vanished => true,
            Self::Join(_) | Self::Request(_) | Self::OtherRole { .. } | Self::Certificate(_) => {
                false
            }
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::Join(_) => {
                "make a token with `floe hosts token` and put host and token into the file (mode 0600)"
            }
            Self::Store(error) => error.advice(),
            Self::Refused(_) => {
                "the token may be used, expired or mistyped: make a new one with `floe hosts token`"
            }
            Self::OtherRole { .. } => {
                "make a token for this role, or correct `role` in agent.toml and restart the agent"
            }
            Self::Connection(_) | Self::Slow => {
                "check `control_plane` and `ca` in agent.toml, and that the control plane runs"
            }
            Self::Vanished | Self::Request(_) | Self::Certificate(_) => {
                "this should not happen: look at the logs of agent and control plane"
            }
        }
    }
}
