//! A control plane's edge for tests: a CA of its own, real TLS, one gRPC service on
//! loopback. And what an instance is told about itself on EC2.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_proto::id::HostId;
use floe_proto::transport::{self, Identity};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
    SanType,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::codegen::{Service, http};

pub(crate) mod trust;

/// What never ends without its guard fails after this instead.
pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
}

/// So much time passes at once, and then at its own pace again.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A CA, and what it issues.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) ca: CertificateDer<'static>,
    /// When it is, by its own clock, since 1970.
    pub(crate) now: Mutex<Duration>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().der().clone();
        let now = DefaultTimeProvider.current_time().unwrap().as_secs();
        Self { issuer: Issuer::new(params, key), ca, now: Mutex::new(Duration::from_secs(now)) }
    }

    /// A key and its certificate for `name`, as a control plane has them.
    pub(crate) fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        let id = SanType::URI("spiffe://fossable.org/control".try_into().unwrap());
        params.subject_alt_names.push(id);
        let leaf = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Identity { chain: vec![leaf], key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() }
    }

    /// A certificate of `host` for the key of a request, 45 days old and good for as many.
    pub(crate) fn sign(&self, request: &[u8], host: &HostId) -> Vec<u8> {
        let now = rcgen::date_time_ymd(1970, 1, 1) + *self.now.lock().unwrap();
        self.sign_for(request, host, |params| {
            (params.not_before, params.not_after) = (now - 45 * DAY, now + 45 * DAY);
        })
    }

    /// The same, good until that year.
    pub(crate) fn sign_until(&self, request: &[u8], host: &HostId, year: i32) -> Vec<u8> {
        self.sign_for(request, host, |p| p.not_after = rcgen::date_time_ymd(year, 1, 1))
    }

    fn sign_for(
        &self,
        request: &[u8],
        host: &HostId,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Vec<u8> {
        let request = request.into();
        let mut request = CertificateSigningRequestParams::from_der(&request).unwrap();
        let id = format!("spiffe://fossable.org/host/{host}");
        request.params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        change(&mut request.params);
        request.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    /// Serves `service` for as long as `tasks` is there; says where.
    pub(crate) async fn serve<S>(&self, service: S, tasks: &mut JoinSet<()>) -> String
    where
        S: Service<http::Request<Incoming>, Response = http::Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let ca = std::slice::from_ref(&self.ca);
        let config = transport::server_config(self.issue("localhost"), ca).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, service) = (acceptor.clone(), service.clone());
                connections.spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else { return };
                    let service = TowerToHyperService::new(service);
                    let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = http2.serve_connection(TokioIo::new(tls), service).await;
                });
            }
        });
        url
    }
}

/// An instance metadata service for tests: version 2, and what else a test makes it say.
pub(crate) struct Metadata {
    /// What it answers where it knows better than the real one: path and raw response.
    pub(crate) instead: Mutex<Vec<(&'static str, String)>>,
    pub(crate) instance: &'static str,
    pub(crate) document: Vec<u8>,
    /// What was asked, in order.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Metadata {
    pub(crate) fn of(instance: &'static str, document: &[u8]) -> Arc<Self> {
        let (instead, asked) = (Mutex::default(), Mutex::default());
        Arc::new(Self { instead, instance, document: document.to_vec(), asked })
    }

    /// Serves for as long as `tasks` is there; says where.
    pub(crate) async fn serve(self: &Arc<Self>, tasks: &mut JoinSet<()>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let this = Arc::clone(self);
        tasks.spawn(async move {
            loop {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    tcp.read_exact(&mut byte).await.unwrap();
                    request.push(byte[0]);
                }
                let answer = this.answer(&String::from_utf8(request).unwrap());
                // Who asked may have heard enough before the end.
                let _ = tcp.write_all(answer.as_bytes()).await;
            }
        });
        url
    }

    fn answer(&self, request: &str) -> String {
        let line = request.lines().next().unwrap().to_owned();
        let path = line.split(' ').nth(1).unwrap().to_owned();
        self.asked.lock().unwrap().push(line.clone());
        let ok = |body: &str| {
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
        };
        if let Some((_, raw)) = self.instead.lock().unwrap().iter().find(|(p, _)| *p == path) {
            return raw.clone();
        }
        let headers = request.to_ascii_lowercase();
        let has_token = headers.contains("x-aws-ec2-metadata-token: the-token");
        match path.as_str() {
            "/latest/api/token"
                if line.starts_with("PUT ") && headers.contains("token-ttl-seconds: ") =>
            {
                ok("the-token")
            }
            _ if !has_token => "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n".to_owned(),
            "/latest/meta-data/instance-id" => ok(self.instance),
            "/latest/dynamic/instance-identity/rsa2048" => {
                let text = data_encoding::BASE64.encode(&self.document);
                let lines =
                    text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap());
                ok(&lines.collect::<Vec<_>>().join("\n"))
            }
            _ => "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n".to_owned(),
        }
    }
}
