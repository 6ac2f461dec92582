//! Memory for media: equal chunks under a hard budget, used again and again. It does not know whose bytes they hold.

/// Size of a chunk: about two seconds of music; small enough to share 64 MiB out finely, large enough to keep lists short.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Fewer chunks could not hold a reader's place, what it reads next and the end of a file at once.
pub const CHUNKS_MIN: usize = 8;

/// One chunk; filled from its start without holes.
pub struct Chunk {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Chunk {
    /// What is filled.
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// How much is filled.
    pub const fn len(&self) -> usize {
        self.filled
    }

    /// Nothing more fits.
    pub const fn is_full(&self) -> bool {
        self.filled == CHUNK_BYTES
    }

    /// Takes as much of `data` as fits, and says how much that was.
    pub fn append(&mut self, data: &[u8]) -> usize {
        let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
        let taken = room.len().min(data.len());
        if let (Some(to), Some(from)) = (room.get_mut(..taken), data.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.filled += taken;
        taken
    }
}

/// All chunks there are.
pub struct Pool {
    spare: Vec<Chunk>,
    /// Chunks in existence, spare ones included; at most `chunks_max`.
    made: usize,
    chunks_max: usize,
    /// Chunks that are not made because other memory takes their place.
    reserved: usize,
}

impl Pool {
    /// A pool of at most `bytes`, rounded down to whole chunks. Memory is taken as it is needed.
    pub const fn new(bytes: usize) -> Self {
        Self {
            spare: Vec::new(),
            made: 0,
            chunks_max: bytes / CHUNK_BYTES,
            reserved: 0,
        }
    }

    /// So many bytes are taken by something else that counts towards the budget. The fewest chunks that work are kept.
    pub fn reserve(&mut self, bytes: usize) {
        self.reserved = bytes
            .div_ceil(CHUNK_BYTES)
            .min(self.chunks_max.saturating_sub(CHUNKS_MIN));
        while self.is_over() && self.spare.pop().is_some() {
            self.made -= 1;
        }
    }

    /// There are more chunks than the budget has room for: some have to be given back.
    pub const fn is_over(&self) -> bool {
        self.made + self.reserved > self.chunks_max
    }

    /// An empty chunk, unless all are in use.
    pub fn take(&mut self) -> Option<Chunk> {
        if let Some(spare) = self.spare.pop() {
            return Some(spare);
        }
        if self.made + self.reserved >= self.chunks_max {
            return None;
        }
        self.made += 1;
        Some(Chunk {
            bytes: vec![0; CHUNK_BYTES].into_boxed_slice(),
            filled: 0,
        })
    }

    /// Takes a chunk back.
    pub fn give(&mut self, mut chunk: Chunk) {
        if self.is_over() {
            self.made -= 1;
            return;
        }
        chunk.filled = 0;
        self.spare.push(chunk);
    }

    /// Whether [`Pool::take`] would give one.
    pub fn has_spare(&self) -> bool {
        !self.spare.is_empty() || self.made + self.reserved < self.chunks_max
    }

    /// Gives the memory of spare chunks back to the system.
    pub fn trim(&mut self) {
        self.made -= self.spare.len();
        self.spare = Vec::new();
    }

    /// The budget in chunks.
    pub const fn chunks_max(&self) -> usize {
        self.chunks_max
    }

    /// Bytes of memory in existence.
    #[cfg(test)]
    pub const fn made_bytes(&self) -> usize {
        self.made * CHUNK_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_never_exceeded_and_chunks_come_back_empty() {
        let mut pool = Pool::new(2 * CHUNK_BYTES + 5);
        let mut first = pool.take().unwrap();
        let second = pool.take().unwrap();
        assert!(pool.take().is_none() && !pool.has_spare());
        first.append(b"abc");
        pool.give(first);
        assert_eq!(pool.take().unwrap().filled(), b"");
        pool.give(second);
        assert_eq!(pool.made_bytes(), 2 * CHUNK_BYTES);
        pool.trim();
        assert_eq!(pool.made_bytes(), CHUNK_BYTES);
    }

    #[test]
    fn what_is_reserved_comes_out_of_the_budget_but_never_the_last_chunks() {
        let mut pool = Pool::new((CHUNKS_MIN + 2) * CHUNK_BYTES);
        let mut taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        pool.give(taken.pop().unwrap());
        pool.reserve(CHUNK_BYTES + 1);
        assert!(
            pool.is_over() && !pool.has_spare(),
            "the spare one is gone, one more has to go"
        );
        pool.give(taken.pop().unwrap());
        assert_eq!((pool.made_bytes(), pool.is_over()), (CHUNKS_MIN * CHUNK_BYTES, false));
        pool.reserve(usize::MAX);
        assert!(!pool.is_over(), "as few as work are left");
        pool.reserve(0);
        assert!(pool.take().is_some());
    }

    #[test]
    fn a_chunk_takes_what_fits() {
        let mut chunk = Pool::new(CHUNK_BYTES).take().unwrap();
        assert_eq!(chunk.append(&[]), 0);
        assert_eq!(chunk.append(&vec![1; CHUNK_BYTES - 2]), CHUNK_BYTES - 2);
        assert_eq!(chunk.append(&[2, 3, 4]), 2);
        assert!(chunk.is_full());
        assert_eq!(chunk.filled()[CHUNK_BYTES - 3..], [1, 2, 3]);
        assert_eq!(chunk.append(&[5]), 0);
    }
}
