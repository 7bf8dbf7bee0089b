//! The trust root: who may sign what, and who has signed what is to come.

use std::path::Path;

use floe_proto::key::KeyId;
use floe_proto::root::{Root, Signers};
use floe_proto::time::Timestamp;
use serde::Serialize;

use super::{Page, View, ago, printable, short};
use crate::trust::proposal::{self, Proposal};

/// `floe trust show`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TrustView {
    /// `null` before the first.
    pub(crate) trust: Option<RootView>,
    /// `null` where nothing is drawn up.
    pub(crate) proposal: Option<ProposalView>,
    /// Oldest first; `null` where the control plane was not asked.
    pub(crate) published: Option<Vec<VersionView>>,
}

/// What one version says.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RootView {
    pub(crate) fleet: String,
    pub(crate) version: u32,
    pub(crate) epoch: u32,
    pub(crate) expires: Timestamp,
    pub(crate) expired: bool,
    pub(crate) root: RoleView,
    pub(crate) release: RoleView,
}

/// Whose signatures count, and how many it takes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RoleView {
    pub(crate) threshold: u32,
    pub(crate) keys: Vec<ListedView>,
}

/// A key that is listed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ListedView {
    /// SHA-256 of the public key.
    pub(crate) id: String,
    /// Base64 of the public key's 32 bytes.
    pub(crate) public: String,
}

/// What is drawn up: `floe trust add-key`, `sign`, `merge` and the like.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProposalView {
    pub(crate) file: String,
    pub(crate) next: RootView,
    /// What it says differently from trust.json, for people; `null` where that is not
    /// the version before it.
    pub(crate) changes: Option<Vec<String>>,
    pub(crate) requirements: Vec<RequirementView>,
    /// Whether enough have signed.
    pub(crate) complete: bool,
}

/// A version's root keys, some of which must sign.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RequirementView {
    pub(crate) version: u32,
    pub(crate) needed: u32,
    pub(crate) missing: u32,
    pub(crate) signed: Vec<String>,
    /// Who has not signed and may.
    pub(crate) may: Vec<String>,
}

/// A version that the control plane has.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct VersionView {
    pub(crate) version: u32,
    /// Empty where the control plane read it from trust.json.
    pub(crate) publisher: String,
    pub(crate) published: Timestamp,
    /// `null` where that cannot be read.
    pub(crate) expires: Option<Timestamp>,
}

/// `floe trust publish`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PublishedView {
    pub(crate) version: u32,
    /// SHA-256 of the signed bytes.
    pub(crate) digest: String,
    /// Whether a control plane has it now.
    pub(crate) sent: bool,
    pub(crate) expires: Timestamp,
}

impl RootView {
    pub(crate) fn new(root: &Root, now: Timestamp) -> Self {
        let role = |signers: &Signers| {
            let listed = root.keys.iter().filter(|key| signers.keys.contains(&key.id()));
            let keys = listed
                .map(|key| ListedView { id: key.id().to_string(), public: String::from(*key) });
            RoleView { threshold: signers.threshold, keys: keys.collect() }
        };
        Self {
            fleet: root.fleet.to_string(),
            version: root.version,
            epoch: root.epoch.get(),
            expires: root.expires,
            expired: now >= root.expires,
            root: role(&root.root),
            release: role(&root.release),
        }
    }
}

impl ProposalView {
    pub(crate) fn new(
        proposal: &Proposal,
        current: Option<&Root>,
        file: &Path,
        now: Timestamp,
    ) -> Self {
        let ids = |ids: &[KeyId]| ids.iter().map(KeyId::to_string).collect();
        let requirements: Vec<_> = proposal
            .requirements(current)
            .iter()
            .map(|needs| RequirementView {
                version: needs.version,
                needed: needs.needed,
                missing: needs.missing(),
                signed: ids(&needs.signed),
                may: ids(&needs.may),
            })
            .collect();
        // Without the version before it, nobody here can tell.
        let known = current.is_some() || proposal.root().version == 1;
        Self {
            file: file.display().to_string(),
            next: RootView::new(proposal.root(), now),
            changes: current.map(|current| proposal::differences(current, proposal.root())),
            complete: known && requirements.iter().all(|needs| needs.missing == 0),
            requirements,
        }
    }
}

impl View for TrustView {
    fn text(&self, page: Page) -> String {
        let mut text = match &self.trust {
            Some(root) => root.text(page),
            None => "there is no trust.json yet\n".into(),
        };
        if let Some(proposal) = &self.proposal {
            text += &format!("\n{}", proposal.text(page));
        }
        if let Some(versions) = &self.published {
            text += "\npublished:\n";
            for version in versions {
                let by = match version.publisher.as_str() {
                    "" => "from trust.json",
                    name => name,
                };
                let when = ago(page.now, Some(version.published));
                text += &format!("  version {}  {}  {when}\n", version.version, printable(by));
            }
            let newest = versions.last().map_or(0, |newest| newest.version);
            let ours = self.trust.as_ref().map_or(0, |root| root.version);
            if newest > ours {
                text += "  trust.json is older: update it from version control\n";
            } else if newest < ours {
                text += "  trust.json is newer: restart `floe serve` with it\n";
            }
        }
        text
    }
}

impl RootView {
    fn text(&self, page: Page) -> String {
        let mut text = format!("trust root of {}, version {}\n", self.fleet, self.version);
        let over = if self.expired { "EXPIRED at" } else { "good until" };
        text += &format!("  epoch {}, {over} {}\n", self.epoch, self.expires);
        for (name, role) in [("root", &self.root), ("release", &self.release)] {
            let count = role.keys.len();
            text += &format!("  {name}: {} of {count} must sign\n", role.threshold);
            for key in &role.keys {
                // A terminal may be narrow, a key must be whole for who copies it.
                let id = if page.width.is_some() { short(&key.id) } else { &key.id };
                text += &format!("    {id}  {}\n", key.public);
            }
        }
        text
    }
}

impl View for ProposalView {
    fn text(&self, page: Page) -> String {
        let mut text = format!("drawn up in {}\n", printable(&self.file));
        match &self.changes {
            Some(changes) => {
                for change in changes {
                    text += &format!("  {change}\n");
                }
            }
            None => text += &self.next.text(page),
        }
        for needs in &self.requirements {
            let RequirementView { version, needed, missing, signed, may } = needs;
            text += &format!("  root keys of version {version}: {needed} must sign\n");
            text += &signed.iter().map(|id| format!("    signed  {id}\n")).collect::<String>();
            if *missing > 0 {
                text += &may.iter().map(|id| format!("    may     {id}\n")).collect::<String>();
                text += &format!("    {missing} missing\n");
            }
        }
        text += if self.complete {
            "enough have signed: floe trust publish\n"
        } else {
            "not enough have signed: floe trust sign, and floe trust merge what others return\n"
        };
        text
    }
}

impl View for PublishedView {
    fn text(&self, _: Page) -> String {
        let Self { version, expires, .. } = self;
        let next = match (self.sent, version) {
            (true, _) => {
                "the control plane passes it on to every host; commit trust.json and trust/"
            }
            (false, 1) => "bring trust.json to your images and to `floe serve`; commit it",
            (false, _) => "`floe serve` takes it up when it starts; commit trust.json and trust/",
        };
        format!("trust.json is version {version}, good until {expires}\n{next}\n")
    }
}

#[cfg(test)]
mod tests {
    use floe_proto::key::PublicKey;

    use super::*;
    use crate::trust::key_role::KeyRole;
    use crate::trust::proposal::Change;
    use crate::trust::testing::{key, root, signed};

    fn now() -> Timestamp {
        "2026-11-22T20:28:00Z".parse().unwrap()
    }

    fn public(number: u8) -> PublicKey {
        key(number).public()
    }

    fn view() -> ProposalView {
        let current = root(1, &[1, 3], &[2]);
        let mut next = Proposal::after(&current, "2101-01-01T00:00:00Z".parse().unwrap()).unwrap();
        next.change(Change::AddKey(public(4), KeyRole::Release)).unwrap();
        next.change(Change::SetThreshold(KeyRole::Root, 2)).unwrap();
        next.merge(&Proposal::parse(&signed(next.root(), &[1])).unwrap()).unwrap();
        ProposalView::new(&next, Some(&current), Path::new("trust-next.json"), now())
    }

    #[test]
    fn what_is_believed_and_what_is_to_come() {
        let view = TrustView {
            trust: Some(RootView::new(&root(1, &[1, 3], &[2]), now())),
            proposal: Some(view()),
            published: Some(vec![VersionView {
                version: 2,
                publisher: "ada".into(),
                published: now(),
                expires: None,
            }]),
        };
        insta::assert_snapshot!(view.text(Page::endless(now())));
    }

    #[test]
    fn the_json_of_a_proposal() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&view()).unwrap());
    }
}
