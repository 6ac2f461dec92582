//! HTTP for the local page. Runs on the application's own thread: nothing here blocks, everything is bounded.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Json, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, serve::Listener};
use futures_util::stream;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonearm_core::unit::Millis;

use super::ask::{AccountWish, Ask, Button, Place, PlayBody, QueueBody, Reason, Reply, SeekBody};
use super::guard::{self, Stranger};
use super::status::Status;

/// Connections at a time. A browser opens six; a household has a few.
const CONNECTIONS_MAX: usize = 32;
/// Followers of status changes at a time: one open page each.
const FOLLOWERS_MAX: usize = 8;
/// Longest body. A request to play with the most and longest identifiers has less.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// From the first byte of a connection, or the end of the answer before, to the end of the request's head.
const HEAD_MAX: Duration = Duration::from_secs(15);
/// From the end of the head to the answer; slow bodies included.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long the speaker's loop may take to say yes or no. It answers within milliseconds or is in trouble.
const REPLY_MAX: Duration = Duration::from_secs(3);
/// How long a look at the queue may take: the service is asked, which has eight seconds to answer.
const QUEUE_REPLY_MAX: Duration = Duration::from_secs(9);
/// A connection is closed after this, whatever it does, so that one that nobody reads from does not stay for ever.
/// Followers connect again on their own.
const CONNECTION_MAX: Duration = Duration::from_secs(3600);
/// Sign of life to followers, so that both sides notice a dead connection.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// What the page needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The speaker's name on the network; also answered with `.local`.
    pub hostname: String,
}

struct Shared {
    settings: Settings,
    asks: mpsc::Sender<Ask>,
    followers: Arc<Semaphore>,
}

/// Serves the page until it is dropped.
///
/// Each ask is answered through its reply channel; `asks` may be small, since a full one is answered with 503.
pub async fn serve(mut listener: TcpListener, settings: Settings, asks: mpsc::Sender<Ask>) {
    let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
    let router = router(Arc::new(Shared {
        settings,
        asks,
        followers,
    }));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Without a free place nothing is accepted; the system keeps a few more waiting.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        // axum's accept logs and waits when the system has no file descriptors left.
        let (stream, _) = Listener::accept(&mut listener).await;
        let service = TowerToHyperService::new(router.clone());
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_MAX)
                .serve_connection(TokioIo::new(stream), service);
            match timeout(CONNECTION_MAX, connection).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(error)) => log::debug!("page connection: {error}"),
            }
            drop(place);
        });
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/api/status", get(show))
        .route("/api/press/{button}", post(press))
        .route("/api/seek", post(seek))
        .route("/api/play", post(play))
        .route("/api/take-over", post(take_over))
        .route("/api/queue", get(queue))
        .route("/api/queue/next", post(queue_next))
        .route("/api/queue/last", post(queue_last))
        .route("/api/account", get(account))
        .route("/api/account/link", post(link))
        .route("/api/account/unlink", post(unlink))
        .route("/api/events", get(follow))
        .route("/metrics", get(measure))
        .fallback(|| async {
            refuse(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is nothing here; / lists what there is",
            )
        })
        .method_not_allowed_fallback(|| async {
            refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "see / for what each path takes",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&shared), admit))
        .with_state(shared)
}

/// Who may ask, and for how long.
async fn admit(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    match guard::check(
        &shared.settings.hostname,
        request.method(),
        request.uri(),
        request.headers(),
    ) {
        Ok(()) => {}
        Err(Stranger::NoHost) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "a request needs one Host header",
            );
        }
        Err(Stranger::Host(host)) => {
            let names = &shared.settings.hostname;
            let text = format!("\"{host}\" is not this speaker; use its address, {names} or {names}.local");
            return refuse(StatusCode::FORBIDDEN, "forbidden", &text);
        }
        Err(Stranger::Origin(origin)) => {
            return refuse(
                StatusCode::FORBIDDEN,
                "forbidden",
                &format!("asked by another site: {origin}"),
            );
        }
    }
    match timeout(ANSWER_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refuse(StatusCode::REQUEST_TIMEOUT, "timeout", "the request took too long"),
    }
}

async fn index(State(shared): State<Arc<Shared>>) -> Html<String> {
    let name = escape(&shared.settings.hostname);
    Html(format!(
        "<!doctype html><meta charset=utf-8><title>{name}</title><h1>{name}</h1>\
         <p>This speaker is controlled through its API:</p><pre>\
         GET  /api/status            what it does, as JSON\n\
         GET  /api/events            the same at each change, as server-sent events\n\
         POST /api/press/BUTTON      {}\n\
         POST /api/seek              {{\"position_ms\": 30000}}\n\
         POST /api/play              {{\"playParams\": {{\"id\": \"...\"}}, \"mode\": \"play|shuffle|station\"}}\n\
         POST /api/take-over         go on here with what another device plays\n\
         GET  /api/queue             the queue around the current entry\n\
         POST /api/queue/next        {{\"playParams\": {{\"id\": \"...\"}}}}: after the current entry\n\
         POST /api/queue/last        the same: after everything else\n\
         GET  /api/account           whether an account is linked, and the code to link one with\n\
         POST /api/account/link      ask for a code; it is in the status a moment later\n\
         POST /api/account/unlink    forget the account\n\
         GET  /metrics               Prometheus text\n</pre>\n",
        Button::NAMES
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Asked of the speaker rather than taken from the last change: the position moves without one.
async fn show(State(shared): State<Arc<Shared>>) -> Response {
    match ask(&shared, |reply| Ask::Status { reply }).await {
        Ok(status) => ([(header::CACHE_CONTROL, "no-store")], Json(status)).into_response(),
        Err(refused) => refused,
    }
}

/// The part of the status that is about the account.
async fn account(State(shared): State<Arc<Shared>>) -> Response {
    match ask(&shared, |reply| Ask::Status { reply }).await {
        Ok(status) => {
            let body = json!({
                "account": status.account,
                "linking": status.linking,
                "problem": status.account_problem,
            });
            ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        Err(refused) => refused,
    }
}

async fn link(State(shared): State<Arc<Shared>>) -> Response {
    let wish = AccountWish::Link;
    pass_on(&shared, |reply| Ask::Account { wish, reply }).await
}

async fn unlink(State(shared): State<Arc<Shared>>) -> Response {
    let wish = AccountWish::Unlink;
    pass_on(&shared, |reply| Ask::Account { wish, reply }).await
}

async fn measure(State(shared): State<Arc<Shared>>) -> Response {
    match ask(&shared, |reply| Ask::Metrics { reply }).await {
        Ok(text) => (
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            text,
        )
            .into_response(),
        Err(refused) => refused,
    }
}

async fn press(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    let Some(button) = Button::parse(&name) else {
        let text = format!("there is no button \"{name}\"; there are {}", Button::NAMES);
        return refuse(StatusCode::NOT_FOUND, "no_such_button", &text);
    };
    pass_on(&shared, |reply| Ask::Press { button, reply }).await
}

async fn seek(State(shared): State<Arc<Shared>>, body: Result<Json<SeekBody>, JsonRejection>) -> Response {
    match body {
        Ok(Json(body)) => {
            let position = Millis(body.position_ms);
            pass_on(&shared, |reply| Ask::Seek { position, reply }).await
        }
        Err(error) => refuse(error.status(), "bad_request", &error.body_text()),
    }
}

async fn play(State(shared): State<Arc<Shared>>, body: Result<Json<PlayBody>, JsonRejection>) -> Response {
    let body = match body {
        Ok(Json(body)) => body,
        Err(error) => return refuse(error.status(), "bad_request", &error.body_text()),
    };
    match body.check() {
        Ok(request) => pass_on(&shared, |reply| Ask::Play { request, reply }).await,
        Err(text) => refuse(StatusCode::BAD_REQUEST, "bad_request", &text),
    }
}

async fn take_over(State(shared): State<Arc<Shared>>) -> Response {
    let button = Button::TakeOver;
    pass_on(&shared, |reply| Ask::Press { button, reply }).await
}

async fn queue_next(State(shared): State<Arc<Shared>>, body: Result<Json<QueueBody>, JsonRejection>) -> Response {
    enqueue(&shared, body, Place::Next).await
}

async fn queue_last(State(shared): State<Arc<Shared>>, body: Result<Json<QueueBody>, JsonRejection>) -> Response {
    enqueue(&shared, body, Place::Last).await
}

async fn enqueue(shared: &Shared, body: Result<Json<QueueBody>, JsonRejection>, place: Place) -> Response {
    let body = match body {
        Ok(Json(body)) => body,
        Err(error) => return refuse(error.status(), "bad_request", &error.body_text()),
    };
    match body.check() {
        Ok(play) => pass_on(shared, |reply| Ask::Enqueue { play, place, reply }).await,
        Err(text) => refuse(StatusCode::BAD_REQUEST, "bad_request", &text),
    }
}

async fn queue(State(shared): State<Arc<Shared>>) -> Response {
    match ask_within(&shared, QUEUE_REPLY_MAX, |reply| Ask::Queue { reply }).await {
        Ok(Ok(queue)) => ([(header::CACHE_CONTROL, "no-store")], Json(queue)).into_response(),
        Ok(Err(Reason { error, text })) => refuse(StatusCode::CONFLICT, error, &text),
        Err(refused) => refused,
    }
}

/// Passes a request to do something on, and the word on it back.
async fn pass_on(shared: &Shared, question: impl FnOnce(Reply) -> Ask) -> Response {
    match ask(shared, question).await {
        Ok(Ok(())) => (StatusCode::ACCEPTED, Json(json!({}))).into_response(),
        Ok(Err(Reason { error, text })) => refuse(StatusCode::CONFLICT, error, &text),
        Err(refused) => refused,
    }
}

/// Asks the speaker and waits for its answer; `Err`: the response for whoever is not answered.
async fn ask<T>(shared: &Shared, question: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Response> {
    ask_within(shared, REPLY_MAX, question).await
}

async fn ask_within<T>(
    shared: &Shared,
    limit: Duration,
    question: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Result<T, Response> {
    let busy = |text| refuse(StatusCode::SERVICE_UNAVAILABLE, "busy", text);
    let (reply, answer) = oneshot::channel();
    if shared.asks.try_send(question(reply)).is_err() {
        return Err(busy("the speaker is busy or shutting down; try again"));
    }
    match timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "leaving",
            "the speaker is shutting down",
        )),
        Err(_) => Err(busy("the speaker does not answer; try again")),
    }
}

fn refuse(status: StatusCode, error: &str, reason: &str) -> Response {
    (status, Json(json!({ "error": error, "reason": reason }))).into_response()
}

/// One follower of status changes. Holding the permit keeps its place.
struct Follower {
    status: watch::Receiver<Arc<Status>>,
    _place: OwnedSemaphorePermit,
}

async fn follow(State(shared): State<Arc<Shared>>) -> Response {
    let Ok(place) = Arc::clone(&shared.followers).try_acquire_owned() else {
        let text = format!("{FOLLOWERS_MAX} pages follow already; use /api/status");
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too_many_followers", &text);
    };
    let mut status = match ask(&shared, |reply| Ask::Follow { reply }).await {
        Ok(status) => status,
        Err(refused) => return refused,
    };
    // The first one is sent at once; a slow follower skips states, it never gets old ones.
    status.mark_changed();
    let changes = stream::unfold(Follower { status, _place: place }, |mut follower| async move {
        follower.status.changed().await.ok()?;
        let now = Arc::clone(&follower.status.borrow_and_update());
        let event = Event::default().json_data(&*now).ok()?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Sse::new(changes)
        .keep_alive(KeepAlive::new().interval(ALIVE_EVERY))
        .into_response()
}
