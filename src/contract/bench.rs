//! What every test here stands on: a simulator whose clock the test holds, the product's client, and a hand on the
//! simulator's own pages. It judges nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::service::{self, FixedToken, Patience, PlayParams, Quality};
use crate::simulator::tests::Client as Hand;
use crate::simulator::{Clock, Settings, Simulator, Tier};

/// Wall clock at the beginning, milliseconds since 1970.
pub const EPOCH_MS: i64 = 1_800_000_000_000;

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
        let clock = Arc::new(AtomicI64::new(EPOCH_MS));
        let simulator = Simulator::start(Settings {
            tier,
            seed: Some(seed),
            clock: Clock::Manual(Arc::clone(&clock)),
            ..Settings::default()
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

    /// The product's client; an answer that takes longer than `patience` is none.
    pub fn client(&self, patience: Duration) -> service::Client {
        let settings = service::Settings {
            base_url: format!("http://{}", self.simulator.address()),
            device_id: DEVICE.to_owned(),
            qualities: vec![Quality::Standard, Quality::High],
            api_key: None,
            language: None,
            event_batch_path: None,
            tls: crate::tls::fixture::believing(),
            credentials: Arc::new(FixedToken(None)),
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
