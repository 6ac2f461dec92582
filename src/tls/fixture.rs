//! A TLS server on loopback and certificates with chosen dates and names, for tests.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::NamedTempFile;

use super::{Clock, Tls, Wall, built};

/// Mozilla's authorities and a clock that is right, for tests that speak plain HTTP.
pub fn believing() -> Tls {
    Tls::new(None, set).unwrap()
}

/// A clock that the network has set, whatever the clock of the machine that tests.
pub fn set() -> Wall {
    Wall::Believed(built() + Duration::from_secs(86_400))
}

/// The clock of a board that has just been plugged in.
pub fn plugged_in() -> Wall {
    Wall::Doubtful(Duration::from_secs(3))
}

/// When a server's certificate is valid.
#[derive(Clone, Copy)]
pub enum Valid {
    /// At any time a test may run.
    Always,
    /// Until the end of 2019.
    Formerly,
    /// From 2200 on.
    OneDay,
}

/// Says `[]` to every request; counts connections.
pub struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    authority: NamedTempFile,
}

impl Server {
    /// A server whose certificate names `host`.
    pub fn start(host: &str, valid: Valid) -> Self {
        let (config, authority) = certified(host, valid);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::AcqRel);
                let config = Arc::clone(&config);
                thread::spawn(move || serve(&config, stream));
            }
        });
        Self {
            address,
            connections,
            authority,
        }
    }

    /// Trusts the server's authority, at the time of `clock`.
    pub fn trusted(&self, clock: Clock) -> Tls {
        Tls::new(Some(self.authority.path()), clock).unwrap()
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

/// A server's certificate, and a PEM file with the authority that signed it.
fn certified(host: &str, valid: Valid) -> (Arc<ServerConfig>, NamedTempFile) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let (first, last) = match valid {
        Valid::Always => (2020, 2300),
        Valid::Formerly => (2010, 2020),
        Valid::OneDay => (2200, 2300),
    };
    params.not_before = date_time_ymd(first, 1, 1);
    params.not_after = date_time_ymd(last, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(authority.pem().as_bytes()).unwrap();
    (Arc::new(config), file)
}

/// Answers until the other end hangs up.
fn serve(config: &Arc<ServerConfig>, stream: TcpStream) {
    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line == "\r\n" {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";
            let stream = reader.get_mut();
            if stream.write_all(answer).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
        line.clear();
    }
}
