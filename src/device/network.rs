//! Whether there is a way out of this machine, told by the kernel the moment it changes.
//!
//! It listens to the kernel's route socket (netlink) and looks at links, addresses and default routes after each change.
//! It sends nothing to anybody, changes nothing, and does not know whether the way leads anywhere: only requests show that.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{Errno, write};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};
use thiserror::Error;

use super::route::{self, Found, Kind};

/// Changes come in flocks (a link, its addresses, its routes). The look waits this long for the rest of the flock.
const SETTLE: Duration = Duration::from_millis(20);
/// The kernel answers a question about its own tables at once.
const ANSWER: Duration = Duration::from_millis(200);
/// The kernel writes at most this much at once.
const BUFFER_BYTES: usize = 32 * 1024;
/// Pieces of one answer: a machine with so many links, addresses and routes is no speaker.
const PIECES_MAX: usize = 256;
/// Links, addresses and default routes that are remembered, each.
const WAYS_MAX: usize = 64;

/// What became of the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// There is none any more.
    Down,
    /// There is one again, or another one as well: worth trying at once.
    Up,
    /// There is another one in place of the old: connections over that are dead, and it is worth trying at once.
    Moved,
}

/// Why the kernel's news cannot be had.
#[derive(Debug, Error)]
#[error("watch the network interfaces: {what}: {source}; a lost link is noticed by requests that fail")]
pub struct NetworkError {
    what: &'static str,
    source: io::Error,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Network {
    leave: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    /// Begins to watch. `news` is called on a thread of its own and never blocks. How it stands now is no news.
    ///
    /// # Errors
    /// The kernel has no route socket, or permits none.
    pub fn watch(news: Arc<dyn Fn(News) + Send + Sync>) -> Result<Self, NetworkError> {
        let failed = |what| move |source: io::Error| NetworkError { what, source };
        let listen = "listen to the kernel";
        let changes = open(route::GROUPS, SocketFlags::NONBLOCK).map_err(failed(listen))?;
        // After listening began, so that no change falls between.
        let ways = Ways::look().map_err(failed("ask the kernel for its addresses"))?;
        let leave = eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| failed(listen)(error.into()))?;
        let leave = Arc::new(leave);
        let left = Arc::clone(&leave);
        let thread = thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || follow(&changes, &left, ways, &*news))
            .map_err(failed("start a thread"))?;
        Ok(Self {
            leave,
            thread: Some(thread),
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let told = write(&*self.leave, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take().filter(|_| told.is_ok()) {
            drop(thread.join());
        }
    }
}

/// A route socket that hears of `groups`.
fn open(groups: u32, flags: SocketFlags) -> io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    // Protocol 0 is the routes'.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn follow(changes: &OwnedFd, leave: &OwnedFd, mut ways: Ways, news: &(dyn Fn(News) + Send + Sync)) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match until_changed(changes, leave, &mut buffer) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                log::error!("network: the kernel's news cannot be read any more: {error}");
                return;
            }
        }
        match Ways::look() {
            Ok(fresh) => {
                if let Some(change) = ways.become_(fresh) {
                    log::info!("network: {}", words(change));
                    news(change);
                }
            }
            Err(error) => log::warn!("network: ask the kernel for its addresses: {error}"),
        }
    }
}

const fn words(news: News) -> &'static str {
    match news {
        News::Down => "there is no way out any more",
        News::Up => "there is a way out",
        News::Moved => "the way out is another one",
    }
}

/// Waits for news and for the rest of its flock, and takes all there is. What it says is looked up afterwards, so a flood
/// costs one look. False: it is time to leave.
fn until_changed(changes: &OwnedFd, leave: &OwnedFd, buffer: &mut [u8]) -> io::Result<bool> {
    let mut either = [PollFd::new(changes, PollFlags::IN), PollFd::new(leave, PollFlags::IN)];
    loop {
        match poll(&mut either, None) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let [_, left] = &either;
    if !left.revents().is_empty() {
        return Ok(false);
    }
    thread::sleep(SETTLE);
    loop {
        match recv(changes, &mut *buffer, RecvFlags::empty()) {
            // More came than there was room for: something changed.
            Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The ways out at one moment: each an address on a live link, or a default route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ways {
    addresses: Vec<Vec<u8>>,
    routes: Vec<Vec<u8>>,
}

impl Ways {
    fn look() -> io::Result<Self> {
        let socket = open(0, SocketFlags::empty())?;
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER))?;
        let mut live = Vec::new();
        let mut ways = Self::default();
        for kind in [Kind::Links, Kind::Addresses, Kind::Routes] {
            ask(&socket, kind, |found| match found {
                Found::Link { index, is_live: true } if live.len() < WAYS_MAX => live.push(index),
                Found::Address { index, bytes } if live.contains(&index) && ways.addresses.len() < WAYS_MAX => {
                    ways.addresses.push(bytes);
                }
                Found::DefaultRoute { bytes } if ways.routes.len() < WAYS_MAX => ways.routes.push(bytes),
                Found::Link { .. } | Found::Address { .. } | Found::DefaultRoute { .. } => {}
            })?;
        }
        ways.addresses.sort_unstable();
        ways.routes.sort_unstable();
        Ok(ways)
    }

    const fn are_none(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Takes the place of what was; says what that means.
    fn become_(&mut self, fresh: Self) -> Option<News> {
        let before = std::mem::replace(self, fresh);
        let is_new = |mut now: std::slice::Iter<'_, Vec<u8>>, then: &[Vec<u8>]| now.any(|way| !then.contains(way));
        let more = is_new(self.addresses.iter(), &before.addresses) || is_new(self.routes.iter(), &before.routes);
        let fewer = is_new(before.addresses.iter(), &self.addresses);
        match (before.are_none(), self.are_none()) {
            (false, true) => Some(News::Down),
            (true, false) => Some(News::Up),
            (false, false) if fewer => Some(News::Moved),
            (false, false) if more => Some(News::Up),
            (false, false) | (true, true) => None,
        }
    }
}

/// Asks for one of the kernel's tables.
fn ask(socket: &OwnedFd, kind: Kind, mut take: impl FnMut(Found)) -> io::Result<()> {
    send(socket, &route::question(kind), SendFlags::empty())?;
    let mut buffer = vec![0; BUFFER_BYTES];
    for _ in 0..PIECES_MAX {
        let (_, length) = recv(socket.as_fd(), buffer.as_mut_slice(), RecvFlags::empty())?;
        let piece = buffer.get(..length).unwrap_or_default();
        if route::read(piece, &mut take)? {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "an answer without end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(addresses: &[u8], routes: &[u8]) -> Ways {
        let all = |ways: &[u8]| ways.iter().map(|way| vec![*way]).collect();
        Ways {
            addresses: all(addresses),
            routes: all(routes),
        }
    }

    fn news(before: (&[u8], &[u8]), after: (&[u8], &[u8])) -> Option<News> {
        ways(before.0, before.1).become_(ways(after.0, after.1))
    }

    #[test]
    fn the_last_way_that_goes_is_a_lost_link_and_the_first_that_comes_a_found_one() {
        assert_eq!(news((&[1], &[1]), (&[], &[1])), Some(News::Down));
        assert_eq!(news((&[], &[]), (&[1], &[])), Some(News::Up));
        assert_eq!(
            news((&[], &[]), (&[], &[1])),
            None,
            "a route without an address leads nowhere"
        );
    }

    #[test]
    fn an_address_or_route_more_is_worth_a_try() {
        assert_eq!(news((&[1], &[]), (&[1], &[7])), Some(News::Up));
        assert_eq!(news((&[1], &[7]), (&[1, 2], &[7])), Some(News::Up));
        assert_eq!(news((&[1], &[7]), (&[1], &[7])), None);
        assert_eq!(
            news((&[1], &[7]), (&[1], &[])),
            None,
            "connections in the same network live on"
        );
    }

    #[test]
    fn an_address_that_goes_takes_its_connections_with_it() {
        assert_eq!(news((&[1], &[7]), (&[2], &[7])), Some(News::Moved));
        assert_eq!(news((&[1, 2], &[7]), (&[2], &[7])), Some(News::Moved));
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let first = Ways::look().unwrap();
        assert_eq!(Ways::look().unwrap(), first);
    }
}
