//! How media are handed out: where an entry is, how it is encrypted, who gives the licence; and the routes of what is
//! packaged. What is packaged is made elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::catalogue::Track;
use super::dash::manifest::Listing;
use super::dash::{Encryption, Key, LEAD_S, Media, PackError, Packager, Quality, Scheme, Wanted, Words};
use super::dialect::Dialect;
use super::faults::Fault;
use super::gate::Strike;
use super::http::Shared;
use super::judge::Code;
use super::media;
use super::tier::Tier;
use super::world::{Caller, World};

/// The header a licence is asked for with.
const PASS: &str = "x-sim-licence";
/// Keys a licence may be asked for at once.
const KEYS_MAX: usize = 16;

/// In which form media are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Packaging {
    /// Form of media: files as they are, MPEG-DASH, or MPEG-DASH encrypted behind the first 30 seconds
    #[arg(long, value_enum, default_value_t)]
    pub media: Media,
    /// How encrypted media are encrypted
    #[arg(long, value_enum, default_value_t, value_name = "SCHEME")]
    pub encryption: Scheme,
    /// Seconds at the start of encrypted media that are in the clear
    #[arg(long = "clear-lead", default_value_t = LEAD_S, value_name = "SECONDS")]
    pub clear_lead: u32,
    /// Lowest quality that is offered where there is a higher one
    #[arg(long, value_enum, default_value_t, value_name = "QUALITY")]
    pub lowest: Quality,
    /// How a manifest lists segments
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub manifest: Listing,
    /// Manifests offer Dolby Atmos as well, which there is none of
    #[arg(long)]
    pub atmos: bool,
}

impl Default for Packaging {
    fn default() -> Self {
        Self {
            media: Media::default(),
            encryption: Scheme::default(),
            clear_lead: LEAD_S,
            lowest: Quality::default(),
            manifest: Listing::default(),
            atmos: false,
        }
    }
}

/// What is known of media, besides their addresses.
#[derive(Debug)]
pub struct Delivery {
    /// In which form they are handed out.
    pub packaging: Packaging,
    packager: Arc<Packager>,
}

impl Delivery {
    /// Keys are made of `seed`; without one they are the same in every run, so that a restart changes none.
    pub fn new(packaging: Packaging, seed: Option<u64>) -> Self {
        Self {
            packaging,
            packager: Arc::new(Packager::new(seed.unwrap_or_default())),
        }
    }
}

impl World {
    /// `playbackInformation` of an entry.
    pub fn playback_information(&self, track: &Track, caller: &Caller) -> Value {
        let Packaging { media, encryption, .. } = self.delivery.packaging;
        let (base, key, now_ms) = (&caller.base, &track.key, self.time.now_ms());
        let token = self.addresses.token(now_ms);
        let quality = match self.rules.tier {
            Tier::Unlimited => caller.quality,
            Tier::Prime | Tier::Free => Quality::Sd,
        };
        let manifest = |form: &str| format!("{base}/media/{form}/{token}/{key}/{}.mpd", quality.name());
        match media {
            Media::File => {
                let query = self.addresses.query(now_ms);
                let url = format!("{base}/media/{key}.{}?{query}", track.format.extension());
                json!({"url": url, "protocol": "PROGRESSIVE", "format": track.format.name(), "drmType": "NONE"})
            }
            Media::Dash => {
                json!({"url": manifest("clear"), "protocol": "DASH", "format": "OPUS_FLAC", "drmType": "NONE"})
            }
            Media::Encrypted => json!({
                "url": manifest(form_of(encryption)),
                "protocol": "DASH",
                "format": "ENCRYPTED_OPUS_FLAC",
                "drmType": "CLEARKEY",
                "licenseUrl": format!("{base}/licence/{token}/{key}"),
                "licenseHeaders": {PASS: self.delivery.packager.pass(track)},
            }),
        }
    }
}

/// What stands in the address of encrypted media.
const fn form_of(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Cenc => "cenc",
        Scheme::Cbcs => "cbcs",
    }
}

/// How media of such an address are encrypted.
fn scheme_of(form: &str) -> Option<Form> {
    if form == "clear" {
        return Some(Form { scheme: None });
    }
    let schemes = [Scheme::Cenc, Scheme::Cbcs];
    let scheme = schemes.into_iter().find(|scheme| form_of(*scheme) == form)?;
    Some(Form { scheme: Some(scheme) })
}

/// How media are encrypted, if they are.
struct Form {
    scheme: Option<Scheme>,
}

/// Notes what a request for media should not carry.
pub fn find_leak(world: &mut World, headers: &HeaderMap) {
    let mut note = |detail: &str| world.ledger.violation(None, Code::CredentialsLeaked, detail);
    if headers.contains_key("authorization") || headers.contains_key("x-api-key") {
        note("Authorization or x-api-key came with a request for media");
    }
    if headers.contains_key(PASS) {
        note("a header of the licence came with a request for media");
    }
}

/// Routes of packaged media, of licences, and of the page that changes the form.
pub fn router() -> Router<Shared> {
    Router::new()
        .route("/media/{form}/{token}/{track}/{*part}", get(part))
        .route("/licence/{token}/{track}", post(licence))
        .route("/sim/media", get(packaging).put(set_packaging))
}

fn expired(world: &World) -> Response {
    let status = StatusCode::from_u16(world.addresses.expired.status()).unwrap_or(StatusCode::FORBIDDEN);
    (status, "this address ran out; ask for the entry again\n").into_response()
}

async fn part(
    State(shared): State<Shared>,
    Extension(strike): Extension<Strike>,
    Path((form, token, key, path)): Path<(String, String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let missing = |what: &'static str| (StatusCode::NOT_FOUND, what).into_response();
    let (track, packager, packaging) = {
        let mut world = shared.world();
        find_leak(&mut world, &headers);
        let Some(track) = world.catalogue.by_key(&key).cloned() else {
            return missing("no such track\n");
        };
        if !world.addresses.is_good_token(&token, world.time.now_ms()) {
            return expired(&world);
        }
        (track, Arc::clone(&world.delivery.packager), world.delivery.packaging)
    };
    let (Some(Form { scheme }), Some(wanted)) = (scheme_of(&form), Wanted::parse(&path)) else {
        return missing("no such part\n");
    };
    let words = Words {
        listing: packaging.manifest,
        atmos: packaging.atmos,
        lowest: packaging.lowest,
        lie: match strike.0 {
            Some(Fault::Lie { about }) => Some(about),
            Some(_) | None => None,
        },
    };
    let encryption = scheme.map(|scheme| Encryption {
        scheme,
        lead_s: packaging.clear_lead,
    });
    let mime = wanted.mime();
    let title = track.title.clone();
    // Encoding takes its time; other requests go on.
    let made = tokio::task::spawn_blocking(move || packager.get(&track, &wanted, encryption, words)).await;
    match made.unwrap_or(Err(PackError::Unfit("damaged in a way that breaks its decoder"))) {
        Ok(Some(bytes)) => {
            let asked = media::Asked {
                method: &method,
                headers: &headers,
                fault: strike.0.as_ref(),
            };
            media::answer_made(bytes, &format!("{form}/{key}/{path}"), mime, &asked)
        }
        Ok(None) => missing("no such part\n"),
        Err(error) => {
            log::warn!("package {title}: {error}");
            missing("this track cannot be packaged\n")
        }
    }
}

/// A licence as W3C's Clear Key asks for it.
#[derive(Deserialize)]
struct Request {
    kids: Vec<String>,
}

async fn licence(
    State(shared): State<Shared>,
    Extension(strike): Extension<Strike>,
    Path((token, key)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let world = shared.world();
    let Some(track) = world.catalogue.by_key(&key) else {
        return (StatusCode::NOT_FOUND, "no such track\n").into_response();
    };
    if !world.addresses.is_good_token(&token, world.time.now_ms()) {
        return expired(&world);
    }
    let packager = &world.delivery.packager;
    match headers.get(PASS) {
        None => return (StatusCode::UNAUTHORIZED, "a header of licenseHeaders is missing\n").into_response(),
        Some(pass) if pass.as_bytes() != packager.pass(track).as_bytes() => {
            return (StatusCode::FORBIDDEN, "this is the header of another licence\n").into_response();
        }
        Some(_) => {}
    }
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(wrong) => return (StatusCode::BAD_REQUEST, format!("{wrong}\n")).into_response(),
    };
    let key = packager.key(track);
    let asked = request.kids.iter().take(KEYS_MAX);
    let is_asked = asked.into_iter().any(|id| *id == URL_SAFE_NO_PAD.encode(key.id));
    if !is_asked {
        return (StatusCode::FORBIDDEN, "none of these keys is of this track\n").into_response();
    }
    let key = if matches!(strike.0, Some(Fault::WrongKey)) {
        key.spoiled()
    } else {
        key
    };
    answer(world.dialect, key)
}

/// The keys, as the day's dialect has them.
fn answer(dialect: Dialect, key: Key) -> Response {
    let keys = json!({
        "keys": [{
            "kty": "oct",
            "kid": URL_SAFE_NO_PAD.encode(key.id),
            "k": URL_SAFE_NO_PAD.encode(key.value),
        }],
        "type": "temporary",
    });
    match dialect {
        Dialect::Plain | Dialect::Floats => {
            // Raw bytes, whatever they are.
            let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
            (kind, keys.to_string()).into_response()
        }
        Dialect::Wrapped | Dialect::Aliases => {
            Json(json!({"license": STANDARD.encode(keys.to_string())})).into_response()
        }
    }
}

async fn packaging(State(shared): State<Shared>) -> Json<Packaging> {
    Json(shared.world().delivery.packaging)
}

async fn set_packaging(State(shared): State<Shared>, body: Bytes) -> Response {
    let mut world = shared.world();
    let changed = serde_json::from_slice::<Value>(&body).and_then(|change| {
        let mut all = serde_json::to_value(world.delivery.packaging)?;
        if let (Some(all), Some(change)) = (all.as_object_mut(), change.as_object()) {
            all.extend(change.clone());
        }
        serde_json::from_value(all)
    });
    match changed {
        Ok(packaging) => {
            world.delivery.packaging = packaging;
            Json(packaging).into_response()
        }
        Err(wrong) => (StatusCode::BAD_REQUEST, format!("{wrong}\n")).into_response(),
    }
}
