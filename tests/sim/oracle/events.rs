//! What must hold for the events: pairs, moments, positions, reasons, and the service's order.

use std::collections::BTreeSet;

use super::{BOUNCE_MS, Check, Oracle, POSITION_SLACK_MS, Rule, STEP_WAITS_MS_MAX, Seen, near};
use tonearm_core::event::{Event, StopReason, What};
use tonearm_core::id::EntryKey;
use tonearm_core::input::{AudioNews, Input, Press};

impl Oracle {
    pub(super) fn record(&mut self, event: &Event, world: &Seen<'_>) -> Check {
        if event.seq != world.ledger.next() {
            return Rule::NoReuse.broken(format!(
                "{:?} recorded, {:?} comes next",
                event.seq,
                world.ledger.next()
            ));
        }
        if event.at < self.last_at || event.at.0 > world.now {
            return Rule::Truth.broken(format!("{event:?} is out of time"));
        }
        self.last_at = event.at;
        match event.what {
            What::Start { .. } => self.started(event, world),
            What::Stop { .. } => self.stopped(event, world),
        }
    }

    pub(super) fn started(&mut self, event: &Event, world: &Seen<'_>) -> Check {
        if let Some(open) = self.open.replace(*event) {
            return Rule::Pairing.broken(format!("{event:?} while {open:?} is open"));
        }
        *self.reasons.entry("start").or_default() += 1;
        self.place_start(event, world)?;
        let (from, before) = (self.last_start.replace(*event), self.start_before);
        self.start_before = from;
        // What began by itself while an answer was under way follows the order before that answer.
        let raced = self.last_span_ms <= 2 * world.plan.news_ms;
        let version = if raced {
            self.version_at_start.min(self.version_before)
        } else {
            self.version_at_start
        };
        let former = self
            .former_version
            .filter(|(session, _, until)| *session == event.session && until + 2 * world.plan.news_ms >= world.now);
        let version = former.map_or(version, |(_, former, _)| version.min(former));
        self.version_before = self.version_at_start;
        self.version_at_start = self.known_version.get(&event.session).copied().unwrap_or(0);
        let fresh_run = std::mem::take(&mut self.fresh_run);
        // A press may have been made just before the last start was reported, or have waited for the service to list it.
        let mut waited = false;
        if let Input::Audio(AudioNews::Began { play, .. } | AudioNews::Failed { play }) = world.input {
            waited = self.stepped_by_answer.take_if(|stepped| *stepped <= *play).is_some();
        }
        let before_reports = from.map_or(0, |from| from.at.0.saturating_sub(2 * world.plan.news_ms + BOUNCE_MS));
        let since = match from {
            Some(_) if waited => before_reports.min(event.at.0.saturating_sub(STEP_WAITS_MS_MAX)),
            Some(_) | None => before_reports,
        };
        let count = |wanted: Press| {
            let fits = |(at, press): &&(u64, Press)| *at >= since && *press == wanted;
            self.presses.iter().filter(fits).count()
        };
        let presses = (count(Press::Next), count(Press::Previous));
        // No later start looks further back.
        let looks_back = STEP_WAITS_MS_MAX + 2 * world.plan.news_ms + BOUNCE_MS;
        self.presses.retain(|(at, _)| at + looks_back >= event.at.0);
        let from_service = world
            .service
            .current(event.session)
            .filter(|_| fresh_run)
            .is_some_and(|current| {
                current == event.entry
                    || world
                        .service
                        .may_follow(event.session, current, event.entry, presses, 0)
            });
        // Where the service believes playing is can always be started.
        if from_service || world.service.current(event.session) == Some(event.entry) {
            return Ok(());
        }
        let Some(from) = from.filter(|from| from.session == event.session) else {
            self.version_at_start = 0;
            let first = world.service.first(event.session);
            let fits =
                |first| first == event.entry || world.service.may_follow(event.session, first, event.entry, presses, 0);
            return if first.is_some_and(fits) {
                Ok(())
            } else {
                Rule::ServiceDecides.broken(format!("{event:?} is not where its session begins"))
            };
        };
        let follows = |from: EntryKey| {
            from == event.entry
                || world
                    .service
                    .may_follow(event.session, from, event.entry, presses, version)
        };
        // A step starts from the entry that was current, whether that had sounded or not. What began by itself while a
        // press was under way is not where the press came from.
        let ordered = std::mem::take(&mut self.ordered);
        let passed = ordered.into_iter().filter(|entry| *entry != event.entry);
        let before = before
            .filter(|before| raced && before.session == event.session)
            .map(|before| before.entry);
        if passed.chain(before).chain([from.entry]).any(follows) || was_just_played(event, presses.1, world) {
            return Ok(());
        }
        Rule::ServiceDecides.broken(format!(
            "{:?} after {:?} with (next, previous) pressed {presses:?}: not the service's order",
            event.entry, from.entry
        ))
    }

    pub(super) fn stopped(&mut self, event: &Event, world: &Seen<'_>) -> Check {
        let What::Stop {
            reason,
            played,
            progress,
            ..
        } = event.what
        else {
            return Ok(());
        };
        let Some(open) = self
            .open
            .take()
            .filter(|open| open.entry == event.entry && open.session == event.session)
        else {
            return Rule::Pairing.broken(format!("{event:?} without a start"));
        };
        let What::Start { offset } = open.what else {
            return Ok(());
        };
        self.last_span_ms = event.at.since(open.at).0.into();
        near(
            i64::from(progress.0),
            i64::from(offset.0) + i64::from(played.0),
            "stop's progress",
        )?;
        if let Some((_, noted)) = self.noted.filter(|(start, _)| *start == open.seq) {
            let goes_back = i64::from(progress.0) + POSITION_SLACK_MS < i64::from(noted.0);
            Rule::Monotone.holds(!goes_back, || format!("{event:?} after a checkpoint at {noted:?}"))?;
        }
        let name = match reason {
            StopReason::TrackFinished => "trackFinished",
            StopReason::UserStop => "userStop",
            StopReason::UserNext => "userNext",
            StopReason::UserPrev => "userPrev",
            StopReason::TrackScrub => "trackScrub",
            StopReason::SystemStop => "systemStop",
        };
        *self.reasons.entry(name).or_default() += 1;
        let unheard = matches!(world.input, Input::Audio(AudioNews::Failed { .. })) && played.0 == 0;
        let fits = if matches!(world.input, Input::Audio(AudioNews::Ended { .. })) {
            world.reasons.contains(&reason)
        } else {
            unheard && reason == StopReason::SystemStop
        };
        // A heartbeat falls due with any input.
        let beats = world.plan.heartbeat.is_some() && reason == StopReason::SystemStop;
        // An entry that begins by itself just before it is skipped to starts once more; it was not left.
        let again = reason == StopReason::SystemStop && self.last_span_ms <= 2 * world.plan.news_ms;
        // Of three presses that outrun the reports only the first and the last can be told apart.
        let since = world.now.saturating_sub(2 * world.plan.news_ms + 50);
        let outrun = self.presses.iter().filter(|(at, _)| *at >= since).count() >= 3
            && world.reasons.contains(&StopReason::UserStop);
        let fits = fits || outrun || again || beats;
        if fits {
            Ok(())
        } else {
            Rule::Truth.broken(format!("{event:?}: the reason should be one of {:?}", world.reasons))
        }
    }
}

/// Going back leads along what was played, whatever became of the order of the queue since.
fn was_just_played(event: &Event, back: usize, world: &Seen<'_>) -> bool {
    let starts = world.ledger.entries().rev().map(|record| record.event);
    let mut played = starts.filter(|start| matches!(start.what, What::Start { .. }) && start.session == event.session);
    let mut distinct = BTreeSet::new();
    back > 0
        && played.any(|start| {
            distinct.insert(start.entry);
            distinct.len() > back + 2 || start.entry == event.entry
        })
        && distinct.len() <= back + 2
}
