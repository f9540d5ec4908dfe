//! How far to trust an answer: flaky crashes and spurious failures.

/// The answer of one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The candidate stayed healthy.
    Pass,
    /// The candidate failed.
    Fail,
    /// The run proves nothing.
    Unresolved,
}

/// How often a run fails.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rates {
    /// The share of runs that fail when the cause is present, from 0 to 1.
    pub fires: f64,
    /// The share of runs that fail when it is absent, from 0 to 1.
    pub spurious: f64,
}

impl Rates {
    /// Answers are always right.
    pub const CERTAIN: Self = Self { fires: 1.0, spurious: 0.0 };

    /// The probability of a failure, with or without the cause.
    #[must_use]
    pub fn fails(self, cause: bool) -> f64 {
        if cause { self.fires } else { self.spurious }
    }
}

/// The prior over the rates: several, each with its weight. The weights add up to 1.
#[derive(Clone, PartialEq, Debug)]
pub struct Noise(Vec<(Rates, f64)>);

/// Rates considered when nothing is known: from a crash in every second run to one in nearly every run.
const FIRES: [f64; 3] = [0.5, 0.7, 0.9];
const SPURIOUS: [f64; 2] = [0.005, 0.03];

impl Noise {
    /// Answers are always right.
    #[must_use]
    pub fn none() -> Self {
        Self(vec![(Rates::CERTAIN, 1.0)])
    }

    /// Rates near these: misses may be off by a half, spurious failures by a factor of three.
    #[must_use]
    pub fn about(rates: Rates) -> Self {
        let miss = 1.0 - rates.fires;
        let around = [(miss * 0.5, 0.2), (miss, 0.6), ((miss * 1.5).min(0.6), 0.2)];
        let spurious = [(rates.spurious / 3.0, 0.2), (rates.spurious, 0.6), ((rates.spurious * 3.0).min(0.3), 0.2)];
        let pair = |(miss, a): (f64, f64)| spurious.map(|(spurious, b)| (Rates { fires: 1.0 - miss, spurious }, a * b));
        Self(around.into_iter().flat_map(pair).collect())
    }

    /// Answers are most likely right; with the probability `flaky`, the rates are those of typical flaky crashes.
    #[must_use]
    pub(crate) fn unknown(flaky: f64) -> Self {
        let each = flaky / (FIRES.len() * SPURIOUS.len()) as f64;
        let grid = FIRES.into_iter().flat_map(|fires| SPURIOUS.map(|spurious| (Rates { fires, spurious }, each)));
        Self(std::iter::once((Rates::CERTAIN, 1.0 - flaky)).chain(grid).collect())
    }

    /// The rates, each with its weight.
    #[must_use]
    pub(crate) fn rates(&self) -> &[(Rates, f64)] {
        &self.0
    }
}

/// How often each answer occurred.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Tally {
    /// Runs that passed.
    pub(crate) passes: u32,
    /// Runs that failed.
    pub(crate) fails: u32,
    /// Runs that prove nothing.
    pub(crate) unresolved: u32,
}

impl Tally {
    /// Counts one answer.
    pub(crate) fn add(&mut self, answer: Answer) {
        match answer {
            Answer::Pass => self.passes += 1,
            Answer::Fail => self.fails += 1,
            Answer::Unresolved => self.unresolved += 1,
        }
    }

    /// Number of runs that passed or failed.
    #[must_use]
    pub(crate) fn decisive(self) -> u32 {
        self.passes + self.fails
    }

    /// The answer if every run is believed, by majority where runs differ. `None` before the first run, and after a
    /// single unresolved one, which is worth a second try.
    #[must_use]
    pub(crate) fn plain(self) -> Option<Answer> {
        match (self.passes, self.fails, self.unresolved) {
            (0, 0, 0 | 1) => None,
            (0, 0, _) => Some(Answer::Unresolved),
            (passes, fails, _) => Some(if fails > passes { Answer::Fail } else { Answer::Pass }),
        }
    }

    /// Whether the cause is present, by the sequential probability-ratio test (A. Wald, *Sequential tests of statistical
    /// hypotheses*, 1945) with an error of at most `error` either way. `None` while undecided.
    #[must_use]
    pub(crate) fn decided(self, rates: Rates, error: f64) -> Option<Answer> {
        if self.decisive() == 0 && self.unresolved > 1 {
            return Some(Answer::Unresolved);
        }
        let fail = (rates.fires / rates.spurious.max(1e-6)).ln();
        let pass = ((1.0 - rates.fires).max(1e-6) / (1.0 - rates.spurious)).ln();
        let ratio = f64::from(self.fails) * fail + f64::from(self.passes) * pass;
        let bound = ((1.0 - error) / error).ln();
        if ratio >= bound { Some(Answer::Fail) } else { (ratio <= -bound).then_some(Answer::Pass) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_test_decides_sequentially() {
        let rates = Rates { fires: 0.7, spurious: 0.02 };
        let decided = |passes, fails| Tally { passes, fails, unresolved: 0 }.decided(rates, 0.01);
        assert_eq!(decided(0, 0), None);
        assert_eq!(decided(0, 1), None, "one failure may be spurious");
        assert_eq!(decided(0, 2), Some(Answer::Fail));
        assert_eq!(decided(3, 0), None);
        assert_eq!(decided(4, 0), Some(Answer::Pass));
        assert_eq!(decided(3, 3), Some(Answer::Fail));
        let certain = |passes, fails| Tally { passes, fails, unresolved: 0 }.decided(Rates::CERTAIN, 0.01);
        assert_eq!((certain(1, 0), certain(0, 1)), (Some(Answer::Pass), Some(Answer::Fail)));
        assert_eq!(Tally { unresolved: 2, ..Tally::default() }.decided(rates, 0.01), Some(Answer::Unresolved));
        assert_eq!(Tally { unresolved: 1, ..Tally::default() }.plain(), None);
    }

    #[test]
    fn weights_sum_to_one() {
        let typical = Rates { fires: 0.7, spurious: 0.02 };
        for noise in [Noise::none(), Noise::about(typical), Noise::unknown(0.1), Noise::about(Rates::CERTAIN)] {
            let sum: f64 = noise.rates().iter().map(|(_, weight)| weight).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{noise:?}");
            assert!(noise.rates().iter().all(|(r, _)| r.fires > r.spurious), "{noise:?}");
        }
    }
}
