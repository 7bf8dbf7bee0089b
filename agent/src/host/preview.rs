//! A bundle is built to be looked at: what it would change is asked of Nix, of the new system's
//! own `switch-to-configuration`, and of the two systems themselves. Nothing is switched.
//!
//! All of it lies in the directory of one activation that never begins. A real one ends the units
//! in it, as it does with whatever is left of others.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use floe_proto::admit::Floors;
use floe_proto::digest::Digest;
use floe_proto::id::ActivationId;
use floe_proto::manifest::Kind;
use rustls::pki_types::CertificateDer;
use tokio::task::spawn_blocking;

use super::build::{self, Unit};
use super::fetch::fetch;
use super::journal::{self, Loss};
use super::paths::{Paths, source};
use super::{etc, loader, output, preflight, requisites, suspension, system, unit, whole};
use crate::activation::door::Previewed;
use crate::activation::ports::{Locate, NotLocated};
use crate::activation::reboot;
use crate::activation::state::{Fault, Order, Toplevel, Way};
use crate::preview::difference::{self, Difference, Units};
use crate::preview::foretold;
use crate::preview::serve::{Builder, PREFIX};
use crate::telemetry::Chain;

/// The machine that this agent keeps.
#[derive(Debug)]
pub struct HostBuilder {
    paths: Paths,
    /// The fleet's own certificates, which the embedded object store answers by.
    ca: Vec<CertificateDer<'static>>,
}

/// The units that a preview runs.
const UNITS: [&str; 4] = [
    "floe-build-preview-*",
    "floe-pins-preview-*",
    "floe-foretell-preview-*",
    "floe-ask-preview-*",
];

/// The most lines that `dry-activate` is believed to say.
const MAX_SAID: usize = 500;

impl HostBuilder {
    /// The machine with these paths.
    pub fn new(paths: Paths, ca: Vec<CertificateDer<'static>>) -> Self {
        Self { paths, ca }
    }

    /// Fetches and unpacks what is to be built.
    async fn unpack(&self, order: &Order, url: &str) -> Result<(), Fault> {
        let directory = self.paths.activation(&order.activation);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|error| Fault::of(&error))?;
        let payload = &order.manifest.payload;
        let packed = directory.join("payload.tar.zst");
        let fetched = fetch(payload, &packed, &self.ca, &There(url)).await;
        fetched.map_err(|error| Fault::new(format!("the payload: {}", Fault::of(&error))))?;
        let limits = order.manifest.kind.limits();
        let unpacked = whole::unpack(packed, payload.sha256, source(&directory), limits).await;
        unpacked.map_err(|error| Fault::of(&error))
    }

    /// Why an activation would refuse to go on from here.
    async fn objection(&self, way: &Result<Way, Fault>, built: &Toplevel) -> Option<String> {
        if let Err(why) = preflight::check(built, &self.paths).await {
            return Some(Chain(&why).to_string());
        }
        match way {
            Err(why) => Some(why.to_string()),
            Ok(Way::Switch) => None,
            Ok(Way::Reboot(_)) => {
                let default = system::profile()?;
                let checked = loader::check(&default).await;
                checked.err().map(|error| Chain(&error).to_string())
            }
        }
    }

    /// What the new system says that it would do.
    async fn ask(&self, order: &Order, built: &Toplevel) -> Result<Units, String> {
        let directory = self.paths.activation(&order.activation);
        preflight::nobody_switches().await.map_err(|error| Chain(&error).to_string())?;
        let unit = Unit { purpose: "ask", order, directory: &directory, stdout: None };
        let program = built.join("bin/switch-to-configuration");
        let argv: Vec<OsString> = vec![program.into(), "dry-activate".into()];
        let asked = unit.run(&argv, &self.paths, &mut |_| {}).await;
        asked.map_err(|error| format!("`dry-activate` failed: {}", Chain(&error)))?;
        let said = output::tail(&build::unit_name(unit.purpose, order), MAX_SAID).await;
        foretold::units(&said).ok_or_else(|| "`dry-activate` did not come to its end".to_owned())
    }
}

impl Builder for HostBuilder {
    fn floors(&self) -> Result<Floors, Fault> {
        let found = journal::read(&self.paths.state).map_err(|error| Fault::of(&error))?;
        if found.loss != Loss::None {
            return Err(Fault::new("the journal of this host is damaged"));
        }
        if let Some(mark) = suspension::read(&self.paths.state) {
            return Err(Fault::new(format!("this host is suspended: {}", mark.reason)));
        }
        if found.state.phase.order().is_some() {
            return Err(Fault::new("an activation is under way on this host; ask again after it"));
        }
        Ok(found.state.floors)
    }

    async fn compare(
        &self,
        asked: &Previewed,
        name: ActivationId,
        url: &str,
        mut tell: impl FnMut(Vec<String>) + Send,
    ) -> Result<Difference, Fault> {
        if asked.manifest.kind == Kind::Closure {
            return Err(Fault::new("a closure is no bundle that a host builds"));
        }
        let running = system::running();
        let running = running.ok_or_else(|| Fault::new("this machine runs no NixOS system"))?;
        let order = order(asked, name, &running);
        preflight::room(&self.paths).await.map_err(|error| Fault::of(&error))?;
        self.unpack(&order, url).await?;
        // An activation that began meanwhile goes first, and has ended what it found.
        self.floors()?;
        let mut said = Vec::new();
        let foretelling = build::foretell(&order, &self.paths, |lines| said.extend(lines));
        foretelling.await.map_err(|error| Fault::of(&error))?;
        self.floors()?;
        let built = build::build(&order, &self.paths, &mut tell).await;
        let (built, took) = built.map_err(|error| Fault::of(&error))?;
        self.floors()?;
        let units = self.ask(&order, &built).await;
        let files = files(&running, &built).await;
        let reasons = system::reboot_reasons(&built);
        let way = reboot::way(asked.manifest.activation.reboot.policy, reasons.clone());
        let refused = self.objection(&way, &built).await;
        let only = requisites::only(&running, &built).await;
        let (added, removed) = only.map_err(|error| Fault::of(&error))?;
        Ok(Difference {
            effort: foretold::effort(&said),
            units,
            reboots: matches!(way, Ok(Way::Reboot(_))),
            reboot: reasons,
            refused,
            files,
            added,
            removed,
            build: took,
            running,
            built,
        })
    }

    async fn clean(&self) {
        for units in UNITS {
            if let Err(error) = unit::forget(units).await {
                log::warn!("could not end the build of a preview: {}", Chain(&error));
            }
        }
        for directory in left(&self.paths.activations()) {
            if let Err(error) = fs::remove_dir_all(&directory) {
                log::warn!("could not remove `{}`: {error}", directory.display());
            }
        }
    }
}

/// What is left of previews.
fn left(activations: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(activations) else { return Vec::new() };
    let ours = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
    };
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(ours).collect()
}

/// What is built as if it were activated.
fn order(asked: &Previewed, activation: ActivationId, running: &Toplevel) -> Order {
    Order {
        activation,
        rollout: String::new(),
        retry: false,
        envelope: String::new(),
        digest: asked.digest,
        manifest: asked.manifest.clone(),
        running: Some(running.clone()),
    }
}

async fn files(
    running: &Toplevel,
    built: &Toplevel,
) -> Result<BTreeMap<String, difference::Change>, String> {
    let (running, built) = (running.clone(), built.clone());
    let compared = spawn_blocking(move || -> io::Result<_> {
        Ok(difference::files(&etc::faces(&running)?, &etc::faces(&built)?))
    });
    let compared = compared.await.map_err(io::Error::other);
    compared.flatten().map_err(|error| Chain(&error).to_string())
}

/// Where the payload lies, as it was said with the order.
struct There<'a>(&'a str);

impl Locate for There<'_> {
    async fn locate(&self, _: Digest) -> Result<String, NotLocated> {
        Ok(self.0.to_owned())
    }
}
