//! A push that changes nothing, with hosts that are played by this process: what is
//! left is floe's own. `FLOE_BIN=target/release/floe cargo bench --profile dev -p floe`
//!
//! Printed for 10 and for 50 hosts: the time of the whole `floe push --watch`, the
//! control plane's CPU for each host, and its memory.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark runs programs, talks to people, and stops where it cannot go on"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use floe_proto::certificate::Certificate;
use floe_proto::digest::Digest;
use floe_proto::envelope::Envelope;
use floe_proto::manifest::Manifest;
use floe_proto::pb::enrolment_client::EnrolmentClient;
use floe_proto::pb::host_session_client::HostSessionClient;
use floe_proto::pb::{self, enrol_request::Attestation, from_agent, to_agent};
use floe_proto::transport::{self, Identity};
use rcgen::{CertificateParams, KeyPair};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

const RUNS: usize = 20;

#[tokio::main]
async fn main() {
    let world = World::start();
    let mut hosts = JoinSet::new();
    for wanted in [10, 50] {
        while hosts.len() < wanted {
            world.join(&format!("local-{}", hosts.len()), &mut hosts).await;
        }
        // The first is the one with the upload.
        world.push();
        let before = world.cpu();
        let mut taken: Vec<_> = (0..RUNS).map(|_| world.push()).collect();
        let cpu = (world.cpu() - before) / u32::try_from(RUNS * wanted).unwrap();
        taken.sort_unstable();
        println!(
            "{wanted} hosts: push {} ms (median of {RUNS}; {}–{}), control plane {} µs CPU a host, {} MiB",
            taken[RUNS / 2].as_millis(),
            taken[0].as_millis(),
            taken[RUNS - 1].as_millis(),
            cpu.as_micros(),
            world.resident_kib() / 1024,
        );
    }
}

struct World {
    directory: tempfile::TempDir,
    serve: Child,
    url: String,
    credentials: PathBuf,
}

impl World {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut init = command(directory.path());
        let init = init.args(["init", "fossable.org", "--example", "www"]).stdout(Stdio::null());
        assert!(init.stderr(Stdio::null()).status().unwrap().success());
        fs::create_dir(directory.path().join("nixpkgs")).unwrap();
        fs::write(directory.path().join("nixpkgs/default.nix"), "{ }").unwrap();
        let lock = "schema = 1\n[pins.nixpkgs]\npath = 'nixpkgs'\n";
        fs::write(directory.path().join("floe.lock"), lock).unwrap();
        let any = "127.0.0.1:0";
        let mut serve = command(directory.path())
            .args(["serve", "--listen", any, "--objects-listen", any])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(serve.stdout.take().unwrap()).lines();
        let mut next = || {
            let line = lines.next().unwrap().unwrap();
            line.split_whitespace().last().unwrap().to_owned()
        };
        let (url, _objects, credentials) = (next(), next(), next());
        let credentials = directory.path().join(credentials);
        Self { directory, serve, url, credentials }
    }

    fn floe(&self, arguments: &[&str]) -> String {
        let output = command(self.directory.path())
            .args(arguments)
            .args(["--server", &self.url, "--output", "json", "--credentials"])
            .arg(&self.credentials)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).unwrap()
    }

    fn push(&self) -> Duration {
        let begun = Instant::now();
        self.floe(&["push", "www", "--watch"]);
        begun.elapsed()
    }

    fn cpu(&self) -> Duration {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.serve.id())).unwrap() {
            let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            total += text.split(' ').next().unwrap().parse::<u64>().unwrap();
        }
        Duration::from_nanos(total)
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.serve.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// A host that enrols, and confirms whatever it is told.
    async fn join(&self, host: &str, hosts: &mut JoinSet<()>) {
        let token = self.floe(&["hosts", "token", "www"]);
        let token: serde_json::Value = serde_json::from_str(&token).unwrap();
        let own = fs::read(self.credentials.join("cert.pem")).unwrap();
        let own = transport::certificates(&own).unwrap().remove(0);
        let ca = fs::read(self.credentials.join("ca.pem")).unwrap();
        let ca = transport::certificates(&ca).unwrap();
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let request = pb::EnrolRequest {
            certificate_request: request.der().to_vec(),
            host: host.into(),
            attestation: Some(Attestation::Token(token["token"].as_str().unwrap().into())),
        };
        let fleet = Certificate::read(&own).unwrap().id.fleet;
        let config = transport::client_config(&ca, &fleet, None).unwrap();
        let channel = transport::connect(&self.url, config).await.unwrap();
        let reply = EnrolmentClient::new(channel).enrol(request).await.unwrap().into_inner();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let identity = Identity { chain: vec![reply.certificate.into()], key };
        let config = transport::client_config(&ca, &fleet, Some(identity)).unwrap();
        let channel = transport::connect(&self.url, config).await.unwrap();

        let (say, said) = mpsc::channel(4);
        say.send(message(from_agent::Message::Hello(pb::Hello::default()))).await.unwrap();
        let mut session = HostSessionClient::new(channel);
        let mut hear = session.open(ReceiverStream::new(said)).await.unwrap().into_inner();
        assert!(hear.message().await.unwrap().is_some());
        hosts.spawn(async move {
            while let Ok(Some(heard)) = hear.message().await {
                if let Some(to_agent::Message::Assignment(assignment)) = heard.message {
                    say.send(message(confirmed(&assignment))).await.unwrap();
                }
            }
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.serve.kill().unwrap();
        self.serve.wait().unwrap();
    }
}

fn confirmed(assignment: &pb::Assignment) -> from_agent::Message {
    let envelope = Envelope::parse(&assignment.manifest_envelope).unwrap();
    let manifest = Manifest::parse(envelope.unverified_payload()).unwrap();
    from_agent::Message::Report(pb::Report {
        activation: format!("a-{}", manifest.serial),
        epoch: manifest.epoch.get().into(),
        serial: manifest.serial.get(),
        manifest_digest: Digest::of(envelope.unverified_payload()).to_string(),
        outcome: pb::Outcome::Confirmed.into(),
        running: "/nix/store/7rjqb838snvvxcmpvck1smfxhkwzqal5-nixos-system-www".into(),
        unchanged: true,
        ..Default::default()
    })
}

fn message(message: from_agent::Message) -> pb::FromAgent {
    pb::FromAgent { message: Some(message) }
}

fn command(directory: &Path) -> Command {
    let built = || env!("CARGO_BIN_EXE_floe").into();
    let mut command = Command::new(std::env::var_os("FLOE_BIN").unwrap_or_else(built));
    for name in ["FLOE_SERVER", "FLOE_CREDENTIALS", "FLOE_REPO", "FLOE_DATA", "FLOE_LOG"] {
        command.env_remove(name);
    }
    command.current_dir(directory).stdin(Stdio::null());
    command
}
