//! Routes: from a request to an operation of the account and back. What is decided, is decided elsewhere.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Extension, Json, Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth;
use super::batch;
use super::delivery;
use super::devices::Play;
use super::dialect::{Dialect, Form, Spoken};
use super::faults::Planned;
use super::gate::{self, Strike};
use super::ledger::Filter;
use super::media;
use super::offer;
use super::queue::Queue;
use super::wire::{self, Refusal};
use super::world::{Caller, View, World};

/// The account, shared by all requests. Locked for an operation, never across a wait.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    /// Shares an account.
    pub fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// The account. An operation that failed half-way is no reason to stop serving.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Answer = Result<Response, Refusal>;
type Who = Extension<Caller>;

impl IntoResponse for Refusal {
    /// Only the status: the gate knows the address and writes the body.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// All routes.
pub fn router(shared: Shared) -> Router {
    let session = Router::new()
        .route("/current", get(current))
        .route("/next", get(next))
        .route("/previous", get(previous))
        .route("/queue", get(queue))
        .route("/queue/next", post(insert_next))
        .route("/queue/last", post(insert_last))
        .route("/loop", put(set_looping))
        .route("/shuffle", put(set_shuffled));
    Router::new()
        .route("/v1/playback/sessions", post(create))
        .route("/v1/playback/sessions/active", get(active))
        .route("/v1/playback/sessions/entities/{reference}", get(restore))
        .nest("/v1/playback/sessions/{session}", session)
        .route("/v1/playback/event", post(event))
        .route(batch::PATH, post(events))
        .route("/v1/views/home", get(home))
        .route("/v1/views/home/{group}", get(home))
        .route("/media/{file}", get(track))
        .merge(delivery::router())
        .route("/sim/music", get(home))
        .route("/sim/report", get(report))
        .route("/sim/ledger", get(ledger))
        .route("/sim/violations", get(violations))
        .route("/sim/sessions", get(sessions))
        .route("/sim/dialect", put(set_dialect))
        .route("/sim/urls", delete(expire_urls))
        .route(offer::PATH, get(upgrade))
        .route("/sim/clock", get(clock).post(advance))
        .merge(auth::router())
        .route("/sim/devices", get(devices))
        .route("/sim/devices/play", post(play_elsewhere))
        .route("/sim/devices/stop", post(stop_elsewhere))
        .route("/sim/faults", get(faults).post(plan_fault).delete(clear_faults))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(shared.clone(), gate::gate))
        .with_state(shared)
}

/// Puts an answer of the contract into the words of the day.
fn speak(world: &World, answer: Value, form: Form) -> Answer {
    match world.dialect.speak(answer, form) {
        Spoken::Body(body) => Ok(Json(body).into_response()),
        Spoken::Nothing => Ok(StatusCode::NO_CONTENT.into_response()),
        Spoken::NotFound => Err(Refusal::missing("another entry")),
    }
}

async fn create(State(shared): State<Shared>, caller: Who, body: Bytes) -> Answer {
    let mut world = shared.world();
    let answer = world.create(&body, &caller)?;
    speak(&world, answer, Form::Other)
}

async fn active(State(shared): State<Shared>) -> Answer {
    let world = shared.world();
    speak(&world, world.active(), Form::Other)
}

async fn restore(State(shared): State<Shared>, caller: Who, Path(reference): Path<String>) -> Answer {
    let world = shared.world();
    let answer = world.restore(&reference, &caller)?;
    speak(&world, answer, Form::Other)
}

fn look(shared: &Shared, caller: &Caller, session: &str, view: View) -> Answer {
    let mut world = shared.world();
    world.queue_call(session, caller)?;
    let answer = world.look(session, view, caller)?;
    let form = match view {
        View::Current => Form::Current,
        View::Next(_) => Form::Next,
        View::Previous(_) => Form::Previous,
        View::Whole => Form::Other,
    };
    speak(&world, answer, form)
}

async fn current(State(shared): State<Shared>, caller: Who, Path(session): Path<String>) -> Answer {
    look(&shared, &caller, &session, View::Current)
}

async fn next(
    State(shared): State<Shared>,
    caller: Who,
    Extension(strike): Extension<Strike>,
    Path(session): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let answer = look(&shared, &caller, &session, View::Next(wire::limit(query.as_deref())?))?;
    if strike.0.is_none() {
        shared.world().tell(&session, &caller);
    }
    Ok(answer)
}

async fn previous(
    State(shared): State<Shared>,
    caller: Who,
    Path(session): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    look(
        &shared,
        &caller,
        &session,
        View::Previous(wire::limit(query.as_deref())?),
    )
}

async fn queue(State(shared): State<Shared>, caller: Who, Path(session): Path<String>) -> Answer {
    look(&shared, &caller, &session, View::Whole)
}

async fn insert_next(State(shared): State<Shared>, caller: Who, Path(session): Path<String>, body: Bytes) -> Answer {
    let mut world = shared.world();
    world.queue_call(&session, &caller)?;
    let answer = world.insert(&session, &body, Queue::insert_next)?;
    speak(&world, answer, Form::Other)
}

async fn insert_last(State(shared): State<Shared>, caller: Who, Path(session): Path<String>, body: Bytes) -> Answer {
    let mut world = shared.world();
    world.queue_call(&session, &caller)?;
    let answer = world.insert(&session, &body, Queue::insert_last)?;
    speak(&world, answer, Form::Other)
}

async fn set_looping(State(shared): State<Shared>, caller: Who, Path(session): Path<String>, body: Bytes) -> Answer {
    let mut world = shared.world();
    world.queue_call(&session, &caller)?;
    let answer = world.set_looping(&session, &body)?;
    speak(&world, answer, Form::Other)
}

async fn set_shuffled(State(shared): State<Shared>, caller: Who, Path(session): Path<String>, body: Bytes) -> Answer {
    let mut world = shared.world();
    world.queue_call(&session, &caller)?;
    let answer = world.set_shuffled(&session, &body)?;
    speak(&world, answer, Form::Other)
}

async fn event(State(shared): State<Shared>, caller: Who, body: Bytes) -> Answer {
    let mut world = shared.world();
    let answer = world.event(&body, &caller)?;
    speak(&world, answer, Form::Other)
}

async fn events(State(shared): State<Shared>, caller: Who, body: Bytes) -> Answer {
    let mut world = shared.world();
    let answer = world.batch(&body, &caller)?;
    speak(&world, answer, Form::Other)
}

async fn home(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.world().home())
}

async fn track(
    State(shared): State<Shared>,
    Extension(strike): Extension<Strike>,
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let mut world = shared.world();
    delivery::find_leak(&mut world, &headers);
    let key = file.split_once('.').map_or(file.as_str(), |(key, _)| key);
    let is_good = world.is_good_address(&query.unwrap_or_default());
    match world.catalogue.by_key(key).cloned() {
        None => (StatusCode::NOT_FOUND, "no such track\n").into_response(),
        Some(_) if !is_good => {
            let status = StatusCode::from_u16(world.addresses.expired.status()).unwrap_or(StatusCode::FORBIDDEN);
            (status, "this address ran out; ask for the entry again\n").into_response()
        }
        Some(track) => {
            drop(world);
            let fault = strike.0.as_ref();
            let (method, headers) = (&method, &headers);
            media::answer(&track, &media::Asked { method, headers, fault })
        }
    }
}

async fn report(State(shared): State<Shared>) -> Json<Value> {
    Json(json!(shared.world().ledger.report()))
}

async fn ledger(
    State(shared): State<Shared>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Response {
    match filter {
        Ok(Query(filter)) => Json(json!({"records": shared.world().ledger.find(&filter)})).into_response(),
        Err(wrong) => (StatusCode::BAD_REQUEST, format!("{}\n", wrong.body_text())).into_response(),
    }
}

async fn violations(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"records": shared.world().ledger.find(&Filter::of_kind("violation"))}))
}

async fn sessions(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.world().sessions())
}

async fn clock(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.world().clock())
}

/// Body of `POST /sim/clock`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_s: u32,
}

async fn advance(State(shared): State<Shared>, body: Bytes) -> Response {
    let mut world = shared.world();
    match serde_json::from_slice(&body) {
        Ok(Advance { advance_s }) => {
            world.advance(advance_s);
            Json(world.clock()).into_response()
        }
        Err(wrong) => (StatusCode::BAD_REQUEST, format!("{wrong}\n")).into_response(),
    }
}

async fn devices(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.world().devices())
}

async fn play_elsewhere(State(shared): State<Shared>, body: Bytes) -> Answer {
    let play: Play = serde_json::from_slice(&body).map_err(|error| Refusal::bad(error.to_string()))?;
    shared
        .world()
        .play_elsewhere(play)
        .map(|done| Json(done).into_response())
}

async fn stop_elsewhere(State(shared): State<Shared>, body: Bytes) -> Answer {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Stop {
        device: String,
    }
    let stop: Stop = serde_json::from_slice(&body).map_err(|error| Refusal::bad(error.to_string()))?;
    shared
        .world()
        .stop_elsewhere(&stop.device)
        .map(|done| Json(done).into_response())
}

/// Body of `PUT /sim/dialect`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Speech {
    dialect: Dialect,
}

async fn set_dialect(State(shared): State<Shared>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Speech { dialect }) => {
            shared.world().dialect = dialect;
            Json(json!({"dialect": dialect})).into_response()
        }
        Err(wrong) => (StatusCode::BAD_REQUEST, format!("{wrong}\n")).into_response(),
    }
}

async fn expire_urls(State(shared): State<Shared>) -> StatusCode {
    shared.world().addresses.expire_all();
    StatusCode::NO_CONTENT
}

async fn upgrade() -> &'static str {
    "A service would offer a bigger subscription here. This account's is what --tier says.\n"
}

async fn faults(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"faults": shared.world().faults.planned()}))
}

async fn plan_fault(State(shared): State<Shared>, body: Bytes) -> Response {
    let mut world = shared.world();
    match Planned::parse(&body).and_then(|planned| world.faults.plan(planned)) {
        Ok(()) => (StatusCode::CREATED, Json(json!({"faults": world.faults.planned()}))).into_response(),
        Err(wrong) => (StatusCode::BAD_REQUEST, format!("{wrong}\n")).into_response(),
    }
}

async fn clear_faults(State(shared): State<Shared>) -> Json<Value> {
    let mut world = shared.world();
    world.faults.clear();
    Json(json!({"faults": world.faults.planned()}))
}

async fn nothing() -> Refusal {
    Refusal::missing("this path")
}

async fn wrong_method() -> Refusal {
    Refusal {
        status: 405,
        code: "BAD_REQUEST",
        message: "this path has no such method".to_owned(),
        why: None,
    }
}
