//! Keeps what is heard in a WAV file, around any other device. Every frame that was heard is in it exactly once; frames
//! dropped by a skip or a pause are not, nor is what fills the gap between two sounds. It must not change what the
//! device gets.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::output::{CHANNELS, Content, Drained, Interest, Opened, Output, OutputError};

/// Bytes of a WAV header with its `fact`-less `fmt ` chunk.
const HEADER_BYTES: u32 = 44;
/// The header is brought up to date after this many bytes, so that a killed program leaves a file that plays: about a
/// second of CD sound.
const HEADER_EVERY_BYTES: u32 = 176_400;
/// Largest file: the format counts in 32 bits. The next frames go to another file.
const FILE_BYTES_MAX: u32 = u32::MAX - 65_536;

/// A device whose sound is kept. Files hold 16 bits a sample while the source has no more, 32 bits otherwise. When the
/// rate changes, or more bits are needed, a further file is begun: OUT.wav, OUT-2.wav, OUT-3.wav...
pub struct Capture {
    inner: Box<dyn Output + Send>,
    path: PathBuf,
    rate: u32,
    /// Frames the device took and that are not heard yet.
    pending: VecDeque<i32>,
    /// What the pending frames are and their significant bits, as runs of samples.
    depths: VecDeque<(Depth, usize)>,
    content: Content,
    wave: Option<Wave>,
    files: u32,
    has_failed: bool,
}

struct Wave {
    file: File,
    rate: u32,
    width: Width,
    data_bytes: u32,
    header_bytes_ago: u32,
    block: Vec<u8>,
}

/// Content and significant bits of frames.
type Depth = (Content, u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Width {
    Sixteen,
    ThirtyTwo,
}

impl Width {
    fn of(bits: u8) -> Self {
        if bits <= 16 { Self::Sixteen } else { Self::ThirtyTwo }
    }

    fn bytes(self) -> u16 {
        match self {
            Self::Sixteen => 2,
            Self::ThirtyTwo => 4,
        }
    }
}

impl Capture {
    /// Keeps what `inner` sounds in `path`, which is created now, so that a mistake in it is told at once.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn new(inner: Box<dyn Output + Send>, path: &Path) -> io::Result<Self> {
        File::create(path)?;
        Ok(Self {
            inner,
            path: path.to_owned(),
            rate: 0,
            pending: VecDeque::new(),
            depths: VecDeque::new(),
            content: Content::Entry,
            wave: None,
            files: 0,
            has_failed: false,
        })
    }

    /// All but `unheard` of the pending frames were heard.
    fn settle(&mut self, unheard: usize) {
        let mut heard = self.pending.len().saturating_sub(unheard.saturating_mul(CHANNELS));
        while heard > 0 {
            let Some((depth, run)) = self.depths.pop_front() else {
                break;
            };
            let now = run.min(heard);
            if run > now {
                self.depths.push_front((depth, run - now));
            }
            heard -= now;
            if let (Content::Entry, bits) = depth
                && let Err(error) = self.keep(bits, now)
                && !self.has_failed
            {
                self.has_failed = true;
                log::error!("capture to {}: {error}; the sound goes on without", self.path.display());
            }
            self.pending.drain(..now);
        }
    }

    /// Writes the first `samples` of the pending ones.
    fn keep(&mut self, bits: u8, samples: usize) -> io::Result<()> {
        if self.has_failed {
            return Ok(());
        }
        let width = Width::of(bits);
        let is_fitting =
            |wave: &Wave| wave.rate == self.rate && wave.width >= width && wave.data_bytes < FILE_BYTES_MAX;
        if !self.wave.as_ref().is_some_and(is_fitting) {
            self.finish()?;
            self.files += 1;
            let path = numbered(&self.path, self.files);
            log::info!(
                "capture: {} at {} Hz, {} bits",
                path.display(),
                self.rate,
                8 * width.bytes()
            );
            self.wave = Some(Wave::create(&path, self.rate, width)?);
        }
        match self.wave.as_mut() {
            Some(wave) => wave.write(self.pending.iter().take(samples)),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.wave.take().map_or(Ok(()), |mut wave| wave.write_header())
    }
}

/// OUT.wav, then OUT-2.wav and so on.
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number <= 1 {
        return path.to_owned();
    }
    let mut name: OsString = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

impl Wave {
    fn create(path: &Path, rate: u32, width: Width) -> io::Result<Self> {
        let file = File::create(path)?;
        let mut wave = Self {
            file,
            rate,
            width,
            data_bytes: 0,
            header_bytes_ago: 0,
            block: Vec::new(),
        };
        wave.write_header()?;
        Ok(wave)
    }

    fn write<'a>(&mut self, samples: impl Iterator<Item = &'a i32>) -> io::Result<()> {
        self.block.clear();
        for sample in samples {
            let [_, _, high, top] = sample.to_le_bytes();
            match self.width {
                Width::Sixteen => self.block.extend([high, top]),
                Width::ThirtyTwo => self.block.extend(sample.to_le_bytes()),
            }
        }
        self.file.write_all(&self.block)?;
        let bytes = u32::try_from(self.block.len()).unwrap_or(u32::MAX);
        self.data_bytes = self.data_bytes.saturating_add(bytes);
        self.header_bytes_ago = self.header_bytes_ago.saturating_add(bytes);
        if self.header_bytes_ago >= HEADER_EVERY_BYTES {
            self.write_header()?;
        }
        Ok(())
    }

    fn write_header(&mut self) -> io::Result<()> {
        let frame_bytes = self.width.bytes() * 2;
        let mut header = Vec::with_capacity(44);
        header.extend(b"RIFF");
        header.extend(self.data_bytes.saturating_add(HEADER_BYTES - 8).to_le_bytes());
        header.extend(b"WAVEfmt ");
        header.extend(16u32.to_le_bytes());
        header.extend(1u16.to_le_bytes());
        header.extend(2u16.to_le_bytes());
        header.extend(self.rate.to_le_bytes());
        header.extend(self.rate.saturating_mul(frame_bytes.into()).to_le_bytes());
        header.extend(frame_bytes.to_le_bytes());
        header.extend((self.width.bytes() * 8).to_le_bytes());
        header.extend(b"data");
        header.extend(self.data_bytes.to_le_bytes());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)?;
        self.file.seek(SeekFrom::End(0))?;
        self.header_bytes_ago = 0;
        Ok(())
    }
}

impl Output for Capture {
    fn inner(&mut self) -> Option<&mut dyn Output> {
        Some(&mut *self.inner)
    }

    fn set_content(&mut self, content: Content) {
        self.content = content;
        self.inner.set_content(content);
    }

    fn open(&mut self, rate: u32) -> Result<Opened, OutputError> {
        self.pending.clear();
        self.depths.clear();
        let opened = self.inner.open(rate)?;
        self.rate = rate;
        Ok(opened)
    }

    fn wait(&mut self, wake: BorrowedFd<'_>, interest: Interest, timeout: Duration) -> Result<(), OutputError> {
        self.inner.wait(wake, interest, timeout).inspect_err(|error| {
            if let OutputError::Xrun = error {
                self.settle(0);
            }
        })
    }

    fn write(&mut self, samples: &[i32], bits: u8) -> Result<usize, OutputError> {
        let taken = match self.inner.write(samples, bits) {
            Ok(taken) => taken,
            Err(error) => {
                if let OutputError::Xrun = error {
                    self.settle(0);
                }
                return Err(error);
            }
        };
        let kept = samples.get(..taken.saturating_mul(CHANNELS)).unwrap_or_default();
        self.pending.extend(kept);
        let now = (self.content, bits);
        match self.depths.back_mut() {
            Some((depth, run)) if *depth == now => *run += kept.len(),
            Some(_) | None => self.depths.push_back((now, kept.len())),
        }
        Ok(taken)
    }

    fn delay(&mut self) -> Result<usize, OutputError> {
        match self.inner.delay() {
            Ok(delay) => {
                self.settle(delay);
                Ok(delay)
            }
            Err(error) => {
                if let OutputError::Xrun = error {
                    self.settle(0);
                }
                Err(error)
            }
        }
    }

    fn drop_now(&mut self) -> Result<(), OutputError> {
        // Whoever drops has just asked for the delay; what is pending since then is given up.
        self.pending.clear();
        self.depths.clear();
        self.inner.drop_now()
    }

    fn drain(&mut self) -> Result<Drained, OutputError> {
        let drained = self.inner.drain()?;
        if drained == Drained::Done {
            self.settle(0);
        }
        Ok(drained)
    }

    fn close(&mut self) {
        self.pending.clear();
        self.depths.clear();
        self.inner.close();
        if let Some(wave) = self.wave.as_mut()
            && let Err(error) = wave.write_header()
        {
            log::error!("capture to {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::Bench;
    use super::*;

    fn frames(range: std::ops::Range<i32>) -> Vec<i32> {
        range.flat_map(|number| [number << 16, -number << 16]).collect()
    }

    fn read(path: &Path) -> (u16, Vec<u8>) {
        let bytes = std::fs::read(path).unwrap();
        let told = u32::from_le_bytes(bytes[40..44].try_into().unwrap());
        assert_eq!(told as usize, bytes.len() - 44, "the header tells the length");
        (
            u16::from_le_bytes(bytes[34..36].try_into().unwrap()),
            bytes[44..].to_vec(),
        )
    }

    fn sixteen(samples: &[i32]) -> Vec<u8> {
        samples
            .iter()
            .flat_map(|sample| [sample.to_le_bytes()[2], sample.to_le_bytes()[3]])
            .collect()
    }

    #[test]
    fn what_was_heard_is_kept_and_what_was_dropped_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let (bench, output) = Bench::new(100);
        let mut capture = Capture::new(output, &path).unwrap();
        capture.open(44_100).unwrap();
        assert_eq!(capture.write(&frames(0..300), 16).unwrap(), 300);
        assert_eq!(capture.drain().unwrap(), Drained::Pending);
        assert_eq!(capture.delay().unwrap(), 200);
        capture.drop_now().unwrap();
        bench.with(|state| state.allowance = 1000);
        capture.write(&frames(1000..1010), 16).unwrap();
        assert_eq!(capture.drain().unwrap(), Drained::Done);
        capture.close();
        let mut expected = sixteen(&frames(0..100));
        expected.extend(sixteen(&frames(1000..1010)));
        assert_eq!(read(&path), (16, expected));
    }

    #[test]
    fn what_is_of_no_entry_is_left_out_and_begins_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let (_bench, output) = Bench::new(1000);
        let mut capture = Capture::new(output, &path).unwrap();
        capture.open(44_100).unwrap();
        capture.write(&frames(0..10), 16).unwrap();
        capture.set_content(Content::Filling);
        capture.write(&frames(500..600), 32).unwrap();
        capture.set_content(Content::Entry);
        capture.write(&frames(10..20), 16).unwrap();
        assert_eq!(capture.drain().unwrap(), Drained::Done);
        capture.close();
        assert_eq!(read(&path), (16, sixteen(&frames(0..20))));
        assert!(!folder.path().join("out-2.wav").exists());
    }

    #[test]
    fn more_bits_or_another_rate_begin_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let (_bench, output) = Bench::new(1000);
        let mut capture = Capture::new(output, &path).unwrap();
        for (rate, bits) in [(44_100, 16), (44_100, 24), (48_000, 16)] {
            capture.open(rate).unwrap();
            capture.write(&frames(0..10), bits).unwrap();
            assert_eq!(capture.drain().unwrap(), Drained::Done);
        }
        capture.close();
        assert_eq!(read(&path).1.len(), 40);
        assert_eq!(read(&folder.path().join("out-2.wav")).0, 32);
        assert_eq!(read(&folder.path().join("out-2.wav")).1.len(), 80);
        assert_eq!(read(&folder.path().join("out-3.wav")).0, 16);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_at_once() {
        let (_bench, output) = Bench::new(0);
        assert!(Capture::new(output, Path::new("/nonexistent/out.wav")).is_err());
    }
}
