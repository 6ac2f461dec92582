//! For tests: segments that lie in a file each behind the other, given one by one as a manifest would.

use std::io::{self, Cursor};
use std::sync::Arc;
use std::time::Duration;

use super::stream::{Segment, Segments};

/// Segments that lie in files, in the order in which they are to be played.
pub struct Listed {
    /// In order.
    pub all: Vec<Piece>,
    /// Number of the next one.
    pub next: usize,
    /// As a manifest announces it.
    pub length: Option<Duration>,
}

/// A segment to be given.
#[derive(Clone)]
pub struct Piece {
    pub representation: u32,
    pub description: Arc<[u8]>,
    pub media: Vec<u8>,
    pub begin: Duration,
    pub origin_ticks: i64,
    pub timescale: u32,
    pub pssh: Vec<Arc<[u8]>>,
}

impl Segments for Listed {
    fn next(&mut self) -> io::Result<Option<Segment>> {
        let Some(piece) = self.all.get(self.next).cloned() else {
            return Ok(None);
        };
        self.next += 1;
        Ok(Some(Segment {
            representation: piece.representation,
            description: piece.description,
            media: Box::new(Cursor::new(piece.media)),
            begin: piece.begin,
            origin_ticks: piece.origin_ticks,
            timescale: piece.timescale,
            pssh: piece.pssh,
        }))
    }

    fn seek(&mut self, at: Duration) -> io::Result<bool> {
        self.next = self.all.iter().rposition(|piece| piece.begin <= at).unwrap_or(0);
        Ok(self.length.is_none_or(|length| at < length))
    }

    fn length(&self) -> Option<Duration> {
        self.length
    }
}

/// Cuts a file into its description and its segments. `number` is that of the representation.
pub fn set(number: u32, file: &[u8], segment: Duration) -> Vec<Piece> {
    let starts: Vec<usize> = (4..file.len() - 3)
        .filter(|at| &file[*at..*at + 4] == b"styp")
        .map(|at| at - 4)
        .collect();
    assert!(starts.len() > 1, "the file has segments");
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    let pieces = starts.iter().zip(ends).zip(0..);
    pieces
        .map(|((start, end), index)| Piece {
            representation: number,
            description: file[..starts[0]].into(),
            media: file[*start..end].to_vec(),
            begin: segment * index,
            origin_ticks: 0,
            timescale: 1,
            pssh: Vec::new(),
        })
        .collect()
}
