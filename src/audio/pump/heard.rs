//! The output's ear: how far the device has played, whose frames those were, and what is to be told of it.

use std::sync::atomic::Ordering;

use tonearm_core::id::PlayId;
use tonearm_core::input::{AudioNews, Ending};

use super::{Device, Pause, Pump, Sounding};
use crate::audio::mark::Tail;
use crate::audio::timeline::Region;
use crate::audio::track::Shape;

impl Pump {
    /// Asks the device how far it is.
    pub(super) fn listen(&mut self) {
        let unheard = self.line.unheard();
        if unheard == 0 || !matches!(self.device, Device::Open { .. }) {
            return;
        }
        match self.output.delay() {
            Ok(delay) => self.advance(unheard.saturating_sub(delay as u64)),
            Err(error) => self.fail(&error),
        }
    }

    /// `frames` more were heard.
    pub(super) fn advance(&mut self, mut frames: u64) {
        while frames > 0 {
            let Some(piece) = self.line.piece() else { return };
            let heard = frames.min(piece.frames);
            let Some(play) = piece.play else {
                self.line.hear(heard);
                frames -= heard;
                continue;
            };
            if self.sounding.is_none_or(|sounding| sounding.play != play) {
                self.settle();
                self.begin(play);
            }
            self.line.hear(heard);
            frames -= heard;
            self.shared.tally.frames_heard.fetch_add(heard, Ordering::Relaxed);
            self.hear(play, heard);
        }
    }

    /// The first frame of `play` is heard (or would be, had it any).
    fn begin(&mut self, play: PlayId) {
        let Some(Region { shape: Some(shape), .. }) = self.line.front().filter(|region| region.play == play) else {
            return;
        };
        // Called back in the last moment: its frames are dropped in this very turn.
        if self.shared.begin(play) {
            let Shape { rate, offset, .. } = shape;
            self.sounding = Some(Sounding {
                play,
                rate,
                frame: offset,
                span_from: None,
                rebuffers: 0,
                is_stalled: false,
            });
        }
    }

    fn hear(&mut self, play: PlayId, frames: u64) {
        let Some(sounding) = self.sounding.as_mut().filter(|sounding| sounding.play == play) else {
            return;
        };
        let from = sounding.frame;
        sounding.frame += frames;
        if sounding.span_from.is_none() {
            self.open_span(from);
        }
    }

    fn open_span(&mut self, from: u64) {
        if let Some(sounding) = self.sounding.as_mut() {
            sounding.span_from = Some(from);
            sounding.rebuffers = 0;
            let news = AudioNews::Began {
                play: sounding.play,
                position: sounding.position(from),
            };
            self.tell(news);
        }
    }

    /// The span of sound is over, if there is one.
    pub(super) fn close_span(&mut self, how: Ending) {
        let Some(sounding) = self.sounding.as_mut() else { return };
        let Some(from) = sounding.span_from.take() else { return };
        sounding.is_stalled = false;
        let position = sounding.position(sounding.frame);
        let news = AudioNews::Ended {
            play: sounding.play,
            position,
            // From the positions told, so that spans of one entry add up.
            played: position.saturating_sub(sounding.position(from)),
            rebuffers: sounding.rebuffers,
            how,
        };
        self.tell(news);
    }

    /// Entries that are over, or void, leave.
    pub(super) fn settle(&mut self) {
        while let Some(region) = self.line.front() {
            let Some((end, tail)) = region.end else { return };
            if self.line.heard() < end {
                return;
            }
            if self.shared.is_valid(region.play) {
                if self.pause == Pause::Paused {
                    return;
                }
                self.conclude(region, tail);
            } else {
                self.forget(region.play);
            }
            self.line.pop();
        }
    }

    fn conclude(&mut self, region: Region, tail: Tail) {
        if region.shape.is_none() {
            if self.shared.begin(region.play) {
                self.tell(AudioNews::Failed { play: region.play });
            }
            return;
        }
        if self.sounding.is_none_or(|sounding| sounding.play != region.play) {
            self.begin(region.play);
        }
        let Some(sounding) = self.sounding.filter(|sounding| sounding.play == region.play) else {
            return;
        };
        if sounding.span_from.is_none() {
            self.open_span(sounding.frame);
        }
        self.close_span(match tail {
            Tail::Whole => Ending::Finished,
            Tail::Broken | Tail::Abandoned => Ending::Broken,
            Tail::Locked => Ending::Locked,
        });
        self.sounding = None;
    }

    pub(super) fn forget(&mut self, play: PlayId) {
        if self.sounding.is_some_and(|sounding| sounding.play == play) {
            self.close_span(Ending::Cut);
            self.sounding = None;
        }
    }
}
