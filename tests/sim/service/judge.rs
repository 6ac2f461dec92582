//! What the service takes and what it should never have been sent.

use super::{QUEUE_MAX, Service, Shape};
use crate::journal::Record;
use crate::ledger::{Entry as Recorded, Ledger};
use crate::plan::Tier;
use crate::rng::Rng;
use crate::rule::{Broken, Check, Rule};
use tonearm_core::entry::Kind;
use tonearm_core::event::{Claim, StopReason, What};
use tonearm_core::id::{EntryKey, SessionKey};
use tonearm_core::input::{Failure, Verdict};

impl Service {
    /// Takes events that came in one piece, all of them or none. `Err`: they should not have been sent.
    pub fn events(
        &mut self,
        records: &[Recorded],
        ledger: &Ledger,
        shape: &Shape,
        rng: &mut Rng,
    ) -> Result<Verdict, Broken> {
        if !self.linked {
            return Ok(Verdict::Failed(Failure::Unauthorised));
        }
        let mut taken = self.taken;
        for record in records {
            let known = self.seen.contains_key(&record.uid);
            let claims = record.event.claim == Claim::TakesOver;
            let start = matches!(record.event.what, What::Start { .. });
            if taken && !claims && !known && (start || shape.strict) {
                return Ok(Verdict::Failed(Failure::TakenOver));
            }
            taken &= !claims;
        }
        for record in records {
            self.event(record, ledger, shape, rng)?;
        }
        Ok(Verdict::Accepted)
    }

    /// Takes one event. `Err`: it should not have been sent.
    fn event(&mut self, record: &Recorded, ledger: &Ledger, shape: &Shape, rng: &mut Rng) -> Check {
        if let Some(first) = self.seen.get(&record.uid) {
            if !is_repeat(&first.record, &record.record) {
                return Rule::NoLoss.broken(format!("{:?} was repeated as {:?}", first.record, record.record));
            }
            if !ledger.repeatable.contains(&record.uid) {
                return Rule::Dedup.broken(format!(
                    "event {:?} was sent again although its answer arrived",
                    record.event.seq
                ));
            }
            self.repeats += 1;
            return Ok(());
        }
        if record.uid < self.last_seen && ledger.repeatable.contains(&record.uid) {
            // It was refused, and a kill made the speaker forget that.
            self.seen.insert(record.uid, record.clone());
            return Ok(());
        }
        if record.uid < self.last_seen {
            return Rule::Order.broken(format!("event {:?} came after a later one", record.event.seq));
        }
        let expected =
            (self.last_seen + 1..record.uid).find(|uid| !ledger.lost.contains(uid) && !ledger.set_aside.contains(uid));
        if let Some(missing) = expected {
            return Rule::NoLoss.broken(format!(
                "event with uid {missing} was passed over by {:?}",
                record.event.seq
            ));
        }
        self.pair(record, ledger)?;
        let event = record.event;
        if event.claim == Claim::TakesOver {
            self.give_stream_back();
            if self.is_foreign(event.session) {
                self.other = None;
            }
        }
        self.seen.insert(record.uid, record.clone());
        self.last_seen = record.uid;
        self.processed += 1;
        match event.what {
            What::Start { .. } => self.started(event.session, event.entry, shape, rng)?,
            What::Stop { reason, .. } => self.stopped(event.entry, reason)?,
        }
        Ok(())
    }

    /// Starts and stops arrive in turn, but for those that were refused, or lost with the memory of a disk that failed.
    fn pair(&mut self, record: &Recorded, ledger: &Ledger) -> Check {
        let is_excused =
            (self.last_seen..record.uid).any(|uid| ledger.set_aside.contains(&uid) || ledger.lost.contains(&uid));
        let open = self.open.take();
        let fits = match record.event.what {
            What::Start { .. } => {
                self.open = Some(record.uid);
                open.is_none()
            }
            What::Stop { .. } => open.is_some(),
        };
        Rule::Pairing.holds(fits || is_excused, || {
            format!("{:?} arrived after {open:?} ({})", record.event, self.last_seen)
        })
    }

    fn started(&mut self, session: SessionKey, entry: EntryKey, shape: &Shape, rng: &mut Rng) -> Check {
        let Some(queue) = self.queues.get_mut(&session.0) else {
            return Rule::Truth.broken(format!("start in the unknown session {session:?}"));
        };
        let Some(at) = queue.order.iter().position(|key| *key == entry.0) else {
            return Rule::Truth.broken(format!("{entry:?} is not of {session:?}"));
        };
        queue.at = at;
        if self.tier == Tier::Free && queue.order.len() < QUEUE_MAX && rng.chance(shape.injected) {
            self.last_entry += 1;
            let key = self.last_entry;
            self.kinds.insert(key, (Kind::Ad, rng.between(500, 15_000)));
            queue.order.insert(at + 1, key);
            queue.versions.push(queue.order.clone());
        }
        Ok(())
    }

    fn stopped(&mut self, entry: EntryKey, reason: StopReason) -> Check {
        if reason != StopReason::UserNext {
            return Ok(());
        }
        if self.is_ad(entry) {
            return Rule::Skips.broken(format!("the advertisement {entry:?} was skipped"));
        }
        if self.tier != Tier::Unlimited {
            if self.skips_left == 0 {
                return Rule::Skips.broken(format!("{entry:?} was skipped beyond the limit"));
            }
            self.skips_left -= 1;
        }
        Ok(())
    }
}

/// Byte for byte the same, but that the time may have become known in between - or be forgotten, where it became known by a
/// clock that the journal could not store any more.
fn is_repeat(first: &Record, again: &Record) -> bool {
    let undated = |record: &Record| Record {
        wall_ms: None,
        ..record.clone()
    };
    let is_dated_alike = first.wall_ms.is_none() || again.wall_ms.is_none() || first.wall_ms == again.wall_ms;
    is_dated_alike && undated(first) == undated(again)
}
