//! Accepting: TCP becomes TLS with a known peer, within bounds.
//!
//! A handshake has a deadline and never holds up another; beyond the cap new
//! connections are closed at once. Who the peer is gets decided here, once for a
//! connection, and not again for each call.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use floe_proto::id::Fleet;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use super::auth::Peer;

/// How connections are accepted on one port.
pub(super) struct Acceptor {
    pub(super) listener: TcpListener,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) fleet: Fleet,
    pub(super) max_connections: usize,
}

/// One connection whose handshake is done.
pub(super) struct Connection {
    tls: TlsStream<TcpStream>,
    peer: Peer,
    _permit: OwnedSemaphorePermit,
}

impl Acceptor {
    /// Accepts until the receiver of `ready` is gone.
    pub(super) async fn run(self, ready: mpsc::Sender<Connection>) {
        let slots = Arc::new(Semaphore::new(self.max_connections));
        let tls = TlsAcceptor::from(self.tls);
        let mut handshakes = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = handshakes.join_next() => continue,
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
            let (tls, ready, fleet) = (tls.clone(), ready.clone(), self.fleet.clone());
            handshakes.spawn(async move {
                match timeout(HANDSHAKE, handshake(tls, tcp, address, &fleet, permit)).await {
                    Ok(Ok(connection)) => {
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
    permit: OwnedSemaphorePermit,
) -> io::Result<Connection> {
    tcp.set_nodelay(true)?;
    let tls = tls.accept(tcp).await?;
    let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let peer = Peer::new(address, certificate.map(AsRef::as_ref), fleet);
    Ok(Connection { tls, peer, _permit: permit })
}

const HANDSHAKE: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_millis(100);

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
