//! What a pin follows, and where that leads today.

use std::time::Duration;

use floe_proto::payload::pin::{Branch, Follow, PinUrl};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::error::Error;
use super::prefetch::run;

/// Where what is followed leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is to be pinned.
    pub url: PinUrl,
    /// Whether it has a name of its own. Else what lies there may become something else, and
    /// hosts that fetch it later refuse it.
    pub is_fixed: bool,
}

/// Longer than a server takes to say where something is.
const LIMIT: Duration = Duration::from_secs(30);

/// Where `follow` leads, for a pin that is at `current`.
///
/// # Errors
///
/// [`Error`], where it leads nowhere, or nobody could be asked.
pub async fn target(follow: &Follow, current: &PinUrl) -> Result<Target, Error> {
    match follow {
        Follow::Url(url) => behind(url).await,
        Follow::Branch(branch) => {
            let (owner, name) = github(current).ok_or_else(|| Error::NoRepository {
                branch: branch.to_string(),
                url: current.to_string(),
            })?;
            let remote = format!("https://github.com/{owner}/{name}");
            let commit = head(&remote, branch).await?;
            let url = format!("{remote}/archive/{commit}.tar.gz");
            let url = url.parse().map_err(|source| Error::Unusable { url: remote, source })?;
            Ok(Target { url, is_fixed: true })
        }
    }
}

/// Follows redirects. A channel of NixOS leads to a release, whose URL says which it is.
async fn behind(url: &PinUrl) -> Result<Target, Error> {
    if url.as_str().starts_with("file:") {
        return Ok(Target { url: url.clone(), is_fixed: false });
    }
    let unreachable = |source| Error::Unreachable { url: url.to_string(), source };
    let policy = Policy::custom(|attempt| {
        // RFC 9110, section 15.4, leaves it to us: what began in secret is not to end in the open.
        let began = attempt.previous().first().map(Url::scheme);
        match (began, attempt.url().scheme()) {
            (Some("https"), "https") | (Some("http"), "http" | "https")
                if attempt.previous().len() < MAX_REDIRECTS =>
            {
                attempt.follow()
            }
            _ => attempt.stop(),
        }
    });
    let client = Client::builder().redirect(policy).timeout(LIMIT).build().map_err(unreachable)?;
    let answer = client.head(url.as_str()).send().await.map_err(unreachable)?;
    if !answer.status().is_success() {
        return Err(Error::Status { url: url.to_string(), status: answer.status().as_u16() });
    }
    let found: PinUrl = answer
        .url()
        .as_str()
        .parse()
        .map_err(|source| Error::Unusable { url: url.to_string(), source })?;
    let is_fixed = found != *url && !found.as_str().contains("/refs/heads/");
    Ok(Target { url: found, is_fixed })
}

/// As many as browsers take.
const MAX_REDIRECTS: usize = 20;

/// Owner and repository of an archive on GitHub.
fn github(url: &PinUrl) -> Option<(&str, &str)> {
    let (owner, rest) = url.as_str().strip_prefix("https://github.com/")?.split_once('/')?;
    let (name, rest) = rest.split_once('/')?;
    (rest.starts_with("archive/") && !owner.is_empty() && !name.is_empty()).then_some((owner, name))
}

/// The commit that `branch` of `remote` is at.
async fn head(remote: &str, branch: &Branch) -> Result<String, Error> {
    let reference = format!("refs/heads/{branch}");
    let answer = run("git", ["ls-remote", "--", remote, &reference], LIMIT).await?;
    // git-ls-remote(1): one line for each reference, `<oid> TAB <reference>`.
    let commit = answer.lines().find_map(|line| {
        let (oid, found) = line.split_once('\t')?;
        let is_oid = oid.len() == 40 && oid.bytes().all(|b| b.is_ascii_hexdigit());
        (found == reference && is_oid).then(|| oid.to_owned())
    });
    commit.ok_or_else(|| Error::NoBranch { remote: remote.into(), branch: branch.to_string() })
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
