//! Routes of the sign-in server, of the page where a person types a code, and of the orders a test gives to both. What
//! is decided, is decided in the account.

use axum::body::Bytes;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{Account, Change, Denial};
use super::http::Shared;
use super::pairing;
use super::world::Caller;

/// Routes of signing in.
pub fn router() -> Router<Shared> {
    Router::new()
        .route("/auth/o2/create/codepair", post(create_pair))
        .route("/auth/o2/token", post(token))
        .route("/link", get(link_page).post(link_answer))
        .route("/sim/account", get(account).put(change))
        .route("/sim/account/approve", post(approve))
        .route("/sim/account/deny", post(deny))
        .route("/sim/account/slow_down", post(slow_down))
        .route("/sim/account/expire", post(expire))
        .route("/sim/account/revoke", post(revoke))
}

/// The body of an error.
pub fn error(error: &str, description: &str) -> Value {
    json!({"error": error, "error_description": description})
}

/// What an error of the sign-in server is called if only its status was asked for.
pub const fn error_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "invalid_client",
        403 => "access_denied",
        429 | 503 => "temporarily_unavailable",
        500..=599 => "server_error",
        _ => "invalid_request",
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let status = match self.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        (status, Json(error(self.error, &self.description))).into_response()
    }
}

/// An answer with secrets in it is nobody's to keep \[RFC 6749, 5.1\].
fn secret(value: Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(value)).into_response()
}

type Sent = Result<Form<Vec<(String, String)>>, FormRejection>;

fn form(sent: Sent) -> Result<Vec<(String, String)>, Denial> {
    sent.map(|Form(form)| form).map_err(|wrong| Denial {
        error: "invalid_request",
        description: wrong.body_text(),
    })
}

async fn create_pair(State(shared): State<Shared>, caller: Extension<Caller>, sent: Sent) -> Result<Response, Denial> {
    let form = form(sent)?;
    let mut world = shared.world();
    let now_ms = world.account_ms();
    let answer = world.account.create_pair(&form, &caller.base, now_ms);
    world.keep_account();
    answer.map(secret)
}

async fn token(State(shared): State<Shared>, sent: Sent) -> Result<Response, Denial> {
    let form = form(sent)?;
    let mut world = shared.world();
    let now_ms = world.account_ms();
    let (answer, finding) = world.account.token(&form, now_ms);
    world.keep_account();
    if let Some(finding) = finding {
        world.ledger.violation(None, finding.code, finding.detail);
    }
    answer.map(secret)
}

fn page(notice: &str) -> Html<String> {
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Link a speaker</title>\n\
         <h1>Link a speaker</h1>\n<p>{notice}</p>\n<form method=\"post\">\n\
         <label>Code <input name=\"user_code\" autocomplete=\"off\" autofocus required></label>\n\
         <button name=\"answer\" value=\"approve\">Link</button>\n\
         <button name=\"answer\" value=\"deny\">Refuse</button>\n</form>\n"
    ))
}

async fn link_page() -> Html<String> {
    page("Type the code that the speaker shows.")
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Approve,
    Deny,
}

impl Decision {
    const fn state(self) -> pairing::State {
        match self {
            Self::Approve => pairing::State::Approved,
            Self::Deny => pairing::State::Denied,
        }
    }
}

#[derive(Deserialize)]
struct Typed {
    user_code: String,
    answer: Decision,
}

async fn link_answer(State(shared): State<Shared>, typed: Result<Form<Typed>, FormRejection>) -> Response {
    match typed {
        Ok(Form(typed)) => match shared.world().decide(&typed.user_code, typed.answer.state()) {
            Ok(done) => page(&done).into_response(),
            Err(wrong) => (StatusCode::NOT_FOUND, page(&wrong)).into_response(),
        },
        Err(wrong) => (wrong.status(), page("This form was not understood.")).into_response(),
    }
}

async fn account(State(shared): State<Shared>) -> Json<Value> {
    let world = shared.world();
    Json(world.account.view(world.account_ms()))
}

fn wrong(error: &serde_json::Error) -> Response {
    (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
}

fn order(shared: &Shared, act: impl FnOnce(&mut Account, i64)) -> Json<Value> {
    let mut world = shared.world();
    let now_ms = world.account_ms();
    act(&mut world.account, now_ms);
    world.keep_account();
    Json(world.account.view(now_ms))
}

async fn change(State(shared): State<Shared>, body: Bytes) -> Response {
    match serde_json::from_slice::<Change>(&body) {
        Ok(change) => order(&shared, |account, _| account.change(change)).into_response(),
        Err(error) => wrong(&error),
    }
}

async fn slow_down(State(shared): State<Shared>) -> Json<Value> {
    order(&shared, |account, _| account.slow_down())
}

async fn expire(State(shared): State<Shared>) -> Json<Value> {
    order(&shared, Account::expire)
}

async fn revoke(State(shared): State<Shared>) -> Json<Value> {
    order(&shared, |account, _| account.revoke())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    user_code: String,
}

fn decide(shared: &Shared, body: &[u8], decision: Decision) -> Response {
    let named: Named = match serde_json::from_slice(body) {
        Ok(named) => named,
        Err(error) => return wrong(&error),
    };
    match shared.world().decide(&named.user_code, decision.state()) {
        Ok(done) => format!("{done}\n").into_response(),
        Err(wrong) => (StatusCode::NOT_FOUND, format!("{wrong}\n")).into_response(),
    }
}

async fn approve(State(shared): State<Shared>, body: Bytes) -> Response {
    decide(&shared, &body, Decision::Approve)
}

async fn deny(State(shared): State<Shared>, body: Bytes) -> Response {
    decide(&shared, &body, Decision::Deny)
}
