//! One thread that waits for all contacts that are file descriptors, and passes each edge on at once.
//!
//! What is not there yet is looked for again, what goes away counts as released. It never debounces, counts or times
//! a press: that is the core's business. While nothing happens it sleeps without a timer, unless something is missing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tonearm_core::id::ButtonId;
use tonearm_core::input::Contact;
use tonearm_core::limits::BUTTONS_MAX;

use super::buttons::News;

/// How often something that is missing is looked for. Rare enough to cost nothing, soon enough after a driver loads.
const RETRY: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// Edges of one contact that are read in one go, so that a line full of noise cannot starve the others.
pub const EDGES_AT_ONCE_MAX: usize = 64;

/// Something open that reports edges.
pub trait Source: Send {
    /// Which one, in the words of its finder.
    fn name(&self) -> &str;
    /// Readable when there are edges.
    fn fd(&self) -> BorrowedFd<'_>;
    /// Passes on the edges that are there, at most [`EDGES_AT_ONCE_MAX`], without waiting.
    ///
    /// # Errors
    /// It is gone, and is closed.
    fn read(&mut self, edge: &mut dyn FnMut(ButtonId, Contact)) -> io::Result<()>;
}

/// Knows which sources there should be.
pub trait Finder: Send {
    /// Opens what is there now and is not among `open` (names). Says once why something is missing.
    fn find(&mut self, open: &[&str]) -> Vec<Box<dyn Source>>;
    /// Readable when it is worth looking at once; [`Self::find`] makes it unreadable.
    fn hint(&self) -> Option<BorrowedFd<'_>>;
    /// Whether looking again may find something without a hint. `open` as in [`Self::find`].
    fn is_missing_something(&self, open: &[&str]) -> bool;
}

/// The thread, until it is dropped.
pub struct Edges {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Edges {
    /// Starts to look for the sources of `finders` and to report their edges.
    ///
    /// # Errors
    /// The system has no descriptor or thread left.
    pub fn start(finders: Vec<Box<dyn Finder>>, news: News) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let watch = Watch {
            stop: Arc::clone(&stop),
            finders,
            open: Vec::new(),
            told: 0,
            news,
        };
        let thread = thread::Builder::new()
            .name("buttons".to_owned())
            .spawn(move || watch.run())?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Edges {
    fn drop(&mut self) {
        // It cannot fail: the counter is far from full. If it did, waiting for the thread would never end.
        let told = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let (Ok(_), Some(thread)) = (told, self.thread.take()) {
            thread.join().ok();
        }
    }
}

/// One bit for each button.
type Pressed = u32;

const _: () = assert!(BUTTONS_MAX <= Pressed::BITS as usize, "a bit for each button");

struct Watch {
    stop: Arc<OwnedFd>,
    finders: Vec<Box<dyn Finder>>,
    open: Vec<Opened>,
    /// What has been reported: a button that two keyboards have is pressed while either is.
    told: Pressed,
    news: News,
}

struct Opened {
    source: Box<dyn Source>,
    pressed: Pressed,
}

/// What a wait ended with.
struct Woken {
    stop: bool,
    look: bool,
    /// Places in [`Watch::open`], and whether there is something to be read.
    ready: Vec<(usize, Readiness)>,
}

/// What a descriptor woke the thread for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// There is something to be read.
    Readable,
    /// Only an error: reading could block for ever on older kernels.
    Broken,
}

impl Watch {
    fn run(mut self) {
        let mut look = true;
        loop {
            if look {
                self.look();
            }
            match self.wait() {
                Ok(Woken { stop: true, .. }) => return,
                Ok(woken) => {
                    look = woken.look;
                    self.read(&woken.ready);
                }
                Err(error) => {
                    log::error!("wait for buttons: {error}; they are dead until a restart");
                    return;
                }
            }
        }
    }

    fn look(&mut self) {
        for finder in &mut self.finders {
            let names: Vec<_> = self.open.iter().map(|open| open.source.name()).collect();
            let found = finder.find(&names);
            self.open
                .extend(found.into_iter().map(|source| Opened { source, pressed: 0 }));
        }
    }

    fn wait(&self) -> io::Result<Woken> {
        let names: Vec<_> = self.open.iter().map(|open| open.source.name()).collect();
        let missing = self.finders.iter().any(|finder| finder.is_missing_something(&names));
        let hints = self.finders.iter().filter_map(|finder| finder.hint());
        let sources = self.open.iter().map(|open| open.source.fd());
        let fds = std::iter::once(self.stop.as_fd()).chain(hints).chain(sources);
        let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let count = loop {
            match poll(&mut fds, missing.then_some(&RETRY)) {
                Err(rustix::io::Errno::INTR) => {}
                result => break result?,
            }
        };
        let readiness = |fd: &PollFd| {
            let woken_for = fd.revents();
            let readable = woken_for.contains(PollFlags::IN);
            (!woken_for.is_empty()).then_some(if readable {
                Readiness::Readable
            } else {
                Readiness::Broken
            })
        };
        let ready: Vec<_> = fds.iter().map(readiness).collect();
        let (others, sources) = ready.split_at(ready.len() - self.open.len());
        let sources = sources.iter().enumerate();
        Ok(Woken {
            stop: others.first().is_some_and(Option::is_some),
            look: count == 0 || others.iter().any(Option::is_some),
            ready: sources.filter_map(|(index, ready)| Some((index, (*ready)?))).collect(),
        })
    }

    fn read(&mut self, ready: &[(usize, Readiness)]) {
        let mut gone = Vec::new();
        for &(index, readiness) in ready {
            let others = self.open.iter().enumerate().filter(|(other, _)| *other != index);
            let others = others.fold(0, |pressed, (_, open)| pressed | open.pressed);
            let Some(open) = self.open.get_mut(index) else { continue };
            let Opened { source, pressed } = open;
            let (told, news) = (&mut self.told, &self.news);
            let mut edge = |button, contact| {
                let bit = bit_of(button);
                match contact {
                    Contact::Closed => *pressed |= bit,
                    Contact::Open => *pressed &= !bit,
                }
                tell(told, others | *pressed, news);
            };
            let result = match readiness {
                Readiness::Readable => source.read(&mut edge),
                Readiness::Broken => Err(rustix::io::Errno::NODEV.into()),
            };
            if let Err(error) = result {
                log::warn!("{} is gone: {error}; it is looked for again", open.source.name());
                gone.push(index);
            }
        }
        for index in gone.into_iter().rev() {
            self.open.remove(index);
        }
        let pressed = self.open.iter().fold(0, |pressed, open| pressed | open.pressed);
        tell(&mut self.told, pressed, &self.news);
    }
}

fn bit_of(button: ButtonId) -> Pressed {
    1_u32.checked_shl(button.0.into()).unwrap_or(0)
}

/// Reports each button whose contact differs from what was told.
fn tell(told: &mut Pressed, pressed: Pressed, news: &News) {
    let changed = *told ^ pressed;
    *told = pressed;
    for button in (0..).take(BUTTONS_MAX).map(ButtonId) {
        if changed & bit_of(button) != 0 {
            let contact = if pressed & bit_of(button) == 0 {
                Contact::Open
            } else {
                Contact::Closed
            };
            news(button, contact);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::time::Duration;

    use super::*;

    /// A source made of a socket: a capital letter closes the contact of that button, a small one opens it.
    struct Wire(String, UnixStream);

    impl Source for Wire {
        fn name(&self) -> &str {
            &self.0
        }

        fn fd(&self) -> BorrowedFd<'_> {
            self.1.as_fd()
        }

        fn read(&mut self, edge: &mut dyn FnMut(ButtonId, Contact)) -> io::Result<()> {
            let mut letters = [0; 16];
            let count = self.1.read(&mut letters)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for letter in letters.iter().take(count) {
                let contact = if letter.is_ascii_uppercase() {
                    Contact::Closed
                } else {
                    Contact::Open
                };
                edge(ButtonId(letter.to_ascii_uppercase() - b'A'), contact);
            }
            Ok(())
        }
    }

    /// Sources arrive over a channel; a byte on the hint socket says that there is one.
    struct Shelf(Receiver<Wire>, UnixStream);

    impl Finder for Shelf {
        fn find(&mut self, _open: &[&str]) -> Vec<Box<dyn Source>> {
            let mut bytes = [0; 16];
            while self.1.read(&mut bytes).is_ok_and(|count| count > 0) {}
            self.0
                .try_iter()
                .map(|wire| Box::new(wire) as Box<dyn Source>)
                .collect()
        }

        fn hint(&self) -> Option<BorrowedFd<'_>> {
            Some(self.1.as_fd())
        }

        fn is_missing_something(&self, _open: &[&str]) -> bool {
            false
        }
    }

    struct Bench {
        edges: Edges,
        news: Receiver<(u8, Contact)>,
        plug: Box<dyn Fn(&str) -> UnixStream>,
    }

    fn bench() -> Bench {
        let (shelve, shelf) = sync_channel(8);
        let (hint, hinted) = UnixStream::pair().unwrap();
        hinted.set_nonblocking(true).unwrap();
        let (tell, news) = sync_channel(64);
        let callback: News = Arc::new(move |button, contact| tell.try_send((button.0, contact)).unwrap());
        let edges = Edges::start(vec![Box::new(Shelf(shelf, hinted))], callback).unwrap();
        let plug = move |name: &str| {
            let (far, near) = UnixStream::pair().unwrap();
            shelve.send(Wire(name.to_owned(), near)).unwrap();
            (&hint).write_all(b"!").unwrap();
            far
        };
        Bench {
            edges,
            news,
            plug: Box::new(plug),
        }
    }

    impl Bench {
        #[track_caller]
        fn expect(&self, button: u8, contact: Contact) {
            let found = self.news.recv_timeout(Duration::from_secs(5)).unwrap();
            assert_eq!(found, (button, contact));
        }
    }

    #[test]
    fn edges_are_passed_on_in_their_order() {
        let bench = bench();
        let mut wire = (bench.plug)("a");
        wire.write_all(b"AaBb").unwrap();
        for (button, contact) in [
            (0, Contact::Closed),
            (0, Contact::Open),
            (1, Contact::Closed),
            (1, Contact::Open),
        ] {
            bench.expect(button, contact);
        }
    }

    #[test]
    fn a_contact_that_goes_away_while_pressed_is_released() {
        let bench = bench();
        let mut wire = (bench.plug)("a");
        wire.write_all(b"C").unwrap();
        bench.expect(2, Contact::Closed);
        drop(wire);
        bench.expect(2, Contact::Open);
    }

    #[test]
    fn a_source_that_comes_later_is_read_too() {
        let bench = bench();
        drop((bench.plug)("a"));
        (bench.plug)("b").write_all(b"D").unwrap();
        bench.expect(3, Contact::Closed);
    }

    #[test]
    fn a_button_that_two_sources_have_is_pressed_while_either_is() {
        let bench = bench();
        let (mut first, mut second) = ((bench.plug)("a"), (bench.plug)("b"));
        first.write_all(b"A").unwrap();
        bench.expect(0, Contact::Closed);
        // The second source's own edges of this button change nothing; the marker B shows that they were read.
        second.write_all(b"AaB").unwrap();
        bench.expect(1, Contact::Closed);
        first.write_all(b"a").unwrap();
        bench.expect(0, Contact::Open);
    }

    #[test]
    fn a_repeated_edge_is_reported_once() {
        let bench = bench();
        let mut wire = (bench.plug)("a");
        wire.write_all(b"AAaaB").unwrap();
        for (button, contact) in [(0, Contact::Closed), (0, Contact::Open), (1, Contact::Closed)] {
            bench.expect(button, contact);
        }
    }

    #[test]
    fn dropping_it_ends_the_thread() {
        let Bench { edges, news, plug } = bench();
        let _wire = plug("a");
        drop(edges);
        // The callback lived in the thread: with it, the sending half of the channel is gone.
        assert!(news.recv().is_err());
    }
}
