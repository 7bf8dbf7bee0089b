//! Task → the file that does it. Nothing is decided here and nothing is done here.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use floe_proto::manifest::Kind;
use floe_proto::report;
use rustls::pki_types::CertificateDer;
use tokio::time::sleep;

use super::clock::{self, HostClock};
use super::commit::{self, commit};
use super::fetch::fetch;
use super::paths::{AGENT, Paths, source};
use super::switch::{self, Switch};
use super::{
    build, checks, closure, loader, output, preflight, process, revert, roots, suspension, system,
    timer, unit, ways, whole,
};
use crate::activation::event::{Event, Task};
use crate::activation::ports::{Clock as _, Connection, Locate, Machine, News, Progress, Tell};
use crate::activation::reboot;
use crate::activation::state::{Before, Fault, Order, Seen, Toplevel, Trial, Undoing, Way};
use crate::activation::verdict;
use crate::preview;
use crate::telemetry::Chain;

/// The machine that this agent keeps. `L` is the line to the control plane.
#[derive(Debug)]
pub struct HostMachine<L> {
    paths: Paths,
    ca: Vec<CertificateDer<'static>>,
    line: L,
    clock: HostClock,
}

/// What runs on behalf of an order that nothing on the machine was changed for yet.
pub(super) const UNITS: [&str; 5] =
    ["floe-build-*", "floe-pins-*", "floe-copy-*", "floe-foretell-*", "floe-ask-*"];

/// How long is waited before something that failed, or was busy, is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long somebody else's switch is waited for before a trial is given up.
const BUSY_LIMIT: Duration = Duration::from_secs(300);

/// How often is looked whether the window for reboots is open.
const GLANCE: Duration = Duration::from_secs(30);

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
        unit::stop(&UNITS).await.map_err(|error| Fault::of(&error))?;
        let fetched = fetch(payload, &target, &self.ca, &self.line).await;
        fetched.map_err(|error| Fault::new(format!("the payload: {}", Fault::of(&error))))?;
        match order.manifest.kind {
            Kind::Configuration => closure::forget(&self.paths),
            // What else to fetch is in the payload.
            Kind::Closure => {
                self.unpack(order).await?;
                self.fetch_closure(order, report::Phase::Fetching).await?;
            }
        }
        Ok(Event::Fetched)
    }

    async fn fetch_closure(&self, order: &Order, phase: report::Phase) -> Result<(), Fault> {
        let tell = |lines| self.wrote(order, phase, lines);
        let fetched = closure::fetch(order, &self.paths, &self.ca, &self.line, tell).await;
        fetched.map_err(|error| Fault::of(&error))
    }

    /// What was there when it was fetched may be collected until it is rooted: what is missing
    /// then is fetched once more.
    async fn copy_closure(&self, order: &Order) -> Result<(Toplevel, Duration), Fault> {
        let mut again = true;
        loop {
            if !closure::is_copying(order).await.map_err(|error| Fault::of(&error))? {
                self.fetch_closure(order, report::Phase::Building).await?;
            }
            let tell = |lines| self.wrote(order, report::Phase::Building, lines);
            match closure::copy(order, &self.paths, tell).await {
                Err(error) if again && error.may_be_collected() => {
                    log::warn!("copying once more: {}", Chain(&error));
                    again = false;
                }
                copied => return copied.map_err(|error| Fault::of(&error)),
            }
        }
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
        make(&directory).map_err(|error| Fault::of(&error))?;
        let limits = order.manifest.kind.limits();
        let unpacked = whole::unpack(payload, signed, target, limits).await;
        unpacked.map(|()| Event::Unpacked).map_err(|error| Fault::of(&error))
    }

    async fn build(&self, order: &Order) -> Result<Event, Fault> {
        if !clock::is_set(order.manifest.created).await {
            let line =
                "this host's clock shows a time before the bundle was made; going on all the same";
            log::warn!("{line}");
            self.wrote(order, report::Phase::Building, vec![line.to_owned()]);
        }
        when_nobody_switches(|| preflight::room(&self.paths)).await?;
        let tell = |lines| self.wrote(order, report::Phase::Building, lines);
        let (to, build) = match order.manifest.kind {
            Kind::Configuration => {
                let built = build::build(order, &self.paths, tell).await;
                built.map_err(|error| Fault::of(&error))?
            }
            Kind::Closure => self.copy_closure(order).await?,
        };
        when_nobody_switches(|| preflight::check(&to, &self.paths)).await?;
        let before = self.before(order).await?;
        let policy = order.manifest.activation.reboot.policy;
        let way = reboot::way(policy, system::reboot_reasons(&to))?;
        if let Way::Reboot(_) = way {
            loader::check(&before.profile).await.map_err(|error| Fault::of(&error))?;
        }
        roots::before_a_trial(&to, &before.running, &before.profile)
            .map_err(|error| Fault::new(format!("the new system could not be rooted: {error}")))?;
        Ok(Event::Built { to, before: Box::new(before), way, build })
    }

    /// The clock may be set meanwhile, so that it is looked at again and again. A machine that
    /// is suspended goes on waiting: who suspends it does not expect a reboot.
    async fn await_window(&self, order: &Order) -> Event {
        loop {
            let left = order.manifest.activation.reboot.wait(self.clock.now());
            let suspended = suspension::read(&self.paths.state).is_some();
            if left.is_zero() && !suspended {
                return Event::WindowOpened;
            }
            sleep(if suspended { GLANCE } else { left.min(GLANCE) }).await;
        }
    }

    async fn before(&self, order: &Order) -> Result<Before, Fault> {
        let Seen { running, profile, boot, at } = system::look();
        let (Some(running), Some(profile)) = (running, profile) else {
            return Err(Fault::new("this machine has no NixOS system to go back to"));
        };
        let failed = unit::failing().await.map_err(|error| Fault::of(&error))?;
        let connected = self.line.is_connected();
        // Where the object store is, the control plane says.
        let url = if connected {
            self.line.locate(order.manifest.payload.sha256).await.ok()
        } else {
            None
        };
        let ways = ways::explore(&self.paths.control_plane, url.as_deref()).await;
        Ok(Before { running, profile, failed, connected, ways, boot, at })
    }

    async fn arm(&self, trial: &Trial) -> Result<Event, Fault> {
        let left = left(trial)?;
        let armed =
            timer::arm(&trial.order.activation, left, &trial.before.running, &self.paths).await;
        armed.map(|()| Event::Armed).map_err(|error| Fault::of(&error))
    }

    async fn try_out(&self, trial: &Trial) -> Result<Event, Fault> {
        let switch = Switch::of_trial(trial, left(trial)?);
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

    async fn disarm(&self, trial: &Trial) -> Result<Event, Fault> {
        let disarmed = timer::disarm(&trial.order.activation).await;
        disarmed.map_err(|error| Fault::of(&error))?;
        if trial.is_by_reboot() {
            // What was chosen for one boot has had it, or is not wanted any more.
            loader::withdraw().await.map_err(|error| Fault::of(&error))?;
        }
        Ok(Event::Disarmed)
    }

    async fn commit(&self, trial: &Trial) -> Result<Event, commit::Error> {
        if let Err(error) = roots::before_a_commit(&trial.before.running) {
            log::warn!(error:% = error; "could not root the system that ran before");
        }
        commit(&trial.to, &trial.order.activation, "commit", &self.paths).await?;
        roots::forget_candidate(&trial.to);
        Ok(Event::Committed)
    }

    async fn stage(&self, trial: &Trial) -> Result<Event, loader::Error> {
        let activation = &trial.order.activation;
        loader::choose_once(&trial.to, &trial.before.profile, activation, &self.paths).await?;
        Ok(Event::Staged)
    }

    async fn reboot(&self, trial: &Trial) -> Result<Event, loader::Error> {
        loader::check_choice(&trial.to, &trial.before.profile).await?;
        match loader::reboot().await? {}
    }

    async fn revert(&self, trial: &Trial, undoing: &Undoing) -> Result<Event, commit::Error> {
        let tell = |lines| self.wrote(&trial.order, report::Phase::RollingBack, lines);
        revert::revert(trial, undoing, &self.paths, tell).await.map(Event::Reverted)
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
            Task::AwaitWindow(order) => Ok(self.await_window(order).await),
            Task::Stage(trial) => self.stage(trial).await.map_err(|error| Fault::of(&error)),
            Task::Reboot(trial) => self.reboot(trial).await.map_err(|error| Fault::of(&error)),
            Task::Arm(trial) => self.arm(trial).await,
            Task::Try(trial) => self.try_out(trial).await,
            Task::Prove(trial) => self.prove(trial).await,
            Task::Disarm(trial) => self.disarm(trial).await,
            Task::Commit(trial) => return settled(self.commit(trial).await).await,
            Task::Revert(trial, undoing) => {
                let done = self.revert(trial, undoing).await;
                return settled(done.or_else(|error| revert::not_yet_lost(trial, error))).await;
            }
        };
        done.unwrap_or_else(Event::Failed)
    }

    async fn unsuspended(&self) {
        // Watched before it is read, so that no change is missed.
        let mut watcher = suspension::Watcher::new(&self.paths.state);
        while suspension::read(&self.paths.state).is_some() {
            watcher.changed().await;
        }
    }
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

/// Checks, waiting for whoever else switches this machine.
async fn when_nobody_switches<F: Future<Output = Result<(), preflight::Error>>>(
    check: impl Fn() -> F,
) -> Result<(), Fault> {
    let began = system::uptime();
    loop {
        match check().await {
            Err(error) if error.will_pass() && began.until(system::uptime()) < BUSY_LIMIT => {
                sleep(PAUSE).await;
            }
            checked => return checked.map_err(|error| Fault::of(&error)),
        }
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

/// Makes `directory`, and removes everything in it but `keep`: what earlier
/// activations left, and what was half written.
fn prepare(directory: &Path, keep: &Path) -> io::Result<()> {
    make(directory)?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // A preview may be unpacking, and cleans up after itself.
        let is_preview = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(preview::PREFIX));
        if path == keep || is_preview {
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
        for name in ["1-a/source", "2-b", "preview-1/source"] {
            fs::create_dir_all(here.join(name)).unwrap();
        }
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("kept"), "").unwrap();
        fs::write(here.join("x.partial"), "").unwrap();
        std::os::unix::fs::symlink(&elsewhere, here.join("link")).unwrap();
        prepare(&here, &here.join("2-b")).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(&here).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["2-b", "preview-1"]);
        assert!(elsewhere.join("kept").exists());
    }
}
