//! Sets of conditions by number, as bits.

use std::fmt;

/// The most conditions that a search can have.
pub const MOST: usize = 64;

/// A set of conditions, each by its number from 0 to [`MOST`] − 1.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set(pub u64);

impl Set {
    /// No condition at all.
    pub const EMPTY: Self = Self(0);

    /// One condition.
    #[must_use]
    pub fn one(number: usize) -> Self {
        Self(1 << number)
    }

    /// The first so many conditions.
    #[must_use]
    pub fn first(count: usize) -> Self {
        Self(if count >= MOST { u64::MAX } else { (1 << count) - 1 })
    }

    /// True for the set without a condition.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many conditions it has.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// True when the condition is in it.
    #[must_use]
    pub fn has(self, number: usize) -> bool {
        self.0 >> number & 1 == 1
    }

    /// What is in one of the two, or in both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn shared(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this one only.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True when everything in it is in the other as well.
    #[must_use]
    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The numbers, lowest first.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..MOST).filter(move |n| self.has(*n))
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Self {
        numbers.into_iter().fold(Self::EMPTY, |set, n| set.union(Self::one(n)))
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Those that have no other one of them as a part.
#[must_use]
pub fn smallest(sets: &[Set]) -> Vec<Set> {
    let mut kept: Vec<Set> =
        super::table::minimal(&sets.iter().collect::<Vec<_>>(), |a, b| a.is_subset(*b)).into_iter().copied().collect();
    kept.sort();
    kept.dedup();
    kept
}

/// The largest parts of `all` that contain none of the sets: what is left of `all` when a smallest set that meets each
/// of them is taken away (C. Berge, *Hypergraphs*, 1989, ch. 2: one set after the other).
#[must_use]
pub fn largest_without(all: Set, sets: &[Set]) -> Vec<Set> {
    let mut taken = vec![Set::EMPTY];
    for set in sets {
        let (meet, miss): (Vec<Set>, Vec<Set>) = taken.iter().partition(|t| !t.shared(*set).is_empty());
        let extended = miss.iter().flat_map(|t| set.iter().map(move |n| t.union(Set::one(n))));
        taken = smallest(&meet.into_iter().chain(extended).collect::<Vec<_>>());
    }
    let mut left: Vec<Set> = taken.into_iter().map(|t| all.without(t)).collect();
    left.sort_by_key(|set| (std::cmp::Reverse(set.len()), *set));
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[usize]) -> Set {
        numbers.iter().copied().collect()
    }

    #[test]
    fn sets_are_sets() {
        assert_eq!(Set::first(3), set(&[0, 1, 2]));
        assert_eq!(Set::first(MOST).len(), MOST);
        assert_eq!(set(&[5, 1]).iter().collect::<Vec<_>>(), [1, 5]);
        assert_eq!(set(&[1, 2]).without(set(&[2])), set(&[1]));
        assert!(Set::EMPTY.is_subset(set(&[1])) && !set(&[1]).is_subset(Set::EMPTY));
        assert_eq!(format!("{:?}", set(&[2, 0])), "{0, 2}");
    }

    #[test]
    fn the_largest_sets_without() {
        let all = Set::first(4);
        assert_eq!(largest_without(all, &[]), [all]);
        assert_eq!(largest_without(all, &[set(&[1])]), [set(&[0, 2, 3])]);
        assert_eq!(largest_without(all, &[set(&[0, 1])]), [set(&[0, 2, 3]), set(&[1, 2, 3])]);
        assert_eq!(largest_without(all, &[set(&[0, 1]), set(&[0, 2])]), [set(&[1, 2, 3]), set(&[0, 3])]);
        assert_eq!(largest_without(all, &[Set::EMPTY]), [] as [Set; 0]);
    }
}
