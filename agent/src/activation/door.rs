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

/// Whose signatures count now; see `crate::trust`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Believed {
    /// The newest trust root that can be read.
    pub root: Verified<Root>,
    /// The newest version that was ever believed here. Above that of `root` where it is
    /// damaged: by what came before it nothing is judged.
    pub at_least: u32,
}

/// Who judges what may run here.
#[derive(Clone, Debug)]
pub struct Door {
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

/// A preview that this host may build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previewed {
    /// What it says.
    pub manifest: Manifest,
    /// SHA-256 of what was signed.
    pub digest: Digest,
}

impl Door {
    /// Whether this host may run what `envelope` holds, by the trust root of now.
    ///
    /// # Errors
    ///
    /// Why not, for people.
    pub fn admit(
        &self,
        envelope: &[u8],
        believed: &Believed,
        floors: &Floors,
        now: Timestamp,
    ) -> Result<Admitted, Fault> {
        let root = self.root(believed)?;
        let now = floors.now(now);
        let verified = verify::manifest(envelope, root, now).map_err(|e| Fault::of(&e))?;
        admit::admit(&verified, &self.host, floors, now).map_err(|e| Fault::of(&e))?;
        let text = std::str::from_utf8(envelope).map_err(|e| Fault::of(&e))?;
        Ok(Admitted {
            digest: verified.digest(),
            floors: floors.clone().seen(&verified, now),
            manifest: Manifest::clone(&verified),
            envelope: text.to_owned(),
        })
    }

    /// Whether this host may build what `envelope` holds, to be looked at. Nothing is to be
    /// remembered of it.
    ///
    /// # Errors
    ///
    /// Why not, for people: what it would not run it does not build either.
    pub fn admit_preview(
        &self,
        envelope: &[u8],
        believed: &Believed,
        floors: &Floors,
        now: Timestamp,
    ) -> Result<Previewed, Fault> {
        let root = self.root(believed)?;
        let now = floors.now(now);
        let verified = verify::preview(envelope, root, now).map_err(|e| Fault::of(&e))?;
        admit::admit_preview(&verified, &self.host, floors, now).map_err(|e| Fault::of(&e))?;
        Ok(Previewed { digest: verified.digest(), manifest: Manifest::clone(&verified) })
    }

    /// The trust root by which is judged now.
    fn root<'a>(&self, believed: &'a Believed) -> Result<&'a Verified<Root>, Fault> {
        if let Some(why) = &self.closed {
            return Err(why.clone());
        }
        let Believed { root, at_least } = believed;
        if root.version < *at_least {
            let why = format!(
                "version {at_least} of the trust root, which this host believed, is damaged on its disk; nothing is judged by version {}",
                root.version
            );
            return Err(Fault::new(why));
        }
        Ok(root)
    }

    /// Whether this host would run again what it was made to run by `order`. Asked at
    /// the time of its signature, so that no clock decides.
    ///
    /// # Errors
    ///
    /// Why not, for people.
    pub fn readmit(
        &self,
        order: &Order,
        believed: &Believed,
        floors: &Floors,
    ) -> Result<(), Fault> {
        let then = order.manifest.created;
        let floors = Floors { newest_signed: None, ..floors.clone() };
        self.admit(order.envelope.as_bytes(), believed, &floors, then).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::played::order;
    use crate::testing::trust;

    fn door() -> Door {
        Door { host: trust::host(), closed: None }
    }

    fn believed(version: u32, release: &[u8]) -> Believed {
        let root = verify::pinned_root(&trust::root(version, &[1], release, &[1])).unwrap();
        Believed { at_least: root.version, root }
    }

    fn admits(believed: &Believed) -> Result<(), String> {
        let (envelope, created) = trust::manifest(2);
        let admitted = door().admit(&envelope, believed, &Floors::default(), created);
        admitted.map(|_| ()).map_err(|why| why.to_string())
    }

    #[test]
    fn what_a_revoked_key_signed_is_refused_by_the_root_that_revoked_it() {
        assert_eq!(admits(&believed(1, &[2, 3])), Ok(()));
        let why = admits(&believed(2, &[3])).unwrap_err();
        assert!(why.contains("release keys"), "{why}");
    }

    #[test]
    fn t032_what_runs_may_run_on_after_its_end_and_nothing_new_begins() {
        let (envelope, created) = trust::manifest(2);
        let (believed, none) = (believed(1, &[2]), Floors::default());
        let admitted = door().admit(&envelope, &believed, &none, created).unwrap();
        let order = Order {
            manifest: admitted.manifest,
            digest: admitted.digest,
            envelope: admitted.envelope,
            ..order(7)
        };
        // Past the end of the manifest, and of the trust root.
        let floors = Floors { newest_signed: Some(order.manifest.expires), ..none };
        assert_eq!(door().readmit(&order, &believed, &floors), Ok(()));
        assert!(door().admit(&envelope, &believed, &floors, created).is_err());
    }

    #[test]
    fn t007_a_preview_is_built_and_never_run_and_a_manifest_is_no_preview() {
        let (believed, floors) = (believed(1, &[2]), Floors::default());
        let (preview, created) = trust::preview(2);
        let (manifest, _) = trust::manifest(2);
        let (door, now) = (door(), created);
        assert!(door.admit_preview(&preview, &believed, &floors, now).is_ok());
        let why = door.admit(&preview, &believed, &floors, now).unwrap_err().to_string();
        assert!(why.contains("preview.v1"), "{why}");
        let why = door.admit_preview(&manifest, &believed, &floors, now).unwrap_err().to_string();
        assert!(why.contains("manifest.v1"), "{why}");
        let (forged, _) = trust::preview(9);
        let why = door.admit_preview(&forged, &believed, &floors, now).unwrap_err().to_string();
        assert!(why.contains("release keys"), "{why}");
    }

    #[test]
    fn t022_t027_what_a_host_would_not_run_it_does_not_build() {
        let (believed, (preview, created)) = (believed(1, &[2]), trust::preview(2));
        let refused = |door: &Door, floors: &Floors| {
            let judged = door.admit_preview(&preview, &believed, floors, created);
            judged.unwrap_err().to_string()
        };
        let mut elsewhere = door();
        elsewhere.host.role = "db".parse().unwrap();
        assert!(refused(&elsewhere, &Floors::default()).contains("role `db`"));
        let manifest = order(7).manifest;
        let above = (manifest.epoch, manifest.serial.next().unwrap());
        let floors = Floors { floor: Some(above), ..Floors::default() };
        assert!(refused(&door(), &floors).contains("floor"));
        let closed = Door { closed: Some(Fault::new("damaged")), ..door() };
        assert_eq!(refused(&closed, &Floors::default()), "damaged");
    }

    #[test]
    fn t016_by_a_root_that_is_older_than_what_was_believed_nothing_is_judged() {
        let why = admits(&Believed { at_least: 2, ..believed(1, &[2]) }).unwrap_err();
        assert!(why.contains("version 2"), "{why}");
    }
}
