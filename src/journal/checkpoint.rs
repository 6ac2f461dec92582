//! How far the sounding entry is: two places, overwritten in turn, so that one is always whole.

use std::io;
use std::sync::Arc;

use super::body::{CheckpointBody, Entry};
use super::frame::{Family, Owner, decode, encode};
use super::record::Checkpoint;
use super::storage::Storage;

/// The file.
pub const NAME: &str = "checkpoint";
/// Distance of the two places: a page, so that a torn write of one does not touch the other.
const PLACE_BYTES: u64 = 4096;
/// What is written: a frame and zeros. Fixed, so that the file keeps its size and a sync has only data to write.
const WRITE_BYTES: usize = 128;
const OWNER: Owner = Owner {
    family: Family::Checkpoint,
    index: 0,
};

/// The checkpoint file.
pub struct Checkpoints {
    storage: Arc<dyn Storage>,
    turn: u64,
    is_new: bool,
}

/// The newest checkpoint, with the start it belongs to.
pub fn look(storage: &dyn Storage) -> Option<(u64, Checkpoint)> {
    newest(storage).map(|body| (body.start, body.checkpoint))
}

fn newest(storage: &dyn Storage) -> Option<CheckpointBody> {
    let bytes = storage.read(NAME).ok()?;
    let places = [0, usize::try_from(PLACE_BYTES).ok()?];
    let found = places
        .into_iter()
        .filter_map(|place| match decode(OWNER, bytes.get(place..)?)?.0.pop()? {
            Entry::Checkpoint(body) => Some(body),
            Entry::Head(_)
            | Entry::Event(_)
            | Entry::Settled(_)
            | Entry::Aside(_)
            | Entry::Clock(_)
            | Entry::Folds(_) => None,
        });
    found.max_by_key(|body| body.turn)
}

impl Checkpoints {
    /// Goes on after what is there.
    pub fn open(storage: Arc<dyn Storage>) -> Self {
        let newest = newest(&*storage);
        Self {
            storage,
            turn: newest.map_or(0, |body| body.turn),
            is_new: newest.is_none(),
        }
    }

    /// Writes and syncs. After an error the one before is still there.
    pub fn write(&mut self, start: u64, checkpoint: Checkpoint) -> io::Result<()> {
        let turn = self.turn.saturating_add(1);
        let mut bytes = Vec::with_capacity(WRITE_BYTES);
        let _ = encode(
            OWNER,
            &Entry::Checkpoint(CheckpointBody {
                turn,
                start,
                checkpoint,
            }),
            &mut bytes,
        );
        bytes.resize(WRITE_BYTES.max(bytes.len()), 0);
        self.storage.overwrite(NAME, turn % 2 * PLACE_BYTES, &bytes)?;
        self.storage.sync(NAME)?;
        if self.is_new {
            self.storage.sync_names()?;
            self.is_new = false;
        }
        self.turn = turn;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::faulty::Disk;
    use super::*;
    use tonearm_core::unit::{Millis, Moment};

    fn at(seconds: u32) -> Checkpoint {
        let length = Millis::from_secs(seconds);
        Checkpoint {
            at: Moment(u64::from(length.0)),
            position: length,
            played: length,
            rebuffers: 0,
        }
    }

    #[test]
    fn the_newest_is_found_also_after_reopening() {
        let disk = Arc::new(Disk::default());
        let mut file = Checkpoints::open(disk.clone());
        for seconds in [10, 20, 30] {
            file.write(5, at(seconds)).unwrap();
            assert_eq!(look(&*disk), Some((5, at(seconds))));
        }
        Checkpoints::open(disk.clone()).write(7, at(4)).unwrap();
        assert_eq!(look(&*disk), Some((7, at(4))));
    }

    #[test]
    fn whatever_happens_to_the_newest_the_one_before_is_there() {
        let disk = Arc::new(Disk::default());
        let mut file = Checkpoints::open(disk.clone());
        file.write(5, at(10)).unwrap();
        file.write(5, at(20)).unwrap();
        let whole = disk.read(NAME).unwrap();
        let frame_bytes = decode(OWNER, &whole).unwrap().1;
        for at_byte in 0..frame_bytes {
            let mut bytes = whole.clone();
            bytes[at_byte] ^= 0x10;
            disk.put(NAME, &bytes);
            assert_eq!(look(&*disk), Some((5, at(10))), "byte {at_byte}");
        }
    }

    #[test]
    fn the_file_does_not_grow() {
        let disk = Arc::new(Disk::default());
        let mut file = Checkpoints::open(disk.clone());
        for seconds in 0..500 {
            file.write(5, at(seconds * 1000)).unwrap();
        }
        assert_eq!(disk.bytes(), PLACE_BYTES + WRITE_BYTES as u64);
    }
}
