//! What every test here stands on: a simulator whose clock the test holds, the product's client, and a hand on the
//! simulator's own pages. It judges nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tonearm_core::unit::Moment;

use crate::service::account;
use crate::service::{self, Credentials, FixedToken, Patience, PlayParams, Quality};
use crate::simulator::tests::Client as Hand;
use crate::simulator::{Clock, Settings, Simulator, Tier};

/// Wall clock at the beginning, milliseconds since 1970.
pub const EPOCH_MS: i64 = 1_800_000_000_000;

/// Where the simulator takes several events at once.
pub const BATCH_PATH: &str = "/v1/playback/events/batch";

/// What the speaker calls itself.
pub const DEVICE: &str = "the-speaker";

/// A simulator and what reaches it.
pub struct Bench {
    pub simulator: Simulator,
    /// The simulator's own pages.
    pub hand: Hand,
    clock: Arc<AtomicI64>,
}

impl Bench {
    pub fn start(tier: Tier, seed: u64) -> Self {
        Self::of(Settings {
            tier,
            seed: Some(seed),
            ..Settings::default()
        })
    }

    pub fn of(settings: Settings) -> Self {
        let clock = Arc::new(AtomicI64::new(EPOCH_MS));
        let simulator = Simulator::start(Settings {
            clock: Clock::Manual(Arc::clone(&clock)),
            ..settings
        })
        .unwrap();
        Self {
            hand: Hand::of(&simulator),
            simulator,
            clock,
        }
    }

    /// The simulator's time, milliseconds since 1970.
    pub fn set_time(&self, wall_ms: i64) {
        self.clock.store(wall_ms, Ordering::Release);
    }

    /// The same.
    pub fn wall_ms(&self) -> i64 {
        self.clock.load(Ordering::Acquire)
    }

    /// The same, as the account thread reads clocks. It runs on through a restart of the speaker.
    pub fn clock(&self) -> account::Clock {
        let clock = Arc::clone(&self.clock);
        Arc::new(move || {
            let wall_ms = clock.load(Ordering::Acquire);
            account::Now {
                at: Moment(u64::try_from(wall_ms - EPOCH_MS).unwrap()),
                wall_s: Some(wall_ms / 1000),
            }
        })
    }

    /// Where the simulator is.
    pub fn address(&self) -> String {
        format!("http://{}", self.simulator.address())
    }

    /// The product's client; an answer that takes longer than `patience` is none.
    pub fn client(&self, patience: Duration) -> service::Client {
        self.client_of(patience, Arc::new(FixedToken(None)))
    }

    /// The same, of an account, and with the simulator's path for several events at once.
    pub fn client_of(&self, patience: Duration, credentials: Arc<dyn Credentials>) -> service::Client {
        let settings = service::Settings {
            base_url: self.address(),
            device_id: DEVICE.to_owned(),
            qualities: vec![Quality::Standard, Quality::High],
            api_key: None,
            language: None,
            event_batch_path: Some(BATCH_PATH.to_owned()),
            tls: crate::tls::fixture::believing(),
            credentials,
        };
        service::Client::new(settings, Patience { call: patience }).unwrap()
    }

    /// The built-in album.
    pub fn album(&self) -> PlayParams {
        let preset = &self.simulator.presets()[0];
        PlayParams {
            id: preset.id.clone(),
            container_ids: preset.container_ids.clone(),
        }
    }

    /// Records of the ledger of one kind, after a record's number.
    pub fn ledger(&self, kind: &str, after: u64) -> Vec<Value> {
        let (_, answer) = self.hand.get(&format!("/sim/ledger?kind={kind}&after={after}"));
        answer["records"].as_array().unwrap().clone()
    }

    /// Everything that is to go wrong is forgotten.
    pub fn all_is_well(&self) {
        assert_eq!(self.hand.call("DELETE", "/sim/faults", &Value::Null).0, 200);
    }
}
