//! The catalogue as MPEG-DASH, in the clear or encrypted: packaged when somebody asks, in memory, as far as they ask.
//! Knows no account and no HTTP. Written from the standards, apart from the speaker's demuxer.
//!
//! ```text
//! source     a file as packets or samples        edit      where the music of an AAC file lies
//! maker      samples of a rendition: copied or encoded      resample  another rate
//! rendition  which renditions there are, their segments     boxes     their bytes
//! protect    keys, encryption                    manifest  what a client is told of all this
//! ```

mod boxes;
mod edit;
mod maker;
pub mod manifest;
mod protect;
mod rendition;
mod resample;
mod source;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::catalogue::Track;
use boxes::Part;
use manifest::{Form, Lie, Listed, Listing};
use protect::Protection;
pub use protect::{Key, Scheme};
pub use rendition::{LEAD_S, Quality};
use rendition::{Plan, Rendition, ladder};

/// Bytes of samples that are kept; the rendition used longest ago is made again when it is asked for.
const KEPT_BYTES_MAX: usize = 256 << 20;
/// Renditions that are kept: each has a file open until it is complete.
const KEPT_MAX: usize = 64;
/// Tracks whose renditions are known; the oldest is looked at again.
const LADDERS_MAX: usize = 1_000;
/// Whole files that are kept: a client reads one in several ranges.
const WHOLE_MAX: usize = 4;

/// In which form entries are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Media {
    /// As the files they are.
    #[default]
    File,
    /// MPEG-DASH.
    Dash,
    /// MPEG-DASH, encrypted behind the first 30 seconds.
    Encrypted,
}

/// Why something cannot be packaged.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The file cannot be read.
    #[error("open: {0}")]
    Open(#[from] std::io::Error),
    /// It is damaged, or not what its name says.
    #[error("read: {0}")]
    Format(#[from] symphonia::core::errors::Error),
    /// It has no form that fits.
    #[error("it is {0}")]
    Unfit(&'static str),
    /// An encoder does not take it.
    #[error("encode: {0}")]
    Encode(String),
}

/// Which part of a packaged track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The manifest, up to this quality.
    Manifest(Quality),
    /// The description of a rendition.
    Description(String),
    /// A segment of it by its number, from 0.
    Numbered(String, usize),
    /// A segment of it by the frame it begins at.
    Timed(String, u64),
    /// All of it in one file.
    Whole(String),
}

impl Wanted {
    /// Reads the end of an address.
    pub fn parse(path: &str) -> Option<Self> {
        let Some((rendition, file)) = path.split_once('/') else {
            return Quality::of(path.strip_suffix(".mpd")?).map(Self::Manifest);
        };
        let rendition = rendition.to_owned();
        match file {
            "init.mp4" => Some(Self::Description(rendition)),
            "whole.mp4" => Some(Self::Whole(rendition)),
            _ => {
                let name = file.strip_suffix(".m4s")?;
                if let Some(time) = name.strip_prefix('t') {
                    return Some(Self::Timed(rendition, time.parse().ok()?));
                }
                let number: usize = name.parse().ok()?;
                Some(Self::Numbered(rendition, number.checked_sub(1)?))
            }
        }
    }

    /// `Content-Type` of it.
    pub const fn mime(&self) -> &'static str {
        match self {
            Self::Manifest(_) => "application/dash+xml",
            Self::Description(_) | Self::Numbered(..) | Self::Timed(..) | Self::Whole(_) => "audio/mp4",
        }
    }
}

/// How a manifest is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words {
    /// How it lists segments.
    pub listing: Listing,
    /// It offers Dolby Atmos, too.
    pub atmos: bool,
    /// The lowest quality it offers where there is a higher one.
    pub lowest: Quality,
    /// What is wrong in it.
    pub lie: Option<Lie>,
}

type Shared<T> = Mutex<VecDeque<(String, T)>>;

/// Packages tracks, and keeps what it made within bounds.
#[derive(Default)]
pub struct Packager {
    seed: u64,
    ladders: Shared<Arc<Vec<Plan>>>,
    renditions: Shared<Arc<Rendition>>,
    wholes: Shared<Arc<Whole>>,
}

impl std::fmt::Debug for Packager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packager").finish_non_exhaustive()
    }
}

/// A rendition in one file.
struct Whole {
    bytes: Vec<u8>,
    /// Where its description ends, and where its index does.
    index: (usize, usize),
}

/// How a track is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// With what.
    pub scheme: Scheme,
    /// Seconds at the start that are in the clear.
    pub lead_s: u32,
}

/// A segment as it goes over the wire.
fn sealed(part: &Part, plan: &Plan, protection: Option<&Protection>) -> Vec<u8> {
    let is_lead = protection.is_some_and(|protection| plan.is_lead(part.begin, protection.lead_s));
    boxes::segment(part, protection, is_lead)
}

fn locked<T>(of: &Shared<T>) -> MutexGuard<'_, VecDeque<(String, T)>> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was kept under a name, which is the newest from now on.
fn kept<T: Clone>(all: &mut VecDeque<(String, T)>, name: &str) -> Option<T> {
    let place = all.iter().position(|(other, _)| other == name)?;
    let found = all.remove(place)?;
    let value = found.1.clone();
    all.push_back(found);
    Some(value)
}

impl Packager {
    /// A packager whose keys are made of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// The key of a track.
    pub fn key(&self, track: &Track) -> Key {
        Key::of(self.seed, &track.key)
    }

    /// What a client must show to get the licence of a track.
    pub fn pass(&self, track: &Track) -> String {
        format!(
            "{:016x}",
            super::order::fingerprint(&format!("{}/{}/pass", self.seed, track.key))
        )
    }

    /// The bytes of a part; `None`: there is no such part. Takes its time.
    pub fn get(
        &self,
        track: &Track,
        wanted: &Wanted,
        encryption: Option<Encryption>,
        words: Words,
    ) -> Result<Option<Vec<u8>>, PackError> {
        let protection = encryption.map(|encryption| Protection {
            scheme: encryption.scheme,
            key: self.key(track),
            lead_s: encryption.lead_s,
        });
        let protection = protection.as_ref();
        match wanted {
            Wanted::Manifest(best) => self.manifest(track, *best, protection, words).map(Some),
            Wanted::Description(id) => {
                let ladder = self.ladder(track)?;
                let plan = ladder.iter().find(|plan| plan.id == *id);
                Ok(plan.map(|plan| boxes::description(&plan.description, protection)))
            }
            Wanted::Numbered(id, number) => self.segment(track, id, *number, protection),
            Wanted::Timed(id, time) => {
                let Some(rendition) = self.rendition(track, id)? else {
                    return Ok(None);
                };
                let place = rendition.segments()?.iter().position(|(begin, _)| begin == time);
                match place {
                    Some(number) => self.segment(track, id, number, protection),
                    None => Ok(None),
                }
            }
            Wanted::Whole(id) => Ok(self.whole(track, id, protection)?.map(|whole| whole.bytes.clone())),
        }
    }

    fn ladder(&self, track: &Track) -> Result<Arc<Vec<Plan>>, PackError> {
        if let Some(ladder) = kept(&mut locked(&self.ladders), &track.key) {
            return Ok(ladder);
        }
        let made = Arc::new(ladder(track)?);
        let mut all = locked(&self.ladders);
        if all.len() >= LADDERS_MAX {
            all.pop_front();
        }
        all.push_back((track.key.clone(), Arc::clone(&made)));
        Ok(made)
    }

    fn rendition(&self, track: &Track, id: &str) -> Result<Option<Arc<Rendition>>, PackError> {
        let name = format!("{}/{id}", track.key);
        if let Some(found) = kept(&mut locked(&self.renditions), &name) {
            return Ok(Some(found));
        }
        let ladder = self.ladder(track)?;
        let Some(plan) = ladder.iter().find(|plan| plan.id == id) else {
            return Ok(None);
        };
        let made = Arc::new(Rendition::new(plan.clone(), track)?);
        let mut all = locked(&self.renditions);
        // Somebody else may have been faster.
        if let Some(found) = kept(&mut all, &name) {
            return Ok(Some(found));
        }
        all.push_back((name, Arc::clone(&made)));
        Ok(Some(made))
    }

    /// Lets go of what was used longest ago.
    fn forget(&self) {
        let mut all = locked(&self.renditions);
        let mut bytes: usize = all.iter().map(|(_, rendition)| rendition.bytes()).sum();
        while all.len() > 1 && (bytes > KEPT_BYTES_MAX || all.len() > KEPT_MAX) {
            let oldest = all.pop_front();
            bytes -= oldest.map_or(0, |(_, rendition)| rendition.bytes()).min(bytes);
        }
    }

    fn segment(
        &self,
        track: &Track,
        id: &str,
        number: usize,
        protection: Option<&Protection>,
    ) -> Result<Option<Vec<u8>>, PackError> {
        let Some(rendition) = self.rendition(track, id)? else {
            return Ok(None);
        };
        let part = rendition.segment(number);
        self.forget();
        Ok(part?.map(|part| sealed(&part, &rendition.plan, protection)))
    }

    fn whole(&self, track: &Track, id: &str, protection: Option<&Protection>) -> Result<Option<Arc<Whole>>, PackError> {
        let how = protection.map(|protection| (protection.scheme, protection.lead_s));
        let name = format!("{}/{id}/{how:?}", track.key);
        if let Some(found) = kept(&mut locked(&self.wholes), &name) {
            return Ok(Some(found));
        }
        let Some(rendition) = self.rendition(track, id)? else {
            return Ok(None);
        };
        let mut segments = Vec::new();
        let mut bytes = Vec::new();
        while let Some(part) = rendition.segment(segments.len())? {
            let one = sealed(&part, &rendition.plan, protection);
            segments.push((boxes::small(one.len()), u32::try_from(part.ticks()).unwrap_or(u32::MAX)));
            bytes.extend(one);
        }
        self.forget();
        let of = &rendition.plan.description;
        let description = boxes::description(of, protection);
        let index = boxes::index(of.rate, &segments);
        let places = (description.len(), description.len() + index.len());
        let made = Arc::new(Whole {
            bytes: [description, index, bytes].concat(),
            index: places,
        });
        let mut all = locked(&self.wholes);
        if all.len() >= WHOLE_MAX {
            all.pop_front();
        }
        all.push_back((name, Arc::clone(&made)));
        Ok(Some(made))
    }

    fn manifest(
        &self,
        track: &Track,
        best: Quality,
        protection: Option<&Protection>,
        words: Words,
    ) -> Result<Vec<u8>, PackError> {
        let ladder = self.ladder(track)?;
        let worst = ladder.iter().map(|plan| plan.quality).min().unwrap_or_default();
        // Where a file has no standard quality, what it has comes from above.
        let best = best.max(worst);
        let highest = ladder
            .iter()
            .map(|plan| plan.quality)
            .filter(|quality| *quality <= best)
            .max();
        let lowest = words.lowest.min(highest.unwrap_or_default());
        let offered = ladder.iter().filter(|plan| (lowest..=best).contains(&plan.quality));
        let mut listed = Vec::new();
        for plan in offered {
            let segments = match plan.segments() {
                Some(segments) => segments,
                None => match self.rendition(track, &plan.id)? {
                    Some(rendition) => rendition.segments()?,
                    None => continue,
                },
            };
            let index = match words.listing {
                Listing::Base => self
                    .whole(track, &plan.id, protection)?
                    .map_or((0, 0), |whole| whole.index),
                Listing::Timeline | Listing::Number | Listing::List => (0, 0),
            };
            listed.push(Listed { plan, segments, index });
        }
        let form = Form {
            listing: words.listing,
            protection,
            atmos: words.atmos,
            lie: words.lie,
        };
        Ok(manifest::write(&listed, form).into_bytes())
    }
}
