//! Every bound of the speaker, with its reason. Relations between bounds are asserted at compile time.

use crate::unit::Millis;

// ---- the window ----

/// Entries the service hands out ahead of the current one in one answer \[O: "up to 10 tracks in advance"\].
pub const AHEAD_MAX: usize = 10;
/// Played entries kept for an instant "back" \[O: "a track that has just been played"\]. Two, so that going back twice is instant.
pub const BEHIND_MAX: usize = 2;
/// Entries of the service's queue that are mirrored: behind + current + ahead.
pub const QUEUE_MAX: usize = BEHIND_MAX + 1 + AHEAD_MAX;
/// Places for loaded entries. The whole mirror fits, so an entry inside the window never waits for a place.
pub const SLOTS_MAX: usize = QUEUE_MAX;
/// Entries in one answer of the service: the current one and everything ahead (create may return both).
pub const ANSWER_MAX: usize = 1 + AHEAD_MAX;
/// Sessions on other devices in one answer. A household's devices; one of them is offered.
pub const ELSEWHERE_MAX: usize = 8;

// ---- inputs and effects ----

/// Effects of one input. The worst case is a shutdown while a skip is under way: about a dozen.
pub const EFFECTS_MAX: usize = 32;
/// Presses of physical buttons that are followed in one step; more that fall due together are followed in the next one.
pub const PRESSES_AT_ONCE_MAX: usize = 4;
/// Things put into the queue that the service has not done yet. Somebody may tap through an album on the page.
pub const EDITS_MAX: usize = 16;
/// Sources that the session may still name in a call: those to be put into the queue, the one that plays, the one that is
/// being opened, the one a search starts, and the one of the call under way.
pub const SOURCES_MAX: usize = EDITS_MAX + 4;
/// Presets that can be named. Buttons and the demo's keys reach the first nine; the page lists the rest.
pub const PRESETS_MAX: usize = 32;
/// Buttons of a board.
pub const BUTTONS_MAX: usize = 16;

// ---- playback ----

/// Orders to the audio path that may still report back. Ten presses a second for a second, and room.
pub const PLAYS_MAX: usize = 16;
/// Back within this position goes to the entry before; later it returns to the start of this one.
pub const BACK_TO_PREVIOUS_MS_MAX: Millis = Millis(3_000);
/// One step of scrubbing by a held button.
pub const SCRUB_STEP: Millis = Millis(10_000);
/// Entries in a row that could not be played before the speaker stops: it never runs through a queue.
pub const UNPLAYABLE_IN_A_ROW_MAX: u8 = 3;
/// Fresh addresses that are asked for one entry in a row. One that still expires at this attempt is not to be had: its
/// loader gives it up as unplayable.
pub const FRESH_ADDRESSES_MAX: u8 = 3;
/// How often the position of the sounding entry is noted, so that a power cut loses at most this much of it.
pub const CHECKPOINT_EVERY: Millis = Millis(10_000);
/// One step of the volume buttons, of 100.
pub const VOLUME_STEP: u8 = 4;
/// Volume at the very first start: nobody is startled.
pub const VOLUME_FIRST: u8 = 40;
/// Loudest value of the volume scale.
pub const VOLUME_MAX: u8 = 100;

// ---- the link to the service ----

/// First retry waits between zero and this (full jitter) where sound waits for the service; four times that where none does.
pub const RETRY_MS_FIRST: Millis = Millis(500);
/// No retry waits longer than this.
pub const RETRY_MS_MAX: Millis = Millis(30_000);
/// Once the longest wait was drawn from its whole range, retries wait at least this long. By then a fleet is spread over
/// the range, and to ask no more often than needed is what helps: on average every 27.5 s, not every 15 s.
pub const RETRY_MS_LATE: Millis = Millis(25_000);
/// A time named by the service (`Retry-After`) is honoured up to this: a mistake there does not silence a speaker for days.
pub const RETRY_AFTER_MS_MAX: Millis = Millis(3_600_000);
/// After a request to stop, events that are stored may still be sent for this long; then the speaker leaves and they wait on disk.
pub const SHUTDOWN_MS_MAX: Millis = Millis(1_500);

// ---- after an outage (docs/fleet.md derives and measures these) ----
// A fleet that plays asks about three times a track of 210 s, which is once in 70 s a speaker, and is to stay below three
// times that: two requests in 70 s for what waited, beside those of the day. One request in 35 s uses all of it.

/// A service that did not answer for this long was out of order for others as well. In less time hardly one speaker in four
/// came to the end of a track, and retries that are still getting longer spread those.
pub const OUTAGE_MS_MIN: Millis = Millis(60_000);
/// From this long an outage on, the speakers whose sound waits for the service may be most of the fleet: before its end
/// or during the turns after it they come to the end of what is known ahead (ten entries, about 35 minutes).
pub const OUTAGE_MS_LONG: Millis = Millis(1_200_000);
/// Nobody's turn is earlier than this after its first answer: until then all of the fleet have had their first answer.
pub const TURN_MS_FIRST: Millis = RETRY_MS_MAX;
/// For each request that waits, the latest turn is this much later where nobody waits for sound.
pub const TURN_MS_EACH: Millis = Millis(45_000);
/// ... and where the sound waits: these go first, and they do not add to what waits before their turn.
pub const TURN_MS_EACH_AWAITED: Millis = Millis(35_000);
/// Requests of a start after silence, beside the events: what follows, the start event, what follows then.
pub const REQUESTS_OF_A_START: u64 = 3;
/// No turn is later than this after the earliest one, whatever waits: the fleet is through 15 minutes after the outage,
/// with a minute for the first answers and half a minute in hand.
pub const TURN_MS_MAX: Millis = Millis(810_000);

// ---- buttons ----

/// Contact bounce: edges this soon after an accepted edge are noise.
pub const BOUNCE: Millis = Millis(30);
/// A button held this long does its hold action.
pub const HOLD_AFTER: Millis = Millis(600);
/// A held button repeats (volume, scrub) this often.
pub const REPEAT_EVERY: Millis = Millis(200);

// ---- light ----

/// How long a refusal or an accepted press shows on the light.
pub const FLASH: Millis = Millis(400);

const _: () = assert!(QUEUE_MAX <= SLOTS_MAX, "every mirrored entry has a place");
const _: () = assert!(ANSWER_MAX <= QUEUE_MAX, "an answer fits the mirror");
const _: () = assert!(SLOTS_MAX <= u8::MAX as usize, "a slot number is one byte");
const _: () = assert!(BUTTONS_MAX <= u8::MAX as usize, "a button number is one byte");
const _: () = assert!(PLAYS_MAX >= 4, "current, following, and two that were just left");
const _: () = assert!(EFFECTS_MAX >= 16, "one input's effects fit");
const _: () = assert!(BOUNCE.0 < HOLD_AFTER.0, "a bounce is not a hold");
const _: () = assert!(RETRY_MS_FIRST.0 <= RETRY_MS_MAX.0, "the back-off grows");
const _: () = assert!(RETRY_MS_LATE.0 < RETRY_MS_MAX.0, "late retries are spread");
const _: () = assert!(
    OUTAGE_MS_MIN.0 > RETRY_MS_MAX.0,
    "a retry that is merely late is no outage"
);
const _: () = assert!(OUTAGE_MS_MIN.0 < OUTAGE_MS_LONG.0, "a long outage is an outage");
const _: () = assert!(TURN_MS_EACH_AWAITED.0 <= TURN_MS_EACH.0, "whose sound waits goes first");
const _: () = assert!(VOLUME_FIRST <= VOLUME_MAX && VOLUME_STEP > 0, "the volume scale");
