//! The embedded bucket's port: HTTP/1.1 for whoever has a signed URL.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::S3Service;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::accept::Connection;

/// Answers S3 requests until `stop`, and then until what was begun is done.
pub(super) async fn serve(
    mut incoming: mpsc::Receiver<Connection>,
    service: S3Service,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let connection = tokio::select! {
            Some(connection) = incoming.recv() => connection,
            Some(_) = connections.join_next() => continue,
            () = stop.cancelled() => break,
            else => break,
        };
        let (service, stop) = (service.clone(), stop.clone());
        connections.spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(connection), service);
            let mut served = std::pin::pin!(served);
            let ended = tokio::select! {
                ended = &mut served => ended,
                () = stop.cancelled() => {
                    served.as_mut().graceful_shutdown();
                    served.await
                }
            };
            if let Err(error) = ended {
                debug!(%error, "a connection to the objects broke");
            }
        });
    }
    while connections.join_next().await.is_some() {}
}

/// How long a caller may take to say what it wants, and stay without a word.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_sdk_s3::presigning::PresigningConfig;
    use floe_proto::digest::Digest;
    use floe_proto::time::Timestamp;
    use floe_proto::transport;
    use reqwest::{Method, StatusCode};
    use tokio::sync::watch;

    use super::super::accept::Acceptor;
    use super::super::port::{self, Port};
    use super::*;
    use crate::clock;
    use crate::enrol::ca::Authority;
    use crate::objects::s3::Settings;
    use crate::objects::{Embedded, Object, Objects, Presence, Upload, embedded};

    const PAYLOAD: &[u8] = b"a payload";

    fn payload() -> Object {
        Object::Payload(Digest::of(PAYLOAD))
    }

    /// An embedded bucket on loopback, and a client that knows only the fleet's CA.
    struct World {
        objects: Objects,
        http: reqwest::Client,
        url: String,
        _tasks: JoinSet<()>,
        _dir: tempfile::TempDir,
    }

    impl World {
        async fn start() -> Self {
            let (dir, now) = (tempfile::tempdir().unwrap(), clock::now());
            let fleet = "fossable.org".parse().unwrap();
            let port = Port::bind("objects", ([127, 0, 0, 1], 0).into(), None).await.unwrap();
            let authority = Authority::open(dir.path(), &fleet, now).unwrap();
            let names = port::names(&[&port]).unwrap();
            let identity = authority.issue_control(&names, now).unwrap().identity();
            let ca = [authority.root().clone()];
            let mut tls = transport::server_config(identity, &ca).unwrap();
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            let (url, listener) = (port.url, port.listener);
            let acceptor = Acceptor {
                listener,
                tls: watch::channel(Arc::new(tls)).1,
                issuers: authority.issuers(),
                fleet,
                max_connections: 64,
                max_handshakes: 64,
                guests: None,
            };

            let bucket = Embedded::open(dir.path()).unwrap();
            let (sender, incoming) = mpsc::channel(8);
            let mut tasks = JoinSet::new();
            tasks.spawn(acceptor.run(sender));
            tasks.spawn(serve(incoming, bucket.service(), CancellationToken::new()));

            let objects = Objects::new(Settings {
                endpoint: url.clone(),
                region: "floe".into(),
                bucket: embedded::BUCKET.into(),
                access_key: bucket.credentials().access_key.clone(),
                secret_key: bucket.credentials().secret_key.clone(),
                ca_pem: authority.root_pem().to_owned(),
            })
            .unwrap();
            objects.create_bucket().await.unwrap();
            let http = reqwest::Client::builder()
                .tls_backend_preconfigured(transport::https_config(&ca).unwrap())
                .build()
                .unwrap();
            Self { objects, http, url, _tasks: tasks, _dir: dir }
        }

        async fn put(&self, upload: &Upload, bytes: &'static [u8]) -> StatusCode {
            let mut request = self.http.put(&upload.url).body(bytes);
            for (name, value) in &upload.headers {
                request = request.header(name, value);
            }
            request.send().await.unwrap().status()
        }

        async fn call(&self, method: Method, url: &str) -> (StatusCode, Vec<u8>) {
            let answer = self.http.request(method, url).send().await.unwrap();
            (answer.status(), answer.bytes().await.unwrap().to_vec())
        }

        async fn presence(&self) -> Presence {
            let length = u64::try_from(PAYLOAD.len()).unwrap();
            self.objects.presence(&payload(), length).await.unwrap()
        }

        async fn upload(&self) -> Upload {
            let length = u64::try_from(PAYLOAD.len()).unwrap();
            self.objects.upload(&payload(), length).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_payload_goes_in_and_out_by_presigned_urls() {
        let world = World::start().await;
        world.objects.create_bucket().await.unwrap();
        assert_eq!(world.presence().await, Presence::Absent);
        let upload = world.upload().await;
        assert!(upload.headers.iter().any(|(name, _)| name == "x-amz-checksum-sha256"));
        assert_eq!(world.put(&upload, PAYLOAD).await, StatusCode::OK);
        assert_eq!(world.presence().await, Presence::There);
        let other_length = world.objects.presence(&payload(), 1).await.unwrap();
        assert_eq!(other_length, Presence::Other);

        let url = world.objects.download(&payload()).await.unwrap();
        assert_eq!(world.call(Method::GET, &url).await, (StatusCode::OK, PAYLOAD.to_vec()));
    }

    #[tokio::test]
    async fn what_is_not_the_payload_is_refused_and_not_kept() {
        let world = World::start().await;
        let upload = world.upload().await;
        assert!(world.put(&upload, b"b payload").await.is_client_error());
        assert_eq!(world.presence().await, Presence::Absent);

        assert_eq!(world.put(&upload, PAYLOAD).await, StatusCode::OK);
        assert!(world.put(&upload, b"b payload").await.is_client_error());
        assert_eq!(world.presence().await, Presence::There);
        let url = world.objects.download(&payload()).await.unwrap();
        assert_eq!(world.call(Method::GET, &url).await.1, PAYLOAD);
    }

    #[tokio::test]
    async fn an_upload_that_breaks_does_not_take_a_finished_one_of_the_same_payload_away() {
        let world = World::start().await;
        let upload = world.upload().await;
        // Two of the same push: the first hangs, the second is done, then the first breaks.
        let (sender, receiver) = mpsc::channel(1);
        let body =
            reqwest::Body::wrap_stream(tokio_stream::wrappers::ReceiverStream::new(receiver));
        let mut hanging = world.http.put(&upload.url).body(body);
        for (name, value) in &upload.headers {
            hanging = hanging.header(name, value);
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(hanging.send());
        // Taken from the channel only when the request is under way.
        sender.send(Ok(PAYLOAD[..4].to_vec())).await.unwrap();
        sender.send(Ok(PAYLOAD[4..8].to_vec())).await.unwrap();
        let _room = sender.reserve().await.unwrap();
        assert_eq!(world.put(&upload, PAYLOAD).await, StatusCode::OK);
        drop(_room);
        sender.send(Err("the network is gone")).await.unwrap();
        assert!(tasks.join_next().await.unwrap().unwrap().is_err());
        assert_eq!(world.put(&upload, b"b payload").await, StatusCode::PRECONDITION_FAILED);
        assert_eq!(world.presence().await, Presence::There);
        let url = world.objects.download(&payload()).await.unwrap();
        assert_eq!(world.call(Method::GET, &url).await.1, PAYLOAD);
    }

    #[tokio::test]
    async fn an_upload_must_say_the_digest_that_was_signed() {
        let world = World::start().await;
        let mut upload = world.upload().await;
        upload.headers.retain(|(name, _)| name != "x-amz-checksum-sha256");
        assert!(world.put(&upload, PAYLOAD).await.is_client_error());
        assert_eq!(world.presence().await, Presence::Absent);
    }

    #[tokio::test]
    async fn only_the_holder_of_a_signed_url_gets_anything() {
        let world = World::start().await;
        world.put(&world.upload().await, PAYLOAD).await;
        let url = world.objects.download(&payload()).await.unwrap();
        let (bare, _) = url.split_once('?').unwrap();
        let other = Digest::of(b"other").to_string();
        let mut forged = url.clone();
        let last = if forged.pop() == Some('0') { '1' } else { '0' };
        forged.push(last);
        let prolonged = url.replace("X-Amz-Expires=600", "X-Amz-Expires=6000");
        assert_ne!(prolonged, url);
        let elsewhere = url.replace(&Digest::of(PAYLOAD).to_string(), &other);
        let long_ago = std::time::UNIX_EPOCH + clock::now().since(Timestamp::from_micros(0))
            - Duration::from_secs(700);
        let past = PresigningConfig::builder().start_time(long_ago);
        let past = past.expires_in(Duration::from_secs(600)).build().unwrap();
        let expired = world.objects.download_by(&payload(), past).await.unwrap();
        for tampered in [bare, &forged, &prolonged, &elsewhere, &expired] {
            let (status, _) = world.call(Method::GET, tampered).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{tampered}");
        }
        let (status, body) = world.call(Method::PUT, &url).await;
        assert_eq!((status, body == PAYLOAD), (StatusCode::FORBIDDEN, false));
        for (method, path) in [(Method::GET, ""), (Method::GET, "/floe"), (Method::DELETE, "/floe")]
        {
            let (status, _) = world.call(method, &format!("{}{path}", world.url)).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        }
    }
}
