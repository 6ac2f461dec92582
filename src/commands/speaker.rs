//! Puts a speaker together from its configuration, its board and a sound device, runs it, and takes it apart again.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use heapless::Vec as Bounded;
use tokio::sync::mpsc;
use tonearm_core::effect::{Bookmark, Place};
use tonearm_core::id::Seq;
use tonearm_core::limits::{BUTTONS_MAX, PRESETS_MAX};
use tonearm_core::unit::Millis;
use tonearm_core::{Boot, ButtonSetup, Session, Settings};

use super::{sign_in, sound};
use crate::app::catalogue::Catalogue;
use crate::app::dating::Backlog;
use crate::app::{Adapters, App, News, Parts, Post};
use crate::audio::{Engine, Output};
use crate::cdm::{self, Licences};
use crate::config::{Config, Linking};
use crate::device::board::Board;
use crate::device::buttons::{self, Buttons};
use crate::device::clock::{self, Trust};
use crate::device::lights::Lights;
use crate::device::network::Network;
use crate::journal::{Journal, Recovered};
use crate::media::{self, Library};
use crate::page;
use crate::service::account::Start;
use crate::service::{self, Credentials, PlayParams, Quality, Service};
use crate::state::{Saved, SavedPlace, StateDir, StateWriter};
use crate::tls::{Tls, Wall};

/// Folder of the journal within the state folder.
pub const JOURNAL: &str = "journal";
/// Requests of the page that may wait for the loop; a listener has two hands.
const ASKS_MAX: usize = 16;
/// Events in one request where the service takes several: ten tracks' worth, some ten KiB.
const EVENTS_AT_ONCE: u8 = 20;

/// A speaker that is about to run.
pub struct Speaker {
    app: App,
    /// Where presses from elsewhere go, and the request to leave.
    pub post: Post,
    buttons: Buttons,
    /// `None`: the kernel does not tell, or it does not matter.
    network: Option<Network>,
    asks: mpsc::Sender<page::Ask>,
}

impl Speaker {
    /// Opens everything. Buttons live from here on, whatever the network and the sound device do.
    ///
    /// # Errors
    /// The state folder cannot be used, or the system has no threads or randomness left.
    pub async fn assemble(config: &Config, board: &Board, output: Box<dyn Output + Send>) -> anyhow::Result<Self> {
        let (post, mut news) = Post::new();
        let dir = StateDir::open(&config.state_dir)?;
        let boot = clock::boot_id()?;
        let (journal, recovered) = Journal::open(&config.state_dir.join(JOURNAL), post.callback(News::Stored))?;
        let mut catalogue = Catalogue::new(config.presets.iter().map(play_params).collect());
        let mut saved = dir.session();
        let next = close_open_start(&journal, &recovered, &mut saved, &mut news).await;
        soften(&mut saved, config.start_volume_max);
        let backlog = backlog(&journal, recovered.settled, next);
        let bookmark = bookmark(&saved, &mut catalogue);

        let mut engine = Engine::start(output, post.callback(News::Audio))?;
        engine.rest(board.output.idle);
        let tls = tls(config)?;
        let memory = media::Settings {
            limits: sound::limits(&board.output),
            ..media::Settings::with_memory(config.window.memory_bytes, tls.clone())
        };
        let library = Library::start(memory, post.callback(News::Media))?;
        let about_licences = cdm::Settings {
            socket: config.cdm.socket.clone(),
            tls: tls.clone(),
        };
        let licences = Licences::start(about_licences, post.callback(News::Licence))?;
        let start = sign_in_at(config.service.linking);
        let account = sign_in::start(config, &dir, tls.clone(), start, post.callback(News::Account))?;
        let about_service = service_settings(
            config,
            &dir,
            tls,
            sign_in::credentials(account.as_ref()),
            sound::qualities(&board.output),
        )?;
        let device = about_service.device_id.clone();
        let service = Service::start(about_service, post.callback(News::Service))?;
        let lights = Lights::start(&board.lights);
        let state = StateWriter::start(dir)?;
        let edges = post.clone();
        let edges: buttons::News = Arc::new(move |button, contact| edges.send(News::Edge(button, contact)));
        let buttons = Buttons::watch(&board.buttons, &edges);
        let settings = Settings {
            behind: u8::try_from(config.window.behind).unwrap_or(u8::MAX),
            ahead: u8::try_from(config.window.ahead).unwrap_or(u8::MAX),
            load: config.window.load,
            presets: config
                .presets
                .iter()
                .take(PRESETS_MAX)
                .map(|preset| preset.mode)
                .collect(),
            buttons: button_setups(board),
            heartbeat: config
                .service
                .heartbeat
                .map(|every| Millis(u32::try_from(every.as_millis()).unwrap_or(u32::MAX))),
            elsewhere: config.service.elsewhere,
            batch: config.service.event_batch_path.as_ref().map_or(1, |_| EVENTS_AT_ONCE),
            seed: seed()?,
        };
        let session = Session::new(
            settings,
            Boot {
                bookmark,
                next,
                settled: recovered.settled,
            },
            clock::now(),
        );
        let adapters = Adapters {
            service,
            account,
            library,
            licences,
            engine,
            journal,
            lights,
            state,
        };
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let app = App::new(Parts {
            session: Box::new(session),
            catalogue,
            adapters,
            news,
            asks: asked,
            device,
            boot,
            backlog,
            next,
            seed: seed()?,
        });
        Ok(Self {
            network: watch_network(config, &post),
            app,
            post,
            buttons,
            asks,
        })
    }

    /// Serves the page on `listener` while the speaker runs.
    pub fn serve_page(&self, listener: TcpListener, hostname: &str) -> anyhow::Result<()> {
        listener.set_nonblocking(true).context("prepare the page's socket")?;
        let listener = tokio::net::TcpListener::from_std(listener).context("prepare the page's socket")?;
        let settings = page::Settings {
            hostname: hostname.to_owned(),
        };
        drop(tokio::spawn(page::serve(listener, settings, self.asks.clone())));
        Ok(())
    }

    /// Where questions about the speaker go.
    #[cfg(feature = "simulator")]
    pub fn asks(&self) -> mpsc::Sender<page::Ask> {
        self.asks.clone()
    }

    /// Runs until the speaker leaves, then takes everything apart: sound first, the journal last.
    pub async fn run(self) -> Ended {
        let Self {
            app, buttons, network, ..
        } = self;
        let adapters = app.run().await;
        drop(buttons);
        drop(network);
        let counters = adapters.engine.counters();
        adapters.engine.close();
        adapters.library.close();
        adapters.licences.close();
        adapters.service.close();
        if let Some(account) = adapters.account {
            account.close();
        }
        adapters.state.close();
        let waiting = adapters.journal.summary().waiting;
        if let Err(error) = adapters.journal.close() {
            log::error!("{error}");
        }
        Ended { counters, waiting }
    }
}

/// What a speaker leaves behind.
pub struct Ended {
    /// What the audio path counted.
    pub counters: crate::audio::Counters,
    /// Events that wait on disk for the next start.
    pub waiting: u64,
}

/// After a power cut the journal's last event is a start without its stop: the stop is made up from the last that is
/// known, stored before anything else happens, and playing goes on from there. Returns the next event's number.
pub async fn close_open_start(
    journal: &Journal,
    recovered: &Recovered,
    saved: &mut Saved,
    news: &mut mpsc::Receiver<News>,
) -> Seq {
    for damaged in &recovered.quarantined {
        log::warn!(
            "journal: {} was damaged; {} events were rescued from it",
            damaged.file,
            damaged.rescued
        );
    }
    if recovered.folded > 0 {
        log::warn!(
            "journal: {} pairs of start and stop were let go for want of room since this device was new",
            recovered.folded
        );
    }
    let Some(open) = &recovered.open else {
        return recovered.next;
    };
    let stop = open.stop(recovered.next);
    if let tonearm_core::event::What::Stop { progress, .. } = stop.what {
        log::info!(
            "the last run ended in the middle of an entry, at {} s of it",
            progress.0 / 1000
        );
        saved.playing = true;
        saved.place = Some(SavedPlace {
            session: stop.session.clone(),
            reference: stop.reference.clone(),
            metric_id: stop.metric_id.clone(),
            position_ms: progress.0,
        });
    }
    let seq = stop.seq;
    journal.append(stop);
    // The journal answers for every event, durable or not.
    while let Some(story) = news.recv().await {
        if matches!(story, News::Stored(stored) if stored.seq >= seq) {
            break;
        }
    }
    seq.next()
}

fn sign_in_at(linking: Linking) -> Start {
    match linking {
        Linking::Auto => Start::ByItself,
        Linking::OnRequest => Start::OnRequest,
    }
}

/// Nobody may be near a speaker that goes on by itself, so it is never very loud then.
fn soften(saved: &mut Saved, volume_max: u8) {
    if saved.playing && saved.volume > volume_max {
        log::info!("the volume was {}; going on with {volume_max}", saved.volume);
        saved.volume = volume_max;
    }
}

/// The kernel's news of the network; `None`: it does not tell, or they do not matter because the service is on this very
/// machine.
fn watch_network(config: &Config, post: &Post) -> Option<Network> {
    if service::is_here(&config.service.base_url) {
        return None;
    }
    let network = Network::watch(post.callback(News::Network));
    network.inspect_err(|error| log::warn!("{error}")).ok()
}

/// What waits from earlier runs, as far as it has no date. Each segment of the journal is read once.
fn backlog(journal: &Journal, settled: Seq, next: Seq) -> Backlog {
    let mut backlog = Backlog::default();
    let waiting = settled.next().0..next.0;
    waiting
        .filter_map(|seq| journal.peek(Seq(seq)))
        .for_each(|record| backlog.note(&record));
    backlog
}

fn seed() -> anyhow::Result<u64> {
    getrandom::u64().map_err(|error| anyhow::anyhow!("seed what is left to chance: {error}"))
}

pub fn bookmark(saved: &Saved, catalogue: &mut Catalogue) -> Bookmark {
    let place = saved.place.as_ref().map(|place| {
        let session = catalogue.session(&place.session);
        let entry = catalogue.recall(session, &place.reference, place.metric_id.clone());
        Place {
            session,
            entry,
            position: Millis(place.position_ms),
        }
    });
    Bookmark {
        place,
        playing: saved.playing,
        volume: saved.volume,
        shuffle: saved.shuffle,
        looping: saved.looping,
    }
}

fn play_params(preset: &crate::config::Preset) -> PlayParams {
    PlayParams {
        id: preset.id.clone(),
        container_ids: preset.container_ids.clone(),
    }
}

/// How every connection of this program is encrypted.
pub fn tls(config: &Config) -> anyhow::Result<Tls> {
    Ok(Tls::new(config.service.ca_file.as_deref(), wall)?)
}

/// The wall clock, for checking certificates.
fn wall() -> Wall {
    let reading = clock::Reading::take();
    let time = Duration::from_millis(u64::try_from(reading.wall_ms).unwrap_or(0));
    match reading.trust {
        Trust::Synchronised => Wall::Believed(time),
        Trust::Doubtful => Wall::Doubtful(time),
    }
}

pub fn service_settings(
    config: &Config,
    dir: &StateDir,
    tls: Tls,
    credentials: Arc<dyn Credentials>,
    qualities: Vec<Quality>,
) -> anyhow::Result<service::Settings> {
    Ok(service::Settings {
        base_url: config.service.base_url.clone(),
        device_id: dir.device_id()?,
        qualities,
        api_key: config.service.api_key.as_ref().map(|key| key.reveal().to_owned()),
        language: config.service.language.clone(),
        event_batch_path: config.service.event_batch_path.clone(),
        tls,
        credentials,
    })
}

fn button_setups(board: &Board) -> Bounded<ButtonSetup, BUTTONS_MAX> {
    let setup = |button: &crate::device::board::ButtonSetup| ButtonSetup {
        press: button.press,
        hold: button.hold,
    };
    board.buttons.iter().take(BUTTONS_MAX).map(setup).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speaker_that_goes_on_by_itself_is_not_loud_and_one_that_waits_for_a_press_is_as_it_was() {
        let after = |playing, volume| {
            let mut saved = Saved {
                playing,
                volume,
                ..Saved::default()
            };
            soften(&mut saved, 50);
            saved.volume
        };
        assert_eq!([after(true, 90), after(true, 30), after(false, 90)], [50, 30, 90]);
    }
}
