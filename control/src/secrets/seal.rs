//! A role's secrets as one document: signed first, then sealed to each recipient.

use floe_proto::envelope::{self, Envelope};
use floe_proto::id::{Epoch, Fleet, Role, Serial};
use floe_proto::root::Root;
use floe_proto::sealed;
use floe_proto::secret::{self, Secret, SecretSet};
use floe_proto::time::Timestamp;
use floe_proto::verify::{self, Verified};
use zeroize::Zeroizing;

use super::recipients::{Recipient, Who};
use crate::bundle::sign;
use crate::signing::Signer;

/// What is said once.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The fleet.
    pub fleet: Fleet,
    /// The role whose hosts get them.
    pub role: Role,
    /// The trust root's.
    pub epoch: Epoch,
    /// The number after the newest.
    pub serial: Serial,
    /// Now.
    pub now: Timestamp,
}

/// A signed document, which hosts of this trust root believe.
pub struct Signed {
    fleet: Fleet,
    role: Role,
    envelope: Zeroizing<Vec<u8>>,
}

/// For one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedTo {
    /// Who, and by which key.
    pub recipient: Recipient,
    /// The bytes.
    pub sealed: Vec<u8>,
}

/// Has `signers` sign `secrets`, and looks whether hosts will believe it.
///
/// # Errors
///
/// [`Error`].
pub async fn sign(
    statement: Statement,
    mut secrets: Vec<Secret>,
    signers: &[Signer],
    root: &Verified<Root>,
) -> Result<Signed, Error> {
    let Statement { fleet, role, epoch, serial, now } = statement;
    secrets.sort_by(|one, next| one.name.cmp(&next.name));
    let set = SecretSet {
        schema: secret::SCHEMA,
        fleet: fleet.clone(),
        role: role.clone(),
        epoch,
        serial,
        created: now.whole_seconds(),
        secrets,
    };
    let mut envelope = Envelope::unsigned(secret::TYPE, set.to_bytes()?.to_vec());
    sign::add(&mut envelope, signers).await?;
    let envelope = Zeroizing::new(envelope.to_bytes()?);
    verify::secrets(&envelope, root, now)?;
    Ok(Signed { fleet, role, envelope })
}

impl Signed {
    /// Seals it to each of `recipients`.
    ///
    /// # Errors
    ///
    /// [`Error::Seal`] for a key that cannot be sealed to.
    pub fn seal(&self, recipients: &[Recipient]) -> Result<Vec<SealedTo>, Error> {
        let seal = |recipient: &Recipient| {
            let who = match &recipient.who {
                Who::Escrow => sealed::Who::Escrow,
                Who::Host(host) => sealed::Who::Host(host),
            };
            let to = sealed::Recipient { fleet: &self.fleet, role: &self.role, who };
            let sealed = sealed::seal(&self.envelope, &recipient.key, to)
                .map_err(|source| Error::Seal { who: recipient.who.to_string(), source })?;
            Ok(SealedTo { recipient: recipient.clone(), sealed })
        };
        recipients.iter().map(seal).collect()
    }
}

/// Why secrets were not sealed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is to be said makes no sense.
    #[error(transparent)]
    Secrets(#[from] secret::Error),
    /// It was not signed.
    #[error(transparent)]
    Sign(#[from] sign::Error),
    /// It could not be written.
    #[error("could not sign the secrets")]
    Envelope(#[from] envelope::Error),
    /// Hosts would not believe it.
    #[error("hosts would refuse the secrets")]
    Refused(#[from] verify::Error),
    /// A key is none.
    #[error("could not seal the secrets to `{who}`")]
    Seal {
        /// To whom.
        who: String,
        /// Why.
        #[source]
        source: sealed::Error,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::Secrets(_) => "correct `[secrets]` in host.toml".into(),
            Self::Sign(error) => error.advice(),
            Self::Envelope(_) => "look at how many keys sign".into(),
            Self::Refused(verify::Error::TooFewSignatures { .. }) => {
                "have every release key that is needed sign here: secrets are not passed around \
                 to be signed"
                    .into()
            }
            Self::Refused(error) => error.advice().into(),
            Self::Seal { .. } => {
                "ask who that is: a host's agent makes no such key; `floe hosts show` tells more"
                    .into()
            }
        }
    }

    /// Whether this is a matter of trust, and not of a mistake.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Sign(error) => error.is_refusal(),
            Self::Refused(_) | Self::Seal { .. } => true,
            Self::Secrets(_) | Self::Envelope(_) => false,
        }
    }
}
