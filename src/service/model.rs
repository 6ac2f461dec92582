//! What the rest of the program sees of the service: neutral words, no JSON, no paths.

use std::fmt;

use tonearm_core::entry::{Actions, Kind};
use tonearm_core::event::What;
use tonearm_core::input::{Mode, Sounding};
use tonearm_core::unit::Millis;

/// One entry of the service's queue, ready to be loaded and described.
#[derive(Clone, Debug, PartialEq)]
pub struct Playable {
    /// Identity of the entry: `entityReferenceId`, else `metricId`, else the entity's id, else the address.
    pub reference: String,
    /// Opaque, goes back byte for byte in events.
    pub metric_id: Option<String>,
    /// Sort of entry; only for people.
    pub kind: Kind,
    /// Title, for people.
    pub title: Option<String>,
    /// Artists, joined with commas, for people.
    pub artist: Option<String>,
    /// Album, for people.
    pub album: Option<String>,
    /// Announced length; `None` if the service did not say or said nonsense.
    pub duration: Option<Millis>,
    /// What the listener may do while this entry is current.
    pub actions: Actions,
    /// Where the sound is. `None`: the service gave no address, the entry cannot be played.
    pub stream: Option<Stream>,
}

/// Where the sound of an entry is.
#[derive(Clone, PartialEq, Eq)]
pub struct Stream {
    /// Address; carries a signature, so `Debug` leaves its query out.
    pub url: String,
    /// How it is delivered.
    pub protocol: Protocol,
    /// The service's word for the coding (`ENCRYPTED_OPUS_FLAC`, ...), as it came.
    pub format: Option<String>,
    /// How a key is had; `None` for clear media.
    pub licence: Option<Licence>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = self.url.split(['?', '#']).next().unwrap_or_default();
        let Self {
            protocol,
            format,
            licence,
            ..
        } = self;
        f.debug_struct("Stream")
            .field("url", &bare)
            .field("protocol", protocol)
            .field("format", format)
            .field("licence", licence)
            .finish()
    }
}

/// How the bytes of a stream are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A plain audio file.
    File,
    /// An MPEG-DASH manifest.
    Dash,
}

/// Where a decryption key is asked for. The headers are secrets that go to `url` only, so `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct Licence {
    /// `drmType`, as it came.
    pub drm: Option<String>,
    /// Licence address.
    pub url: String,
    /// Headers for that address and no other.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Licence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Licence")
            .field("drm", &self.drm)
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

/// A session that is open: created, or restored.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The service's id of the session.
    pub session: String,
    /// The current entry and those after it, nearest first.
    pub playables: Vec<Playable>,
}

/// One session of the account, on any device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveSession {
    /// The service's id of the session.
    pub session: String,
    /// Identity of its current entry.
    pub reference: Option<String>,
    /// Sort of its current entry.
    pub kind: Kind,
    /// Title of its current entry.
    pub title: Option<String>,
    /// Device that plays it.
    pub device: Option<String>,
    /// Random order is on.
    pub shuffle: bool,
    /// Repeating is on.
    pub looping: bool,
    /// Whether it sounds there.
    pub sounding: Sounding,
}

/// A quality the board can play; the service offers nothing it was not told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Lossy, up to 320 kbit/s.
    Standard,
    /// Lossless, 16 bit, up to 48 kHz.
    High,
    /// Lossless, 24 bit, up to 192 kHz.
    Ultra,
    /// More than two channels.
    #[expect(
        dead_code,
        reason = "the audio path is stereo; the service has a word for it all the same"
    )]
    Spatial,
}

/// What to play: opaque resource names from presets or the page. At least one of the two must be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlayParams {
    /// A single thing.
    pub id: Option<String>,
    /// Its containers.
    pub container_ids: Vec<String>,
}

/// A question to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Create a session, taking the stream over from another device. Answered by [`Reply::Opened`].
    Create {
        /// What to play.
        play: PlayParams,
        /// How.
        mode: Mode,
    },
    /// The current entry. Answered by [`Reply::Listed`] with one entry, or none.
    Current {
        /// The service's id of the session.
        session: String,
    },
    /// Entries after the current one, nearest first. Answered by [`Reply::Listed`]; none: the queue ends.
    Next {
        /// The service's id of the session.
        session: String,
        /// At most this many.
        limit: u8,
    },
    /// Entries before the current one, nearest first. Answered by [`Reply::Listed`]; none: the queue begins.
    Previous {
        /// The service's id of the session.
        session: String,
        /// At most this many.
        limit: u8,
    },
    /// The whole queue. Answered by [`Reply::Listed`].
    Queue {
        /// The service's id of the session.
        session: String,
    },
    /// Sessions on all devices of the account. Answered by [`Reply::Sessions`].
    Active,
    /// An inactive session, by an entry of it that was active within the last 30 days. Answered by [`Reply::Opened`].
    Restore {
        /// [`Playable::reference`] of the entry.
        reference: String,
    },
    /// Insert something right after the current entry. Answered by [`Reply::Done`].
    QueueNext {
        /// The service's id of the session.
        session: String,
        /// What to insert.
        play: PlayParams,
    },
    /// Append something to the queue. Answered by [`Reply::Done`].
    QueueLast {
        /// The service's id of the session.
        session: String,
        /// What to append.
        play: PlayParams,
    },
    /// Repeat the queue, or not. Answered by [`Reply::Done`].
    Loop {
        /// The service's id of the session.
        session: String,
        /// On or off.
        on: bool,
    },
    /// Random order, or not. Answered by [`Reply::Done`].
    Shuffle {
        /// The service's id of the session.
        session: String,
        /// On or off.
        on: bool,
    },
}

impl Question {
    /// Name of the operation, for logs.
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Current { .. } => "current",
            Self::Next { .. } => "next",
            Self::Previous { .. } => "previous",
            Self::Queue { .. } => "queue",
            Self::Active => "active",
            Self::Restore { .. } => "restore",
            Self::QueueNext { .. } => "queue next",
            Self::QueueLast { .. } => "queue last",
            Self::Loop { .. } => "loop",
            Self::Shuffle { .. } => "shuffle",
        }
    }
}

/// The service's answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A session was created or restored.
    Opened(Opened),
    /// Entries, nearest first; none is the end of the queue.
    Listed(Vec<Playable>),
    /// Sessions of the account.
    Sessions(Vec<ActiveSession>),
    /// Done, nothing to tell.
    Done,
}

/// One start or stop of sound, as it is reported. Equal reports give the same bytes on the wire, every time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventReport {
    /// The service's id of the session.
    pub session: String,
    /// [`Playable::reference`] of the entry.
    pub reference: String,
    /// [`Playable::metric_id`] of the entry.
    pub metric_id: Option<String>,
    /// Wall clock of the moment it happened, milliseconds since 1970.
    pub wall_ms: i64,
    /// Offset of the device's time zone at that moment, `+HH:MM` or `-HH:MM`.
    pub zone: String,
    /// From the request (button) to the first sound.
    pub initial_delay: Millis,
    /// What happened.
    pub what: What,
    /// The stream is taken over from another device by this start.
    pub take_over: bool,
}

/// What the service wants the listener to hear about a refusal, in the listener's language: the plan is too small, say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Name of the operation that was refused.
    pub operation: &'static str,
    /// The service's word for the reason.
    pub code: Option<String>,
    /// Its text: one line, bounded. `None` only beside an address.
    pub message: Option<String>,
    /// Where to read on or to upgrade: `https`, bounded.
    pub url: Option<String>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.message, &self.url].into_iter().flatten();
        for part in parts {
            write!(f, "{part} ")?;
        }
        write!(f, "({}, {})", self.operation, self.code.as_deref().unwrap_or("no code"))
    }
}
