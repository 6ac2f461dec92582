//! A name server: says one address for every name, or nothing at all. It knows no other record and no other machine.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A query's head: identity, flags, four counts.
const HEAD_BYTES: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];

/// How often it looks whether it is still needed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The server. It listens until it is dropped.
pub struct Names {
    is_silent: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Names {
    /// Listens at `address`, which it also answers with.
    pub fn serve(address: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((address, 53)).unwrap();
        socket.set_read_timeout(Some(LOOK_EVERY)).unwrap();
        let (is_silent, is_over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (hushed, over) = (Arc::clone(&is_silent), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let mut query = [0; 512];
            while !over.load(Ordering::Acquire) {
                let Ok((length, from)) = socket.recv_from(&mut query) else {
                    continue;
                };
                let reply = reply(&query[..length], address).filter(|_| !hushed.load(Ordering::Acquire));
                if let Some(reply) = reply {
                    drop(socket.send_to(&reply, from));
                }
            }
        });
        Self {
            is_silent,
            is_over,
            thread: Some(thread),
        }
    }

    /// From now on it answers nothing, or does again.
    pub fn be_silent(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::Release);
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// The answer to a query of one question: the address, or for other types of record that there is none.
fn reply(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let (identity, question) = (query.get(..2)?, query.get(HEAD_BYTES..)?);
    let end = question.iter().position(|byte| *byte == 0)? + 5;
    let question = question.get(..end)?;
    let is_address = question.get(end - 4..end - 2)? == TYPE_A;
    let mut reply = identity.to_vec();
    // An answer, recursion was wanted and is to be had; one question, one record or none.
    reply.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    reply.extend(question);
    if is_address {
        // The name of the question, type A, class IN, good for no time: nobody remembers it.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}
