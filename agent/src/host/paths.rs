//! Every path that the agent touches, and what it may use. Plain data.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_proto::digest::Digest;
use floe_proto::id::ActivationId;

/// Where things are on this machine.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Where the control plane is: its name is one of the ways out.
    pub control_plane: String,
    /// `/var/lib/floe`: journal, floors, payloads, activations.
    pub state: PathBuf,
    /// The configuration file, which the guard is started with as well.
    pub config: PathBuf,
    /// The program that builds a system: a name in `search`, or an absolute path.
    pub nixos_rebuild: String,
    /// PATH of this process: where the tools of NixOS are found.
    pub search: OsString,
    /// What evaluation and build may use.
    pub limits: Limits,
}

/// What evaluation and build may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// As systemd's `MemoryMax=` takes it.
    pub build_memory: String,
    /// From the start of the build to its end.
    pub build_time: Duration,
    /// Bytes that must be free in the store and below `/var` before a trial.
    pub free: u64,
    /// Bytes of memory that must be available before a build and before a trial.
    pub memory: u64,
}

/// The running system.
pub const CURRENT_SYSTEM: &str = "/run/current-system";

/// The system that would boot.
pub const PROFILE: &str = "/nix/var/nix/profiles/system";

/// The system that this boot began with.
pub const BOOTED_SYSTEM: &str = "/run/booted-system";

/// Profiles that have entries of their own in the boot menu.
pub const SYSTEM_PROFILES: &str = "/nix/var/nix/profiles/system-profiles";

/// Where the boot loader lives.
pub const BOOT: &str = "/boot";

/// GRUB's menu.
pub const GRUB_CFG: &str = "/boot/grub/grub.cfg";

/// What GRUB remembers from one boot to the next.
pub const GRUB_ENV: &str = "/boot/grub/grubenv";

/// Where `/etc` comes from.
pub const ETC_STATIC: &str = "/etc/static";

/// What a running switch holds (docs/nixos.md 4.2; both its behaviours are in the field).
pub const SWITCH_LOCK: &str = "/run/nixos/switch-to-configuration.lock";

/// Our own roots, so that garbage collection spares what we may go back to.
pub const ROOTS: &str = "/nix/var/nix/gcroots/floe";

/// Word of switches: gone with a reboot, as what it speaks of, and there is room for
/// it where the disk is full.
const OUTCOMES: &str = "/run/floe/outcomes";

/// The store.
pub const STORE: &str = "/nix/store";

/// The agent's program inside a system.
pub const AGENT: &str = "sw/bin/floe-agent";

/// The agent's unit.
pub const AGENT_UNIT: &str = "floe-agent.service";

/// The unit that a switch runs in, by the name of nixos-rebuild's own, so that a human
/// and the agent exclude each other (docs/nixos.md 4.1).
pub const SWITCH_UNIT: &str = "nixos-rebuild-switch-to-configuration";

/// The unit in which `floe-agent gc` has Nix collect garbage.
pub const GC_UNIT: &str = "floe-gc.service";

impl Paths {
    /// The journal's directory.
    pub fn journal(&self) -> PathBuf {
        self.state.join("journal")
    }

    /// Downloaded payloads.
    pub fn payloads(&self) -> PathBuf {
        self.state.join("payloads")
    }

    /// A complete payload.
    pub fn payload(&self, digest: Digest) -> PathBuf {
        self.payloads().join(format!("{digest}.tar.zst"))
    }

    /// The binary cache that a closure is copied from.
    pub fn closure(&self) -> PathBuf {
        self.state.join("closure")
    }

    /// All activations' directories.
    pub fn activations(&self) -> PathBuf {
        self.state.join("activation")
    }

    /// Where switches leave word of how they ended, for all activations.
    pub fn outcomes(&self) -> PathBuf {
        PathBuf::from(OUTCOMES)
    }

    /// The files of one activation.
    pub fn activation(&self, activation: &ActivationId) -> PathBuf {
        self.activations().join(activation.as_str())
    }
}

/// The payload's files inside an activation's directory.
pub fn source(activation: &Path) -> PathBuf {
    activation.join("source")
}
