//! Where along a row of milder and milder forms does a failure begin? Halving, one form at a time.

use super::noise::Answer;

/// The two forms between which it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Between {
    /// The most severe form that passes.
    pub passes: Option<usize>,
    /// The mildest one that fails; nothing: none of the row does.
    pub fails: Option<usize>,
}

/// A search along forms from the mildest (0) to the most severe; the next one after the last is known to fail.
#[derive(Clone, Debug)]
pub struct Threshold {
    /// Everything below passes.
    low: usize,
    /// This one and everything above fails.
    high: usize,
    count: usize,
    unresolved: bool,
}

impl Threshold {
    /// Of so many forms.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { low: 0, high: count, count, unresolved: false }
    }

    /// The form to run next; nothing when the place is known, or when it cannot be.
    #[must_use]
    pub fn next(&self) -> Option<usize> {
        (self.low < self.high && !self.unresolved).then(|| self.low + (self.high - self.low) / 2)
    }

    /// Takes note of what the form that was asked for said.
    pub fn record(&mut self, answer: Answer) {
        let Some(asked) = self.next() else { return };
        match answer {
            Answer::Pass => self.low = asked + 1,
            Answer::Fail => self.high = asked,
            Answer::Unresolved => self.unresolved = true,
        }
    }

    /// Where it begins; nothing while that is not known.
    #[must_use]
    pub fn found(&self) -> Option<Between> {
        let fails = (self.high < self.count).then_some(self.high);
        (self.low == self.high).then(|| Between { passes: self.low.checked_sub(1), fails })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found() {
        for count in 0..9 {
            for first_bad in 0..=count {
                let mut threshold = Threshold::new(count);
                let mut runs = 0;
                while let Some(level) = threshold.next() {
                    runs += 1;
                    threshold.record(if level >= first_bad { Answer::Fail } else { Answer::Pass });
                }
                let found = threshold.found().expect("a place");
                assert_eq!(
                    (found.passes, found.fails),
                    (first_bad.checked_sub(1), (first_bad < count).then_some(first_bad))
                );
                assert!(runs <= 4, "{runs} runs for {count}");
            }
        }
    }

    #[test]
    fn what_says_nothing_is_no_place() {
        let mut threshold = Threshold::new(4);
        threshold.record(Answer::Unresolved);
        assert_eq!((threshold.next(), threshold.found()), (None, None));
    }
}
