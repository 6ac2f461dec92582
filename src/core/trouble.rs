//! What is wrong at the moment. Several things can be; the most important one is shown.

use crate::refusal::Problem;

/// Most important first.
const BY_IMPORTANCE: [Problem; 11] = [
    Problem::NoSoundDevice,
    Problem::NotLinked,
    Problem::Linking,
    Problem::TakenOver,
    // Before what follows from it.
    Problem::NoLicence,
    Problem::ManyUnplayable,
    Problem::ServiceRefused,
    Problem::WrongClock,
    Problem::Offline,
    Problem::StorageFailed,
    Problem::EntryUnplayable,
];

/// The set of present problems.
#[derive(Clone, Debug, Default)]
pub(crate) struct Troubles {
    present: [bool; BY_IMPORTANCE.len()],
}

impl Troubles {
    pub(crate) fn raise(&mut self, problem: Problem) {
        self.mark(problem, true);
    }

    pub(crate) fn clear(&mut self, problem: Problem) {
        self.mark(problem, false);
    }

    /// The most important present problem.
    pub(crate) fn worst(&self) -> Option<Problem> {
        BY_IMPORTANCE
            .iter()
            .zip(self.present)
            .find_map(|(problem, present)| present.then_some(*problem))
    }

    fn mark(&mut self, problem: Problem, present: bool) {
        for (known, mark) in BY_IMPORTANCE.iter().zip(&mut self.present) {
            if *known == problem {
                *mark = present;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_important_problem_is_shown_until_it_is_cured() {
        let mut troubles = Troubles::default();
        troubles.raise(Problem::EntryUnplayable);
        troubles.raise(Problem::Offline);
        assert_eq!(troubles.worst(), Some(Problem::Offline));
        troubles.clear(Problem::Offline);
        assert_eq!(troubles.worst(), Some(Problem::EntryUnplayable));
    }
}
