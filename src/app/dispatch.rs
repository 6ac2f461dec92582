//! One effect, one call of an adapter.

use tonearm_core::Effect;
use tonearm_core::effect::{Call, Wish, Wishes};
use tonearm_core::event::Event;
use tonearm_core::id::{EntryKey, RequestId, Seq, SlotId};
use tonearm_core::input::{Failure, Verdict};
use tonearm_core::unit::Moment;

use super::translate::Stamp;
use super::{App, Exit, opened, presence, translate};
use crate::audio::{HeadKey, Preparation, Source};
use crate::cdm::Terms;
use crate::device::clock::{self, Trust};
use crate::journal::{Checkpoint, Outcome, Record};
use crate::media::Item;
use crate::service::EventReport;

impl App {
    pub(super) fn dispatch(&mut self, effect: Effect) {
        log::trace!("-> {effect:?}");
        match effect {
            Effect::Call { request, call } => self.call(request, call),
            Effect::Record(event) => self.record(&event),
            Effect::Report { first, last } => self.report(first, last),
            Effect::Settle { seq, accepted } => {
                let reason = || "refused by the service; the log of that moment has its words".to_owned();
                let outcome = if accepted {
                    Outcome::Accepted
                } else {
                    Outcome::SetAside { reason: reason() }
                };
                self.adapters.journal.settle(seq, outcome);
            }
            Effect::Checkpoint {
                start,
                position,
                played,
                rebuffers,
            } => {
                self.adapters.journal.checkpoint(
                    start,
                    Checkpoint {
                        at: clock::now(),
                        position,
                        played,
                        rebuffers,
                    },
                );
            }
            Effect::Want(wishes) => self.want(&wishes),
            Effect::Play {
                play,
                slot,
                entry,
                from,
            } => {
                if let Some(source) = self.source(slot, entry) {
                    self.adapters.engine.play(play, source, from);
                }
                // Behind the order: a log may be slow to take its line.
                let artist = self.catalogue.artist(entry).unwrap_or("(unknown)");
                log::info!("playing {:?} by {artist:?}", self.catalogue.title(entry));
            }
            Effect::Follow { play, slot, entry } => {
                if let Some(source) = self.source(slot, entry) {
                    self.adapters.engine.follow(play, source);
                }
            }
            Effect::Unfollow => self.adapters.engine.unfollow(),
            Effect::Pause => self.adapters.engine.pause(),
            Effect::Resume => self.adapters.engine.resume(),
            Effect::Silence => self.adapters.engine.silence(),
            Effect::Volume(volume) => self.adapters.engine.volume(volume),
            Effect::Light(scene) => self.adapters.lights.show(scene),
            Effect::Tell(notice) => {
                log::info!("{}", presence::told(notice));
                self.adapters.engine.chime(presence::sounded(notice));
            }
            Effect::Save(bookmark) => self.adapters.state.save(translate::saved(bookmark, &self.catalogue)),
            Effect::Exit => self.exit = Exit::Asked,
        }
    }

    fn call(&mut self, request: RequestId, call: Call) {
        let question = match translate::question(call, &self.catalogue) {
            Ok(question) => question,
            Err(failure) => return self.unasked(request, failure),
        };
        self.calls.insert(request, call);
        if self.adapters.service.call(request, question).is_err() {
            self.unasked(request, Failure::Unreachable);
        }
    }

    fn record(&mut self, event: &Event) {
        let reading = self.calendar.read();
        self.note_clock(&reading);
        let wall_ms = reading.wall_ms_of(event.at);
        let stamp = Stamp {
            boot: self.boot,
            wall_ms: (reading.trust == Trust::Synchronised).then_some(wall_ms),
            zone_minutes: clock::zone_minutes(wall_ms),
        };
        let record = translate::record(event, stamp, &self.catalogue);
        self.adapters.journal.append(record);
    }

    fn report(&mut self, first: Seq, last: Seq) {
        let events: Option<Vec<EventReport>> = (first.0..=last.0).map(|seq| self.event(Seq(seq))).collect();
        let Some(events) = events else {
            return self.unreported(last, Verdict::Refused);
        };
        if self.adapters.service.report(last, events).is_err() {
            self.unreported(last, Verdict::Failed(Failure::Unreachable));
        }
    }

    /// A stored event as it is reported.
    fn event(&mut self, seq: Seq) -> Option<EventReport> {
        let Some(record) = self.adapters.journal.read(seq) else {
            log::error!("event {} cannot be read back from the journal; it is set aside", seq.0);
            return None;
        };
        let wall_ms = record.wall_ms.unwrap_or_else(|| self.likely_wall_ms(&record));
        Some(translate::report(record, wall_ms))
    }

    /// Once the clock is known to be right, earlier events of this boot get their true time, too.
    fn note_clock(&mut self, reading: &clock::Reading) {
        if self.clock == Trust::Doubtful && reading.trust == Trust::Synchronised {
            self.clock = Trust::Synchronised;
            self.adapters
                .journal
                .clock_known(self.boot, reading.wall_ms_of(Moment(0)));
        }
    }

    /// The wall-clock time of an event whose boot never knew it. Of this boot: by the clock as it stands now. Of an
    /// earlier one only that it is past, so: now.
    fn likely_wall_ms(&mut self, record: &Record) -> i64 {
        let reading = self.calendar.read();
        if record.boot == self.boot {
            reading.wall_ms_of(record.at)
        } else {
            reading.wall_ms
        }
    }

    fn want(&mut self, wishes: &Wishes) {
        let item = |wish: &Wish| {
            let playable = &self.catalogue.known(wish.entry)?.playable;
            Some(Item {
                wish: *wish,
                url: playable
                    .stream
                    .as_ref()
                    .map(|stream| stream.url.clone())
                    .unwrap_or_default(),
                duration: playable.duration,
            })
        };
        let items: Vec<Item> = wishes.iter().filter_map(item).collect();
        self.adapters.library.want(&items);
        let before = std::mem::replace(&mut self.wishes, wishes.clone());
        self.has_new_wishes = true;
        self.renew_licences(&before);
    }

    /// Entries with a fresh address have a fresh one for their licence, too.
    fn renew_licences(&self, before: &Wishes) {
        let is_fresh = |wish: &&Wish| {
            let known = before.iter().find(|known| known.entry == wish.entry);
            known.is_some_and(|known| known.attempt != wish.attempt)
        };
        for wish in self.wishes.iter().filter(is_fresh) {
            if let Some(terms) = self.terms(wish.entry) {
                self.adapters.licences.renew(opened::owner(wish.entry), terms);
            }
        }
    }

    /// Lets the heads of what may be skipped to be decoded ahead, when the wishes changed: the next entry, the one before,
    /// the start of this one, then the others. Last of all that follows from an input, so that it keeps nobody waiting.
    pub(super) fn prepare(&mut self) {
        if !std::mem::take(&mut self.has_new_wishes) {
            return;
        }
        let (current, others) = self.wishes.split_at(self.wishes.len().min(1));
        let (near, far) = others.split_at(others.len().min(2));
        let preparation = |wish: &Wish| {
            let peek = self.adapters.library.peek(wish.slot)?;
            Some(Preparation {
                key: HeadKey(wish.entry.0),
                peek: Box::new(move || peek.open().map(opened::beginning)),
            })
        };
        let preparations = [near, current, far].into_iter().flatten();
        let preparations = preparations.filter_map(preparation).collect();
        self.adapters.engine.prepare(preparations);
    }

    fn source(&self, slot: SlotId, entry: EntryKey) -> Option<Source> {
        let opened = self.adapters.library.open(slot);
        if opened.is_none() {
            log::error!("slot {} is to be played and holds nothing", slot.0);
        }
        opened.map(|opened| Source {
            stream: opened::stream(opened.stream),
            hint: opened.hint,
            keys: Some(self.adapters.licences.keys(opened::owner(entry), self.terms(entry))),
            head: Some(HeadKey(entry.0)),
            cancel: opened.cancel,
        })
    }

    /// Where the licence of an entry is asked for, as the service said last.
    fn terms(&self, entry: EntryKey) -> Option<Terms> {
        let stream = self.catalogue.known(entry)?.playable.stream.as_ref()?;
        let licence = stream.licence.as_ref()?;
        Some(Terms {
            system: licence.drm.clone(),
            url: licence.url.clone(),
            headers: licence.headers.clone(),
        })
    }
}
