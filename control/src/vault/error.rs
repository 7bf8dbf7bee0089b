//! Why a vault could not be opened or sealed. Which file it was, the caller says.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why a vault could not be opened or sealed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no header.
    #[error("it does not begin with `$ANSIBLE_VAULT`, so it is not sealed")]
    NotSealed,
    /// The header has too few parts.
    #[error("its first line is not `$ANSIBLE_VAULT;1.1;AES256` or `$ANSIBLE_VAULT;1.2;AES256;ID`")]
    Header,
    /// A format that we do not know.
    #[error("its format is `{found}`; 1.1 and 1.2 are known")]
    Version {
        /// What the header says.
        found: String,
    },
    /// A cipher that we do not know.
    #[error("its cipher is `{found}`; only AES256 is known")]
    Cipher {
        /// What the header says.
        found: String,
    },
    /// The lines below the header are not what was written.
    #[error("what follows its header is cut off or damaged: {0}")]
    Damaged(&'static str),
    /// The authentication code is another.
    #[error("the password is not the one that it was sealed with, or it was changed since")]
    WrongPassword,
    /// The label of a vault id would break the header.
    #[error("`{label}` is no vault id; expected letters, digits, `-`, `_`, `.`, `@`")]
    Label {
        /// What was asked for.
        label: String,
    },
    /// A password of no characters.
    #[error("the vault password is empty")]
    EmptyPassword,
    /// The file with the password.
    #[error("could not read the vault password file `{}`", path.display())]
    PasswordFile {
        /// Which file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The password file is a vault itself.
    #[error("the vault password file `{}` is itself sealed", path.display())]
    SealedPassword {
        /// Which file.
        path: PathBuf,
    },
    /// The program that knows the password could not be run to its end.
    #[error("could not run the vault password file `{}`, which is executable", path.display())]
    Unrun {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program that knows the password did not tell it.
    #[error("the vault password file `{}` was run, and ended with {status}", path.display())]
    Failed {
        /// Which file.
        path: PathBuf,
        /// How.
        status: ExitStatus,
    },
    /// The cryptographic library would not.
    #[error("the cryptographic library refused to {0}")]
    Library(&'static str),
}

impl Error {
    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotSealed => "seal it with `ansible-vault encrypt FILE`",
            Self::Header | Self::Damaged(_) => {
                "restore the file from version control; a vault is edited by `floe secrets edit`"
            }
            Self::Version { .. } | Self::Cipher { .. } => {
                "seal it anew with a current Ansible: `ansible-vault rekey FILE`"
            }
            Self::WrongPassword => {
                "check the password: `ansible-vault view FILE` with the same one must work"
            }
            Self::Label { .. } => "choose a shorter, plainer vault id",
            Self::EmptyPassword => "write the password into the file, or type it",
            Self::PasswordFile { .. } => "name a file that you may read with --vault-password-file",
            Self::SealedPassword { .. } => "name a file that holds the password in the clear",
            Self::Unrun { .. } => "if it is no program, take its executable bit away with chmod -x",
            Self::Failed { .. } => "run it by hand; it must print the password and end with 0",
            Self::Library(_) => "try again; if it happens again, this machine has no randomness",
        }
    }
}
