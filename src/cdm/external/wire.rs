//! Frames between the speaker and an external decryption module, byte by byte as docs/cdm.md has them. Pure: it reads and
//! writes no socket.

use zeroize::Zeroizing;

use crate::cdm::module::{Grant, Init};
use crate::keys::{Encryption, Scheme};

/// What both sides say first.
pub const MAGIC: [u8; 4] = *b"TCDM";
/// The version spoken here.
pub const VERSION: u16 = 1;
/// A frame: the largest sample (1 MiB), its stretches, and room.
pub const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of a frame after its length: kind and number.
pub const HEAD_BYTES: usize = 5;
/// Keys in one licence, as in one entry, and room.
const KEYS_MAX: usize = 64;
/// Words of a module are shown up to here.
const WORDS_MAX: usize = 200;
/// A length of time that means: for ever, or not said.
const UNSAID: u64 = u64::MAX;
/// State of a key that can be used.
const USABLE: u8 = 0;

/// What is asked of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Who are you?
    Hello = 1,
    /// Open a session, make a request.
    Open = 2,
    /// Make a request that prolongs a licence.
    Renew = 3,
    /// Take a licence in.
    Update = 4,
    /// Forget a session.
    Close = 5,
    /// Decrypt a sample.
    Decrypt = 6,
}

impl Kind {
    /// How its answer is marked.
    pub const fn answer(self) -> u8 {
        self as u8 | 0x80
    }
}

/// How an error is marked.
pub const ERROR: u8 = 0xff;

/// Errors of a module that the speaker tells apart.
pub mod code {
    /// No such session.
    pub const NO_SESSION: u16 = 2;
    /// No such key, or not any more.
    pub const NO_KEY: u16 = 3;
}

/// A frame on its way out. What it held is gone from memory with it.
pub struct Frame(Zeroizing<Vec<u8>>);

impl Frame {
    /// Without a body yet; `room` bytes of one are to come.
    pub fn new(kind: Kind, number: u32, room: usize) -> Self {
        let mut frame = Self(Zeroizing::new(Vec::with_capacity(room + HEAD_BYTES + 4)));
        frame.bytes(&[0; 4]).bytes(&[kind as u8]).bytes(&number.to_be_bytes());
        frame
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// The whole frame; `None`: it is too long to be sent.
    pub fn finish(&mut self) -> Option<&[u8]> {
        let length = self
            .0
            .len()
            .checked_sub(4)
            .filter(|length| *length <= FRAME_BYTES_MAX)?;
        let length = u32::try_from(length).ok()?.to_be_bytes();
        self.0.get_mut(..4)?.copy_from_slice(&length);
        Some(&self.0)
    }
}

/// What came in, from its front on.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

const fn scheme(scheme: Scheme) -> u8 {
    match scheme {
        Scheme::Cenc => 1,
        Scheme::Cbcs => 2,
    }
}

/// Body of a greeting.
pub fn hello(frame: &mut Frame) {
    frame.bytes(&MAGIC).u16(VERSION).u16(VERSION);
}

/// The name of a module that greets back.
pub fn read_hello(body: &[u8]) -> Result<String, String> {
    let mut reader = Reader(body);
    if reader.array() != Some(MAGIC) {
        return Err("it does not speak this protocol".to_owned());
    }
    match reader.u16() {
        Some(VERSION) => Ok(words(reader.rest())),
        Some(other) => Err(format!("it speaks version {other}, this speaker version {VERSION}")),
        None => Err("its greeting is cut short".to_owned()),
    }
}

/// Body of a request for a session. `None`: there is more of something than its count can say.
pub fn open(frame: &mut Frame, init: &Init<'_>) -> Option<()> {
    frame.u8(scheme(init.scheme)).u8(u8::try_from(init.system.len()).ok()?);
    frame
        .bytes(init.system.as_bytes())
        .u8(u8::try_from(init.keys.len()).ok()?);
    for key in init.keys {
        frame.bytes(key);
    }
    frame.u8(u8::try_from(init.pssh.len()).ok()?);
    for pssh in init.pssh {
        frame.u32(u32::try_from(pssh.len()).ok()?).bytes(pssh);
    }
    Some(())
}

/// Number of the new session, and the request.
pub fn read_open(body: &[u8]) -> Option<(u32, &[u8])> {
    let mut reader = Reader(body);
    Some((reader.u32()?, reader.rest()))
}

/// What a licence holds.
pub fn read_grant(body: &[u8]) -> Option<Grant> {
    let length = |ms: u64| (ms != UNSAID).then(|| std::time::Duration::from_millis(ms));
    let mut reader = Reader(body);
    let lifetime = length(reader.u64()?);
    let renew_in = length(reader.u64()?);
    let count = usize::from(reader.u16()?);
    if count > KEYS_MAX {
        return None;
    }
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        let key = reader.array()?;
        if reader.u8()? == USABLE {
            keys.push(key);
        }
    }
    reader.rest().is_empty().then_some(Grant {
        keys,
        lifetime,
        renew_in,
    })
}

/// Body of a sample to be decrypted. `None`: it has more stretches than their count can say.
pub fn decrypt(frame: &mut Frame, session: u32, encryption: &Encryption<'_>, sample: &[u8]) -> Option<()> {
    frame.u32(session).bytes(&encryption.key).u8(scheme(encryption.scheme));
    frame
        .bytes(&encryption.iv)
        .u8(encryption.crypt_blocks)
        .u8(encryption.skip_blocks);
    frame.u16(u16::try_from(encryption.subsamples.len()).ok()?);
    for stretch in encryption.subsamples {
        frame.u32(stretch.clear).u32(stretch.encrypted);
    }
    frame.bytes(sample);
    Some(())
}

/// Code and words of an error.
pub fn read_error(body: &[u8]) -> Option<(u16, String)> {
    let mut reader = Reader(body);
    Some((reader.u16()?, words(reader.rest())))
}

/// Words of a module, fit for a log.
fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown = text.chars().take(WORDS_MAX);
    shown
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::keys::Subsample;

    #[test]
    fn a_frame_is_its_length_its_kind_its_number_and_its_body() {
        let mut frame = Frame::new(Kind::Hello, 7, 8);
        hello(&mut frame);
        assert_eq!(frame.finish().unwrap(), b"\0\0\0\x0d\x01\0\0\0\x07TCDM\0\x01\0\x01");
        assert_eq!(Kind::Decrypt.answer(), 0x86);
    }

    #[test]
    fn a_session_is_opened_with_what_is_known_of_the_entry() {
        let mut frame = Frame::new(Kind::Open, 1, 64);
        let pssh = [Box::from(*b"box")];
        let init = Init {
            system: "WIDEVINE",
            scheme: Scheme::Cbcs,
            keys: &[[9; 16]],
            pssh: &pssh,
        };
        open(&mut frame, &init).unwrap();
        let wished = [b"\x02\x08WIDEVINE\x01".as_slice(), &[9; 16], b"\x01\0\0\0\x03box"].concat();
        assert_eq!(frame.finish().unwrap()[9..], wished);
    }

    #[test]
    fn a_sample_goes_with_all_that_is_told_of_its_encryption() {
        let mut frame = Frame::new(Kind::Decrypt, 1, 64);
        let encryption = Encryption {
            scheme: Scheme::Cbcs,
            key: [9; 16],
            iv: [3; 16],
            subsamples: &[Subsample { clear: 1, encrypted: 2 }],
            crypt_blocks: 1,
            skip_blocks: 4,
        };
        decrypt(&mut frame, 5, &encryption, b"abc").unwrap();
        let wished = [
            b"\0\0\0\x05".as_slice(),
            &[9; 16],
            b"\x02",
            &[3; 16],
            b"\x01\x04\0\x01\0\0\0\x01\0\0\0\x02abc",
        ];
        assert_eq!(frame.finish().unwrap()[9..], wished.concat());
    }

    #[test]
    fn a_grant_is_read_with_its_times_and_usable_keys_only() {
        let (life, renewal) = (60_000_u64.to_be_bytes(), UNSAID.to_be_bytes());
        let body = [life.as_slice(), &renewal, b"\0\x02", &[1; 16], b"\0", &[2; 16], b"\x01"];
        let wished = Grant {
            keys: vec![[1; 16]],
            lifetime: Some(Duration::from_secs(60)),
            renew_in: None,
        };
        assert_eq!(read_grant(&body.concat()), Some(wished));
    }

    #[test]
    fn answers_that_are_cut_or_too_long_are_not_believed() {
        let whole = [[0; 18].as_slice(), &[1; 17]].concat();
        for length in 0..whole.len() {
            let mut cut = whole[..length].to_vec();
            if length >= 18 {
                cut[17] = 1;
            }
            assert!(length == 18 || read_grant(&cut).is_none() || length < 18, "{length}");
        }
        let mut many = vec![0; 16];
        many.extend_from_slice(&[255; 2]);
        many.resize(18 + 17 * 65_535, 0);
        assert_eq!(read_grant(&many), None);
        assert_eq!(read_open(b"abc"), None);
        assert_eq!(read_error(b"a"), None);
        for greeting in [b"".as_slice(), b"HTTP/1.1", b"TCDM", b"TCDM\0\x02name"] {
            assert!(read_hello(greeting).is_err());
        }
    }

    #[test]
    fn words_of_a_module_are_short_and_on_one_line() {
        let (code, text) = read_error(&[b"\0\x03no\nkey\x1b[2J".as_slice(), &[b'x'; 5_000]].concat()).unwrap();
        assert_eq!((code, text.chars().count()), (code::NO_KEY, WORDS_MAX));
        assert!(text.starts_with("no key [2Jxx"), "{text}");
    }

    #[test]
    fn a_frame_that_is_too_long_is_not_sent() {
        let mut frame = Frame::new(Kind::Decrypt, 1, 0);
        frame.bytes(&vec![0; FRAME_BYTES_MAX]);
        assert!(frame.finish().is_none());
    }
}
