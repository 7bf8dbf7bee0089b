//! Why a key could not be used, written, or made to sign.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use floe_proto::key::{self, KeyId};

use super::environment::{KEY_VARIABLE, PASSPHRASE, PASSPHRASE_FILE};

/// Why a key could not be used. `key` is what a person calls it: its file or variable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("there is no key `{}`", path.display())]
    NoKey {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("could not read the key `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// A key in the clear that others may read.
    #[error("others may read the key `{}` (its mode is {mode:o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else.
    #[error("`{key}` holds no secret key")]
    NotAKey {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: key::Error,
    },
    /// The variable is not set.
    #[error("there is no key in {KEY_VARIABLE}")]
    NoVariable,
    /// It is encrypted, and there is nobody to ask for the passphrase.
    #[error("the key `{key}` is encrypted, and there is no passphrase for it")]
    Locked {
        /// Which.
        key: String,
    },
    /// The passphrase is another one.
    #[error("this is not the passphrase of the key `{key}`")]
    WrongPassphrase {
        /// Which.
        key: String,
    },
    /// Encrypted, but not with a passphrase that we would work for.
    #[error("the key `{key}` cannot be decrypted: {why}")]
    Undecryptable {
        /// Which.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file that should hold the passphrase.
    #[error("could not read the passphrase in `{}`", path.display())]
    PassphraseFile {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The terminal did not give one.
    #[error("could not ask for the passphrase")]
    Terminal(#[source] io::Error),
    /// A passphrase of no characters protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Typed twice, and not the same.
    #[error("the two passphrases differ")]
    Mistyped,
    /// No key is ever overwritten.
    #[error("`{}` is there already, and keys are never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The disk did not take it.
    #[error("could not write the key `{}`", path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The key could not be encoded or encrypted.
    #[error("could not encode the key: {0}")]
    Encoding(String),
    /// The key is encrypted already.
    #[error("the key `{}` is encrypted already", path.display())]
    EncryptedAlready {
        /// The file.
        path: PathBuf,
    },
    /// A signer command of no words.
    #[error("a signer command is empty")]
    NoCommand,
    /// The signer command did not run.
    #[error("could not run the signer `{program}`")]
    Unrunnable {
        /// What was to be run.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It ran for too long.
    #[error("the signer `{program}` did not answer within {seconds} s")]
    TooSlow {
        /// What was run.
        program: String,
        /// How long it had.
        seconds: u64,
    },
    /// It said that it failed.
    #[error("the signer `{program}` failed ({status})")]
    Failed {
        /// What was run.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// What it wrote is no signature.
    #[error("the signer `{program}` wrote {length} bytes that are no signature")]
    NoSignature {
        /// What was run.
        program: String,
        /// How much it wrote, as far as it was read.
        length: usize,
    },
    /// A signature, but not over this, or not with this key.
    #[error("what the signer `{program}` wrote is not the signature of the key {id}")]
    OtherSignature {
        /// What was run.
        program: String,
        /// Whose it should be.
        id: KeyId,
    },
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> String {
        match self {
            Self::NoKey { .. } => {
                "name your key in floe.toml (`signing.key`) or with --key; `floe init` begins a fleet, \
                 `floe keys new` makes a key"
                    .into()
            }
            Self::Unreadable { path, .. } => format!("make `{}` readable for you", path.display()),
            Self::Exposed { path, .. } => {
                format!("chmod 600 {}; if somebody may have read it, replace it", path.display())
            }
            Self::NotAKey { .. } => {
                "expected an Ed25519 key as `floe keys new` writes it (PKCS#8 PEM, or that encrypted \
                 with age)"
                    .into()
            }
            Self::NoVariable => format!("set {KEY_VARIABLE} to the PEM of the key"),
            Self::Locked { .. } => {
                format!("set {PASSPHRASE} or {PASSPHRASE_FILE}, or run this on a terminal")
            }
            Self::WrongPassphrase { .. } => {
                format!("try again; {PASSPHRASE} and {PASSPHRASE_FILE} come before the terminal")
            }
            Self::Undecryptable { .. } => "restore it from your backup".into(),
            Self::PassphraseFile { .. } => {
                format!("{PASSPHRASE_FILE} must name a file whose first line is the passphrase")
            }
            Self::Terminal(_) => format!("set {PASSPHRASE} or {PASSPHRASE_FILE}"),
            Self::EmptyPassphrase => {
                "choose one, or say --no-passphrase to leave the key in the clear".into()
            }
            Self::Mistyped => "try again".into(),
            Self::Exists { .. } => {
                "choose another name, or move the old key to a safe place".into()
            }
            Self::Unwritten { .. } => "free space, or choose another directory".into(),
            Self::Encoding(_) => "try again".into(),
            Self::EncryptedAlready { .. } => {
                "to change its passphrase, decrypt it with `age --decrypt` and encrypt it again".into()
            }
            Self::NoCommand => "name the program in `command` of `[[signing.signer]]`".into(),
            Self::Unrunnable { .. } => {
                "check `command` of `[[signing.signer]]` in floe.toml; it is not given to a shell"
                    .into()
            }
            Self::TooSlow { .. } | Self::Failed { .. } => {
                "run it by hand: the message comes on stdin, the signature goes to stdout".into()
            }
            Self::NoSignature { .. } => {
                "it must write the 64 bytes of an Ed25519 signature, raw or in base64, and nothing else"
                    .into()
            }
            Self::OtherSignature { .. } => {
                "compare `public` of `[[signing.signer]]` with the key that the command signs with; it \
                 must sign what comes on stdin itself (pure Ed25519), not a digest of it"
                    .into()
            }
        }
    }

    /// Whether this is a matter of trust, and not of a mistake.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::OtherSignature { .. } => true,
            Self::NoKey { .. }
            | Self::Unreadable { .. }
            | Self::Exposed { .. }
            | Self::NotAKey { .. }
            | Self::NoVariable
            | Self::Locked { .. }
            | Self::WrongPassphrase { .. }
            | Self::Undecryptable { .. }
            | Self::PassphraseFile { .. }
            | Self::Terminal(_)
            | Self::EmptyPassphrase
            | Self::Mistyped
            | Self::Exists { .. }
            | Self::Unwritten { .. }
            | Self::Encoding(_)
            | Self::EncryptedAlready { .. }
            | Self::NoCommand
            | Self::Unrunnable { .. }
            | Self::TooSlow { .. }
            | Self::Failed { .. }
            | Self::NoSignature { .. } => false,
        }
    }
}
