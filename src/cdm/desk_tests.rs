//! The table of keys in virtual time: when what is asked for, renewed, given up and forgotten.

use std::time::Duration;

use super::*;

const ONE: KeyId = [1; 16];
const TWO: KeyId = [2; 16];
const SESSION: SessionId = SessionId(7);
const ENTRY: Owner = Owner(5);

fn terms(url: &str) -> Arc<Terms> {
    Arc::new(Terms {
        system: Some("CLEARKEY".to_owned()),
        url: url.to_owned(),
        headers: Vec::new(),
    })
}

fn protection(key: KeyId) -> Protection {
    Protection {
        scheme: Scheme::Cenc,
        key,
        pssh: vec![b"pssh".as_slice().into()],
    }
}

fn desk_with(keys: &[KeyId]) -> Desk {
    let mut desk = Desk::new(1);
    for key in keys {
        assert!(desk.need(Which::ClearKey, ENTRY, &terms("a"), &protection(*key), Moment(0)));
    }
    desk
}

fn ask(desk: &mut Desk, now: u64) -> Ask {
    match desk.next(Moment(now)) {
        Turn::Ask(ask) => ask,
        Turn::Rest(until) => panic!("a licence is to be asked for, not rest until {until:?}"),
    }
}

fn rest(desk: &mut Desk, now: u64) -> Option<u64> {
    match desk.next(Moment(now)) {
        Turn::Rest(until) => until.map(|until| until.0),
        Turn::Ask(ask) => panic!("there is nothing to ask for: {ask:?}"),
    }
}

fn grant(keys: &[KeyId], life_s: Option<u64>, renew_s: Option<u64>) -> Grant {
    Grant {
        keys: keys.to_vec(),
        lifetime: life_s.map(Duration::from_secs),
        renew_in: renew_s.map(Duration::from_secs),
    }
}

fn state(desk: &mut Desk, key: &KeyId, now: u64) -> KeyState {
    desk.state(Which::ClearKey, key, Moment(now))
}

#[test]
fn the_keys_of_an_entry_are_asked_for_together() {
    let mut desk = desk_with(&[ONE, TWO]);
    assert_eq!(rest(&mut desk, 0), Some(10));
    let ask = ask(&mut desk, 10);
    assert_eq!((ask.keys.as_slice(), ask.renews), (&[ONE, TWO][..], None));
    assert_eq!(*ask.pssh, [Box::from(*b"pssh")]);
    assert_eq!(state(&mut desk, &ONE, 10), KeyState::Awaited);
}

#[test]
fn keys_on_other_terms_are_asked_for_apart() {
    let mut desk = desk_with(&[ONE]);
    assert!(desk.need(Which::ClearKey, ENTRY, &terms("b"), &protection(TWO), Moment(0)));
    let first = ask(&mut desk, 10);
    assert_eq!(first.keys, [ONE]);
    desk.granted(&first, SESSION, &grant(&[ONE], None, None), Moment(20));
    assert_eq!(ask(&mut desk, 20).keys, [TWO]);
}

#[test]
fn a_key_is_usable_from_its_licence_on_and_one_that_is_not_in_it_is_refused() {
    let mut desk = desk_with(&[ONE, TWO]);
    let asked = ask(&mut desk, 10);
    desk.granted(&asked, SESSION, &grant(&[ONE], None, None), Moment(20));
    assert_eq!(state(&mut desk, &ONE, 1 << 40), KeyState::Usable);
    assert_eq!(desk.session(Which::ClearKey, &ONE, Moment(20)), Some(SESSION));
    let KeyState::Refused(reason) = state(&mut desk, &TWO, 20) else {
        panic!("it was not in the licence");
    };
    assert!(reason.contains("does not hold this key"), "{reason}");
    assert_eq!(rest(&mut desk, 20), None);
}

#[test]
fn a_licence_for_all_keys_of_an_entry_spares_the_second_request() {
    let mut desk = desk_with(&[ONE]);
    let asked = ask(&mut desk, 10);
    assert!(desk.need(Which::ClearKey, ENTRY, &terms("a"), &protection(TWO), Moment(15)));
    desk.granted(&asked, SESSION, &grant(&[ONE, TWO], None, None), Moment(20));
    assert_eq!(state(&mut desk, &TWO, 20), KeyState::Usable);
    assert_eq!(rest(&mut desk, 30), None);
}

#[test]
fn a_licence_is_renewed_at_four_fifths_of_its_life_or_when_the_module_says() {
    for (renew_s, at) in [(None, 48_020), (Some(30), 30_020)] {
        let mut desk = desk_with(&[ONE]);
        let asked = ask(&mut desk, 10);
        desk.granted(&asked, SESSION, &grant(&[ONE], Some(60), renew_s), Moment(20));
        assert_eq!(rest(&mut desk, 20), Some(at));
        let renewal = ask(&mut desk, at);
        assert_eq!((renewal.keys.as_slice(), renewal.renews), (&[ONE][..], Some(SESSION)));
        assert_eq!(state(&mut desk, &ONE, at), KeyState::Usable, "it goes on meanwhile");
        desk.granted(&renewal, SESSION, &grant(&[ONE], Some(60), None), Moment(at + 100));
        assert_eq!(
            state(&mut desk, &ONE, 70_000),
            KeyState::Usable,
            "longer than the first licence"
        );
    }
}

#[test]
fn a_licence_that_nobody_holds_is_not_renewed_and_is_forgotten_when_it_is_over() {
    let mut desk = desk_with(&[ONE]);
    let asked = ask(&mut desk, 10);
    desk.granted(&asked, SESSION, &grant(&[ONE], Some(60), None), Moment(20));
    desk.release(Which::ClearKey, ENTRY, &ONE);
    assert_eq!(rest(&mut desk, 50_000), Some(60_020));
    assert!(desk.uses(Which::ClearKey, SESSION));
    assert_eq!(rest(&mut desk, 60_020), None);
    assert!(!desk.uses(Which::ClearKey, SESSION));
}

#[test]
fn a_key_stays_for_the_next_entry_that_needs_it() {
    let mut desk = desk_with(&[ONE]);
    let asked = ask(&mut desk, 10);
    desk.granted(&asked, SESSION, &grant(&[ONE], None, None), Moment(20));
    desk.release(Which::ClearKey, ENTRY, &ONE);
    assert!(desk.need(Which::ClearKey, ENTRY, &terms("b"), &protection(ONE), Moment(500)));
    assert_eq!(state(&mut desk, &ONE, 500), KeyState::Usable);
    assert_eq!(rest(&mut desk, 600), None);
}

#[test]
fn an_expired_licence_is_asked_for_anew_and_its_key_is_not_usable_meanwhile() {
    let mut desk = desk_with(&[ONE]);
    let asked = ask(&mut desk, 10);
    desk.granted(&asked, SESSION, &grant(&[ONE], Some(60), None), Moment(20));
    let renewal = ask(&mut desk, 48_020);
    desk.refused(&renewal, "status 403");
    assert_eq!(state(&mut desk, &ONE, 60_019), KeyState::Usable);
    assert_eq!(state(&mut desk, &ONE, 60_020), KeyState::Awaited);
    assert_eq!(desk.session(Which::ClearKey, &ONE, Moment(60_020)), None);
    assert_eq!(ask(&mut desk, 60_020).renews, None);
}

#[test]
fn a_renewal_in_trouble_is_tried_again_while_the_key_is_good() {
    let mut desk = desk_with(&[ONE]);
    let asked = ask(&mut desk, 10);
    desk.granted(&asked, SESSION, &grant(&[ONE], Some(60), None), Moment(20));
    let renewal = ask(&mut desk, 48_020);
    desk.trouble(&renewal, Millis(2_000), Moment(48_100));
    assert_eq!(rest(&mut desk, 48_100), Some(50_100));
    assert_eq!(ask(&mut desk, 50_100).renews, Some(SESSION));
}

#[test]
fn a_licence_that_has_expired_when_it_comes_is_refused_by_name() {
    let mut desk = desk_with(&[ONE]);
    let asked = ask(&mut desk, 10);
    desk.granted(&asked, SESSION, &grant(&[ONE], Some(0), None), Moment(20));
    let KeyState::Refused(reason) = state(&mut desk, &ONE, 20) else {
        panic!("it is of no use");
    };
    assert!(reason.contains("expired"), "{reason}");
    assert!(!desk.uses(Which::ClearKey, SESSION));
}

#[test]
fn licences_of_a_moment_do_not_make_a_storm_of_requests() {
    let mut desk = desk_with(&[ONE]);
    let mut now = 10;
    let mut asked = 0;
    while now < 20_000 {
        match desk.next(Moment(now)) {
            Turn::Ask(ask) => {
                asked += 1;
                let mut short = grant(&[ONE], None, Some(0));
                short.lifetime = Some(Duration::from_millis(50));
                desk.granted(&ask, SESSION, &short, Moment(now));
            }
            Turn::Rest(until) => now = until.expect("it goes on").0.max(now + 1),
        }
    }
    assert!((10..=20).contains(&asked), "{asked} requests in 20 s");
}

#[test]
fn trouble_is_retried_with_growing_full_jitter_for_as_long_as_an_entry_holds_on() {
    let mut desk = desk_with(&[ONE]);
    let mut now = 10;
    let mut longest = 0;
    for round in 0..60 {
        let asked = ask(&mut desk, now);
        desk.trouble(&asked, Millis::ZERO, Moment(now));
        let Turn::Rest(Some(next)) = desk.next(Moment(now)) else {
            // A wait of zero.
            continue;
        };
        assert!(round > 0 || next.0 - now <= 250, "{}", next.0 - now);
        longest = longest.max(next.0 - now);
        now = next.0;
    }
    assert!((4_000..=8_000).contains(&longest), "{longest}");
    desk.release(Which::ClearKey, ENTRY, &ONE);
    assert_eq!(rest(&mut desk, now + 100_000), None, "nobody needs it any more");
}

#[test]
fn a_time_the_host_names_is_waited_for_unless_the_network_comes_back() {
    let mut desk = desk_with(&[ONE]);
    let asked = ask(&mut desk, 10);
    desk.trouble(&asked, Millis(30_000), Moment(10));
    assert_eq!(rest(&mut desk, 10), Some(30_010));
    desk.retry_now(Moment(500));
    assert_eq!(ask(&mut desk, 500).keys, [ONE]);
}

#[test]
fn a_refusal_stays_until_fresh_terms_come_or_the_entry_is_opened_again() {
    let mut desk = desk_with(&[ONE]);
    let asked = ask(&mut desk, 10);
    desk.refused(&asked, "status 403");
    assert_eq!(state(&mut desk, &ONE, 20), KeyState::Refused("status 403".to_owned()));
    assert_eq!(rest(&mut desk, 90_000), None);
    assert!(desk.need(
        Which::ClearKey,
        ENTRY,
        &terms("fresh"),
        &protection(ONE),
        Moment(90_000)
    ));
    assert_eq!(ask(&mut desk, 90_000).terms, terms("fresh"));
    desk.release(Which::ClearKey, ENTRY, &ONE);
    desk.release(Which::ClearKey, ENTRY, &ONE);
    assert!(desk.need(Which::ClearKey, ENTRY, &terms("a"), &protection(ONE), Moment(91_000)));
    assert_eq!(state(&mut desk, &ONE, 91_000), KeyState::Awaited);
}

#[test]
fn a_session_that_the_module_lost_is_asked_for_anew() {
    let mut desk = desk_with(&[ONE, TWO]);
    let asked = ask(&mut desk, 10);
    desk.granted(&asked, SESSION, &grant(&[ONE, TWO], None, None), Moment(20));
    desk.lost(Which::External, SESSION, Moment(5_000));
    assert_eq!(state(&mut desk, &ONE, 5_000), KeyState::Usable, "another module's");
    desk.lost(Which::ClearKey, SESSION, Moment(5_000));
    assert_eq!(state(&mut desk, &ONE, 5_000), KeyState::Awaited);
    let again = ask(&mut desk, 5_000);
    assert_eq!((again.keys.as_slice(), again.renews), (&[ONE, TWO][..], None));
}

#[test]
fn keys_that_nobody_holds_make_room_and_those_that_are_held_do_not() {
    let number = |number: usize| [u8::try_from(number).unwrap(); 16];
    let keys: Vec<KeyId> = (0..KEYS_MAX).map(number).collect();
    let mut desk = desk_with(&keys);
    let more = protection([200; 16]);
    assert!(!desk.need(Which::ClearKey, ENTRY, &terms("a"), &more, Moment(0)));
    let asked = ask(&mut desk, 10);
    desk.granted(&asked, SESSION, &grant(&keys, None, None), Moment(20));
    assert!(!desk.need(Which::ClearKey, ENTRY, &terms("a"), &more, Moment(20)));
    desk.release(Which::ClearKey, ENTRY, &keys[5]);
    assert!(desk.need(Which::ClearKey, ENTRY, &terms("a"), &more, Moment(20)));
    assert_eq!(desk.wanted.len(), KEYS_MAX);
}

#[test]
fn terms_that_ran_out_are_waited_for_and_then_asked_with() {
    let mut desk = desk_with(&[ONE, TWO]);
    let first = ask(&mut desk, 10);
    assert_eq!(desk.outdated(&first, "status 403", Moment(20)), [ENTRY], "told once");
    assert_eq!(state(&mut desk, &ONE, 20), KeyState::Awaited);
    assert_eq!(rest(&mut desk, 1_000), None, "there is nothing to ask with");
    desk.renew(Owner(6), &terms("another's"), Moment(1_000));
    assert_eq!(rest(&mut desk, 1_000), None);
    desk.renew(ENTRY, &terms("fresh"), Moment(1_000));
    let second = ask(&mut desk, 1_000);
    assert_eq!(
        (second.keys.as_slice(), second.terms.url.as_str()),
        (&[ONE, TWO][..], "fresh")
    );
}

#[test]
fn a_key_that_is_announced_on_terms_that_ran_out_is_asked_for_on_fresh_ones() {
    let mut desk = desk_with(&[ONE]);
    let first = ask(&mut desk, 10);
    desk.outdated(&first, "status 403", Moment(20));
    desk.renew(ENTRY, &terms("fresh"), Moment(30));
    let second = ask(&mut desk, 30);
    desk.granted(&second, SESSION, &grant(&[ONE], None, None), Moment(40));
    assert!(desk.need(Which::ClearKey, ENTRY, &terms("a"), &protection(TWO), Moment(50)));
    assert_eq!(ask(&mut desk, 60).terms.url, "fresh");
}

#[test]
fn fresh_terms_that_came_while_the_old_ones_were_tried_are_tried_at_once() {
    let mut desk = desk_with(&[ONE]);
    let first = ask(&mut desk, 10);
    desk.renew(ENTRY, &terms("fresh"), Moment(15));
    assert_eq!(desk.outdated(&first, "status 403", Moment(20)), []);
    assert_eq!(ask(&mut desk, 20).terms.url, "fresh");
}

#[test]
fn terms_that_run_out_whenever_they_are_fresh_or_never_change_are_a_refusal() {
    let mut desk = desk_with(&[ONE]);
    for fresh in ["b", "c", "d"] {
        let asked = ask(&mut desk, 10);
        assert_eq!(desk.outdated(&asked, "status 403", Moment(10)), [ENTRY]);
        desk.renew(ENTRY, &terms(fresh), Moment(10));
    }
    let asked = ask(&mut desk, 10);
    assert_eq!(desk.outdated(&asked, "status 403", Moment(10)), []);
    let reason = "status 403 at every fresh address".to_owned();
    assert_eq!(state(&mut desk, &ONE, 10), KeyState::Refused(reason));

    let mut desk = desk_with(&[ONE]);
    let asked = ask(&mut desk, 10);
    desk.outdated(&asked, "status 403", Moment(10));
    desk.renew(ENTRY, &terms("a"), Moment(10));
    let KeyState::Refused(reason) = state(&mut desk, &ONE, 10) else {
        panic!("the service has nothing else to offer");
    };
    assert!(reason.contains("no other address"), "{reason}");
}

#[test]
fn a_key_whose_renewal_needs_fresh_terms_is_good_until_it_expires() {
    let mut desk = desk_with(&[ONE]);
    let first = ask(&mut desk, 10);
    desk.granted(&first, SESSION, &grant(&[ONE], Some(60), Some(30)), Moment(20));
    let renewal = ask(&mut desk, 30_020);
    assert_eq!(desk.outdated(&renewal, "status 403", Moment(30_020)), [ENTRY]);
    assert_eq!(rest(&mut desk, 30_020), Some(60_020), "it expires then");
    assert_eq!(state(&mut desk, &ONE, 30_020), KeyState::Usable);
    desk.renew(ENTRY, &terms("fresh"), Moment(31_000));
    let again = ask(&mut desk, 31_000);
    assert_eq!((again.terms.url.as_str(), again.renews), ("fresh", Some(SESSION)));
}
