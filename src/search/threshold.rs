//! Bisects for the mildest form of a condition that fails.

use super::noise::Answer;

/// Where the failure begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Between {
    /// The most severe form that passes; `None` if all fail.
    pub(crate) passes: Option<usize>,
    /// The mildest form that fails; `None` if all pass.
    pub(crate) fails: Option<usize>,
}

/// A search over forms from the mildest (0) to the most severe. The form after the last is known to fail.
#[derive(Clone, Debug)]
pub(crate) struct Threshold {
    /// Every form below this one passes.
    low: usize,
    /// This form and every one above it fail.
    high: usize,
    count: usize,
    /// The mildest form that is expected to fail, until one has run.
    expected: Option<usize>,
    unresolved: bool,
}

impl Threshold {
    /// A search over `count` forms, of which the mildest that fails is probably the `expected` one.
    #[must_use]
    pub(crate) fn new(count: usize, expected: Option<usize>) -> Self {
        Self { low: 0, high: count, count, expected, unresolved: false }
    }

    /// The forms to run next, at most `room` of them: those around the expected one, later evenly spaced ones. None when
    /// the search is over, or an unresolved run ended it.
    #[must_use]
    pub(crate) fn next(&self, room: usize) -> Vec<usize> {
        let open = self.high.saturating_sub(self.low);
        if self.unresolved || open == 0 {
            return Vec::new();
        }
        let mut forms: Vec<usize> = match self.expected {
            Some(expected) => expected.checked_sub(1).into_iter().chain([expected]).collect(),
            None => (1..=room).map(|n| self.low + open * n / (room + 1)).collect(),
        };
        forms.retain(|form| (self.low..self.high).contains(form));
        forms.dedup();
        forms.truncate(room);
        forms
    }

    /// Records the answer of a form. Answers that contradict each other end the search.
    pub(crate) fn record(&mut self, form: usize, answer: Answer) {
        self.expected = None;
        match answer {
            Answer::Pass => self.low = self.low.max(form + 1),
            Answer::Fail => self.high = self.high.min(form),
            Answer::Unresolved => self.unresolved = true,
        }
        self.unresolved |= self.low > self.high;
    }

    /// Where the failure begins; `None` until that is known.
    #[must_use]
    pub(crate) fn found(&self) -> Option<Between> {
        let fails = (self.high < self.count).then_some(self.high);
        (self.low == self.high).then(|| Between { passes: self.low.checked_sub(1), fails })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches `count` forms of which those from `first_bad` on fail. Returns what was found, the rounds and the runs.
    fn search(count: usize, first_bad: usize, expected: Option<usize>, room: usize) -> (Between, usize, usize) {
        let mut threshold = Threshold::new(count, expected);
        let (mut rounds, mut runs) = (0, 0);
        loop {
            let forms = threshold.next(room);
            if forms.is_empty() {
                return (threshold.found().expect("a threshold"), rounds, runs);
            }
            rounds += 1;
            runs += forms.len();
            for form in forms {
                threshold.record(form, if form >= first_bad { Answer::Fail } else { Answer::Pass });
            }
        }
    }

    #[test]
    fn every_threshold_is_found() {
        for room in 1..5 {
            for count in 0..9 {
                for first_bad in 0..=count {
                    for expected in [None, Some(0), Some(count / 2), Some(count)] {
                        let (found, rounds, runs) = search(count, first_bad, expected, room);
                        assert_eq!(
                            (found.passes, found.fails),
                            (first_bad.checked_sub(1), (first_bad < count).then_some(first_bad))
                        );
                        assert!(rounds <= 5, "{rounds} rounds for {count} forms with room for {room}");
                        assert!(runs <= 4 || room > 1 || expected.is_some(), "{runs} runs for {count}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_expected_takes_one_round_of_two_runs() {
        for first_bad in 0..=8 {
            let (_, rounds, runs) = search(8, first_bad, Some(first_bad), 2);
            assert!(rounds == 1 && runs <= 2, "{rounds} rounds, {runs} runs for {first_bad}");
        }
    }

    #[test]
    fn unresolved_run_ends_the_search() {
        let mut threshold = Threshold::new(4, None);
        threshold.record(2, Answer::Unresolved);
        assert_eq!((threshold.next(2), threshold.found()), (Vec::new(), None));
    }

    #[test]
    fn answers_that_contradict_each_other_end_the_search() {
        let mut threshold = Threshold::new(4, None);
        threshold.record(3, Answer::Pass);
        threshold.record(1, Answer::Fail);
        assert_eq!((threshold.next(2), threshold.found()), (Vec::new(), None));
    }
}
