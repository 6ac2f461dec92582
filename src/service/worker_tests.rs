//! The worker: order, exactly one news for each piece of work, and leaving at once.

use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::super::credentials::{Credentials, FixedToken, NoToken, Token};
use super::super::fixture::{self, answering, create, current, settings};
use super::super::scripted::Server;
use super::*;

fn start(server: &Server, credentials: Arc<dyn Credentials>) -> (Service, Receiver<News>) {
    let settings = Settings {
        credentials,
        ..settings(server.url(""))
    };
    let (sender, news) = channel();
    let tell = Arc::new(move |one| sender.send(one).unwrap_or_default());
    (Service::start(settings, tell).unwrap(), news)
}

fn report() -> Vec<EventReport> {
    vec![fixture::report()]
}

#[test]
fn calls_and_events_go_out_in_the_order_given() {
    let server = Server::start(|_, wire| wire.answer(200, &[], b"[]"));
    let (service, news) = start(&server, Arc::new(FixedToken(None)));
    for number in 0..10_u32 {
        service.report(Seq(u64::from(number)), report()).unwrap();
        service.call(RequestId(number), current()).unwrap();
    }
    for number in 0..10_u32 {
        assert_eq!(
            news.recv().unwrap(),
            News::Reported {
                last: Seq(u64::from(number)),
                verdict: Verdict::Accepted
            }
        );
        let result = Ok(Reply::Listed(Vec::new()));
        assert_eq!(
            news.recv().unwrap(),
            News::Answered {
                request: RequestId(number),
                result
            }
        );
    }
    let targets: Vec<_> = server.requests().into_iter().map(|request| request.target).collect();
    for pair in targets.chunks(2) {
        assert_eq!(pair, ["/v1/playback/event", "/v1/playback/sessions/s-1/current"]);
    }
}

#[test]
fn close_does_not_wait_for_an_answer_and_still_answers_everything() {
    let server = Server::start(|_, wire| wire.hang());
    let (service, news) = start(&server, Arc::new(FixedToken(None)));
    service.call(RequestId(1), current()).unwrap();
    service.report(Seq(2), report()).unwrap();
    server.wait_for_requests(1);
    let asked = Instant::now();
    service.close();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(
        news.recv().unwrap(),
        News::Answered {
            request: RequestId(1),
            result: Err(Failure::Unreachable)
        }
    );
    let verdict = Verdict::Failed(Failure::Unreachable);
    assert_eq!(news.recv().unwrap(), News::Reported { last: Seq(2), verdict });
    assert!(news.recv().is_err(), "nothing more comes");
}

#[test]
fn more_work_than_fits_is_refused_at_once() {
    let server = Server::start(|_, wire| wire.hang());
    let (service, _news) = start(&server, Arc::new(FixedToken(None)));
    service.call(RequestId(0), current()).unwrap();
    server.wait_for_requests(1);
    for number in 0..WORK_MAX {
        service.report(Seq(number as u64), report()).unwrap();
    }
    assert_eq!(service.report(Seq(999), report()), Err(Full));
}

/// Credentials that panic, in place of a library that does.
struct Panicking;

impl Credentials for Panicking {
    fn token(&self) -> Result<Option<Token>, NoToken> {
        panic!("on purpose")
    }

    fn renew(&self, _refused: Option<&Token>) -> Result<Token, NoToken> {
        Err(NoToken::NotLinked)
    }
}

#[test]
fn a_panic_costs_one_answer_and_not_the_thread() {
    let server = Server::start(|_, wire| wire.answer(200, &[], b"[]"));
    let (service, news) = start(&server, Arc::new(Panicking));
    service.call(RequestId(1), current()).unwrap();
    service.report(Seq(2), report()).unwrap();
    assert_eq!(
        news.recv().unwrap(),
        News::Answered {
            request: RequestId(1),
            result: Err(Failure::Garbled)
        }
    );
    let verdict = Verdict::Failed(Failure::Garbled);
    assert_eq!(news.recv().unwrap(), News::Reported { last: Seq(2), verdict });
}

#[test]
fn what_the_service_says_comes_just_before_the_refusal() {
    let server = answering(403, &[], br#"{"error":{"code":"ACCESS_DENIED","message":"Not here."}}"#);
    let (service, news) = start(&server, Arc::new(FixedToken(None)));
    service.call(RequestId(1), create()).unwrap();
    service.report(Seq(2), report()).unwrap();
    let words = |news| match news {
        News::Said(said) => said.to_string(),
        News::Answered { .. } | News::Reported { .. } | News::Time { .. } => panic!("{news:?}"),
    };
    assert_eq!(words(news.recv().unwrap()), "Not here. (create, ACCESS_DENIED)");
    let result = Err(Failure::Forbidden);
    assert_eq!(
        news.recv().unwrap(),
        News::Answered {
            request: RequestId(1),
            result
        }
    );
    assert_eq!(words(news.recv().unwrap()), "Not here. (event, ACCESS_DENIED)");
    let verdict = Verdict::Refused;
    assert_eq!(news.recv().unwrap(), News::Reported { last: Seq(2), verdict });
}
