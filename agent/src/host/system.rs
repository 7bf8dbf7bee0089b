//! What runs on this machine, and what would boot: links and small files, read.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::task::spawn_blocking;

use super::paths::{BOOTED_SYSTEM, CURRENT_SYSTEM, ETC_STATIC, PROFILE, STORE};
use crate::activation::reboot::{self, Base, Reason};
use crate::activation::state::{BootId, Seen, Toplevel, Uptime};

/// What runs and what would boot.
pub fn look() -> Seen {
    Seen { running: running(), profile: profile(), boot: boot_id(), at: uptime() }
}

/// `/run/current-system`.
pub fn running() -> Option<Toplevel> {
    toplevel(Path::new(CURRENT_SYSTEM))
}

/// What the system profile points at, through its generation.
pub fn profile() -> Option<Toplevel> {
    toplevel(Path::new(PROFILE))
}

/// Why `to` would only run whole after a reboot of this machine.
pub fn reboot_reasons(to: &Toplevel) -> Vec<Reason> {
    let (booted, running) = (base(Path::new(BOOTED_SYSTEM)), base(Path::new(CURRENT_SYSTEM)));
    reboot::reasons(&booted, &running, &base(to.as_path()))
}

/// What of `system` is in force from its boot on.
fn base(system: &Path) -> Base {
    let link = |name: &str| system.join(name).canonicalize().ok();
    let text = |name: &str| fs::read_to_string(system.join(name)).ok();
    let inhibitors = text("switch-inhibitors");
    Base {
        kernel: link("kernel"),
        initrd: link("initrd"),
        modules: link("kernel-modules"),
        parameters: text("kernel-params").map(|text| text.trim().to_owned()),
        systemd: link("systemd"),
        init_interface: text("init-interface-version").map(|text| text.trim().to_owned()),
        // A file that cannot be read inhibits nothing here; the switch itself looks as well.
        inhibitors: inhibitors
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
    }
}

/// Writes the store's content to the disk. Nix registers what it made without doing so, and
/// after a power cut takes for whole what is empty.
///
/// # Errors
///
/// What the disk said.
pub async fn sync_store() -> io::Result<()> {
    let syncing = spawn_blocking(|| Ok(rustix::fs::syncfs(File::open(STORE)?)?));
    syncing.await.map_err(io::Error::other)?
}

/// Whether `/etc` is that of `system`.
pub fn etc_is_of(system: &Toplevel) -> bool {
    let (found, wanted) = (Path::new(ETC_STATIC).canonicalize(), system.join("etc").canonicalize());
    matches!((found, wanted), (Ok(found), Ok(wanted)) if found == wanted)
}

/// The system that a link leads to.
pub fn toplevel(link: &Path) -> Option<Toplevel> {
    link.canonicalize().ok()?.into_os_string().into_string().ok()?.try_into().ok()
}

/// This boot; the same in all of a kernel's containers, so that PID 1's start is added.
pub fn boot_id() -> BootId {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let started = pid_1_started().unwrap_or_default();
    BootId(format!("{}.{started}", id.trim()))
}

/// proc_pid_stat(5): field 22, in ticks since boot; after the name, which may hold blanks.
fn pid_1_started() -> Option<u64> {
    let stat = fs::read_to_string("/proc/1/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(22 - 3)?.parse().ok()
}

/// How long the machine has run, sleep included; in a container, since its PID 1 began.
pub fn uptime() -> Uptime {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    let began = Duration::from_millis(pid_1_started().unwrap_or_default().saturating_mul(TICK));
    Uptime(Duration::new(seconds, nanos).saturating_sub(began))
}

/// Milliseconds: USER_HZ is 100 wherever NixOS runs (proc_pid_stat(5), time(7)).
const TICK: u64 = 10;

/// Makes a directory, if there is none, that everybody may list: others put things of theirs
/// beside ours, and what an agent makes is its own otherwise.
///
/// # Errors
///
/// What the disk said.
pub fn make_readable_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o755))
}

/// Makes a rename or a new name in `directory` last.
///
/// # Errors
///
/// What the disk said.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_name() {
        assert_eq!(boot_id(), boot_id());
        assert!(boot_id().0.len() > 36);
        assert!(pid_1_started().is_some());
    }

    #[test]
    fn a_link_out_of_the_store_is_no_system() {
        assert_eq!(toplevel(Path::new("/proc/self/exe")), None);
        assert_eq!(toplevel(Path::new("/nowhere")), None);
    }
}
