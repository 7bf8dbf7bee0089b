//! Bytes of an assignment become an order, or a refusal: nothing is done before.
//!
//! The signatures are checked by [`floe_proto::verify`], and whether this host may
//! run it by [`floe_proto::admit`]. Pure; what the host remembers is an argument.

use floe_proto::admit::{self, Floors, Host};
use floe_proto::digest::Digest;
use floe_proto::manifest::Manifest;
use floe_proto::root::Root;
use floe_proto::time::Timestamp;
use floe_proto::verify::{self, Verified};

use super::state::{Fault, Order};

/// Who judges what may run here.
#[derive(Clone, Debug)]
pub struct Door {
    /// Whose signatures count.
    pub root: Verified<Root>,
    /// What is fixed about this host.
    pub host: Host,
    /// Why nothing at all may run, whoever signed it.
    pub closed: Option<Fault>,
}

/// A manifest that this host may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// What it says.
    pub manifest: Manifest,
    /// SHA-256 of what was signed.
    pub digest: Digest,
    /// What the host remembers once it has seen this.
    pub floors: Floors,
    /// The envelope, which is JSON.
    pub envelope: String,
}

impl Door {
    /// Whether this host may run what `envelope` holds.
    ///
    /// # Errors
    ///
    /// Why not, for people.
    pub fn admit(
        &self,
        envelope: &[u8],
        floors: &Floors,
        now: Timestamp,
    ) -> Result<Admitted, Fault> {
        if let Some(why) = &self.closed {
            return Err(why.clone());
        }
        let now = floors.now(now);
        let verified = verify::manifest(envelope, &self.root, now).map_err(|e| Fault::of(&e))?;
        admit::admit(&verified, &self.host, floors, now).map_err(|e| Fault::of(&e))?;
        let text = std::str::from_utf8(envelope).map_err(|e| Fault::of(&e))?;
        Ok(Admitted {
            digest: verified.digest(),
            floors: floors.clone().seen(&verified),
            manifest: Manifest::clone(&verified),
            envelope: text.to_owned(),
        })
    }

    /// Whether this host would run again what it was made to run by `order`. Asked at
    /// the time of its signature, so that no clock decides.
    ///
    /// # Errors
    ///
    /// Why not, for people.
    pub fn readmit(&self, order: &Order, floors: &Floors) -> Result<(), Fault> {
        let then = order.manifest.created;
        let floors = Floors { newest_signed: None, ..floors.clone() };
        self.admit(order.envelope.as_bytes(), &floors, then).map(|_| ())
    }
}
