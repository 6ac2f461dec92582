//! Loading what the core wishes for, and reports of the audio path on their way.

use super::{Check, Happening, World};
use crate::audio::Medium;
use tonearm_core::effect::Wishes;
use tonearm_core::id::EntryKey;
use tonearm_core::input::{Input, MediaFault};

impl World {
    pub(super) fn want(&mut self, wishes: Wishes) {
        for wish in &wishes {
            let length_ms = self.service.length_ms(wish.entry);
            let (rng, plan) = (&mut self.rng, &self.plan);
            let medium = self.audio.media.entry(wish.entry).or_insert_with(|| Medium {
                length_ms,
                corrupt: rng.chance(plan.corrupt),
                broken_at: rng.chance(plan.broken).then(|| rng.between(0, length_ms - 1)),
                stalls: if rng.chance(plan.stalls) {
                    vec![
                        (rng.between(0, length_ms - 1), rng.between(10, 8000)),
                        (rng.between(0, length_ms - 1), rng.between(10, 500)),
                    ]
                } else {
                    Vec::new()
                },
                expired: if rng.chance(plan.expired) {
                    u8::try_from(rng.between(1, 2)).unwrap()
                } else {
                    0
                },
                load_ms: rng.between(plan.load_ms.0, plan.load_ms.1),
                loaded_ms: 0,
            });
            let before = self.wishes.iter().find(|before| before.entry == wish.entry);
            if before.is_none_or(|before| before.attempt != wish.attempt) {
                self.fetches += 1;
                let happening = Happening::Loaded {
                    run: self.run,
                    slot: wish.slot.0,
                    entry: wish.entry,
                    attempt: wish.attempt,
                    serial: self.fetches,
                };
                let after = medium.load_ms;
                self.enter(after, happening);
            }
        }
        let left = self
            .wishes
            .iter()
            .filter(|before| !wishes.iter().any(|wish| wish.entry == before.entry));
        for wish in left {
            if let Some(medium) = self.audio.media.get_mut(&wish.entry) {
                medium.loaded_ms = 0;
            }
        }
        self.wishes = wishes;
    }

    pub(super) fn loaded(&mut self, slot: u8, entry: EntryKey, attempt: u8, serial: u64) -> Check {
        let wished = self
            .wishes
            .iter()
            .any(|wish| wish.entry == entry && wish.slot.0 == slot && wish.attempt == attempt);
        if !wished {
            return Ok(());
        }
        if !self.net_up {
            let run = self.run;
            self.enter(
                500,
                Happening::Loaded {
                    run,
                    slot,
                    entry,
                    attempt,
                    serial,
                },
            );
            return Ok(());
        }
        let Some(medium) = self.audio.media.get_mut(&entry) else {
            return Ok(());
        };
        if attempt < medium.expired {
            self.stats.count("expired addresses");
            let (slot, fault) = (tonearm_core::id::SlotId(slot), MediaFault::Expired);
            return self.handle(&Input::Media { slot, entry, fault }, &[], None);
        }
        medium.loaded_ms = medium.length_ms;
        if serial < self.fetched {
            self.stats.count("fetches that were overtaken");
        }
        self.fetched = self.fetched.max(serial);
        self.audio.run(self.now);
        self.send_news();
        Ok(())
    }

    /// Gives each new report of the audio path its moment of arrival, in order.
    pub(super) fn send_news(&mut self) {
        for _ in self.news_under_way..self.audio.news.len() {
            let at = (self.now + self.rng.between(0, self.plan.news_ms)).max(self.last_news);
            self.last_news = at;
            let run = self.run;
            self.enter(at - self.now, Happening::NewsDue { run });
            self.news_under_way += 1;
        }
    }
}
