//! A decryption module as its own process: Clear Key over the protocol of docs/cdm.md. It shows an integrator where a
//! licensed module goes, and the speaker's tests talk to it. It protects nothing: keys of Clear Key are no secret. It uses
//! nothing of the speaker, so that it proves what the document says.
//!
//! `cargo run --example cdm_module -- /run/user/1000/cdm.socket`
#![allow(
    dead_code,
    unused_qualifications,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "an example; the speaker survives it when it fails"
)]

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use aes::Aes128;
use aes::cipher::BlockCipherDecrypt;
use aes::cipher::KeyInit;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ctr::cipher::{KeyIvInit, StreamCipher};
use serde_json::{Value, json};

const VERSION: u16 = 1;
const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
const UNSAID: u64 = u64::MAX;

/// What goes wrong, for tests.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    /// At this sample, from 1, ...
    pub at_sample: u32,
    /// ... `die`, `stall`, `garble` (an answer that is none), `shorten` (too few bytes), `unknown` (another question's
    /// answer), `huge` (a frame longer than any may be), `forget` (the key). Or at once: `deaf` (no greeting), `future`
    /// (a later version), `slow` (300 ms for each licence).
    pub what: String,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(socket) = arguments.next() else {
        eprintln!("usage: cdm_module SOCKET [FAULT] [SAMPLE]");
        std::process::exit(2);
    };
    let fault = Fault {
        what: arguments.next().unwrap_or_default(),
        at_sample: arguments.next().map_or(0, |sample| sample.parse().expect("a number")),
    };
    serve(Path::new(&socket), &fault).expect("serve the socket");
}

/// Serves a socket, each connection on a thread of its own.
///
/// # Errors
/// The socket cannot be made or served.
pub fn serve(socket: &Path, fault: &Fault) -> io::Result<()> {
    // A socket that an earlier run left behind.
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    let samples: &'static AtomicU32 = Box::leak(Box::default());
    for stream in listener.incoming() {
        let (stream, fault) = (stream?, fault.clone());
        thread::spawn(move || {
            let module = Module {
                sessions: HashMap::new(),
                last: 0,
                fault,
                samples,
            };
            module.talk(stream)
        });
    }
    Ok(())
}

type Key = [u8; 16];

struct Module {
    sessions: HashMap<u32, Session>,
    last: u32,
    fault: Fault,
    samples: &'static AtomicU32,
}

#[derive(Default)]
struct Session {
    wanted: Vec<Key>,
    keys: HashMap<Key, Key>,
}

/// Error code and words.
type Refusal = (u16, &'static str);
const MALFORMED: Refusal = (1, "a question that cannot be read");
const NO_SESSION: Refusal = (2, "no such session");
const NO_KEY: Refusal = (3, "no such key");
const NO_LICENCE: Refusal = (4, "this is no licence of Clear Key");

impl Module {
    fn talk(mut self, mut stream: UnixStream) -> io::Result<()> {
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length) as usize;
            if !(5..=FRAME_BYTES_MAX).contains(&length) {
                return Err(io::Error::other("a frame that is too short or too long"));
            }
            let mut frame = vec![0; length];
            stream.read_exact(&mut frame)?;
            let (kind, number) = (frame[0], &frame[1..5]);
            let answer = match kind {
                1 => self.hello(&frame[5..]),
                2 => self.open(&frame[5..]),
                3 => self.renew(&frame[5..]),
                4 => self.update(&frame[5..]),
                5 => self.close(&frame[5..]),
                6 => self.decrypt(&frame[5..]),
                _ => Err((1, "a question of no kind that is known")),
            };
            let (kind, body) = match answer {
                Ok(body) => (kind | 0x80, body),
                Err((code, words)) => (0xff, [&code.to_be_bytes(), words.as_bytes()].concat()),
            };
            let is_sample = frame[0] == 6 && self.samples.load(Ordering::Relaxed) == self.fault.at_sample;
            let number = match self.fault.what.as_str() {
                "unknown" if is_sample => [9, 9, 9, 9],
                _ => number.try_into().unwrap(),
            };
            let length = match self.fault.what.as_str() {
                "huge" if is_sample => u32::MAX,
                _ => u32::try_from(body.len() + 5).unwrap(),
            };
            stream.write_all(&[length.to_be_bytes().as_slice(), &[kind], &number, &body].concat())?;
        }
    }

    fn hello(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (magic, rest) = body.split_first_chunk::<4>().ok_or(MALFORMED)?;
        let (first, rest) = rest.split_first_chunk().ok_or(MALFORMED)?;
        let (last, _) = rest.split_first_chunk().ok_or(MALFORMED)?;
        if magic != b"TCDM" || !(u16::from_be_bytes(*first)..=u16::from_be_bytes(*last)).contains(&VERSION) {
            return Err((7, "no version in common"));
        }
        let version = match self.fault.what.as_str() {
            "deaf" => loop {
                thread::park();
            },
            "future" => 99,
            _ => VERSION,
        };
        Ok([b"TCDM".as_slice(), &version.to_be_bytes(), b"Clear Key, a reference"].concat())
    }

    fn open(&mut self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut at = body.get(1..).ok_or(MALFORMED)?;
        let system = usize::from(*at.first().ok_or(MALFORMED)?);
        at = at.get(1 + system..).ok_or(MALFORMED)?;
        let count = usize::from(*at.first().ok_or(MALFORMED)?);
        let keys = at.get(1..1 + 16 * count).ok_or(MALFORMED)?;
        let wanted: Vec<Key> = keys.as_chunks().0.to_vec();
        self.last += 1;
        let kids: Vec<_> = wanted.iter().map(|key| URL_SAFE_NO_PAD.encode(key)).collect();
        let session = Session {
            wanted,
            keys: HashMap::new(),
        };
        self.sessions.insert(self.last, session);
        let challenge = json!({"kids": kids, "type": "temporary"}).to_string();
        Ok([&self.last.to_be_bytes(), challenge.as_bytes()].concat())
    }

    fn renew(&mut self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let session = self.session(body)?.0;
        let kids: Vec<_> = session.wanted.iter().map(|key| URL_SAFE_NO_PAD.encode(key)).collect();
        Ok(json!({"kids": kids, "type": "temporary", "renewal": true})
            .to_string()
            .into_bytes())
    }

    fn update(&mut self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        if self.fault.what == "slow" {
            thread::sleep(Duration::from_millis(300));
        }
        let (session, licence) = self.session(body)?;
        let licence: Value = serde_json::from_slice(licence).map_err(|_| NO_LICENCE)?;
        let bytes = |value: &Value| URL_SAFE_NO_PAD.decode(value.as_str()?).ok()?.try_into().ok();
        for key in licence["keys"].as_array().ok_or(NO_LICENCE)? {
            let id: Key = bytes(&key["kid"]).ok_or(NO_LICENCE)?;
            session.keys.insert(id, bytes(&key["k"]).ok_or(NO_LICENCE)?);
        }
        // Clear Key has no times; these two are this module's own, so that renewals can be tried.
        let lifetime = licence["lifetime_ms"].as_u64().unwrap_or(UNSAID);
        let renew_in = licence["renew_in_ms"].as_u64().unwrap_or(UNSAID);
        let count = u16::try_from(session.keys.len()).unwrap();
        let mut answer = [lifetime.to_be_bytes(), renew_in.to_be_bytes()].concat();
        answer.extend(count.to_be_bytes());
        for id in session.keys.keys() {
            answer.extend(id);
            answer.push(0);
        }
        Ok(answer)
    }

    fn close(&mut self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let number = body.try_into().map(u32::from_be_bytes).map_err(|_| MALFORMED)?;
        self.sessions.remove(&number).map(|_| Vec::new()).ok_or(NO_SESSION)
    }

    fn decrypt(&mut self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        if self.samples.fetch_add(1, Ordering::Relaxed) + 1 == self.fault.at_sample {
            match self.fault.what.as_str() {
                "die" => std::process::exit(3),
                "stall" => loop {
                    thread::park();
                },
                "garble" => return Err((0xffff, "")).or(Ok(Vec::new())),
                "shorten" => return Ok(vec![0; 3]),
                "forget" => return Err(NO_KEY),
                _ => {}
            }
        }
        let (session, body) = self.session(body)?;
        let (id, body) = body.split_first_chunk::<16>().ok_or(MALFORMED)?;
        let key = *session.keys.get(id).ok_or(NO_KEY)?;
        let (&[scheme], body) = body.split_first_chunk().ok_or(MALFORMED)?;
        let (iv, body) = body.split_first_chunk::<16>().ok_or(MALFORMED)?;
        let (&[crypt, skip], body) = body.split_first_chunk().ok_or(MALFORMED)?;
        let (count, body) = body.split_first_chunk().ok_or(MALFORMED)?;
        let count = usize::from(u16::from_be_bytes(*count));
        let stretches = body.get(..8 * count).ok_or(MALFORMED)?;
        let mut sample = body[8 * count..].to_vec();
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap()) as usize;
        let mut stretches: Vec<_> = stretches
            .chunks(8)
            .map(|stretch| (number(&stretch[..4]), number(&stretch[4..])))
            .collect();
        if stretches.is_empty() {
            stretches.push((0, sample.len()));
        }
        if stretches
            .iter()
            .map(|(clear, encrypted)| clear + encrypted)
            .sum::<usize>()
            != sample.len()
        {
            return Err((5, "the stretches do not fit the sample"));
        }
        let mut stream = ctr::Ctr64BE::<Aes128>::new(&key.into(), iv.into());
        let mut at = 0;
        for (clear, encrypted) in stretches {
            let stretch = &mut sample[at + clear..at + clear + encrypted];
            match scheme {
                1 => stream.apply_keystream(stretch),
                2 => chained(&key, *iv, crypt, skip, stretch),
                _ => return Err((5, "a scheme that is not known")),
            }
            at += clear + encrypted;
        }
        Ok(sample)
    }

    fn session<'a>(&mut self, body: &'a [u8]) -> Result<(&mut Session, &'a [u8]), Refusal> {
        let (number, rest) = body.split_first_chunk().ok_or(MALFORMED)?;
        let session = self.sessions.get_mut(&u32::from_be_bytes(*number)).ok_or(NO_SESSION)?;
        Ok((session, rest))
    }
}

/// `cbcs`: blocks of a pattern, chained; what is behind the last whole block is in the clear.
fn chained(key: &Key, mut before: [u8; 16], crypt: u8, skip: u8, stretch: &mut [u8]) {
    let cipher = Aes128::new(key.into());
    let period = usize::from(crypt) + usize::from(skip);
    for (number, block) in stretch.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        if skip > 0 && number % period >= usize::from(crypt) {
            continue;
        }
        let encrypted = *block;
        cipher.decrypt_block(block.into());
        block.iter_mut().zip(before).for_each(|(byte, mask)| *byte ^= mask);
        before = encrypted;
    }
}
