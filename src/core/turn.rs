//! After an outage the whole fleet comes back at once. What waited meanwhile goes out at this speaker's turn: a moment
//! drawn so that the requests of all of them stay a few times what the service knows from any other day.
//!
//! It only says when. Who presses a button, and whoever was cut off alone (the interface came up), has no turn to wait for.
//! docs/fleet.md derives the numbers and shows them at work.

use crate::limits::{
    OUTAGE_MS_LONG, OUTAGE_MS_MIN, REQUESTS_OF_A_START, TURN_MS_EACH, TURN_MS_EACH_AWAITED, TURN_MS_FIRST, TURN_MS_MAX,
};
use crate::link::Noise;
use crate::unit::{Millis, Moment};

/// When it is this speaker's turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Turn {
    /// There is nothing to wait for.
    #[default]
    Open,
    /// Not before this moment.
    At {
        at: Moment,
        /// The outage was so long that the sound of the whole fleet may wait for the service.
        strict: bool,
    },
    /// It came, and what waited is on its way: being told to slow down meanwhile does not end it.
    Taken,
}

/// What the service is still to be told and asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backlog {
    /// Requests that take the events that wait.
    pub(crate) reports: u64,
    /// Sound is wanted, and there is none without the service: somebody may wait for it.
    pub(crate) awaited: bool,
}

impl Turn {
    /// The moment that is, or was, waited for.
    pub(crate) fn at(self) -> Option<Moment> {
        match self {
            Self::At { at, .. } => Some(at),
            Self::Open | Self::Taken => None,
        }
    }

    /// The service answered after it had not for `outage`, if that is not zero.
    pub(crate) fn answered(&mut self, outage: Millis, backlog: Backlog, noise: &mut Noise, now: Moment) {
        let patience = match self {
            Self::Taken => OUTAGE_MS_LONG,
            Self::Open | Self::At { .. } if backlog.awaited => OUTAGE_MS_LONG,
            Self::Open | Self::At { .. } => OUTAGE_MS_MIN,
        };
        if outage >= patience {
            *self = Self::At {
                at: now + wait(backlog, noise.next()),
                strict: outage >= OUTAGE_MS_LONG,
            };
        } else if self.at().is_some_and(|at| at <= now) {
            *self = Self::Taken;
        }
    }

    /// What waits is looked at anew. Where the fleet still plays on its own, the few whose sound waits go first.
    pub(crate) fn weigh(&mut self, backlog: Backlog) {
        let is_over = match *self {
            Self::At { strict: false, .. } => backlog.awaited,
            Self::Taken => backlog.reports == 0,
            Self::At { strict: true, .. } | Self::Open => false,
        };
        if is_over {
            *self = Self::Open;
        }
    }
}

/// How long after the first answer. The more waits, the longer, so that the service sees the same rate whatever the outage
/// was; early moments are a little more likely, because those who had their turn ask as on any other day from then on.
fn wait(backlog: Backlog, noise: u64) -> Millis {
    const WHOLE: u64 = 1 << 16;
    let (each, calls) = if backlog.awaited {
        (TURN_MS_EACH_AWAITED, REQUESTS_OF_A_START)
    } else {
        (TURN_MS_EACH, 1)
    };
    let requests = backlog.reports.saturating_add(calls);
    let longest = requests.saturating_mul(each.0.into()).min(TURN_MS_MAX.0.into());
    let part = noise % (WHOLE + 1);
    // 3u / (4 - u) for u from 0 to 1.
    let wait = longest.saturating_mul(3 * part) / (4 * WHOLE - part);
    TURN_MS_FIRST.saturating_add(Millis(u32::try_from(wait).unwrap_or(TURN_MS_MAX.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYING: Backlog = Backlog {
        reports: 10,
        awaited: false,
    };
    const SILENT: Backlog = Backlog {
        awaited: true,
        ..PLAYING
    };

    impl Turn {
        fn is_due(self, now: Moment) -> bool {
            self.at().is_none_or(|at| at <= now)
        }
    }

    fn answered(turn: &mut Turn, outage: Millis, backlog: Backlog, now: Moment) {
        turn.answered(outage, backlog, &mut Noise::new(7), now);
    }

    fn after(outage: Millis, backlog: Backlog) -> Turn {
        let mut turn = Turn::default();
        answered(&mut turn, outage, backlog, Moment(0));
        turn
    }

    #[test]
    fn a_short_drop_makes_nobody_wait() {
        let nearly = OUTAGE_MS_MIN.saturating_sub(Millis(1));
        assert!(after(nearly, PLAYING).is_due(Moment(0)));
        assert!(!after(OUTAGE_MS_MIN, PLAYING).is_due(Moment(0)));
    }

    #[test]
    fn whose_sound_waits_has_no_turn_to_wait_for_until_that_may_be_the_whole_fleet() {
        let nearly = OUTAGE_MS_LONG.saturating_sub(Millis(1));
        assert!(after(nearly, SILENT).is_due(Moment(0)));
        assert!(!after(OUTAGE_MS_LONG, SILENT).is_due(Moment(0)));
    }

    #[test]
    fn a_speaker_that_falls_silent_before_its_turn_need_not_wait_after_a_shorter_outage_only() {
        for (outage, is_due) in [(OUTAGE_MS_MIN, true), (OUTAGE_MS_LONG, false)] {
            let mut turn = after(outage, PLAYING);
            turn.weigh(SILENT);
            assert_eq!(turn.is_due(Moment(0)), is_due);
        }
    }

    #[test]
    fn waits_grow_with_what_waits_and_end() {
        let longest = |reports| wait(Backlog { reports, ..PLAYING }, 1 << 16);
        assert_eq!(longest(0), TURN_MS_FIRST.saturating_add(TURN_MS_EACH));
        assert_eq!(longest(9).0 - TURN_MS_FIRST.0, TURN_MS_EACH.0 * 10);
        assert_eq!(longest(u64::MAX), TURN_MS_FIRST.saturating_add(TURN_MS_MAX));
        assert_eq!(wait(PLAYING, 0), TURN_MS_FIRST, "the earliest");
    }

    #[test]
    fn being_slowed_down_does_not_end_a_turn_that_came() {
        let mut turn = after(OUTAGE_MS_MIN, PLAYING);
        let at = turn.at().unwrap();
        answered(&mut turn, Millis::ZERO, PLAYING, at);
        answered(&mut turn, OUTAGE_MS_LONG.saturating_sub(Millis(1)), PLAYING, at);
        assert!(turn.is_due(at));
    }

    #[test]
    fn another_outage_before_the_turn_draws_another_turn() {
        let mut turn = after(OUTAGE_MS_MIN, PLAYING);
        let later = turn.at().unwrap() + OUTAGE_MS_MIN;
        answered(&mut turn, OUTAGE_MS_MIN, PLAYING, later);
        assert!(turn.at() >= Some(later + TURN_MS_FIRST));
    }

    #[test]
    fn the_next_outage_after_all_is_through_is_a_new_one() {
        let mut turn = after(OUTAGE_MS_MIN, PLAYING);
        let at = turn.at().unwrap();
        answered(&mut turn, Millis::ZERO, PLAYING, at);
        turn.weigh(Backlog { reports: 0, ..PLAYING });
        answered(&mut turn, OUTAGE_MS_MIN, PLAYING, at);
        assert!(!turn.is_due(at));
    }
}
