//! What a run met: how often each operation, change, damage and outcome, so that a run that tests nothing is seen.

use std::collections::BTreeMap;
use std::fmt;

use super::super::fixture::questions;
use super::http::Damage;
use super::json::Change;

#[derive(Default)]
pub struct Tally {
    operations: BTreeMap<&'static str, u64>,
    changes: BTreeMap<Change, u64>,
    damages: BTreeMap<Damage, u64>,
    outcomes: BTreeMap<&'static str, u64>,
    understood_directly: u64,
    unreadable_directly: u64,
    bytes_max: u64,
}

impl Tally {
    pub fn answered(&mut self, operation: &'static str, change: Change, damage: Damage, outcome: &'static str) {
        *self.operations.entry(operation).or_default() += 1;
        *self.changes.entry(change).or_default() += 1;
        *self.damages.entry(damage).or_default() += 1;
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    pub fn allocated(&mut self, bytes: u64) {
        self.bytes_max = self.bytes_max.max(bytes);
    }

    pub fn read_directly(&mut self, is_understood: bool) {
        *if is_understood {
            &mut self.understood_directly
        } else {
            &mut self.unreadable_directly
        } += 1;
    }

    /// A run of some thousand mutants meets everything there is, or it is not the run it should be.
    pub fn assert_everything_was_met(&self) {
        for question in questions() {
            assert!(
                self.operations.contains_key(question.operation()),
                "{question:?}\n{self}"
            );
        }
        for change in Change::ALL {
            assert!(self.changes.contains_key(&change), "{change:?}\n{self}");
        }
        for damage in Damage::ALL {
            assert!(self.damages.contains_key(&damage), "{damage:?}\n{self}");
        }
        let outcomes = [
            "understood",
            "unreachable",
            "busy",
            "unauthorised",
            "forbidden",
            "not found",
            "refused",
            "taken over",
            "garbled",
        ];
        for outcome in outcomes {
            assert!(self.outcomes.contains_key(outcome), "{outcome}\n{self}");
        }
        assert!(self.understood_directly > 0 && self.unreadable_directly > 0, "{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} mutants", self.outcomes.values().sum::<u64>())?;
        writeln!(f, "most memory of one call: {} KiB", self.bytes_max / 1024)?;
        writeln!(f, "operations: {:?}", self.operations)?;
        writeln!(f, "changes of the body: {:?}", self.changes)?;
        writeln!(f, "damage around it: {:?}", self.damages)?;
        writeln!(f, "outcomes: {:?}", self.outcomes)?;
        let (understood, unreadable) = (self.understood_directly, self.unreadable_directly);
        writeln!(f, "without HTTP: {understood} understood, {unreadable} unreadable")
    }
}
