//! One effect, one call of an adapter.

use tonearm_core::Effect;
use tonearm_core::effect::{Bookmark, Call, Wishes};
use tonearm_core::event::{Claim, Event};
use tonearm_core::id::{RequestId, Seq, SlotId};
use tonearm_core::input::{Failure, Verdict};
use tonearm_core::unit::Moment;

use super::{App, Exit, presence, translate};
use crate::audio::Source;
use crate::device::clock::{self, Trust};
use crate::journal::{Checkpoint, Outcome, Record};
use crate::media::Item;
use crate::service::EventReport;
use crate::state::{Saved, SavedPlace};

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
                let artist = self.catalogue.artist(entry).unwrap_or("(unknown)");
                log::info!("playing {:?} by {artist:?}", self.catalogue.title(entry));
                if let Some(source) = self.source(slot) {
                    self.adapters.engine.play(play, source, from);
                }
            }
            Effect::Follow { play, slot, .. } => {
                if let Some(source) = self.source(slot) {
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
                log::warn!("{}", presence::told(notice));
                self.adapters.engine.chime(presence::sounded(notice));
            }
            Effect::Save(bookmark) => self.save(bookmark),
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
        let session = self
            .catalogue
            .session_name(event.session)
            .unwrap_or_default()
            .to_owned();
        let known = self.catalogue.known(event.entry).map(|known| &known.playable);
        self.adapters.journal.append(Record {
            seq: event.seq,
            boot: self.boot,
            at: event.at,
            wall_ms: (reading.trust == Trust::Synchronised).then_some(wall_ms),
            zone_minutes: clock::zone_minutes(wall_ms),
            session,
            reference: known.map(|playable| playable.reference.clone()).unwrap_or_default(),
            metric_id: known.and_then(|playable| playable.metric_id.clone()),
            initial_delay: event.initial_delay,
            what: event.what,
            claim: event.claim,
        });
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
        Some(EventReport {
            wall_ms: record.wall_ms.unwrap_or_else(|| self.likely_wall_ms(&record)),
            zone: zone(record.zone_minutes),
            session: record.session,
            reference: record.reference,
            metric_id: record.metric_id,
            initial_delay: record.initial_delay,
            take_over: record.claim == Claim::TakesOver,
            what: record.what,
        })
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
        let item = |wish: &tonearm_core::effect::Wish| {
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
    }

    fn source(&self, slot: SlotId) -> Option<Source> {
        let opened = self.adapters.library.open(slot);
        if opened.is_none() {
            log::error!("slot {} is to be played and holds nothing", slot.0);
        }
        opened.map(|opened| Source {
            stream: Box::new(opened.reader),
            hint: opened.hint,
            cancel: opened.cancel,
        })
    }

    fn save(&mut self, bookmark: Bookmark) {
        let place = bookmark.place.and_then(|place| {
            let known = &self.catalogue.known(place.entry)?.playable;
            Some(SavedPlace {
                session: self.catalogue.session_name(place.session)?.to_owned(),
                reference: known.reference.clone(),
                metric_id: known.metric_id.clone(),
                position_ms: place.position.0,
            })
        });
        self.adapters.state.save(Saved {
            place,
            playing: bookmark.playing,
            volume: bookmark.volume,
            shuffle: bookmark.shuffle,
            looping: bookmark.looping,
        });
    }
}

/// An offset from UTC as the service writes it: `+01:00`.
fn zone(minutes: i16) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::zone;

    #[test]
    fn a_zone_is_written_with_sign_hours_and_minutes() {
        assert_eq!(zone(0), "+00:00");
        assert_eq!(zone(-480), "-08:00");
        assert_eq!(zone(345), "+05:45");
        assert_eq!(zone(-30), "-00:30");
    }
}
