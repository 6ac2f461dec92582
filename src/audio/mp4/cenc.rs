//! Packets in the clear, from samples that may be encrypted: asks for keys early, waits for them without losing a sample,
//! and gives no packet on before its key is confirmed. Where keys come from and how they decrypt is not its business.

use std::collections::VecDeque;
use std::ops::Deref;

use super::Mp4Error;
use super::auxiliary::Cipher;
use super::confirm::{Trial, Verdict, Witness};
use super::demux::{Demuxer, Sample};
use super::entry::Refusal;
use crate::keys::{DecryptError, Encryption, KeyId, KeyState, Keys, Protection, Scheme, Subsample};

/// Keys that are remembered as announced or on trial: those of an entry whose key changes every few seconds for minutes.
const KEYS_MAX: usize = 64;
/// Packets held until their key is confirmed: 20 s of Opus. It takes that many only where digital silence says nothing.
const HELD_MAX: usize = 1024;
/// Bytes of them.
const HELD_BYTES_MAX: usize = 1 << 20;
/// Bytes of a block.
const BLOCK_BYTES: u32 = 16;

/// A file whose samples come out in the clear.
pub struct Unlocked {
    demuxer: Demuxer,
    keys: Option<Box<dyn Keys>>,
    announced: Vec<KeyId>,
    trials: VecDeque<(KeyId, Trial)>,
    /// The first byte of the packet before, in the clear.
    before: Option<u8>,
    /// A sample that was read and whose key is awaited.
    waiting: Option<Sample>,
    /// Packets in the clear whose key is not confirmed, in their order; or confirmed and to be given one by one.
    held: VecDeque<(Sample, Vec<u8>)>,
    held_bytes: usize,
    /// The key on trial, while packets are held for it.
    held_for: Option<KeyId>,
    /// The packet given last, if it was held.
    given: Option<Vec<u8>>,
}

impl Deref for Unlocked {
    type Target = Demuxer;

    fn deref(&self) -> &Demuxer {
        &self.demuxer
    }
}

impl Unlocked {
    /// Announces the keys that the description tells of.
    pub fn new(demuxer: Demuxer, keys: Option<Box<dyn Keys>>) -> Self {
        let mut unlocked = Self {
            demuxer,
            keys,
            announced: Vec::new(),
            trials: VecDeque::new(),
            before: None,
            waiting: None,
            held: VecDeque::new(),
            held_bytes: 0,
            held_for: None,
            given: None,
        };
        unlocked.announce_described();
        unlocked
    }

    /// The next packet, in the clear; `None` behind the last.
    ///
    /// # Errors
    /// [`Mp4Error::KeyAwaited`]: its key is on its way, and the packet is the next one still. Else as for
    /// [`Demuxer::next`], or the key will not come or is wrong.
    pub fn next(&mut self) -> Result<Option<Sample>, Mp4Error> {
        loop {
            if self.held_for.is_none()
                && let Some((packet, data)) = self.held.pop_front()
            {
                self.held_bytes = self.held_bytes.saturating_sub(data.len());
                self.given = Some(data);
                return Ok(Some(packet));
            }
            self.given = None;
            let Some(packet) = self.take()? else {
                return match self.held_for {
                    Some(key) => Err(Mp4Error::Unconfirmed(key)),
                    None => Ok(None),
                };
            };
            if self.held_for.is_none() && self.held.is_empty() && self.is_good(&packet) {
                return Ok(Some(packet));
            }
            self.hold(packet)?;
        }
    }

    /// The bytes of the packet given last.
    pub fn data(&self) -> &[u8] {
        match &self.given {
            Some(data) => data,
            None => self.demuxer.data(),
        }
    }

    /// See [`Demuxer::seek_segment`].
    ///
    /// # Errors
    /// As there.
    pub fn seek_segment(&mut self, frame: i64, rate: u32) -> Result<bool, Mp4Error> {
        self.forget();
        self.demuxer.seek_segment(frame, rate)
    }

    /// See [`Demuxer::seek`].
    ///
    /// # Errors
    /// As there.
    pub fn seek(&mut self, tick: u64) -> Result<bool, Mp4Error> {
        self.forget();
        self.demuxer.seek(tick)
    }

    /// What was read before another place is sought is of no use. What is known of keys is.
    fn forget(&mut self) {
        self.before = None;
        self.waiting = None;
        self.held.clear();
        self.held_bytes = 0;
        self.given = None;
        // The packets of a key on trial are heard again: those that counted do not count twice, but may be missing.
        if let Some(key) = self.held_for.take() {
            self.trials.retain(|(tried, _)| *tried != key);
        }
    }

    /// The next sample, decrypted.
    fn take(&mut self) -> Result<Option<Sample>, Mp4Error> {
        let packet = if let Some(packet) = self.waiting.take() {
            packet
        } else {
            let Some(packet) = self.demuxer.next()? else {
                return Ok(None);
            };
            self.announce_new();
            packet
        };
        let Some(cipher) = packet.cipher else {
            self.before = self.demuxer.given().0.first().copied();
            return Ok(Some(packet));
        };
        if !self.announced.contains(&cipher.key) {
            self.announce_described();
            self.announce(cipher.scheme, cipher.key, None);
        }
        let Some(keys) = self.keys.as_mut() else {
            let (scheme, key) = (cipher.scheme, cipher.key);
            return Err(Refusal::Encrypted { scheme, key }.into());
        };
        match keys.state(&cipher.key) {
            KeyState::Usable => {}
            KeyState::Awaited => {
                self.waiting = Some(packet);
                return Err(Mp4Error::KeyAwaited(cipher.key));
            }
            KeyState::Refused(reason) => {
                return Err(Mp4Error::NoKey {
                    key: cipher.key,
                    reason,
                });
            }
        }
        let duration = (packet.duration, self.demuxer.movie().timescale);
        let (data, stretches) = self.demuxer.given();
        let witness = witness(&cipher, stretches, data, duration);
        match keys.decrypt(&encryption(&cipher, stretches), data) {
            Ok(()) => {}
            Err(DecryptError::Mismatch) => return Err(Mp4Error::Damaged(super::boxes::FourCc(*b"senc"))),
            // Who held the key died, say: the sample is as it was, and the next look shows whether the key comes again.
            Err(DecryptError::NoKey(key)) => {
                self.waiting = Some(packet);
                return Err(Mp4Error::KeyAwaited(key));
            }
            Err(error @ DecryptError::Module(_)) => return Err(Mp4Error::Decrypt(error)),
        }
        let first = data.first().copied();
        if let Some(witness) = witness {
            self.try_key(cipher.key, &witness)?;
        }
        self.before = first;
        Ok(Some(packet))
    }

    /// Takes in what the key made of the sample.
    fn try_key(&mut self, key: KeyId, witness: &Witness) -> Result<(), Mp4Error> {
        let tried = self.trials.iter().position(|(tried, _)| *tried == key);
        let number = tried.unwrap_or_else(|| {
            if self.trials.len() >= KEYS_MAX {
                self.trials.pop_front();
            }
            self.trials.push_back((key, Trial::new(self.demuxer.config().codec)));
            self.trials.len() - 1
        });
        let before = self.before;
        let (data, _) = self.demuxer.given();
        let Some((_, trial)) = self.trials.get_mut(number) else {
            return Ok(());
        };
        match trial.hear(data, before, witness) {
            Verdict::Wrong => Err(Mp4Error::WrongKey(key)),
            Verdict::Right => {
                if self.held_for == Some(key) {
                    self.held_for = None;
                }
                Ok(())
            }
            Verdict::Open if self.held_for.is_none() => {
                self.held_for = Some(key);
                Ok(())
            }
            // Another key before this one was confirmed.
            Verdict::Open if self.held_for != Some(key) => Err(Mp4Error::Unconfirmed(key)),
            Verdict::Open => Ok(()),
        }
    }

    /// Nothing of the packet depends on a key that is not confirmed.
    fn is_good(&self, packet: &Sample) -> bool {
        packet.cipher.is_none() || self.held_for.is_none()
    }

    fn hold(&mut self, packet: Sample) -> Result<(), Mp4Error> {
        let data = self.demuxer.given().0.clone();
        self.held_bytes = self.held_bytes.saturating_add(data.len());
        self.held.push_back((packet, data));
        // What is told of a stretch is told with its first packet.
        let is_other = self
            .held
            .front()
            .is_some_and(|(first, _)| first.stretch != packet.stretch);
        let is_too_much = is_other || self.held.len() > HELD_MAX || self.held_bytes > HELD_BYTES_MAX;
        match self.held_for {
            Some(key) if is_too_much => Err(Mp4Error::Unconfirmed(key)),
            Some(_) | None => Ok(()),
        }
    }

    /// The keys of the description.
    fn announce_described(&mut self) {
        let movie = self.demuxer.movie();
        let protected: Vec<_> = movie
            .protections()
            .flat_map(|protected| {
                let own = Some(protected.defaults.key).filter(|_| protected.defaults.is_protected);
                let keys = own.into_iter().chain(movie.auxiliary.own().keys());
                keys.map(move |key| (protected.scheme, key))
            })
            .collect();
        for (scheme, key) in protected {
            self.announce(scheme, key, None);
        }
    }

    /// Keys of which only the current fragment tells.
    fn announce_new(&mut self) {
        let Some((keys, pssh)) = self.demuxer.new_keys() else {
            return;
        };
        let (keys, pssh): (Vec<_>, Vec<_>) = (keys.collect(), pssh.to_vec());
        let scheme = self
            .demuxer
            .movie()
            .protections()
            .next()
            .map(|protected| protected.scheme);
        for (key, scheme) in keys.into_iter().zip(std::iter::repeat(scheme)) {
            self.announce(scheme.unwrap_or(Scheme::Cenc), key, Some(&pssh));
        }
    }

    fn announce(&mut self, scheme: Scheme, key: KeyId, pssh: Option<&[Box<[u8]>]>) {
        let Some(keys) = self.keys.as_mut().filter(|_| !self.announced.contains(&key)) else {
            return;
        };
        if self.announced.len() >= KEYS_MAX {
            self.announced.clear();
        }
        self.announced.push(key);
        let pssh = pssh.filter(|pssh| !pssh.is_empty());
        keys.need(&Protection {
            scheme,
            key,
            pssh: pssh.unwrap_or(&self.demuxer.movie().pssh).to_vec(),
        });
    }
}

fn encryption<'a>(cipher: &Cipher, stretches: &'a [Subsample]) -> Encryption<'a> {
    Encryption {
        scheme: cipher.scheme,
        key: cipher.key,
        iv: cipher.iv,
        subsamples: stretches,
        crypt_blocks: cipher.crypt_blocks,
        skip_blocks: cipher.skip_blocks,
    }
}

/// What there is to tell of the key from this sample; `None`: all of it is in the clear.
fn witness(cipher: &Cipher, stretches: &[Subsample], data: &[u8], duration: (u32, u32)) -> Option<Witness> {
    let least = match cipher.scheme {
        Scheme::Cenc => 1,
        Scheme::Cbcs => BLOCK_BYTES,
    };
    let whole = [Subsample {
        clear: 0,
        encrypted: u32::try_from(data.len()).unwrap_or(u32::MAX),
    }];
    let stretches = if stretches.is_empty() { &whole } else { stretches };
    let mut first = None;
    let (mut at, mut encrypted) = (0, 0);
    for stretch in stretches {
        at += u64::from(stretch.clear);
        if stretch.encrypted >= least {
            first = first.or(Some(at));
            encrypted += u64::from(stretch.encrypted);
        }
        at += u64::from(stretch.encrypted);
    }
    let first = first?;
    let source = match cipher.scheme {
        Scheme::Cenc => cipher.iv,
        Scheme::Cbcs => *data.get(usize::try_from(first).ok()?..)?.first_chunk()?,
    };
    Some(Witness {
        is_start_encrypted: first == 0,
        encrypted,
        source,
        duration,
    })
}
