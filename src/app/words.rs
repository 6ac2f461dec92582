//! What the service said last to the listener about a refusal, for as long as that is of interest: until something
//! new is opened, the service says something else, or ten minutes have passed. It only remembers.

use tonearm_core::unit::{Millis, Moment};

use crate::page::Upsell;
use crate::service::Said;

/// Time to walk to a screen and read; after it, nobody remembers the press that was refused.
const KEPT: Millis = Millis(600_000);

/// The service's last words.
#[derive(Debug, Default)]
pub(super) struct Words(Option<(Upsell, Moment)>);

impl Words {
    /// The service said something.
    pub(super) fn said(&mut self, said: Said, now: Moment) {
        let text = said.message.unwrap_or_else(|| "more about this is at".to_owned());
        self.0 = Some((Upsell { text, url: said.url }, now + KEPT));
    }

    /// When they are to be forgotten.
    pub(super) fn until(&self) -> Option<Moment> {
        self.0.as_ref().map(|(_, until)| *until)
    }

    /// Forgets them when their time is over.
    pub(super) fn forget_old(&mut self, now: Moment) {
        self.0.take_if(|(_, until)| *until <= now);
    }

    /// As they are shown.
    pub(super) fn shown(&self) -> Option<Upsell> {
        self.0.as_ref().map(|(words, _)| words.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: Option<&str>) -> Said {
        Said {
            operation: "shuffle",
            code: None,
            message: message.map(str::to_owned),
            url: Some("https://example.com/".to_owned()),
        }
    }

    #[test]
    fn the_last_words_are_shown_until_their_time_is_over() {
        let mut words = Words::default();
        words.said(said(Some("one")), Moment(0));
        words.said(said(Some("two")), Moment(1_000));
        words.forget_old(Moment(600_999));
        assert_eq!(words.shown().unwrap().text, "two");
        assert_eq!(words.until(), Some(Moment(601_000)));
        words.forget_old(Moment(601_000));
        assert_eq!((words.shown(), words.until()), (None, None));
    }

    #[test]
    fn an_address_without_words_is_shown_too() {
        let mut words = Words::default();
        words.said(said(None), Moment(0));
        let shown = words.shown().unwrap();
        assert!(!shown.text.is_empty() && shown.url.is_some());
    }
}
