//! Becomes a host of the fleet, and keeps its stream to the control plane open: joins the
//! identity and the session, which know nothing of each other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use floe_proto::pb;
use floe_proto::transport::Identity;
use log::{error, info, warn};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use crate::activation::ports::{Clock, Suspension};
use crate::activation::state::State;
use crate::config::{self, Config};
use crate::host::clock::TlsClock;
use crate::host::{journal, suspension, system, unit};
use crate::identity::{self, Attestation, Imds, Lost, Standing, Terms};
use crate::secrets::{Secrets, Verb};
use crate::session::{Handle, LineState, Session};
use crate::telemetry::Chain;

/// Becomes a host, then keeps the stream open. Neither ends by itself.
pub async fn keep_session(
    session: Session,
    config: &Config,
    ca: Vec<CertificateDer<'static>>,
    system: &str,
    clock: Arc<TlsClock>,
    line: &Handle,
    secrets: &Secrets,
) {
    let terms = Terms {
        fleet: config.fleet.clone(),
        role: config.role.clone(),
        attestation: match config.attestation {
            config::Attestation::Token => Attestation::Token,
            config::Attestation::AwsIid => Attestation::AwsIid(Imds::new()),
        },
        control_plane: config.control_plane.clone(),
        ca,
        state_directory: config.state_directory.clone(),
        clock,
    };
    let (state_directory, process) = (&config.state_directory, process());
    let mut standing = Standing::Unknown;
    loop {
        let enrolled = identity::obtain(&terms, standing).await;
        info!(host:% = enrolled.host; "this machine is a host of {}", config.fleet);
        secrets.belong_to(&enrolled.host);
        let shown = Identity {
            chain: enrolled.identity.chain.clone(),
            key: enrolled.identity.key.clone_key(),
        };
        let tls = match terms.tls(Some(shown)) {
            Ok(tls) => tls,
            Err(error) => {
                let path = state_directory.join("identity");
                error!(
                    "cannot use `{}`: {}; remove it and enrol anew",
                    path.display(),
                    Chain(&error)
                );
                // What is being activated must not end for that.
                return std::future::pending().await;
            }
        };
        let (shown, tls) = watch::channel(Arc::new(tls));
        let hello = || hello(state_directory, system, &process);
        standing = tokio::select! {
            () = session.keep(&config.control_plane, tls, hello) => return,
            lost = identity::keep(&terms, &enrolled, line, &shown) => match lost {
                Lost::Expired | Lost::Followed => Standing::Unknown,
                Lost::Replaced => Standing::Refused,
            },
        };
        session.lost();
    }
}

/// What the host is now; read anew for each stream, which adds what it knows better.
fn hello(state_directory: &Path, system: &str, process: &str) -> pb::Hello {
    let state = match journal::read(state_directory) {
        Ok(found) => found.state,
        Err(error) => {
            warn!("{}", Chain(&error));
            State::default()
        }
    };
    let seen = system::look();
    pb::Hello {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: seen.boot.0,
        system: system.to_owned(),
        confirmed: state.floors.confirmed.map(|mark| pb::Confirmed {
            epoch: mark.epoch.get().into(),
            serial: mark.serial.get(),
            manifest_digest: mark.manifest.to_string(),
            reverted: state.was_left(),
        }),
        running: seen.running.map(String::from).unwrap_or_default(),
        root_version: 0,
        suspended: None,
        sealing_key: Vec::new(),
        secrets: None,
        process: process.to_owned(),
    }
}

/// A name that no other process has, on this machine or on a copy of its disk. Empty
/// where the kernel gives no random bytes, which is "not known".
fn process() -> String {
    let mut name = [0; 16];
    match getrandom::fill(&mut name) {
        Ok(()) => format!("{:032x}", u128::from_be_bytes(name)),
        Err(_) => String::new(),
    }
}

/// Says whether this machine is suspended, as that changes. Never ends.
pub async fn watch_suspension(state: &Path, told: watch::Sender<Option<Suspension>>) {
    let mut watcher = suspension::Watcher::new(state);
    loop {
        let now = suspension::read(state);
        told.send_if_modified(|known| {
            let news = *known != now;
            if news {
                match &now {
                    Some(why) => {
                        info!(reason = why.reason.as_str(); "suspended: nothing new is begun")
                    }
                    None => info!("resumed"),
                }
                known.clone_from(&now);
            }
            news
        });
        watcher.changed().await;
    }
}

/// Tells units of new secrets, as these come. Never ends.
pub async fn tend_secrets(secrets: &Secrets) {
    let tell = async |verb, unit: &str| {
        let done = match verb {
            Verb::Restart => unit::restart_running(unit).await,
            Verb::Reload => unit::reload_running(unit).await,
        };
        match done {
            Ok(()) => info!(unit; "told of a new secret"),
            Err(error) => error!(unit; "could not be told of a new secret: {}", Chain(&error)),
        }
    };
    secrets.tend(tell).await;
}

/// Has `show` show how the way to the control plane stands, as that changes. Never ends.
pub async fn show_line(line: &Handle, clock: &impl Clock, show: impl Fn(&str)) {
    let mut line = line.line();
    loop {
        let text = match &*line.borrow_and_update() {
            LineState::Connecting => "connecting to the control plane".to_owned(),
            LineState::Connected => "connected to the control plane".to_owned(),
            LineState::Waiting { wait, why } => waiting(clock, *wait, why),
        };
        show(&text);
        if line.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn waiting(clock: &impl Clock, wait: Duration, why: &str) -> String {
    let why: String = why.split_whitespace().collect::<Vec<_>>().join(" ");
    let why: String = why.chars().take(200).collect();
    format!("not connected, next try at {}: {why}", clock.now().after(wait))
}
