//! One local machine of `floe dev`: a command in a process group of its own.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::str::FromStr;
use std::time::Duration;

use floe_proto::id::{HostId, InvalidHostId, Role};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::progress;
use super::view::printable;
use crate::program;

/// Hosts of one role, as `--host ROLE=2` asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    role: Role,
    count: u16,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, count) = text.split_once('=').unwrap_or((text, "1"));
        let count = count.parse().ok().filter(|count| (1..=100).contains(count));
        let count = count.ok_or("expected ROLE or ROLE=NUMBER, with a number from 1 to 100")?;
        Ok(Self { role: role.parse().map_err(|error| format!("{error}"))?, count })
    }
}

/// A name for each host: `local-www-1` and so on, with the first label of the role where
/// that tells roles apart.
pub(super) fn name(wanted: &[Wanted]) -> Vec<(HostId, Role)> {
    let mut roles: Vec<(&Role, u16)> = Vec::new();
    for Wanted { role, count } in wanted {
        match roles.iter_mut().find(|(known, _)| *known == role) {
            Some((_, known)) => *known = known.saturating_add(*count),
            None => roles.push((role, *count)),
        }
    }
    let label = |role: &Role| role.as_str().split('.').next().unwrap_or_default().to_owned();
    let mut named = Vec::new();
    for (role, count) in &roles {
        let is_alone = roles.iter().filter(|(other, _)| label(other) == label(role)).count() == 1;
        let short = if is_alone { label(role) } else { role.as_str().replace('.', "-") };
        for number in 1..=*count {
            // A host's name has 63 characters; the number must not be what is cut.
            let number = format!("-{number}");
            let short: String = short.chars().take(63 - number.len()).collect();
            let id: Result<HostId, InvalidHostId> = format!("local-{short}{number}").parse();
            named.extend(id.map(|id| (id, (*role).clone())));
        }
    }
    named
}

/// A machine that can be started.
pub(super) struct Machine {
    pub(super) host: HostId,
    pub(super) command: String,
    pub(super) environment: Vec<(&'static str, OsString)>,
}

impl Machine {
    /// Runs until the command ends, or until `stop` and then until it has ended.
    pub(super) async fn run(self, stop: CancellationToken) -> (HostId, io::Result<ExitStatus>) {
        let Self { host, command, environment } = self;
        let spawned = program::command("sh")
            .args(["-c", &command])
            .envs(environment)
            // Nothing is written to it: it is closed when we are gone, however we went.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // ^C reaches us alone, so that machines are stopped in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => return (host, Err(error)),
        };
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let _open = child.stdin.take(); // waiting would close it
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let lines = async {
            tokio::join!(relay(&host, out), relay(&host, err));
            std::future::pending::<()>().await;
        };
        let status = tokio::select! {
            status = end(&mut child, group, &stop) => status,
            () = lines => Err(io::ErrorKind::Other.into()),
        };
        (host, status)
    }
}

async fn end(
    child: &mut Child,
    group: Option<Pid>,
    stop: &CancellationToken,
) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = stop.cancelled() => {}
    }
    let signal = |signal| group.map(|group| kill_process_group(group, signal));
    signal(Signal::TERM);
    if let Ok(status) = timeout(GRACE, child.wait()).await {
        return status;
    }
    signal(Signal::KILL);
    child.wait().await
}

/// How long a machine may take to shut down.
const GRACE: Duration = Duration::from_secs(30);

/// Every line, with the host's name before it.
async fn relay(host: &HostId, pipe: Option<impl AsyncRead + Unpin>) {
    let Some(pipe) = pipe else { return };
    let mut pipe = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while let Ok(1..) = pipe.read_until(b'\n', &mut bytes).await {
        let line = String::from_utf8_lossy(&bytes);
        progress::line(&format!("{host} | {}", printable(line.trim_end())));
        bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &[&str]) -> Vec<String> {
        let wanted: Vec<Wanted> = wanted.iter().map(|text| text.parse().unwrap()).collect();
        name(&wanted).iter().map(|(host, _)| host.to_string()).collect()
    }

    #[test]
    fn hosts_are_named_by_the_first_label_where_that_is_enough() {
        assert_eq!(names(&["www.a.org=2", "db"]), ["local-www-1", "local-www-2", "local-db-1"]);
        assert_eq!(names(&["www.a.org", "www.b.org"]), ["local-www-a-org-1", "local-www-b-org-1"]);
        assert_eq!(names(&["www", "www=2"]), ["local-www-1", "local-www-2", "local-www-3"]);
    }

    #[test]
    fn a_number_of_hosts_is_a_small_one() {
        for bad in ["www=0", "www=101", "www=x", "=1", "W"] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_machine_is_told_who_it_is_and_ends_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("ready");
        let machine = Machine {
            host: "local-www-1".parse().unwrap(),
            command: "trap 'exit 7' TERM; echo $FLOE_HOST > $READY; while :; do sleep 0.1; done"
                .into(),
            environment: vec![("FLOE_HOST", "local-www-1".into()), ("READY", fifo.clone().into())],
        };
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        )
        .unwrap();
        let stop = CancellationToken::new();
        let running = machine.run(stop.clone());
        let stopping = async {
            let said = tokio::task::spawn_blocking(move || std::fs::read_to_string(fifo)).await;
            assert_eq!(said.unwrap().unwrap(), "local-www-1\n");
            stop.cancel();
        };
        let ((host, status), ()) = tokio::join!(running, stopping);
        assert_eq!(host.as_str(), "local-www-1");
        assert_eq!(status.unwrap().code(), Some(7));
    }
}
