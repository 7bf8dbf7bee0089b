//! Ways out of the machine other than the control plane: is it we who lost the network, or
//! the control plane that is away? Pure.
//!
//! Without this an outage of the control plane in the midst of a rollout would send a
//! whole fleet back.

use serde::{Deserialize, Serialize};

use super::state::{Trial, Uptime};

/// Which ways out worked when they were tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// `HOST:PORT` of the object store, if it could be connected to. Where that is, only the
    /// control plane can say, so that it is remembered.
    pub objects: Option<String>,
    /// A name that the resolver knew, of the control plane or of the object store.
    pub name: Option<String>,
    /// EC2's instance metadata could be connected to.
    pub metadata: bool,
}

impl Ways {
    /// Whether whatever worked `before` works now, and that leads beyond this machine and
    /// its hypervisor: the metadata alone proves no network.
    pub fn hold_as(&self, before: &Self) -> bool {
        let kept =
            |now: &Option<String>, before: &Option<String>| before.is_none() || now == before;
        (before.objects.is_some() || before.name.is_some())
            && kept(&self.objects, &before.objects)
            && kept(&self.name, &before.name)
            && (self.metadata || !before.metadata)
    }
}

impl Trial {
    /// From when on the other ways out stand for the control plane: in the middle of the time
    /// in which it may come back and there still is enough to soak.
    pub fn alone_from(&self) -> Uptime {
        let manifest = &self.order.manifest;
        let soak = std::time::Duration::from_secs(manifest.health.soak_seconds.into());
        self.before.at.after(manifest.deadline().saturating_sub(soak) / 2)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::activation::played::trial;

    fn all() -> Ways {
        let (objects, name) = (Some("s3:443".to_owned()), Some("s3".to_owned()));
        Ways { objects, name, metadata: true }
    }

    #[test]
    fn t111_what_worked_before_must_work_now() {
        assert!(all().hold_as(&all()));
        for lost in [
            Ways { objects: None, ..all() },
            Ways { name: None, ..all() },
            Ways { metadata: false, ..all() },
        ] {
            assert!(!lost.hold_as(&all()), "{lost:?}");
            assert!(all().hold_as(&lost), "what did not work before need not work now");
        }
    }

    #[test]
    fn t111_the_metadata_alone_and_nothing_at_all_prove_no_network() {
        let metadata = Ways { metadata: true, ..Ways::default() };
        assert!(!metadata.hold_as(&metadata));
        assert!(!all().hold_as(&Ways::default()));
    }

    #[test]
    fn the_control_plane_is_waited_for_and_there_is_time_left_to_soak() {
        let trial = trial();
        let (from, soak) = (trial.alone_from(), Duration::from_secs(10));
        assert_eq!(from, trial.before.at.after(Duration::from_secs(40)));
        assert!(from.after(soak) < trial.until);
    }
}
