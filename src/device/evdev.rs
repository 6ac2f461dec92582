//! Keys of input devices: keyboards, remote controls, `gpio-key` overlays. Any device that has the key will do, now or
//! when it is plugged in. The kernel's auto-repeat is left out, and no device is taken away from others.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use evdev::{Device, EventSummary, KeyCode};
use rustix::fs::{Mode, OFlags, inotify};
use rustix::io::Errno;
use tonearm_core::id::ButtonId;
use tonearm_core::input::Contact;

use super::edges::{Finder, Source};

/// Where the kernel's input devices are.
pub const FOLDER: &str = "/dev/input";
/// Input devices that are looked at. A board has a handful; a folder with more is none of ours.
const DEVICES_MAX: usize = 64;

/// Looks for devices that have one of the board's keys.
pub struct Keys {
    wanted: Vec<(ButtonId, KeyCode)>,
    folder: PathBuf,
    /// Readable when something in the folder appears or gets other permissions; `None`: the folder is not there.
    changes: Option<OwnedFd>,
    /// What was logged, so that each is logged once.
    told: BTreeSet<String>,
}

impl Keys {
    /// The keys of the `wanted` buttons, on the devices of `folder`.
    pub fn of(wanted: Vec<(ButtonId, KeyCode)>, folder: &Path) -> Self {
        Self {
            wanted,
            folder: folder.to_owned(),
            changes: None,
            told: BTreeSet::new(),
        }
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    fn tell_once(&mut self, text: String) {
        if !self.told.contains(&text) {
            log::warn!("{text}");
            self.told.insert(text);
        }
    }

    /// Watches the folder, and forgets the changes so far: what is there is looked at right after.
    fn watch_folder(&mut self) {
        if let Some(changes) = &self.changes {
            let mut bytes = [0u8; 4096];
            while rustix::io::read(changes, &mut bytes).is_ok_and(|count| count > 0) {}
            return;
        }
        match watched(&self.folder) {
            Ok(changes) => self.changes = Some(changes),
            Err(error) => {
                let folder = self.folder.display();
                self.tell_once(format!(
                    "watch {folder}: {error}; no input device yet. It is tried again."
                ));
            }
        }
    }
}

fn watched(folder: &Path) -> rustix::io::Result<OwnedFd> {
    let changes = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let flags = inotify::WatchFlags::CREATE | inotify::WatchFlags::ATTRIB | inotify::WatchFlags::ONLYDIR;
    inotify::add_watch(&changes, folder, flags)?;
    Ok(changes)
}

/// The event devices of `folder`, in a steady order.
pub fn devices(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let is_event = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"event"))
    };
    let mut paths: Vec<_> = entries.filter(is_event).take(DEVICES_MAX).collect();
    paths.sort_unstable();
    paths
}

/// Opens a device for reading only, so that a keyboard that may not be written to will do.
pub fn open(path: &Path) -> io::Result<Device> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    Device::from_fd(file)
}

impl Finder for Keys {
    fn find(&mut self, open_names: &[&str]) -> Vec<Box<dyn Source>> {
        self.watch_folder();
        let mut found: Vec<Box<dyn Source>> = Vec::new();
        for path in devices(&self.folder) {
            let name = path.display().to_string();
            if open_names.contains(&name.as_str()) {
                continue;
            }
            match open(&path) {
                Ok(device) => {
                    let has = |key: KeyCode| device.supported_keys().is_some_and(|keys| keys.contains(key));
                    let keys: Vec<_> = self.wanted.iter().copied().filter(|(_, key)| has(*key)).collect();
                    if !keys.is_empty() {
                        let label = device.name().unwrap_or("no name").to_owned();
                        log::info!("{name} ({label}): {} of the board's keys are watched", keys.len());
                        found.push(Box::new(Keyboard { name, device, keys }));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.tell_once(format!("open {name}: {error}; add the user to the group \"input\""));
                }
                Err(error) => self.tell_once(format!("open {name}: {error}")),
            }
        }
        found
    }

    fn hint(&self) -> Option<BorrowedFd<'_>> {
        self.changes.as_ref().map(OwnedFd::as_fd)
    }

    fn is_missing_something(&self, _open_names: &[&str]) -> bool {
        self.changes.is_none()
    }
}

struct Keyboard {
    name: String,
    device: Device,
    keys: Vec<(ButtonId, KeyCode)>,
}

impl Source for Keyboard {
    fn name(&self) -> &str {
        &self.name
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }

    fn read(&mut self, edge: &mut dyn FnMut(ButtonId, Contact)) -> io::Result<()> {
        let events = match self.device.fetch_events() {
            Ok(events) => events,
            Err(error) if error.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) => return Ok(()),
            Err(error) => return Err(error),
        };
        // One fetch is at most one buffer of the crate (32 events); leaving some of them unread would hide them from poll.
        for event in events {
            let EventSummary::Key(_, key, value) = event.destructure() else {
                continue;
            };
            let button = self.keys.iter().find(|(_, wanted)| *wanted == key);
            if let (Some(contact), Some((button, _))) = (contact_of(value), button) {
                edge(*button, contact);
            }
        }
        Ok(())
    }
}

/// The kernel's word for a key: 0 released, 1 pressed, 2 repeated because it is held.
fn contact_of(value: i32) -> Option<Contact> {
    match value {
        0 => Some(Contact::Open),
        1 => Some(Contact::Closed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    fn keys_in(folder: &Path) -> Keys {
        Keys::of(vec![(ButtonId(0), KeyCode::KEY_NEXTSONG)], folder)
    }

    #[test]
    fn auto_repeat_is_no_edge() {
        assert_eq!(contact_of(1), Some(Contact::Closed));
        assert_eq!(contact_of(0), Some(Contact::Open));
        assert_eq!(contact_of(2), None);
    }

    #[test]
    fn a_file_that_is_no_input_device_is_survived() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("event0"), "not a device").unwrap();
        let mut keys = keys_in(folder.path());
        assert!(keys.find(&[]).is_empty());
        assert_eq!(keys.told.len(), 1);
        keys.find(&[]);
        assert_eq!(keys.told.len(), 1, "told once");
    }

    #[test]
    fn a_new_device_gives_a_hint_and_looking_takes_it_away() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = keys_in(folder.path());
        let readable = |keys: &Keys| {
            let mut fds = [PollFd::from_borrowed_fd(keys.hint().unwrap(), PollFlags::IN)];
            poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
        };
        keys.find(&[]);
        assert!(!readable(&keys));
        std::fs::write(folder.path().join("event0"), "").unwrap();
        assert!(readable(&keys));
        keys.find(&[]);
        assert!(!readable(&keys));
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_looked_for_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("input");
        let mut keys = keys_in(&folder);
        keys.find(&[]);
        assert!(keys.is_missing_something(&[]));
        std::fs::create_dir(&folder).unwrap();
        keys.find(&[]);
        assert!(!keys.is_missing_something(&[]));
    }

    #[test]
    fn only_event_devices_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["event1", "event0", "mouse0", "js0"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(
            devices(folder.path()),
            [folder.path().join("event0"), folder.path().join("event1")]
        );
    }
}
