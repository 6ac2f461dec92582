//! Linking in virtual time: every rule of polling, and nothing that waits.

use super::super::super::credentials::Token;
use super::*;

const SECOND: Millis = Millis(1_000);
/// As the service gives it.
const INTERVAL: Millis = Millis(30_000);

fn pair(number: u32) -> CodePair {
    CodePair {
        device_code: Token::new(format!("device-{number}")),
        user_code: format!("CODE-{number}"),
        address: "https://example.com/code".into(),
        expires_in: Millis(600_000),
        interval: INTERVAL,
    }
}

fn tokens() -> Tokens {
    Tokens {
        access: Token::new("a"),
        refresh: Some(Token::new("r")),
        life: Millis(3_600_000),
    }
}

fn later(retry_after: Option<Millis>) -> Trouble {
    Trouble::Later {
        words: "status 503".into(),
        retry_after,
    }
}

fn linking() -> Linking {
    Linking::new(Pace::default(), 1)
}

/// A pair shown since moment 0.
fn shown() -> Linking {
    let mut linking = linking();
    linking.begin();
    assert_eq!(linking.created(Ok(pair(1)), Moment(0)), Turn::GoOn);
    linking
}

/// When the next poll is, after `answer` came at `at`.
fn next_poll(linking: &mut Linking, answer: Trouble, at: Moment) -> Moment {
    assert_eq!(linking.polled(Err(answer), at), Turn::GoOn);
    match linking.due() {
        Due::Poll(next) => next,
        due @ (Due::Never | Due::Create(_)) => panic!("{due:?}"),
    }
}

#[test]
fn nothing_is_asked_before_somebody_wants_to_link() {
    let mut linking = linking();
    assert_eq!(linking.due(), Due::Never);
    linking.begin();
    assert_eq!(linking.due(), Due::Create(Moment(0)));
}

#[test]
fn the_first_poll_waits_for_the_interval_and_so_does_each_further_one() {
    let mut linking = shown();
    assert_eq!(linking.due(), Due::Poll(Moment(30_000)));
    // The answer takes two seconds: the interval counts from it.
    assert_eq!(
        next_poll(&mut linking, Trouble::Pending, Moment(32_000)),
        Moment(62_000)
    );
    assert_eq!(
        next_poll(&mut linking, Trouble::Pending, Moment(62_000)),
        Moment(92_000)
    );
}

#[test]
fn slow_down_doubles_the_interval_for_good_and_up_to_a_minute() {
    let mut linking = linking();
    linking.begin();
    let quick = CodePair {
        interval: Millis(12_000),
        ..pair(1)
    };
    linking.created(Ok(quick), Moment(0));
    let mut now = Moment(12_000);
    for interval in [24_000, 48_000, 60_000, 60_000] {
        let next = next_poll(&mut linking, Trouble::SlowDown, now);
        assert_eq!(next, now + Millis(interval));
        now = next;
    }
    assert_eq!(next_poll(&mut linking, Trouble::Pending, now), now + Millis(60_000));
}

#[test]
fn slow_down_does_not_shorten_an_interval_beyond_a_minute() {
    let mut linking = linking();
    linking.begin();
    let slow = CodePair {
        interval: Millis(90_000),
        ..pair(1)
    };
    linking.created(Ok(slow), Moment(0));
    assert_eq!(
        next_poll(&mut linking, Trouble::SlowDown, Moment(90_000)),
        Moment(180_000)
    );
}

#[test]
fn the_entered_code_gives_the_tokens_and_ends_linking() {
    let mut linking = shown();
    assert_eq!(linking.polled(Ok(tokens()), Moment(30_000)), Turn::Granted(tokens()));
    assert_eq!((linking.due(), linking.shown()), (Due::Never, None));
}

#[test]
fn a_pair_that_lapses_is_replaced_when_it_does_and_not_polled_once_more() {
    let mut linking = shown();
    assert_eq!(
        next_poll(&mut linking, Trouble::Pending, Moment(560_000)),
        Moment(590_000)
    );
    linking.polled(Err(Trouble::Pending), Moment(590_000));
    assert_eq!(linking.due(), Due::Create(Moment(600_000)));
    linking.created(Ok(pair(2)), Moment(600_000));
    let (pair, until) = linking.shown().unwrap();
    assert_eq!((pair.user_code.as_str(), until), ("CODE-2", Moment(1_200_000)));
}

#[test]
fn a_pair_that_the_service_does_not_know_any_more_is_replaced_at_once() {
    for gone in [Trouble::PairGone, Trouble::GrantGone] {
        let mut linking = shown();
        assert_eq!(linking.polled(Err(gone), Moment(30_000)), Turn::GoOn);
        assert_eq!((linking.due(), linking.shown()), (Due::Create(Moment(30_000)), None));
    }
}

#[test]
fn pairs_that_live_for_a_moment_are_not_replaced_in_a_storm() {
    let mut linking = linking();
    linking.begin();
    let mut asked = 0;
    for now in (0..600_000).step_by(100).map(Moment) {
        if let Due::Create(at) = linking.due()
            && at <= now
        {
            asked += 1;
            let brief = CodePair {
                expires_in: Millis::ZERO,
                interval: Millis::ZERO,
                ..pair(asked)
            };
            linking.created(Ok(brief), now);
        }
    }
    assert_eq!(asked, 120, "one in five seconds");
}

#[test]
fn linking_goes_on_without_end_and_politely() {
    let mut linking = linking();
    linking.begin();
    let (mut pairs, mut polls) = (0, 0);
    let mut last_poll = None;
    for now in (0..24 * 3_600_000).step_by(1_000).map(Moment) {
        match linking.due() {
            Due::Create(at) if at <= now => {
                pairs += 1;
                linking.created(Ok(pair(pairs)), now);
            }
            Due::Poll(at) if at <= now => {
                polls += 1;
                if let Some(last) = last_poll.replace(now) {
                    assert!(now.since(last) >= INTERVAL, "{now:?}");
                }
                linking.polled(Err(Trouble::Pending), now);
            }
            Due::Never => panic!("gave up at {now:?}"),
            Due::Create(_) | Due::Poll(_) => {}
        }
    }
    assert_eq!((pairs, polls), (144, 144 * 19));
}

#[test]
fn who_declines_is_not_asked_again_until_somebody_wants_to() {
    let mut linking = shown();
    assert_eq!(linking.polled(Err(Trouble::Declined), Moment(30_000)), Turn::Declined);
    assert_eq!((linking.due(), linking.shown()), (Due::Never, None));
    linking.begin();
    assert_eq!(linking.due(), Due::Create(Moment(30_000)));
}

#[test]
fn a_mistake_in_the_configuration_stops_it_and_is_passed_on() {
    let wrong = || Trouble::Misconfigured("correct client_id".into());
    let mut linking = linking();
    linking.begin();
    let stopped = Turn::Misconfigured("correct client_id".into());
    assert_eq!(linking.created(Err(wrong()), Moment(0)), stopped);
    assert_eq!(linking.due(), Due::Never);
    let mut linking = shown();
    assert_eq!(linking.polled(Err(wrong()), Moment(30_000)), stopped);
    assert_eq!(linking.due(), Due::Never);
}

#[test]
fn trouble_with_the_first_request_backs_off_and_honours_retry_after() {
    let mut linking = linking();
    linking.begin();
    let mut longest = Millis::ZERO;
    let mut now = Moment(0);
    for _ in 0..200 {
        assert_eq!(linking.created(Err(later(None)), now), Turn::GoOn);
        let Due::Create(next) = linking.due() else {
            panic!("gave up")
        };
        longest = longest.max(next.since(now));
        now = next;
    }
    assert!((Millis(25_000)..=Millis(30_000)).contains(&longest), "{longest:?}");
    linking.created(Err(later(Some(Millis(120_000)))), now);
    let Due::Create(next) = linking.due() else {
        panic!("gave up")
    };
    assert!(next >= now + Millis(120_000), "{next:?}");
}

#[test]
fn trouble_while_polling_never_makes_it_poll_faster() {
    let mut linking = shown();
    for at in [30_000, 60_000, 100_000].map(Moment) {
        assert!(next_poll(&mut linking, later(None), at) >= at + INTERVAL);
    }
    let named = next_poll(&mut linking, later(Some(Millis(45_000))), Moment(200_000));
    assert!(named >= Moment(245_000), "{named:?}");
    assert!(linking.shown().is_some(), "the code stays");
}

#[test]
fn asking_again_while_a_code_is_shown_keeps_the_code() {
    let mut linking = shown();
    linking.begin();
    assert_eq!(linking.shown().unwrap().0.user_code, "CODE-1");
    assert_eq!(linking.due(), Due::Poll(Moment(0) + INTERVAL));
}

#[test]
fn an_answer_that_comes_after_the_end_changes_nothing() {
    let mut linking = shown();
    linking.end();
    assert_eq!(linking.polled(Ok(tokens()), Moment(0) + SECOND), Turn::GoOn);
    assert_eq!(linking.due(), Due::Never);
}
