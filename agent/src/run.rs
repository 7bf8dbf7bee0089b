//! Puts the parts together, joins the tasks, and shuts down. The only file that knows
//! all of them.
//!
//! ```text
//! READY ─▶ journal ─┬─ activation (drive) ─────────┬─▶ stop, hand over, or fail
//!                   ├─ enrolment, then the session ┤
//!                   ├─ watchdog                    │
//!                   └─ SIGTERM, SIGINT ────────────┘
//! ```
//!
//! Ready means that the configuration can be used, not that the control plane was
//! reached: the boot must not wait for it. Stopping drops the tasks where they are, which is as
//! safe as a crash; units that were started for a build or a trial go on by themselves.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_proto::admit::Host;
use floe_proto::transport;
use floe_proto::version::AgentVersion;
use log::{info, warn};
use rustls::pki_types::CertificateDer;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use crate::activation::door::Door;
use crate::activation::drive::{self, Exit, HAND_OVER_CODE, Ports};
use crate::activation::ports::{Clock as _, Unwritten};
use crate::activation::state::Fault;
use crate::config::{self, Config};
use crate::connect;
use crate::host::clock::{HostClock, TlsClock};
use crate::host::commit;
use crate::host::disk::RealDisk;
use crate::host::journal::{self, Found, HostJournal, Loss};
use crate::host::machine::HostMachine;
use crate::host::paths::{CURRENT_SYSTEM, Limits, Paths};
use crate::host::preview::HostBuilder;
use crate::host::{salvage, suspension};
use crate::identity;
use crate::preview;
use crate::secrets::{self, Secrets, Where};
use crate::session;
use crate::trust::{self, Roots};

/// How `run` ended, without anything being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Somebody asked for it.
    Stopped,
    /// systemd is to start the agent of the system that runs now; with this code.
    HandOver(u8),
}

/// What a task came to.
enum Done {
    Activation(Result<Exit, Unwritten>),
    Session,
}

/// What the files of the configuration hold.
struct Pinned {
    config: Config,
    /// The envelope.
    root: Vec<u8>,
    ca: Vec<CertificateDer<'static>>,
}

/// Runs the agent until it is told to stop, or hands over.
///
/// # Errors
///
/// [`Error`]: what keeps an agent from running, for systemd to try again.
pub async fn run(config_path: &Path) -> Result<Ending, Error> {
    // For reqwest, which takes the process's; a second installation changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let Pinned { config, root, ca } = read(config_path)?;
    let host = host(&config)?;
    let paths = paths(&config, config_path);
    notify(&[NotifyState::Ready]);
    // Waits while the dead man's guard goes back, which may take minutes; until then a signal
    // just kills.
    let directory = config.state_directory.clone();
    let opening = async {
        let opened = spawn_blocking(move || HostJournal::open(RealDisk, &directory)).await;
        let (journal, found) = opened.map_err(Error::Died)??;
        let back = found.loss != Loss::None && salvage::go_back(&paths).await?.is_some();
        Ok::<_, Error>((journal, found, back))
    };
    let (journal, Found { state, loss }, went_back) = tokio::select! {
        opened = opening => opened?,
        () = watchdog() => return Ok(Ending::Stopped),
    };
    if went_back {
        return Ok(Ending::HandOver(HAND_OVER_CODE));
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    info!(role:% = config.role; "floe-agent {} started", env!("CARGO_PKG_VERSION"));

    let roots = Roots::begin(&config.state_directory, &config.fleet, &root)?;
    let trust = roots.believed();
    let (told, suspended) = watch::channel(suspension::read(&config.state_directory));
    let clock = HostClock::new(&state.floors);
    let (fleet, role, time) = (config.fleet.clone(), config.role.clone(), clock.clone());
    let (at, believed) = (secrets_at(&config), roots.believed());
    let secrets = Arc::new(Secrets::new(at, fleet, role, believed, move || time.now()));
    let (session, handle) = session::open(roots, Arc::clone(&secrets), suspended);
    let issued = identity::issued(&config.state_directory);
    let tls_clock = Arc::new(TlsClock::new(clock.clone(), issued));
    let (shown, shown_by) = (handle.clone(), clock.clone());
    let door = Door { host: host.clone(), closed: closed(loss) };
    let previews = preview::serve(
        handle.previews(),
        preview::Parts {
            builder: HostBuilder::new(paths.clone(), ca.clone()),
            say: handle.clone(),
            clock: clock.clone(),
            door: door.clone(),
            trust: trust.clone(),
        },
    );
    let machine = HostMachine::new(paths, ca.clone(), handle.clone());
    let ports = Ports {
        machine,
        journal,
        clock,
        reports: handle.clone(),
        tell: handle.clone(),
        door,
        trust,
    };
    let (wanted, line) = (handle.assignments(), handle.clone());
    let kept = Arc::clone(&secrets);
    let state_directory = config.state_directory.clone();

    let mut tasks = JoinSet::new();
    let activation =
        tasks.spawn(async move { Done::Activation(drive::drive(state, ports, wanted).await) });
    tasks.spawn(async move {
        let system = &host.system;
        connect::keep_session(session, &config, ca, system, tls_clock, &line, &kept).await;
        Done::Session
    });
    tasks.spawn(async move {
        tokio::join!(
            connect::watch_suspension(&state_directory, told),
            connect::tend_secrets(&secrets),
            connect::show_line(&shown, &shown_by, |text| notify(&[NotifyState::Status(text)])),
        );
        Done::Session
    });
    tasks.spawn(async move {
        previews.await;
        Done::Session
    });
    let ending = tokio::select! {
        _ = terminate.recv() => Ok(Ending::Stopped),
        _ = interrupt.recv() => Ok(Ending::Stopped),
        () = watchdog() => Ok(Ending::Stopped),
        done = tasks.join_next() => judged(done),
    };
    info!("stopping");
    notify(&[NotifyState::Stopping]);
    activation.abort();
    handle.close().await;
    tasks.shutdown().await;
    ending
}

/// Where secrets lie.
pub fn secrets_at(config: &Config) -> Where {
    Where {
        state: config.state_directory.clone(),
        place: secrets::PLACE.into(),
        untold: secrets::UNTOLD.into(),
        instance: secrets::INSTANCE.into(),
    }
}

/// Without floors an old manifest could not be told from a new one.
fn closed(loss: Loss) -> Option<Fault> {
    match loss {
        Loss::None | Loss::Activation => None,
        Loss::Floors => Some(Fault::new(
            "this host's floors are damaged in every copy, so that it cannot know what is too old for it; set it up anew",
        )),
    }
}

fn judged(done: Option<Result<Done, JoinError>>) -> Result<Ending, Error> {
    match done {
        Some(Ok(Done::Activation(Ok(Exit::HandOver)))) => Ok(Ending::HandOver(HAND_OVER_CODE)),
        Some(Ok(Done::Activation(Err(overtaken @ Unwritten::Overtaken)))) => {
            info!("{overtaken}");
            Ok(Ending::HandOver(HAND_OVER_CODE))
        }
        Some(Ok(Done::Activation(Err(unwritten @ Unwritten::Disk(_))))) => {
            Err(Error::Unwritten(unwritten))
        }
        Some(Ok(Done::Activation(Ok(Exit::Closed)) | Done::Session)) | None => Err(Error::Ended),
        Some(Err(died)) => Err(Error::Died(died)),
    }
}

/// Shows systemd that the loop turns, twice as often as it asks; never ends.
async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(limit / 2);
    loop {
        ticks.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!("could not speak to systemd: {error}");
    }
}

/// Reads all that [`run`] needs from this machine, and changes nothing.
///
/// # Errors
///
/// [`Error`], the first thing that would keep this program from going on.
pub fn selftest(config_path: &Path) -> Result<(), Error> {
    let Pinned { config, root, .. } = read(config_path)?;
    trust::look(&config.state_directory, &config.fleet, &root)?;
    match journal::read(&config.state_directory)?.loss {
        Loss::None => Ok(()),
        // It may be whole for whoever wrote it, and would be lost for us.
        Loss::Activation | Loss::Floors => Err(Error::ForeignJournal),
    }
}

fn read(config_path: &Path) -> Result<Pinned, Error> {
    let config = Config::read(config_path)?;
    let file = |path: &Path| {
        std::fs::read(path).map_err(|source| Error::Unreadable { file: path.to_owned(), source })
    };
    let root = file(&config.trust_root)?;
    let ca = transport::certificates(&file(&config.ca)?)
        .map_err(|source| Error::Ca { file: config.ca.clone(), source })?;
    Ok(Pinned { config, root, ca })
}

/// What is fixed about this host.
fn host(config: &Config) -> Result<Host, Error> {
    let system = match &config.system {
        Some(system) => system.clone(),
        None => {
            let file = Path::new(CURRENT_SYSTEM).join("system");
            match std::fs::read_to_string(&file) {
                Ok(system) => system.trim().to_owned(),
                Err(source) => return Err(Error::Unreadable { file, source }),
            }
        }
    };
    let agent = AgentVersion::try_from(env!("CARGO_PKG_VERSION").to_owned());
    let agent = agent.unwrap_or(AgentVersion::new(0, 0, 0));
    Ok(Host { fleet: config.fleet.clone(), role: config.role.clone(), system, agent })
}

/// Where things are, by the configuration.
pub fn paths(config: &Config, config_path: &Path) -> Paths {
    Paths {
        control_plane: config.control_plane.clone(),
        state: config.state_directory.clone(),
        config: config_path.to_owned(),
        nixos_rebuild: config.nixos_rebuild.clone(),
        search: config::search_path(),
        limits: Limits {
            build_memory: config.build_memory_max.clone(),
            build_time: config.build_timeout,
            free: config.min_free_bytes,
            memory: config.min_free_memory,
        },
    }
}

/// What keeps an agent from running.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// See there.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// See there.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The journal of a trial was lost, and the machine does not go back.
    #[error(transparent)]
    Salvage(#[from] commit::Error),
    /// A file that the configuration names.
    #[error("could not read `{}`", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The trust root is not to be believed.
    #[error(transparent)]
    Trust(#[from] trust::Error),
    /// The CA is none.
    #[error("the CA `{}` cannot be used", file.display())]
    Ca {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: transport::Error,
    },
    /// Not by this program.
    #[error("the activation journal cannot be read by this program")]
    ForeignJournal,
    /// The kernel gave no signals.
    #[error("could not wait for signals")]
    Signals(#[source] io::Error),
    /// The journal did not take the next step.
    #[error(transparent)]
    Unwritten(Unwritten),
    /// A part of the agent stopped that never should.
    #[error("a part of the agent ended unexpectedly")]
    Ended,
    /// A part of the agent died.
    #[error("a part of the agent died")]
    Died(#[source] JoinError),
}

impl Error {
    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Config(error) => error.advice(),
            Self::Journal(error) => error.advice(),
            Self::Salvage(error) => error.advice(),
            Self::Unreadable { .. } => "put the file there, or correct its path in agent.toml",
            Self::Trust(error) => error.advice(),
            Self::Ca { .. } => {
                "put the fleet's ca.pem there, as `floe init` or `floe serve` wrote it"
            }
            Self::ForeignJournal => "use a floe-agent that is as new as the one that wrote it",
            Self::Unwritten(_) => "free space in the state directory, or mend the disk",
            Self::Signals(_) | Self::Ended | Self::Died(_) => {
                "look at the lines above in the journal; systemd starts the agent again"
            }
        }
    }

    /// Whether trust or policy said no, which no other try will change.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Trust(error) => error.is_refusal(),
            Self::Config(_)
            | Self::Journal(_)
            | Self::Salvage(_)
            | Self::Unreadable { .. }
            | Self::Ca { .. }
            | Self::ForeignJournal
            | Self::Signals(_)
            | Self::Unwritten(_)
            | Self::Ended
            | Self::Died(_) => false,
        }
    }
}
