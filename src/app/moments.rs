//! The loop and the clock: stamps events, waits for the clock where it is to be set, gives dates to what had none.
//! When is decided in `timing`, which date in `dating`.

use tonearm_core::event::Event;
use tonearm_core::id::RequestId;
use tonearm_core::input::Clock;
use tonearm_core::unit::Moment;

use super::dating::Reckoned;
use super::timing::{Known, Source, Step};
use super::translate::{self, Stamp};
use super::{App, Input};
use crate::device::clock::{self, Reading, Trust};
use crate::journal::{Record, ZONE_UNKNOWN};
use crate::service::{EventReport, Question};

/// The question whose answer only has to say what time it is. The session counts its requests from 1 up.
pub(super) const REQUEST: RequestId = RequestId(u32::MAX - 1);

impl App {
    /// Says how it stands with the clock at the start.
    pub(super) fn begin_timing(&mut self) {
        let reading = self.calendar.read();
        if reading.trust == Trust::Doubtful {
            let from = self.backlog.first().unwrap_or(self.next).min(self.next);
            self.adapters.service.tell_time(true);
            log::info!("the clock is not set yet; what is to be reported waits for it");
            self.handle(Input::Clock(Clock::Awaited { from }));
        }
        self.look_at_clock();
    }

    /// Looks whether the clock was set, when it is time to.
    pub(super) fn look_at_clock(&mut self) {
        if self.timing.deadline().is_some_and(|at| at <= clock::now()) {
            let reading = self.calendar.read();
            self.look_with(&reading);
        }
    }

    fn look_with(&mut self, reading: &Reading) {
        match self.timing.look(reading) {
            Step::Wait => {}
            Step::Known(known) => self.time_is_known(known),
            Step::Ask => {
                if self.adapters.service.call(REQUEST, Question::Active).is_err() {
                    log::debug!("the service is not asked for the time: too much waits already");
                }
            }
        }
    }

    /// Every event without a date gets one, durably, so that a repeated report is the same.
    fn time_is_known(&mut self, known: Known) {
        self.adapters.service.tell_time(false);
        match known.source {
            Source::Clock => log::debug!("the clock is set"),
            Source::Service => log::warn!(
                "no time service sets the clock; events are dated by the service's answers, to the second. Does this \
                 network let NTP (UDP port 123) through?"
            ),
            Source::Doubtful => log::warn!(
                "no time service sets the clock, and the service does not say what time it is; events are dated by \
                 this device's clock as it is"
            ),
        }
        self.adapters.journal.clock_known(self.boot, known.began_ms);
        for reckoned in self.backlog.reckon(self.boot, known.began_ms) {
            let Reckoned {
                boot,
                epoch_ms,
                late_ms_max,
            } = reckoned;
            let late = late_ms_max.map_or("an unknown time".to_owned(), |late| format!("{} s", late / 1_000));
            log::warn!(
                "events of an earlier run that never knew the time are dated at the latest they can have happened; \
                 they may have happened {late} earlier"
            );
            self.adapters.journal.clock_known(boot, epoch_ms);
        }
        // Not at once: this may be in the middle of what follows from another input.
        self.own.push(Input::Clock(Clock::Known));
    }

    pub(super) fn record(&mut self, event: &Event) {
        let reading = self.calendar.read();
        let is_known = reading.trust == Trust::Synchronised;
        if is_known && self.timing.is_waiting() {
            self.look_with(&reading);
        }
        let wall_ms = is_known.then(|| reading.wall_ms_of(event.at));
        let stamp = Stamp {
            boot: self.boot,
            wall_ms,
            zone_minutes: wall_ms.map_or(ZONE_UNKNOWN, clock::zone_minutes),
        };
        let record = translate::record(event, stamp, &self.catalogue);
        self.adapters.journal.append(record);
    }

    /// A stored event as it is reported.
    pub(super) fn dated(&mut self, mut record: Record) -> EventReport {
        let wall_ms = record.wall_ms.unwrap_or_else(|| self.likely_wall_ms(&record));
        if record.zone_minutes == ZONE_UNKNOWN {
            record.zone_minutes = clock::zone_minutes(wall_ms);
        }
        translate::report(record, wall_ms)
    }

    /// The date of an event that has none although none is awaited any more: more boots than are told apart never knew
    /// the time. Of this boot by the clock as it is; of an earlier one, when this one began.
    fn likely_wall_ms(&mut self, record: &Record) -> i64 {
        let reading = self.calendar.read();
        let is_present = record.boot == self.boot;
        reading.wall_ms_of(if is_present { record.at } else { Moment(0) })
    }
}
