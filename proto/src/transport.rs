//! The one TLS profile, and how a client reaches the control plane.
//!
//! TLS 1.3 only, aws-lc-rs, and no roots but those that are given. Both sides
//! build their configurations here, so that agent, operator and control plane
//! cannot differ. A server is the control plane if its certificate has the name that was
//! dialled *and* says that it speaks for the control plane of the fleet: one of the same
//! CA that speaks for a host or an operator is refused, whatever its names.

mod server;

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::id::Fleet;

/// How long a connection may take to be made, handshake and all.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest gRPC message that either side reads, in bytes: an envelope of the
/// largest size and room to spare.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// The cryptography of every connection.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A certificate and the key that it certifies.
pub struct Identity {
    /// The leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Wiped when dropped.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads a chain and a key from PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Pem`] where either is missing or malformed.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let pem = |_| Error::Pem { what: "certificate and key" };
        let chain = certificates(chain)?;
        Ok(Self { chain, key: PrivateKeyDer::from_pem_slice(key).map_err(pem)? })
    }
}

/// Reads one or more certificates from PEM.
///
/// # Errors
///
/// [`Error::Pem`] where there is none or one is malformed.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = || Error::Pem { what: "certificates" };
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| wrong())?;
    if found.is_empty() { Err(wrong()) } else { Ok(found) }
}

/// A client of `fleet`'s control plane that trusts `ca` alone, and shows `identity` if it
/// has one.
///
/// # Errors
///
/// [`Error`] where certificates and key do not fit.
pub fn client_config(
    ca: &[CertificateDer<'static>],
    fleet: &Fleet,
    identity: Option<Identity>,
) -> Result<ClientConfig, Error> {
    client_config_at(ca, fleet, identity, Arc::new(DefaultTimeProvider))
}

/// The same, by a clock of the caller's.
///
/// # Errors
///
/// [`Error`] where certificates and key do not fit.
pub fn client_config_at(
    ca: &[CertificateDer<'static>],
    fleet: &Fleet,
    identity: Option<Identity>,
    clock: Arc<dyn TimeProvider>,
) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_details(provider(), clock)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        // "Dangerous" is that this is ours: it asks for more than rustls's, which it asks first.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(server::ControlPlane::new(roots(ca)?, fleet)?));
    let mut config = match identity {
        Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// A server that shows `identity`, and accepts clients without a certificate or
/// with one of `client_ca`. Which call needs which is the server's to check.
///
/// # Errors
///
/// [`Error`] where certificates and key do not fit.
pub fn server_config(
    identity: Identity,
    client_ca: &[CertificateDer<'static>],
) -> Result<ServerConfig, Error> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(client_ca)?), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|_| Error::Pem { what: "CA" })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // No 0-RTT: what it carries can be replayed (catalogue T089).
    config.max_early_data_size = 0;
    Ok(config)
}

/// Whether a server of the fleet would accept `chain` now: a leaf for clients, and the
/// certificates between it and one of `ca`.
///
/// # Errors
///
/// [`Error::Tls`] where it would not.
pub fn check_client(
    ca: &[CertificateDer<'static>],
    chain: &[CertificateDer<'static>],
    clock: &dyn TimeProvider,
) -> Result<(), Error> {
    let roots = Arc::new(roots(ca)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|_| Error::Pem { what: "CA" })?;
    let (Some((leaf, issuers)), Some(now)) = (chain.split_first(), clock.current_time()) else {
        return Err(Error::Pem { what: "certificate" });
    };
    verifier.verify_client_cert(leaf, issuers, now)?;
    Ok(())
}

/// A client of HTTPS for payloads, which trusts `roots`: the fleet's CA, and for a
/// real S3 the machine's own roots besides. S3 speaks TLS 1.3 as well.
///
/// # Errors
///
/// [`Error`] where a certificate is malformed.
pub fn https_config(roots: &[CertificateDer<'static>]) -> Result<ClientConfig, Error> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(self::roots(roots)?)
        .with_no_client_auth())
}

/// Connects to the control plane at `url` (`https://HOST:PORT`).
///
/// The connection is made now, so that an error is one of connecting.
///
/// # Errors
///
/// [`Error::Url`] for what is no such URL, [`Error::Unreachable`] for the rest.
pub async fn connect(url: &str, config: ClientConfig) -> Result<Channel, Error> {
    let invalid = || Error::Url { url: url.to_owned() };
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    let host = uri.host().ok_or_else(invalid)?.trim_matches(['[', ']']).to_owned();
    if uri.scheme_str() != Some("https") {
        return Err(invalid());
    }
    let port = uri.port_u16().unwrap_or(443);
    let name = ServerName::try_from(host.clone()).map_err(|_| invalid())?;
    let tls = TlsConnector::from(Arc::new(config));
    let connector = service_fn(move |_: Uri| {
        let (tls, host, name) = (tls.clone(), host.clone(), name.clone());
        async move {
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            tcp.set_nodelay(true)?;
            Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
        }
    });
    Endpoint::from(uri)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(15))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(512 * 1024)
        .connect_with_connector(connector)
        .await
        .map_err(|source| Error::Unreachable { url: url.to_owned(), source })
}

fn roots(ca: &[CertificateDer<'static>]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in ca {
        roots.add(certificate.clone())?;
    }
    Ok(roots)
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A PEM file does not hold what it should.
    #[error("the PEM text holds no readable {what}")]
    Pem {
        /// What was looked for.
        what: &'static str,
    },
    /// Certificates and key do not make a TLS configuration.
    #[error("the certificates cannot be used for TLS")]
    Tls(#[from] rustls::Error),
    /// Not a URL of a control plane.
    #[error("`{url}` is no URL of a control plane; expected `https://HOST:PORT`")]
    Url {
        /// What was given.
        url: String,
    },
    /// Nobody answers, or not as a control plane of this fleet.
    #[error("the control plane at `{url}` cannot be reached")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What went wrong.
        #[source]
        source: tonic::transport::Error,
    },
}
