//! What rollouts will be once it is stored: everything that was said meanwhile taken in
//! together, on a copy that is thrown away where the store fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floe_proto::id::{HostId, Role, RolloutId};
use floe_proto::time::Timestamp;
use tokio::sync::{oneshot, watch};
use tracing::error;

use super::handle::Started;
use super::ports::{Changes, Here, Trust};
use super::state::{Heard, Present, Release, Rollout, Said, State};

/// A rollout that is not over, and who watches it.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) rollout: Arc<Rollout>,
    pub(super) envelope: Arc<[u8]>,
    pub(super) shown: watch::Sender<Arc<Rollout>>,
}

/// What will be so once it is stored.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) live: BTreeMap<Role, Live>,
    pub(super) number: u64,
    /// Rollouts that a newer one took over, as they are left.
    pub(super) displaced: Vec<(Arc<Rollout>, watch::Sender<Arc<Rollout>>)>,
    pub(super) heard: Vec<Arc<Heard>>,
    pub(super) told: Vec<(HostId, RolloutId, Release)>,
    pub(super) stored: Vec<oneshot::Sender<()>>,
    pub(super) answers: Vec<(oneshot::Sender<Started>, RolloutId)>,
}

impl Draft {
    pub(super) fn start(
        &mut self,
        release: Release,
        envelope: Arc<[u8]>,
        members: Vec<HostId>,
        retry: bool,
        now: Timestamp,
    ) -> Option<RolloutId> {
        let number = self.number.saturating_add(1);
        let Ok(id) = format!("r-{number}").parse::<RolloutId>() else {
            error!("the numbers for rollouts have run out");
            return None;
        };
        self.number = number;
        let role = release.role.clone();
        let rollout =
            Arc::new(Rollout { retry, ..Rollout::new(id.clone(), release, members, now) });
        let shown = watch::Sender::new(Arc::clone(&rollout));
        if let Some(mut old) = self.live.insert(role, Live { rollout, envelope, shown }) {
            Arc::make_mut(&mut old.rollout).supersede(&id, now);
            self.displaced.push((old.rollout, old.shown));
        }
        Some(id)
    }

    /// Whether the outcome of this activation was said a moment ago.
    pub(super) fn has_ended(&self, heard: &Heard) -> bool {
        self.heard.iter().any(|earlier| {
            matches!(earlier.said, Said::Ended(_))
                && (&earlier.host, &earlier.activation) == (&heard.host, &heard.activation)
        })
    }

    pub(super) fn hear(
        &mut self,
        mut heard: Arc<Heard>,
        told: &BTreeMap<HostId, (RolloutId, Release)>,
    ) {
        // A manifest that the host did not believe is the one that it was told.
        if let (Said::Ended(report), Some((_, release))) = (&heard.said, told.get(&heard.host))
            && report.about.is_none()
            && release.role == heard.role
            && let Said::Ended(report) = &mut Arc::make_mut(&mut heard).said
        {
            report.about = Some(release.order());
        }
        // Numbers are a role's: of another one the same are another manifest.
        if let Some(live) = self.live.get_mut(&heard.role) {
            Arc::make_mut(&mut live.rollout).hear(&heard.host, &heard.said);
        }
        self.heard.push(heard);
    }

    /// Withdraws what the trust root believes no more. That something has expired is no
    /// reason: hosts say so themselves, and those that run it go on.
    pub(super) fn judge(&mut self, trust: &impl Trust) {
        for live in self.live.values_mut() {
            let over = live.rollout.withdrawn.is_some() || live.rollout.state == State::Superseded;
            if !over && let Some(why) = trust.objection(&live.envelope, None) {
                Arc::make_mut(&mut live.rollout).withdraw(why);
            }
        }
    }

    pub(super) fn advance(&mut self, here: &BTreeMap<HostId, Here>, now: Timestamp) {
        for (role, live) in &mut self.live {
            let present: Present = here
                .iter()
                .filter(|(_, here)| here.role == *role)
                .map(|(host, here)| (host.clone(), here.word()))
                .collect();
            let mut next = (*live.rollout).clone();
            for host in present.keys() {
                next.join(host);
            }
            for (host, _) in here.iter().filter(|(_, here)| here.role != *role) {
                next.leave(host);
            }
            let (id, release) = (next.id.clone(), next.release.clone());
            self.told.extend(
                next.advance(&present, now)
                    .into_iter()
                    .map(|host| (host, id.clone(), release.clone())),
            );
            if next != *live.rollout {
                live.rollout = Arc::new(next);
            }
        }
    }

    /// What differs from `before`.
    pub(super) fn changes(&self, before: &BTreeMap<Role, Live>) -> Changes {
        let known: BTreeMap<&RolloutId, &Rollout> =
            before.values().map(|live| (&live.rollout.id, &*live.rollout)).collect();
        let displaced = self.displaced.iter().map(|(rollout, _)| rollout);
        let rollouts = displaced
            .chain(self.live.values().map(|live| &live.rollout))
            .filter(|after| known.get(&after.id).is_none_or(|before| **before != ***after))
            .map(|after| {
                let same: BTreeSet<&HostId> =
                    known.get(&after.id).map_or_else(BTreeSet::new, |b| {
                        b.hosts
                            .iter()
                            .filter(|(id, h)| after.hosts.get(*id) == Some(h))
                            .map(|(id, _)| id)
                            .collect()
                    });
                let changed = after.hosts.keys().filter(|id| !same.contains(id));
                let before = known.get(&after.id).into_iter().flat_map(|b| b.hosts.keys());
                let gone = before.filter(|id| !after.hosts.contains_key(*id));
                (Arc::clone(after), changed.chain(gone).cloned().collect())
            })
            .collect();
        Changes { rollouts, heard: self.heard.clone() }
    }
}
