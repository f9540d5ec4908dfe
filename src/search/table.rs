//! What a table of runs already says: the smallest failing sets among those that were run, and the first bad version.

/// The smallest of the failing sets: a set is kept when no failing set is a proper part of it.
///
/// `is_part(a, b)` says that `a` is a part of `b`, or the same.
pub fn minimal<'a, S>(failing: &[&'a S], is_part: impl Fn(&S, &S) -> bool) -> Vec<&'a S> {
    failing
        .iter()
        .filter(|set| !failing.iter().any(|other| is_part(other, set) && !is_part(set, other)))
        .copied()
        .collect()
}

/// What a row of versions says, oldest first: `Some(true)` is good, `Some(false)` bad, `None` unresolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstBad {
    /// None is bad.
    None,
    /// The oldest one is bad already.
    All,
    /// This one is the first, and the one before it is good.
    At(usize),
    /// It is one of these: those before the last are unresolved.
    Among(usize, usize),
}

/// Finds the first bad version in a complete row.
#[must_use]
pub fn first_bad(row: &[Option<bool>]) -> FirstBad {
    let Some(bad) = row.iter().position(|good| *good == Some(false)) else { return FirstBad::None };
    match row[..bad].iter().rposition(|good| *good == Some(true)) {
        _ if bad == 0 => FirstBad::All,
        Some(good) if good + 1 == bad => FirstBad::At(bad),
        Some(good) => FirstBad::Among(good + 1, bad),
        None => FirstBad::Among(0, bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_smallest_sets_are_kept() {
        // Sets as bits.
        let part = |a: &u32, b: &u32| a & b == *a;
        assert_eq!(minimal(&[&0b011, &0b001, &0b110, &0b111], part), [&0b001, &0b110]);
        assert_eq!(minimal(&[&0b000, &0b001], part), [&0b000]);
        assert_eq!(minimal::<u32>(&[], part), Vec::<&u32>::new());
    }

    #[test]
    fn the_first_bad_version() {
        let (good, bad, unknown) = (Some(true), Some(false), None);
        assert_eq!(first_bad(&[good, good]), FirstBad::None);
        assert_eq!(first_bad(&[bad, good]), FirstBad::All);
        assert_eq!(first_bad(&[good, bad, good, bad]), FirstBad::At(1));
        assert_eq!(first_bad(&[good, unknown, bad]), FirstBad::Among(1, 2));
        assert_eq!(first_bad(&[unknown, bad]), FirstBad::Among(0, 1));
    }
}
