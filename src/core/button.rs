//! From a button's contact to presses: acts on the leading edge, ignores bounce, holds and repeats.

use heapless::Vec;

use crate::id::ButtonId;
use crate::input::{Contact, Press};
use crate::limits::{BOUNCE, BUTTONS_MAX, HOLD_AFTER, REPEAT_EVERY};
use crate::unit::Moment;

/// What one button of the board does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ButtonSetup {
    /// On the leading edge of every press.
    pub press: Press,
    /// When it stays pressed. Without one, volume repeats and everything else does nothing more.
    pub hold: Option<Press>,
}

/// The buttons of the board, in its order.
#[derive(Clone, Debug)]
pub(crate) struct Buttons {
    buttons: Vec<Button, BUTTONS_MAX>,
}

#[derive(Clone, Copy, Debug)]
struct Button {
    setup: ButtonSetup,
    /// As accepted, bounce removed.
    contact: Contact,
    /// As last seen, bounce included.
    raw: Contact,
    /// Edges before this moment are bounce; at it, `raw` is believed.
    settles_at: Option<Moment>,
    /// Next hold or repeat.
    acts_at: Option<Moment>,
}

impl Buttons {
    /// Buttons beyond the limit are refused when the board file is read.
    pub(crate) fn new(setups: &[ButtonSetup]) -> Self {
        let button = |setup: &ButtonSetup| Button {
            setup: *setup,
            contact: Contact::Open,
            raw: Contact::Open,
            settles_at: None,
            acts_at: None,
        };
        Self {
            buttons: setups.iter().take(BUTTONS_MAX).map(button).collect(),
        }
    }

    /// An edge was seen. Returns the press it means, if any.
    pub(crate) fn edge(&mut self, id: ButtonId, contact: Contact, now: Moment) -> Option<Press> {
        let button = self.buttons.get_mut(usize::from(id.0))?;
        button.raw = contact;
        if button.settles_at.is_some_and(|at| now < at) {
            return None;
        }
        button.accept(contact, now)
    }

    /// Presses that are due by `now`: holds, repeats, and edges that proved not to be bounce. One per call until `None`.
    pub(crate) fn due(&mut self, now: Moment) -> Option<Press> {
        self.buttons.iter_mut().find_map(|button| button.due(now))
    }

    /// When [`Self::due`] is to be called next.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.buttons
            .iter()
            .flat_map(|button| [button.settles_at, button.acts_at])
            .flatten()
            .min()
    }
}

impl Button {
    fn accept(&mut self, contact: Contact, now: Moment) -> Option<Press> {
        if contact == self.contact {
            return None;
        }
        self.contact = contact;
        self.settles_at = Some(now + BOUNCE);
        match contact {
            Contact::Closed => {
                self.acts_at = self.held().map(|_| now + HOLD_AFTER);
                Some(self.setup.press)
            }
            Contact::Open => {
                self.acts_at = None;
                None
            }
        }
    }

    fn due(&mut self, now: Moment) -> Option<Press> {
        if self.settles_at.is_some_and(|at| at <= now) {
            self.settles_at = None;
            let press = self.accept(self.raw, now);
            if press.is_some() {
                return press;
            }
        }
        if self.acts_at.is_some_and(|at| at <= now) {
            let press = self.held()?;
            self.acts_at = repeats(press).then(|| now + REPEAT_EVERY);
            return Some(press);
        }
        None
    }

    /// What holding does.
    fn held(&self) -> Option<Press> {
        self.setup
            .hold
            .or_else(|| matches!(self.setup.press, Press::VolumeUp | Press::VolumeDown).then_some(self.setup.press))
    }
}

/// Steps repeat while held, everything else happens once.
fn repeats(press: Press) -> bool {
    match press {
        Press::VolumeUp | Press::VolumeDown | Press::ScrubForward | Press::ScrubBackward => true,
        Press::Play
        | Press::Next
        | Press::Previous
        | Press::Shuffle
        | Press::Loop
        | Press::Seek(_)
        | Press::Start { .. }
        | Press::QueueNext(_)
        | Press::QueueLast(_)
        | Press::TakeOver
        | Press::Preset(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec as List;

    const NEXT: ButtonSetup = ButtonSetup {
        press: Press::Next,
        hold: Some(Press::ScrubForward),
    };
    const LOUDER: ButtonSetup = ButtonSetup {
        press: Press::VolumeUp,
        hold: None,
    };

    /// Plays edges at their moments and everything that falls due in between, as the loop does.
    fn presses(setup: ButtonSetup, edges: &[(u64, Contact)], until: u64) -> List<(u64, Press)> {
        let mut buttons = Buttons::new(&[setup]);
        let mut seen = List::new();
        let mut edges = edges.iter().peekable();
        for now in 0..=until {
            while let Some(press) = buttons.due(Moment(now)) {
                seen.push((now, press));
            }
            while let Some((_, contact)) = edges.next_if(|(at, _)| *at == now) {
                seen.extend(
                    buttons
                        .edge(ButtonId(0), *contact, Moment(now))
                        .map(|press| (now, press)),
                );
            }
        }
        seen
    }

    use Contact::{Closed, Open};

    #[test]
    fn it_acts_on_the_leading_edge_and_once_however_much_it_bounces() {
        let edges = [
            (10, Closed),
            (11, Open),
            (13, Closed),
            (14, Open),
            (19, Closed),
            (120, Open),
            (121, Closed),
            (124, Open),
        ];
        assert_eq!(presses(NEXT, &edges, 1000), [(10, Press::Next)]);
    }

    #[test]
    fn ten_presses_a_second_are_ten_actions() {
        let edges: List<_> = (0..10)
            .flat_map(|n| [(n * 100, Closed), (n * 100 + 50, Open)])
            .collect();
        assert_eq!(presses(NEXT, &edges, 1500).len(), 10);
    }

    #[test]
    fn a_press_shorter_than_the_bounce_time_is_released_again() {
        let edges = [(10, Closed), (20, Open)];
        assert_eq!(presses(NEXT, &edges, 2000), [(10, Press::Next)], "it is not held");
    }

    #[test]
    fn holding_scrubs_again_and_again_until_it_is_released() {
        let seen = presses(NEXT, &[(0, Closed), (1050, Open)], 3000);
        let expected = [
            (0, Press::Next),
            (600, Press::ScrubForward),
            (800, Press::ScrubForward),
            (1000, Press::ScrubForward),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn volume_repeats_while_held() {
        let seen = presses(LOUDER, &[(0, Closed), (900, Open)], 2000);
        assert_eq!(seen.iter().map(|(at, _)| *at).collect::<List<_>>(), [0, 600, 800]);
    }

    #[test]
    fn an_unknown_button_is_ignored() {
        assert_eq!(Buttons::new(&[]).edge(ButtonId(3), Closed, Moment(0)), None);
    }
}
