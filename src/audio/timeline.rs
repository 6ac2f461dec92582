//! Where everything in the ring stands: whose frames they are, how far they were written to the device, and how far they
//! were heard. Pure book-keeping in frame numbers; it must not touch samples, devices or clocks.

use heapless::Deque;
use tonearm_core::id::PlayId;

use super::mark::{Mark, Tail, What};
use super::track::Shape;

/// Entries that may stand in the ring at once. More wait as marks.
const REGIONS_MAX: usize = 32;
/// Stretches of frames the device may hold that do not adjoin in the ring: one per entry, and per entry left out.
const PIECES_MAX: usize = 32;

/// The frames of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Which order.
    pub play: PlayId,
    /// Number of its first frame.
    pub start: u64,
    /// Number after its last frame and how it ends; unknown while it is being decoded.
    pub end: Option<(u64, Tail)>,
    /// `None`: it could not be decoded, and has no frames.
    pub shape: Option<Shape>,
}

/// Adjoining frames of one entry, or of filling, that the device holds and that are not heard yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which order; `None`: filling, which belongs to no entry and has no numbers.
    pub play: Option<PlayId>,
    /// Number of its first frame; for filling, of the frame that follows it.
    pub at: u64,
    /// How many.
    pub frames: u64,
}

/// Regions in order, and three numbers: released <= heard <= next.
#[derive(Debug, Default)]
pub struct Timeline {
    regions: Deque<Region, REGIONS_MAX>,
    pieces: Deque<Piece, PIECES_MAX>,
    /// Frames given back to the decoder.
    released: u64,
    /// Frame that is written next.
    next: u64,
}

impl Timeline {
    /// There is room for `mark`. The end of an entry needs none: without it, all that follows would be taken for that entry's.
    pub fn takes(&self, mark: &Mark) -> bool {
        matches!(mark.what, What::End(_)) || !self.regions.is_full()
    }

    /// Takes in what the decoder marked. Only called with what it [`Timeline::takes`].
    pub fn note(&mut self, mark: Mark) {
        let region = match mark.what {
            What::Start(shape) => Region {
                play: mark.play,
                start: mark.at,
                end: None,
                shape: Some(shape),
            },
            What::Failed => Region {
                play: mark.play,
                start: mark.at,
                end: Some((mark.at, Tail::Whole)),
                shape: None,
            },
            What::End(tail) => {
                if let Some(region) = self.regions.back_mut() {
                    debug_assert!(
                        region.play == mark.play && region.end.is_none(),
                        "an end belongs to the last start"
                    );
                    region.end = Some((mark.at, tail));
                }
                return;
            }
        };
        let is_kept = self.regions.push_back(region).is_ok();
        debug_assert!(is_kept, "room was asked for");
    }

    /// Frame up to which everything was heard, or never will be.
    pub fn heard(&self) -> u64 {
        self.pieces.front().map_or(self.next, |piece| piece.at)
    }

    /// Frame that is written next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Frames given back to the decoder so far.
    pub fn released(&self) -> u64 {
        self.released
    }

    /// The region that is heard now or next.
    pub fn front(&self) -> Option<Region> {
        self.regions.front().copied()
    }

    /// Forgets the front region.
    pub fn pop(&mut self) {
        self.regions.pop_front();
    }

    /// The region the next frame to be written belongs to. Void ones are passed over: their frames, up to `available`,
    /// are never written.
    pub fn writable(&mut self, available: u64, is_valid: impl Fn(PlayId) -> bool) -> Option<Region> {
        for region in &self.regions {
            let end = region.end.map(|(end, _)| end);
            if !is_valid(region.play) {
                self.next = self.next.max(end.unwrap_or(available));
                end?;
            } else if region.shape.is_some() && end.is_none_or(|end| self.next < end) {
                return Some(*region);
            }
        }
        None
    }

    /// There is room to note another stretch of written frames.
    pub fn can_write(&self) -> bool {
        !self.pieces.is_full()
    }

    /// The device took `frames` of `play` from the next frame on.
    pub fn wrote(&mut self, play: PlayId, frames: u64) {
        let at = self.next;
        self.next += frames;
        if let Some(piece) = self.pieces.back_mut()
            && piece.play == Some(play)
            && piece.at + piece.frames == at
        {
            piece.frames += frames;
            return;
        }
        self.hold(Piece {
            play: Some(play),
            at,
            frames,
        });
    }

    /// The device took `frames` that belong to no entry.
    pub fn filled(&mut self, frames: u64) {
        let at = self.next;
        if let Some(piece) = self.pieces.back_mut()
            && piece.play.is_none()
            && piece.at == at
        {
            piece.frames += frames;
        } else if frames > 0 {
            self.hold(Piece { play: None, at, frames });
        }
    }

    fn hold(&mut self, piece: Piece) {
        let is_kept = self.pieces.push_back(piece).is_ok();
        debug_assert!(is_kept, "room was asked for");
    }

    /// Frames the device holds.
    pub fn unheard(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.frames).sum()
    }

    /// The stretch that is heard next.
    pub fn piece(&self) -> Option<Piece> {
        self.pieces.front().copied()
    }

    /// Any stretch in the device whose order `is_void`.
    pub fn holds(&self, is_void: impl Fn(PlayId) -> bool) -> bool {
        self.pieces.iter().any(|piece| piece.play.is_some_and(&is_void))
    }

    /// Any frame of an entry in the device.
    pub fn holds_any(&self) -> bool {
        self.pieces.iter().any(|piece| piece.play.is_some())
    }

    /// The first `frames` of the front stretch were heard.
    pub fn hear(&mut self, frames: u64) {
        let is_gone = self.pieces.front_mut().is_some_and(|piece| {
            let heard = frames.min(piece.frames);
            if piece.play.is_some() {
                piece.at += heard;
            }
            piece.frames -= heard;
            piece.frames == 0
        });
        if is_gone {
            self.pieces.pop_front();
        }
    }

    /// The device dropped what it held: writing goes on at the first frame that was not heard.
    pub fn rewind(&mut self) {
        self.next = self.heard();
        self.pieces.clear();
    }

    /// Frames that may be given back to the decoder now; they count as given back.
    pub fn release(&mut self) -> u64 {
        let frames = self.heard().saturating_sub(self.released);
        self.released += frames;
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        rate: 44_100,
        bits: 16,
        offset: 0,
    };

    fn timeline(marks: &[(u64, u32, What)]) -> Timeline {
        let mut timeline = Timeline::default();
        for (at, play, what) in marks {
            timeline.note(Mark {
                at: *at,
                play: PlayId(*play),
                what: *what,
            });
        }
        timeline
    }

    #[test]
    fn a_void_entry_is_passed_over_and_the_one_after_it_adjoins() {
        let mut line = timeline(&[
            (0, 1, What::Start(SHAPE)),
            (100, 1, What::End(Tail::Whole)),
            (100, 2, What::Start(SHAPE)),
            (300, 2, What::End(Tail::Abandoned)),
            (300, 3, What::Start(SHAPE)),
        ]);
        line.wrote(PlayId(1), 100);
        let region = line.writable(400, |play| play != PlayId(2)).unwrap();
        assert_eq!((region.play, line.next()), (PlayId(3), 300));
        line.wrote(PlayId(3), 50);
        line.hear(60);
        assert_eq!((line.heard(), line.unheard(), line.release()), (60, 90, 60));
        line.hear(40);
        assert_eq!(
            (line.heard(), line.release()),
            (300, 240),
            "the void frames are given back with it"
        );
    }

    #[test]
    fn after_a_drop_writing_goes_on_at_the_first_unheard_frame() {
        let mut line = timeline(&[(0, 1, What::Start(SHAPE))]);
        line.wrote(PlayId(1), 100);
        line.hear(33);
        line.rewind();
        assert_eq!((line.next(), line.unheard(), line.heard()), (33, 0, 33));
    }

    #[test]
    fn filling_counts_for_no_entry_and_moves_no_frame() {
        let mut line = timeline(&[(0, 1, What::Start(SHAPE))]);
        line.wrote(PlayId(1), 10);
        line.filled(7);
        line.filled(3);
        line.wrote(PlayId(1), 5);
        assert_eq!((line.unheard(), line.next(), line.heard()), (25, 15, 0));
        line.hear(10);
        assert_eq!((line.piece().unwrap().frames, line.heard()), (10, 10));
        assert!(line.holds_any());
        line.hear(4);
        assert_eq!((line.heard(), line.unheard()), (10, 11));
        line.rewind();
        assert_eq!((line.next(), line.holds_any()), (10, false));
    }

    #[test]
    fn a_void_entry_that_is_still_decoded_is_swallowed_as_it_comes() {
        let mut line = timeline(&[(0, 1, What::Start(SHAPE))]);
        assert_eq!(line.writable(70, |_| false), None);
        assert_eq!(line.release(), 70);
    }

    #[test]
    fn a_full_line_takes_the_end_of_its_last_entry_and_no_other() {
        let starts: Vec<_> = (0..32)
            .map(|play| (u64::from(play), play, What::Start(SHAPE)))
            .collect();
        let line = timeline(&starts);
        let mark = |what| Mark {
            at: 32,
            play: PlayId(31),
            what,
        };
        assert!(line.takes(&mark(What::End(Tail::Abandoned))));
        assert!(!line.takes(&mark(What::Start(SHAPE))));
    }

    #[test]
    fn an_entry_that_failed_has_no_frames() {
        let mut line = timeline(&[(0, 1, What::Failed), (0, 2, What::Start(SHAPE))]);
        assert_eq!(line.front().map(|region| region.shape), Some(None));
        assert_eq!(line.writable(10, |_| true).map(|region| region.play), Some(PlayId(2)));
    }
}
