//! The simulated account: its catalogue, its sessions, its skips and its ledger. Every operation of the contract is a
//! method here; none of them knows HTTP.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::Settings;
use super::account::Account;
use super::address::Addresses;
use super::catalogue::{Album, Catalogue, Track};
use super::clock::Time;
use super::conduct::Conduct;
use super::course::{Leg, Origin, Sort, Source, Style};
use super::dash::Quality;
use super::delivery::Delivery;
use super::devices::Stream;
use super::dialect::Dialect;
use super::entry::{Entry, Item};
use super::faults::Faults;
use super::judge::Code;
use super::ledger::Ledger;
use super::order::fingerprint;
use super::queue::{INSERTED_MAX, LEGS_MAX, Queue};
use super::session::{Edit, Session};
use super::store::Store;
use super::tier::{self, Action, Circumstances, Kind, Rules, SKIP_WINDOW_MS, SKIPS_MAX};
use super::wire::{self, Create, PlayParams, Refusal};

/// Sessions kept; the one used longest ago is forgotten for a new one.
const SESSIONS_MAX: usize = 64;

/// How long an inactive session can be restored: 30 days \[O\].
const RESTORE_MS_MAX: i64 = 30 * 24 * 60 * 60 * 1000;
/// Tracks of an album in the home view: a long one is shown by its beginning.
const HOME_TRACKS_MAX: usize = 200;

/// Who asks, and by which address this server was reached.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `http://host:port`, for URLs in answers.
    pub base: String,
    /// `X-Amzn-Device-Id`.
    pub device: String,
    /// The best quality it can play.
    pub quality: Quality,
    /// The caller is on this machine, so its clock is this clock.
    pub local: bool,
}

/// Which part of a queue somebody looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The current entry.
    Current,
    /// So many after it.
    Next(usize),
    /// So many before it.
    Previous(usize),
    /// All that is known.
    Whole,
}

/// The simulated account.
#[derive(Debug)]
pub struct World {
    /// What was asked, reported and found.
    pub ledger: Ledger,
    /// What is to go wrong.
    pub faults: Faults,
    /// Who may act for it.
    pub account: Account,
    /// Which device plays.
    pub(super) stream: Stream,
    pub(super) conduct: Conduct,
    /// What can be played.
    pub catalogue: Catalogue,
    pub(super) rules: Rules,
    pub(super) sessions: Vec<Session>,
    pub(super) skips: Vec<i64>,
    pub(super) store: Option<Store>,
    pub(super) time: Time,
    /// Addresses of media.
    pub addresses: Addresses,
    /// How answers are spelt.
    pub dialect: Dialect,
    /// How media are handed out.
    pub delivery: Delivery,
    /// Where a refusal leads, in place of a page of this server.
    pub upgrade_url: Option<String>,
    seed: u64,
    created: u64,
}

impl World {
    /// An account. `seed` decides the names of sessions, and with them every random order.
    pub fn new(catalogue: Catalogue, settings: Settings, seed: u64, store: Option<Store>, mut ledger: Ledger) -> Self {
        let rules = Rules::new(settings.tier, settings.shuffle, settings.ads_every);
        let clock = settings.clock;
        let sessions = store.as_ref().map(Store::sessions).unwrap_or_default();
        let skips = store.as_ref().map(Store::skips).unwrap_or_default();
        let ahead_ms = store.as_ref().map(Store::ahead_ms).unwrap_or_default();
        ledger.read_time_from(clock.clone());
        Self {
            ledger,
            faults: Faults::default(),
            account: store.as_ref().map(Store::account).unwrap_or_default(),
            stream: Stream::default(),
            conduct: Conduct::default(),
            catalogue,
            rules,
            sessions,
            skips,
            store,
            time: Time::new(clock, ahead_ms),
            addresses: Addresses::new(settings.url_life_s, settings.url_expired),
            dialect: settings.dialect,
            delivery: Delivery::new(settings.packaging, settings.seed),
            upgrade_url: settings.upgrade_url,
            seed,
            created: 0,
        }
    }

    fn find(&self, id: &str) -> Result<&Session, Refusal> {
        self.sessions
            .iter()
            .find(|session| session.id == id)
            .ok_or_else(|| Refusal::missing("session"))
    }

    /// Changes a session and keeps it.
    fn change<T>(&mut self, id: &str, act: impl FnOnce(&mut Session) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let session = self.sessions.iter_mut().find(|session| session.id == id);
        let session = session.ok_or_else(|| Refusal::missing("session"))?;
        session.used_ms = self.time.now_ms();
        let done = act(session)?;
        session.edit = Edit::Untold;
        if let Some(store) = &self.store {
            store.keep_session(session);
        }
        Ok(done)
    }

    fn fresh_id(&mut self) -> String {
        loop {
            self.created = self.created.saturating_add(1);
            let high = fingerprint(&format!("{}/{}", self.seed, self.created));
            let low = fingerprint(&format!("{high}"));
            let text = format!("{high:016x}{low:016x}");
            let groups = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
            let id = groups
                .map(|(from, to)| text.get(from..to).unwrap_or_default())
                .join("-");
            if self.sessions.iter().all(|session| session.id != id) {
                return id;
            }
        }
    }

    /// What was asked for, and the place of the track that is to sound first.
    fn expand(&self, params: &PlayParams) -> Result<(Source, Option<usize>), Refusal> {
        let leg = |id: &String| self.catalogue.leg(id).ok_or_else(|| Refusal::missing(id));
        let mut legs = params.containers().iter().map(leg).collect::<Result<Vec<Leg>, _>>()?;
        let mut first = None;
        if let Some(id) = &params.id {
            let chosen = leg(id)?;
            let mut before = 0_usize;
            for leg in &legs {
                if let Some(place) = self.catalogue.place_in(&leg.container, id) {
                    first = Some(before.saturating_add(place));
                    break;
                }
                before = before.saturating_add(leg.count);
            }
            if first.is_none() {
                legs.insert(0, chosen);
                first = Some(0);
            }
        }
        if legs.len() > LEGS_MAX {
            return Err(Refusal::bad(format!(
                "{} containers are too many for one queue",
                legs.len()
            )));
        }
        Ok((Source::new(legs), first))
    }

    fn origin(&self, params: &PlayParams) -> Result<Origin, Refusal> {
        let (source, first) = self.expand(params)?;
        let track = match source.item(first.unwrap_or(0)) {
            Some(Item::Track(place)) => self.catalogue.track_at(&place),
            Some(Item::Episode(_) | Item::Ad | Item::Interlude) | None => None,
        };
        Ok(Origin {
            source,
            first,
            pool: self.catalogue.everything(),
            first_of_pool: track.and_then(|track| self.catalogue.place_in_everything(&track.id)),
        })
    }

    /// `POST sessions`.
    pub fn create(&mut self, body: &[u8], caller: &Caller) -> Result<Value, Refusal> {
        let create = Create::parse(body)?;
        let origin = self.origin(&create.params)?;
        self.permit(create.style, &origin.source)?;
        let id = self.fresh_id();
        let mut queue = Queue::new(&id, self.rules, create.style, origin);
        queue.set_looping(create.looping);
        queue.set_continuing(create.continues);
        let session = Session::new(id, &caller.device, queue, self.time.now_ms());
        if let Some(store) = &self.store {
            store.keep_session(&session);
        }
        let count = create.limit.saturating_sub(1);
        let entries = session.queue.current().into_iter().chain(session.queue.ahead(count));
        let answer = self.answer(&session, entries, caller);
        self.sessions.push(session);
        self.forget_oldest();
        Ok(answer)
    }

    /// Only what `selections` offers may be chosen.
    fn permit(&self, style: Style, source: &Source) -> Result<(), Refusal> {
        let sort = match source.item(0) {
            Some(Item::Episode(_)) => Sort::Podcast,
            Some(Item::Track(_) | Item::Ad | Item::Interlude) | None => Sort::Music,
        };
        let (chosen, why) = match style {
            Style::Ordered => ("PLAY", tier::FOR_CATALOGUE),
            Style::Shuffled => ("SHUFFLE", tier::FOR_SHUFFLE),
            Style::Station => ("STATION", tier::UNAVAILABLE),
        };
        if self.rules.selections(sort).contains(&chosen) {
            Ok(())
        } else {
            Err(Refusal::tier(why))
        }
    }

    fn forget_oldest(&mut self) {
        while self.sessions.len() > SESSIONS_MAX {
            let oldest = self
                .sessions
                .iter()
                .enumerate()
                .min_by_key(|(_, session)| session.used_ms);
            let Some(place) = oldest.map(|(place, _)| place) else {
                return;
            };
            let session = self.sessions.remove(place);
            if let Some(store) = &self.store {
                store.forget(&session.id);
            }
        }
    }

    fn answer<'a>(&self, session: &Session, entries: impl Iterator<Item = &'a Entry>, caller: &Caller) -> Value {
        let playables: Vec<Value> = entries
            .filter_map(|entry| self.playable(session, entry, caller))
            .collect();
        json!({"sessionId": session.id, "playables": playables})
    }

    pub(super) fn track_of(&self, entry: &Entry) -> Option<Cow<'_, Track>> {
        match &entry.item {
            // A track whose file left the music directory between two runs is not handed out any more.
            Item::Track(place) | Item::Episode(place) => self.catalogue.track_at(place),
            Item::Ad => Some(Cow::Borrowed(self.catalogue.ad())),
            Item::Interlude => Some(Cow::Borrowed(self.catalogue.interlude())),
        }
    }

    fn playable(&self, session: &Session, entry: &Entry, caller: &Caller) -> Option<Value> {
        let actions = tier::actions(self.circumstances(session, entry, self.time.now_ms()));
        let track = self.track_of(entry)?;
        let stream = self.playback_information(&track, caller);
        Some(wire::playable(entry, &track, &actions, &stream))
    }

    pub(super) fn circumstances(&self, session: &Session, entry: &Entry, at_ms: i64) -> Circumstances {
        let first = session.queue.entries().first();
        Circumstances {
            rules: self.rules,
            station: session.queue.is_station(),
            kind: entry.kind(),
            has_previous: first.is_some_and(|first| first.reference != entry.reference),
            skips_left: self.skips_left(at_ms),
        }
    }

    fn skips_left(&self, at_ms: i64) -> usize {
        let counts = |skip: &&i64| at_ms.saturating_sub(**skip) < SKIP_WINDOW_MS;
        SKIPS_MAX.saturating_sub(self.skips.iter().filter(counts).count())
    }

    /// Every call on a session's queue passes here first: a call that overtakes an event is refused.
    pub fn queue_call(&mut self, id: &str, caller: &Caller) -> Result<(), Refusal> {
        let Some(session) = self.sessions.iter_mut().find(|session| session.id == id) else {
            return Ok(());
        };
        if session.owed.is_some() {
            let detail = "a queue call came while an event of its session had no answer yet";
            self.ledger.violation(Some(id), Code::EventOvertaken, detail);
            return Err(Refusal::bad(
                "an event of this session that was sent before is still missing",
            ));
        }
        session.last_call_ms = caller.local.then(|| self.time.client_ms());
        Ok(())
    }

    /// The client has its answer to `next` or `queue`: it knows the order.
    pub fn tell(&mut self, id: &str, caller: &Caller) {
        let now_ms = self.time.client_ms();
        if let Some(session) = self.sessions.iter_mut().find(|session| session.id == id)
            && caller.local
            && session.edit == Edit::Untold
        {
            session.edit = Edit::Told(now_ms);
        }
    }

    /// `GET current`, `next`, `previous`, `queue`. Looking moves nothing.
    pub fn look(&self, id: &str, view: View, caller: &Caller) -> Result<Value, Refusal> {
        let session = self.find(id)?;
        let queue = &session.queue;
        Ok(match view {
            View::Current => self.answer(session, queue.current().into_iter(), caller),
            View::Next(limit) => self.answer(session, queue.ahead(limit), caller),
            View::Previous(limit) => self.answer(session, queue.behind(limit), caller),
            View::Whole => self.answer(session, queue.shown().iter(), caller),
        })
    }

    /// Used not too long ago to be restored.
    fn is_remembered(&self, session: &Session) -> bool {
        self.time.now_ms().saturating_sub(session.used_ms) <= RESTORE_MS_MAX
    }

    /// `GET entities/{entityReferenceId}`: the session an entry belongs to, from that entry on.
    pub fn restore(&self, reference: &str, caller: &Caller) -> Result<Value, Refusal> {
        let found = self
            .sessions
            .iter()
            .filter(|session| self.is_remembered(session))
            .find_map(|session| Some((session, session.find_reference(reference)?)));
        let (session, index) = found.ok_or_else(|| Refusal::missing("entity"))?;
        Ok(self.answer(session, session.queue.entries().iter().skip(index).take(5), caller))
    }

    /// `GET active`.
    pub fn active(&self) -> Value {
        let sessions = self.sessions.iter().rev().filter_map(|session| {
            self.is_remembered(session).then_some(())?;
            let entry = session.queue.current()?;
            let track = self.track_of(entry)?;
            let playing = if self.is_playing(session) { "PLAYING" } else { "STOPPED" };
            let shuffle = if session.queue.is_shuffled() {
                "SHUFFLE_ON"
            } else {
                "SHUFFLE_OFF"
            };
            let looping = if session.queue.is_looping() {
                "LOOP_ON"
            } else {
                "LOOP_OFF"
            };
            Some(json!({
                "sessionId": session.id,
                "entityReferenceId": entry.reference,
                "currentEntity": wire::entity(entry.kind(), &track),
                "queueState": {"shuffleMode": shuffle, "loopMode": looping, "playbackState": playing},
                "deviceId": session.device,
            }))
        });
        json!({"sessions": sessions.collect::<Vec<_>>()})
    }

    fn allow(&self, id: &str, action: Action) -> Result<(), Refusal> {
        let session = self.find(id)?;
        // What is allowed for the queue does not depend on an advertisement that happens to play.
        let of = Circumstances {
            rules: self.rules,
            station: session.queue.is_station(),
            kind: session.queue.kind(),
            has_previous: true,
            skips_left: SKIPS_MAX,
        };
        tier::denial(of, action).map_or(Ok(()), |why| Err(Refusal::tier(why)))
    }

    /// `PUT loop`.
    pub fn set_looping(&mut self, id: &str, body: &[u8]) -> Result<Value, Refusal> {
        let on = wire::mode(body, "loopMode", "LOOP_ON", "LOOP_OFF")?;
        self.allow(id, Action::LoopAll)?;
        self.change(id, |session| {
            session.queue.set_looping(on);
            Ok(json!({"sessionId": session.id}))
        })
    }

    /// `PUT shuffle`.
    pub fn set_shuffled(&mut self, id: &str, body: &[u8]) -> Result<Value, Refusal> {
        let on = wire::mode(body, "shuffleMode", "SHUFFLE_ON", "SHUFFLE_OFF")?;
        self.allow(id, Action::Shuffle)?;
        self.change(id, |session| {
            session.queue.set_shuffled(on);
            Ok(json!({"sessionId": session.id}))
        })
    }

    /// `POST queue/next` and `queue/last`.
    pub fn insert(&mut self, id: &str, body: &[u8], insert: fn(&mut Queue, Source)) -> Result<Value, Refusal> {
        let (tracks, _) = self.expand(&wire::insertion(body)?)?;
        self.change(id, |session| {
            if tracks.len() > INSERTED_MAX || tracks.legs() > session.queue.room() {
                return Err(Refusal::bad(format!(
                    "{} tracks do not fit into the queue",
                    tracks.len()
                )));
            }
            insert(&mut session.queue, tracks);
            Ok(json!({"sessionId": session.id}))
        })
    }

    /// What a person may choose from, with the `playParams` to do so.
    pub fn home(&self) -> Value {
        let album = |album: &Album| {
            let selections = self.rules.selections(album.sort);
            let (sort, kind) = match album.sort {
                Sort::Music => ("Album", Kind::Track),
                Sort::Podcast => ("PodcastShow", Kind::Episode),
            };
            let tracks = (0..HOME_TRACKS_MAX).filter_map(|index| {
                let id = album.id_at(index)?;
                let mut entity = wire::entity(kind, &*self.catalogue.track(&id)?);
                let params = json!({"id": id, "containerIds": [album.id], "selections": selections});
                entity.as_object_mut()?.insert("playParams".to_owned(), params);
                Some(entity)
            });
            let params = json!({"containerIds": [album.id], "selections": selections});
            let tracks: Vec<Value> = tracks.collect();
            json!({"_type": sort, "id": album.id, "title": album.title, "playParams": params, "tracks": tracks})
        };
        json!({"entities": self.catalogue.albums().iter().map(album).collect::<Vec<_>>()})
    }

    /// An address of media with this query is good.
    pub fn is_good_address(&self, query: &str) -> bool {
        self.addresses.is_good(query, self.time.now_ms())
    }

    /// What the account may do, for people.
    pub fn rules_in_words(&self) -> String {
        self.rules.words()
    }

    /// Moves the account's time forward: what ages or runs out does so at once.
    pub fn advance(&mut self, seconds: u32) {
        self.time.advance(seconds);
        if let Some(store) = &self.store {
            store.keep_ahead_ms(self.time.ahead_ms());
        }
    }

    /// What time it is for the account.
    pub fn clock(&self) -> Value {
        json!({"now_ms": self.time.now_ms(), "ahead_ms": self.time.ahead_ms()})
    }

    /// All sessions with the entries that exist now, for people and tests.
    pub fn sessions(&self) -> Value {
        let session = |session: &Session| {
            let entries = session.queue.entries().iter().map(|entry| {
                let title = match entry.kind() {
                    Kind::Ad => Some("ad".to_owned()),
                    Kind::Interlude => Some("interlude".to_owned()),
                    Kind::Track | Kind::Episode => self.track_of(entry).map(|track| track.title.clone()),
                };
                json!({"reference": entry.reference, "title": title, "started": entry.started})
            });
            let entries: Vec<Value> = entries.collect();
            json!({"id": session.id, "device": session.device, "used_ms": session.used_ms,
                "style": session.queue.style(), "position": session.queue.position(), "entries": entries})
        };
        json!({"sessions": self.sessions.iter().map(session).collect::<Vec<_>>()})
    }
}
