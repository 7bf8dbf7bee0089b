//! A server that answers with words. HTTP/1.1, one answer for each question.

use std::convert::Infallible;
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::task::JoinSet;

/// A question.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) by: IpAddr,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Status and body.
pub(super) type Answer = (u16, String);

/// Listens at `address` in the network namespace at `namespace`. A socket stays where
/// it was made, so that only the thread that makes it goes there.
pub(super) fn listen(namespace: &Path, address: SocketAddr) -> TcpListener {
    let namespace = File::open(namespace).unwrap();
    let listening = std::thread::spawn(move || {
        let network = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(namespace.as_fd(), network).unwrap();
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    });
    listening.join().unwrap()
}

/// Answers for as long as `tasks` is there.
pub(super) fn serve(
    listener: TcpListener,
    tasks: &mut JoinSet<()>,
    answer: impl Fn(Asked) -> Answer + Send + Sync + 'static,
) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let answer = Arc::new(answer);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (tcp, peer) = listener.accept().await.unwrap();
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = Arc::clone(&answer);
                async move {
                    let asked = read(request, peer.ip()).await;
                    let (status, body) = answer(asked);
                    let response = Response::builder().status(status);
                    Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
                }
            });
            connections.spawn(async move {
                // Who asked may leave before the end.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(tcp), service).await;
            });
            while connections.try_join_next().is_some() {}
        }
    });
}

async fn read(request: Request<Incoming>, by: IpAddr) -> Asked {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Asked {
        by,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}
