//! The secrets of a role on their way to its hosts, for `floe push` and `floe secrets seal`.
//!
//! Prepared first, with all questions asked; sent when everything else is ready, too.

use std::path::PathBuf;

use clap::Args;
use floe_proto::admit::MAX_JUMP;
use floe_proto::id::{HostId, Role, Serial};
use floe_proto::pb;
use floe_proto::pb::publish_secrets_request::Message;
use floe_proto::root::Root;
use floe_proto::sealed::SealingKey;
use floe_proto::secret::Secret;
use floe_proto::verify::Verified;
use tokio_stream::iter;

use super::ask;
use super::connection::Connection;
use super::context::Context;
use super::end::Stopped;
use super::progress;
use super::vault::Vault;
use super::view::secrets::{NewKeyView, SealedView};
use crate::repository::Repository;
use crate::secrets::recipients::{Known, NewKey, Recipient, Who};
use crate::secrets::seal::{self, SealedTo, Statement};
use crate::secrets::values;
use crate::signing::Signer;

#[derive(Args, Debug)]
pub(super) struct SealingArgs {
    /// Seal secrets to hosts whose keys are new, without asking
    ///
    /// Which host has which key is the control plane's word, and whoever it names can read
    /// the role's secrets. Keys that were sealed to before are in recipients.toml.
    #[arg(long)]
    pub(super) accept_new_keys: bool,
}

/// Whether keys that are new are sealed to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consent {
    /// It was said already.
    pub(super) given: bool,
    /// Nothing is sent, so that nobody need be asked.
    pub(super) dry_run: bool,
}

/// What is needed to seal.
pub(super) struct Sealing<'a> {
    pub(super) context: &'a Context,
    pub(super) repository: &'a Repository,
    pub(super) root: &'a Verified<Root>,
    pub(super) role: &'a Role,
    /// Whether the control plane is asked even where nothing seems to be sealed.
    pub(super) thorough: bool,
}

/// Secrets that are sealed, and wait to be sent.
pub(super) struct Sealed {
    header: pb::SecretsHeader,
    sealed: Vec<SealedTo>,
    values: Vec<Secret>,
    view: SealedView,
    known: Known,
    role: Role,
    /// Of the repository.
    root: PathBuf,
}

impl Sealing<'_> {
    /// Reads, signs and seals the role's secrets; `None` where it has none, and had none.
    pub(super) async fn prepare(
        &self,
        consent: Consent,
        signers: &[Signer],
        vault: &mut Vault,
    ) -> anyhow::Result<Option<Sealed>> {
        let Self { context, repository, root, role, .. } = self;
        let entries = repository.host_file(role)?.secrets;
        let known = Known::read(repository.root())?;
        // Spares a push a call, where nobody ever sealed anything.
        if entries.is_empty() && !known.knows(role) && !self.thorough {
            return Ok(None);
        }
        let connection = context.connect_from(Some(repository)).await?;
        let listed = list(&connection, role).await?;
        if entries.is_empty() && listed.count == 0 {
            return Ok(None);
        }
        let (recipients, waiting) = self.recipients(&listed)?;
        let new = known.new_keys(role, &recipients);
        self.ask(&new, consent)?;

        let environment = context.environment();
        let render = |name: &_, text: &str| vault.render(name, text);
        let secrets = values::resolve(&entries, repository.root(), environment, render)?;
        vault.keep_salts()?;
        let names = secrets.iter().map(|secret| secret.name.to_string()).collect();
        let serial = next(&listed, root.epoch.get().into())?;
        let statement = Statement {
            fleet: root.fleet.clone(),
            role: Role::clone(role),
            epoch: root.epoch,
            serial,
            now: context.now(),
        };
        let count = u32::try_from(secrets.len()).unwrap_or(u32::MAX);
        let values = secrets.clone();
        let sealed = seal::sign(statement, secrets, signers, root).await?.seal(&recipients)?;
        let header = pb::SecretsHeader {
            role: role.to_string(),
            epoch: root.epoch.get().into(),
            serial: serial.get(),
            count,
        };
        let is_host = |who: &Who| matches!(who, Who::Host(_));
        let view = SealedView {
            role: role.to_string(),
            epoch: header.epoch,
            serial: header.serial,
            secrets: names,
            hosts: recipients
                .iter()
                .filter(|recipient| is_host(&recipient.who))
                .map(|recipient| recipient.who.to_string())
                .collect(),
            escrow: recipients.iter().any(|recipient| !is_host(&recipient.who)),
            waiting,
            new_keys: new.into_iter().map(view_of).collect(),
            dry_run: false,
        };
        let (role, root) = (Role::clone(role), repository.root().to_owned());
        Ok(Some(Sealed { header, sealed, values, view, known, role, root }))
    }

    /// Whom the control plane names, and hosts that have no key yet.
    fn recipients(
        &self,
        listed: &pb::ListRecipientsReply,
    ) -> anyhow::Result<(Vec<Recipient>, Vec<String>)> {
        let (mut recipients, mut waiting) = (Vec::new(), Vec::new());
        for host in &listed.recipients {
            if host.key.is_empty() {
                waiting.push(host.host.clone());
                continue;
            }
            let who = Who::Host(host.host.parse::<HostId>()?);
            recipients.push(Recipient { who, key: SealingKey::try_from(host.key.as_slice())? });
        }
        if self.repository.file().escrow && !listed.escrow_key.is_empty() {
            let key = SealingKey::try_from(listed.escrow_key.as_slice())?;
            recipients.push(Recipient { who: Who::Escrow, key });
        }
        Ok((recipients, waiting))
    }

    /// Whoever has one of these keys reads the secrets: somebody must have said yes.
    fn ask(&self, new: &[NewKey], consent: Consent) -> anyhow::Result<()> {
        if new.is_empty() || consent.given || consent.dry_run {
            return Ok(());
        }
        let role = self.role;
        progress::line(&format!("nothing of {role} was sealed to these keys before:"));
        for key in new {
            progress::line(&format!("  {}", sentence(key)));
        }
        let question = "Are these your hosts, and may they have the secrets of this role?";
        let asked = ask::yes(question, self.context.environment())?;
        if asked == Some(true) {
            return Ok(());
        }
        let hosts: Vec<_> = new.iter().map(|key| key.recipient.who.to_string()).collect();
        Err(Stopped::refused(
            format!("no secret of `{role}` was sealed to {}: the keys are new", hosts.join(", ")),
            "compare them with what `floe-agent status` shows on the hosts; then say yes, or \
             --accept-new-keys; --no-secrets pushes without",
        )
        .into())
    }
}

impl Sealed {
    /// What the secrets are.
    pub(super) fn values(&self) -> &[Secret] {
        &self.values
    }

    /// What is to be sent.
    pub(super) fn view(&self, dry_run: bool) -> SealedView {
        SealedView { dry_run, ..self.view.clone() }
    }

    /// Sends it; hosts that are connected get theirs at once.
    pub(super) async fn publish(self, connection: &Connection) -> anyhow::Result<()> {
        let Self { header, sealed, mut known, role, root, .. } = self;
        let recipients: Vec<_> = sealed.iter().map(|one| one.recipient.clone()).collect();
        let header = Message::Header(header);
        let sealed = sealed.into_iter().map(|one| {
            let host = match &one.recipient.who {
                Who::Host(host) => host.to_string(),
                Who::Escrow => String::new(),
            };
            let key = one.recipient.key.as_bytes().to_vec();
            Message::Sealed(pb::SealedSecrets { host, key, sealed: one.sealed })
        });
        let messages: Vec<_> = std::iter::once(header)
            .chain(sealed)
            .map(|message| pb::PublishSecretsRequest { message: Some(message) })
            .collect();
        let refusal = connection.refusal(&format!("publish the secrets of `{role}`"));
        // Somebody said yes to them, whatever becomes of the rest.
        known.learn(&role, &recipients);
        known.write(&root)?;
        connection.secrets().publish_secrets(iter(messages)).await.map_err(refusal)?;
        Ok(())
    }
}

/// Whom secrets of `role` can be sealed to, and what is published.
pub(super) async fn list(
    connection: &Connection,
    role: &Role,
) -> anyhow::Result<pb::ListRecipientsReply> {
    let request = pb::ListRecipientsRequest { role: role.to_string() };
    let listed = connection.secrets().list_recipients(request).await;
    let refusal = connection.refusal(&format!("ask who gets the secrets of `{role}`"));
    Ok(listed.map_err(refusal)?.into_inner())
}

/// The number after the newest, under the trust root's epoch: the newest that is published, or
/// that a host has, where the control plane was restored from an older backup.
fn next(listed: &pb::ListRecipientsReply, epoch: u64) -> anyhow::Result<Serial> {
    let newest = listed.newest.filter(|newest| newest.epoch >= epoch);
    if let Some(newest) = newest.filter(|newest| newest.epoch > epoch) {
        return Err(Stopped::refused(
            format!("the newest secrets are of epoch {}, trust.json of {epoch}", newest.epoch),
            "fetch the newest trust.json of your fleet",
        )
        .into());
    }
    let published = newest.map_or(0, |newest| newest.serial);
    // Not further than hosts would follow: what one says is its word.
    let near = published.saturating_add(MAX_JUMP);
    let held = listed.recipients.iter().filter_map(|host| host.held);
    let held = held.filter(|held| held.epoch == epoch && held.serial < near);
    let newest = held.map(|held| held.serial).max().unwrap_or(0).max(published);
    let next = newest.checked_add(1).and_then(|next| Serial::try_from(next).ok());
    next.ok_or_else(|| {
        Stopped::failed("the numbers of secrets have run out", "raise the epoch of the trust root")
            .into()
    })
}

fn sentence(new: &NewKey) -> String {
    let (who, key) = (&new.recipient.who, new.recipient.key);
    let who = match who {
        Who::Escrow => "the control plane's escrow".to_owned(),
        Who::Host(host) => format!("host {host}"),
    };
    match new.before {
        Some(before) => format!("{who}: {key}, which was {before}"),
        None => format!("{who}: {key}"),
    }
}

fn view_of(new: NewKey) -> NewKeyView {
    NewKeyView {
        recipient: new.recipient.who.to_string(),
        key: new.recipient.key.to_string(),
        before: new.before.map(|key| key.to_string()),
    }
}
