//! The command of a health check: run as nobody, with bounds, in a unit of its own.
//!
//! Whoever writes a check writes what runs each second on every host of a role, and all
//! that it has to do is look. So it gets a user that owns nothing, a file system that it
//! cannot write to but for a `/tmp` of its own, and nothing that it starts outlives it.

use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::process::Process;
use crate::activation::state::Toplevel;
use crate::activation::verdict::Ended;

/// What one check may take of the machine.
const BOUNDS: [&str; 4] = ["MemoryMax=256M", "MemorySwapMax=0", "TasksMax=64", "TimeoutStopSec=1"];

/// Whether `argv` ends with 0 within `limit`, on a machine that runs `system`.
///
/// # Errors
///
/// Why not, for people.
pub async fn ends_well(argv: &[String], system: &Toplevel, limit: Duration) -> Result<(), String> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    if argv.is_empty() {
        return Err("no program".to_owned());
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("floe-check-{}-{number}", std::process::id());
    let args = unit(&name, system, limit);
    let run = Process::new("systemd-run").args(args).arg("--").args(verbatim(argv));
    let output = run.within(limit.saturating_add(GRACE)).output().await;
    let output = output.map_err(|error| error.to_string())?;
    match output.ended() {
        Ended::Exit(0) => Ok(()),
        Ended::Exit(status) => Err(format!("status {status}: {}", output.stderr.trim())),
        Ended::Signal(signal) => Err(format!("killed by signal {signal}")),
        Ended::Vanished => Err("it vanished".to_owned()),
    }
}

/// As systemd has to be told it: it puts its own variables for `$NAME` and `${NAME}` in every
/// argument, and takes `$$` for a `$` (systemd.service(5), "Command lines"). Not in the name of
/// the program, which it takes as it is.
fn verbatim(argv: &[String]) -> Vec<String> {
    let (program, arguments) = argv.split_at(1);
    let escaped = arguments.iter().map(|argument| argument.replace('$', "$$"));
    program.iter().cloned().chain(escaped).collect()
}

/// How much later than the unit its client is given up: systemd knows more.
const GRACE: Duration = Duration::from_secs(2);

/// The options of `systemd-run`.
fn unit(name: &str, system: &Toplevel, limit: Duration) -> Vec<OsString> {
    let options = ["--quiet", "--no-ask-password", "--wait", "--pipe", "--collect"];
    let mut args: Vec<OsString> = options.map(OsString::from).to_vec();
    args.push(format!("--unit={name}").into());
    args.push("--description=floe: a health check".into());
    // With it come ProtectSystem=strict, PrivateTmp, NoNewPrivileges and RestrictSUIDSGID
    // (systemd.exec(5)).
    let whose = ["DynamicUser=yes", "ProtectHome=yes"];
    args.extend(
        whose.iter().chain(&BOUNDS).map(|property| format!("--property={property}").into()),
    );
    args.push(format!("--property=RuntimeMaxSec={}ms", limit.as_millis().max(1)).into());
    let mut path = OsString::from("--setenv=PATH=");
    path.push(system.join("sw/bin"));
    path.push(OsStr::new(":"));
    path.push(system.join("sw/sbin"));
    args.push(path);
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shells_variables_are_left_to_the_shell() {
        let argv = ["/bin/sh", "-c", "c=$(curl x); test \"${c}\" = 200 && kill $$"];
        let told = verbatim(&argv.map(str::to_owned));
        assert_eq!(told, ["/bin/sh", "-c", "c=$$(curl x); test \"$${c}\" = 200 && kill $$$$"]);
    }

    #[test]
    fn a_check_is_nobody_and_is_bounded() {
        let system = "/nix/store/new".parse().unwrap();
        let args = unit("floe-check-1", &system, Duration::from_millis(2500));
        let has = |wanted: &str| args.iter().any(|arg| arg == wanted);
        assert!(has("--property=DynamicUser=yes"));
        assert!(has("--property=RuntimeMaxSec=2500ms") && has("--property=MemoryMax=256M"));
        assert!(has("--setenv=PATH=/nix/store/new/sw/bin:/nix/store/new/sw/sbin"));
        assert!(has("--unit=floe-check-1"), "whose failure is no news: see `unit::failing`");
    }
}
