//! The account thread against a scripted sign-in service, and single steps of it in virtual time.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::super::super::base::BaseUrl;
use super::super::super::credentials::Credentials as _;
use super::super::super::scripted::{Request, Server, Then, Wire};
use super::super::linking::Pace;
use super::super::{Account, Now, Patience, Settings};
use super::*;
use crate::state::StateDir;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);
const WALL_S: i64 = 1_800_000_000;
const PAIR: &str = r#"{"device_code":"dev|1","user_code":"ABC-DEF","verification_uri":"https://example.com/code","expires_in":600,"interval":0}"#;

/// A sign-in service that says what was prepared, then 503.
struct SignIn(Server);

impl SignIn {
    fn saying(answers: impl IntoIterator<Item = (u16, String)>) -> Self {
        let answers: Mutex<VecDeque<_>> = Mutex::new(answers.into_iter().collect());
        Self(Server::start(move |_: &Request, wire: &Wire<'_>| {
            let next = answers.lock().unwrap().pop_front();
            let (status, body) = next.unwrap_or((503, String::new()));
            wire.answer(status, &[("retry-after", "60")], body.as_bytes())
        }))
    }

    /// Access token and refresh token of each number, in this order.
    fn granting(numbers: impl IntoIterator<Item = u32>) -> Self {
        Self::saying(numbers.into_iter().map(|number| (200, tokens(number))))
    }

    fn asked(&self) -> Vec<String> {
        let words = |request: &Request| {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let grant = form.split('&').find_map(|field| field.strip_prefix("grant_type="));
            grant.unwrap_or("pair").to_owned()
        };
        self.0.requests().iter().map(words).collect()
    }
}

fn tokens(number: u32) -> String {
    format!(r#"{{"access_token":"Atza|{number}","refresh_token":"Atzr|{number}","expires_in":3600}}"#)
}

fn error(word: &str) -> (u16, String) {
    (400, format!(r#"{{"error":"{word}"}}"#))
}

fn grant(number: u32, expires_at_s: Option<i64>) -> Grant {
    Grant {
        refresh: Token::new(format!("Atzr|{number}")),
        access: access(number),
        expires_at_s,
    }
}

fn access(number: u32) -> Token {
    Token::new(format!("Atza|{number}"))
}

/// A folder, and the file in it.
fn folder() -> (tempfile::TempDir, StateDir) {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    (folder, state)
}

fn stored(state: &StateDir) -> Option<Grant> {
    GrantFile::new(state.clone()).load().unwrap()
}

fn store(state: &StateDir, grant: &Grant) {
    GrantFile::new(state.clone()).save(grant).unwrap();
}

/// A clock that runs, with a wall clock that is right.
fn clock() -> Clock {
    let begun = Instant::now();
    Arc::new(move || Now {
        at: Moment(1_000_000 + u64::try_from(begun.elapsed().as_millis()).unwrap()),
        wall_s: Some(WALL_S),
    })
}

fn settings(server: &Server, state: &StateDir, start: Start) -> Settings {
    Settings {
        auth_url: server.url(""),
        client_id: "client".into(),
        scope: "music::playback".into(),
        tls: crate::tls::fixture::believing(),
        state: state.clone(),
        start,
        clock: clock(),
        seed: 1,
    }
}

fn start(sign_in: &SignIn, state: &StateDir, start: Start) -> (Account, Receiver<News>) {
    let (sender, news) = channel();
    let post = Arc::new(move |news| drop(sender.send(news)));
    let patience = Patience {
        pace: Pace {
            pair_every: Millis(10),
            interval: Millis(10),
        },
        ..Patience::default()
    };
    let account = Account::start_with(settings(&sign_in.0, state, start), patience, post).unwrap();
    (account, news)
}

fn next(news: &Receiver<News>) -> News {
    news.recv_timeout(PATIENCE).unwrap()
}

fn shows_a_code(news: &Receiver<News>) {
    match next(news) {
        News::Linking { address, code, .. } => {
            assert_eq!(
                (address.as_str(), code.as_str()),
                ("https://example.com/code", "ABC-DEF")
            );
        }
        other @ (News::Linked | News::Unlinked(_) | News::Misconfigured(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_speaker_without_an_account_links_by_itself_and_stores_the_tokens() {
    let (_folder, state) = folder();
    let pending = error("authorization_pending");
    let sign_in = SignIn::saying([(200, PAIR.into()), pending.clone(), pending, (200, tokens(1))]);
    let (account, news) = start(&sign_in, &state, Start::ByItself);
    assert_eq!(next(&news), News::Unlinked(Why::Never));
    shows_a_code(&news);
    assert_eq!(next(&news), News::Linked);
    assert_eq!(account.credentials().token(), Ok(Some(access(1))));
    assert_eq!(stored(&state), Some(grant(1, Some(WALL_S + 3_600))));
    assert_eq!(sign_in.asked(), ["pair", "device_code", "device_code", "device_code"]);
}

#[test]
fn where_linking_waits_for_a_request_nothing_is_asked_before() {
    let (_folder, state) = folder();
    let sign_in = SignIn::saying([(200, PAIR.into())]);
    let (account, news) = start(&sign_in, &state, Start::OnRequest);
    assert_eq!(next(&news), News::Unlinked(Why::Never));
    assert_eq!(account.credentials().token(), Err(NoToken::NotLinked));
    assert_eq!(sign_in.asked(), [""; 0]);
    account.link();
    shows_a_code(&news);
}

#[test]
fn a_stored_account_is_used_without_asking_anybody() {
    let (_folder, state) = folder();
    store(&state, &grant(1, Some(WALL_S + 3_000)));
    let sign_in = SignIn::granting([]);
    let (account, news) = start(&sign_in, &state, Start::ByItself);
    assert_eq!(account.credentials().token(), Ok(Some(access(1))));
    assert_eq!(next(&news), News::Linked);
    account.close();
    assert_eq!(sign_in.asked(), [""; 0]);
}

#[test]
fn a_token_that_ended_while_the_speaker_was_off_is_renewed_without_a_401() {
    let (_folder, state) = folder();
    store(&state, &grant(1, Some(WALL_S - 60)));
    let sign_in = SignIn::granting([2]);
    let (account, news) = start(&sign_in, &state, Start::ByItself);
    assert_eq!(next(&news), News::Linked);
    sign_in.0.wait_for_requests(1);
    assert_eq!(account.credentials().renew(Some(&access(1))), Ok(access(2)));
    assert_eq!(sign_in.asked(), ["refresh_token"]);
}

#[test]
fn a_rotated_refresh_token_is_on_disk_before_the_new_access_token_is_used() {
    let (_folder, state) = folder();
    for number in 0..20 {
        store(&state, &grant(number, None));
        let sign_in = SignIn::granting([number + 1]);
        let (account, _news) = start(&sign_in, &state, Start::ByItself);
        assert_eq!(
            account.credentials().renew(Some(&access(number))),
            Ok(access(number + 1))
        );
        assert_eq!(stored(&state), Some(grant(number + 1, Some(WALL_S + 3_600))));
    }
}

#[test]
fn everybody_who_was_refused_waits_for_one_request() {
    let (_folder, state) = folder();
    store(&state, &grant(1, None));
    let sign_in = SignIn::granting([2, 3, 4, 5]);
    let (account, _news) = start(&sign_in, &state, Start::ByItself);
    let credentials = account.credentials();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(credentials.renew(Some(&access(1))), Ok(access(2))));
        }
    });
    // Somebody who is late with the old one.
    assert_eq!(account.credentials().renew(Some(&access(1))), Ok(access(2)));
    assert_eq!(sign_in.asked(), ["refresh_token"]);
}

#[test]
fn tokens_that_are_refused_as_soon_as_they_came_are_not_renewed_in_a_circle() {
    let (_folder, state) = folder();
    store(&state, &grant(1, None));
    let sign_in = SignIn::granting(2..9);
    let (account, _news) = start(&sign_in, &state, Start::ByItself);
    for number in 1..5 {
        let renewed = account.credentials().renew(Some(&access(number)));
        assert_eq!(renewed, Ok(access(number + 1)));
    }
    assert_eq!(account.credentials().renew(Some(&access(5))), Err(NoToken::NotLinked));
    assert_eq!(sign_in.asked(), ["refresh_token"; 4]);
}

#[test]
fn a_sign_in_that_is_busy_costs_no_account_and_is_left_alone_for_the_time_it_named() {
    let (_folder, state) = folder();
    store(&state, &grant(1, None));
    let sign_in = SignIn::granting([]);
    let (account, _news) = start(&sign_in, &state, Start::ByItself);
    for _ in 0..3 {
        assert_eq!(account.credentials().renew(Some(&access(1))), Err(NoToken::Later));
    }
    assert_eq!(sign_in.asked(), ["refresh_token"]);
    assert_eq!(account.credentials().token(), Ok(Some(access(1))));
    assert_eq!(stored(&state), Some(grant(1, None)));
}

#[test]
fn a_link_that_is_gone_unlinks_and_shows_a_new_code() {
    let (_folder, state) = folder();
    store(&state, &grant(1, None));
    let sign_in = SignIn::saying([error("invalid_grant"), (200, PAIR.into())]);
    let (account, news) = start(&sign_in, &state, Start::ByItself);
    assert_eq!(next(&news), News::Linked);
    assert_eq!(account.credentials().renew(Some(&access(1))), Err(NoToken::NotLinked));
    assert_eq!(next(&news), News::Unlinked(Why::Revoked));
    shows_a_code(&news);
    assert_eq!(stored(&state), None);
    assert_eq!(account.credentials().token(), Err(NoToken::NotLinked));
}

#[test]
fn an_account_that_another_process_stored_is_taken_before_the_link_counts_as_gone() {
    let (_folder, state) = folder();
    store(&state, &grant(1, None));
    let sign_in = SignIn::saying([error("invalid_grant")]);
    let (account, news) = start(&sign_in, &state, Start::ByItself);
    store(&state, &grant(7, None));
    assert_eq!(account.credentials().renew(Some(&access(1))), Ok(access(7)));
    account.close();
    assert_eq!(news.iter().collect::<Vec<_>>(), [News::Linked]);
    assert_eq!(stored(&state), Some(grant(7, None)));
}

#[test]
fn a_forgotten_account_is_gone_and_not_linked_again_by_itself() {
    let (_folder, state) = folder();
    store(&state, &grant(1, None));
    let sign_in = SignIn::saying([(200, PAIR.into())]);
    let (account, news) = start(&sign_in, &state, Start::ByItself);
    assert_eq!(next(&news), News::Linked);
    account.unlink();
    assert_eq!(next(&news), News::Unlinked(Why::Asked));
    assert_eq!(account.credentials().token(), Err(NoToken::NotLinked));
    assert_eq!(stored(&state), None);
    account.close();
    assert_eq!(news.iter().next(), None);
    assert_eq!(sign_in.asked(), [""; 0]);
}

#[test]
fn who_declines_is_told_of_and_asked_again_on_request_only() {
    let (_folder, state) = folder();
    let sign_in = SignIn::saying([(200, PAIR.into()), error("access_denied"), (200, PAIR.into())]);
    let (account, news) = start(&sign_in, &state, Start::ByItself);
    assert_eq!(next(&news), News::Unlinked(Why::Never));
    shows_a_code(&news);
    assert_eq!(next(&news), News::Unlinked(Why::Declined));
    account.link();
    shows_a_code(&news);
}

#[test]
fn a_mistake_in_the_configuration_stops_signing_in() {
    let (_folder, state) = folder();
    let sign_in = SignIn::saying([error("invalid_client"), (200, PAIR.into())]);
    let (account, news) = start(&sign_in, &state, Start::ByItself);
    assert_eq!(next(&news), News::Unlinked(Why::Never));
    assert!(matches!(next(&news), News::Misconfigured(text) if text.contains("client_id")));
    account.close();
    assert_eq!(sign_in.asked(), ["pair"]);
}

#[test]
fn a_disk_that_takes_nothing_costs_no_music() {
    let (folder, state) = folder();
    store(&state, &grant(1, None));
    let sign_in = SignIn::granting([2]);
    let (account, _news) = start(&sign_in, &state, Start::ByItself);
    std::fs::rename(folder.path().join("state"), folder.path().join("away")).unwrap();
    assert_eq!(account.credentials().renew(Some(&access(1))), Ok(access(2)));
}

#[test]
fn leaving_does_not_wait_for_a_silent_sign_in_and_lets_go_of_who_waits() {
    let (_folder, state) = folder();
    store(&state, &grant(1, None));
    let sign_in = SignIn(Server::start(|_, wire| -> Then { wire.hang() }));
    let (account, _news) = start(&sign_in, &state, Start::ByItself);
    let credentials = account.credentials();
    let waiting = std::thread::spawn(move || credentials.renew(Some(&access(1))));
    sign_in.0.wait_for_requests(1);
    account.close();
    assert_eq!(waiting.join().unwrap(), Err(NoToken::Later));
}

/// A keeper without a thread, whose clock a test sets.
fn keeper(server: &Server, state: &StateDir, now: &Arc<Mutex<Now>>) -> Keeper {
    let patience = Patience::default();
    let clock = Arc::clone(now);
    Keeper {
        desk: Arc::new(Desk::new(None, PATIENCE)),
        client: Client::new(
            BaseUrl::parse(&server.url("")).unwrap(),
            "client",
            "scope",
            &crate::tls::fixture::believing(),
            patience,
        ),
        file: GrantFile::new(state.clone()),
        clock: Arc::new(move || *clock.lock().unwrap()),
        start: Start::ByItself,
        news: Arc::new(drop),
        linking: Linking::new(patience.pace, 1),
        renewal: Renewal::new(1),
        grant: None,
        save_at: None,
        complaint: String::new(),
    }
}

#[test]
fn who_is_refused_while_a_token_is_being_renewed_causes_no_second_renewal() {
    let (_folder, state) = folder();
    let desk = Arc::new(Desk::new(Some(access(1)), PATIENCE));
    let refused = |desk: &Arc<Desk>| {
        let desk = Arc::clone(desk);
        std::thread::spawn(move || desk.renew(Some(&access(1))))
    };
    let (late, waiting) = (Arc::clone(&desk), Mutex::new(Vec::new()));
    let server = Server::start(move |_, wire| {
        waiting.lock().unwrap().push(refused(&late));
        let until = Instant::now() + PATIENCE;
        while !late.is_refusal_waiting() {
            assert!(Instant::now() < until, "the late one does not wait");
            std::thread::yield_now();
        }
        wire.answer(200, &[], tokens(2).as_bytes())
    });
    let mut keeper = Keeper {
        desk: Arc::clone(&desk),
        grant: Some(grant(1, None)),
        ..keeper(&server, &state, &at(0, None))
    };
    let first = refused(&desk);
    assert!(desk.wishes(Some(PATIENCE)).is_refused);
    keeper.cure();
    assert_eq!(first.join().unwrap(), Ok(access(2)));
    assert!(!desk.is_refusal_waiting());
    assert_eq!(server.requests().len(), 1);
}

fn at(now_ms: u64, wall_s: Option<i64>) -> Arc<Mutex<Now>> {
    Arc::new(Mutex::new(Now {
        at: Moment(now_ms),
        wall_s,
    }))
}

#[test]
fn what_could_not_be_stored_is_stored_later() {
    let (folder, state) = folder();
    let sign_in = SignIn::granting([1]);
    let now = at(0, None);
    let mut keeper = keeper(&sign_in.0, &state, &now);
    std::fs::rename(folder.path().join("state"), folder.path().join("away")).unwrap();
    std::fs::write(folder.path().join("state"), "no folder").unwrap();
    keeper.grant = Some(grant(0, None));
    keeper.refresh();
    std::fs::remove_file(folder.path().join("state")).unwrap();
    std::fs::rename(folder.path().join("away"), folder.path().join("state")).unwrap();
    assert!(matches!(keeper.next(Moment(59_999)), Step::Sleep(Some(Moment(60_000)))));
    assert!(matches!(keeper.next(Moment(60_000)), Step::Save));
    keeper.save();
    assert_eq!(stored(&state), Some(grant(1, None)));
    assert!(matches!(keeper.next(Moment(60_000)), Step::Sleep(Some(at)) if at > Moment(2_000_000)));
}

#[test]
fn a_clock_that_cannot_be_trusted_dates_no_token_and_ends_none() {
    let (_folder, state) = folder();
    let sign_in = SignIn::granting([1]);
    let mut keeper = keeper(&sign_in.0, &state, &at(5_000, None));
    keeper.grant = Some(grant(0, Some(WALL_S)));
    keeper.begin();
    assert!(matches!(keeper.next(Moment(5_000)), Step::Sleep(None)));
    keeper.refresh();
    assert_eq!(stored(&state), Some(grant(1, None)));
    // The clock since boot still says when the new one ends.
    assert!(matches!(keeper.next(Moment(5_000 + 3_240_000)), Step::Refresh));
}

#[test]
fn a_token_stored_under_a_clock_of_the_future_waits_for_a_401() {
    let (_folder, state) = folder();
    let sign_in = SignIn::granting([]);
    let mut keeper = keeper(&sign_in.0, &state, &at(0, Some(WALL_S)));
    keeper.grant = Some(grant(0, Some(WALL_S + 10 * 365 * 86_400)));
    keeper.begin();
    assert!(matches!(keeper.next(Moment(0)), Step::Sleep(None)));
}
