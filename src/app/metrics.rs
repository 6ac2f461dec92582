//! The health figures, in Prometheus' text format.

use std::fmt::Write;

use tonearm_core::{Reach, Session};

use super::Adapters;
use crate::device::clock;

/// Everything that is counted. Counters start at zero with the program.
pub(super) fn text(session: &Session, adapters: &Adapters) -> String {
    let now = clock::now();
    let view = session.view(now);
    let sound = adapters.engine.counters();
    let outbox = adapters.journal.summary();
    let levels = adapters.library.levels();
    let mut text = String::new();
    let mut figure = |name: &str, sort: &str, help: &str, value: u64| {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP tonearm_{name} {help}\n# TYPE tonearm_{name} {sort}\ntonearm_{name} {value}"
        );
    };
    figure(
        "xruns_total",
        "counter",
        "Times the sound device ran dry although there were samples.",
        sound.xruns.into(),
    );
    figure(
        "rebuffers_total",
        "counter",
        "Times sound stopped because bytes came too late.",
        sound.stalls.into(),
    );
    figure(
        "frames_heard_total",
        "counter",
        "Frames that were heard.",
        sound.frames_heard,
    );
    figure(
        "boundaries_gapless_total",
        "counter",
        "Entries that followed another without a gap.",
        sound.boundaries_gapless.into(),
    );
    figure(
        "boundaries_with_gap_total",
        "counter",
        "Entries that followed another after a silence.",
        sound.boundaries_silent.into(),
    );
    figure(
        "device_losses_total",
        "counter",
        "Times the sound device was lost.",
        sound.losses.into(),
    );
    figure(
        "events_waiting",
        "gauge",
        "Events to be reported to the service.",
        view.waiting.saturating_sub(outbox.folded_waiting),
    );
    figure(
        "events_set_aside",
        "gauge",
        "Events the service refused for good.",
        outbox.set_aside,
    );
    figure(
        "event_pairs_folded",
        "gauge",
        "Pairs of start and stop that were let go for want of room since the device was new.",
        outbox.folded,
    );
    figure(
        "events_unstored",
        "gauge",
        "Events that are only in memory.",
        outbox.unstored,
    );
    figure(
        "window_entries",
        "gauge",
        "Entries in the window.",
        levels.len().try_into().unwrap_or(u64::MAX),
    );
    for (name, sort, help, value) in chosen(adapters) {
        figure(name, sort, help, value);
    }
    let bytes = levels.iter().map(|level| level.bytes).sum();
    figure("window_bytes", "gauge", "Media bytes in memory.", bytes);
    figure(
        "service_up",
        "gauge",
        "1 while the service answers.",
        u64::from(view.reach == Reach::Up),
    );
    figure(
        "turn_seconds",
        "gauge",
        "After an outage of the service: time until what waits is sent; 0 while nothing is held back.",
        view.turn_at.map_or(0, |at| u64::from(at.since(now).0).div_ceil(1000)),
    );
    for (name, help, value) in licences(adapters) {
        figure(name, "counter", help, value);
    }
    text
}

/// Figures of licences: name, meaning, value.
fn licences(adapters: &Adapters) -> [(&'static str, &'static str, u64); 3] {
    let licences = adapters.licences.counters();
    [
        (
            "licences_asked_total",
            "Requests sent to licence servers.",
            licences.asked,
        ),
        (
            "licences_granted_total",
            "Licences that hold the keys that were asked for.",
            licences.granted,
        ),
        (
            "licences_refused_total",
            "Licences that were refused or are of no use.",
            licences.refused,
        ),
    ]
}

/// Figures of the choice among representations: name, type, meaning, value.
fn chosen(adapters: &Adapters) -> [(&'static str, &'static str, &'static str, u64); 3] {
    let choice = adapters.library.figures();
    [
        (
            "representation_switches_total",
            "counter",
            "Times the quality changed within an entry.",
            choice.switches,
        ),
        (
            "representation_bits_per_second",
            "gauge",
            "Bandwidth of what the current entry was last fetched in, by its manifest; 0 if it has none.",
            choice.bandwidth_bps.unwrap_or(0),
        ),
        (
            "link_bits_per_second",
            "gauge",
            "What media hosts were last measured to deliver; 0 before anything was.",
            choice.link_bps.unwrap_or(0),
        ),
    ]
}
