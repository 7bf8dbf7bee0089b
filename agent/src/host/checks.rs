//! Looks at the machine: units, probes, the agent's connection; all at once.
//!
//! What follows from what is seen is [`probation`]'s to say.
//!
//! [`probation`]: crate::activation::probation

use std::fmt;
use std::time::Duration;

use floe_proto::manifest::{Check, Probe};
use futures_util::future::join_all;
use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::process;
use super::{command, system, unit, ways};
use crate::activation::ports::Connection;
use crate::activation::probation::{Look, Opinion, Watch};
use crate::activation::state::{Fault, Toplevel, Trial};

/// A check has at least this long, however late it is looked at.
const LEAST: Duration = Duration::from_secs(1);

/// Watches the machine until it has proved itself, or not.
///
/// # Errors
///
/// Why it did not, or why that could not be seen.
pub async fn watch(trial: &Trial, connection: &impl Connection) -> Result<(), Fault> {
    let health = &trial.order.manifest.health;
    let soak = Duration::from_secs(health.soak_seconds.into());
    let mut watch = Watch::new(trial.forgiven(), soak, trial.until);
    loop {
        let began = system::uptime();
        let look = look(trial, connection).await.map_err(|error| Fault::of(&error))?;
        let lonely = !look.connected;
        match watch.saw(look, began, system::uptime()) {
            Opinion::Proven => return Ok(()),
            Opinion::Failed(why) => return Err(why),
            Opinion::LookAgain(wait) => {
                tokio::select! {
                    () = sleep(wait) => {}
                    () = connection.connected(), if lonely => {}
                }
            }
        }
    }
}

async fn look(trial: &Trial, connection: &impl Connection) -> Result<Look, process::Error> {
    let checks = &trial.order.manifest.health.checks;
    // The last look ends with the deadline, so that it is the agent who says what is missing.
    let left = system::uptime().until(trial.until).max(LEAST);
    let examined = join_all(checks.iter().map(|check| examine(check, &trial.to, left)));
    let (failed, found, connected) =
        tokio::join!(unit::failing(), examined, is_connected(trial, connection));
    Ok(Look { failed: failed?, red: found.into_iter().flatten().collect(), connected })
}

/// Whether this process has reached the control plane, or nobody can: a host that could not
/// before need not now, and that it is away for everybody sends no fleet back.
async fn is_connected(trial: &Trial, connection: &impl Connection) -> bool {
    if connection.is_connected() || !trial.before.connected {
        return true;
    }
    if !system::uptime().until(trial.alone_from()).is_zero() {
        return false;
    }
    let hold = ways::again(&trial.before.ways).await.hold_as(&trial.before.ways);
    if hold {
        log::warn!("the control plane cannot be reached, the other ways out hold as before");
    }
    hold
}

/// What is wrong with what `check` looks at; `None` if nothing is.
async fn examine(check: &Check, system: &Toplevel, left: Duration) -> Option<String> {
    let limit = Duration::from_secs(check.timeout_seconds.into()).min(left);
    let probing = async {
        match &check.probe {
            Probe::Unit { name } => unit_is_active(name).await,
            Probe::Http { url, status } => answers(url, *status).await,
            Probe::Tcp { address } => {
                TcpStream::connect(address).await.map(|_| ()).map_err(|error| error.to_string())
            }
            Probe::Command { argv } => command::ends_well(argv, system, limit).await,
        }
    };
    let found = match timeout(limit, probing).await {
        Ok(found) => found.err()?,
        Err(_) => format!("no answer within {limit:?}"),
    };
    let found: String = found.chars().take(300).collect();
    Some(format!("check `{}` does not hold: {found}", check.probe))
}

async fn unit_is_active(name: &str) -> Result<(), String> {
    let facts = unit::show(name).await.map_err(said)?;
    if facts.is_up() { Ok(()) } else { Err(format!("it is {}", facts.state())) }
}

/// One GET, HTTP/1.1 (RFC 9112), of which only the status line is read: a client
/// library would bring TLS, redirects and pools along, which no check wants.
async fn answers(url: &str, wanted: u16) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(said)?;
    let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
        return Err("the URL names no host".to_owned());
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut stream =
        TcpStream::connect((bare, uri.port_u16().unwrap_or(80))).await.map_err(said)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: floe-agent\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(said)?;

    let mut line = Vec::new();
    let mut buffer = [0; 256];
    while !line.contains(&b'\n') && line.len() < 1024 {
        match stream.read(&mut buffer).await.map_err(said)? {
            0 => break,
            length => line.extend_from_slice(&buffer[..length]),
        }
    }
    match status(&line) {
        Some(status) if status == wanted => Ok(()),
        Some(status) => Err(format!("the answer is {status}")),
        None => Err("the answer is no HTTP".to_owned()),
    }
}

fn status(line: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(line.get(..12)?).ok()?;
    let (version, status) = text.split_once(' ')?;
    if version.starts_with("HTTP/1.") { status.parse().ok() } else { None }
}

fn said(error: impl fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn system() -> Toplevel {
        "/nix/store/new".parse().unwrap()
    }

    fn check(probe: Probe) -> Check {
        Check { probe, timeout_seconds: 1 }
    }

    async fn serve(listener: TcpListener, answer: &'static str) -> Option<String> {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _read = stream.read(&mut request).await;
            let _written = stream.write_all(answer.as_bytes()).await;
        }
        None
    }

    async fn http(answer: &'static str) -> Option<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/health?x=1", listener.local_addr().unwrap());
        let (check, system) = (check(Probe::Http { url, status: 200 }), system());
        tokio::select! {
            found = examine(&check, &system, LEAST) => found,
            found = serve(listener, answer) => found,
        }
    }

    #[tokio::test]
    async fn an_http_check_wants_its_status() {
        assert_eq!(http("HTTP/1.1 200 OK\r\n\r\n").await, None);
        assert!(http("HTTP/1.0 503 No\r\n\r\n").await.unwrap().contains("503"));
        assert!(http("SSH-2.0-OpenSSH_9.9\r\n").await.unwrap().contains("no HTTP"));
        assert!(http("").await.is_some());
    }

    #[tokio::test]
    async fn a_tcp_check_wants_somebody_to_listen() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(examine(&check(Probe::Tcp { address }), &system(), LEAST).await, None);
        drop(listener);
        assert!(examine(&check(Probe::Tcp { address }), &system(), LEAST).await.is_some());
    }
}
