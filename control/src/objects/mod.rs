//! Where payloads and the NARs of closures lie: an S3 bucket, each under its own digest.
//!
//! ```text
//! floe push ──PUT presigned──▶ bucket ◀──GET presigned── agent
//!                                ▲
//! serve ── s3: presign, HEAD ────┘        embedded: the bucket, in process
//! ```
//!
//! Payloads never pass through the gRPC API. [`s3`] is the only client, whether
//! the bucket is Amazon's or [`embedded`]; agents believe digests, not buckets.

pub mod embedded;
pub mod s3;

pub use embedded::Embedded;
pub use s3::{Object, Objects, Presence, Upload};
