//! Whether a machine on EC2 may enrol: pure rules over what AWS signed, what AWS says,
//! and what we have on record (docs/trust.md, 3.3, steps 4, 5 and 8).
//!
//! Three answers: refused for good; [`Doubt`]s, for which an operator has to approve the
//! machine; or neither, and it enrols by itself. That it enrols once, and with which
//! role, is the store's to say: the role comes from our own record of the image, and
//! nothing that the machine says about itself is an argument here.
//!
//! The seam for a signed `sts:GetCallerIdentity` (3.1, steps 6 and 7) is between
//! [`document`] and [`instance`].

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use floe_proto::time::Timestamp;

use super::iid::Document;
use super::instance::{Account, Instance, Region};

/// `[aws]` of floe.toml: what is needed to judge instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsConfig {
    /// Whose instances may enrol.
    pub policy: Policy,
    /// Certificates that are believed besides AWS's own: of which region, and where.
    pub certificates: Vec<(Region, PathBuf)>,
    /// Asked instead of AWS's own endpoints, without AWS's credentials.
    pub endpoint: Option<String>,
}

/// Whose instances may enrol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Accounts whose instances may enrol; with none, nobody enrols like this.
    pub accounts: BTreeSet<Account>,
    /// Regions in which they may run.
    pub regions: BTreeSet<Region>,
    /// What is asked of their metadata service.
    pub metadata: Metadata,
}

/// What is asked of an instance's metadata service, from which every process that can
/// reach it gets the document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metadata {
    /// It answers with a session token only (IMDSv2), and no further than the instance;
    /// else an operator approves.
    #[default]
    Guarded,
    /// It is not looked at.
    Any,
}

/// Looks at the document alone, before AWS is asked.
///
/// # Errors
///
/// [`Refusal`] where the policy rules the machine out.
pub fn document(
    document: &Document,
    policy: &Policy,
    now: Timestamp,
) -> Result<Vec<Doubt>, Refusal> {
    if !policy.accounts.contains(&document.account) {
        return Err(Refusal::Account { account: document.account.clone() });
    }
    if !policy.regions.contains(&document.region) {
        return Err(Refusal::Region { region: document.region.clone() });
    }
    if document.pending.since(now) > AHEAD {
        return Err(Refusal::Future);
    }
    let old = now.since(document.pending) > FRESH;
    Ok(old.then_some(Doubt::Old).into_iter().collect())
}

/// Looks at what AWS has under the document's instance id.
///
/// # Errors
///
/// [`Refusal`] where that is not one running instance as the document describes it.
pub fn instance(
    document: &Document,
    found: &[Instance],
    policy: &Policy,
) -> Result<Vec<Doubt>, Refusal> {
    let [instance] = found else {
        return Err(if found.is_empty() { Refusal::Unknown } else { Refusal::Several });
    };
    if instance.id != document.instance.as_str() {
        return Err(Refusal::Other { what: "instance id" });
    }
    if instance.account != document.account.as_str() {
        return Err(Refusal::Other { what: "account" });
    }
    if instance.image != document.image.as_str() {
        return Err(Refusal::Other { what: "image" });
    }
    if !instance.running {
        return Err(Refusal::NotRunning);
    }
    let mut doubts = Vec::new();
    if !instance.launched.is_some_and(|launched| near(launched, document.pending)) {
        doubts.push(Doubt::OtherStart);
    }
    // SPIRE looks at the same: a root volume that was put in later is somebody else's.
    let attached = instance.root_attached.zip(instance.network_attached);
    if !attached.is_some_and(|(root, network)| near(root, network)) {
        doubts.push(Doubt::OtherVolume);
    }
    match policy.metadata {
        Metadata::Any => {}
        Metadata::Guarded => {
            if instance.answers_without_token {
                doubts.push(Doubt::AnswersWithoutToken);
            }
            if instance.hop_limit != 1 {
                doubts.push(Doubt::AnswersFar);
            }
        }
    }
    Ok(doubts)
}

fn near(one: Timestamp, other: Timestamp) -> bool {
    one.since(other) <= NEAR && other.since(one) <= NEAR
}

/// Up to this age a document enrols by itself.
const FRESH: Duration = Duration::from_secs(15 * 60);
/// So far may AWS's clock be ahead of ours.
const AHEAD: Duration = Duration::from_secs(60);
/// So far apart may be what happens at once when an instance is launched.
const NEAR: Duration = Duration::from_secs(60);

/// Why an operator has to approve a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The document is of a start long ago: whoever read it meanwhile can show it.
    #[error("it was started more than 15 minutes ago")]
    Old,
    /// AWS knows of a later, or an earlier, start.
    #[error("its document is of another start than the one that AWS knows")]
    OtherStart,
    /// The disk did not come with the instance.
    #[error("its root volume was attached at another time than its network")]
    OtherVolume,
    /// IMDSv1.
    #[error("its metadata service answers without a session token (HttpTokens is not `required`)")]
    AnswersWithoutToken,
    /// Containers and forwarding proxies reach it.
    #[error("its metadata service answers beyond the instance (HttpPutResponseHopLimit is not 1)")]
    AnswersFar,
}

/// Why a machine may not enrol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Of an account that is none of ours.
    #[error("instances of the account {account} may not enrol here")]
    Account {
        /// Whose it is.
        account: Account,
    },
    /// Of a Region that we do not use.
    #[error("instances in `{region}` may not enrol here")]
    Region {
        /// Where it is.
        region: Region,
    },
    /// Signed about a time to come.
    #[error("the document is of a time to come")]
    Future,
    /// AWS has none.
    #[error("AWS knows no such instance")]
    Unknown,
    /// AWS has more than one.
    #[error("AWS knows several such instances")]
    Several,
    /// It is stopped, terminated, or about to be.
    #[error("the instance does not run")]
    NotRunning,
    /// AWS describes another one.
    #[error("AWS says another {what} than the document")]
    Other {
        /// What differs.
        what: &'static str,
    },
}

#[cfg(test)]
#[path = "attest_tests.rs"]
mod tests;
