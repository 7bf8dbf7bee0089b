//! Operators, and what a login brought.

use floe_proto::pb;
use floe_proto::time::Timestamp;
use serde::Serialize;

use super::activation::time;
use super::{Page, View, ago, table};

/// `floe operators`: `{operators: […]}`, by name.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OperatorsView {
    pub(crate) operators: Vec<OperatorView>,
}

/// One operator.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OperatorView {
    pub(crate) name: String,
    /// `viewer`, `deployer` or `admin`.
    pub(crate) role: String,
    /// Base64 of the public key that signs the logins; `null` for the first admin, whose
    /// certificate lies beside the control plane.
    pub(crate) login_key: Option<String>,
    pub(crate) added: Option<Timestamp>,
    /// `null` for the control plane itself.
    pub(crate) added_by: Option<String>,
    /// `null` before the first.
    pub(crate) last_login: Option<Timestamp>,
    /// `null` for who is an operator.
    pub(crate) revoked: Option<Timestamp>,
}

/// `floe operators add` and `revoke`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OperatorChangeView {
    pub(crate) name: String,
    /// `null` once they are revoked.
    pub(crate) role: Option<String>,
    /// `added` or `revoked`.
    pub(crate) change: &'static str,
}

/// `floe login`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LoginView {
    pub(crate) operator: String,
    /// `viewer`, `deployer` or `admin`.
    pub(crate) role: String,
    pub(crate) expires: Timestamp,
    /// The directory of the certificate.
    pub(crate) credentials: String,
}

impl From<pb::OperatorEntry> for OperatorView {
    fn from(entry: pb::OperatorEntry) -> Self {
        let text = |text: String| (!text.is_empty()).then_some(text);
        Self {
            name: entry.name,
            role: entry.role,
            login_key: text(entry.login_key),
            added: time(entry.added),
            added_by: text(entry.added_by),
            last_login: time(entry.last_login),
            revoked: time(entry.revoked),
        }
    }
}

impl View for OperatorsView {
    fn text(&self, page: Page) -> String {
        let rows = self.operators.iter().map(|operator| {
            let role = match operator.revoked {
                Some(revoked) => format!("revoked {}", ago(page.now, Some(revoked))),
                None => operator.role.clone(),
            };
            let by = operator.added_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            [
                operator.name.clone(),
                role,
                format!("{}{by}", ago(page.now, operator.added)),
                ago(page.now, operator.last_login),
                operator.login_key.clone().unwrap_or_else(|| "(beside the control plane)".into()),
            ]
        });
        table(page, ["OPERATOR", "ROLE", "ADDED", "LAST LOGIN", "LOGIN KEY"], rows)
    }
}

impl View for OperatorChangeView {
    fn text(&self, _: Page) -> String {
        match &self.role {
            Some(role) => format!(
                "{} is {role} now, and logs in with `floe login {}`\n",
                self.name, self.name
            ),
            None => format!("{} is no operator any more\n", self.name),
        }
    }
}

impl View for LoginView {
    fn text(&self, _: Page) -> String {
        let Self { operator, role, expires, credentials } = self;
        format!("logged in as {operator} ({role}) until {expires}\ncertificate in {credentials}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_380_000_000_000);

    fn operators() -> OperatorsView {
        let before = |seconds: i64| NOW.as_micros() - seconds * 1_000_000;
        let entry = |name: &str, role: &str| pb::OperatorEntry {
            name: name.into(),
            role: role.into(),
            added: before(90_000),
            ..pb::OperatorEntry::default()
        };
        let ada = pb::OperatorEntry {
            login_key: "bpd2GXSJYM8pTFyhKFdcPX3UZGOBwP83r6j7KRCpAmg=".into(),
            added_by: "admin".into(),
            last_login: before(3600),
            ..entry("ada", "deployer")
        };
        let eve = pb::OperatorEntry { revoked: before(60), ..entry("eve", "viewer") };
        let all = [ada, entry("admin", "admin"), eve];
        OperatorsView { operators: all.into_iter().map(Into::into).collect() }
    }

    #[test]
    fn the_table_of_operators() {
        insta::assert_snapshot!(operators().text(Page::endless(NOW)));
    }

    #[test]
    fn the_json_of_operators() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&operators()).unwrap());
    }

    #[test]
    fn what_a_login_brought() {
        let login = LoginView {
            operator: "ada".into(),
            role: "deployer".into(),
            expires: NOW,
            credentials: "/home/ada/.floe".into(),
        };
        insta::assert_snapshot!(login.text(Page::endless(NOW)));
    }
}
