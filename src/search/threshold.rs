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
    unresolved: bool,
}

impl Threshold {
    /// A search over `count` forms.
    #[must_use]
    pub(crate) fn new(count: usize) -> Self {
        Self { low: 0, high: count, count, unresolved: false }
    }

    /// The form to run next; `None` when the search is over, or an unresolved run ended it.
    #[must_use]
    pub(crate) fn next(&self) -> Option<usize> {
        (self.low < self.high && !self.unresolved).then(|| self.low + (self.high - self.low) / 2)
    }

    /// Records the answer for the form that [`Self::next`] returned.
    pub(crate) fn record(&mut self, answer: Answer) {
        let Some(asked) = self.next() else { return };
        match answer {
            Answer::Pass => self.low = asked + 1,
            Answer::Fail => self.high = asked,
            Answer::Unresolved => self.unresolved = true,
        }
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

    #[test]
    fn every_threshold_is_found() {
        for count in 0..9 {
            for first_bad in 0..=count {
                let mut threshold = Threshold::new(count);
                let mut runs = 0;
                while let Some(level) = threshold.next() {
                    runs += 1;
                    threshold.record(if level >= first_bad { Answer::Fail } else { Answer::Pass });
                }
                let found = threshold.found().expect("a threshold");
                assert_eq!(
                    (found.passes, found.fails),
                    (first_bad.checked_sub(1), (first_bad < count).then_some(first_bad))
                );
                assert!(runs <= 4, "{runs} runs for {count}");
            }
        }
    }

    #[test]
    fn unresolved_run_ends_the_search() {
        let mut threshold = Threshold::new(4);
        threshold.record(Answer::Unresolved);
        assert_eq!((threshold.next(), threshold.found()), (None, None));
    }
}
