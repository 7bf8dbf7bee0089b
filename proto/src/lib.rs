//! What floe's agent and control plane must agree on, byte for byte.
//!
//! The order in which bytes become trust, and the file that does each step:
//!
//! ```text
//! bytes ─▶ envelope ─▶ verify (root's keys, thresholds) ─▶ json ─▶ manifest ─▶ admit ─▶ payload
//!          DSSE         THE door: makes Verified<T>       strict   document     may    digest, then
//!                                                                             this host  unpack
//! ```
//!
//! * [`envelope`], [`key`], [`digest`], [`json`]: the primitives; one caller each way.
//! * [`root`], [`manifest`], [`secret`]: the signed documents.
//! * [`verify`]: the only maker of [`verify::Verified`].
//! * [`admit`]: pure: may this host run this verified manifest?
//! * [`reboot`]: when a host may be rebooted for what is signed.
//! * [`payload`]: a directory becomes a `tar.zst`, and back, or nothing.
//! * [`entry`]: what of a payload is built.
//! * [`closure`]: what a payload holds that is a built system, by [`store_path`].
//! * [`sealed`]: what only one host can read.
//! * [`login`]: what an operator signs to get a certificate.
//! * [`renewal`]: what a host signs to renew a certificate that has expired.
//! * [`id`], [`version`], [`time`], [`spiffe`], [`report`]: names for things.
//! * [`pb`]: the generated gRPC contract; [`wire`] turns its values into ours.
//! * [`transport`]: the one TLS profile, and the client's connection.

#![warn(missing_docs)]

pub mod admit;
pub mod certificate;
pub mod closure;
pub mod digest;
pub mod entry;
pub mod envelope;
pub mod id;
pub mod json;
pub mod key;
pub mod login;
pub mod manifest;
pub mod payload;
pub mod pb;
pub mod preview;
pub mod reboot;
pub mod renewal;
pub mod report;
pub mod root;
pub mod sealed;
pub mod secret;
pub mod spiffe;
pub mod store_path;
pub mod time;
pub mod transport;
pub mod verify;
pub mod version;
pub mod wire;
