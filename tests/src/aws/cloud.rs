//! An account, its instances, and where the two services listen.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use floe_proto::time::Timestamp;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::document::Signer;
use super::{ec2, http, metadata};
use crate::script;

/// The account that the fleet runs in.
pub const ACCOUNT: &str = "123456789012";

/// The region that the fleet runs in.
pub const REGION: &str = "us-west-2";

/// Where the control plane finds EC2's API.
pub const ENDPOINT: &str = "http://127.0.0.1:4566";

const EC2: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 4566);
const METADATA: (Ipv4Addr, u16) = (Ipv4Addr::new(169, 254, 169, 254), 80);

/// What is played of AWS in one world; gone when dropped.
#[derive(Debug)]
pub struct Cloud {
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

/// What AWS knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) signer: Signer,
    pub(super) instances: Vec<Instance>,
    /// Of the metadata service: who began it, and its token.
    pub(super) sessions: HashSet<(IpAddr, String)>,
    /// What EC2's API answers to everything, where it answers nothing else.
    pub(super) trouble: Option<&'static str>,
}

/// An instance as AWS knows it.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Such as `i-0123456789abcdef0`.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// Where it is.
    pub region: String,
    /// What it was launched from.
    pub image: String,
    /// When it was launched, or started again.
    pub launched: Timestamp,
    /// As EC2 names it: `pending`, `running`, `stopped`, `terminated`.
    pub state: String,
    /// By which the metadata service knows it.
    pub address: IpAddr,
}

impl Cloud {
    /// AWS, in the network of `world`. No instance was launched.
    ///
    /// # Panics
    ///
    /// Where the network cannot be changed.
    pub async fn start(world: &Path) -> Self {
        let net = |verb: &[&str]| {
            let mut command = Command::new(script::world_script("net"));
            command.env("FLOE_WORLD", world).args(verb);
            command
        };
        script::run(&mut net(&["metadata"])).await;
        let namespace = script::run(&mut net(&["namespace", "control"])).await;
        let state = Arc::new(Mutex::new(State {
            signer: Signer::new(),
            instances: Vec::new(),
            sessions: HashSet::new(),
            trouble: None,
        }));
        let mut tasks = JoinSet::new();
        let (inside, outside) = (Arc::clone(&state), Arc::clone(&state));
        let listener = http::listen(namespace.as_ref(), METADATA.into());
        // The answer goes no further than the instance: `HttpPutResponseHopLimit` 1.
        listener.set_ttl(1).unwrap();
        http::serve(listener, &mut tasks, move |asked| {
            metadata::answer(&mut inside.lock().unwrap(), &asked)
        });
        let listener = http::listen(namespace.as_ref(), EC2.into());
        http::serve(listener, &mut tasks, move |asked| {
            ec2::answer(&outside.lock().unwrap(), &asked)
        });
        Self { state, _tasks: tasks }
    }

    /// What a control plane is to be told to trust in [`REGION`], in PEM.
    pub fn certificate(&self) -> String {
        self.state().signer.certificate().to_owned()
    }

    /// Launches an instance from `image`, a moment ago; its metadata is for `address`.
    pub fn launch(&self, id: &str, image: &str, address: IpAddr) {
        let launched = Timestamp::from(SystemTime::now() - Duration::from_secs(5));
        self.state().instances.push(Instance {
            id: id.to_owned(),
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            image: image.to_owned(),
            launched,
            state: "running".to_owned(),
            address,
        });
    }

    /// Changes what AWS knows of an instance.
    ///
    /// # Panics
    ///
    /// Where it was not launched.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Instance)) {
        let mut state = self.state();
        let instance = state.instances.iter_mut().find(|instance| instance.id == id);
        change(instance.unwrap_or_else(|| panic!("{id} was not launched")));
    }

    /// Lets EC2's API answer everything with an error such as `RequestLimitExceeded`,
    /// or no more.
    pub fn trouble(&self, code: Option<&'static str>) {
        self.state().trouble = code;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    pub(super) fn instance_at(&self, address: IpAddr) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.address == address)
    }
}
