//! Encrypted connections, below HTTP: whose certificates are trusted, and what time it is when they are checked.
//!
//! A board without a clock battery wakes up in 1970, when no certificate was valid yet, and could not even ask what time
//! it is. So certificates are checked at the device's time or at the time this program was built, whichever is later:
//! it cannot be earlier than that. Nothing else is ever weakened: a certificate that has expired, is not valid yet, is for
//! another host or from nobody known is refused. It speaks no HTTP and never sets a clock.

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use thiserror::Error;
use ureq::Agent;
use ureq::config::Config;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::time::{Duration as Budget, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, TcpConnector, Transport, TransportAdapter,
};

/// When this program was built, seconds since 1970; see `build.rs`.
const BUILT_S: &str = env!("TONEARM_BUILT_S");

/// The wall clock of this device, time since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wall {
    /// It can be believed.
    Believed(Duration),
    /// Nobody has set it yet.
    Doubtful(Duration),
}

impl Wall {
    /// Time since 1970.
    const fn since_1970(self) -> Duration {
        match self {
            Self::Believed(time) | Self::Doubtful(time) => time,
        }
    }

    /// Whether the device does not know what time it is: nobody told it, or it shows a time before it was built.
    fn is_wrong(self) -> bool {
        match self {
            Self::Believed(time) => time < built(),
            Self::Doubtful(_) => true,
        }
    }
}

/// The earliest time it can be.
fn built() -> Duration {
    Duration::from_secs(BUILT_S.parse().unwrap_or(0))
}

/// Reads the wall clock.
pub type Clock = fn() -> Wall;

/// Why encrypted connections cannot be had.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The certificate file cannot be read.
    #[error("read certificates {path}", path = path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate file holds none.
    #[error("read certificates {path}: no usable PEM certificate in it", path = path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The library refuses its own defaults.
    #[error("set up TLS")]
    Setup(#[from] rustls::Error),
}

/// A connection that could not be encrypted, or whose other end is not who it should be.
#[derive(Debug, Error)]
#[error("TLS with {host}: {source}")]
struct Handshake {
    host: String,
    source: rustls::Error,
}

/// How the program's connections are encrypted; clones share what they know.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    clock: Clock,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Trusts the certificates of a PEM file, or Mozilla's authorities.
    ///
    /// # Errors
    /// There is no certificate in the file that can be used.
    pub fn new(ca_file: Option<&Path>, clock: Clock) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_details(provider, Arc::new(Floored(clock)))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(ca_file)?)
            .with_no_client_auth();
        Ok(Self {
            config: Arc::new(config),
            clock,
        })
    }

    /// An HTTP client whose connections are encrypted this way where the address says `https`.
    pub fn agent(&self, config: Config) -> Agent {
        let connector = ().chain(TcpConnector::default()).chain(self.clone());
        Agent::with_parts(config, connector, DefaultResolver::default())
    }

    /// The connections of one client that are encrypted this way.
    pub fn connections(&self, config: Config) -> Connections {
        Connections(Arc::new(Lines {
            agent: Mutex::new(self.agent(config.clone())),
            tls: self.clone(),
            config,
            closed: AtomicBool::new(false),
        }))
    }

    /// Whether a connection failed because this device does not know what time it is.
    pub fn blames_clock(&self, error: &ureq::Error) -> bool {
        let ureq::Error::Other(inner) = error else {
            return false;
        };
        let Some(Handshake { source, .. }) = inner.downcast_ref() else {
            return false;
        };
        is_about_time(source) && (self.clock)().is_wrong()
    }
}

/// The connections of one client, which can be dropped from any thread: those that went over a link that is gone are
/// dead, and nobody would tell. Clones share them.
#[derive(Clone)]
pub struct Connections(Arc<Lines>);

struct Lines {
    agent: Mutex<Agent>,
    tls: Tls,
    config: Config,
    closed: AtomicBool,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl Connections {
    /// Makes the requests from here on.
    pub fn agent(&self) -> Agent {
        self.0.agent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the request under way with an error and forgets idle connections: the next request connects anew.
    pub fn renew(&self) {
        if self.0.closed.load(Ordering::Acquire) {
            return;
        }
        let fresh = self.0.tls.agent(self.0.config.clone());
        let mut agent = self.0.agent.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *agent, fresh);
        drop(agent);
        old.shutdown();
    }

    /// Ends the request under way with an error, and every later one.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.agent().shutdown();
    }
}

fn is_about_time(error: &rustls::Error) -> bool {
    use CertificateError as E;
    matches!(
        error,
        rustls::Error::InvalidCertificate(
            E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. }
        )
    )
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let Some(path) = ca_file else {
        let roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
        return Ok(RootCertStore { roots });
    };
    let unreadable = |source| TlsError::CaFile {
        path: path.to_owned(),
        source,
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let added = store.add(certificate.map_err(unreadable)?);
        added.unwrap_or_else(|error| log::warn!("certificates {}: one is left out: {error}", path.display()));
    }
    if store.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(store)
}

/// The device's time, but never before the program was built.
#[derive(Debug)]
struct Floored(Clock);

impl TimeProvider for Floored {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch((self.0)().since_1970().max(built())))
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Encrypted>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let failed = |source| {
            let host = host.to_owned();
            ureq::Error::Other(Box::new(Handshake { host, source }))
        };
        let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']').to_owned())
            .map_err(|_| ureq::Error::BadUri(format!("no certificate can name the host {host:?}")))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name).map_err(failed)?;
        let mut socket = TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        socket.set_timeout(remaining(details));
        let mut stream = StreamOwned::new(connection, socket);
        // Greets at once, so that a certificate is refused before anything is sent.
        stream
            .conn
            .complete_io(&mut stream.sock)
            .map_err(|error| error.downcast().map_or_else(ureq::Error::from, failed))?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Encrypted { buffers, stream })))
    }
}

/// What is left of the time to connect, after TCP took its part.
fn remaining(details: &ConnectionDetails) -> NextTimeout {
    let mut timeout = details.timeout;
    if let (Budget::Exact(after), Instant::Exact(began), Instant::Exact(now)) =
        (timeout.after, details.now, (details.current_time)())
    {
        timeout.after = Budget::Exact(after.saturating_sub(now.saturating_duration_since(began)));
    }
    timeout
}

/// An encrypted connection.
pub struct Encrypted {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encrypted").field(self.stream.sock.inner()).finish()
    }
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output)?;
        self.stream.flush()?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[cfg(test)]
pub mod fixture;
#[cfg(test)]
mod tests;
