//! Accepts connections, and can drop one without an answer: a fault that an HTTP handler alone cannot cause.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at a time. A speaker needs a handful; the rest wait in the system's queue.
const CONNECTIONS_MAX: usize = 256;
/// Wait after a failed accept (no file descriptors left), so that it does not spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Handle on one connection, in the hands of the requests that came over it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Who is at the other end.
    pub peer: SocketAddr,
    line: Arc<AtomicU8>,
}

/// Answers are written to the connection.
const OPEN: u8 = 0;
/// Nothing is written any more.
const HUNG_UP: u8 = 1;
/// Nothing is written any more, and the end is a reset.
const RESET: u8 = 2;

impl Connection {
    /// Nothing is written to the connection any more; it closes as soon as somebody tries.
    pub fn hang_up(&self) {
        self.line.store(HUNG_UP, Ordering::Release);
    }

    /// The same, but the other end sees a reset, as if nobody had ever been here.
    pub fn reset(&self) {
        self.line.store(RESET, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Door>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self {
            peer: *stream.remote_addr(),
            line: Arc::clone(&stream.io().line),
        }
    }
}

/// The listening socket.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Door {
    /// Takes over a bound socket.
    pub fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl Listener for Door {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await.ok();
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Small answers are not held back to be joined with later ones.
                    if let Err(error) = stream.set_nodelay(true) {
                        log::debug!("connection of {peer}: no delay: {error}");
                    }
                    return (
                        Stream {
                            socket: stream,
                            line: Arc::default(),
                            _place: place,
                        },
                        peer,
                    );
                }
                Err(error) => {
                    log::warn!("accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection's bytes.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    line: Arc<AtomicU8>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Stream {
    fn gone(&self) -> io::Result<()> {
        match self.line.load(Ordering::Acquire) {
            OPEN => return Ok(()),
            // What is closed without lingering is reset.
            RESET => set_socket_linger(&self.socket, Some(Duration::ZERO))?,
            _ => {}
        }
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.gone()?;
        Pin::new(&mut self.socket).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.gone()?;
        Pin::new(&mut self.socket).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gone()?;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
