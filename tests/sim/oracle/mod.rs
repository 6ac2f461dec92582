//! What must hold after every step, whatever happened. It knows the promises, not how the core keeps them.

mod events;
mod places;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use places::Places;

use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::rule::{Broken, Check, Rule};
use crate::service::Service;
use tonearm_core::effect::{Call, Effect, Wishes};
use tonearm_core::event::{Event, StopReason, What};
use tonearm_core::id::{EntryKey, PlayId, RequestId, Seq, SessionKey};
use tonearm_core::input::{Answer, Failure, Input, Press, Verdict};
use tonearm_core::limits::{EFFECTS_MAX, SHUTDOWN_MS_MAX, SLOTS_MAX, VOLUME_MAX};
use tonearm_core::unit::{Millis, Moment};
use tonearm_core::{Session, State};

/// Ticks at one moment that may come of one another: a few presses that fall due together.
const TICKS_AT_ONCE_MAX: u32 = 20;
/// Calls and reports within ten seconds; presses may ask at once, a storm may not be.
const EXCHANGES_IN_TEN_SECONDS_MAX: usize = 400;
/// Sessions that are remembered, as many as the service keeps.
const SESSIONS_MAX: usize = 40;
/// Orders that are remembered; the reports of older ones have long arrived.
const ORDERED_MAX: usize = 64;
/// A press may wait this long for the service to name the entry it asks for.
const STEP_WAITS_MS_MAX: u64 = 60_000;
/// A contact is believed this long after its edge at most.
const BOUNCE_MS: u64 = 50;
/// Heartbeats and checkpoints carry the position on by the clock; reports of the audio path come a little late.
const POSITION_SLACK_MS: i64 = 700;

#[derive(Debug)]
pub struct Oracle {
    // One run of the program.
    pending: Option<(RequestId, Call)>,
    in_flight: Option<(Seq, Seq)>,
    places: Places,
    verdict: Option<(Seq, bool)>,
    stored_to: Seq,
    not_before: u64,
    leaving_since: Option<u64>,
    pub exited: bool,
    last_play: PlayId,
    wishes: Wishes,
    ticks: (u64, u32),
    exchanges: Vec<u64>,
    fresh_run: bool,
    /// The last order came of a list that the service gave, not of a press itself.
    stepped_by_answer: Option<PlayId>,
    known_version: BTreeMap<SessionKey, usize>,
    /// The version known before, and when that ended: what began by itself just then may follow it still.
    former_version: Option<(SessionKey, usize, u64)>,
    // The whole history.
    open: Option<Event>,
    last_start: Option<Event>,
    start_before: Option<Event>,
    last_span_ms: u64,
    last_at: Moment,
    version_at_start: usize,
    version_before: usize,
    presses: Vec<(u64, Press)>,
    /// Something was pressed in this run of the program.
    was_pressed: bool,
    /// How far the sound was, and of which start and order.
    heard: Option<(Seq, PlayId, Millis)>,
    /// How far it was at the last checkpoint, and of which start.
    noted: Option<(Seq, Millis)>,
    /// Entries ordered to sound since the last start; some never did.
    ordered: Vec<EntryKey>,
    /// Sessions that this speaker opened, restored or took.
    own: BTreeSet<SessionKey>,
    pub reasons: BTreeMap<&'static str, u64>,
}

impl Oracle {
    pub fn new() -> Self {
        Self {
            pending: None,
            in_flight: None,
            places: Places::default(),
            verdict: None,
            stored_to: Seq(0),
            not_before: 0,
            leaving_since: None,
            exited: false,
            last_play: PlayId(0),
            wishes: Wishes::new(),
            ticks: (0, 0),
            exchanges: Vec::new(),
            fresh_run: true,
            stepped_by_answer: None,
            known_version: BTreeMap::new(),
            former_version: None,
            open: None,
            last_start: None,
            start_before: None,
            last_span_ms: 0,
            last_at: Moment(0),
            version_at_start: 0,
            version_before: 0,
            presses: Vec::new(),
            was_pressed: false,
            heard: None,
            noted: None,
            ordered: Vec::new(),
            own: BTreeSet::new(),
            reasons: BTreeMap::new(),
        }
    }

    /// The program starts anew; `closing` is the stop it made up for the last run.
    pub fn restart(&mut self, ledger: &Ledger, closing: Option<Event>) -> Check {
        self.pending = None;
        self.in_flight = None;
        self.restart_places(ledger);
        self.verdict = None;
        self.stored_to = Seq(ledger.next().0 - 1);
        self.not_before = 0;
        self.leaving_since = None;
        self.exited = false;
        self.last_play = PlayId(0);
        self.wishes = Wishes::new();
        self.ticks = (0, 0);
        self.fresh_run = true;
        self.presses.clear();
        self.was_pressed = false;
        self.noted = None;
        self.heard = None;
        self.ordered.clear();
        // What was lost with the memory never was.
        let last = ledger.entries().next_back();
        self.open = match last.filter(|last| matches!(last.event.what, What::Start { .. })) {
            // Behind it were events on a disk that failed, its stop perhaps, and what became of them nobody can know.
            Some(start) if closing.is_none() && !ledger.lost_behind(start.uid) => {
                return Rule::Pairing.broken(format!("{:?} was left open", start.event));
            }
            Some(_) | None => None,
        };
        let mut starts = ledger.entries().rev().map(|record| record.event);
        self.last_start = starts.find(|event| matches!(event.what, What::Start { .. }));
        self.start_before = None;
        Ok(())
    }

    /// Called before the core sees the input.
    pub fn input(&mut self, input: &Input, now: u64, ledger: &Ledger) -> Check {
        if *input == Input::Tick {
            let (at, count) = self.ticks;
            self.ticks = if at == now { (now, count + 1) } else { (now, 1) };
            if self.ticks.1 > TICKS_AT_ONCE_MAX {
                return Rule::Alive.broken("the deadline stands still: a busy loop");
            }
        }
        let mut answers = None;
        if let Input::Answer { request, .. } = input {
            let awaited = self.pending.take_if(|(awaited, _)| awaited == request);
            answers = awaited.map(|(_, call)| call);
        }
        self.place_input(input, answers, now, ledger);
        match input {
            Input::Answer { answer, .. } => {
                if let (Some(_), Answer::Failed(failure)) = (answers, answer) {
                    self.failed(*failure, now);
                }
            }
            Input::Reported { last, verdict } => {
                if let Some((first, _)) = self.in_flight.take_if(|(_, awaited)| awaited == last) {
                    self.reported(first, *last, *verdict, now, ledger);
                }
            }
            Input::Looked(failure) => self.failed(*failure, now),
            Input::Stored { seq, .. } => self.stored_to = self.stored_to.max(*seq),
            Input::Shutdown => {
                self.leaving_since.get_or_insert(now);
            }
            Input::Press(press) => {
                self.was_pressed = true;
                self.presses.push((now, *press));
                self.unlearn_after_back();
            }
            Input::Edge { button, .. } => {
                self.was_pressed = true;
                let setup = crate::plan::BUTTONS[usize::from(button.0)];
                self.presses.push((now, setup.press));
                self.unlearn_after_back();
                self.presses.extend(setup.hold.map(|hold| (now, hold)));
            }
            Input::Tick
            | Input::Media { .. }
            | Input::Audio(_)
            | Input::Account(_)
            | Input::Clock(_)
            | Input::LinkUp
            | Input::LinkDown => {}
        }
        Ok(())
    }

    /// What is to become of events whose answer came.
    fn reported(&mut self, first: Seq, last: Seq, verdict: Verdict, now: u64, ledger: &Ledger) {
        self.verdict = match verdict {
            Verdict::Accepted => Some((last, true)),
            // Of several, one is at fault: they are sent singly.
            Verdict::Refused => (first == last).then_some((last, false)),
            Verdict::Folded(through) => Some((through, true)),
            Verdict::Failed(Failure::TakenOver) => {
                let given_up = self.events_refused(first, last, now, ledger);
                given_up.then_some((last, false))
            }
            Verdict::Failed(failure) => {
                self.failed(failure, now);
                None
            }
        };
    }

    /// The service told which order of the queue it was in when it made the list that has just been taken.
    pub fn learned(&mut self, session: SessionKey, version: usize, now: u64) {
        let former = self.known_version.insert(session, version).unwrap_or(0);
        if self.known_version.len() > SESSIONS_MAX {
            self.known_version.pop_first();
        }
        self.former_version = Some((session, former, now));
    }

    fn failed(&mut self, failure: Failure, now: u64) {
        if let Failure::Busy {
            retry_after: Some(after),
        } = failure
        {
            self.not_before = self.not_before.max(now + u64::from(after.0));
        }
    }

    /// Going back returns to entries whose followers were told long ago.
    fn unlearn_after_back(&mut self) {
        let back = |(_, press): &(u64, Press)| *press == Press::Previous;
        if self.presses.last().is_some_and(back) {
            self.known_version.clear();
        }
    }

    /// Called for each effect of an input, in order.
    pub fn effect(&mut self, effect: &Effect, world: &Seen<'_>) -> Check {
        if self.exited {
            return Rule::Alive.broken(format!("{effect:?} after the speaker left"));
        }
        match effect {
            Effect::Call { request, call } => self.call(*request, *call, world),
            Effect::Report { first, last } => self.report(*first, *last, world),
            Effect::Settle { seq, accepted } => match self.verdict.take() {
                Some(verdict) if verdict == (*seq, *accepted) => Ok(()),
                other => Rule::Order.broken(format!("settle {seq:?} accepted={accepted} after verdict {other:?}")),
            },
            Effect::Record(event) => self.record(event, world),
            Effect::Checkpoint {
                start,
                position,
                played,
                ..
            } => self.checkpoint(*start, *position, *played),
            Effect::Want(wishes) => self.want(wishes, world),
            Effect::Play { play, slot, entry, .. } | Effect::Follow { play, slot, entry } => {
                if *play <= self.last_play {
                    return Rule::Order.broken(format!("order {play:?} after {:?}", self.last_play));
                }
                let before = std::mem::replace(&mut self.last_play, *play);
                if let Effect::Play { .. } = effect {
                    self.place_order(before, world.now);
                }
                if let (Effect::Play { .. }, Input::Answer { .. }) = (effect, world.input) {
                    self.stepped_by_answer = Some(*play);
                    self.known_version.clear();
                }
                if let Effect::Play { .. } = effect {
                    self.ordered.push(*entry);
                    if self.ordered.len() > ORDERED_MAX {
                        self.ordered.remove(0);
                    }
                }
                let wish = self.wishes.iter().find(|wish| wish.entry == *entry);
                match wish {
                    Some(wish) if wish.slot == *slot => Ok(()),
                    other => {
                        Rule::Window.broken(format!("{entry:?} is to play from {slot:?}, but the wish is {other:?}"))
                    }
                }
            }
            Effect::Volume(volume) if *volume > VOLUME_MAX => Rule::Truth.broken(format!("volume {volume}")),
            Effect::Exit => {
                self.exited = true;
                if self.leaving_since.is_some() {
                    Ok(())
                } else {
                    Rule::Alive.broken("left without being asked")
                }
            }
            Effect::Unfollow
            | Effect::Pause
            | Effect::Resume
            | Effect::Silence
            | Effect::Volume(_)
            | Effect::Light(_)
            | Effect::Tell(_)
            | Effect::Save(_) => Ok(()),
        }
    }

    fn checkpoint(&mut self, start: Seq, position: Millis, played: Millis) -> Check {
        let Some(open) = self.open.filter(|open| open.seq == start) else {
            return Rule::Truth.broken(format!("checkpoint of {start:?} while {:?} is open", self.open));
        };
        let before = self.noted.replace((start, position));
        let goes_back = before.is_some_and(|(of, before)| of == start && position < before);
        Rule::Monotone.holds(!goes_back, || {
            format!("checkpoint of {start:?} at {position:?} after {before:?}")
        })?;
        let What::Start { offset } = open.what else {
            return Ok(());
        };
        near(
            i64::from(position.0),
            i64::from(offset.0) + i64::from(played.0),
            "checkpoint's position",
        )
    }

    fn exchange(&mut self, now: u64) -> Check {
        if now < self.not_before {
            return Rule::Manners.broken(format!(
                "the service is asked before the time it named ({})",
                self.not_before
            ));
        }
        self.exchanges.retain(|at| at + 10_000 > now);
        self.exchanges.push(now);
        if self.exchanges.len() > EXCHANGES_IN_TEN_SECONDS_MAX {
            return Rule::Manners.broken("a storm of calls");
        }
        Ok(())
    }

    fn call(&mut self, request: RequestId, call: Call, world: &Seen<'_>) -> Check {
        if let Some(pending) = self.pending {
            return Rule::Manners.broken(format!("{call:?} while {pending:?} is under way"));
        }
        if self.leaving_since.is_some() {
            return Rule::Manners.broken(format!("{call:?} while leaving"));
        }
        self.pending = Some((request, call));
        self.place_exchange()?;
        self.exchange(world.now)?;
        let Some(session) = self.place_call(call, world)? else {
            return Ok(());
        };
        let unsent = world.ledger.waiting().find(|record| record.event.session == session);
        match unsent {
            Some(record) => Rule::EventsFirst.broken(format!("{call:?} overtakes {:?}", record.event)),
            None => Ok(()),
        }
    }

    fn report(&mut self, first: Seq, last: Seq, world: &Seen<'_>) -> Check {
        if let Some(earlier) = self.in_flight {
            return Rule::Order.broken(format!("{first:?} is sent while {earlier:?} is under way"));
        }
        if last > self.stored_to {
            return Rule::StoredFirst.broken(format!("{last:?} is sent before it is stored"));
        }
        if last < first || last.0 - first.0 >= u64::from(world.plan.batch) {
            return Rule::Order.broken(format!("{first:?} to {last:?} are sent in one piece"));
        }
        if first.0 != world.ledger.settled().0 + 1 {
            return Rule::Order.broken(format!(
                "{first:?} is sent, but {:?} was the last one settled",
                world.ledger.settled()
            ));
        }
        self.in_flight = Some((first, last));
        self.place_exchange()?;
        self.exchange(world.now)
    }

    fn want(&mut self, wishes: &Wishes, world: &Seen<'_>) -> Check {
        for (index, wish) in wishes.iter().enumerate() {
            let others = wishes.iter().skip(index + 1);
            if usize::from(wish.slot.0) >= SLOTS_MAX
                || others
                    .clone()
                    .any(|other| other.slot == wish.slot || other.entry == wish.entry)
            {
                return Rule::Window.broken(format!("{wish:?} clashes in {wishes:?}"));
            }
            let before = self.wishes.iter().find(|before| before.entry == wish.entry);
            if before.is_some_and(|before| before.slot != wish.slot) {
                return Rule::Window.broken(format!("{before:?} moved to {wish:?}"));
            }
        }
        let _ = world;
        self.wishes.clone_from(wishes);
        Ok(())
    }

    /// Called once the effects of an input are drained.
    pub fn after(&mut self, session: &Session, effects: usize, world: &Seen<'_>) -> Check {
        if effects > EFFECTS_MAX {
            return Rule::Alive.broken(format!("{effects} effects"));
        }
        if let Some((seq, _)) = self.verdict.take() {
            return Rule::Order.broken(format!("the word on {seq:?} was not passed on"));
        }
        let now = Moment(world.now);
        let view = session.view(now);
        self.place_after(view.state, world.now);
        self.monotone(&view, world)?;
        if self.leaving_since.is_none() {
            self.window(session, view.entries, view.cursor, world)?;
        }
        if view.waiting != world.ledger.next().0 - 1 - world.ledger.settled().0 {
            return Rule::Truth.broken(format!(
                "{} events wait, the view says {}",
                world.ledger.next().0 - 1 - world.ledger.settled().0,
                view.waiting
            ));
        }
        if view.state == State::Playing && self.open.is_none() {
            return Rule::Truth.broken("it says playing, but no start was recorded");
        }
        if let Some(since) = self.leaving_since
            && !self.exited
            && world.now > since + u64::from(SHUTDOWN_MS_MAX.0)
        {
            return Rule::Alive.broken("it does not leave in time");
        }
        if session.deadline().is_some_and(|at| at.0 < world.now) {
            return Rule::Alive.broken("the deadline lies in the past");
        }
        Ok(())
    }

    /// How many things it keeps.
    pub fn len(&self) -> usize {
        self.presses.len() + self.exchanges.len() + self.known_version.len() + self.own.len() + self.ordered.len()
    }
}

fn near(is: i64, should: i64, what: &str) -> Check {
    if (is - should).abs() <= POSITION_SLACK_MS {
        Ok(())
    } else {
        Rule::Truth.broken(format!("{what} is {is}, should be about {should}"))
    }
}

/// What the oracle may look at.
pub struct Seen<'a> {
    pub now: u64,
    pub plan: &'a Plan,
    pub input: &'a Input,
    /// Reasons that would be true for a stop that this input reports.
    pub reasons: &'a [StopReason],
    pub ledger: &'a Ledger,
    pub service: &'a Service,
}
