//! Addresses of segments by a pattern: `$Number%05d$` and its kin. Only text; resolving is `address`'s.

use std::sync::Arc;

use super::address::ADDRESS_BYTES_MAX;

/// Widest number: more digits than 64 bits have.
const WIDTH_MAX: usize = 20;

/// A pattern, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Arc<[Piece]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Number { width: usize },
    Time { width: usize },
    Bandwidth { width: usize },
    Id,
}

/// What a pattern is filled with.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    pub id: &'a str,
    pub bandwidth_bps: u64,
    pub number: u64,
    pub time: u64,
}

impl Template {
    /// Memory that it takes beside itself.
    pub fn memory_bytes(&self) -> usize {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.capacity(),
            Piece::Number { .. } | Piece::Time { .. } | Piece::Bandwidth { .. } | Piece::Id => 0,
        };
        size_of_val(&*self.pieces) + self.pieces.iter().map(text).sum::<usize>()
    }

    /// Reads a pattern. What is wrong with it otherwise.
    pub fn of(text: &str) -> Result<Self, &'static str> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err("it is too long");
        }
        let mut pieces = Vec::new();
        let mut parts = text.split('$');
        pieces.push(Piece::Text(parts.next().unwrap_or_default().to_owned()));
        while let Some(identifier) = parts.next() {
            let Some(after) = parts.next() else {
                return Err("a $ has no other one");
            };
            pieces.push(piece(identifier)?);
            pieces.push(Piece::Text(after.to_owned()));
        }
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Self { pieces: pieces.into() })
    }

    /// Whether the addresses of two segments differ.
    pub fn tells_segments_apart(&self) -> bool {
        let mut pieces = self.pieces.iter();
        pieces.any(|piece| matches!(piece, Piece::Number { .. } | Piece::Time { .. }))
    }

    /// The address, as relative as the pattern is.
    pub fn filled(&self, values: Values<'_>) -> String {
        let mut text = String::new();
        for piece in &*self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Number { width } => text.push_str(&padded(values.number, *width)),
                Piece::Time { width } => text.push_str(&padded(values.time, *width)),
                Piece::Bandwidth { width } => text.push_str(&padded(values.bandwidth_bps, *width)),
                Piece::Id => text.push_str(values.id),
            }
        }
        text
    }
}

fn padded(number: u64, width: usize) -> String {
    format!("{number:0width$}")
}

fn piece(identifier: &str) -> Result<Piece, &'static str> {
    let (name, width) = match identifier.split_once('%') {
        Some((name, format)) => {
            let width = format.strip_prefix('0').and_then(|format| format.strip_suffix('d'));
            let width = width.and_then(|digits| digits.parse().ok());
            let width = width.filter(|width| *width <= WIDTH_MAX);
            (name, width.ok_or("its width is not like %05d")?)
        }
        None => (identifier, 1),
    };
    match name {
        "Number" => Ok(Piece::Number { width }),
        "Time" => Ok(Piece::Time { width }),
        "Bandwidth" => Ok(Piece::Bandwidth { width }),
        "RepresentationID" => Ok(Piece::Id),
        "" if identifier.is_empty() => Ok(Piece::Text("$".to_owned())),
        "SubNumber" => Err("$SubNumber$ (segment sequences) is not supported"),
        _ => Err("it has an unknown identifier between $"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, &'static str> {
        let values = Values {
            id: "a/1",
            bandwidth_bps: 64_000,
            number: 7,
            time: 441_000,
        };
        Template::of(text).map(|template| template.filled(values))
    }

    #[test]
    fn every_identifier_is_filled_in() {
        assert_eq!(
            filled("$RepresentationID$/$Number%05d$.m4s"),
            Ok("a/1/00007.m4s".to_owned())
        );
        assert_eq!(filled("$Bandwidth$-$Time$-$Number$"), Ok("64000-441000-7".to_owned()));
        assert_eq!(filled("$Time%03d$$$$$"), Ok("441000$$".to_owned()));
        assert_eq!(filled(""), Ok(String::new()));
    }

    #[test]
    fn a_wrong_pattern_is_refused() {
        for text in [
            "$",
            "a$Number",
            "$Numbr$",
            "$Number%5d$",
            "$Number%099d$",
            "$Number%0d$",
            "$SubNumber$",
            "$%01d$",
        ] {
            assert!(filled(text).is_err(), "{text}");
        }
    }
}
