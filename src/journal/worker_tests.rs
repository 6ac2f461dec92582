//! The journal as the speaker uses it: thread, memory, news, and a disk that does not always work.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::crash_tests::{waiting, written};
use super::faulty::{Disk, Health, Remains};
use super::record::tests::sample;
use super::recover::restart;
use super::storage::Storage;
use super::worker::Stored;
use super::{Found, Journal, Outcome, Recovered, aside, list};
use tonearm_core::id::Seq;
use tonearm_core::unit::Moment;

fn open_on(disk: &Arc<Disk>) -> (Journal, Recovered, Receiver<Stored>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let news = Arc::new(move |stored| {
        let _ = tell.lock().unwrap().send(stored);
    });
    let (journal, recovered) = Journal::open_on(disk.clone(), Path::new("test"), news).unwrap();
    (journal, recovered, told)
}

fn next(told: &Receiver<Stored>) -> Stored {
    told.recv_timeout(Duration::from_secs(10))
        .expect("news within ten seconds")
}

#[test]
fn an_event_is_announced_read_settled_and_forgotten() {
    let disk = Arc::new(Disk::default());
    let (journal, _, told) = open_on(&disk);
    journal.append(sample(1));
    assert_eq!(
        next(&told),
        Stored {
            seq: Seq(1),
            durable: true
        }
    );
    assert_eq!(journal.read(Seq(1)), Found::Event(sample(1)));
    assert_eq!(journal.summary().waiting, 1);
    journal.settle(Seq(1), Outcome::Accepted);
    assert_eq!(journal.summary().waiting, 0);
    journal.close().unwrap();
    let (_, recovered, _) = open_on(&disk);
    assert_eq!((recovered.next, recovered.settled), (Seq(2), Seq(1)));
}

#[test]
fn a_backlog_is_read_back_after_a_restart() {
    let disk = written(600, 20, sample);
    let (journal, recovered, _) = open_on(&disk);
    assert_eq!(recovered.waiting, 580);
    for seq in 21..=600 {
        assert_eq!(journal.read(Seq(seq)), Found::Event(sample(seq)));
    }
    let oldest = journal.summary().oldest.unwrap();
    assert_eq!(oldest.at, sample(21).at);
    assert_eq!(
        oldest.age([7; 16], Moment(oldest.at.0 + 1_500), None),
        Some(Duration::from_millis(1_500))
    );
    assert_eq!(oldest.age([8; 16], Moment(0), None), None, "another boot, and no clock");
}

#[test]
fn an_event_set_aside_is_kept_with_its_reason_also_if_it_was_old() {
    let disk = written(600, 20, sample);
    let (journal, _, _) = open_on(&disk);
    journal.settle(
        Seq(21),
        Outcome::SetAside {
            reason: "400 BAD_REQUEST".into(),
        },
    );
    journal.settle(Seq(22), Outcome::Accepted);
    assert_eq!(journal.summary().set_aside, 1);
    journal.close().unwrap();
    let (_, recovered, _) = open_on(&disk);
    assert_eq!((recovered.settled, recovered.set_aside), (Seq(22), 1));
    let kept = aside::look(&*disk, &disk.list().unwrap()).items.remove(0);
    assert_eq!(
        (kept.reason.as_str(), kept.record),
        ("400 BAD_REQUEST", Some(sample(21)))
    );
}

#[test]
fn a_full_disk_is_told_and_the_events_are_stored_when_there_is_room() {
    for health in [Health::Full, Health::ReadOnly, Health::NoSync] {
        let disk = Arc::new(Disk::default());
        let (journal, _, told) = open_on(&disk);
        disk.set(health);
        journal.append(sample(1));
        assert_eq!(
            next(&told),
            Stored {
                seq: Seq(1),
                durable: false
            },
            "{health:?}"
        );
        assert_eq!(
            journal.read(Seq(1)),
            Found::Event(sample(1)),
            "{health:?}: it can be sent all the same"
        );
        assert_eq!(journal.summary().unstored, 1);
        disk.set(Health::Good);
        journal.append(sample(2));
        assert_eq!(
            next(&told),
            Stored {
                seq: Seq(2),
                durable: true
            },
            "{health:?}"
        );
        journal.close().unwrap();
        assert_eq!(
            waiting(&disk.after_power_cut(Remains::Nothing)),
            [sample(1), sample(2)],
            "{health:?}"
        );
    }
}

#[test]
fn leaving_with_a_full_disk_says_what_is_lost() {
    let disk = Arc::new(Disk::default());
    let (journal, _, _) = open_on(&disk);
    disk.set(Health::Full);
    journal.append(sample(1));
    assert_eq!(
        journal.close().unwrap_err().to_string(),
        "close journal: 1 events could not be stored; is the disk full or read-only?"
    );
}

#[test]
fn a_read_only_disk_can_still_be_reported_from() {
    let disk = written(5, 1, sample);
    disk.set(Health::ReadOnly);
    let (journal, recovered, _) = open_on(&disk);
    assert_eq!(recovered.waiting, 4);
    assert_eq!(journal.read(Seq(3)), Found::Event(sample(3)));
}

/// The wall-clock time of the first event.
fn wall_ms(journal: &Journal) -> Option<i64> {
    match journal.read(Seq(1)) {
        Found::Event(record) => record.wall_ms,
        other @ (Found::Nothing | Found::Folded(_) | Found::Later) => panic!("{other:?}"),
    }
}

#[test]
fn events_before_the_clock_was_right_get_their_true_time_also_after_a_restart() {
    let disk = Arc::new(Disk::default());
    let (journal, _, _) = open_on(&disk);
    let mut record = sample(1);
    record.wall_ms = None;
    journal.append(record.clone());
    journal.clock_known(record.boot, 1_790_000_000_000);
    let expected = Some(1_790_000_000_000 + i64::try_from(record.at.0).unwrap());
    assert_eq!(wall_ms(&journal), expected);
    journal.close().unwrap();
    let (journal, recovered, _) = open_on(&disk);
    assert_eq!(wall_ms(&journal), expected);
    assert_eq!(recovered.open.unwrap().start.wall_ms, expected);
}

#[test]
fn a_running_journal_is_listed_and_not_opened_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let news = Arc::new(move |stored| tell.lock().unwrap().send(stored).unwrap());
    let (journal, _) = Journal::open(dir.path(), news).unwrap();
    for seq in 1..=3 {
        journal.append(sample(seq));
    }
    while next(&told).seq < Seq(3) {}
    let listing = list(dir.path()).unwrap();
    assert_eq!(listing.waiting, [sample(1), sample(2), sample(3)]);
    assert_eq!(listing.to_json()["waiting"][1]["reason"], "trackFinished");
    let text = listing.to_string();
    assert!(text.starts_with("waiting to be reported: 3\n  1 2026-"), "{text}");
    let error = Journal::open(dir.path(), Arc::new(|_| {})).unwrap_err().to_string();
    assert!(error.contains("is another tonearm running"), "{error}");
    journal.close().unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), b"").unwrap();
    let error = Journal::open(&dir.path().join("file/journal"), Arc::new(|_| {}))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("file/journal") && error.contains("[state] dir"),
        "{error}"
    );
}

#[test]
fn the_next_event_is_given_out_once_the_one_before_is_settled_on_disk() {
    let disk = written(4, 0, sample);
    let storage: Arc<dyn Storage> = disk.clone();
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let news = Arc::new(move |stored| tell.lock().unwrap().send(stored).unwrap());
    let (journal, mut writer, _) = Journal::assemble(Arc::clone(&storage), restart(&storage).unwrap(), news);
    assert_eq!(journal.read(Seq(1)), Found::Event(sample(1)));
    journal.settle(Seq(1), Outcome::Accepted);
    assert_eq!(journal.read(Seq(2)), Found::Later);
    writer.step();
    assert!(
        told.try_recv().is_ok(),
        "whoever was told to wait is told when to ask again"
    );
    assert_eq!(journal.read(Seq(2)), Found::Event(sample(2)));
    // A disk that takes nothing holds up nobody.
    disk.set(Health::Full);
    journal.settle(Seq(2), Outcome::Accepted);
    assert_eq!(journal.read(Seq(3)), Found::Later);
    writer.step();
    assert!(told.try_recv().is_ok());
    assert_eq!(journal.read(Seq(3)), Found::Event(sample(3)));
}

#[test]
fn after_a_power_cut_only_what_was_given_out_last_can_be_unsettled() {
    let disk = written(20, 0, sample);
    let storage: Arc<dyn Storage> = disk.clone();
    let (journal, mut writer, _) =
        Journal::assemble(Arc::clone(&storage), restart(&storage).unwrap(), Arc::new(|_| {}));
    for seq in 1..=20 {
        while journal.read(Seq(seq)) == Found::Later {
            writer.step();
        }
        let settled = restart(&(Arc::new(disk.after_power_cut(Remains::Nothing)) as Arc<dyn Storage>));
        assert_eq!(settled.unwrap().recovered.settled, Seq(seq - 1));
        journal.settle(Seq(seq), Outcome::Accepted);
    }
}
