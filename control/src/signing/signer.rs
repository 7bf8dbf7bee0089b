//! What signs: a key of ours, or a program that has one.

use std::fmt;

use floe_proto::envelope::{self, Envelope};
use floe_proto::key::{PublicKey, SecretKey};

use super::command::Command;
use super::error::Error;

/// Something that signs, and whose signatures are known to be good.
pub enum Signer {
    /// A key in memory; wiped when dropped.
    Key(SecretKey),
    /// A program.
    Command(Command),
}

impl Signer {
    /// The key that it signs with.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Key(key) => key.public(),
            Self::Command(command) => command.public(),
        }
    }

    /// Pure Ed25519 over `message`.
    ///
    /// # Errors
    ///
    /// [`Error`] of a program that does not answer, or not with this key's signature.
    pub async fn sign(&self, message: &[u8]) -> Result<[u8; 64], Error> {
        match self {
            Self::Key(key) => Ok(key.sign(message)),
            Self::Command(command) => command.sign(message).await,
        }
    }

    /// Adds its signature to `envelope`, unless it is there already: a person is not made
    /// to touch a token twice.
    ///
    /// # Errors
    ///
    /// As [`Signer::sign`], and [`Unsigned::Full`] where the envelope has no room.
    pub async fn sign_envelope(&self, envelope: &mut Envelope) -> Result<(), Unsigned> {
        let public = self.public();
        if envelope.signers(&[public]).is_empty() {
            let signature = self.sign(&envelope.message()).await?;
            envelope.attach(&public, signature)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public().id())
    }
}

/// Why an envelope was not signed.
#[derive(Debug, thiserror::Error)]
pub enum Unsigned {
    /// The signer did not.
    #[error(transparent)]
    Signer(#[from] Error),
    /// The signature does not fit.
    #[error("could not add the signature")]
    Full(#[from] envelope::Error),
}
