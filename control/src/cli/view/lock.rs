//! Pins, and where they were taken on to.

use std::fmt::Write as _;

use floe_proto::payload::pin::{Pin, PinName};
use serde::Serialize;

use super::{Page, View};

/// `floe lock update`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LockView {
    pub(crate) file: String,
    pub(crate) dry_run: bool,
    pub(crate) pins: Vec<PinView>,
}

/// A pin, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PinView {
    pub(crate) name: String,
    pub(crate) change: Change,
    /// `null` where it follows nothing.
    pub(crate) follow: Option<String>,
    /// `null` for a tree of the repository.
    pub(crate) url: Option<String>,
    pub(crate) sha256: Option<String>,
    /// `null` where it stays.
    pub(crate) new_url: Option<String>,
    /// `null` where it stays, or was not fetched.
    pub(crate) new_sha256: Option<String>,
}

/// What became of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    /// It is somewhere else now.
    Updated,
    /// It would be.
    Found,
    /// It is at what it follows.
    Unchanged,
    /// It follows nothing.
    Kept,
}

impl PinView {
    /// As it is.
    pub(crate) fn kept(name: &PinName, pin: &Pin) -> Self {
        let (url, sha256, follow) = match pin {
            Pin::Url { url, sha256, follow } => (
                Some(url.to_string()),
                Some(sha256.to_string()),
                follow.as_ref().map(ToString::to_string),
            ),
            Pin::Path(_) => (None, None, None),
        };
        Self {
            name: name.to_string(),
            change: Change::Kept,
            follow,
            url,
            sha256,
            new_url: None,
            new_sha256: None,
        }
    }

    fn text(&self) -> String {
        let name = &self.name;
        let follow = self.follow.as_deref().unwrap_or("nothing");
        let said = |text: &Option<String>| text.clone().unwrap_or_default();
        match self.change {
            Change::Kept if self.url.is_none() => format!("{name}: a tree of the repository\n"),
            Change::Kept => format!("{name}: kept, it follows nothing\n"),
            Change::Unchanged => format!("{name}: at the newest of {follow}\n"),
            Change::Found | Change::Updated => {
                let mut text = format!("{name}: follows {follow}\n");
                if self.url != self.new_url {
                    let _ = writeln!(text, "  - {}\n  + {}", said(&self.url), said(&self.new_url));
                }
                if self.new_sha256.is_some() {
                    let (old, new) = (said(&self.sha256), said(&self.new_sha256));
                    let _ = writeln!(text, "  - {old}\n  + {new}");
                }
                text
            }
        }
    }
}

impl View for LockView {
    fn text(&self, _: Page) -> String {
        let text: String = self.pins.iter().map(PinView::text).collect();
        let any = |change| self.pins.iter().any(|pin| pin.change == change);
        let file = &self.file;
        let end = if any(Change::Updated) {
            format!("wrote {file}; hosts get it with the next push\n")
        } else if any(Change::Found) {
            format!("{file} was not changed\n")
        } else {
            format!("nothing new; {file} was not changed\n")
        };
        text + &end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_each_pin() {
        let url: Pin = Pin::Url {
            url: "https://releases.nixos.org/24.11.1/nixexprs.tar.xz".parse().unwrap(),
            sha256: "0zydsqiaz8qi4zd63zsb2gij2p614cgkcaisnk11wjy3nmiq0x1s".parse().unwrap(),
            follow: "https://channels.nixos.org/nixos-24.11/nixexprs.tar.xz".parse().ok(),
        };
        let pin = |name: &str, pin: &Pin| PinView::kept(&name.parse().unwrap(), pin);
        let new_url = Some("https://releases.nixos.org/24.11.2/nixexprs.tar.xz".to_owned());
        let new_sha256 = Some("1zydsqiaz8qi4zd63zsb2gij2p614cgkcaisnk11wjy3nmiq0x1s".to_owned());
        let updated = PinView {
            new_url: new_url.clone(),
            new_sha256,
            change: Change::Updated,
            ..pin("nixpkgs", &url)
        };
        let found = PinView { new_url, change: Change::Found, ..pin("other", &url) };
        let same = PinView { change: Change::Unchanged, ..pin("same", &url) };
        let tree = pin("floe", &Pin::Path("pins/floe".parse().unwrap()));
        let view = LockView {
            file: "floe.lock".into(),
            dry_run: false,
            pins: vec![updated, found, same, tree],
        };
        let page = Page::endless("2026-12-01T00:00:00Z".parse().unwrap());
        insta::assert_snapshot!(view.text(page));
        insta::assert_snapshot!("the_json_of_pins", serde_json::to_string_pretty(&view).unwrap());
    }
}
