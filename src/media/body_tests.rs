//! Holes, versions and lengths of one entry.

use super::super::answer::Validator;
use super::*;

const HEAD: Extent = Extent::Head(Millis(30_000));

fn body() -> Body {
    Body::new(1, EntryKey(1), 0, "http://h/a.mp3".into(), Some(Millis(60_000)))
}

fn fill(body: &mut Body, pool: &mut Pool, index: u64, length: usize) {
    let mut chunk = pool.take().unwrap();
    chunk.append(&vec![7; length]);
    body.chunks.insert(index, chunk);
}

fn head(status: u16, range: Option<&str>, length: u64, validator: &str) -> Head {
    Head {
        status,
        content_range: range.map(str::to_owned),
        length: Some(length),
        validator: Validator {
            etag: Some(validator.to_owned()),
            modified: None,
        },
        ..Head::default()
    }
}

fn reading(at: u64) -> Cursor {
    Cursor {
        reader: 1,
        opening: 1,
        at,
        waiting: false,
        consumed: true,
        cancelled: false,
    }
}

#[test]
fn holes_are_found_within_and_between_chunks() {
    let (mut body, mut pool) = (body(), Pool::new(8 * CHUNK_BYTES));
    assert_eq!(body.missing_from(5), 0, "the chunk is filled from its start");
    fill(&mut body, &mut pool, 0, CHUNK_BYTES);
    fill(&mut body, &mut pool, 1, 10);
    fill(&mut body, &mut pool, 3, CHUNK_BYTES);
    assert_eq!(body.missing_from(0), CHUNK + 10);
    assert_eq!(body.hole_end(CHUNK + 10), Some(3 * CHUNK));
    assert_eq!(body.missing_from(3 * CHUNK), 4 * CHUNK);
    assert_eq!(body.hole_end(4 * CHUNK), None);
    assert_eq!(body.loaded(), 2 * CHUNK + 10);
    body.parts.get_mut(&0).unwrap().file_total = Some(4 * CHUNK);
    assert!(!body.is_complete());
}

#[test]
fn the_head_is_half_of_a_minute() {
    let mut body = body();
    assert_eq!(body.limit(HEAD, 512 * 1024), 512 * 1024, "nothing is known yet");
    body.parts.get_mut(&0).unwrap().file_total = Some(10 * CHUNK);
    assert_eq!(body.limit(HEAD, 512 * 1024), 5 * CHUNK);
    assert_eq!(body.limit(Extent::Whole, 512 * 1024), END);
    body.cursors.push(reading(0));
    assert_eq!(body.limit(HEAD, 512 * 1024), END, "whoever reads needs the whole");
}

#[test]
fn a_changed_file_starts_over_while_nobody_heard_it() {
    let (mut body, mut pool) = (body(), Pool::new(8 * CHUNK_BYTES));
    let first = body.admit(&head(206, Some("bytes 0-9/100"), 10, "a"), 0, 0, &mut pool);
    assert_eq!(
        first,
        Admission::Go {
            first: 0,
            end: Some(10)
        }
    );
    fill(&mut body, &mut pool, 0, 10);
    let second = body.admit(&head(206, Some("bytes 10-99/100"), 90, "b"), 0, 10, &mut pool);
    assert!(matches!(second, Admission::Again(_)), "{second:?}");
    assert_eq!((body.loaded(), body.total()), (0, None));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_unplayable() {
    for changed in [
        head(206, Some("bytes 10-99/100"), 90, "b"),
        head(206, Some("bytes 10-98/99"), 89, "a"),
    ] {
        let (mut body, mut pool) = (body(), Pool::new(8 * CHUNK_BYTES));
        body.admit(&head(206, Some("bytes 0-9/100"), 10, "a"), 0, 0, &mut pool);
        fill(&mut body, &mut pool, 0, 10);
        body.cursors.push(reading(10));
        let second = body.admit(&changed, 0, 10, &mut pool);
        assert!(
            matches!(second, Admission::Fault(MediaFault::Unplayable, _)),
            "{second:?}"
        );
    }
}

#[test]
fn a_fresh_address_of_the_same_file_keeps_its_bytes() {
    let (mut body, mut pool) = (body(), Pool::new(8 * CHUNK_BYTES));
    body.admit(&head(206, Some("bytes 0-9/100"), 10, "a"), 0, 0, &mut pool);
    fill(&mut body, &mut pool, 0, 10);
    body.cursors.push(reading(10));
    body.fault = Some((MediaFault::Expired, "status 403".into()));
    body.renew(1, "http://h/b.mp3".into(), &mut pool);
    let second = body.admit(&head(206, Some("bytes 10-99/100"), 90, "a"), 0, 10, &mut pool);
    assert_eq!(
        second,
        Admission::Go {
            first: 10,
            end: Some(100)
        }
    );
    assert_eq!((body.loaded(), body.fault), (10, None));
}

#[test]
fn the_end_of_a_body_of_unknown_length_shows_as_a_range_outside() {
    let (mut body, mut pool) = (body(), Pool::new(8 * CHUNK_BYTES));
    body.admit(&head(206, Some("bytes 0-9/*"), 10, "a"), 0, 0, &mut pool);
    fill(&mut body, &mut pool, 0, 10);
    assert!(matches!(
        body.admit(&head(416, None, 0, "a"), 0, 10, &mut pool),
        Admission::Again(_)
    ));
    assert!(body.is_complete());
}
