//! What can be wrong with an answer around its body: lengths, chunks, heads, and endings that come too early or never.

use std::io::Write;

use super::answers::Case;
use super::rng::Rng;

/// Longest head that is sent: beyond what the client takes (32 KiB).
const HEAD_BYTES_MAX: u64 = 100_000;

/// What is wrong around the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    #[default]
    None,
    Status,
    Length,
    Chunked,
    OddChunks,
    CutOff,
    Head,
    HugeHead,
    StatusLine,
    NoHttp,
    Informational,
    RetryAfter,
    Endless,
}

impl Damage {
    pub const ALL: [Self; 13] = [
        Self::None,
        Self::Status,
        Self::Length,
        Self::Chunked,
        Self::OddChunks,
        Self::CutOff,
        Self::Head,
        Self::HugeHead,
        Self::StatusLine,
        Self::NoHttp,
        Self::Informational,
        Self::RetryAfter,
        Self::Endless,
    ];

    /// Whether the server hangs up afterwards: else the client would wait for what never comes.
    pub fn closes(self) -> bool {
        !matches!(self, Self::None | Self::RetryAfter)
    }
}

/// An answer, byte for byte.
#[derive(Clone, Debug, Default)]
pub struct Mutant {
    pub bytes: Vec<u8>,
    pub damage: Damage,
}

/// An answer like `case`, with this body and something wrong around it, or nothing.
pub fn answer(rng: &mut Rng, case: &Case, body: &[u8]) -> Mutant {
    let damage = match rng.between(0, 999) {
        0..=499 => Damage::None,
        // Costs the megabyte that the client reads at most.
        500..=509 => Damage::Endless,
        _ => Damage::ALL[rng.index(Damage::ALL.len() - 1)],
    };
    let mut bytes = Vec::new();
    let status = if damage == Damage::Status {
        let odd = [
            0, 100, 101, 199, 201, 204, 206, 299, 301, 304, 308, 402, 408, 409, 418, 451, 499, 501, 599, 600, 999,
        ];
        odd[rng.index(odd.len())]
    } else {
        case.status
    };
    write!(bytes, "{} {status:03} Mutant\r\n", version(rng, damage)).unwrap();
    for (name, value) in &case.headers {
        write!(bytes, "{name}: {value}\r\n").unwrap();
    }
    odd_headers(rng, damage, &mut bytes);
    frame(rng, damage, body, &mut bytes);
    if damage == Damage::CutOff {
        bytes.truncate(rng.index(bytes.len()));
    } else if damage == Damage::NoHttp {
        bytes = (0..rng.between(0, 300)).map(|_| rng.next().to_le_bytes()[0]).collect();
    } else if damage == Damage::Informational {
        let early = b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n".repeat(rng.index(40));
        bytes.splice(0..0, early);
    }
    Mutant { bytes, damage }
}

fn version(rng: &mut Rng, damage: Damage) -> &'static str {
    let odd = [
        "HTTP/1.0",
        "HTTP/2",
        "HTTP/9.9",
        "http/1.1",
        "ICY",
        "",
        "HTTP/1.1\0",
        "\r\nHTTP/1.1",
        "HTTP/1.1 200",
    ];
    if damage == Damage::StatusLine {
        odd[rng.index(odd.len())]
    } else {
        "HTTP/1.1"
    }
}

fn odd_headers(rng: &mut Rng, damage: Damage, bytes: &mut Vec<u8>) {
    if damage == Damage::Head {
        let odd: [&[u8]; 9] = [
            b"no colon\r\n",
            b": no name\r\n",
            b"x\0y: z\r\n",
            b"x: \xff\xfe\x01\r\n",
            b" folded: x\r\n",
            b"connection: close, keep-alive\r\n",
            b"content-encoding: gzip\r\n",
            b"location: http://127.0.0.1:1/\r\n",
            b"x: y\nz: only a line feed\n",
        ];
        bytes.extend_from_slice(odd[rng.index(odd.len())]);
    } else if damage == Damage::HugeHead {
        let size = usize::try_from(rng.between(1, HEAD_BYTES_MAX)).unwrap();
        let lines = if rng.chance(500) {
            format!("x-long: {}\r\n", "y".repeat(size))
        } else {
            "x-many: y\r\n".repeat(size / 11)
        };
        bytes.extend_from_slice(lines.as_bytes());
    } else if damage == Damage::RetryAfter {
        let odd = [
            "-1",
            "1e9",
            "99999999999999999999",
            "soon",
            "",
            "Fri, 31 Feb 2026 99:99:99 GMT",
            "0",
            "7, 8",
            "Sun, 06 Nov 1994 08:49:37 GMT",
        ];
        let mut pick = || odd[rng.index(odd.len())];
        let (retry, date) = (pick(), pick());
        write!(bytes, "retry-after: {retry}\r\ndate: {date}\r\n").unwrap();
    }
}

/// The end of the head and the body in its frame.
fn frame(rng: &mut Rng, damage: Damage, body: &[u8], bytes: &mut Vec<u8>) {
    if matches!(damage, Damage::Chunked | Damage::OddChunks) {
        bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        let odd = ["-1", "zz", "ffffffffffffffffff", "7fffffff", "", "5;a=b", "0x5", " 5"];
        for chunk in body.chunks(1 + rng.index(700)) {
            if damage == Damage::OddChunks && rng.chance(400) {
                write!(bytes, "{}\r\n", odd[rng.index(odd.len())]).unwrap();
            } else {
                write!(bytes, "{:x}\r\n", chunk.len()).unwrap();
            }
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        return;
    }
    let length = if damage == Damage::Length {
        odd_length(rng, body.len())
    } else if damage == Damage::Endless {
        (u64::MAX / 2).to_string()
    } else {
        body.len().to_string()
    };
    write!(bytes, "content-length: {length}\r\n\r\n").unwrap();
    bytes.extend_from_slice(body);
}

/// A length that is not `length`, or not one at all.
fn odd_length(rng: &mut Rng, length: usize) -> String {
    let odd = [
        (length + rng.index(1_000)).to_string(),
        (length / 2).to_string(),
        "-1".to_owned(),
        "x".to_owned(),
        "18446744073709551616".to_owned(),
        format!("{length}\r\ncontent-length: {}", length + 1),
        format!("{length}, {length}"),
        "0".to_owned(),
    ];
    odd[rng.index(odd.len())].clone()
}
