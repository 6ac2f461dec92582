//! What the speaker shows of itself: the JSON of `GET /api/status` and its rendering for people.
//!
//! Field names are a promise to scripts: add, never rename.

use std::fmt;

use serde::{Deserialize, Serialize};
use tonearm_core::entry::{Denial, Kind};
use tonearm_core::limits::VOLUME_FIRST;
use tonearm_core::refusal::Problem;

/// The whole status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What the speaker does.
    pub state: State,
    /// The current entry.
    pub entry: Option<Now>,
    /// 0 to 100.
    pub volume: u8,
    /// Random order is on.
    pub shuffle: bool,
    /// Repeating is on.
    #[serde(rename = "loop")]
    pub looping: bool,
    /// The entries around the current one, in order.
    pub window: Vec<Item>,
    /// Place of the current entry in the window; `null` while the window is empty.
    pub cursor: Option<usize>,
    /// Events on their way to the service.
    pub outbox: Outbox,
    /// The network.
    pub link: Link,
    /// The account.
    pub account: Account,
    /// The code that waits to be entered; `null` while there is none.
    #[serde(default)]
    pub linking: Option<Invitation>,
    /// What somebody must correct before an account can be linked or used; `null` where nothing is wrong.
    #[serde(default)]
    pub account_problem: Option<String>,
    /// What the service allows at the moment.
    pub actions: Actions,
    /// What is wrong, until it is cured.
    pub problem: Option<Fault>,
    /// A session on another device that can go on here.
    pub offer: Option<Offer>,
    /// What the service said last about something it refused, while that is of interest.
    pub upsell: Option<Upsell>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            state: State::Stopped,
            entry: None,
            volume: VOLUME_FIRST,
            shuffle: false,
            looping: false,
            window: Vec::new(),
            cursor: None,
            outbox: Outbox::default(),
            link: Link::Down,
            account: Account::Unknown,
            linking: None,
            account_problem: None,
            actions: Actions::default(),
            problem: None,
            offer: None,
            upsell: None,
        }
    }
}

/// What the speaker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Sounds.
    Playing,
    /// Keeps its place, silent.
    Paused,
    /// Is to sound, but waits for data.
    Buffering,
    /// Has nothing to play.
    Stopped,
}

/// The current entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Title.
    pub title: String,
    /// Artist, as one line; empty if the service gave none.
    pub artist: String,
    /// Sort of entry, see [`kind_name`].
    pub kind: String,
    /// Position heard.
    pub position_ms: u32,
    /// Length; `null` where the service did not say.
    pub duration_ms: Option<u32>,
}

/// One entry of the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Title.
    pub title: String,
    /// Sort of entry, see [`kind_name`].
    pub kind: String,
    /// How much of it is loaded, from its start.
    pub loaded_ms: u32,
    /// How its loading goes.
    pub state: Load,
}

/// How the loading of an entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Nothing of it is here yet.
    Waiting,
    /// Under way.
    Loading,
    /// As much as is wanted of it is here.
    Loaded,
    /// It cannot be played.
    Failed,
}

/// Events on their way to the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox {
    /// To be reported.
    pub waiting: u64,
    /// Refused for good, kept for people to look at.
    pub set_aside: u64,
    /// Pairs of start and stop that were let go for want of room.
    #[serde(default)]
    pub folded: u64,
    /// Age of the oldest that waits; `null` if none waits or its age is not known.
    pub oldest_age_s: Option<u64>,
}

/// Whether the service can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// The last call was answered.
    Up,
    /// The last call was not answered.
    Down,
}

/// State of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// Accepted by the service, or not refused yet.
    Linked,
    /// None, or refused.
    NotLinked,
    /// A code waits to be entered.
    Linking,
    /// Not looked at yet.
    Unknown,
}

impl Account {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linked => "linked",
            Self::NotLinked => "not linked",
            Self::Linking => "linking",
            Self::Unknown => "unknown",
        }
    }
}

/// To link an account: a code, and where it is entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Where it is entered, on any other device.
    pub address: String,
    /// What is entered there.
    pub code: String,
    /// How long it is good for; then another one is shown.
    pub expires_in_s: u32,
}

/// What the service allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actions {
    /// Skip forward.
    pub next: Action,
    /// Skip back.
    pub previous: Action,
    /// Move forward within the entry.
    pub scrub_forward: Action,
    /// Move backward within the entry.
    pub scrub_backward: Action,
    /// Repeat.
    #[serde(rename = "loop")]
    pub looping: Action,
    /// Random order.
    pub shuffle: Action,
}

/// Whether one action is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// It is.
    pub allowed: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Uses left, where they are limited.
    pub remaining: Option<u8>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// For scripts.
    pub code: String,
    /// For people: what is wrong and what to do.
    pub text: String,
}

/// A session on another device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Title of its current entry.
    pub title: String,
    /// The service's name of the device; `null` if it named none.
    pub device: Option<String>,
}

/// The service's own words about a refusal, in the listener's language: what a larger plan would include, say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upsell {
    /// One line.
    pub text: String,
    /// Where to read on or to upgrade, `https`; `null` if the service named no place.
    pub url: Option<String>,
}

/// Name of a sort of entry.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Track => "track",
        Kind::Episode => "episode",
        Kind::Ad => "ad",
        Kind::Interlude => "interlude",
    }
}

/// The service's reason for not allowing an action, for people.
pub fn denial_text(denial: Denial) -> &'static str {
    match denial {
        Denial::NoMoreSkips => "no more skips for now; the service allows some each hour",
        Denial::NeedsSubscription => "the account's plan does not include this",
        Denial::Unavailable => "the service does not allow this here",
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let (code, text) = match problem {
            Problem::Offline => ("offline", "the service cannot be reached; it is being tried again"),
            Problem::WrongClock => (
                "wrong_clock",
                "the service cannot be trusted because this device does not know the time; it is being tried again",
            ),
            Problem::Linking => ("linking", "a code waits to be entered; `tonearm link` shows it"),
            Problem::NotLinked => ("not_linked", "the account is not accepted; link it with `tonearm link`"),
            Problem::ServiceRefused => ("service_refused", "the service refused what it was asked"),
            Problem::TakenOver => (
                "taken_over",
                "another device plays with this account; press play to take over",
            ),
            Problem::EntryUnplayable => ("entry_unplayable", "this entry could not be played"),
            Problem::NoLicence => (
                "no_licence",
                "an entry ended early: it is encrypted and its key was not given; the log says why",
            ),
            Problem::ManyUnplayable => ("many_unplayable", "several entries in a row could not be played"),
            Problem::NoSoundDevice => (
                "no_sound_device",
                "the sound device is gone or busy; it is being tried again",
            ),
            Problem::StorageFailed => (
                "storage_failed",
                "events cannot be stored: is the disk full or read-only?",
            ),
        };
        Self {
            code: code.into(),
            text: text.into(),
        }
    }
}

/// For people, a few lines.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Playing => "playing",
            State::Paused => "paused",
            State::Buffering => "buffering",
            State::Stopped => "stopped",
        };
        write!(f, "{state}")?;
        if let Some(now) = &self.entry {
            write!(f, ": {}", now.title)?;
            if !now.artist.is_empty() {
                write!(f, " by {}", now.artist)?;
            }
            write!(f, " ({}", Clock(now.position_ms))?;
            if let Some(duration_ms) = now.duration_ms {
                write!(f, " of {}", Clock(duration_ms))?;
            }
            write!(f, ")")?;
        }
        let on_off = |on| if on { "on" } else { "off" };
        writeln!(f)?;
        writeln!(
            f,
            "volume {}, shuffle {}, loop {}",
            self.volume,
            on_off(self.shuffle),
            on_off(self.looping)
        )?;
        for (at, item) in self.window.iter().enumerate() {
            let mark = if self.cursor == Some(at) { '>' } else { ' ' };
            let loading = match item.state {
                Load::Waiting => "waiting".to_owned(),
                Load::Loading => format!("loading, {}", Clock(item.loaded_ms)),
                Load::Loaded => format!("loaded, {}", Clock(item.loaded_ms)),
                Load::Failed => "cannot be played".to_owned(),
            };
            writeln!(f, "{mark} {} ({loading})", item.title)?;
        }
        let link = match self.link {
            Link::Up => "up",
            Link::Down => "down",
        };
        let account = self.account.name();
        write!(
            f,
            "service {link}, account {account}, events waiting {}",
            self.outbox.waiting
        )?;
        if let Some(age_s) = self.outbox.oldest_age_s {
            write!(f, " (oldest {age_s} s)")?;
        }
        write!(f, ", set aside {}", self.outbox.set_aside)?;
        if self.outbox.folded > 0 {
            write!(f, ", {} pairs let go for want of room", self.outbox.folded)?;
        }
        writeln!(f)?;
        if let Some(Invitation { address, code, .. }) = &self.linking {
            writeln!(f, "to link an account, open {address} and enter {code}")?;
        }
        if let Some(text) = &self.account_problem {
            writeln!(f, "account: {text}")?;
        }
        if let Some(problem) = &self.problem {
            writeln!(f, "problem: {}", problem.text)?;
        }
        if let Some(Offer { title, device }) = &self.offer {
            let device = device.as_deref().unwrap_or("another device");
            writeln!(f, "{title} is on {device}: `tonearm press take_over` goes on here")?;
        }
        if let Some(Upsell { text, url }) = &self.upsell {
            writeln!(f, "the service says: {text} {}", url.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }
}

/// A position as minutes and seconds.
struct Clock(u32);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        write!(f, "{}:{:02}", seconds / 60, seconds % 60)
    }
}
