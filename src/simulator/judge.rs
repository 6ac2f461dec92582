//! Judges what a client reports against what the contract makes certain. Where a good client could have done the
//! same for a reason nobody sees from here, nothing is said.

use serde::{Deserialize, Serialize};

use super::event::{Event, Reason, What};

/// Rounding, and what a sound device keeps to itself: reports may be off by this much.
const TOLERANCE_S: f64 = 2.0;
/// An event this much older than a queue call that came before it was overtaken, not just under way.
const OVERTAKEN_MS: i64 = 2_000;
/// A client that goes on within this time after an end was not made to by anybody: nobody presses a button that fast.
const SEAMLESS_MS_MAX: i64 = 250;
/// Entries a client may be ahead of its reports: what one answer of `next` holds.
const AHEAD_MAX: usize = 10;

/// What a client did against the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// One of the headers every request must carry is missing or wrong.
    HeaderMissing,
    /// Credentials were sent to the media host or the sign-in server, or stood where they do not belong.
    CredentialsLeaked,
    /// Far more refreshes of a token than its life asks for.
    RefreshStorm,
    /// A refresh token that was replaced, and whose replacement was used.
    RefreshReused,
    /// A device asked about its code pair too soon.
    PolledTooFast,
    /// The same request again and again although it was refused for good.
    RefusedRepeated,
    /// A request before the time that `Retry-After` named.
    BackOffIgnored,
    /// A start on a device that was told that another one has the stream.
    PlaysWithoutStream,
    /// An event without the form the contract asks for.
    EventMalformed,
    /// An event for a `metricId` that was never handed out.
    MetricUnknown,
    /// `entityReferenceId` or `sessionId` beside `metricId` name something else.
    ReferenceMismatch,
    /// A stop of an entry that had not started.
    StopWithoutStart,
    /// A start while the one before has not stopped.
    StartWhileOpen,
    /// An event earlier than the one before it in the session.
    TimeBackwards,
    /// A position beyond the end of the entry.
    ProgressImpossible,
    /// Played longer than the time between start and stop, or not as far as the position says.
    DurationImpossible,
    /// `trackFinished` well before the end.
    FinishedEarly,
    /// An entry ended, and the one that went on without a break was not the one after it.
    EntryPassed,
    /// As before, in an order that was changed: the client had been told the one that holds.
    StaleOrder,
    /// A start of an entry further ahead than any answer reached.
    OutOfReach,
    /// An advertisement was left out.
    AdPassed,
    /// Something was done that `actions` did not allow.
    ActionDenied,
    /// A skip beyond the limit.
    SkipLimit,
    /// A queue call overtook an event.
    EventOvertaken,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which rule.
    pub code: Code,
    /// What exactly, for people.
    pub detail: String,
}

impl Violation {
    /// A finding.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// A start whose stop has not come.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Span {
    reference: String,
    at_ms: i64,
    offset_ms: f64,
}

/// What a session reported so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct History {
    open: Option<Span>,
    #[serde(default)]
    finished_at_ms: Option<i64>,
    last_at_ms: Option<i64>,
}

/// What is known about the entry of an event.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `entityReferenceId`.
    pub reference: &'a str,
    /// Length of the entry.
    pub duration_ms: Option<u64>,
    /// The length is exact.
    pub exact: bool,
    /// Entries from the current one of the session to this one; negative: before it.
    pub distance: i64,
    /// What it is to go on with this entry right after the current one ended; `None`: right, or nothing certain.
    pub passed: Option<Code>,
    /// An advertisement between the two has not sounded yet.
    pub passes_ad: bool,
    /// Why going to the next, to the previous, or inside the entry is not allowed.
    pub denied: Denied,
    /// Moment of the last queue call of this session, if its clock is also the client's.
    pub last_call_ms: Option<i64>,
}

/// Reasons of `actions`, where they forbid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Denied {
    /// Skipping forward.
    pub next: Option<&'static str>,
    /// Going back.
    pub previous: Option<&'static str>,
    /// Moving inside, in both directions.
    pub scrub: Option<&'static str>,
}

/// What became of an event.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// Findings; none for a good client.
    pub violations: Vec<Violation>,
    /// It closed the span its entry had open.
    pub pair: bool,
    /// It cannot be accepted.
    pub refused: Option<Refused>,
}

/// Why an event cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It makes no sense.
    Senseless,
    /// The tier does not allow it, for this reason.
    NotAllowed(&'static str),
}

impl History {
    /// The entry that sounds, as far as reported.
    pub fn sounding(&self) -> Option<&str> {
        self.open.as_ref().map(|span| span.reference.as_str())
    }

    /// Takes an event in.
    pub fn judge(&mut self, event: &Event, facts: Facts<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        self.judge_time(event, facts, &mut judgement);
        match event.what {
            What::Start { offset_ms } => self.start(event, offset_ms, facts, &mut judgement),
            What::Stop {
                reason,
                played_s,
                progress_s,
            } => {
                self.stop(event, reason, (played_s, progress_s), facts, &mut judgement);
            }
        }
        judgement
    }

    fn judge_time(&mut self, event: &Event, facts: Facts<'_>, judgement: &mut Judgement) {
        if let Some(last) = self.last_at_ms.filter(|last| event.at_ms < *last) {
            let early = last.saturating_sub(event.at_ms);
            judgement.say(Code::TimeBackwards, format!("{early} ms before the event before it"));
        }
        self.last_at_ms = Some(self.last_at_ms.unwrap_or(event.at_ms).max(event.at_ms));
        // A stop that was made up after a power cut carries a moment long before it could be sent.
        let made_up = matches!(
            event.what,
            What::Stop {
                reason: Reason::System,
                ..
            }
        );
        if let Some(call) = facts
            .last_call_ms
            .filter(|call| *call > event.at_ms.saturating_add(OVERTAKEN_MS))
            && !made_up
        {
            let late = call.saturating_sub(event.at_ms);
            judgement.say(
                Code::EventOvertaken,
                format!("a queue call came {late} ms after it happened, before it"),
            );
        }
    }

    fn start(&mut self, event: &Event, offset_ms: f64, facts: Facts<'_>, judgement: &mut Judgement) {
        if let Some(open) = &self.open {
            judgement.say(
                Code::StartWhileOpen,
                format!("entry {} has not stopped", open.reference),
            );
        }
        if let Some(length_s) = seconds(facts.duration_ms)
            && offset_ms / 1000.0 > length_s + TOLERANCE_S
        {
            judgement.say(
                Code::ProgressImpossible,
                format!("starts at {offset_ms} ms of {length_s} s"),
            );
        }
        if usize::try_from(facts.distance).is_ok_and(|ahead| ahead > AHEAD_MAX) {
            judgement.say(
                Code::OutOfReach,
                format!("{} entries ahead of the current one", facts.distance),
            );
        }
        let finished_at_ms = self.finished_at_ms.take();
        let is_seamless = finished_at_ms.is_some_and(|end_ms| event.at_ms.saturating_sub(end_ms) <= SEAMLESS_MS_MAX);
        if let Some(code) = facts.passed.filter(|_| is_seamless) {
            let detail = format!("went on with the entry {} after the one that ended", facts.distance);
            judgement.say(code, detail);
        }
        if facts.passes_ad {
            judgement.say(Code::AdPassed, "an advertisement before it has not sounded");
        }
        self.open = Some(Span {
            reference: facts.reference.to_owned(),
            at_ms: event.at_ms,
            offset_ms,
        });
    }

    fn stop(
        &mut self,
        event: &Event,
        reason: Reason,
        (played_s, progress_s): (i64, f64),
        facts: Facts<'_>,
        judgement: &mut Judgement,
    ) {
        if self.sounding() != Some(facts.reference) {
            let open = self.sounding().unwrap_or("nothing").to_owned();
            judgement.say(Code::StopWithoutStart, format!("{open} is what sounds"));
            judgement.refused = Some(Refused::Senseless);
            return;
        }
        self.finished_at_ms = (reason == Reason::Finished).then_some(event.at_ms);
        if let Some(span) = self.open.take() {
            judgement.pair = true;
            judge_span(&span, event, (played_s, progress_s), judgement);
        }
        if let Some(length_s) = seconds(facts.duration_ms) {
            if progress_s > length_s + TOLERANCE_S {
                judgement.say(
                    Code::ProgressImpossible,
                    format!("stops at {progress_s} s of {length_s} s"),
                );
            }
            if reason == Reason::Finished && facts.exact && progress_s < length_s - TOLERANCE_S {
                judgement.say(
                    Code::FinishedEarly,
                    format!("finished at {progress_s} s of {length_s} s"),
                );
            }
        }
        let denied = match reason {
            Reason::Next => facts.denied.next,
            Reason::Previous => facts.denied.previous,
            Reason::Scrub => facts.denied.scrub,
            Reason::Finished | Reason::Paused | Reason::System => None,
        };
        if let Some(why) = denied {
            let code = if why == "NO_MORE_SKIPS" {
                Code::SkipLimit
            } else {
                Code::ActionDenied
            };
            judgement.say(code, format!("{reason:?} although {why}"));
            judgement.refused = Some(Refused::NotAllowed(why));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds and milliseconds of sessions are far below 2^52"
)]
fn judge_span(span: &Span, event: &Event, (played_s, progress_s): (i64, f64), judgement: &mut Judgement) {
    let elapsed_s = event.at_ms.saturating_sub(span.at_ms) as f64 / 1000.0;
    let played_s = played_s as f64;
    if played_s > elapsed_s + TOLERANCE_S {
        judgement.say(
            Code::DurationImpossible,
            format!("played {played_s} s within {elapsed_s} s"),
        );
    }
    let reached_s = span.offset_ms / 1000.0 + played_s;
    if (progress_s - reached_s).abs() > TOLERANCE_S {
        let from_s = span.offset_ms / 1000.0;
        let detail = format!("{played_s} s from {from_s} s end at {reached_s} s, not at {progress_s} s");
        judgement.say(Code::DurationImpossible, detail);
    }
}

#[expect(clippy::cast_precision_loss, reason = "lengths of tracks are far below 2^52 ms")]
fn seconds(duration_ms: Option<u64>) -> Option<f64> {
    duration_ms.map(|ms| ms as f64 / 1000.0)
}

impl Judgement {
    fn say(&mut self, code: Code, detail: impl Into<String>) {
        self.violations.push(Violation::new(code, detail));
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
