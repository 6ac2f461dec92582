//! The speaker's account in an hour: the product's own keeper of tokens, linked once by a code, asking the simulator's
//! sign-in server. It reads the hour's clock, but sleeps in real time: tokens that run out are mostly renewed when
//! the service refuses them, seldom ahead of that.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::world::{Check, PATIENCE};
use crate::contract::bench::Bench;
use crate::service::Credentials;
use crate::service::account::{Account, News, Settings, Start};
use crate::state::StateDir;

/// The keeper's thread answers within this, unless it waits for another try.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Waits for it; after these it hangs.
const TRIES_MAX: usize = 20;
/// Seconds the simulator wants between two polls, and a little more. The keeper waits for it in real time.
const POLLED_MS: i64 = 1_500;

pub struct SignIn {
    /// What the speaker keeps of it, also through a power cut.
    folder: TempDir,
    account: Option<Account>,
    news: Receiver<News>,
    sender: Sender<News>,
}

impl SignIn {
    /// A speaker that somebody has just linked.
    pub fn link(bench: &Bench) -> Self {
        let (sender, news) = channel();
        let folder = tempfile::tempdir().unwrap();
        let mut signed = Self {
            folder,
            account: None,
            news,
            sender,
        };
        signed.start(bench);
        let code = loop {
            if let News::Linking { code, .. } = signed.hear(bench) {
                break code;
            }
        };
        let approve = json!({"user_code": code});
        assert_eq!(bench.hand.call("POST", "/sim/account/approve", &approve).0, 200);
        bench.set_time(bench.wall_ms() + POLLED_MS);
        assert_eq!(signed.hear(bench), News::Linked);
        signed
    }

    /// What the account thread says next. Where a busy machine made it wait for another try, the hour's clock goes on.
    fn hear(&self, bench: &Bench) -> News {
        for _ in 0..TRIES_MAX {
            match self.news.recv_timeout(ANSWER_MAX) {
                Ok(news) => return news,
                Err(_) => bench.set_time(bench.wall_ms() + POLLED_MS),
            }
        }
        panic!("the account thread says nothing");
    }

    /// The program starts.
    pub fn start(&mut self, bench: &Bench) {
        let settings = Settings {
            auth_url: bench.address(),
            client_id: "the-product".to_owned(),
            scope: "music::playback".to_owned(),
            tls: crate::tls::fixture::believing(),
            state: StateDir::open(self.folder.path()).unwrap(),
            start: Start::ByItself,
            clock: bench.clock(),
            seed: 1,
        };
        let sender = self.sender.clone();
        let news = Arc::new(move |news| {
            // Whoever asks no more is no longer told.
            let _gone = sender.send(news);
        });
        self.account = Some(Account::start_hasty(settings, PATIENCE, news).unwrap());
    }

    /// The power is gone; what is on disk stays.
    pub fn stop(&mut self) {
        self.account = None;
    }

    /// `None`: the program does not run.
    pub fn credentials(&self) -> Option<Arc<dyn Credentials>> {
        self.account.as_ref().map(Account::credentials)
    }

    /// Whatever fails, the link stays.
    pub fn is_linked(&self) -> Check {
        match self.news.try_iter().find(|news| *news != News::Linked) {
            None => Ok(()),
            Some(news) => Err(format!("the account thread says {news:?}")),
        }
    }
}
