//! Secrets: what they are called, who gets them, never what they are.

use floe_proto::id::{HostId, Role};
use floe_proto::pb;
use floe_proto::sealed::SealingKey;
use floe_proto::time::Timestamp;
use serde::Serialize;

use super::activation::time;
use super::{Page, View, ago, table};
use crate::repository::{SecretEntry, SecretSource};
use crate::secrets::recipients::{Known, Recipient, Who};

/// `floe secrets list`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct SecretsView {
    secrets: Vec<SecretView>,
}

#[derive(Clone, Debug, Serialize)]
struct SecretView {
    role: String,
    name: String,
    /// `value` or `age`.
    source: &'static str,
    /// The template, or the file.
    from: String,
    owner: String,
    group: String,
    mode: String,
    restart: Vec<String>,
    reload: Vec<String>,
}

impl SecretsView {
    /// Those of a role as well.
    pub(crate) fn add(&mut self, role: &Role, entries: &[SecretEntry]) {
        self.secrets.extend(entries.iter().map(|entry| {
            let (source, from) = match &entry.source {
                SecretSource::Value(template) => ("value", template.clone()),
                SecretSource::Age(path) => ("age", path.display().to_string()),
            };
            SecretView {
                role: role.to_string(),
                name: entry.name.to_string(),
                source,
                from,
                owner: entry.owner.clone(),
                group: entry.group.clone(),
                mode: String::from(entry.mode),
                restart: entry.units.restart.clone(),
                reload: entry.units.reload.clone(),
            }
        }));
    }
}

impl View for SecretsView {
    fn text(&self, page: Page) -> String {
        if self.secrets.is_empty() {
            return "no secrets: say which there are in `[secrets]` of host.toml\n".into();
        }
        let rows = self.secrets.iter().map(|secret| {
            let units: Vec<_> = secret.restart.iter().chain(&secret.reload).cloned().collect();
            [
                secret.role.clone(),
                secret.name.clone(),
                format!("{}:{} {}", secret.owner, secret.group, secret.mode),
                if units.is_empty() { "-".into() } else { units.join(" ") },
                secret.from.clone(),
            ]
        });
        table(page, ["ROLE", "SECRET", "OWNER", "TELLS", "FROM"], rows)
    }
}

/// `floe secrets seal`, and the secrets of a push.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SealedView {
    pub(crate) role: String,
    pub(crate) epoch: u64,
    pub(crate) serial: u64,
    /// What they are called.
    pub(crate) secrets: Vec<String>,
    /// The hosts that they are sealed to.
    pub(crate) hosts: Vec<String>,
    /// Whether the control plane can seal them to hosts that come.
    pub(crate) escrow: bool,
    /// Hosts of the role that have said no key yet.
    pub(crate) waiting: Vec<String>,
    /// The keys that were not in recipients.toml.
    pub(crate) new_keys: Vec<NewKeyView>,
    /// Nothing was sent anywhere.
    pub(crate) dry_run: bool,
}

/// A key that nothing was sealed to before.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NewKeyView {
    /// A host, or `escrow`.
    pub(crate) recipient: String,
    pub(crate) key: String,
    /// The key that it had; `null` where it is new itself.
    pub(crate) before: Option<String>,
}

impl View for SealedView {
    fn text(&self, _: Page) -> String {
        let Self { role, serial, .. } = self;
        let said = if self.dry_run { "would send" } else { "sent" };
        let number = |count: usize, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {many}"),
        };
        let secrets = number(self.secrets.len(), "secret", "secrets");
        let hosts = number(self.hosts.len(), "host", "hosts");
        let escrow = if self.escrow { " and the escrow" } else { "" };
        let mut text = format!("{said} {secrets} of {role} to {hosts}{escrow}, serial {serial}\n");
        if !self.waiting.is_empty() {
            let how = match self.escrow {
                true => "get them when they connect",
                false => "get none before `floe secrets seal` is typed again",
            };
            text += &format!("  without a key yet: {}; they {how}\n", self.waiting.join(", "));
        }
        text
    }
}

/// `floe secrets edit`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EditView {
    pub(crate) file: String,
    /// Whether it is another one than before.
    pub(crate) changed: bool,
}

impl View for EditView {
    fn text(&self, _: Page) -> String {
        match self.changed {
            true => format!("sealed {}; hosts get it with: floe secrets seal ROLE\n", self.file),
            false => format!("{} is as it was\n", self.file),
        }
    }
}

/// What became of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    /// Somebody said its value.
    Set,
    /// Chance did.
    Rotated,
}

/// `floe secrets set`, `floe secrets rotate`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SetView {
    pub(crate) role: String,
    pub(crate) secret: String,
    pub(crate) change: Change,
    /// The file that holds the value, relative to the repository.
    pub(crate) file: String,
    /// The variable in it; `null` where the file is one of age's.
    pub(crate) variable: Option<String>,
    /// Every secret of any role that is made of it, this one too.
    pub(crate) used_by: Vec<UserView>,
    /// Files that are rendered with it.
    pub(crate) templates: Vec<String>,
    /// Whether a digest of it gets another salt.
    pub(crate) new_salt: bool,
    /// What was sent; `null` where nothing was.
    pub(crate) sealed: Option<SealedView>,
    /// Nothing was written.
    pub(crate) dry_run: bool,
}

/// A secret that is made of a value.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UserView {
    role: String,
    secret: String,
    restart: Vec<String>,
    reload: Vec<String>,
}

impl UserView {
    pub(crate) fn new(role: &Role, entry: &SecretEntry) -> Self {
        Self {
            role: role.to_string(),
            secret: entry.name.to_string(),
            restart: entry.units.restart.clone(),
            reload: entry.units.reload.clone(),
        }
    }

    fn units(&self) -> String {
        let told = |units: &[String], how: &str| {
            (!units.is_empty()).then(|| format!("{how} {}", units.join(", ")))
        };
        let told = [told(&self.restart, "restarts"), told(&self.reload, "reloads")];
        let told: Vec<_> = told.into_iter().flatten().collect();
        if told.is_empty() { "tells no unit".into() } else { told.join(", ") }
    }
}

impl View for SetView {
    fn text(&self, page: Page) -> String {
        let Self { role, secret, file, .. } = self;
        let said = match (self.change, self.dry_run) {
            (Change::Set, false) => "set",
            (Change::Set, true) => "would set",
            (Change::Rotated, false) => "rotated",
            (Change::Rotated, true) => "would rotate",
        };
        let place = match &self.variable {
            Some(variable) => format!("`{variable}` in {file}"),
            None => file.clone(),
        };
        let mut text = format!("{said} {secret} of {role}: {place}\n");
        for user in &self.used_by {
            text += &format!("  {} of {}: {}\n", user.secret, user.role, user.units());
        }
        for template in &self.templates {
            text += &format!("  {template} is rendered with it: it takes a push\n");
        }
        if let Some(sealed) = &self.sealed {
            text += &sealed.text(page);
        }
        let mut roles: Vec<_> = self.used_by.iter().map(|user| user.role.as_str()).collect();
        roles.dedup();
        let is_sent = |role: &&str| self.sealed.as_ref().is_some_and(|sent| sent.role == **role);
        for role in roles.into_iter().filter(|role| !self.dry_run && !is_sent(role)) {
            text += &format!("hosts get it with: floe secrets seal {role}\n");
        }
        text
    }
}

/// `floe secrets audit`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AuditView {
    role: String,
    /// What is published; `null` where nothing is.
    newest: Option<NumberView>,
    published: Option<Timestamp>,
    publisher: String,
    /// How many secrets there are.
    count: u32,
    /// Whether the control plane can read what is published.
    in_escrow: bool,
    recipients: Vec<RecipientView>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct NumberView {
    epoch: u64,
    serial: u64,
}

impl From<pb::SecretsHeld> for NumberView {
    fn from(held: pb::SecretsHeld) -> Self {
        Self { epoch: held.epoch, serial: held.serial }
    }
}

#[derive(Clone, Debug, Serialize)]
struct RecipientView {
    host: String,
    /// `null` before it said one.
    key: Option<String>,
    since: Option<Timestamp>,
    /// Whether the key is in recipients.toml.
    known: bool,
    /// Whether what is published is sealed to it.
    sealed: bool,
    /// What it has.
    held: Option<NumberView>,
    /// Why it does not have what it was sent.
    problem: String,
}

impl AuditView {
    /// What the control plane `listed` of `role`, beside the keys that are `known`.
    pub(crate) fn new(
        role: &Role,
        listed: pb::ListRecipientsReply,
        known: &Known,
    ) -> anyhow::Result<Self> {
        let recipient = |said: pb::Recipient| {
            let host: HostId = said.host.parse()?;
            let key = match said.key.as_slice() {
                [] => None,
                key => Some(SealingKey::try_from(key)?),
            };
            let is_new = |key| {
                let recipient = Recipient { who: Who::Host(host.clone()), key };
                !known.new_keys(role, &[recipient]).is_empty()
            };
            anyhow::Ok(RecipientView {
                known: key.is_some_and(|key| !is_new(key)),
                key: key.map(|key| key.to_string()),
                host: said.host,
                since: time(said.since),
                sealed: said.sealed,
                held: said.held.map(NumberView::from),
                problem: said.problem,
            })
        };
        Ok(Self {
            role: role.to_string(),
            newest: listed.newest.map(NumberView::from),
            published: time(listed.published),
            publisher: listed.publisher,
            count: listed.count,
            in_escrow: listed.in_escrow,
            recipients: listed.recipients.into_iter().map(recipient).collect::<Result<_, _>>()?,
        })
    }

    /// Whether every host has what is published.
    pub(crate) fn is_whole(&self) -> bool {
        let has = |host: &RecipientView| host.held == self.newest && host.problem.is_empty();
        self.newest.is_none() || self.recipients.iter().all(has)
    }
}

impl View for AuditView {
    fn text(&self, page: Page) -> String {
        let Some(newest) = self.newest else {
            return format!("no secrets of {} are published\n", self.role);
        };
        let rows = self.recipients.iter().map(|host| {
            let key = match (&host.key, host.known) {
                (None, _) => "none yet".to_owned(),
                (Some(_), true) => "known".to_owned(),
                (Some(key), false) => format!("NEW {key}"),
            };
            let state = match (&host.held, host.problem.as_str()) {
                (Some(held), "") if *held == newest => "has them".to_owned(),
                (Some(held), "") => format!("has serial {}", held.serial),
                (None, "") if host.sealed => "is to get them".to_owned(),
                (None, "") => "has none, and nothing is sealed to it".to_owned(),
                (_, problem) => problem.to_owned(),
            };
            [host.host.clone(), ago(page.now, host.since), key, state]
        });
        let escrow = if self.in_escrow { "can" } else { "cannot" };
        format!(
            "{}\n{} secrets, serial {}, published by {} {}; the control plane {escrow} read them\n",
            table(page, ["HOST", "KEY SINCE", "KEY", "SECRETS"], rows),
            self.count,
            newest.serial,
            self.publisher,
            ago(page.now, self.published),
        )
    }
}
