//! Who is an operator now, and with which certificates: what the gate looks at.
//!
//! The store is the truth; this is what it holds, in memory, so that a call costs no
//! query and a revocation ends open streams at once. Everything that changes either
//! goes through here, one change after the other: first the store, then the memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_proto::digest::Digest;
use floe_proto::key::PublicKey;
use floe_proto::time::Timestamp;
use tokio::sync::{Mutex, watch};

use crate::operator::OperatorRole;
use crate::store::{Added, AuditEntry, Error, OperatorCertificate, OperatorRecord, Revoked, Store};

/// The first operator, whose credentials lie in the data directory.
pub const FIRST: &str = "admin";

/// Who is an operator. Cheap to clone.
#[derive(Clone)]
pub struct Roster {
    store: Store,
    people: Arc<watch::Sender<People>>,
    changing: Arc<Mutex<()>>,
}

type People = BTreeMap<String, Person>;

/// An operator, as far as it matters for a call.
struct Person {
    role: OperatorRole,
    /// SHA-256 of their certificates' keys, and until when each is good.
    certificates: BTreeMap<Digest, Timestamp>,
}

impl Roster {
    /// Reads who is an operator.
    pub async fn open(store: Store, now: Timestamp) -> Result<Self, Error> {
        let people = Arc::new(watch::Sender::new(read(&store, now).await?));
        Ok(Self { store, people, changing: Arc::default() })
    }

    /// Whether the first operator is one, or is to be: nobody else was ever added.
    pub async fn wants_first(&self) -> Result<bool, Error> {
        let known = self.store.operators().await?;
        let first = known.iter().find(|operator| operator.name == FIRST);
        Ok(first.map_or(known.is_empty(), |first| first.revoked.is_none() && first.key.is_none()))
    }

    /// Puts the first operator on record, with the certificate in the data directory.
    pub async fn begin(&self, certificate: OperatorCertificate) -> Result<(), Error> {
        let first = OperatorRecord {
            name: FIRST.to_owned(),
            role: OperatorRole::Admin,
            key: None,
            added: certificate.issued,
            added_by: String::new(),
            last_login: None,
            revoked: None,
        };
        if self.add(&first).await? == Added::Added {
            let entry = AuditEntry {
                at: certificate.issued,
                actor: "control".to_owned(),
                action: "began".to_owned(),
                target: format!("operator/{FIRST}"),
                outcome: "ok".to_owned(),
                ..AuditEntry::default()
            };
            self.store.audit(entry).await?;
        }
        self.log_in(certificate, None).await.map(drop)
    }

    /// Role and login key of `name`; `None` for who is no operator, or cannot log in.
    pub async fn operator(&self, name: &str) -> Result<Option<(OperatorRole, PublicKey)>, Error> {
        let known = self.store.operators().await?;
        let found = known.into_iter().find(|one| one.name == name && one.revoked.is_none());
        Ok(found.and_then(|found| Some((found.role, found.key?))))
    }

    /// The role of `name`, whose certificate has the key `key`; `None` where that is
    /// not on record.
    pub fn role(&self, name: &str, key: &Digest, now: Timestamp) -> Option<OperatorRole> {
        role(&self.people.borrow(), name, key, now)
    }

    /// Comes when `name` is no operator with this key any more.
    pub async fn gone(&self, name: String, key: Digest) {
        let mut changes = self.people.subscribe();
        // Ends as well when the roster goes, and with it the control plane.
        let _ = changes
            .wait_for(|people| role(people, &name, &key, Timestamp::default()).is_none())
            .await;
    }

    /// Takes an operator on record.
    pub async fn add(&self, operator: &OperatorRecord) -> Result<Added, Error> {
        let _turn = self.changing.lock().await;
        let added = self.store.add_operator(operator).await?;
        if added == Added::Added {
            let person = Person { role: operator.role, certificates: BTreeMap::new() };
            self.people.send_modify(|people| {
                people.insert(operator.name.clone(), person);
            });
        }
        Ok(added)
    }

    /// Ends an operator: calls are refused and open streams end from now on.
    pub async fn revoke(&self, name: &str, by: &str, now: Timestamp) -> Result<Revoked, Error> {
        let _turn = self.changing.lock().await;
        let revoked = self.store.revoke_operator(name, by, now).await;
        match &revoked {
            Ok(Revoked::Revoked) => self.people.send_modify(|people| {
                people.remove(name);
            }),
            Ok(Revoked::Unknown | Revoked::LastAdmin) => {}
            // It may be done all the same.
            Err(_) => match read(&self.store, now).await {
                Ok(people) => drop(self.people.send_replace(people)),
                Err(error) => tracing::warn!(%error, "could not look up who is an operator"),
            },
        }
        revoked
    }

    /// Takes the certificate of a login on record; `false` where its operator was
    /// revoked meanwhile, or has another login `key`.
    pub async fn log_in(
        &self,
        certificate: OperatorCertificate,
        key: Option<&PublicKey>,
    ) -> Result<bool, Error> {
        let _turn = self.changing.lock().await;
        let known = self.store.add_operator_certificate(&certificate, key).await?;
        if known {
            // Those that made room for it speak for nobody any more.
            let OperatorCertificate { operator, issued, .. } = certificate;
            let good = self.store.operator_certificates(issued).await?.into_iter();
            let theirs = good.filter(|good| good.operator == operator);
            let theirs = theirs.map(|good| (good.key, good.expires)).collect();
            self.people.send_modify(|people| {
                if let Some(person) = people.get_mut(&operator) {
                    person.certificates = theirs;
                }
            });
        }
        Ok(known)
    }
}

fn role(people: &People, name: &str, key: &Digest, now: Timestamp) -> Option<OperatorRole> {
    let person = people.get(name)?;
    person.certificates.get(key).filter(|expires| now < **expires).map(|_| person.role)
}

async fn read(store: &Store, now: Timestamp) -> Result<People, Error> {
    let mut people: People = store
        .operators()
        .await?
        .into_iter()
        .filter(|operator| operator.revoked.is_none())
        .map(|operator| {
            (operator.name, Person { role: operator.role, certificates: BTreeMap::new() })
        })
        .collect();
    for certificate in store.operator_certificates(now).await? {
        if let Some(person) = people.get_mut(&certificate.operator) {
            person.certificates.insert(certificate.key, certificate.expires);
        }
    }
    Ok(people)
}
