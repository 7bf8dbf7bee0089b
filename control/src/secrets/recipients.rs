//! `recipients.toml`: the keys that secrets of a role were sealed to before.
//!
//! ```toml
//! ["www.fossable.org"]
//! escrow = "FQ3…"                  # the control plane's
//! i-0123456789abcdef0 = "b1o…"
//! ```
//!
//! The control plane says which host has which key, and could name its own. So an operator is
//! asked about every key that is not in this file; it belongs into version control, where
//! everybody who seals has it. Keys are known for one role only: a host of another role is as
//! new as any.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use floe_proto::id::{HostId, Role};
use floe_proto::sealed::SealingKey;
use serde::{Deserialize, Serialize};

use crate::durable;

/// Its name, beside floe.toml.
pub const FILE: &str = "recipients.toml";

/// Whom secrets are sealed to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The control plane, for hosts that come by themselves.
    Escrow,
    /// A host.
    Host(HostId),
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Escrow => ESCROW,
            Self::Host(host) => host.as_str(),
        })
    }
}

/// No host is called this.
const ESCROW: &str = "escrow";

/// Somebody whom secrets can be sealed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Who.
    pub who: Who,
    /// Its key, as the control plane says.
    pub key: SealingKey,
}

/// A key that nothing of the role was sealed to before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Whose.
    pub recipient: Recipient,
    /// The key that it had; `None` where it is new itself.
    pub before: Option<SealingKey>,
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Known(BTreeMap<Role, BTreeMap<String, SealingKey>>);

impl Known {
    /// Reads the file in the repository at `root`; where there is none, no key is known.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn read(root: &Path) -> Result<Self, Error> {
        let path = root.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text)
                .map_err(|source| Error::Malformed { path, source: Box::new(source) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Disk { path, source }),
        }
    }

    /// The keys among `recipients` that nothing of `role` was sealed to before.
    pub fn new_keys(&self, role: &Role, recipients: &[Recipient]) -> Vec<NewKey> {
        let known = self.0.get(role);
        let before = |who: &Who| known.and_then(|known| known.get(&who.to_string())).copied();
        let new = recipients.iter().filter_map(|recipient| {
            let before = before(&recipient.who);
            (before != Some(recipient.key)).then(|| NewKey { recipient: recipient.clone(), before })
        });
        new.collect()
    }

    /// Whether anything of `role` was ever sealed.
    pub fn knows(&self, role: &Role) -> bool {
        self.0.contains_key(role)
    }

    /// From now on the keys of `recipients` are those of `role`. Who is not among them stays
    /// known: one that is left out once does not come back as somebody new.
    pub fn learn(&mut self, role: &Role, recipients: &[Recipient]) {
        let keys = recipients.iter().map(|recipient| (recipient.who.to_string(), recipient.key));
        self.0.entry(role.clone()).or_default().extend(keys);
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`].
    pub fn write(&self, root: &Path) -> Result<(), Error> {
        let path = root.join(FILE);
        let text = match toml::to_string(self) {
            Ok(keys) => format!("{HEAD}\n{keys}"),
            Err(error) => return Err(Error::Disk { path, source: io::Error::other(error) }),
        };
        durable::write_file(&path, text.as_bytes(), 0o644)
            .map_err(|source| Error::Disk { path, source })
    }
}

const HEAD: &str = "\
# The keys that secrets were sealed to. Written by `floe push` and `floe secrets seal`, which ask
# about every key that is not here. Keep it in version control.
";

/// Why it is not known which keys are known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no.
    #[error("could not use `{}`", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// No such file.
    #[error("`{}` is not as floe writes it", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where.
        #[source]
        source: Box<toml::de::Error>,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "look at the permissions of the repository",
            Self::Malformed { .. } => {
                "restore it from version control; without it you are asked about every key"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use floe_proto::sealed::OpeningKey;

    use super::*;

    fn recipient(host: &str) -> Recipient {
        let key = OpeningKey::generate().unwrap().public();
        Recipient { who: Who::Host(host.parse().unwrap()), key }
    }

    #[test]
    fn a_key_is_known_once_it_was_sealed_to_and_for_one_role() {
        let dir = tempfile::tempdir().unwrap();
        let (www, db): (Role, Role) = ("www.fossable.org".parse().unwrap(), "db".parse().unwrap());
        let escrow = Recipient { who: Who::Escrow, key: recipient("local-a").key };
        let all = [escrow, recipient("local-a"), recipient("local-b")];
        let mut known = Known::read(dir.path()).unwrap();
        assert_eq!(known.new_keys(&www, &all).len(), 3);
        known.learn(&www, &all);
        known.write(dir.path()).unwrap();
        let known = Known::read(dir.path()).unwrap();
        assert_eq!(known.new_keys(&www, &all), []);
        assert_eq!(known.new_keys(&db, &all).len(), 3, "of another role it is new");

        let changed = recipient("local-b");
        let new = known.new_keys(&www, std::slice::from_ref(&changed));
        assert_eq!(new, [NewKey { recipient: changed, before: Some(all[2].key) }]);
    }

    #[test]
    fn a_file_that_was_edited_is_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "[www]\nlocal-a = 'x'").unwrap();
        assert!(matches!(Known::read(dir.path()), Err(Error::Malformed { .. })));
    }
}
