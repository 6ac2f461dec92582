//! Hears what the client logs on this thread. The log is the process's own, so every other thread stays unheard.

use std::cell::RefCell;
use std::sync::Once;

use log::{LevelFilter, Log, Metadata, Record};

thread_local! {
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

struct Ear;

impl Log for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tonearm") && HEARD.with_borrow(Option::is_some)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            HEARD.with_borrow_mut(|heard| heard.iter_mut().for_each(|lines| lines.push(record.args().to_string())));
        }
    }

    fn flush(&self) {}
}

/// What `act` gives, and the lines the program logged meanwhile where people look: warnings and worse.
pub fn listening<T>(act: impl FnOnce() -> T) -> (T, Vec<String>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Ear).expect("no test sets a logger but this one");
        log::set_max_level(LevelFilter::Warn);
    });
    HEARD.set(Some(Vec::new()));
    let result = act();
    (result, HEARD.take().unwrap_or_default())
}
