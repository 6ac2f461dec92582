//! A scripted HTTP server for tests: loopback, one thread per connection, every request remembered.
//! It knows nothing of the service or of media; the script decides every byte that goes out.
#![allow(dead_code, reason = "each module that includes it uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// First byte and, where given, last byte of the `Range` header.
    pub fn range(&self) -> Option<(usize, Option<usize>)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()))
    }
}

/// What happens to the connection after an answer.
pub enum Then {
    Keep,
    Close,
}

/// Where the script writes its answer.
pub struct Wire<'a> {
    pub stream: &'a TcpStream,
    pub closing: &'a AtomicBool,
}

impl Wire<'_> {
    /// Writes raw bytes; false once the client is gone.
    pub fn raw(&self, bytes: &[u8]) -> bool {
        let mut stream = self.stream;
        stream.write_all(bytes).and_then(|()| stream.flush()).is_ok()
    }

    /// A whole answer with a length.
    pub fn answer(&self, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Then {
        let mut answer = format!("HTTP/1.1 {status} Scripted\r\n").into_bytes();
        for (name, value) in headers {
            write!(answer, "{name}: {value}\r\n").unwrap();
        }
        if status != 204 {
            write!(answer, "content-length: {}\r\n", body.len()).unwrap();
        }
        answer.extend_from_slice(b"\r\n");
        answer.extend_from_slice(body);
        if self.raw(&answer) { Then::Keep } else { Then::Close }
    }

    /// Blocks until the test is over or the client hangs up.
    pub fn hang(&self) -> Then {
        self.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut byte = [0];
        while !self.closing.load(Ordering::Acquire) {
            if let Ok(0) = self.stream.peek(&mut byte) {
                break;
            }
        }
        Then::Close
    }
}

type Script = dyn Fn(&Request, &Wire<'_>) -> Then + Send + Sync;

struct Shared {
    script: Box<Script>,
    requests: Mutex<Vec<Request>>,
    came: Condvar,
    closing: AtomicBool,
    connections: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    pub fn start(script: impl Fn(&Request, &Wire<'_>) -> Then + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: Mutex::default(),
            came: Condvar::new(),
            closing: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            streams: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                if accepting.closing.load(Ordering::Acquire) {
                    return;
                }
                accepting.streams.lock().unwrap().push(stream.try_clone().unwrap());
                let serving = Arc::clone(&accepting);
                thread::spawn(move || serve(&serving, &stream));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Waits until `count` requests came, at most ten seconds.
    pub fn wait_for_requests(&self, count: usize) -> Vec<Request> {
        let until = Instant::now() + Duration::from_secs(10);
        let mut requests = self.shared.requests.lock().unwrap();
        while requests.len() < count {
            let left = until
                .checked_duration_since(Instant::now())
                .expect("requests come in time");
            requests = self.shared.came.wait_timeout(requests, left).unwrap().0;
        }
        requests.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(shared: &Shared, stream: &TcpStream) {
    stream.set_nodelay(true).unwrap();
    let connection = shared.connections.fetch_add(1, Ordering::AcqRel);
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader, connection) {
        shared.requests.lock().unwrap().push(request.clone());
        shared.came.notify_all();
        match (shared.script)(
            &request,
            &Wire {
                stream,
                closing: &shared.closing,
            },
        ) {
            Then::Keep => {}
            Then::Close => break,
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn read_request(reader: &mut BufReader<&TcpStream>, connection: usize) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        target,
        headers,
        body,
        connection,
    })
}
