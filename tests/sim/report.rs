//! What was lived through, counted: a simulation that met no trouble proves nothing.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::disk::Counts;
use crate::world::{Rest, World};

#[derive(Default)]
pub struct Report {
    worlds: u64,
    virtual_ms: u64,
    steps: u64,
    recorded: u64,
    taken: u64,
    repeats: u64,
    counts: BTreeMap<&'static str, u64>,
    reasons: BTreeMap<&'static str, u64>,
    disk: Counts,
    /// The most that any world left at the end of its first, and of its last day.
    first: Rest,
    last: Rest,
}

impl Report {
    pub fn add(&mut self, world: &World) {
        let (taken, repeats, reasons) = world.summary();
        self.worlds += 1;
        self.virtual_ms += world.now;
        self.steps += world.stats.steps;
        self.recorded += world.stats.events;
        self.taken += taken;
        self.repeats += repeats;
        for (name, count) in &world.stats.counts {
            *self.counts.entry(name).or_default() += count;
        }
        for (name, count) in reasons {
            *self.reasons.entry(name).or_default() += count;
        }
        let disk = world.disk();
        self.disk = Counts {
            writes: self.disk.writes + disk.writes,
            syncs: self.disk.syncs + disk.syncs,
            failures: self.disk.failures + disk.failures,
            torn: self.disk.torn + disk.torn,
            lost: self.disk.lost + disk.lost,
            reordered: self.disk.reordered + disk.reordered,
            names_lost: self.disk.names_lost + disk.names_lost,
        };
        if let (Some(first), Some(last)) = (world.rests.first(), world.rests.last()) {
            self.first = most(self.first, *first);
            self.last = most(self.last, *last);
        }
    }

    pub fn worlds(&self) -> u64 {
        self.worlds
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }
}

fn most(one: Rest, other: Rest) -> Rest {
    Rest {
        bytes: one.bytes.max(other.bytes),
        files: one.files.max(other.files),
        things: one.things.max(other.things),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let hours = self.virtual_ms / 3_600_000;
        writeln!(
            text,
            "{} worlds, {hours} virtual hours, {} steps",
            self.worlds, self.steps
        )?;
        writeln!(
            text,
            "events: {} recorded, {} taken by the service, {} repeated after a lost answer or a kill",
            self.recorded, self.taken, self.repeats
        )?;
        writeln!(text, "events by reason: {:?}", self.reasons)?;
        for (name, count) in &self.counts {
            writeln!(text, "  {count:>10} {name}")?;
        }
        let disk = self.disk;
        writeln!(
            text,
            "disk: {} writes, {} syncs, {} failed; at power cuts {} writes torn, {} lost, {} sectors that came without an \
             earlier one, {} changes of names undone",
            disk.writes, disk.syncs, disk.failures, disk.torn, disk.lost, disk.reordered, disk.names_lost
        )?;
        write!(
            text,
            "journal at rest, the largest of all worlds: {} bytes in {} files after the first day, {} in {} after the last; \
             things in the models' tables: {} and {}",
            self.first.bytes, self.first.files, self.last.bytes, self.last.files, self.first.things, self.last.things
        )?;
        f.write_str(&text)
    }
}
