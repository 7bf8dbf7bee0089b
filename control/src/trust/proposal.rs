//! The next version of the trust root while it is made: drawn up, signed by one key
//! holder after the other, its pieces merged, and found to be complete.
//!
//! Pure. Whatever changes the text takes all signatures away, since they are over
//! another one. A proposal is believed by nobody: [`Proposal::finish`] asks the one
//! door, [`verify`], whether hosts would.

use floe_proto::envelope::{self, Envelope};
use floe_proto::id::{Epoch, Fleet};
use floe_proto::key::{KeyId, PublicKey};
use floe_proto::root::{self, Root, Signers};
use floe_proto::time::Timestamp;
use floe_proto::verify::{self, Verified};

use super::key_role::KeyRole;

/// The most keys that a role can ask for: the signatures of two versions' root roles
/// must fit into one envelope.
pub const MAX_THRESHOLD: u32 = 8;

/// A version of the trust root that is not believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    root: Root,
    envelope: Envelope,
}

/// One change of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key may sign for a role.
    AddKey(PublicKey, KeyRole),
    /// A key may sign for a role no more; with `None`, for none at all.
    RemoveKey(KeyId, Option<KeyRole>),
    /// So many keys of a role must sign.
    SetThreshold(KeyRole, u32),
    /// Until when it is good.
    Expire(Timestamp),
    /// The next epoch: every manifest that was signed before counts no more.
    RaiseEpoch,
}

/// Keys of which some must sign the proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The version whose root role this is.
    pub version: u32,
    /// How many must sign.
    pub needed: u32,
    /// Who did.
    pub signed: Vec<KeyId>,
    /// Who still may.
    pub may: Vec<KeyId>,
}

impl Requirement {
    /// How many signatures are missing.
    pub fn missing(&self) -> u32 {
        self.needed.saturating_sub(u32::try_from(self.signed.len()).unwrap_or(u32::MAX))
    }
}

impl Proposal {
    /// Version 1: each list of keys, and how many of it must sign.
    ///
    /// # Errors
    ///
    /// [`Error::Threshold`] or [`Error::Root`] for what contradicts itself.
    pub fn first(
        fleet: Fleet,
        root: (&[PublicKey], u32),
        release: (&[PublicKey], u32),
        expires: Timestamp,
    ) -> Result<Self, Error> {
        let mut keys: Vec<PublicKey> = Vec::new();
        for key in root.0.iter().chain(release.0) {
            if !keys.contains(key) {
                keys.push(*key);
            }
        }
        let signers = |(keys, threshold): (&[PublicKey], u32)| Signers {
            threshold,
            keys: keys.iter().map(PublicKey::id).collect(),
        };
        Self::unsigned(Root {
            schema: root::SCHEMA,
            fleet,
            version: 1,
            epoch: Epoch::default(),
            expires: expires.whole_seconds(),
            keys,
            root: signers(root),
            release: signers(release),
        })
    }

    /// What follows `current`: the same, but one version further and good until then.
    ///
    /// # Errors
    ///
    /// [`Error::RanOut`] after the last version.
    pub fn after(current: &Root, expires: Timestamp) -> Result<Self, Error> {
        let version = current.version.checked_add(1).ok_or(Error::RanOut("versions"))?;
        Self::unsigned(Root { version, expires: expires.whole_seconds(), ..current.clone() })
    }

    /// Reads a proposal, or a piece of one; its signatures are only counted.
    ///
    /// # Errors
    ///
    /// [`Error`] for what is no trust root.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let envelope = Envelope::parse(bytes)?;
        if envelope.payload_type() != root::TYPE {
            return Err(Error::OtherKind);
        }
        let root = Root::parse(envelope.unverified_payload())?;
        Ok(Self { root, envelope })
    }

    /// What it says.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// What is signed, and by whom so far.
    pub fn envelope_mut(&mut self) -> &mut Envelope {
        &mut self.envelope
    }

    /// As it is kept in a file and handed around.
    ///
    /// # Errors
    ///
    /// [`Error::Envelope`], which no proposal meets.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        Ok(self.envelope.to_bytes()?)
    }

    /// Makes sure that it follows `current`, or is the first where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::NotTheNext`] or [`Error::OtherFleet`].
    pub fn follows(&self, fleet: &Fleet, current: Option<&Root>) -> Result<(), Error> {
        if self.root.fleet != *fleet {
            let (ours, theirs) = (fleet.clone(), self.root.fleet.clone());
            return Err(Error::OtherFleet { ours, theirs });
        }
        let ours = current.map_or(0, |root| root.version);
        if Some(self.root.version) == ours.checked_add(1) {
            return Ok(());
        }
        Err(Error::NotTheNext { ours, theirs: self.root.version })
    }

    /// Changes the text. No signature is left afterwards.
    ///
    /// # Errors
    ///
    /// [`Error`] for what changes nothing or contradicts itself; nothing is changed then.
    pub fn change(&mut self, change: Change) -> Result<(), Error> {
        let mut root = self.root.clone();
        match change {
            Change::AddKey(key, role) => {
                let signers = signers(&mut root, role);
                if signers.keys.contains(&key.id()) {
                    return Err(Error::Listed { key: key.id(), role });
                }
                signers.keys.push(key.id());
                if !root.keys.contains(&key) {
                    root.keys.push(key);
                }
            }
            Change::RemoveKey(key, role) => {
                let roles = role.map_or_else(|| KeyRole::ALL.to_vec(), |role| vec![role]);
                let before = (root.root.keys.len(), root.release.keys.len());
                for role in roles {
                    signers(&mut root, role).keys.retain(|id| *id != key);
                }
                if before == (root.root.keys.len(), root.release.keys.len()) {
                    return Err(Error::NotListed { key, role });
                }
                let (top, release) = (&root.root.keys, &root.release.keys);
                root.keys.retain(|known| {
                    known.id() != key || top.contains(&key) || release.contains(&key)
                });
            }
            Change::SetThreshold(role, threshold) => signers(&mut root, role).threshold = threshold,
            Change::Expire(at) => root.expires = at.whole_seconds(),
            Change::RaiseEpoch => {
                let next = root.epoch.get().checked_add(1).ok_or(Error::RanOut("epochs"))?;
                root.epoch = Epoch::new(next);
            }
        }
        *self = Self::unsigned(root)?;
        Ok(())
    }

    /// Takes over the signatures of another piece of the same text.
    ///
    /// # Errors
    ///
    /// [`Error::Envelope`] for a piece of another text, or where there is no room.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        Ok(self.envelope.merge(&other.envelope)?)
    }

    /// Who must sign: the root role of the version before, if there is one, and its own.
    pub fn requirements(&self, current: Option<&Root>) -> Vec<Requirement> {
        let of = |root: &Root| {
            let keys: Vec<PublicKey> = root
                .keys
                .iter()
                .filter(|key| root.root.keys.contains(&key.id()))
                .copied()
                .collect();
            let signed: Vec<_> = self.envelope.signers(&keys).iter().map(PublicKey::id).collect();
            let may = keys.iter().map(PublicKey::id).filter(|id| !signed.contains(id)).collect();
            Requirement { version: root.version, needed: root.root.threshold, signed, may }
        };
        current.into_iter().chain([&self.root]).map(of).collect()
    }

    /// What hosts and the control plane would make of it.
    ///
    /// # Errors
    ///
    /// [`verify::Error`], as theirs.
    pub fn finish(
        &self,
        current: Option<&Verified<Root>>,
    ) -> Result<Verified<Root>, verify::Error> {
        let bytes = self.envelope.to_bytes()?;
        match current {
            Some(current) => verify::successor(&bytes, current),
            None => verify::pinned_root(&bytes),
        }
    }

    fn unsigned(root: Root) -> Result<Self, Error> {
        for role in KeyRole::ALL {
            let Signers { threshold, keys } = match role {
                KeyRole::Root => &root.root,
                KeyRole::Release => &root.release,
            };
            let (threshold, keys) = (*threshold, keys.len());
            let reachable = usize::try_from(threshold).is_ok_and(|needed| needed <= keys);
            if threshold == 0 || threshold > MAX_THRESHOLD || !reachable {
                return Err(Error::Threshold { role, threshold, keys });
            }
        }
        let envelope = Envelope::unsigned(root::TYPE, root.to_bytes()?);
        Ok(Self { root, envelope })
    }
}

/// What `after` says differently from `before`, one sentence each.
pub fn differences(before: &Root, after: &Root) -> Vec<String> {
    let mut said = Vec::new();
    for (role, old, new) in [
        (KeyRole::Root, &before.root, &after.root),
        (KeyRole::Release, &before.release, &after.release),
    ] {
        let gone = old.keys.iter().filter(|id| !new.keys.contains(id));
        let come = new.keys.iter().filter(|id| !old.keys.contains(id));
        said.extend(gone.map(|id| format!("{id} signs as {role} no more")));
        said.extend(come.map(|id| format!("{id} signs as {role}")));
        if old.threshold != new.threshold {
            let (old, new) = (old.threshold, new.threshold);
            said.push(format!("{new} instead of {old} keys must sign as {role}"));
        }
    }
    if before.epoch != after.epoch {
        let (old, new) = (before.epoch, after.epoch);
        said.push(format!(
            "epoch {new} instead of {old}: nothing that was pushed before is believed any more"
        ));
    }
    if before.expires != after.expires {
        said.push(format!("good until {} instead of {}", after.expires, before.expires));
    }
    said
}

fn signers(root: &mut Root, role: KeyRole) -> &mut Signers {
    match role {
        KeyRole::Root => &mut root.root,
        KeyRole::Release => &mut root.release,
    }
}

/// Why a proposal cannot be read, changed or merged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No envelope, of another text, or full.
    #[error(transparent)]
    Envelope(#[from] envelope::Error),
    /// Signed as something else.
    #[error("this is no trust root, nor a proposal of one")]
    OtherKind,
    /// It contradicts itself.
    #[error(transparent)]
    Root(#[from] root::Error),
    /// Of another fleet.
    #[error("this is a trust root of the fleet `{theirs}`, not of `{ours}`")]
    OtherFleet {
        /// The repository's.
        ours: Fleet,
        /// The proposal's.
        theirs: Fleet,
    },
    /// It was drawn up for another version of `trust.json`.
    #[error("this proposes version {theirs}, but trust.json is version {ours}")]
    NotTheNext {
        /// The repository's version; 0 where there is none.
        ours: u32,
        /// The proposal's.
        theirs: u32,
    },
    /// The key is there.
    #[error("the key {key} signs as {role} already")]
    Listed {
        /// Which.
        key: KeyId,
        /// For what.
        role: KeyRole,
    },
    /// The key is not there.
    #[error("the key {key} does not sign{}", role.map(|role| format!(" as {role}")).unwrap_or_default())]
    NotListed {
        /// Which.
        key: KeyId,
        /// For what.
        role: Option<KeyRole>,
    },
    /// Nobody or everybody could reach it.
    #[error("{threshold} of {keys} keys cannot sign as {role}")]
    Threshold {
        /// For what.
        role: KeyRole,
        /// How many must.
        threshold: u32,
        /// How many there are.
        keys: usize,
    },
    /// There is no number after the last.
    #[error("the {0} have run out")]
    RanOut(&'static str),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Envelope(envelope::Error::OtherPayload) => {
                "merge pieces of one proposal; what was signed before a change must be signed again"
            }
            Self::Envelope(_) | Self::OtherKind | Self::Root(_) => {
                "check that this is the file you meant, and that it is complete"
            }
            Self::OtherFleet { .. } => "change to the repository of that fleet",
            Self::NotTheNext { .. } => {
                "remove trust-next.json and draw it up again, or update trust.json from version control"
            }
            Self::Listed { .. } | Self::NotListed { .. } => "`floe trust show` lists all keys",
            Self::Threshold { .. } => {
                "a threshold is from 1 to the number of the role's keys, and at most 8: add a key or \
                 lower it first, with `floe trust set-threshold`"
            }
            Self::RanOut(_) => "begin a new fleet",
        }
    }
}

#[cfg(test)]
#[path = "proposal_tests.rs"]
mod tests;
