//! The upload of a payload to where the control plane says.
//!
//! Only the PUT: who asks for the URL and says that it is done is `cli/push.rs`. The
//! embedded store shows a certificate of the fleet's CA, a real S3 one of the public
//! authorities. Reading all of those costs more than a small upload, so they are read
//! only when the fleet's CA did not sign for the server.

use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Certificate, Client};
use rustls::pki_types::CertificateDer;
use tokio_util::io::ReaderStream;

/// How long the store may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// Where a payload goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// A presigned URL.
    pub url: String,
    /// The headers that were signed into it.
    pub headers: Vec<(String, String)>,
}

/// Puts the `length` bytes of `payload` to `target`.
///
/// # Errors
///
/// [`Error`]; the store has all of the payload, or none.
pub async fn upload(
    payload: &Path,
    length: u64,
    target: &Target,
    ca: &[CertificateDer<'static>],
) -> Result<(), Error> {
    let ca = ca.iter().map(|der| Certificate::from_der(der)).collect::<Result<Vec<_>, _>>();
    let ca = ca.map_err(Error::Client)?;
    let client = || Client::builder().read_timeout(SILENCE).connect_timeout(CONNECT);
    let fleet_only = client().tls_certs_only(ca.clone()).build().map_err(Error::Client)?;
    match put(&fleet_only, payload, length, target).await {
        Err(Error::Sent { source }) if is_about_certificates(&source) => {
            let everybody = client().tls_certs_merge(ca).build().map_err(Error::Client)?;
            put(&everybody, payload, length, target).await
        }
        done => done,
    }
}

/// How long the connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

async fn put(client: &Client, payload: &Path, length: u64, target: &Target) -> Result<(), Error> {
    let file = tokio::fs::File::open(payload).await.map_err(Error::Read)?;
    let mut headers = HeaderMap::new();
    for (name, value) in &target.headers {
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
        else {
            return Err(Error::Header { name: name.clone() });
        };
        headers.insert(name, value);
    }
    headers.insert(CONTENT_LENGTH, length.into());
    let request =
        client.put(&target.url).headers(headers).body(Body::wrap_stream(ReaderStream::new(file)));
    // A presigned URL is a secret for as long as it lives; it stays out of errors.
    let sent = request.send().await.map_err(|error| Error::Sent { source: error.without_url() })?;
    let status = sent.status();
    if status.is_success() {
        return Ok(());
    }
    let said = sent.text().await.unwrap_or_default();
    Err(Error::Refused { status: status.as_u16(), said: first_words(&said) })
}

/// Whether the server is somebody whom the given roots do not vouch for.
fn is_about_certificates(error: &reqwest::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        let tls = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = tls.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(_)) = tls.or_else(|| error.downcast_ref()) {
            return true;
        }
        source = error.source();
    }
    false
}

/// S3 answers with XML; the `Message` in it is for people.
fn first_words(said: &str) -> String {
    let message = said.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    let text = message.map_or(said, |(message, _)| message);
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Why a payload was not uploaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client cannot be set up.
    #[error("could not set up the upload")]
    Client(#[source] reqwest::Error),
    /// The payload is gone.
    #[error("could not read the payload")]
    Read(#[source] io::Error),
    /// The control plane asked for what no request can carry.
    #[error("the control plane asked for a header that cannot be sent: `{name}`")]
    Header {
        /// Its name.
        name: String,
    },
    /// The store was not reached, or went away.
    #[error("could not upload the payload")]
    Sent {
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// The store said no.
    #[error("the store did not take the payload: HTTP {status} {said}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        said: String,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Client(_) => "check ca.pem in the operator's credentials",
            Self::Read(_) => "free space in the directory for temporary files, then push again",
            Self::Header { .. } => "update floe",
            Self::Sent { .. } => {
                "check that the object store of the control plane (`--objects-url`) can be reached \
                 from here; pushing again is safe"
            }
            Self::Refused { .. } => "push again; if it stays, look into the log of `floe serve`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_s3_says_is_shortened_to_its_message() {
        let xml = "<?xml?><Error><Code>X</Code><Message>Request has expired</Message></Error>";
        assert_eq!(first_words(xml), "Request has expired");
        assert_eq!(first_words("plain\nwords"), "plainwords");
    }
}
