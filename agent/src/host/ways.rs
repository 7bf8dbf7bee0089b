//! Tries the ways out of this machine: the object store, the resolver, EC2's metadata.
//!
//! What follows from them is [`crate::activation::ways`]' to say.

use std::future::Future;
use std::time::Duration;

use http::Uri;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::activation::ways::Ways;

/// How long one way may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Instance metadata (EC2 user guide, "Access instance metadata").
const METADATA: &str = "169.254.169.254:80";

/// Tries the ways that there may be: to the store of `payload_url`, and by the names of it
/// and of `control_plane`, both URLs.
pub async fn explore(control_plane: &str, payload_url: Option<&str>) -> Ways {
    let objects = payload_url.and_then(authority);
    let hosts = [Some(control_plane), payload_url].into_iter().flatten().filter_map(authority);
    let name = hosts.map(|host| host.rsplit_once(':').map_or("", |(host, _)| host).to_owned());
    let name = name.into_iter().find(|host| !host.is_empty() && !is_address(host));
    again(&Ways { objects, name, metadata: true }).await
}

/// Tries the ways of `before` again.
pub async fn again(before: &Ways) -> Ways {
    let objects = async {
        let address = before.objects.clone()?;
        reaches(TcpStream::connect(&address)).await.then_some(address)
    };
    let name = async {
        let name = before.name.clone()?;
        reaches(lookup_host((name.as_str(), 0))).await.then_some(name)
    };
    let metadata = async { before.metadata && reaches(TcpStream::connect(METADATA)).await };
    let (objects, name, metadata) = tokio::join!(objects, name, metadata);
    Ways { objects, name, metadata }
}

async fn reaches<T, E>(trying: impl Future<Output = Result<T, E>>) -> bool {
    matches!(timeout(PATIENCE, trying).await, Ok(Ok(_)))
}

/// `HOST:PORT` of a URL.
fn authority(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    let port = uri.port_u16().unwrap_or(usual);
    Some(format!("{}:{port}", uri.host()?))
}

/// Whether no resolver is needed.
fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn t111_a_way_is_open_while_somebody_answers_on_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let url = format!("https://{address}/bucket/x?signature=1");
        let before = explore("https://localhost:7443", Some(&url)).await;
        assert_eq!(before.objects, Some(address));
        assert_eq!(before.name.as_deref(), Some("localhost"));
        assert!(again(&before).await.hold_as(&before));
        drop(listener);
        let after = again(&before).await;
        assert_eq!(after.objects, None);
        assert!(!after.hold_as(&before));
    }

    #[test]
    fn an_address_needs_no_resolver() {
        assert_eq!(authority("https://10.77.0.1:7443").as_deref(), Some("10.77.0.1:7443"));
        assert_eq!(authority("https://s3.example/x").as_deref(), Some("s3.example:443"));
        assert_eq!(authority("https://[::1]:9/x").as_deref(), Some("[::1]:9"));
        assert!(is_address("10.77.0.1") && is_address("[::1]") && !is_address("s3.example"));
    }
}
