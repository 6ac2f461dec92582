//! From the elements of a manifest to what they mean: periods, sets, inheritance. Segments are `segments`'s.

use std::time::Duration;

use super::address::resolved;
use super::codec::Codec;
use super::error::ManifestError;
use super::presentation::{Period, Presentation, Representation};
use super::protection::Encryption;
use super::segments::{Place, Reader};
use super::time;
use super::tree::{Element, Tree, cut};

/// Most periods: an hour with an advertisement each minute.
const PERIODS_MAX: usize = 128;
/// Most representations of all periods together: 128 periods of two, or one of more than anybody offers.
const REPRESENTATIONS_MAX: usize = 256;
/// Longest name of a representation: names go into addresses.
const ID_BYTES_MAX: usize = 1024;
/// What a remote element says that is none at all.
const RESOLVE_TO_ZERO: &str = "urn:mpeg:dash:resolve-to-zero:2013";

/// Reads a manifest. `address` is where it was fetched from, after redirects: the base of relative addresses.
///
/// # Errors
/// It is none, it is of a live presentation, or it says what cannot be.
pub fn parse(xml: &[u8], address: &str) -> Result<Presentation, ManifestError> {
    let tree = Tree::of(xml)?;
    let root = tree
        .root()
        .ok_or_else(|| ManifestError::Xml("it is empty".to_owned()))?;
    if root.name() != "MPD" {
        return Err(ManifestError::NoManifest(cut(root.name())));
    }
    let length = length_of(root, "MPD", "mediaPresentationDuration")?;
    // What was live and is complete tells its length and announces no further version.
    let is_dynamic = root.attribute("type").is_some_and(|kind| kind == "dynamic");
    if is_dynamic && (length.is_none() || root.attribute("minimumUpdatePeriod").is_some()) {
        return Err(ManifestError::Dynamic);
    }
    let base = based(root, address)?;
    let mut reader = Reader::default();
    let mut left = REPRESENTATIONS_MAX;
    let mut periods = Vec::new();
    for (element, start, length) in placed(root, length)? {
        let period = Place {
            base: based(element, &base)?,
            layers: vec![element],
            start,
            length,
        };
        let representations = representations(&period, &mut reader, &mut left)?;
        periods.push(Period {
            start,
            length,
            representations,
        });
    }
    if periods.iter().all(|period| period.representations.is_empty()) {
        return Err(ManifestError::Empty);
    }
    let end = |period: &Period| period.length.map(|length| period.start.saturating_add(length));
    let length = length.or_else(|| periods.last().and_then(end));
    Ok(Presentation { length, periods })
}

/// The periods that last, with their starts and lengths.
fn placed<'t, 'a>(
    root: Element<'t, 'a>,
    whole: Option<Duration>,
) -> Result<Vec<(Element<'t, 'a>, Duration, Option<Duration>)>, ManifestError> {
    let mut starts = Vec::new();
    let mut at = Some(Duration::ZERO);
    for element in root.all("Period") {
        if is_nothing(element)? {
            continue;
        }
        if starts.len() >= PERIODS_MAX {
            return Err(ManifestError::TooMuch {
                what: "periods",
                max: PERIODS_MAX,
            });
        }
        let told = length_of(element, "Period", "start")?;
        let lasts = length_of(element, "Period", "duration")?;
        let start = told
            .or(at)
            .ok_or_else(|| wrong("Period", "start", "", "it follows a period without a duration"))?;
        if starts.last().is_some_and(|(_, before, _)| start < *before) {
            return Err(wrong(
                "Period",
                "start",
                &format!("{start:?}"),
                "the period before starts later",
            ));
        }
        at = lasts.map(|length| start.saturating_add(length));
        starts.push((element, start, lasts));
    }
    let ends: Vec<_> = starts
        .iter()
        .skip(1)
        .map(|(_, start, _)| Some(*start))
        .chain([whole])
        .collect();
    let placed = starts.into_iter().zip(ends).map(|((element, start, lasts), end)| {
        let until = end.map(|end| end.saturating_sub(start));
        let length = match (lasts, until) {
            (Some(lasts), Some(until)) => Some(lasts.min(until)),
            (lasts, until) => lasts.or(until),
        };
        (element, start, length)
    });
    Ok(placed
        .filter(|(_, _, length)| length.is_none_or(|length| !length.is_zero()))
        .collect())
}

/// A set of representations with what the choice among sets needs.
struct Set<'t, 'a> {
    element: Element<'t, 'a>,
    language: Option<String>,
    is_main: bool,
}

/// Those with sound of one role and language: the main one, else the first; the first one's language.
fn representations(
    period: &Place<'_, '_>,
    reader: &mut Reader,
    left: &mut usize,
) -> Result<Vec<Representation>, ManifestError> {
    let mut sets = Vec::new();
    for element in period.layers.iter().flat_map(|element| element.all("AdaptationSet")) {
        if !is_nothing(element)? && !demands(element) && has_sound(element) {
            sets.push(Set {
                element,
                language: element.attribute("lang"),
                is_main: is_main(element),
            });
        }
    }
    if sets.iter().any(|set| set.is_main) {
        sets.retain(|set| set.is_main);
    }
    if let Some(language) = sets.first().map(|set| set.language.clone()) {
        sets.retain(|set| set.language == language);
    }
    let mut found = Vec::new();
    for Set { element: set, .. } in sets {
        let around = Encryption::of(set, None);
        let base = based(set, &period.base)?;
        for element in set.all("Representation").filter(|element| !demands(*element)) {
            *left = left.checked_sub(1).ok_or(ManifestError::TooMuch {
                what: "representations",
                max: REPRESENTATIONS_MAX,
            })?;
            let place = Place {
                base: based(element, &base)?,
                layers: [vec![element, set], period.layers.clone()].concat(),
                ..*period
            };
            let mut representation = reader.representation(&place, description(&[element, set])?)?;
            representation.encryption = Encryption::of(element, around.as_ref());
            found.push(representation);
        }
    }
    Ok(found)
}

/// What a representation's attributes say of its sound.
pub struct Sound {
    pub id: String,
    pub bandwidth_bps: u64,
    pub codec: Codec,
    pub mime: Option<String>,
    pub rate_hz: Option<u32>,
    pub channels: Option<u32>,
}

fn description(layers: &[Element<'_, '_>]) -> Result<Sound, ManifestError> {
    let attribute = |name: &str| layers.iter().find_map(|layer| layer.attribute(name));
    let id = layers.first().and_then(|own| own.attribute("id")).unwrap_or_default();
    if id.len() > ID_BYTES_MAX {
        return Err(wrong("Representation", "id", &id, "it is too long"));
    }
    let bandwidth = layers
        .first()
        .and_then(|own| own.attribute("bandwidth"))
        .unwrap_or_default();
    let bandwidth_bps = bandwidth.parse().ok().filter(|bps| *bps > 0);
    let wrong_bandwidth = || wrong("Representation", "bandwidth", &bandwidth, "it is not a positive number");
    let rates = attribute("audioSamplingRate").unwrap_or_default();
    let rates = rates.split_whitespace().filter_map(|rate| rate.parse().ok());
    Ok(Sound {
        id,
        bandwidth_bps: bandwidth_bps.ok_or_else(wrong_bandwidth)?,
        codec: Codec::of(&attribute("codecs").unwrap_or_default()),
        mime: attribute("mimeType").map(|mime| cut(&mime).to_ascii_lowercase()),
        rate_hz: rates.max().filter(|rate| *rate > 0),
        channels: layers
            .iter()
            .find_map(|layer| layer.all("AudioChannelConfiguration").find_map(channels)),
    })
}

/// How many channels, in the three languages that are in use for it.
fn channels(element: Element<'_, '_>) -> Option<u32> {
    /// Bits of Dolby's mask that stand for two loudspeakers.
    const PAIRS: u32 = 0x0674;
    let scheme = element.attribute("schemeIdUri").unwrap_or_default();
    let value = element.attribute("value")?;
    if scheme.contains("dolby") {
        let mask = u32::from_str_radix(&value, 16).ok().filter(|mask| *mask > 0)?;
        return Some(mask.count_ones() + (mask & PAIRS).count_ones());
    }
    let number: u32 = value.parse().ok()?;
    if scheme != "urn:mpeg:mpegB:cicp:ChannelConfiguration" {
        return Some(number).filter(|channels| *channels > 0);
    }
    match number {
        1..=6 => Some(number),
        7 | 12 | 14 => Some(8),
        9 => Some(3),
        10 => Some(4),
        11 => Some(7),
        _ => None,
    }
}

/// Whether a set is of sound: it says so, or its codec does.
fn has_sound(set: Element<'_, '_>) -> bool {
    let first = set.child("Representation");
    let told = |name: &str| {
        set.attribute(name)
            .or_else(|| first.and_then(|first| first.attribute(name)))
    };
    match told("contentType").or_else(|| told("mimeType")) {
        Some(kind) => kind
            .split('/')
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("audio")),
        None => !matches!(Codec::of(&told("codecs").unwrap_or_default()), Codec::Other(_)),
    }
}

/// Whether a set is what is usually heard: its role is the main one, or it has none.
fn is_main(set: Element<'_, '_>) -> bool {
    let mut roles = set.all("Role").filter_map(|role| role.attribute("value")).peekable();
    roles.peek().is_none() || roles.any(|role| role == "main")
}

/// Whether it may only be used by whoever understands something that is not understood here.
fn demands(element: Element<'_, '_>) -> bool {
    element.child("EssentialProperty").is_some()
}

/// Whether an element stands for nothing.
fn is_nothing(element: Element<'_, '_>) -> Result<bool, ManifestError> {
    match element.attribute("href") {
        None => Ok(false),
        Some(href) if href == RESOLVE_TO_ZERO => Ok(true),
        Some(_) => Err(ManifestError::Remote(element.name().to_owned())),
    }
}

/// The base of what is in an element: its first `BaseURL`, seen from the base around it.
fn based(element: Element<'_, '_>, around: &str) -> Result<String, ManifestError> {
    resolved(around, element.child("BaseURL").map_or("", |base| base.text()))
}

fn length_of(
    element: Element<'_, '_>,
    name: &'static str,
    attribute: &'static str,
) -> Result<Option<Duration>, ManifestError> {
    let Some(text) = element.attribute(attribute) else {
        return Ok(None);
    };
    let reason = "it is not a duration like PT3M30.5S of up to a year";
    time::duration(&text)
        .map(Some)
        .ok_or_else(|| wrong(name, attribute, &text, reason))
}

/// An attribute that cannot be meant.
pub fn wrong(element: &'static str, attribute: &'static str, value: &str, reason: &'static str) -> ManifestError {
    ManifestError::Attribute {
        element,
        attribute,
        value: cut(value),
        reason,
    }
}
