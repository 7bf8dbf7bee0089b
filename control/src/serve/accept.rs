//! Accepting: TCP becomes TLS with a known peer, within bounds.
//!
//! A handshake has a deadline and never holds up another: where too many are under
//! way, the one that dawdles longest makes room. Beyond the cap new connections are
//! closed at once. Who the peer is gets decided here, once for a connection, and not
//! again for each call.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use floe_proto::id::Fleet;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use super::auth::Peer;
use super::guests::{Guest, Guests, STRANGERS_STAY};
use crate::clock;
use crate::enrol::issuers::Issuers;

/// How connections are accepted on one port.
pub(super) struct Acceptor {
    pub(super) listener: TcpListener,
    /// The newest counts for each handshake.
    pub(super) tls: watch::Receiver<Arc<ServerConfig>>,
    /// Who may have signed a caller's certificate.
    pub(super) issuers: watch::Receiver<Issuers>,
    pub(super) fleet: Fleet,
    pub(super) max_connections: usize,
    /// How many handshakes may be under way.
    pub(super) max_handshakes: usize,
    /// Who is connected. `None` on a port where callers show no certificates.
    pub(super) guests: Option<Arc<Guests>>,
}

/// One connection whose handshake is done.
pub(super) struct Connection {
    tls: TlsStream<TcpStream>,
    peer: Peer,
    /// When it has to leave: a stranger soon, others when their certificate ends.
    leave: Option<Pin<Box<Sleep>>>,
    /// Comes when the issuer of its certificate is retired.
    cut: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    _guest: Option<Guest>,
    _permit: OwnedSemaphorePermit,
}

/// Handshakes that are under way, the oldest first.
#[derive(Default)]
struct Handshakes {
    tasks: JoinSet<()>,
    begun: VecDeque<(Instant, AbortHandle)>,
}

impl Acceptor {
    /// Accepts until the receiver of `ready` is gone.
    pub(super) async fn run(self, ready: mpsc::Sender<Connection>) {
        let slots = Arc::new(Semaphore::new(self.max_connections));
        let mut handshakes = Handshakes::default();
        loop {
            let accepted = tokio::select! {
                () = handshakes.room(self.max_handshakes) => {
                    tokio::select! {
                        accepted = self.listener.accept() => accepted,
                        () = ready.closed() => return,
                    }
                }
                () = ready.closed() => return,
            };
            let (tcp, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Usually too many open files, which a short rest may cure.
                    warn!(%error, "could not accept a connection");
                    sleep(REST).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&slots).try_acquire_owned() else {
                debug!(%address, "turned away: too many connections");
                continue;
            };
            let tls = TlsAcceptor::from(Arc::clone(&self.tls.borrow()));
            let (ready, fleet) = (ready.clone(), self.fleet.clone());
            let (issuers, guests) = (self.issuers.clone(), self.guests.clone());
            handshakes.spawn(async move {
                match timeout(HANDSHAKE, handshake(tls, tcp, address, &fleet, &issuers)).await {
                    Ok(Ok((tls, peer, cut))) => {
                        let Some(connection) = Connection::admit(tls, peer, cut, guests, permit)
                        else {
                            debug!(%address, "turned away: this caller has too many connections");
                            return;
                        };
                        // Gone only when the server stops.
                        let _ = ready.send(connection).await;
                    }
                    Ok(Err(error)) => debug!(%address, %error, "handshake failed"),
                    Err(_) => debug!(%address, "handshake took too long"),
                }
            });
        }
    }
}

async fn handshake(
    tls: TlsAcceptor,
    tcp: TcpStream,
    address: SocketAddr,
    fleet: &Fleet,
    issuers: &watch::Receiver<Issuers>,
) -> io::Result<(TlsStream<TcpStream>, Peer, Option<CancellationToken>)> {
    tcp.set_nodelay(true)?;
    let tls = tls.accept(tcp).await?;
    let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    // A chain may reach an anchor past a retired issuer, and a session that is resumed
    // was verified when it began: what counts is who signed, and as of now.
    let signer = |der: &CertificateDer<'_>| {
        let signer = issuers.borrow().signer_of(der).map(|known| known.cut.clone());
        signer.ok_or_else(|| io::Error::other("nobody believes who signed the certificate"))
    };
    let cut = certificate.map(signer).transpose()?;
    let peer = Peer::new(address, certificate.map(AsRef::as_ref), fleet);
    Ok((tls, peer, cut))
}

impl Handshakes {
    fn spawn(&mut self, handshake: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(handshake);
        self.begun.push_back((Instant::now(), task));
    }

    /// Returns when fewer than `most` are under way; ends the oldest for it, if that
    /// had its chance.
    async fn room(&mut self, most: usize) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            if self.tasks.len() < most {
                // What has ended is forgotten: at once at the front, now and then elsewhere.
                while self.begun.front().is_some_and(|(_, task)| task.is_finished()) {
                    self.begun.pop_front();
                }
                if self.begun.len() > most.saturating_mul(2) {
                    self.begun.retain(|(_, task)| !task.is_finished());
                }
                return;
            }
            match self.begun.front() {
                Some((_, task)) if task.is_finished() => {
                    self.begun.pop_front();
                }
                Some((begun, task)) => tokio::select! {
                    _ = self.tasks.join_next() => {}
                    () = sleep_until(*begun + CHANCE) => {
                        task.abort();
                        self.begun.pop_front();
                        let _ = self.tasks.join_next().await;
                    }
                },
                None => {
                    let _ = self.tasks.join_next().await;
                }
            }
        }
    }
}

impl Connection {
    fn admit(
        tls: TlsStream<TcpStream>,
        peer: Peer,
        cut: Option<CancellationToken>,
        guests: Option<Arc<Guests>>,
        permit: OwnedSemaphorePermit,
    ) -> Option<Self> {
        let (guest, leave) = match guests {
            Some(guests) => {
                let left = peer.left(clock::now()).map(|left| left.saturating_add(LAST_WORDS));
                let leave = Box::pin(sleep(left.unwrap_or(STRANGERS_STAY)));
                (Some(guests.enter(&peer)?), Some(leave))
            }
            None => (None, None),
        };
        let cut = cut.map(|cut| Box::pin(cut.cancelled_owned()));
        Some(Self { tls, peer, leave, cut, _guest: guest, _permit: permit })
    }
}

/// How many handshakes a port has under way; an honest one takes milliseconds.
pub(super) const MAX_HANDSHAKES: usize = 1024;
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a handshake may dawdle while others wait for its place.
const CHANCE: Duration = Duration::from_secs(1);
const REST: Duration = Duration::from_millis(100);
/// How long a connection outlives its certificate, so that streams can say why they end.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(leave) = &mut self.leave
            && leave.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if let Some(cut) = &mut self.cut
            && cut.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.tls).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use floe_proto::transport;
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::enrol::ca::Authority;

    /// A port that holds what was accepted and reads from it; and a stranger's client.
    async fn port(max_handshakes: usize) -> (SocketAddr, TlsConnector, JoinSet<()>) {
        let (dir, now) = (tempfile::tempdir().unwrap(), clock::now());
        let fleet: Fleet = "fossable.org".parse().unwrap();
        let authority = Authority::open(dir.path(), &fleet, now).unwrap();
        let names = [rcgen::SanType::IpAddress([127, 0, 0, 1].into())];
        let identity = authority.issue_control(&names, now).unwrap().identity();
        let ca = [authority.root().clone()];
        let believed = authority.issuers().borrow().believed();
        let tls = Arc::new(transport::server_config(identity, &believed).unwrap());
        let (tls, issuers) = (watch::channel(tls).1, authority.issuers());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let guests = Some(Arc::default());
        let client = transport::client_config(&ca, &fleet, None).unwrap();
        let acceptor =
            Acceptor { listener, tls, issuers, fleet, max_connections: 64, max_handshakes, guests };
        let (sender, mut ready) = mpsc::channel::<Connection>(8);
        let mut tasks = JoinSet::new();
        tasks.spawn(acceptor.run(sender));
        tasks.spawn(async move {
            let mut readers = JoinSet::new();
            while let Some(mut connection) = ready.recv().await {
                readers.spawn(async move {
                    let mut buffer = [0; 64];
                    while connection.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
                    let _ = connection.shutdown().await;
                });
            }
        });
        (address, TlsConnector::from(Arc::new(client)), tasks)
    }

    async fn connect(
        address: SocketAddr,
        client: &TlsConnector,
    ) -> tokio_rustls::client::TlsStream<TcpStream> {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        client.connect(name, tcp).await.unwrap()
    }

    #[tokio::test]
    async fn t091_who_says_nothing_does_not_keep_others_out() {
        let (address, client, _tasks) = port(4).await;
        let mut silent = Vec::new();
        for _ in 0..8 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let begun = Instant::now();
        // Behind eight in a queue for four places, each of which is lent for a second.
        let _stream = connect(address, &client).await;
        assert!(begun.elapsed() < HANDSHAKE, "{:?}", begun.elapsed());
        let read = silent.first_mut().unwrap().read(&mut [0; 1]).await;
        assert!(read.is_err() || read.unwrap() == 0);
    }

    /// What the port answers to `bytes`, until it closes.
    async fn answer(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // It may be cut off, which is an answer as well.
        let _ = timeout(HANDSHAKE, tcp.read_to_end(&mut answer)).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn t089_nothing_but_tls_1_3_is_spoken() {
        let (address, _, _tasks) = port(4).await;
        // A ClientHello (RFC 5246, section 7.4.1.2) that offers TLS 1.2 and no more:
        // ECDHE-ECDSA with AES-256-GCM, P-256, ECDSA with SHA-256.
        let extensions = *b"\x00\x0a\x00\x04\x00\x02\x00\x17\x00\x0d\x00\x04\x00\x02\x04\x03";
        let mut hello = b"\x16\x03\x01\x00\x3f\x01\x00\x00\x3b\x03\x03".to_vec();
        hello.extend([7; 32]);
        hello.extend(*b"\x00\x00\x02\xc0\x2c\x01\x00\x00\x10");
        hello.extend(extensions);
        let alert = answer(address, &hello).await;
        // A fatal alert (RFC 8446, section 6.2): protocol_version.
        assert_eq!(alert, b"\x15\x03\x03\x00\x02\x02\x46");

        for plain in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let answer = answer(address, plain).await;
            assert!(!answer.windows(4).any(|word| word == b"HTTP"), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn t089_a_client_speaks_http_2_and_means_this_server() {
        let (address, client, _tasks) = port(4).await;
        let refused = async |name: &'static str, alpn: &[u8]| {
            let mut config = client.config().as_ref().clone();
            config.alpn_protocols = vec![alpn.to_vec()];
            let tcp = TcpStream::connect(address).await.unwrap();
            let client = TlsConnector::from(Arc::new(config));
            let name = ServerName::try_from(name).unwrap();
            let mut tls = client.connect(name, tcp).await?;
            // In TLS 1.3 a refusal of the server may come after the client is done.
            tls.read(&mut [0; 1]).await
        };
        assert!(refused("127.0.0.1", b"http/1.1").await.is_err());
        assert!(refused("127.0.0.2", b"h2").await.is_err());
        let stream = connect(address, &client).await;
        assert!(!stream.get_ref().1.is_early_data_accepted());
    }

    #[tokio::test]
    async fn t090_a_server_that_the_fleet_did_not_certify_is_not_spoken_to() {
        let (address, _, _tasks) = port(4).await;
        let (stranger, now) = (tempfile::tempdir().unwrap(), clock::now());
        let fleet: Fleet = "fossable.org".parse().unwrap();
        let authority = Authority::open(stranger.path(), &fleet, now).unwrap();
        let other = [authority.root().clone()];
        let believes_another = transport::client_config(&other, &fleet, None).unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        let client = TlsConnector::from(Arc::new(believes_another));
        let refused = client.connect(ServerName::try_from("127.0.0.1").unwrap(), tcp).await;
        assert!(refused.is_err());
    }

    #[tokio::test]
    async fn t091_a_stranger_has_to_leave() {
        let (address, client, _tasks) = port(4).await;
        let mut stream = connect(address, &client).await;
        tokio::time::pause();
        let begun = Instant::now();
        let read = timeout(STRANGERS_STAY * 2, async { stream.read(&mut [0; 1]).await }).await;
        assert_ne!(read.unwrap().ok(), Some(1));
        assert!(begun.elapsed() >= STRANGERS_STAY - Duration::from_secs(1));
    }
}
