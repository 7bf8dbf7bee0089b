//! The embedded bucket: s3s-fs in this process, for trying, tests and small fleets.
//!
//! It speaks S3 to whoever has a signed request, and does only what floe needs:
//! make the bucket, put, get, look. A payload that is there with its digest is
//! never written again, one that comes with another digest is never put in place, and
//! one whose upload was answered is on disk. (s3s-fs alone puts a file in place before
//! it compares, and does not sync it.)

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use floe_proto::digest::Hasher;
use futures_util::{Stream, ready};
use s3s::auth::SimpleAuth;
use s3s::dto::{
    CreateBucketInput, CreateBucketOutput, GetObjectInput, GetObjectOutput, HeadObjectInput,
    HeadObjectOutput, PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use serde::{Deserialize, Serialize};

use crate::durable::write_file;

/// The name of the embedded bucket.
pub const BUCKET: &str = "floe";

/// The embedded bucket.
pub struct Embedded {
    service: S3Service,
    credentials: Credentials,
}

/// Who may sign requests: the control plane alone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The name.
    pub access_key: String,
    /// The secret.
    pub secret_key: String,
}

impl Embedded {
    /// Opens the bucket's directory, and makes credentials at the first start.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let io = |path: &Path, source| Error::Io { path: path.to_owned(), source };
        let store = directory.join("store");
        fs::create_dir_all(&store).map_err(|source| io(&store, source))?;
        let path = directory.join("credentials.json");
        let credentials = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|_| Error::Credentials { path: path.clone() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let credentials = Credentials::generate()?;
                let text = serde_json::to_vec(&credentials)
                    .map_err(|_| Error::Credentials { path: path.clone() })?;
                write_file(&path, &text, 0o600).map_err(|source| io(&path, source))?;
                credentials
            }
            Err(source) => return Err(io(&path, source)),
        };
        let files = FileSystem::new(&store)
            .map_err(|error| Error::Store { path: store.clone(), why: format!("{error:?}") })?;
        let mut builder = S3ServiceBuilder::new(Bucket { files, store });
        builder.set_auth(SimpleAuth::from_single(
            credentials.access_key.clone(),
            credentials.secret_key.clone(),
        ));
        Ok(Self { service: builder.build(), credentials })
    }

    /// What answers requests; for hyper.
    pub fn service(&self) -> S3Service {
        self.service.clone()
    }

    /// For [`super::Objects`].
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

impl Credentials {
    fn generate() -> Result<Self, Error> {
        let mut bits = [0; 42];
        getrandom::fill(&mut bits).map_err(|_| Error::NoRandomness)?;
        let (name, secret) = bits.split_at(10);
        Ok(Self {
            access_key: format!("FLOE{}", HEXLOWER.encode(name).to_ascii_uppercase()),
            secret_key: HEXLOWER.encode(secret),
        })
    }
}

/// s3s-fs, reduced to what floe does with a bucket. What is not here answers
/// "not implemented". (The trait is s3s's, and made with `async_trait`.)
struct Bucket {
    files: FileSystem,
    store: PathBuf,
}

#[async_trait::async_trait]
impl S3 for Bucket {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.files.create_bucket(request).await
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.files.head_object(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.files.get_object(request).await
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.put(request).await
    }
}

impl Bucket {
    async fn put(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut request.input;
        let Some(checksum) = input.checksum_sha256.clone() else {
            return Err(s3_error!(InvalidRequest, "a payload needs x-amz-checksum-sha256"));
        };
        let object = self.store.join(&input.bucket).join(&input.key);
        let differs = Arc::new(AtomicBool::new(false));
        if let Some(body) = input.body.take() {
            let (hasher, differs) = (Some(Hasher::default()), Arc::clone(&differs));
            let body = Compared { body, hasher, checksum: checksum.clone(), differs };
            input.body = Some(StreamingBlob::wrap(body));
        }
        let head = HeadObjectInput::builder()
            .bucket(input.bucket.clone())
            .key(input.key.clone())
            .build()
            .map_err(|_| s3_error!(InternalError))?;
        let there = self.files.head_object(with(&request, head)).await;
        if there.is_ok_and(|there| there.output.checksum_sha256 == Some(checksum)) {
            return Err(s3_error!(PreconditionFailed, "the payload is there already"));
        }
        let done = self.files.put_object(request).await;
        if differs.load(Ordering::Acquire) {
            return Err(s3_error!(BadDigest, "this is not the payload with that checksum"));
        }
        let done = done?;
        let synced = tokio::task::spawn_blocking(move || sync(&object)).await;
        match synced {
            Ok(Ok(())) => Ok(done),
            Ok(Err(error)) => Err(S3Error::with_source(S3ErrorCode::InternalError, error.into())),
            Err(error) => Err(S3Error::with_source(S3ErrorCode::InternalError, error.into())),
        }
    }
}

/// A file and its name, in a directory that may be new too.
fn sync(object: &Path) -> io::Result<()> {
    object.ancestors().take(3).try_for_each(|path| fs::File::open(path)?.sync_all())
}

/// A body that fails at its end where it is not the one that was announced: what is
/// there of the same name, whoever put it there meanwhile, then stays as it is.
struct Compared {
    body: StreamingBlob,
    /// `None` once it was compared.
    hasher: Option<Hasher>,
    /// As S3 has it: base64 of SHA-256.
    checksum: String,
    differs: Arc<AtomicBool>,
}

impl Stream for Compared {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = match ready!(Pin::new(&mut self.body).poll_next(context)) {
            Some(Ok(bytes)) => {
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(&bytes);
                }
                Some(Ok(bytes))
            }
            Some(Err(error)) => Some(Err(io::Error::other(error))),
            None => {
                let digest = self.hasher.take().map(Hasher::finish);
                let differs = digest.is_some_and(|d| BASE64.encode(d.as_bytes()) != self.checksum);
                self.differs.fetch_or(differs, Ordering::Release);
                differs.then(|| Err(io::Error::other("another payload than was announced")))
            }
        };
        Poll::Ready(item)
    }
}

/// Another request of the same caller.
fn with<T, U>(request: &S3Request<T>, input: U) -> S3Request<U> {
    S3Request {
        input,
        method: request.method.clone(),
        uri: request.uri.clone(),
        headers: request.headers.clone(),
        extensions: Default::default(),
        credentials: request.credentials.clone(),
        region: request.region.clone(),
        service: request.service.clone(),
        trailing_headers: None,
    }
}

/// Why the embedded bucket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of it could not be read or written.
    #[error("could not use `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its directory could not be opened.
    #[error("could not open the objects in `{}`: {why}", path.display())]
    Store {
        /// The directory.
        path: PathBuf,
        /// What s3s-fs said.
        why: String,
    },
    /// Its credentials make no sense.
    #[error("`{}` holds no credentials", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Io { .. } | Self::Store { .. } | Self::NoRandomness => {
                "look at the permissions and the free space of the data directory"
            }
            Self::Credentials { .. } => {
                "remove the file; new credentials are made at the next start"
            }
        }
    }
}
