//! What each happening does.

use super::{Check, End, Happening, Telling, World};
use crate::audio::News;
use crate::disk::Health;
use tonearm_core::id::ButtonId;
use tonearm_core::input::Input;
use tonearm_core::unit::Moment;

impl World {
    pub(super) fn happen(&mut self, happening: Happening) -> Check {
        match happening {
            Happening::Deliver {
                run,
                input,
                learned,
                frees_worker,
            } if run == self.run => {
                if frees_worker {
                    self.worker_busy = false;
                }
                self.handle(&input, &[], learned)?;
                self.next_job();
            }
            Happening::NewsDue { run } if run == self.run => {
                self.news_under_way -= 1;
                if let Some(News { news, reasons }) = self.audio.news.pop_front() {
                    self.handle(&Input::Audio(news), &reasons, None)?;
                }
            }
            Happening::ServiceHandles { run, job, fate } => self.service_handles(run, &job, &fate)?,
            Happening::Write { run } if run == self.run => self.write(),
            Happening::Held { run, first, last } if run == self.run => {
                self.report(first, last)?;
                self.next_job();
            }
            Happening::Retry { run } if run == self.run => {
                self.retries = false;
                self.write();
            }
            Happening::Ended { run } if run == self.run => {
                if let Some(end) = self.doom.take() {
                    self.end(end);
                }
            }
            // The small file is replaced as a whole, or not.
            Happening::Saved { run, bookmark } if run == self.run => {
                if self.disk.is_good() {
                    self.ledger.bookmark = bookmark;
                }
            }
            Happening::Loaded {
                run,
                slot,
                entry,
                attempt,
                serial,
            } if run == self.run => self.loaded(slot, entry, attempt, serial)?,
            Happening::Deliver { .. }
            | Happening::NewsDue { .. }
            | Happening::Write { .. }
            | Happening::Held { .. }
            | Happening::Retry { .. }
            | Happening::Ended { .. }
            | Happening::Saved { .. }
            | Happening::Loaded { .. } => {}
            Happening::Press(_)
            | Happening::Edge(..)
            | Happening::Net(_)
            | Happening::Device(_)
            | Happening::Disk(_)
            | Happening::Kill
            | Happening::PowerCut
            | Happening::Shutdown
            | Happening::Boot
            | Happening::ClockTrusted(_)
            | Happening::Expiry
            | Happening::Edited
            | Happening::Takeover(_)
            | Happening::Lapse
            | Happening::Account(_)
            | Happening::Told(_)
            | Happening::RefillSkips => self.trouble(&happening)?,
        }
        Ok(())
    }

    fn trouble(&mut self, happening: &Happening) -> Check {
        match *happening {
            Happening::Press(press) => {
                self.stats.count("presses");
                let now = Moment(self.now);
                if self
                    .session
                    .as_ref()
                    .is_some_and(|session| session.permits(press, now).is_err())
                {
                    self.stats.count("presses that cannot be");
                }
                self.hear()?;
                self.handle(&Input::Press(press), &[], None)?;
            }
            Happening::Edge(button, contact) => {
                self.stats.count("edges");
                self.last_edge = Some(self.now);
                self.hear()?;
                let button = ButtonId(button);
                self.handle(&Input::Edge { button, contact }, &[], None)?;
            }
            Happening::Net(up) => {
                self.stats.count("net changes");
                self.net_up = up;
                // The interface does not always know that the network beyond it is gone.
                if self.rng.chance(600) {
                    self.handle(&if up { Input::LinkUp } else { Input::LinkDown }, &[], None)?;
                }
            }
            Happening::Device(works) => {
                self.stats.count("device changes");
                self.audio.device(works, self.now);
                self.send_news();
            }
            Happening::Disk(health) => {
                note!(self, "{} ---- the disk is {health:?}", self.now);
                match health {
                    Health::Good => {}
                    Health::Full => self.stats.count("disk full"),
                    Health::ReadOnly => self.stats.count("disk read-only"),
                    Health::NoSync => self.stats.count("disk errors at sync"),
                }
                self.disk.set(health);
            }
            Happening::Kill => self.doom(End::Killed),
            Happening::PowerCut => self.doom(End::PowerCut),
            Happening::Shutdown => {
                self.stats.count("shutdowns");
                self.handle(&Input::Shutdown, &[], None)?;
            }
            Happening::Boot => self.boot()?,
            Happening::ClockTrusted(is_trusted) => {
                self.stats.count("clock changes");
                self.clock.is_trusted = is_trusted;
            }
            Happening::Expiry => {
                self.stats.count("token expiries");
                self.expired_until = self.now + self.rng.between(20, 8_000);
            }
            Happening::Edited => {
                self.stats.count("queue edits by others");
                let shape = self.shape();
                self.service.edit(&shape, &mut self.rng);
            }
            Happening::Takeover(taken) => {
                self.stats.count("takeover changes");
                if taken {
                    let shape = self.shape();
                    self.service.take_stream(&shape, &mut self.rng);
                } else {
                    self.service.give_stream_back();
                }
            }
            Happening::Lapse => {
                self.stats.count("lapses");
                self.service.lapse();
            }
            Happening::Account(linked) => {
                self.stats.count("account changes");
                self.service.linked = linked;
                self.tell_account(linked);
            }
            Happening::Told(account) => {
                self.told = account;
                self.handle(&Input::Account(account), &[], None)?;
            }
            Happening::RefillSkips => self.service.refill_skips(),
            Happening::Deliver { .. }
            | Happening::NewsDue { .. }
            | Happening::ServiceHandles { .. }
            | Happening::Write { .. }
            | Happening::Held { .. }
            | Happening::Retry { .. }
            | Happening::Ended { .. }
            | Happening::Saved { .. }
            | Happening::Loaded { .. } => {}
        }
        Ok(())
    }
}
