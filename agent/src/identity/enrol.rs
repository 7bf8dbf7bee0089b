//! The one call that makes a machine a host, until it succeeds.
//!
//! What may pass (nobody answers) is tried again with full jitter. What will not pass
//! by itself is said once, clearly, and then waited for. Where a token was used up,
//! somebody has to put another `join.toml` there, and the agent sees it when they do (and
//! asks meanwhile, now and then, whether the identity of before can be renewed after all);
//! on EC2 somebody has to approve the machine or correct a record, and the same key
//! asks again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use floe_proto::id::{Fleet, HostId, Role};
use floe_proto::pb::enrolment_client::EnrolmentClient;
use floe_proto::pb::{AwsIid, EnrolRequest, enrol_request};
use floe_proto::time::Timestamp;
use floe_proto::transport::{self, Identity, MAX_MESSAGE_BYTES};
use log::{error, info, warn};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::time_provider::TimeProvider;
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::accept::{accept, request};
use super::expired;
use super::failure::{Error, Remedy};
use super::imds::{self, Imds};
use super::join;
use super::store::{self, Enrolled, Store};
use super::wait::{changed, fingerprint, set_back};
use crate::backoff::Backoff;
use crate::telemetry::Chain;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long at most, where an operator has to do something first.
const LONGEST_PATIENCE: Duration = Duration::from_secs(2 * 60);

/// How often EC2 is asked again which instance this is: half a minute together at most.
const METADATA_RETRIES: usize = 4;

/// How long one call may take.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What enrolment needs to know.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The fleet whose control plane it is.
    pub fleet: Fleet,
    /// The role that this machine was configured for.
    pub role: Role,
    /// How it proves who it is.
    pub attestation: Attestation,
    /// Where the control plane is.
    pub control_plane: String,
    /// The fleet's CA, which the control plane's certificate must come from.
    pub ca: Vec<CertificateDer<'static>>,
    /// Where `join.toml` lies and the identity goes.
    pub state_directory: PathBuf,
    /// By which certificates are judged.
    pub clock: Arc<dyn TimeProvider>,
}

impl Terms {
    /// How the control plane is reached, by somebody with `identity` or by a stranger.
    ///
    /// # Errors
    ///
    /// [`transport::Error`] where its certificate and key do not fit.
    pub fn tls(&self, identity: Option<Identity>) -> Result<ClientConfig, transport::Error> {
        transport::client_config_at(&self.ca, &self.fleet, identity, Arc::clone(&self.clock))
    }

    /// By the clock that certificates are judged by.
    pub(super) fn now(&self) -> Timestamp {
        let seconds = self.clock.current_time().map_or(0, |now| now.as_secs());
        Timestamp::from_micros(i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000))
    }

    /// Where somebody may put a token.
    pub(super) fn join_file(&self) -> PathBuf {
        self.state_directory.join("join.toml")
    }
}

/// How a machine proves who it is.
#[derive(Clone, Debug)]
pub enum Attestation {
    /// By the token in `join.toml`.
    Token,
    /// By what EC2 signed about it.
    AwsIid(Imds),
}

/// What the identity on the disk is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As much as its certificate says.
    Unknown,
    /// Nothing: the control plane refused it, and somebody put another token there.
    Refused,
}

/// The identity of this machine: the one on the disk, or a new one. Waits as long as
/// it takes; returns no error, since there is nothing else that an agent could do.
pub async fn obtain(terms: &Terms, standing: Standing) -> Enrolled {
    let store = Store::new(&terms.state_directory);
    let path = terms.join_file();
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let mut patience = Backoff::new(FIRST_WAIT, LONGEST_PATIENCE);
    let mut said = String::new();
    loop {
        // Taken before the try: the file may be replaced while it goes on.
        let (before, began) = (fingerprint(&path), terms.now());
        let failure = match once(terms, standing, &store, &path).await {
            Ok(enrolled) => return enrolled,
            Err(failure) => failure,
        };
        let text = Chain(&failure).to_string();
        let lost = match terms.attestation {
            Attestation::AwsIid(_) if before.is_none() => Remedy::Operator,
            Attestation::Token | Attestation::AwsIid(_) => Remedy::JoinFile,
        };
        match failure.remedy(lost) {
            Remedy::Time => {
                let wait = backoff.next_wait();
                warn!(wait:? = wait; "not enrolled yet, will try again: {text}");
                sleep(wait).await;
            }
            Remedy::Operator => {
                let wait = patience.next_wait();
                // Once: it may be asked for days.
                if said != text {
                    error!("{text}; asking again until an operator has seen to it");
                    error!("what to do: {}", failure.advice());
                    said = text;
                }
                // A token that somebody puts there meanwhile is a way in as well.
                let _over = timeout(wait, changed(&path, before)).await;
                backoff.reset();
            }
            Remedy::JoinFile => {
                error!("{text}; waiting for another `{}`", path.display());
                error!("what to do: {}", failure.advice());
                tokio::select! {
                    () = changed(&path, before) => {}
                    // What had expired may be good after all.
                    () = set_back(terms, began) => warn!("the clock was set back; trying again"),
                    // Without the token, which was refused.
                    enrolled = expired::renew_after_all(terms, &store) => {
                        info!(host:% = enrolled.host; "the certificate was renewed after all");
                        return enrolled;
                    }
                }
                backoff.reset();
            }
        }
    }
}

async fn once(
    terms: &Terms,
    standing: Standing,
    store: &Store,
    path: &Path,
) -> Result<Enrolled, Error> {
    match &terms.attestation {
        Attestation::Token => by_token(terms, standing, store, path).await,
        Attestation::AwsIid(imds) => by_document(terms, standing, store, imds, path).await,
    }
}

async fn by_token(
    terms: &Terms,
    standing: Standing,
    store: &Store,
    path: &Path,
) -> Result<Enrolled, Error> {
    if let Some(enrolled) = at_hand(terms, standing, store).await? {
        return Ok(enrolled);
    }
    let join = join::read(path)?;
    let attestation = enrol_request::Attestation::Token(join.token.to_string());
    let enrolled = enrol(terms, store, &join.host, attestation).await?;
    discard_used(path, &enrolled.host);
    Ok(enrolled)
}

/// The instance is asked for before anything on the disk is used: the disk may be a
/// copy of another instance's (catalogue T079).
async fn by_document(
    terms: &Terms,
    standing: Standing,
    store: &Store,
    imds: &Imds,
    path: &Path,
) -> Result<Enrolled, Error> {
    let instance = match instance(imds).await {
        Ok(instance) => instance,
        Err(silent) => {
            // Somebody may have turned the service off since; a host is not lost for that.
            // If the disk is a copy, the control plane sees two of one name.
            let Some(enrolled) = at_hand(terms, standing, store).await? else {
                return Err(silent.into());
            };
            warn!(host:% = enrolled.host; "cannot tell whether this identity is this instance's own, going on: {}", Chain(&silent));
            return Ok(enrolled);
        }
    };
    if let Some(other) = store.belong_to(&instance)? {
        warn!(host:% = instance; "this disk holds the identity of `{other}`, but this is `{instance}`: it was put aside, and this machine enrols as itself");
    }
    if let Some(enrolled) = at_hand(terms, standing, store).await? {
        return Ok(enrolled);
    }
    // An operator may let in by a token whom the document does not, such as a host that
    // was revoked.
    let attestation = match join::read(path) {
        Ok(join) if join.host == instance => {
            enrol_request::Attestation::Token(join.token.to_string())
        }
        Ok(join) => return Err(Error::OtherToken { ours: instance, theirs: join.host }),
        Err(join::Error::Missing { .. }) => {
            let pkcs7 = imds.document().await?;
            enrol_request::Attestation::AwsIid(AwsIid { pkcs7 })
        }
        Err(error) => return Err(error.into()),
    };
    let enrolled = enrol(terms, store, &instance, attestation).await?;
    discard_used(path, &enrolled.host);
    Ok(enrolled)
}

/// The identity on the disk, if it is still of use; renewed where it has expired.
async fn at_hand(
    terms: &Terms,
    standing: Standing,
    store: &Store,
) -> Result<Option<Enrolled>, Error> {
    let found = match store.load() {
        Err(broken @ store::Error::Broken { .. }) => {
            let aside = store.put_aside_broken()?;
            error!("{broken}; it was put aside to `{}`: this machine enrols anew", aside.display());
            None
        }
        found => found?,
    };
    match (found, standing) {
        (None, _) | (Some(_), Standing::Refused) => Ok(None),
        (Some(enrolled), Standing::Unknown) if terms.now() < enrolled.certificate.not_after => {
            Ok(Some(enrolled))
        }
        (Some(old), Standing::Unknown) => renewed(terms, store, &old).await,
    }
}

async fn renewed(terms: &Terms, store: &Store, old: &Enrolled) -> Result<Option<Enrolled>, Error> {
    let (host, end) = (&old.host, old.certificate.not_after);
    match expired::renew(terms, store, old).await? {
        expired::Answer::Renewed(enrolled) => {
            info!(host:% = host; "the certificate had expired at {end} and was renewed");
            Ok(Some(enrolled))
        }
        expired::Answer::TooLate => {
            warn!(host:% = host; "the certificate expired at {end}, too long ago to be renewed: this machine has to enrol anew");
            Ok(None)
        }
        expired::Answer::Refused(status) => {
            let why = Chain(&*status);
            warn!(host:% = host; "the certificate expired at {end} and is not renewed: {why}; this machine has to enrol anew, and asks again now and then");
            Ok(None)
        }
    }
}

/// Asks a few times: right after the boot the network may not be there yet.
async fn instance(imds: &Imds) -> Result<HostId, imds::Error> {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let mut last = imds.instance().await;
    for _ in 0..METADATA_RETRIES {
        match last {
            Ok(_) | Err(imds::Error::Off) => break,
            Err(_) => sleep(backoff.next_wait()).await,
        }
        last = imds.instance().await;
    }
    last
}

/// Becomes `host`, and has it on the disk. What was there before stays until then.
pub(super) async fn enrol(
    terms: &Terms,
    store: &Store,
    host: &HostId,
    attestation: enrol_request::Attestation,
) -> Result<Enrolled, Error> {
    let asked = call(terms, store, host, attestation).await;
    if let Err(Error::Refused(status)) = &asked
        && status.code() == Code::AlreadyExists
    {
        // It is not the key on record, or was given up: nobody will ever certify it.
        store.forget_next()?;
    }
    let chain = asked?;
    store.save(host, &chain)?;
    info!(host:% = host, role:% = terms.role; "enrolled");
    // The next turn of the loop would find it too; this finds it without a wait.
    store.load()?.ok_or(Error::Vanished)
}

/// Asks for a certificate, and believes it only if it can be used.
async fn call(
    terms: &Terms,
    store: &Store,
    host: &HostId,
    attestation: enrol_request::Attestation,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let key = store.key()?;
    let request = request(&key)?;
    let tls = terms.tls(None)?;
    let asking = async {
        let channel = transport::connect(&terms.control_plane, tls).await?;
        let mut client = EnrolmentClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let request = EnrolRequest {
            certificate_request: request,
            host: match &attestation {
                enrol_request::Attestation::Token(_) => host.to_string(),
                // The document says it.
                enrol_request::Attestation::AwsIid(_) => String::new(),
            },
            attestation: Some(attestation),
        };
        let reply = client.enrol(request).await.map_err(Box::new)?;
        Ok::<_, Error>(reply.into_inner())
    };
    let reply = timeout(CALL_TIMEOUT, asking).await.unwrap_or(Err(Error::Slow))?;
    if reply.role != terms.role.as_str() {
        let theirs = quoted(&reply.role);
        return Err(Error::OtherRole { ours: terms.role.clone(), theirs });
    }
    if reply.host != host.as_str() {
        return Err(Error::OtherHost { ours: host.clone(), theirs: quoted(&reply.host) });
    }
    accept(terms, host, &key, reply.certificate, reply.issuers)
}

/// What the control plane called something, for a log.
fn quoted(text: &str) -> String {
    text.escape_debug().take(253).collect()
}

/// The token is used up, or somebody left another for a machine that is enrolled.
pub(super) fn discard_used(path: &Path, host: &HostId) {
    if let Ok(join) = join::read(path)
        && join.host != *host
    {
        let theirs = join.host;
        warn!(host:% = host; "`join.toml` names {theirs}, but this machine is enrolled already; the file was removed (to enrol anew, remove `identity/` first)");
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            warn!("could not remove the used `{}`: {error}", path.display());
        }
        Ok(()) | Err(_) => {}
    }
}
