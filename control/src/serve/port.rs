//! Ports, and the names under which others reach them.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rcgen::SanType;
use tokio::net::TcpListener;
use tonic::transport::Uri;

/// A port that is ours, and how others reach it.
pub(super) struct Port {
    pub(super) listener: TcpListener,
    pub(super) url: String,
    address: SocketAddr,
}

impl Port {
    /// Takes `address` for `what`; `url` says how others reach it.
    pub(super) async fn bind(
        what: &'static str,
        address: SocketAddr,
        url: Option<&str>,
    ) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).await.map_err(|error| Error::Bind {
            what,
            address,
            error,
        })?;
        let address =
            listener.local_addr().map_err(|error| Error::Bind { what, address, error })?;
        let url = url_of(what, address, url)?;
        Ok(Self { listener, url, address })
    }
}

/// How others reach `address`, by `url` or else by itself.
pub(super) fn url_of(
    what: &'static str,
    address: SocketAddr,
    url: Option<&str>,
) -> Result<String, Error> {
    match url {
        Some(url) => Ok(url.trim_end_matches('/').to_owned()),
        None if address.ip().is_unspecified() => Err(Error::NoUrl { what, address }),
        None => Ok(format!("https://{address}")),
    }
}

/// The name or the address that `url` has for us.
pub(super) fn host(url: &str) -> Result<String, Error> {
    let invalid = || Error::Url { url: url.to_owned() };
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    if uri.scheme_str() != Some("https") {
        return Err(invalid());
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
    Ok(host.trim_matches(['[', ']']).to_ascii_lowercase())
}

/// The names in the control plane's certificate: those of its URLs, where it
/// listens, and this machine's own.
pub(super) fn names(ports: &[&Port]) -> Result<Vec<SanType>, Error> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for port in ports {
        hosts.push(host(&port.url)?);
        if !port.address.ip().is_unspecified() {
            hosts.push(port.address.ip().to_string());
        }
    }
    hosts.sort();
    hosts.dedup();
    let name = |host: String| match host.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => match host.clone().try_into() {
            Ok(name) => Ok(SanType::DnsName(name)),
            Err(_) => Err(Error::Url { url: host }),
        },
    };
    hosts.into_iter().map(name).collect()
}

/// Why a port cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is not to be had.
    #[error("could not listen on {address} for {what}: {}", bind_fault(error))]
    Bind {
        /// For what.
        what: &'static str,
        /// Which.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// Listening everywhere says nothing of how to be reached.
    #[error("listening on {address} for {what} needs a URL under which others reach it")]
    NoUrl {
        /// For what.
        what: &'static str,
        /// Where.
        address: SocketAddr,
    },
    /// A URL cannot be one of ours.
    #[error("`{url}` is no URL to be reached under; expected `https://HOST:PORT`")]
    Url {
        /// What was given.
        url: String,
    },
}

fn bind_fault(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        "the port is in use".to_owned()
    } else {
        error.to_string()
    }
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Bind { .. } => {
                "stop who uses it, or choose others with --listen and --objects-listen, or in [serve] of floe.toml"
            }
            Self::NoUrl { .. } => {
                "say --public-url and --objects-url, or `public_url` and `objects_url` in [serve] of floe.toml"
            }
            Self::Url { .. } => "correct --public-url or --objects-url, or [serve] of floe.toml",
        }
    }
}
