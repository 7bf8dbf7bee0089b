//! A payload that somebody serves, rightly or wrongly.

use std::sync::Arc;

use floe_proto::transport;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::testing::Authority;

/// An object store with a certificate of the fleet's CA.
struct Store {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    client: reqwest::Client,
}

impl Store {
    async fn new() -> Self {
        let authority = Authority::new();
        let ca = std::slice::from_ref(&authority.ca);
        let mut tls = transport::server_config(authority.issue("localhost"), ca).unwrap();
        tls.alpn_protocols.clear();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor: Arc::new(tls).into(), client: client(ca).unwrap() }
    }

    fn url(&self) -> Url {
        Url(format!("https://localhost:{}/x", self.listener.local_addr().unwrap().port()))
    }

    /// The next request, whatever it asks for.
    async fn asked(&self) -> TlsStream<TcpStream> {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut stream = self.acceptor.accept(stream).await.unwrap();
        let mut request = [0; 4096];
        let _read = stream.read(&mut request).await;
        stream
    }

    /// Serves `body` once for each connection.
    async fn serve(&self, body: &[u8], announced: Option<usize>) {
        loop {
            let mut stream = self.asked().await;
            let length = announced.map(|n| format!("Content-Length: {n}\r\n")).unwrap_or_default();
            let head = format!("HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n");
            let _head = stream.write_all(head.as_bytes()).await;
            let _body = stream.write_all(body).await;
            let _end = stream.shutdown().await;
        }
    }
}

struct Url(String);

impl Locate for Url {
    async fn locate(&self, _: Digest) -> Result<String, NotLocated> {
        Ok(self.0.clone())
    }
}

fn payload(bytes: &[u8]) -> Payload {
    let length = u64::try_from(bytes.len()).unwrap().try_into().unwrap();
    Payload { sha256: Digest::of(bytes), length }
}

/// What comes of fetching `wanted` where `body` is served.
async fn fetched(wanted: &[u8], body: &[u8], announced: Option<usize>) -> Result<(), Error> {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("payload");
    let store = Store::new().await;
    let url = store.url();
    let wanted = payload(wanted);
    let result = tokio::select! {
        result = once(&wanted, &target, &store.client, &url, START) => result,
        () = store.serve(body, announced) => panic!(),
    };
    assert_eq!(is_whole(&wanted, &target).await, result.is_ok());
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, usize::from(result.is_ok()), "nothing half written is left");
    result
}

#[tokio::test]
async fn t005_t034_what_was_signed_arrives_and_nothing_else() {
    let good = vec![7; 300_000];
    fetched(&good, &good, Some(good.len())).await.unwrap();
    fetched(&good, &good, None).await.unwrap();

    let mut bad = good.clone();
    bad[299_999] ^= 1;
    assert!(matches!(fetched(&good, &bad, None).await, Err(Error::Digest { .. })));
    let short = &good[..299_999];
    assert!(matches!(fetched(&good, short, None).await, Err(Error::Length { .. })));
    let announced = fetched(&good, short, Some(short.len())).await;
    assert!(matches!(announced, Err(Error::Length { .. })));
    assert!(matches!(fetched(&good, short, Some(good.len())).await, Err(Error::Http(_))));
    let long = vec![7; 300_001];
    assert!(matches!(fetched(&good, &long, None).await, Err(Error::Length { .. })));
}

#[tokio::test]
async fn t006_who_sends_a_byte_now_and_then_is_not_listened_to_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new().await;
    let url = store.url();
    let dribbling = async {
        let mut stream = store.asked().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(b"7").await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
        std::future::pending::<()>().await;
    };
    let wanted = payload(&[7; 300_000]);
    let target = dir.path().join("payload");
    let patience = Duration::from_millis(500);
    let result = tokio::select! {
        result = once(&wanted, &target, &store.client, &url, patience) => result,
        () = dribbling => panic!(),
    };
    assert!(matches!(result, Err(Error::TooSlow(_))), "{result:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_could_never_be_unpacked_is_not_asked_for() {
    let huge = Payload { length: u64::MAX.try_into().unwrap(), ..payload(b"x") };
    let dir = tempfile::tempdir().unwrap();
    let nowhere = Url("https://127.0.0.1:1/".to_owned());
    let refused = fetch(&huge, &dir.path().join("payload"), &[], &nowhere).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
}

/// The control plane names the place, and is not told what lies in any other.
#[tokio::test]
async fn a_payload_is_asked_for_over_tls_only_and_what_came_instead_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url(format!("http://{}/latest", listener.local_addr().unwrap()));
    let (wanted, client) = (payload(b"wanted"), client(&[]).unwrap());
    let target = dir.path().join("payload");
    tokio::select! {
        result = once(&wanted, &target, &client, &url, START) => {
            assert!(matches!(result, Err(Error::Http(_))), "{result:?}");
        }
        _ = listener.accept() => panic!("somebody was asked"),
    }
    let told = fetched(b"wanted", b"secret", None).await.unwrap_err().to_string();
    assert!(!told.contains(&Digest::of(b"secret").to_string()), "{told}");
}
