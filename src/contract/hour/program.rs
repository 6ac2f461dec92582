//! The program around the core: starts, loses its power, hands inputs in and carries effects out.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tonearm_core::event::Event;
use tonearm_core::id::Seq;
use tonearm_core::input::{Input, Mode, Press};
use tonearm_core::{Boot, Effect, OnElsewhere, Reach, Session, Settings};

use super::exchange::Job;
use super::world::{Check, Happening, PATIENCE, Program, World};
use crate::app::catalogue::Catalogue;
use crate::app::translate::{self, Stamp};
use crate::app::{self, Post};
use crate::commands::speaker;
use crate::contract::bench::EPOCH_MS;
use crate::journal::faulty::Remains;
use crate::journal::{Checkpoint, Journal, Outcome};

/// The journal's thread writes to memory; if it takes this long, it hangs.
const STORED_MAX: Duration = Duration::from_secs(20);
/// How long the board takes from power to the program.
const BOOT_MS: u64 = 15_000;
/// A file system on a card needs about this for an event.
const SYNC_MS: u64 = 8;

impl World {
    pub fn boot(&mut self) -> Check {
        if self.program.is_some() {
            return Ok(());
        }
        self.run += 1;
        self.boots += 1;
        let (post, mut news) = Post::new();
        let opened = Journal::open_on(
            Arc::clone(&self.disk) as Arc<_>,
            Path::new("memory"),
            post.callback(app::News::Stored),
        );
        let (journal, recovered) = opened.map_err(|error| error.to_string())?;
        let mut catalogue = Catalogue::new(vec![self.bench.album(); 3]);
        let closes = recovered.open.clone().map(|open| open.stop(recovered.next));
        let mut saved = self.saved.clone();
        let next = self
            .runtime
            .block_on(speaker::close_open_start(&journal, &recovered, &mut saved, &mut news));
        self.books.restarted(&recovered, closes)?;
        let boot = Boot {
            bookmark: speaker::bookmark(&saved, &mut catalogue),
            next,
            settled: recovered.settled,
        };
        self.saved = saved;
        self.note(&format!("---- boot {}: {boot:?}", self.boots));
        let settings = Settings {
            behind: 2,
            ahead: 10,
            load: tonearm_core::Load::default(),
            presets: [Mode::Play, Mode::Shuffle, Mode::Station].into_iter().collect(),
            buttons: heapless::Vec::new(),
            heartbeat: None,
            batch: self.hour.batch,
            elsewhere: OnElsewhere::Offer,
            seed: self.rng.next(),
        };
        if self.sign_in.credentials().is_none() {
            self.sign_in.start(&self.bench);
        }
        let credentials = self.sign_in.credentials();
        self.client = credentials.map(|credentials| self.bench.client_of(PATIENCE, credentials));
        let booted_at = self.now - BOOT_MS;
        let session = Session::new(settings, boot, tonearm_core::unit::Moment(BOOT_MS));
        self.program = Some(Program {
            session: Box::new(session),
            catalogue,
            journal,
            news,
            booted_at,
            has_left: false,
        });
        self.drain()
    }

    /// The plug is pulled: what was not synced is gone, and nobody says goodbye.
    pub fn cut_power(&mut self) -> Check {
        let Some(program) = self.program.take() else {
            return Ok(());
        };
        self.note("---- the power is cut");
        // In virtual time the journal has long written what it was given; in real time its thread may need a moment.
        program.journal.close().map_err(|error| error.to_string())?;
        self.sign_in.stop();
        self.client = None;
        self.disk = Arc::new(self.disk.after_power_cut(Remains::Half));
        self.stopped();
        self.enter(BOOT_MS, Happening::Boot);
        Ok(())
    }

    pub fn stopped(&mut self) {
        self.run += 1;
        self.audio.reset();
        self.loader.reset();
        self.dropouts.reset();
        self.jobs.clear();
        self.busy = false;
    }

    pub fn press(&mut self, press: Press) -> Check {
        let now = self.moment();
        let Some(program) = &self.program else {
            return Ok(());
        };
        match program.session.permits(press, now) {
            Ok(()) => self.count(format!("pressed {}", name_of(press))),
            Err(refusal) => {
                self.count(format!("refused {}", name_of(press)));
                self.count(format!("refused because {refusal:?}"));
            }
        }
        self.dropouts.expect_nothing();
        self.handle(Input::Press(press))
    }

    /// One input: the position heard first, because much depends on it; then the input; then what follows.
    pub fn handle(&mut self, input: Input) -> Check {
        let now = self.moment();
        let heard = self.heard().filter(|_| !matches!(input, Input::Audio(_)));
        let Some(program) = &mut self.program else {
            return Ok(());
        };
        if let Some(heard) = heard {
            program.session.handle(Input::Audio(heard), now);
            self.drain()?;
        }
        if input != Input::Tick {
            self.note(&format!("{input:?}"));
        }
        let Some(program) = &mut self.program else {
            return Ok(());
        };
        let before = program.session.view(now).reach;
        let answered = matches!(input, Input::Answer { .. });
        program.session.handle(input, now);
        self.drain()?;
        let Some(program) = &mut self.program else {
            return Ok(());
        };
        if answered {
            let session = &program.session;
            program.catalogue.retain(|key| session.holds(key));
        }
        if before == Reach::Down && program.session.view(now).reach == Reach::Up {
            self.loader.failures = 0;
            self.load_soon(0);
        }
        Ok(())
    }

    fn drain(&mut self) -> Check {
        while let Some(effect) = self.program.as_mut().and_then(|program| program.session.poll()) {
            self.obey(effect)?;
        }
        self.next_job()?;
        self.send_news();
        Ok(())
    }

    fn obey(&mut self, effect: Effect) -> Check {
        if !matches!(effect, Effect::Light(_) | Effect::Want(_) | Effect::Checkpoint { .. }) {
            self.note(&format!("    -> {effect:?}"));
        }
        let now = self.now;
        let moment = self.moment();
        let Some(program) = &mut self.program else {
            return Err(format!("{effect:?} after the speaker left"));
        };
        match effect {
            Effect::Call { request, call } => self.jobs.push_back(Job::Call(request, call)),
            Effect::Record(event) => return self.record(&event),
            Effect::Report { first, last } => self.jobs.push_back(Job::Report(first, last)),
            Effect::Settle { seq, accepted } => {
                let reason = || "refused by the service".to_owned();
                let outcome = if accepted {
                    Outcome::Accepted
                } else {
                    Outcome::SetAside { reason: reason() }
                };
                program.journal.settle(seq, outcome);
                self.books.settled(seq, accepted);
            }
            Effect::Checkpoint {
                start,
                position,
                played,
                rebuffers,
            } => program.journal.checkpoint(
                start,
                Checkpoint {
                    at: moment,
                    position,
                    played,
                    rebuffers,
                },
            ),
            Effect::Want(wishes) => self.want(&wishes),
            Effect::Play { play, entry, from, .. } => {
                self.dropouts.ordered(play, entry);
                self.dropouts.replaced();
                self.audio.play(play, entry, from, &[], now);
            }
            Effect::Follow { play, entry, .. } => {
                self.dropouts.ordered(play, entry);
                self.audio.follow(play, entry, now);
            }
            Effect::Unfollow => self.audio.unfollow(),
            Effect::Pause => self.audio.pause(&[], now),
            Effect::Resume => self.audio.resume(now),
            Effect::Silence => self.audio.silence(&[], now),
            Effect::Tell(notice) => self.count(format!("told {notice:?}")),
            Effect::Save(bookmark) => self.saved = translate::saved(bookmark, &program.catalogue),
            Effect::Exit => program.has_left = true,
            Effect::Volume(_) | Effect::Light(_) => {}
        }
        Ok(())
    }

    fn record(&mut self, event: &Event) -> Check {
        let Some(program) = &mut self.program else {
            return Ok(());
        };
        let wall_ms = EPOCH_MS + i64::try_from(program.booted_at + event.at.0).unwrap();
        let stamp = Stamp {
            boot: [self.boots; 16],
            wall_ms: Some(wall_ms),
            zone_minutes: 60,
        };
        let record = translate::record(event, stamp, &program.catalogue);
        self.books.recorded(&record)?;
        program.journal.append(record);
        let stored = self.stored(event.seq)?;
        let run = self.run;
        self.enter(SYNC_MS, Happening::Deliver { run, input: stored });
        Ok(())
    }

    /// Waits, in real time, for the journal's thread to have an event on its disk.
    fn stored(&mut self, seq: Seq) -> Result<Input, String> {
        let Some(program) = &mut self.program else {
            return Err("the program does not run".into());
        };
        loop {
            let news = async { tokio::time::timeout(STORED_MAX, program.news.recv()).await };
            match self.runtime.block_on(news) {
                Ok(Some(app::News::Stored(stored))) if stored.seq >= seq => {
                    self.books.stored(stored.seq);
                    let (seq, durable) = (stored.seq, stored.durable);
                    return Ok(Input::Stored { seq, durable });
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Err(format!("event {} is not stored", seq.0)),
            }
        }
    }
}

fn name_of(press: Press) -> &'static str {
    match press {
        Press::Play => "play",
        Press::Next => "next",
        Press::Previous => "previous",
        Press::VolumeUp | Press::VolumeDown => "volume",
        Press::Shuffle => "shuffle",
        Press::Loop => "loop",
        Press::ScrubForward | Press::ScrubBackward => "scrub",
        Press::Seek(_) => "seek",
        Press::Start { .. } => "start",
        Press::Preset(_) => "preset",
        Press::QueueNext(_) => "queue next",
        Press::QueueLast(_) => "queue last",
        Press::TakeOver => "take over",
    }
}
