//! A page with a speaker behind it that plays along, for the tests of the page over real HTTP.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tonearm_core::entry::Denial;
use tonearm_core::refusal::Refusal;

use super::*;

/// A page with a speaker behind it that plays along until it is dropped.
pub struct Speaker {
    pub address: SocketAddr,
    pub status: watch::Sender<Arc<Status>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Vec<String>>>,
}

/// Skips are used up; everything else is followed.
fn answer(ask: Ask, status: &watch::Receiver<Arc<Status>>) -> Option<String> {
    let noted = format!("{ask:?}");
    let noted = noted.split(", reply").next().unwrap().to_owned();
    match ask {
        Ask::Press {
            button: Button::Next,
            reply,
        } => {
            reply.send(Err(Refusal::Denied(Denial::NoMoreSkips).into())).unwrap();
        }
        Ask::Press {
            button: Button::Shuffle,
            reply,
        } => drop(reply),
        Ask::Account {
            wish: AccountWish::Link,
            reply,
        } => {
            let text = "an account is linked already".to_owned();
            let error = "already_linked";
            reply.send(Err(Reason { error, text })).unwrap();
        }
        Ask::Press { reply, .. }
        | Ask::Seek { reply, .. }
        | Ask::Play { reply, .. }
        | Ask::Enqueue { reply, .. }
        | Ask::Account { reply, .. } => reply.send(Ok(())).unwrap(),
        Ask::Queue { reply } => {
            let answer = match status.borrow().state {
                State::Stopped => Err(Refusal::NothingPlaying.into()),
                State::Playing | State::Paused | State::Buffering => Ok(queue()),
            };
            reply.send(answer).unwrap();
            return None;
        }
        Ask::Status { reply } => {
            reply.send(Status::clone(&status.borrow())).unwrap();
            return None;
        }
        Ask::Follow { reply } => {
            reply.send(status.clone()).unwrap();
            return None;
        }
        Ask::Metrics { reply } => {
            reply.send("tonearm_xruns_total 0\n".into()).unwrap();
            return None;
        }
    }
    Some(noted)
}

pub fn queue() -> Queue {
    let entry = Queued {
        title: "Blue".into(),
        artist: "Somebody".into(),
        kind: "track".into(),
        duration_ms: Some(200_000),
    };
    Queue {
        entries: vec![entry],
        current: Some(0),
        before: 2,
        after: 7,
    }
}

pub fn speaker() -> Speaker {
    let (status, seen) = watch::channel(Arc::new(Status::default()));
    let (stop, stopped) = oneshot::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let (asks, mut asked) = mpsc::channel(16);
            let settings = Settings {
                hostname: "tonearm".into(),
            };
            let mut noted = Vec::new();
            let page = serve(listener, settings, asks);
            tokio::pin!(page, stopped);
            loop {
                tokio::select! {
                    () = &mut page => unreachable!("the page ends only when it is dropped"),
                    Some(ask) = asked.recv() => noted.extend(answer(ask, &seen)),
                    _ = &mut stopped => return noted,
                }
            }
        })
    });
    Speaker {
        address: told.recv().unwrap(),
        status,
        stop: Some(stop),
        thread: Some(thread),
    }
}

impl Speaker {
    pub fn client(&self) -> Client {
        Client::local(self.address)
    }

    /// Stops; says what was asked.
    pub fn asked(mut self) -> Vec<String> {
        let _ = self.stop.take().unwrap().send(());
        self.thread.take().unwrap().join().unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Status line and body of the answer to a request written as it is.
    pub fn raw(&self, head: &str, body: &str) -> (u16, Value) {
        let mut stream = self.connect();
        let length = body.len();
        write!(
            stream,
            "{head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    pub fn follow(&self) -> BufReader<TcpStream> {
        let mut stream = self.connect();
        stream
            .write_all(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .unwrap();
        BufReader::new(stream)
    }
}
