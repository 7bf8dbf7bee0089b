//! Why a repository could not be imported.

use std::io;
use std::path::PathBuf;

/// Why a repository could not be imported. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no.
    #[error("could not read `{}`", path.display())]
    Read {
        /// Which file or directory.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// It is too large to be what it should be.
    #[error("{what} has more than {most} {of_what}")]
    TooMuch {
        /// What is too large, with the file in backticks.
        what: String,
        /// How much there may be.
        most: usize,
        /// Of what: files, tasks, bytes.
        of_what: &'static str,
    },
    /// It is neither a Packer template nor anything else that HCL can be.
    #[error("`{file}` line {line} is no HCL: {said}")]
    Hcl {
        /// Relative to the repository.
        file: String,
        /// Where the parser stopped.
        line: usize,
        /// What it said.
        said: String,
    },
    /// It is no YAML, and no JSON.
    #[error("`{file}` line {line} is no YAML: {said}")]
    Yaml {
        /// Relative to the repository.
        file: String,
        /// Where the parser stopped.
        line: usize,
        /// What it said.
        said: String,
    },
    /// Bytes that are no text where a text must be.
    #[error("`{file}` is no UTF-8 text")]
    NotText {
        /// Relative to the repository.
        file: String,
    },
    /// Nothing in it describes a machine.
    #[error("there is neither a configuration.nix nor an amazon-ebs image in `{directory}`")]
    NoRole {
        /// What was to be imported.
        directory: String,
    },
    /// The directory's name is no domain, and nothing else was said.
    #[error("`{name}`, the directory's name, is no name of a fleet")]
    NoFleet {
        /// The directory's name.
        name: String,
    },
}

impl Error {
    pub(super) fn too_much(what: impl Into<String>, most: usize, of_what: &'static str) -> Self {
        Self::TooMuch { what: what.into(), most, of_what }
    }

    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Read { .. } => "name a directory that you can read",
            Self::TooMuch { .. } => {
                "name the directory that has hosts/, not one above it; else import it in parts"
            }
            Self::Hcl { .. } => "correct it; `packer validate` must accept it, too",
            Self::Yaml { .. } => {
                "correct it; `ansible-playbook --syntax-check` must accept it, too"
            }
            Self::NotText { .. } => "save it as UTF-8",
            Self::NoRole { .. } => "name the directory that has hosts/, or begin one: floe init",
            Self::NoFleet { .. } => "say it: --fleet DOMAIN",
        }
    }
}
