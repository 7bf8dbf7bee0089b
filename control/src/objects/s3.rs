//! The one client of the bucket: presigned URLs, and a look at what is there.
//!
//! An upload is bound to its payload by what is signed into the URL: key, length
//! and SHA-256. Only the lists of closures are ever read here, and those are short.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    timeout::TimeoutConfig,
};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::operation::create_bucket::CreateBucketError;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::ChecksumMode;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use data_encoding::BASE64;
use floe_proto::digest::Digest;

/// How to reach a bucket.
#[derive(Clone)]
pub struct Settings {
    /// `https://HOST:PORT` as hosts and operators reach it, path style.
    pub endpoint: String,
    /// Its region; any word for an embedded one.
    pub region: String,
    /// Its name.
    pub bucket: String,
    /// Who we are there.
    pub access_key: String,
    /// How we prove it.
    pub secret_key: String,
    /// The only CA that is trusted, in PEM.
    pub ca_pem: String,
}

/// The bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
    bucket: String,
}

/// What lies in the bucket, under its own digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// The payload of a bundle.
    Payload(Digest),
    /// A compressed NAR of a closure.
    Nar(Digest),
}

impl Object {
    /// Its place in the bucket.
    fn key(&self) -> String {
        match self {
            Self::Payload(digest) => format!("payloads/{digest}.tar.zst"),
            Self::Nar(digest) => format!("nars/{digest}.nar.zst"),
        }
    }

    /// Its digest as S3 has it: base64 of its bytes.
    fn checksum(&self) -> String {
        let (Self::Payload(digest) | Self::Nar(digest)) = self;
        BASE64.encode(digest.as_bytes())
    }
}

/// Where to PUT an object, with exactly these headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Presigned; good for an hour.
    pub url: String,
    /// Names and values; all are signed.
    pub headers: Vec<(String, String)>,
}

/// Whether an object is in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is, with this length and digest.
    There,
    /// There is nothing under its key.
    Absent,
    /// What lies under its key has another length or digest, or says none.
    Other,
}

impl Objects {
    /// A client of the bucket; nothing is sent yet.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let trust = TrustStore::empty().with_pem_certificate(settings.ca_pem.into_bytes());
        let tls = TlsContext::builder()
            .with_trust_store(trust)
            .build()
            .map_err(|source| Error::Tls(Box::new(source)))?;
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls)
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_timeout(Duration::from_secs(30))
            .build();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts)
            .endpoint_url(settings.endpoint)
            .region(Region::new(settings.region))
            .force_path_style(true)
            .credentials_provider(Credentials::new(
                settings.access_key,
                settings.secret_key,
                None,
                None,
                "floe",
            ))
            // Ours is the SHA-256 of the manifest; the default would sign a CRC32 in.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Ok(Self { client: Client::from_conf(config), bucket: settings.bucket })
    }

    /// Makes the bucket where there is none.
    pub async fn create_bucket(&self) -> Result<(), Error> {
        match self.client.create_bucket().bucket(&self.bucket).send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(
                    CreateBucketError::BucketAlreadyOwnedByYou(_)
                    | CreateBucketError::BucketAlreadyExists(_),
                ) => Ok(()),
                Some(_) | None => Err(failed("make the bucket", &error)),
            },
        }
    }

    /// Where to PUT the object, which has this length.
    pub async fn upload(&self, object: &Object, length: u64) -> Result<Upload, Error> {
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(object.key())
            .content_length(i64::try_from(length).unwrap_or(i64::MAX))
            .checksum_sha256(object.checksum())
            .presigned(presigning(UPLOAD_LIFETIME)?)
            .await
            .map_err(|error| failed("presign an upload", &error))?;
        let headers =
            request.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Upload { url: request.uri().to_owned(), headers })
    }

    /// Where to GET the object, for ten minutes from now on.
    pub async fn download(&self, object: &Object) -> Result<String, Error> {
        self.download_by(object, presigning(DOWNLOAD_LIFETIME)?).await
    }

    /// The same with another time.
    pub(crate) async fn download_by(
        &self,
        object: &Object,
        time: PresigningConfig,
    ) -> Result<String, Error> {
        let request = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(object.key())
            .presigned(time)
            .await
            .map_err(|error| failed("presign a download", &error))?;
        Ok(request.uri().to_owned())
    }

    /// What is there under the object's key, if it has this length; whether it is the
    /// object is the caller's to see.
    pub async fn read(&self, object: &Object, length: u64) -> Result<Option<Vec<u8>>, Error> {
        let got = self.client.get_object().bucket(&self.bucket).key(object.key()).send().await;
        let mut body = match got {
            Ok(got) if got.content_length().and_then(|n| u64::try_from(n).ok()) == Some(length) => {
                got.body
            }
            Ok(_) => return Ok(None),
            Err(error) => match error.as_service_error() {
                Some(GetObjectError::NoSuchKey(_)) => return Ok(None),
                Some(_) | None => return Err(failed("read a payload", &error)),
            },
        };
        let mut bytes = Vec::new();
        while let Some(piece) = body.try_next().await.map_err(|e| failed("read a payload", &e))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > length {
                return Ok(None);
            }
        }
        Ok(Some(bytes))
    }

    /// Whether the object is there, as the bucket says who computed its digest
    /// while it was uploaded.
    pub async fn presence(&self, object: &Object, length: u64) -> Result<Presence, Error> {
        let found = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(object.key())
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        match found {
            Ok(head) => {
                let same_length = head.content_length().and_then(|n| u64::try_from(n).ok());
                let same_digest = head.checksum_sha256() == Some(object.checksum().as_str());
                if same_length == Some(length) && same_digest {
                    Ok(Presence::There)
                } else {
                    Ok(Presence::Other)
                }
            }
            Err(error) => match error.as_service_error() {
                Some(HeadObjectError::NotFound(_)) => Ok(Presence::Absent),
                Some(_) | None => Err(failed("look at a payload", &error)),
            },
        }
    }
}

fn presigning(lifetime: Duration) -> Result<PresigningConfig, Error> {
    PresigningConfig::expires_in(lifetime).map_err(|error| failed("presign a URL", &error))
}

fn failed(what: &'static str, error: &(impl std::error::Error + 'static)) -> Error {
    Error::Bucket { what, why: DisplayErrorContext(error).to_string() }
}

const UPLOAD_LIFETIME: Duration = Duration::from_secs(3600);
const DOWNLOAD_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Why the bucket could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket did not do what it should.
    #[error("could not {what}: {why}")]
    Bucket {
        /// What was tried.
        what: &'static str,
        /// What the bucket, or the way there, said.
        why: String,
    },
    /// The CA cannot be used.
    #[error("the objects' CA cannot be used for TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Bucket { .. } => "check that the control plane reaches its --objects-url",
            Self::Tls(_) => "restore the data directory's `ca` from a backup",
        }
    }
}
