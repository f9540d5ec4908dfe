//! What finished runs show: the smallest failing sets among them, and the first bad version.

/// The minimal failing sets: those of which no other failing set is a proper subset.
///
/// `is_part(a, b)`: is `a` a subset of `b`?
pub(crate) fn minimal<'a, S>(failing: &[&'a S], is_part: impl Fn(&S, &S) -> bool) -> Vec<&'a S> {
    failing
        .iter()
        .filter(|set| !failing.iter().any(|other| is_part(other, set) && !is_part(set, other)))
        .copied()
        .collect()
}

/// The first bad version of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FirstBad {
    /// No version is bad.
    None,
    /// The oldest version is already bad.
    All,
    /// This version is the first bad one; the one before it is good.
    At(usize),
    /// One of these, inclusive: all but the last are unresolved.
    Among(usize, usize),
}

/// Finds the first bad version, oldest first: `Some(true)` is good, `Some(false)` bad, `None` unresolved.
#[must_use]
pub(crate) fn first_bad(row: &[Option<bool>]) -> FirstBad {
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
    fn only_minimal_sets_are_kept() {
        // Sets as bits.
        let part = |a: &u32, b: &u32| a & b == *a;
        assert_eq!(minimal(&[&0b011, &0b001, &0b110, &0b111], part), [&0b001, &0b110]);
        assert_eq!(minimal(&[&0b000, &0b001], part), [&0b000]);
        assert_eq!(minimal::<u32>(&[], part), Vec::<&u32>::new());
    }

    #[test]
    fn finds_the_first_bad_version() {
        let (good, bad, unknown) = (Some(true), Some(false), None);
        assert_eq!(first_bad(&[good, good]), FirstBad::None);
        assert_eq!(first_bad(&[bad, good]), FirstBad::All);
        assert_eq!(first_bad(&[good, bad, good, bad]), FirstBad::At(1));
        assert_eq!(first_bad(&[good, unknown, bad]), FirstBad::Among(1, 2));
        assert_eq!(first_bad(&[unknown, bad]), FirstBad::Among(0, 1));
    }
}
