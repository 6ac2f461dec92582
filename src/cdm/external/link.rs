//! One connection to an external decryption module: questions of several threads, answers in any order. A module that
//! stalls, dies or talks nonsense ends the connection; it never starts another one.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use zeroize::Zeroizing;

use super::wire::{self, ERROR, FRAME_BYTES_MAX, Frame, HEAD_BYTES, Kind, Reader};

/// Questions that wait for an answer: the licence thread has one, decoding has one, and room.
const WAITING_MAX: usize = 8;
/// A module that does not read for this long is stuck.
const WRITE_MS_MAX: u64 = 1_000;

/// The body of an answer. Gone from memory when dropped.
pub type Body = Zeroizing<Vec<u8>>;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The connection is over.
    Dead(String),
    /// The module answered with an error.
    Error(u16, String),
}

struct Slot {
    number: u32,
    answer: Option<(u8, Body)>,
}

#[derive(Default)]
struct Waiting {
    slots: Vec<Slot>,
    last: u32,
    /// Why the connection is over.
    dead: Option<String>,
}

struct Shared {
    stream: UnixStream,
    waiting: Mutex<Waiting>,
    answered: Condvar,
}

/// A connection that greeted.
pub struct Link {
    shared: Arc<Shared>,
    writing: Mutex<()>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill(&self, reason: &str) {
        self.waiting().dead.get_or_insert_with(|| reason.to_owned());
        self.answered.notify_all();
        // It may be shut down already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Reads answers until the connection is over.
    fn read(&self) {
        let mut stream = &self.stream;
        let reason = loop {
            let (kind, number, body) = match read_frame(&mut stream) {
                Ok(frame) => frame,
                Err(error) => break error.to_string(),
            };
            let mut waiting = self.waiting();
            let slot = waiting.slots.iter_mut().find(|slot| slot.number == number);
            let Some(slot) = slot.filter(|slot| slot.answer.is_none()) else {
                break format!("it answers question {number}, which nobody asked");
            };
            slot.answer = Some((kind, body));
            drop(waiting);
            self.answered.notify_all();
        };
        self.kill(&reason);
    }
}

fn read_frame(stream: &mut impl Read) -> io::Result<(u8, u32, Body)> {
    let gone = |error: io::Error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return io::Error::other("it closed the connection");
        }
        error
    };
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(gone)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    let Some(body) = length.checked_sub(HEAD_BYTES).filter(|_| length <= FRAME_BYTES_MAX) else {
        return Err(io::Error::other(format!("it sends a frame of {length} bytes")));
    };
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).map_err(gone)?;
    let mut reader = Reader(&head);
    let kind = reader.u8().unwrap_or(ERROR);
    let number = reader.u32().unwrap_or(0);
    let mut bytes = Zeroizing::new(vec![0; body]);
    stream.read_exact(&mut bytes).map_err(gone)?;
    Ok((kind, number, bytes))
}

/// Connects without waiting: a module whose line is full is busy, and nobody stands in it.
fn dial(path: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &address)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(Duration::from_millis(WRITE_MS_MAX)))?;
    Ok(stream)
}

impl Link {
    /// Connects and greets. Gives the module's name as well.
    ///
    /// # Errors
    /// Nobody listens, or it does not speak the protocol.
    pub fn connect(path: &Path, patience: Duration) -> Result<(Self, String), String> {
        let stream = dial(path).map_err(|error| error.to_string())?;
        let shared = Arc::new(Shared {
            stream,
            waiting: Mutex::default(),
            answered: Condvar::new(),
        });
        let reading = Arc::clone(&shared);
        thread::Builder::new()
            .name("cdm".to_owned())
            .spawn(move || reading.read())
            .map_err(|error| error.to_string())?;
        let link = Self {
            shared,
            writing: Mutex::default(),
        };
        let greeting = link.ask(Kind::Hello, 8, patience, |frame| {
            wire::hello(frame);
            Some(())
        });
        let name = match greeting {
            Ok(body) => wire::read_hello(&body)?,
            Err(Failure::Dead(reason)) => return Err(reason),
            Err(Failure::Error(code, words)) => return Err(format!("it does not greet: {words} (error {code})")),
        };
        Ok((link, name))
    }

    /// Whether it may still be asked.
    pub fn is_alive(&self) -> bool {
        self.shared.waiting().dead.is_none()
    }

    /// Ends it.
    pub fn kill(&self, reason: &str) {
        self.shared.kill(reason);
    }

    /// One question and its answer. `room` bytes are what `write` is going to need.
    ///
    /// # Errors
    /// The module says no, or the connection is over, at the latest now.
    pub fn ask(
        &self,
        kind: Kind,
        room: usize,
        patience: Duration,
        write: impl FnOnce(&mut Frame) -> Option<()>,
    ) -> Result<Body, Failure> {
        let number = self.queue()?;
        let sent = self.send(kind, number, room, write);
        let answer = sent.and_then(|()| self.wait(number, patience));
        self.shared.waiting().slots.retain(|slot| slot.number != number);
        let (answered, body) = answer?;
        if answered == kind.answer() {
            return Ok(body);
        }
        match wire::read_error(&body) {
            Some((code, words)) if answered == ERROR => Err(Failure::Error(code, words)),
            Some(_) | None => Err(self.nonsense(kind)),
        }
    }

    /// What came cannot be an answer to that: the connection is of no use any more.
    pub fn nonsense(&self, kind: Kind) -> Failure {
        self.dead(&format!("its answer to {kind:?} is not one"))
    }

    fn dead(&self, reason: &str) -> Failure {
        self.shared.kill(reason);
        let first = self.shared.waiting().dead.clone();
        Failure::Dead(first.unwrap_or_else(|| reason.to_owned()))
    }

    fn queue(&self) -> Result<u32, Failure> {
        let mut waiting = self.shared.waiting();
        if let Some(reason) = &waiting.dead {
            return Err(Failure::Dead(reason.clone()));
        }
        if waiting.slots.len() >= WAITING_MAX {
            drop(waiting);
            return Err(self.dead("too many questions wait for its answers"));
        }
        waiting.last = waiting.last.wrapping_add(1);
        let number = waiting.last;
        waiting.slots.push(Slot { number, answer: None });
        Ok(number)
    }

    fn send(
        &self,
        kind: Kind,
        number: u32,
        room: usize,
        write: impl FnOnce(&mut Frame) -> Option<()>,
    ) -> Result<(), Failure> {
        let mut frame = Frame::new(kind, number, room);
        let too_long = || Failure::Error(0, "there is more of it than a frame holds".to_owned());
        write(&mut frame).ok_or_else(too_long)?;
        let bytes = frame.finish().ok_or_else(too_long)?;
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = &self.shared.stream;
        let written = stream.write_all(bytes);
        drop(writing);
        written.map_err(|error| self.dead(&format!("it does not read: {error}")))
    }

    fn wait(&self, number: u32, patience: Duration) -> Result<(u8, Body), Failure> {
        let until = Instant::now() + patience;
        let mut waiting = self.shared.waiting();
        loop {
            let slot = waiting.slots.iter_mut().find(|slot| slot.number == number);
            if let Some(answer) = slot.and_then(|slot| slot.answer.take()) {
                return Ok(answer);
            }
            if let Some(reason) = &waiting.dead {
                return Err(Failure::Dead(reason.clone()));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(waiting);
                return Err(self.dead(&format!("it does not answer in {} ms", patience.as_millis())));
            }
            let waited = self.shared.answered.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.kill("it is not needed any more");
    }
}
