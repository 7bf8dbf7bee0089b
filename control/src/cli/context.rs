//! What a command is given: the repository, the control plane, a printer, the time.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};
use floe_proto::root::Root;
use floe_proto::time::Timestamp;
use rustls::pki_types::CertificateDer;

use super::connection::{self, Connection, Credentials};
use super::output::{Output, Printer};
use super::progress::Progress;
use super::view::View;
use crate::bundle::sign;
use crate::clock;
use crate::repository::{self, FLEET_FILE, Repository};
use crate::signing::{Environment, KeySource, Signer};

/// Above what every command takes, in its help: a command's own options come first.
const HEADING: &str = "Options of every command";

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(super) struct Global {
    /// Control plane to talk to [default: `server` of floe.toml]
    #[arg(long, global = true, help_heading = HEADING, hide_env_values = true, env = "FLOE_SERVER", value_name = "URL")]
    pub(super) server: Option<String>,

    /// Directory with ca.pem, cert.pem and key.pem [default: `operator.credentials` of floe.toml]
    #[arg(long, global = true, help_heading = HEADING, hide_env_values = true, env = "FLOE_CREDENTIALS", value_name = "DIR")]
    pub(super) credentials: Option<PathBuf>,

    /// Fleet repository [default: the nearest directory above with a floe.toml]
    #[arg(long, global = true, help_heading = HEADING, hide_env_values = true, env = "FLOE_REPO", value_name = "DIR")]
    pub(super) repo: Option<PathBuf>,

    /// How to print results; progress always goes to stderr
    #[arg(long, short, global = true, help_heading = HEADING, value_enum, default_value_t)]
    pub(super) output: Output,

    /// Say more (-vv for everything)
    #[arg(long, short, global = true, help_heading = HEADING, action = ArgAction::Count)]
    pub(super) verbose: u8,
}

/// What a command is given.
#[derive(Debug)]
pub(super) struct Context {
    global: Global,
    user: Option<String>,
    printer: Printer,
    environment: Environment,
}

impl Context {
    /// `user` is who types, as far as the environment says.
    pub(super) fn new(global: Global, user: Option<String>, environment: Environment) -> Self {
        Self { printer: Printer::new(global.output), global, user, environment }
    }

    /// The time; asked again for each use, since commands may wait.
    pub(super) fn now(&self) -> Timestamp {
        clock::now()
    }

    /// Where keys and passphrases come from that lie in no file of the repository.
    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The fleet repository.
    pub(super) fn repository(&self) -> Result<Repository, repository::Error> {
        match &self.global.repo {
            Some(root) => Repository::open(root),
            None => Repository::find(Path::new(".")),
        }
    }

    /// The directory of the fleet repository, whose files may be wrong.
    pub(super) fn repository_root(&self) -> Result<PathBuf, repository::Error> {
        match &self.global.repo {
            Some(root) if root.join(FLEET_FILE).is_file() => Ok(root.clone()),
            Some(root) => Err(repository::Error::NotARepository { from: root.clone() }),
            None => Repository::root_above(Path::new(".")),
        }
    }

    /// The release keys that sign: of the files `typed`, or as the repository and the
    /// environment have it. May ask for passphrases, so it comes before any progress.
    pub(super) fn release_signers(
        &self,
        repository: &Repository,
        root: &Root,
        typed: &[PathBuf],
    ) -> Result<Vec<Signer>, sign::Error> {
        let sources = KeySource::choose(typed, repository.signing(), &self.environment);
        sign::release_signers(&sources, root, &self.environment)
    }

    /// A connection to the control plane, made now.
    pub(super) async fn connect(&self) -> Result<Connection, connection::Error> {
        // Without one of the two, the repository must say.
        let repository = match (&self.global.server, &self.global.credentials) {
            (Some(_), Some(_)) => None,
            _ => Some(self.repository()?),
        };
        self.connect_from(repository.as_ref()).await
    }

    /// As [`Context::connect`], for a command that has read the repository.
    pub(super) async fn connect_from(
        &self,
        repository: Option<&Repository>,
    ) -> Result<Connection, connection::Error> {
        let Some(directory) = self.credentials(repository) else {
            return Err(connection::Error::Nowhere);
        };
        let server = self.server(repository)?;
        Connection::open(&server, &Credentials::read(&directory, self.now())?).await
    }

    /// A connection of somebody who has no certificate yet.
    pub(super) async fn connect_as_stranger(
        &self,
        repository: &Repository,
        ca: Vec<CertificateDer<'static>>,
    ) -> Result<Connection, connection::Error> {
        let fleet = &repository.file().fleet;
        Connection::strange(&self.server(Some(repository))?, ca, fleet).await
    }

    /// The directory of the operator's certificate, where it is known.
    pub(super) fn credentials(&self, repository: Option<&Repository>) -> Option<PathBuf> {
        self.global.credentials.clone().or_else(|| repository.map(Repository::credentials))
    }

    /// Where the control plane is.
    fn server(&self, repository: Option<&Repository>) -> Result<String, connection::Error> {
        let said = self.global.server.clone();
        let said = said.or_else(|| repository.map(|found| found.file().server.clone()));
        let server = said.ok_or(connection::Error::Nowhere)?;
        match repository::server_fault(&server) {
            Some(fault) => Err(connection::Error::Url { fault }),
            None => Ok(server),
        }
    }

    /// Who and where: `ada@laptop`, for the record.
    pub(super) fn who(&self) -> String {
        let user = self.user.as_deref().unwrap_or("unknown");
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        let text = format!("{user}@{host}");
        text.chars().filter(|c| !c.is_control()).take(100).collect()
    }

    /// Prints a result on stdout.
    pub(super) fn print(&self, view: &impl View) -> anyhow::Result<()> {
        self.printer.print(view, self.now())
    }

    /// Prints one of many results on stdout; in JSON each stands on a line of its own.
    pub(super) fn print_line(&self, view: &impl View) -> anyhow::Result<()> {
        self.printer.print_line(view, self.now())
    }

    /// Something that reports on stderr how far it is.
    pub(super) fn progress(&self) -> Progress {
        Progress::start()
    }
}
