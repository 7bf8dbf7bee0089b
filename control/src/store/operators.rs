//! Operators on record, and the certificates that speak for them.
//!
//! A revoked operator's row stays, for who reads the audit log; the certificates go
//! with the revocation, so that a name that is added again begins without any.

use floe_proto::digest::Digest;
use floe_proto::key::PublicKey;
use floe_proto::time::Timestamp;
use sqlx::any::AnyRow;

use super::pool::{Error, Store, column, text};
use crate::operator::OperatorRole;

/// One operator as they stand on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorRecord {
    /// Their name, as in the certificate.
    pub name: String,
    /// What they may do.
    pub role: OperatorRole,
    /// Whose signature logs them in; `None` for the first admin.
    pub key: Option<PublicKey>,
    /// When they were added.
    pub added: Timestamp,
    /// By whom; empty for the control plane itself.
    pub added_by: String,
    /// When they logged in last.
    pub last_login: Option<Timestamp>,
    /// When they were revoked.
    pub revoked: Option<Timestamp>,
}

/// A certificate that speaks for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorCertificate {
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub key: Digest,
    /// For whom.
    pub operator: String,
    /// Since when.
    pub issued: Timestamp,
    /// From when on it speaks for nobody.
    pub expires: Timestamp,
}

/// What came of adding an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// They are on record.
    Added,
    /// There is an operator of this name.
    NameTaken,
    /// The login key is this operator's.
    KeyTaken(String),
}

/// What came of revoking an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// They are no operator any more.
    Revoked,
    /// There is no such operator.
    Unknown,
    /// Nobody else could add an operator then.
    LastAdmin,
}

impl Store {
    /// Everybody who is or was an operator, by name.
    pub async fn operators(&self) -> Result<Vec<OperatorRecord>, Error> {
        let rows =
            sqlx::query("SELECT * FROM operators ORDER BY name").fetch_all(self.pool()).await?;
        rows.iter().map(record).collect()
    }

    /// The certificates that are good at `now`.
    pub async fn operator_certificates(
        &self,
        now: Timestamp,
    ) -> Result<Vec<OperatorCertificate>, Error> {
        let rows = sqlx::query("SELECT * FROM operator_certificates WHERE expires > $1")
            .bind(now.as_micros())
            .fetch_all(self.pool())
            .await?;
        let certificate = |row: &AnyRow| {
            Ok(OperatorCertificate {
                key: text(row, "key_digest")?,
                operator: column(row, "operator")?,
                issued: Timestamp::from_micros(column(row, "issued")?),
                expires: Timestamp::from_micros(column(row, "expires")?),
            })
        };
        rows.iter().map(certificate).collect()
    }

    /// Takes an operator on record.
    pub async fn add_operator(&self, operator: &OperatorRecord) -> Result<Added, Error> {
        let mut transaction = self.begin().await?;
        let key = operator.key.map(String::from).unwrap_or_default();
        let other = sqlx::query(
            "SELECT name FROM operators WHERE login_key = $1 AND login_key <> '' \
             AND name <> $2 AND revoked IS NULL",
        )
        .bind(&key)
        .bind(&operator.name)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(row) = other {
            return Ok(Added::KeyTaken(column(&row, "name")?));
        }
        let added = sqlx::query(
            "INSERT INTO operators (name, role, login_key, added, added_by) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET \
             role = excluded.role, login_key = excluded.login_key, added = excluded.added, \
             added_by = excluded.added_by, last_login = NULL, revoked = NULL, revoked_by = NULL \
             WHERE operators.revoked IS NOT NULL",
        )
        .bind(&operator.name)
        .bind(operator.role.as_str())
        .bind(&key)
        .bind(operator.added.as_micros())
        .bind(&operator.added_by)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if added != 1 {
            return Ok(Added::NameTaken);
        }
        transaction.commit().await?;
        Ok(Added::Added)
    }

    /// Ends an operator and all their certificates, unless nobody could add another
    /// one then.
    pub async fn revoke_operator(
        &self,
        name: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<Revoked, Error> {
        let mut transaction = self.begin().await?;
        let revoked = sqlx::query(
            "UPDATE operators SET revoked = $2, revoked_by = $3 \
             WHERE name = $1 AND revoked IS NULL",
        )
        .bind(name)
        .bind(now.as_micros())
        .bind(by)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if revoked != 1 {
            return Ok(Revoked::Unknown);
        }
        let admins = sqlx::query("SELECT name FROM operators WHERE role = $1 AND revoked IS NULL")
            .bind(OperatorRole::Admin.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        if admins.is_none() {
            // Dropping the transaction leaves everything as it was.
            return Ok(Revoked::LastAdmin);
        }
        sqlx::query("DELETE FROM operator_certificates WHERE operator = $1")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Revoked::Revoked)
    }

    /// Takes a certificate on record, if its operator is still the one whose `key`
    /// asked for it; forgets those that are over, and the oldest beyond so many.
    pub async fn add_operator_certificate(
        &self,
        certificate: &OperatorCertificate,
        key: Option<&PublicKey>,
    ) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        let known = sqlx::query(
            "UPDATE operators SET last_login = $3 \
             WHERE name = $1 AND login_key = $2 AND revoked IS NULL",
        )
        .bind(&certificate.operator)
        .bind(key.copied().map(String::from).unwrap_or_default())
        .bind(certificate.issued.as_micros())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if known != 1 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM operator_certificates WHERE expires <= $1")
            .bind(certificate.issued.as_micros())
            .execute(&mut *transaction)
            .await?;
        // The same key again, as after a lost reply, has the newer certificate. A key of
        // somebody else stays theirs.
        let stored = sqlx::query(
            "INSERT INTO operator_certificates (key_digest, operator, issued, expires) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (key_digest) DO UPDATE SET \
             issued = excluded.issued, expires = excluded.expires \
             WHERE operator_certificates.operator = excluded.operator",
        )
        .bind(certificate.key.to_string())
        .bind(&certificate.operator)
        .bind(certificate.issued.as_micros())
        .bind(certificate.expires.as_micros())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if stored != 1 {
            return Ok(false);
        }
        sqlx::query(
            "DELETE FROM operator_certificates WHERE operator = $1 AND key_digest <> $2 \
             AND key_digest NOT IN (SELECT key_digest FROM operator_certificates \
             WHERE operator = $1 AND key_digest <> $2 ORDER BY issued DESC, key_digest LIMIT $3)",
        )
        .bind(&certificate.operator)
        .bind(certificate.key.to_string())
        .bind(CERTIFICATES - 1)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// How many certificates speak for one operator: enough for their machines, and for CI that
/// logs in for each of its jobs.
const CERTIFICATES: i64 = 64;

fn record(row: &AnyRow) -> Result<OperatorRecord, Error> {
    let time = |name| {
        let micros: Option<i64> = column(row, name)?;
        Ok::<_, Error>(micros.map(Timestamp::from_micros))
    };
    let key: String = column(row, "login_key")?;
    let key =
        match key.as_str() {
            "" => None,
            _ => Some(PublicKey::try_from(key).map_err(|source| Error::Corrupt {
                column: "login_key",
                source: Box::new(source),
            })?),
        };
    Ok(OperatorRecord {
        name: column(row, "name")?,
        role: text(row, "role")?,
        key,
        added: Timestamp::from_micros(column(row, "added")?),
        added_by: column(row, "added_by")?,
        last_login: time("last_login")?,
        revoked: time("revoked")?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use floe_proto::key::SecretKey;

    use super::super::pool::tests::store;
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn operator(name: &str, role: OperatorRole, seed: u8) -> OperatorRecord {
        OperatorRecord {
            name: name.into(),
            role,
            key: Some(SecretKey::from_seed(&[seed; 32]).public()),
            added: NOW,
            added_by: "admin".into(),
            last_login: None,
            revoked: None,
        }
    }

    fn certificate(name: &str, key: &[u8]) -> OperatorCertificate {
        OperatorCertificate {
            key: Digest::of(key),
            operator: name.into(),
            issued: NOW,
            expires: NOW.after(Duration::from_secs(60)),
        }
    }

    #[tokio::test]
    async fn a_name_and_a_key_are_one_operators() {
        let (store, _dir) = store().await;
        let ada = operator("ada", OperatorRole::Admin, 1);
        assert_eq!(store.add_operator(&ada).await.unwrap(), Added::Added);
        let again = operator("ada", OperatorRole::Viewer, 2);
        assert_eq!(store.add_operator(&again).await.unwrap(), Added::NameTaken);
        let twin = operator("eve", OperatorRole::Viewer, 1);
        assert_eq!(store.add_operator(&twin).await.unwrap(), Added::KeyTaken("ada".into()));
        assert_eq!(store.operators().await.unwrap(), [ada]);
    }

    #[tokio::test]
    async fn t082_the_last_admin_stays_and_a_revoked_operator_has_no_certificate() {
        let (store, _dir) = store().await;
        let (ada, eve) =
            (operator("ada", OperatorRole::Admin, 1), operator("eve", OperatorRole::Deployer, 2));
        for one in [&ada, &eve] {
            store.add_operator(one).await.unwrap();
            let certificate = certificate(&one.name, one.name.as_bytes());
            assert!(store.add_operator_certificate(&certificate, one.key.as_ref()).await.unwrap());
        }
        let revoke = async |name| store.revoke_operator(name, "ada", NOW).await.unwrap();
        assert_eq!(revoke("ada").await, Revoked::LastAdmin);
        assert_eq!(revoke("bob").await, Revoked::Unknown);
        assert_eq!(revoke("eve").await, Revoked::Revoked);
        assert_eq!(revoke("eve").await, Revoked::Unknown);
        let left = store.operator_certificates(NOW).await.unwrap();
        assert_eq!(left, [certificate("ada", b"ada")]);
        // A login that was under way comes too late.
        let late = certificate("eve", b"late");
        assert!(!store.add_operator_certificate(&late, eve.key.as_ref()).await.unwrap());
        // The name may be somebody else's later.
        assert_eq!(store.add_operator(&eve).await.unwrap(), Added::Added);
        assert_eq!(store.operator_certificates(NOW).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_certificate_is_taken_from_nobody_and_ends() {
        let (store, _dir) = store().await;
        let (ada, eve) =
            (operator("ada", OperatorRole::Admin, 1), operator("eve", OperatorRole::Admin, 2));
        for one in [&ada, &eve] {
            store.add_operator(one).await.unwrap();
        }
        let of_ada = certificate("ada", b"key");
        assert!(store.add_operator_certificate(&of_ada, ada.key.as_ref()).await.unwrap());
        assert!(store.add_operator_certificate(&of_ada, ada.key.as_ref()).await.unwrap());
        let of_eve = certificate("eve", b"key");
        assert!(!store.add_operator_certificate(&of_eve, eve.key.as_ref()).await.unwrap());
        assert!(store.operator_certificates(of_ada.expires).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn t084_the_newest_certificates_of_an_operator_are_kept_and_so_many() {
        let (store, _dir) = store().await;
        let ada = operator("ada", OperatorRole::Admin, 1);
        let eve = operator("eve", OperatorRole::Admin, 2);
        for one in [&ada, &eve] {
            store.add_operator(one).await.unwrap();
        }
        let log_in = async |name: &str, of: &OperatorRecord, number: u64| {
            let issued = NOW.after(Duration::from_micros(number));
            let certificate = OperatorCertificate {
                issued,
                ..certificate(name, format!("{name}{number}").as_bytes())
            };
            assert!(store.add_operator_certificate(&certificate, of.key.as_ref()).await.unwrap());
            certificate
        };
        let other = log_in("eve", &eve, 0).await;
        let mut all = Vec::new();
        for number in 0..70 {
            all.push(log_in("ada", &ada, number).await);
        }
        let mut left = store.operator_certificates(NOW).await.unwrap();
        left.sort_by_key(|certificate| certificate.issued);
        left.retain(|certificate| *certificate != other);
        assert_eq!(left, all[70 - 64..]);
    }
}
