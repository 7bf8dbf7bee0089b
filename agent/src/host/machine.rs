//! Task → the file that does it. Nothing is decided here and nothing is done here.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use floe_proto::payload::limits::Limits;
use floe_proto::payload::unpack;
use floe_proto::report;
use rustls::pki_types::CertificateDer;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::clock::HostClock;
use super::commit::{self, commit};
use super::fetch::fetch;
use super::paths::{AGENT, Paths, source};
use super::switch::{self, Switch};
use super::trial::Action;
use super::whole::Whole;
use super::{build, checks, output, preflight, process, roots, system, timer, unit};
use crate::activation::event::{Event, Task};
use crate::activation::ports::{Clock as _, Connection, Locate, Machine, News, Progress, Tell};
use crate::activation::state::{Before, Fault, Order, Seen, Toplevel, Trial, Undoing};
use crate::activation::verdict;
use crate::telemetry::Chain;

/// The machine that this agent keeps. `L` is the line to the control plane.
#[derive(Debug)]
pub struct HostMachine<L> {
    paths: Paths,
    ca: Vec<CertificateDer<'static>>,
    line: L,
    clock: HostClock,
}

/// How long is waited before something that failed, or was busy, is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long somebody else's switch is waited for before a trial is given up.
const BUSY_LIMIT: Duration = Duration::from_secs(300);

/// How long a way back may take.
const REVERT_LIMIT: Duration = Duration::from_secs(300);

impl<L: Locate + Connection + Tell> HostMachine<L> {
    /// The machine with these paths, whose agent has this line to the control plane.
    /// `ca` are the fleet's own certificates.
    pub fn new(paths: Paths, ca: Vec<CertificateDer<'static>>, line: L) -> Self {
        Self { paths, ca, line, clock: HostClock::default() }
    }

    async fn fetch(&self, order: &Order) -> Result<Event, Fault> {
        let payload = &order.manifest.payload;
        let target = self.paths.payload(payload.sha256);
        prepare(&self.paths.payloads(), &target).map_err(|error| Fault::of(&error))?;
        let directory = self.paths.activation(&order.activation);
        prepare(&self.paths.activations(), &directory).map_err(|error| Fault::of(&error))?;
        let outcomes = self.paths.outcomes();
        prepare(&outcomes, &outcomes.join(order.activation.as_str()))
            .map_err(|error| Fault::of(&error))?;
        // A build of an order that was given up meanwhile goes on by itself, and remains.
        unit::stop(&["floe-build-*", "floe-pins-*"]).await.map_err(|error| Fault::of(&error))?;
        let fetched = fetch(payload, &target, &self.ca, &self.line).await;
        fetched.map(|()| Event::Fetched).map_err(|error| Fault::of(&error))
    }

    async fn unpack(&self, order: &Order) -> Result<Event, Fault> {
        let signed = order.manifest.payload.sha256;
        let payload = self.paths.payload(signed);
        let directory = self.paths.activation(&order.activation);
        let target = source(&directory);
        if target.exists() {
            // It gets its name once it is whole.
            return Ok(Event::Unpacked);
        }
        let unpacking = move || -> Result<Event, Fault> {
            make(&directory).map_err(|error| Fault::of(&error))?;
            let packed = File::open(payload).map_err(|error| Fault::of(&error))?;
            let packed = Whole::new(packed, signed);
            match unpack::unpack(packed, &target, &Limits::default()) {
                Ok(_) => Ok(Event::Unpacked),
                Err(error) => Err(Fault::of(&error)),
            }
        };
        spawn_blocking(unpacking).await.map_err(|error| Fault::of(&error))?
    }

    async fn build(&self, order: &Order) -> Result<Event, Fault> {
        let tell = |lines| self.wrote(order, report::Phase::Building, lines);
        let built = build::build(order, &self.paths, tell).await;
        let (to, build) = built.map_err(|error| Fault::of(&error))?;
        self.preflight(&to).await?;
        let before = self.before().await?;
        roots::before_a_trial(&to, &before.running, &before.profile)
            .map_err(|error| Fault::new(format!("the new system could not be rooted: {error}")))?;
        Ok(Event::Built { to, before: Box::new(before), build })
    }

    async fn preflight(&self, to: &Toplevel) -> Result<(), Fault> {
        let waiting = async {
            loop {
                match preflight::check(to, &self.paths).await {
                    Err(preflight::Error::Busy) => sleep(PAUSE).await,
                    checked => return checked,
                }
            }
        };
        let checked = timeout(BUSY_LIMIT, waiting).await;
        checked.unwrap_or(Err(preflight::Error::Busy)).map_err(|error| Fault::of(&error))
    }

    async fn before(&self) -> Result<Before, Fault> {
        let Seen { running, profile, boot } = system::look();
        let (Some(running), Some(profile)) = (running, profile) else {
            return Err(Fault::new("this machine has no NixOS system to go back to"));
        };
        let failed = unit::failing().await.map_err(|error| Fault::of(&error))?;
        let connected = self.line.is_connected();
        Ok(Before { running, profile, failed, connected, boot, at: system::uptime() })
    }

    async fn arm(&self, trial: &Trial) -> Result<Event, Fault> {
        let left = left(trial)?;
        let armed =
            timer::arm(&trial.order.activation, left, &trial.before.running, &self.paths).await;
        armed.map(|()| Event::Armed).map_err(|error| Fault::of(&error))
    }

    async fn try_out(&self, trial: &Trial) -> Result<Event, Fault> {
        let switch = trial_of(trial, left(trial)?);
        let tell = |lines| self.wrote(&trial.order, report::Phase::Trying, lines);
        let switching = switch.once(&self.paths);
        let ended = output::while_following(&switch.identifier(), tell, switching).await;
        let ended = ended.map_err(|error| Fault::of(&error))?;
        let after = switch::after(ended, &trial.to).await.map_err(|error| Fault::of(&error))?;
        verdict::of_trial(&after, &trial.to, &trial.forgiven()).map(|()| Event::Tried)
    }

    async fn prove(&self, trial: &Trial) -> Result<Event, Fault> {
        let ours = process::own_program().map_err(|error| Fault::of(&error))?;
        let candidates = trial.to.join(AGENT).canonicalize().map_err(|error| Fault::of(&error))?;
        if ours != candidates {
            return Err(Fault::new(format!(
                "the agent that was started after the switch is `{}`, not the new system's",
                ours.display()
            )));
        }
        checks::watch(trial, &self.line).await.map(|()| Event::Proven)
    }

    async fn commit(&self, trial: &Trial) -> Result<Event, commit::Error> {
        commit(&trial.to, &trial.order.activation, "commit", &self.paths).await?;
        forget_candidate(&trial.to);
        Ok(Event::Committed)
    }

    async fn revert(&self, trial: &Trial, undoing: &Undoing) -> Result<Event, commit::Error> {
        let (before, activation) = (&trial.before, &trial.order.activation);
        let ours = [&before.running, &before.profile];
        let rebooted = system::boot_id() != before.boot;
        let booted = system::running().filter(|running| rebooted && ours.contains(&running));
        let running = match booted {
            // The reboot was the way back.
            Some(booted) => booted,
            None => {
                self.switch_back(trial).await?;
                before.running.clone()
            }
        };
        if undoing.boot || system::profile().as_ref() != Some(&before.profile) {
            commit(&before.profile, activation, "revert-boot", &self.paths).await?;
        }
        if let Err(error) = timer::disarm(activation).await {
            // Its guard finds that there is nothing left to do, or is who does this.
            log::debug!(error:% = error; "the dead man's timer was not disarmed");
        }
        forget_candidate(&running);
        Ok(Event::Reverted(running))
    }

    async fn switch_back(&self, trial: &Trial) -> Result<(), commit::Error> {
        let back = &trial.before.running;
        trial_of(trial, Duration::ZERO).kill().await?;
        let switch = Switch {
            activation: &trial.order.activation,
            purpose: "revert",
            action: Action::Test,
            toplevel: back,
            limit: REVERT_LIMIT,
            guarded: false,
        };
        let tell = |lines| self.wrote(&trial.order, report::Phase::RollingBack, lines);
        let ended =
            output::while_following(&switch.identifier(), tell, switch.anew(&self.paths)).await?;
        let after = switch::after(ended, back).await?;
        verdict::of_rollback(&after, back).map_err(commit::Error::NotBack)
    }

    fn wrote(&self, order: &Order, phase: report::Phase, lines: Vec<String>) {
        self.line.tell(Progress {
            activation: order.activation.clone(),
            manifest: order.named(),
            phase,
            at: self.clock.now(),
            news: News::Wrote(lines),
        });
    }
}

impl<L: Locate + Connection + Tell> Machine for HostMachine<L> {
    async fn look(&self) -> Seen {
        system::look()
    }

    async fn perform(&self, task: Task<'_>) -> Event {
        let done = match task {
            Task::Fetch(order) => self.fetch(order).await,
            Task::Unpack(order) => self.unpack(order).await,
            Task::Build(order) => self.build(order).await,
            Task::Arm(trial) => self.arm(trial).await,
            Task::Try(trial) => self.try_out(trial).await,
            Task::Prove(trial) => self.prove(trial).await,
            Task::Disarm(trial) => {
                let disarmed = timer::disarm(&trial.order.activation).await;
                disarmed.map(|()| Event::Disarmed).map_err(|error| Fault::of(&error))
            }
            Task::Commit(trial) => return settled(self.commit(trial).await).await,
            Task::Revert(trial, undoing) => {
                let done = self.revert(trial, undoing).await;
                return settled(done.or_else(|error| not_yet_lost(trial, error))).await;
            }
        };
        done.unwrap_or_else(Event::Failed)
    }
}

/// As long as the dead man's timer has not had its turn, going back has not failed, it
/// is tried again: the guard has means of its own, and must not find that we gave up.
fn not_yet_lost(trial: &Trial, error: commit::Error) -> Result<Event, commit::Error> {
    let guards_turn = trial.until.after(2 * timer::GRACE);
    let is_over = system::uptime().until(guards_turn).is_zero();
    if is_over || system::boot_id() != trial.before.boot {
        return Err(error);
    }
    log::warn!("could not go back, trying again: {}", Chain(&error));
    Err(commit::Error::Switch(switch::Error::Busy))
}

/// What is tried again in a loop waits a little before it says so.
async fn settled(done: Result<Event, commit::Error>) -> Event {
    let event = match done {
        Ok(event) => return event,
        Err(commit::Error::Switch(switch::Error::Busy)) => Event::Busy,
        Err(error) => Event::Failed(Fault::of(&error)),
    };
    sleep(PAUSE).await;
    event
}

fn trial_of(trial: &Trial, limit: Duration) -> Switch<'_> {
    Switch {
        activation: &trial.order.activation,
        purpose: "trial",
        action: Action::Test,
        toplevel: &trial.to,
        limit,
        guarded: true,
    }
}

/// What is left until the dead man's timer would fire.
fn left(trial: &Trial) -> Result<Duration, Fault> {
    let left = system::uptime().until(trial.until);
    if left.is_zero() {
        Err(Fault::new("its time was over before it had proved itself"))
    } else {
        Ok(left)
    }
}

/// Roots are a precaution: that one cannot be moved is no reason to fail what succeeded.
fn forget_candidate(running: &Toplevel) {
    if let Err(error) = roots::after_an_end(running) {
        log::warn!(error:% = error; "could not move the garbage collector roots");
    }
}

/// Makes `directory`, and removes everything in it but `keep`: what earlier
/// activations left, and what was half written.
fn prepare(directory: &Path, keep: &Path) -> io::Result<()> {
    make(directory)?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path == keep {
            continue;
        }
        if fs::symlink_metadata(&path)?.is_dir() {
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_earlier_activations_left_is_removed_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (here, elsewhere) = (dir.path().join("here"), dir.path().join("elsewhere"));
        for name in ["1-a/source", "2-b"] {
            fs::create_dir_all(here.join(name)).unwrap();
        }
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("kept"), "").unwrap();
        fs::write(here.join("x.partial"), "").unwrap();
        std::os::unix::fs::symlink(&elsewhere, here.join("link")).unwrap();
        prepare(&here, &here.join("2-b")).unwrap();
        let left: Vec<_> = fs::read_dir(&here).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["2-b"]);
        assert!(elsewhere.join("kept").exists());
    }
}
