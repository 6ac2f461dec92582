//! The program around the core: starts, kills, inputs in, effects out.

use super::storing::{Opened, ReadBack};
use super::{Check, Happening, Job, Telling, World};
use crate::ledger::Ledger;
use crate::oracle::Seen;
use crate::plan::{BUTTONS, Plan};
use crate::service::Service;
use tonearm_core::effect::{Call, Effect, Wishes};
use tonearm_core::entry::Entry;
use tonearm_core::event::StopReason;
use tonearm_core::id::{EntryKey, Seq, SessionKey};
use tonearm_core::input::Mode;
use tonearm_core::input::{Answer, AudioNews, Input, Press, Verdict};
use tonearm_core::unit::Moment;
use tonearm_core::{Boot, Session, Settings};

impl World {
    pub(super) fn boot(&mut self) -> Check {
        if self.session.is_some() {
            return Ok(());
        }
        self.run += 1;
        self.news_under_way = 0;
        let closing = match self.open_store()? {
            Opened::Open(closing) => closing,
            Opened::Ended => return Ok(()),
        };
        self.oracle.restart(&self.ledger, closing)?;
        note!(
            self,
            "{} ---- boot {}: {:?} {closing:?}",
            self.now,
            self.run,
            self.ledger.bookmark
        );
        let settings = Settings {
            behind: self.plan.behind,
            ahead: self.plan.ahead,
            load: tonearm_core::Load::default(),
            presets: [Mode::Play, Mode::Shuffle, Mode::Station].into_iter().collect(),
            buttons: BUTTONS.into_iter().collect(),
            heartbeat: self.plan.heartbeat,
            elsewhere: self.plan.elsewhere,
            batch: self.plan.batch,
            seed: self.rng.next(),
        };
        let boot = Boot {
            bookmark: self.ledger.bookmark,
            next: self.ledger.next(),
            settled: self.ledger.settled(),
        };
        self.session = Some(Session::new(settings, boot, Moment(self.now)));
        self.drain(&Input::Tick, &[])?;
        // Whoever signs in says how that stands as soon as it runs.
        if self.plan.unlinks > 0 {
            let account = self.told;
            self.handle(&Input::Account(account), &[], None)?;
        }
        Ok(())
    }

    pub(super) fn stopped(&mut self) {
        self.audio.reset();
        self.run += 1;
        self.jobs.clear();
        self.worker_busy = false;
        self.news_under_way = 0;
        self.wishes = Wishes::new();
        let off = self.rng.between(50, 20_000);
        self.enter(off, Happening::Boot);
    }

    /// The position is read before an input that may depend on it.
    pub(super) fn hear(&mut self) -> Check {
        if let Some((play, position)) = self.audio.heard(self.now) {
            self.handle(&Input::Audio(AudioNews::Heard { play, position }), &[], None)?;
        }
        Ok(())
    }

    pub(super) fn handle(
        &mut self,
        input: &Input,
        reasons: &[StopReason],
        learned: Option<(SessionKey, usize)>,
    ) -> Check {
        if self.session.is_none() {
            return Ok(());
        }
        if *input != Input::Tick {
            note!(self, "{} {} {reasons:?}", self.now, told(input));
        }
        self.oracle.input(input, self.now, &self.ledger)?;
        if let Some(session) = &mut self.session {
            session.handle(input.clone(), Moment(self.now));
        }
        if let Some((key, version)) = learned
            && self.takes_list(input)
        {
            self.oracle.learned(key, version, self.now);
        }
        self.drain(input, reasons)
    }

    /// A list about a place where the speaker is not (any more) is not taken.
    pub(super) fn takes_list(&self, input: &Input) -> bool {
        let Input::Answer {
            answer: Answer::Listed(list),
            ..
        } = input
        else {
            return false;
        };
        let Some(view) = self.session.as_ref().map(|session| session.view(Moment(self.now))) else {
            return false;
        };
        let keys: Vec<EntryKey> = list.iter().map(|entry| entry.key).collect();
        let current = view.entries.get(view.cursor).map(|entry| entry.key);
        let past = keys
            .iter()
            .position(|key| Some(*key) == current)
            .map_or(0, |index| index + 1);
        let ahead = view.entries.iter().skip(view.cursor + 1).map(|entry| entry.key);
        let listed = keys.iter().skip(past).copied().take(usize::from(self.plan.ahead));
        listed.eq(ahead)
    }

    pub(super) fn drain(&mut self, input: &Input, reasons: &[StopReason]) -> Check {
        let mut count = 0;
        while let Some(effect) = self.session.as_mut().and_then(Session::poll) {
            count += 1;
            if !matches!(effect, Effect::Light(_)) {
                note!(self, "{}     -> {}", self.now, brief(&effect));
            }
            let seen = seen(self.now, &self.plan, (input, reasons), &self.ledger, &self.service);
            self.oracle.effect(&effect, &seen)?;
            self.obey(effect, input)?;
        }
        let seen = seen(self.now, &self.plan, (input, reasons), &self.ledger, &self.service);
        if let Some(session) = &self.session {
            self.oracle.after(session, count, &seen)?;
        }
        if self.oracle.exited && self.session.take().is_some() {
            note!(self, "{} ---- left", self.now);
            self.close_store();
            self.stopped();
        }
        self.next_job();
        self.send_news();
        Ok(())
    }

    pub(super) fn obey(&mut self, effect: Effect, input: &Input) -> Check {
        match effect {
            Effect::Call { request, call } => {
                self.count_call(call);
                self.jobs.push_back(Job::Call(request, call));
            }
            Effect::Record(event) => self.record(event),
            Effect::Report { first, last } => {
                if first < last {
                    self.stats.count("batches");
                }
                self.report(first, last)?;
            }
            Effect::Settle { seq, accepted } => self.settle(seq, accepted),
            Effect::Want(wishes) => self.want(wishes),
            Effect::Play { play, entry, from, .. } => {
                let reasons = self.causes(input);
                self.audio.play(play, entry, from, &reasons, self.now);
            }
            Effect::Follow { play, entry, .. } => self.audio.follow(play, entry, self.now),
            Effect::Unfollow => self.audio.unfollow(),
            Effect::Pause => {
                let reasons = self.causes(input);
                self.audio.pause(&reasons, self.now);
            }
            Effect::Resume => self.audio.resume(self.now),
            Effect::Silence => {
                let reasons = self.causes(input);
                self.audio.silence(&reasons, self.now);
            }
            Effect::Save(bookmark) => {
                let run = self.run;
                // Writes are done in order, each in its time.
                self.enter(20, Happening::Saved { run, bookmark });
            }
            Effect::Checkpoint { .. } => self.checkpoint(&effect),
            Effect::Volume(_) | Effect::Light(_) | Effect::Tell(_) | Effect::Exit => {}
        }
        Ok(())
    }

    /// Sends events, as far as the journal gives them out.
    pub(super) fn report(&mut self, first: Seq, last: Seq) -> Check {
        match self.read_back(first, last)? {
            ReadBack::Events(events) => self.jobs.push_back(Job::Events(events)),
            // What cannot be read back can never be sent.
            ReadBack::Lost => self.deliver_now(Input::Reported {
                last,
                verdict: Verdict::Refused,
            }),
            ReadBack::Folded(through) => self.deliver_now(Input::Reported {
                last,
                verdict: Verdict::Folded(through),
            }),
            ReadBack::Later => {}
        }
        Ok(())
    }

    /// For this run of the program, right after what is being done.
    fn deliver_now(&mut self, input: Input) {
        let happening = Happening::Deliver {
            run: self.run,
            input,
            learned: None,
            frees_worker: false,
        };
        self.enter(0, happening);
    }

    fn count_call(&mut self, call: Call) {
        match call {
            Call::Restore(_) => self.stats.count("restores"),
            Call::Active => self.stats.count("looks at other devices"),
            Call::Current(session) if self.service.is_foreign(session) => self.stats.count("offers taken"),
            Call::QueueNext { .. } | Call::QueueLast { .. } => self.stats.count("put into the queue"),
            Call::Create { .. }
            | Call::Current(_)
            | Call::Next { .. }
            | Call::Previous { .. }
            | Call::Loop { .. }
            | Call::Shuffle { .. } => {}
        }
    }

    /// The reasons a stop may truly have when this input made the core cut the sound.
    pub(super) fn causes(&self, input: &Input) -> Vec<StopReason> {
        use StopReason::{SystemStop, TrackScrub, UserNext, UserPrev, UserStop};
        let mut reasons = match input {
            Input::Press(press) => match press {
                Press::Next => vec![UserNext],
                Press::Previous => vec![UserPrev, TrackScrub],
                Press::Play | Press::Start { .. } | Press::Preset(_) | Press::TakeOver => vec![UserStop],
                Press::ScrubForward | Press::ScrubBackward | Press::Seek(_) => vec![TrackScrub],
                Press::VolumeUp
                | Press::VolumeDown
                | Press::Shuffle
                | Press::Loop
                | Press::QueueNext(_)
                | Press::QueueLast(_) => Vec::new(),
            },
            Input::Edge { .. } | Input::Tick => vec![UserNext, UserPrev, TrackScrub, UserStop],
            Input::Answer { answer, .. } => match answer {
                Answer::Opened { .. } => vec![UserStop],
                // Another device's session that goes on here stops what sounded for the listener.
                Answer::Listed(_) => vec![UserNext, UserPrev, TrackScrub, SystemStop, UserStop],
                // Nothing before it: back to the start.
                Answer::Sessions(_) | Answer::Done | Answer::Failed(_) => vec![SystemStop, TrackScrub],
            },
            Input::Shutdown | Input::Audio(_) | Input::Reported { .. } | Input::Looked(_) => vec![SystemStop],
            Input::Stored { .. }
            | Input::Media { .. }
            | Input::Account(_)
            | Input::Clock(_)
            | Input::LinkUp
            | Input::LinkDown => Vec::new(),
        };
        // A held button falls due with any input.
        if self.last_edge.is_some_and(|at| at + 5000 > self.now) {
            reasons.extend([UserNext, UserPrev, TrackScrub, UserStop]);
        }
        reasons
    }
}

/// What the oracle may look at: everything around the core, beside the oracle itself.
fn seen<'a>(
    now: u64,
    plan: &'a Plan,
    (input, reasons): (&'a Input, &'a [StopReason]),
    ledger: &'a Ledger,
    service: &'a Service,
) -> Seen<'a> {
    Seen {
        now,
        plan,
        input,
        reasons,
        ledger,
        service,
    }
}

/// An input in a line.
fn told(input: &Input) -> String {
    let keys = |entries: &[Entry]| {
        let keys: Vec<String> = entries.iter().map(|entry| entry.key.0.to_string()).collect();
        keys.join(" ")
    };
    if let Input::Answer { request, answer } = input {
        return match answer {
            Answer::Listed(entries) => format!("{request:?} listed [{}]", keys(entries)),
            Answer::Opened { session, entries } => format!("{request:?} opened {session:?} [{}]", keys(entries)),
            Answer::Sessions(_) | Answer::Done | Answer::Failed(_) => format!("{request:?} {answer:?}"),
        };
    }
    format!("{input:?}")
}

fn brief(effect: &Effect) -> String {
    if let Effect::Want(wishes) = effect {
        let list: Vec<String> = wishes
            .iter()
            .map(|wish| format!("{}@{}/{}", wish.entry.0, wish.slot.0, wish.attempt))
            .collect();
        return format!("Want[{}]", list.join(" "));
    }
    format!("{effect:?}")
}
