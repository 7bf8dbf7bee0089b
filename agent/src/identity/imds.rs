//! What EC2 says about the machine that this process runs on.
//!
//! Version 2 of the instance metadata service alone: a token is asked for with PUT and
//! shown with each GET, so that nobody who can only make this machine fetch a URL (a
//! redirect, a proxy, a `Location`) gets an answer. The session is as short as its two
//! questions. Promises: no proxy, no redirect, no byte past the bound, a deadline on
//! everything. Judges nothing: whether AWS signed the document, the control plane says.
//!
//! After AWS's EC2 User Guide, "Use the Instance Metadata Service to access instance
//! metadata" and "Verify instance identity documents".

use std::net::Ipv4Addr;
use std::time::Duration;

use data_encoding::BASE64;
use floe_proto::id::HostId;
use reqwest::{Client, Method, StatusCode};

/// The same address in every region; it is the hypervisor that answers.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

const TOKEN: &str = "/latest/api/token";
const INSTANCE: &str = "/latest/meta-data/instance-id";

/// The document inside its RSA-2048 signature; `pkcs7` beside it is DSA, and
/// `signature` is of a key of 1024 bits (docs/trust.md 3.1).
const DOCUMENT: &str = "/latest/dynamic/instance-identity/rsa2048";

/// How long a token is good for, in seconds: two questions and some patience.
const TOKEN_LIFETIME: &str = "60";
const TOKEN_LIFETIME_HEADER: &str = "X-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "X-aws-ec2-metadata-token";

/// How long one answer may take. It never leaves the machine that this one runs on.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Tokens and instance ids are less than a hundred bytes.
const MAX_WORD: usize = 1024;

/// `enrolment.proto` allows a document of 16 KiB; it comes as Base64, in lines.
const MAX_DOCUMENT: usize = 16 * 1024;
const MAX_DOCUMENT_TEXT: usize = MAX_DOCUMENT / 3 * 4 + 1024;

/// The instance metadata service.
#[derive(Clone, Debug)]
pub struct Imds {
    base: String,
}

impl Imds {
    /// Where AWS has it. Nothing is asked yet.
    pub fn new() -> Self {
        Self { base: format!("http://{ADDRESS}") }
    }

    #[cfg(test)]
    pub(super) fn at(base: String) -> Self {
        Self { base }
    }

    /// Which instance this is.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub(super) async fn instance(&self) -> Result<HostId, Error> {
        let text = self.ask(INSTANCE, MAX_WORD).await?;
        let instance: Option<HostId> = text.trim().parse().ok();
        // A `local-` name is a host id as well, and one that EC2 never gave.
        instance.filter(HostId::is_instance).ok_or(Error::Malformed { path: INSTANCE })
    }

    /// The identity document as AWS signed it: PKCS#7, DER or BER.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub(super) async fn document(&self) -> Result<Vec<u8>, Error> {
        let text = self.ask(DOCUMENT, MAX_DOCUMENT_TEXT).await?;
        let text: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
        let document = BASE64.decode(&text).ok();
        document
            .filter(|document| (1..=MAX_DOCUMENT).contains(&document.len()))
            .ok_or(Error::Malformed { path: DOCUMENT })
    }

    async fn ask(&self, path: &'static str, limit: usize) -> Result<String, Error> {
        let client = client()?;
        let token = client
            .request(Method::PUT, format!("{}{TOKEN}", self.base))
            .header(TOKEN_LIFETIME_HEADER, TOKEN_LIFETIME);
        let token = answer(token, TOKEN, MAX_WORD).await?;
        let question =
            client.get(format!("{}{path}", self.base)).header(TOKEN_HEADER, token.trim());
        answer(question, path, limit).await
    }
}

impl Default for Imds {
    fn default() -> Self {
        Self::new()
    }
}

/// Made for one question and dropped: an agent asks once in its life.
fn client() -> Result<Client, Error> {
    // Of two providers in the tree rustls would choose none. Installed already is as good.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([])
        .http1_only()
        .timeout(ANSWER_TIMEOUT)
        .build()
        .map_err(|source| Error::Unreachable { source })
}

async fn answer(
    question: reqwest::RequestBuilder,
    path: &'static str,
    limit: usize,
) -> Result<String, Error> {
    let unreachable = |source| Error::Unreachable { source };
    let mut response = question.send().await.map_err(unreachable)?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::FORBIDDEN => return Err(Error::Off),
        status => return Err(Error::Status { path, status: status.as_u16() }),
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limit {
            return Err(Error::Malformed { path });
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::Malformed { path })
}

/// Why EC2 says nothing about this machine.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the instance metadata service does not answer")]
    Unreachable {
        #[source]
        source: reqwest::Error,
    },
    /// AWS answers 403 where it is turned off for the instance.
    #[error("the instance metadata service is turned off for this instance")]
    Off,
    #[error("the instance metadata service answered {status} to `{path}`")]
    Status { path: &'static str, status: u16 },
    #[error("what the instance metadata service has at `{path}` is not what belongs there")]
    Malformed { path: &'static str },
}

impl Error {
    /// What to do next.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Status { .. } | Self::Malformed { .. } => {
                "`attestation = \"aws-iid\"` is for EC2 instances: elsewhere set `token` in agent.toml; on EC2 let this machine reach 169.254.169.254"
            }
            Self::Off => {
                "turn it on: `aws ec2 modify-instance-metadata-options --http-endpoint enabled --http-tokens required`"
            }
        }
    }
}

#[cfg(test)]
#[path = "imds_tests.rs"]
mod tests;
