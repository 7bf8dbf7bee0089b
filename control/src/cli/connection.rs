//! The control plane as an operator reaches it: mTLS, and answers in sentences.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use floe_proto::certificate::Certificate;
use floe_proto::id::Fleet;
use floe_proto::pb::admission_client::AdmissionClient;
use floe_proto::pb::authority_client::AuthorityClient;
use floe_proto::pb::login_client::LoginClient;
use floe_proto::pb::operator_client::OperatorClient;
use floe_proto::pb::operators_client::OperatorsClient;
use floe_proto::pb::preview_client::PreviewClient;
use floe_proto::pb::role_secrets_client::RoleSecretsClient;
use floe_proto::pb::trust_client::TrustClient;
use floe_proto::time::Timestamp;
use floe_proto::transport::{self, Identity, MAX_MESSAGE_BYTES};
use rustls::pki_types::CertificateDer;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::repository;

/// An operator's certificate and the CA of the fleet.
pub(super) struct Credentials {
    ca: Vec<CertificateDer<'static>>,
    /// Whose control plane it is for: the certificate says it.
    fleet: Fleet,
    identity: Identity,
}

impl Credentials {
    /// Reads `ca.pem`, `cert.pem` and `key.pem` in `directory`, which must be good `now`:
    /// of an expired certificate TLS says no more than that it does not work.
    pub(super) fn read(directory: &Path, now: Timestamp) -> Result<Self, Error> {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read(&path).map_err(|source| Error::Credentials { path, source })
        };
        let (ca, chain) = (read("ca.pem")?, read("cert.pem")?);
        let key = zeroize::Zeroizing::new(read("key.pem")?);
        let malformed = |source| Error::Malformed { directory: directory.to_owned(), source };
        let identity = Identity::from_pem(&chain, &key).map_err(malformed)?;
        let own = identity.chain.first().and_then(|leaf| Certificate::read(leaf).ok());
        let what = "certificate of an operator";
        let own = own.ok_or_else(|| malformed(transport::Error::Pem { what }))?;
        if own.not_after <= now {
            let directory = directory.to_owned();
            return Err(Error::Expired { directory, expired: own.not_after });
        }
        let ca = transport::certificates(&ca).map_err(malformed)?;
        Ok(Self { ca, fleet: own.id.fleet, identity })
    }
}

/// A control plane that answers.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// Its service for operators.
    pub(super) operator: OperatorClient<Channel>,
    /// The CA of the fleet, which the embedded object store shares.
    pub(super) ca: Vec<CertificateDer<'static>>,
    channel: Channel,
    url: String,
}

impl Connection {
    /// Connects to `url`.
    pub(super) async fn open(url: &str, credentials: &Credentials) -> Result<Self, Error> {
        let Credentials { ca, fleet, identity } = credentials;
        let identity = Identity { chain: identity.chain.clone(), key: identity.key.clone_key() };
        Self::make(url, ca.clone(), fleet, Some(identity)).await
    }

    /// Connects to `url` as somebody who has no certificate.
    pub(super) async fn strange(
        url: &str,
        ca: Vec<CertificateDer<'static>>,
        fleet: &Fleet,
    ) -> Result<Self, Error> {
        Self::make(url, ca, fleet, None).await
    }

    async fn make(
        url: &str,
        ca: Vec<CertificateDer<'static>>,
        fleet: &Fleet,
        identity: Option<Identity>,
    ) -> Result<Self, Error> {
        let config = transport::client_config(&ca, fleet, identity)?;
        let channel = transport::connect(url, config).await?;
        let operator = OperatorClient::new(channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self { operator, ca, channel, url: url.to_owned() })
    }

    /// Its service for who operates the fleet.
    pub(super) fn operators(&self) -> OperatorsClient<Channel> {
        OperatorsClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Its service for the CA, and for hosts' identities.
    pub(super) fn authority(&self) -> AuthorityClient<Channel> {
        AuthorityClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Its service for who has no certificate.
    pub(super) fn login(&self) -> LoginClient<Channel> {
        LoginClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Its service for secrets.
    pub(super) fn secrets(&self) -> RoleSecretsClient<Channel> {
        RoleSecretsClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Its service for what a bundle would change.
    pub(super) fn preview(&self) -> PreviewClient<Channel> {
        PreviewClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Its service for the trust root.
    pub(super) fn trust(&self) -> TrustClient<Channel> {
        TrustClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Which machines on EC2 become hosts.
    pub(super) fn admission(&self) -> AdmissionClient<Channel> {
        AdmissionClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Turns a refusal into words; `asked` completes "could not …".
    pub(super) fn refusal(&self, asked: &str) -> impl Fn(Status) -> Error + use<> {
        let (asked, url) = (asked.to_owned(), self.url.clone());
        move |status| {
            let said = status.message().chars().filter(|c| !c.is_control()).take(500).collect();
            Error::Refused { asked: asked.clone(), url: url.clone(), code: status.code(), said }
        }
    }
}

/// Why the control plane did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("it is not known which control plane to talk to")]
    Nowhere,
    #[error(transparent)]
    Repository(#[from] repository::Error),
    #[error("{fault}")]
    Url { fault: String },
    #[error("could not read your credentials `{}`", path.display())]
    Credentials {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the credentials in `{}` cannot be used", directory.display())]
    Malformed {
        directory: PathBuf,
        #[source]
        source: transport::Error,
    },
    #[error("your certificate in `{}` expired at {expired}", directory.display())]
    Expired { directory: PathBuf, expired: Timestamp },
    #[error(transparent)]
    Transport(#[from] transport::Error),
    #[error("could not {asked}: {}", sentence(*code, said, url))]
    Refused { asked: String, url: String, code: Code, said: String },
}

impl Error {
    /// What the operator can do next.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Nowhere => "give --server and --credentials, or change to the repository".into(),
            Self::Repository(error) => error.advice(),
            Self::Url { .. } => "give --server or `server` in floe.toml as https://HOST:PORT".into(),
            Self::Credentials { .. } | Self::Malformed { .. } => {
                "`floe serve` writes the first operator's credentials into DATA/operator/admin; name that \
                 directory with --credentials or `operator.credentials` in floe.toml; others \
                 `floe login NAME`"
                    .into()
            }
            Self::Expired { .. } => {
                "`floe login`; the first admin's is made anew when `floe serve` starts".into()
            }
            Self::Transport(error) if is_about_certificates(error) => {
                "this is another fleet's control plane, or your ca.pem is of an older one; compare \
                 `server` and `operator.credentials` in floe.toml"
                    .into()
            }
            Self::Transport(_) => {
                "is `floe serve` running, and is `server` in floe.toml where it listens?".into()
            }
            Self::Refused { code, .. } => advice(*code).into(),
        }
    }

    /// Whether the control plane refused for a reason of policy or trust.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { code, .. } => {
                matches!(
                    code,
                    Code::PermissionDenied | Code::Unauthenticated | Code::FailedPrecondition
                )
            }
            Self::Nowhere
            | Self::Repository(_)
            | Self::Url { .. }
            | Self::Credentials { .. }
            | Self::Malformed { .. }
            | Self::Transport(_) => false,
            Self::Expired { .. } => true,
        }
    }

    /// Whether the control plane said that there is no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: Code::NotFound, .. })
    }

    /// Whether the connection was lost, and may come back.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Refused { code, .. } => {
                matches!(code, Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Aborted)
            }
            Self::Transport(_) => true,
            Self::Nowhere
            | Self::Repository(_)
            | Self::Url { .. }
            | Self::Credentials { .. }
            | Self::Malformed { .. }
            | Self::Expired { .. } => false,
        }
    }
}

/// What the control plane said, as the end of a sentence.
fn sentence(code: Code, said: &str, url: &str) -> String {
    match code {
        Code::Unavailable | Code::Cancelled | Code::Unknown => {
            format!("the control plane at `{url}` does not answer")
        }
        Code::DeadlineExceeded => format!("the control plane at `{url}` took too long"),
        Code::Unauthenticated => "the control plane does not know you".into(),
        Code::Unimplemented => "the control plane is of an older version".into(),
        Code::Internal | Code::DataLoss => format!("the control plane failed: {said}"),
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange => said.to_owned(),
    }
}

fn advice(code: Code) -> &'static str {
    match code {
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded => {
            "is `floe serve` still running? trying again is safe"
        }
        Code::Unauthenticated => {
            "`floe login`; or check that `operator.credentials` in floe.toml names an operator's certificate of this \
             fleet, and that it has not expired"
        }
        Code::PermissionDenied => "ask an admin of the fleet",
        Code::NotFound => {
            "`floe hosts` lists hosts, `floe rollout show ROLE` the newest rollout; \
             `floe push ROLE --no-rollout` publishes"
        }
        Code::InvalidArgument => "ask for something else; --help says what can be asked for",
        Code::AlreadyExists => "somebody else may have pushed meanwhile: push again",
        Code::FailedPrecondition => {
            "compare trust.json here with the one that `floe serve` was started with"
        }
        Code::ResourceExhausted => "try again in a while",
        Code::Unimplemented => "update the control plane",
        Code::Internal | Code::DataLoss => "look into the log of `floe serve`",
        Code::Ok | Code::Aborted | Code::OutOfRange => {
            "try again; if it stays, update floe and the control plane to the same version"
        }
    }
}

/// Whether TLS failed because somebody is not whom they should be.
fn is_about_certificates(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let tls = io.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls.or_else(|| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(_)) => true,
        Some(_) | None => error.source().is_some_and(is_about_certificates),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: Code) -> Error {
        let (asked, url) = ("list hosts".into(), "https://x:7443".into());
        Error::Refused { asked, url, code, said: "no".into() }
    }

    #[test]
    fn a_control_plane_that_went_away_is_named() {
        let error = refused(Code::Unavailable);
        let said = "could not list hosts: the control plane at `https://x:7443` does not answer";
        assert_eq!(error.to_string(), said);
        assert!(error.is_lost() && !error.is_refusal());
    }

    #[test]
    fn policy_and_trust_are_refusals() {
        for code in [Code::PermissionDenied, Code::Unauthenticated, Code::FailedPrecondition] {
            assert!(refused(code).is_refusal(), "{code:?}");
        }
        assert!(!refused(Code::AlreadyExists).is_refusal());
    }

    #[test]
    fn credentials_that_are_not_there_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let Err(error) = Credentials::read(directory.path(), Timestamp::default()) else {
            panic!("there are none")
        };
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }

    #[tokio::test]
    async fn a_control_plane_that_is_not_there_is_named_with_its_url() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        drop(listener);
        let ca = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
        let config =
            transport::client_config(&[ca.cert.der().clone()], &"x".parse().unwrap(), None)
                .unwrap();
        let error = Error::from(transport::connect(&url, config).await.unwrap_err());
        assert!(error.to_string().contains(&url), "{error}");
        assert!(error.advice().contains("floe serve"), "{}", error.advice());
    }
}
