//! The instance metadata service, version 2 required.
//!
//! AWS EC2 User Guide, "Use the Instance Metadata Service to access instance metadata":
//! a session begins with PUT and a lifetime of 1 to 21,600 seconds; a GET without its
//! token is 401; a PUT with X-Forwarded-For is refused (403); what is turned off is 403.

use data_encoding::BASE64;

use super::cloud::State;
use super::http::{Answer, Asked};

pub(super) fn answer(state: &mut State, asked: &Asked) -> Answer {
    let Some(instance) = state.instance_at(asked.by).cloned() else { return nothing(404) };
    if asked.path == "/latest/api/token" {
        return token(state, asked);
    }
    let session = asked.header("x-aws-ec2-metadata-token");
    if !session.is_some_and(|session| state.sessions.contains(&(asked.by, session.to_owned()))) {
        return nothing(401);
    }
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/latest/meta-data/instance-id") => (200, instance.id),
        ("GET", "/latest/dynamic/instance-identity/rsa2048") => {
            let text = BASE64.encode(&state.signer.document(&instance));
            let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
            (200, lines.collect::<Vec<_>>().join("\n"))
        }
        _ => nothing(404),
    }
}

fn token(state: &mut State, asked: &Asked) -> Answer {
    let lifetime = asked.header("x-aws-ec2-metadata-token-ttl-seconds");
    let lifetime = lifetime.and_then(|seconds| seconds.parse::<u32>().ok());
    match (asked.method.as_str(), lifetime) {
        _ if asked.header("x-forwarded-for").is_some() => nothing(403),
        ("PUT", Some(1..=21_600)) => {
            let token = format!("session-{}==", state.sessions.len());
            state.sessions.insert((asked.by, token.clone()));
            (200, token)
        }
        ("PUT", _) => nothing(400),
        _ => nothing(405),
    }
}

fn nothing(status: u16) -> Answer {
    (status, String::new())
}
