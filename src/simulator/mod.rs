//! A local playback service that speaks the public contract over HTTP, hands out a music directory or the built-in
//! album, and keeps a ledger that judges its clients. Reads the contract on its own: shares no code with the client.

mod account;
mod address;
mod admission;
mod album;
mod auth;
mod batch;
mod catalogue;
mod clock;
mod conduct;
mod course;
mod dash;
mod delivery;
mod devices;
mod dialect;
mod entry;
mod event;
mod faults;
mod gate;
mod grant;
mod headers;
mod http;
mod intake;
mod judge;
mod leak;
mod ledger;
mod listener;
mod media;
mod offer;
mod order;
mod pairing;
mod queue;
mod session;
mod store;
mod tags;
mod tamper;
mod tier;
mod wire;
mod world;

#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use account::{Linking, SignIn};
pub use address::Expired;
pub use catalogue::CatalogueError;
pub use clock::Clock;
pub use delivery::Packaging;
pub use dialect::Dialect;
pub use faults::Planned;
pub use ledger::{LedgerError, Report};
pub use store::StoreError;
pub use tier::{Shuffle, Tier};

use catalogue::Catalogue;
use http::Shared;
use ledger::Ledger;
use listener::{Connection, Door};
use store::Store;
use world::World;

/// Where the simulator listens if it is not told.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8700);

/// What a simulator needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Music directory; `None`: the built-in album.
    pub music: Option<PathBuf>,
    /// Subscription of the account.
    pub tier: Tier,
    /// Folder for sessions and ledger; `None`: nothing survives a restart.
    pub state: Option<PathBuf>,
    /// Decides names of sessions and random orders; `None`: different in every run.
    pub seed: Option<u64>,
    /// What time it is.
    pub clock: Clock,
    /// Directory of podcasts, each folder in it a show.
    pub podcast: Option<PathBuf>,
    /// Length of one more album that is made of the same few files; 0: none.
    pub tracks: usize,
    /// Tracks after which an advertisement follows, in place of the tier's own number; 0: none.
    pub ads_every: Option<u32>,
    /// Who decides what comes next.
    pub shuffle: Shuffle,
    /// Whether requests need a token.
    pub sign_in: SignIn,
    /// How signing in goes.
    pub linking: Linking,
    /// What goes wrong from the start.
    pub faults: Vec<Planned>,
    /// How long an address of media is good, seconds.
    pub url_life_s: u32,
    /// What an address that ran out is answered with.
    pub url_expired: Expired,
    /// How answers are spelt.
    pub dialect: Dialect,
    /// Where the `url` of a refusal leads; `None`: a page of the simulator's own.
    pub upgrade_url: Option<String>,
    /// In which form media are handed out.
    pub packaging: Packaging,
}

impl Default for Settings {
    /// The built-in album on any free port, without a memory.
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(LISTEN.ip(), 0),
            music: None,
            tier: Tier::default(),
            state: None,
            seed: None,
            clock: Clock::default(),
            podcast: None,
            tracks: 0,
            ads_every: None,
            shuffle: Shuffle::default(),
            sign_in: SignIn::default(),
            linking: Linking::default(),
            faults: Vec::new(),
            url_life_s: address::LIFE_S,
            url_expired: Expired::default(),
            dialect: Dialect::default(),
            upgrade_url: None,
            packaging: Packaging::default(),
        }
    }
}

/// Options of `tonearm simulator`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = LISTEN)]
    pub listen: SocketAddr,
    /// Music directory, each folder an album [default: a small built-in album]
    #[arg(long, value_name = "DIR")]
    pub music: Option<PathBuf>,
    /// Subscription of the simulated account
    #[arg(long, value_enum, default_value_t = Tier::Unlimited)]
    pub tier: Tier,
    /// Folder for sessions and ledger [default: a folder of this user and port under the temporary directory]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Number that makes session names and random orders the same in every run
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Directory of podcasts, each folder in it a show; a folder "Podcasts" of the music directory is one, too
    #[arg(long, value_name = "DIR")]
    pub podcast: Option<PathBuf>,
    /// Adds an album of so many tracks, made of the same few files
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub tracks: usize,
    /// Tracks after which an advertisement follows, 0 for none [default: 3 for free, 4 for prime, else none]
    #[arg(long, value_name = "NUMBER")]
    pub ads_every: Option<u32>,
    /// Who decides what comes next: augmented is always mixed, with tracks of the service's own choice
    #[arg(long, value_enum, default_value_t)]
    pub shuffle: Shuffle,
    /// Whether requests need a token that `tonearm link` fetches
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, default_missing_value = "required", num_args = 0..=1)]
    pub sign_in: SignIn,
    #[command(flatten)]
    pub linking: Linking,
    /// Something that goes wrong, such as scope=queue,kind=status,status=503,count=3; may be given more than once
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<Planned>,
    /// Seconds an address of media is good
    #[arg(long = "url-life", value_name = "SECONDS", default_value_t = address::LIFE_S)]
    pub url_life_s: u32,
    /// What an address that ran out is answered with
    #[arg(long, value_enum, default_value_t, value_name = "STATUS")]
    pub url_expired: Expired,
    /// How answers are spelt; a client must read each
    #[arg(long, value_enum, default_value_t)]
    pub dialect: Dialect,
    /// Where a refusal sends a listener who wants a larger plan [default: a page of the simulator]
    #[arg(long, value_name = "URL")]
    pub upgrade_url: Option<String>,
    #[command(flatten)]
    pub packaging: Packaging,
}

impl From<Arguments> for Settings {
    fn from(arguments: Arguments) -> Self {
        let Arguments {
            listen,
            music,
            tier,
            state,
            seed,
            podcast,
            tracks,
            ads_every,
            shuffle,
            sign_in,
            linking,
            faults,
            url_life_s,
            url_expired,
            dialect,
            upgrade_url,
            packaging,
        } = arguments;
        Self {
            listen,
            music,
            tier,
            state: state.or_else(|| default_state(listen)),
            seed,
            podcast,
            tracks,
            ads_every,
            shuffle,
            url_life_s,
            url_expired,
            dialect,
            upgrade_url,
            packaging,
            clock: Clock::System,
            sign_in,
            linking,
            faults,
        }
    }
}

/// A folder that the next simulator of the same user on the same port finds again. None for "any free port".
pub fn default_state(listen: SocketAddr) -> Option<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let port = listen.port();
    (port != 0).then(|| std::env::temp_dir().join(format!("tonearm-simulator-{user}-{port}")))
}

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// There is nothing to play.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The state folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The address is taken or is not one of this machine.
    #[error("listen on {address}: {source}; is another simulator running?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Too many faults at once.
    #[error("{0}")]
    Fault(String),
    /// No thread, no event loop or no random numbers.
    #[error("start the simulator's thread: {0}")]
    Thread(io::Error),
}

/// Something a listener may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Title of the album.
    pub name: String,
    /// `playParams.id`.
    pub id: Option<String>,
    /// `playParams.containerIds`.
    pub container_ids: Vec<String>,
}

/// Orders of a person, a line each.
#[derive(Clone, Debug)]
pub struct Console(Shared);

impl Console {
    /// Does what a line says; answers what came of it.
    pub fn obey(&self, line: &str) -> String {
        let mut words = line.split_ascii_whitespace();
        let decision = match words.next() {
            Some("approve") => pairing::State::Approved,
            Some("deny") => pairing::State::Denied,
            Some(_) | None => return "type \"approve CODE\" or \"deny CODE\"".to_owned(),
        };
        let code: String = words.collect();
        match self.0.world().decide(&code, decision) {
            Ok(done) | Err(done) => done,
        }
    }
}

/// A running service. Stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Shared,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Simulator {
    /// Reads the music and starts to serve on a thread of its own. Requests are answered as soon as this returns.
    pub fn start(settings: Settings) -> Result<Self, SimulatorError> {
        let address = settings.listen;
        let mut catalogue = match &settings.music {
            Some(path) => Catalogue::of_directory(path)?,
            None => Catalogue::built_in()?,
        };
        if let Some(path) = &settings.podcast {
            catalogue.add_podcasts(path)?;
        }
        if settings.tracks > 0 {
            catalogue.add_long(settings.tracks);
        }
        let listen = |source| SimulatorError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let store = settings.state.as_deref().map(Store::open).transpose()?;
        let ledger = store
            .as_ref()
            .map(|store| Ledger::open(store.folder()))
            .transpose()?
            .unwrap_or_default();
        let seed = match settings.seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(|error| SimulatorError::Thread(io::Error::other(error.to_string())))?,
        };
        let (sign_in, linking, faults) = (settings.sign_in, settings.linking.clone(), settings.faults.clone());
        let mut world = World::new(catalogue, settings, seed, store, ledger);
        world.account.sign_in = sign_in;
        world.account.linking = linking;
        for fault in faults {
            world.faults.plan(fault).map_err(SimulatorError::Fault)?;
        }
        let shared = Shared::new(world);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(SimulatorError::Thread)?;
        let door = {
            let _inside = runtime.enter();
            Door::new(tokio::net::TcpListener::from_std(listener).map_err(listen)?)
        };
        let (stop, stopped) = oneshot::channel();
        let routes = http::router(shared.clone()).into_make_service_with_connect_info::<Connection>();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    ended = axum::serve(door, routes) => log::error!("simulator ended by itself: {ended:?}"),
                    _ = stopped => {}
                }
            });
            // Dropping the event loop drops every connection: nobody is waited for.
        };
        let thread = std::thread::Builder::new().name("simulator".to_owned()).spawn(serve);
        Ok(Self {
            address,
            shared,
            stop,
            thread: thread.map_err(SimulatorError::Thread)?,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Albums, in the order of their folders.
    pub fn presets(&self) -> Vec<Preset> {
        let world = self.shared.world();
        let preset = |album: &catalogue::Album| Preset {
            name: album.title.clone(),
            id: None,
            container_ids: vec![album.id.clone()],
        };
        world.catalogue.albums().iter().map(preset).collect()
    }

    /// The ledger in numbers.
    pub fn report(&self) -> Report {
        self.shared.world().ledger.report()
    }

    /// What a person should know at the start: where it is, what it plays, how a speaker finds it.
    pub fn lines(&self) -> Vec<String> {
        let address = self.address;
        let mut lines = vec![
            format!("playback service simulator on http://{address}"),
            format!("account {}", self.shared.world().rules_in_words()),
            "plays:".to_owned(),
        ];
        for preset in self.presets() {
            lines.push(format!("  {}  {}", preset.container_ids.join(" "), preset.name));
        }
        lines.push("point a speaker at it, in tonearm.toml:".to_owned());
        lines.push(format!("  [service]\n  base_url = \"http://{address}\""));
        if self.needs_sign_in() {
            let client_id = self.shared.world().account.linking.client_id.clone();
            let client_id = client_id.as_deref().unwrap_or("speaker");
            lines.push(format!(
                "  auth_url = \"http://{address}\"\n  client_id = \"{client_id}\""
            ));
            lines.push(format!(
                "link it with the code it shows: type \"approve CODE\" or \"deny CODE\" here, or open http://{address}/link"
            ));
        }
        lines.push(format!(
            "what it heard from the speaker: curl http://{address}/sim/report"
        ));
        lines
    }

    /// Requests need a token.
    pub fn needs_sign_in(&self) -> bool {
        self.shared.world().account.sign_in == SignIn::Required
    }

    /// A place where a person decides about codes, as long as the simulator runs.
    pub fn console(&self) -> Console {
        Console(self.shared.clone())
    }

    /// Ends at once: open connections are dropped, not waited for.
    pub fn stop(self) {
        // It may have ended by itself; then there is nobody to tell.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            log::error!("the simulator's thread panicked");
        }
    }
}
