//! Routes: from a request to an operation of the account and back. What is decided, is decided elsewhere.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router, middleware};
use serde_json::{Value, json};

use super::auth;
use super::devices::Play;
use super::faults::Planned;
use super::gate::{self, Strike};
use super::judge::Code;
use super::ledger::Filter;
use super::media;
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

type Answer = Result<Json<Value>, Refusal>;
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
        .route("/v1/views/home", get(home))
        .route("/v1/views/home/{group}", get(home))
        .route("/media/{file}", get(track))
        .route("/sim/music", get(home))
        .route("/sim/report", get(report))
        .route("/sim/ledger", get(ledger))
        .route("/sim/violations", get(violations))
        .route("/sim/sessions", get(sessions))
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

async fn create(State(shared): State<Shared>, caller: Who, body: Bytes) -> Answer {
    shared.world().create(&body, &caller).map(Json)
}

async fn active(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.world().active())
}

async fn restore(State(shared): State<Shared>, caller: Who, Path(reference): Path<String>) -> Answer {
    shared.world().restore(&reference, &caller).map(Json)
}

fn look(shared: &Shared, caller: &Caller, session: &str, view: View) -> Answer {
    let mut world = shared.world();
    world.queue_call(session, caller)?;
    world.look(session, view, caller).map(Json)
}

async fn current(State(shared): State<Shared>, caller: Who, Path(session): Path<String>) -> Answer {
    look(&shared, &caller, &session, View::Current)
}

async fn next(
    State(shared): State<Shared>,
    caller: Who,
    Path(session): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    look(&shared, &caller, &session, View::Next(wire::limit(query.as_deref())?))
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
    world.insert(&session, &body, Queue::insert_next).map(Json)
}

async fn insert_last(State(shared): State<Shared>, caller: Who, Path(session): Path<String>, body: Bytes) -> Answer {
    let mut world = shared.world();
    world.queue_call(&session, &caller)?;
    world.insert(&session, &body, Queue::insert_last).map(Json)
}

async fn set_looping(State(shared): State<Shared>, caller: Who, Path(session): Path<String>, body: Bytes) -> Answer {
    let mut world = shared.world();
    world.queue_call(&session, &caller)?;
    world.set_looping(&session, &body).map(Json)
}

async fn set_shuffled(State(shared): State<Shared>, caller: Who, Path(session): Path<String>, body: Bytes) -> Answer {
    let mut world = shared.world();
    world.queue_call(&session, &caller)?;
    world.set_shuffled(&session, &body).map(Json)
}

async fn event(State(shared): State<Shared>, caller: Who, body: Bytes) -> Answer {
    shared.world().event(&body, &caller).map(Json)
}

async fn home(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.world().home())
}

async fn track(
    State(shared): State<Shared>,
    Extension(strike): Extension<Strike>,
    Path(file): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let mut world = shared.world();
    if headers.contains_key("authorization") || headers.contains_key("x-api-key") {
        let detail = "Authorization or x-api-key came with a request for media";
        world.ledger.violation(None, Code::CredentialsLeaked, detail);
    }
    let key = file.split_once('.').map_or(file.as_str(), |(key, _)| key);
    match world.catalogue.by_key(key).cloned() {
        None => (StatusCode::NOT_FOUND, "no such track\n").into_response(),
        Some(track) => {
            drop(world);
            media::answer(&track, &method, &headers, strike.0.as_ref())
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

async fn devices(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.world().devices())
}

async fn play_elsewhere(State(shared): State<Shared>, body: Bytes) -> Answer {
    let play: Play = serde_json::from_slice(&body).map_err(|error| Refusal::bad(error.to_string()))?;
    shared.world().play_elsewhere(play).map(Json)
}

async fn stop_elsewhere(State(shared): State<Shared>, body: Bytes) -> Answer {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Stop {
        device: String,
    }
    let stop: Stop = serde_json::from_slice(&body).map_err(|error| Refusal::bad(error.to_string()))?;
    shared.world().stop_elsewhere(&stop.device).map(Json)
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
    }
}
