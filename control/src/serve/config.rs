//! What a control plane is told before it starts: plain data.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use floe_proto::id::Fleet;

use crate::enrol::attest::AwsConfig;
use crate::enrol::ca::HOST_LIFETIME;

/// The settings of one `floe serve`.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Everything that is kept lives below it. No default.
    pub data: PathBuf,
    /// The fleet that is served; must be the trust root's. No default.
    pub fleet: Fleet,
    /// The fleet's trust root, signed (the bytes of `trust.json`). No default.
    pub trust_root: Vec<u8>,
    /// Where gRPC is served. Default `127.0.0.1:7443`; port 0 takes any free one.
    pub listen: SocketAddr,
    /// How hosts and operators reach `listen`. Default `https://` and that address.
    pub public_url: Option<String>,
    /// Where the embedded bucket is served. Default `127.0.0.1:7444`.
    pub objects_listen: SocketAddr,
    /// How hosts, operators and this process reach it. Default `https://` and that
    /// address.
    pub objects_url: Option<String>,
    /// How long certificates of hosts live; they are renewed at half of it. Default a
    /// day.
    pub host_lifetime: Duration,
    /// How many connections each port holds at once; more are turned away.
    /// Default 20,000.
    pub max_connections: usize,
    /// Whose instances of EC2 may enrol. Default nobody's.
    pub aws: AwsConfig,
    /// Whether secrets may be sealed to the control plane, for hosts that come by
    /// themselves. Default they may.
    pub escrow: bool,
}

impl ServeConfig {
    /// The defaults, and what has none.
    pub fn new(data: PathBuf, fleet: Fleet, trust_root: Vec<u8>) -> Self {
        Self {
            data,
            fleet,
            trust_root,
            listen: (Ipv4Addr::LOCALHOST, 7443).into(),
            public_url: None,
            objects_listen: (Ipv4Addr::LOCALHOST, 7444).into(),
            objects_url: None,
            host_lifetime: HOST_LIFETIME,
            max_connections: 20_000,
            aws: AwsConfig::default(),
            escrow: true,
        }
    }
}
