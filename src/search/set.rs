//! Sets of conditions by number, as bits.

use std::cmp::Ordering;
use std::fmt;

/// Words of a [`Set`].
const WORDS: usize = 8;

/// The largest number of conditions in a search. No service has this many variables; callers that build a search from
/// user input check it and report it.
pub(crate) const MOST: usize = Set::MOST;

/// A set of conditions, each by its number from 0 to `MOST` − 1.
pub type Set = Bits<WORDS>;

/// A set of numbers from 0 to 64 × `W` − 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bits<const W: usize>([u64; W]);

impl<const W: usize> Bits<W> {
    /// The empty set.
    pub const EMPTY: Self = Self([0; W]);
    /// The largest number of elements.
    pub(crate) const MOST: usize = W * 64;

    /// The set with a single number.
    ///
    /// # Panics
    /// If the number is [`Self::MOST`] or more.
    #[must_use]
    pub(crate) fn one(number: usize) -> Self {
        let mut words = [0; W];
        words[number / 64] = 1 << (number % 64);
        Self(words)
    }

    /// The first `count` numbers.
    ///
    /// # Panics
    /// If `count` is more than `Self::MOST`.
    #[must_use]
    pub fn first(count: usize) -> Self {
        assert!(count <= Self::MOST, "{count} conditions in a set of at most {}", Self::MOST);
        Self(std::array::from_fn(|word| match count.saturating_sub(word * 64) {
            64.. => u64::MAX,
            bits => (1 << bits) - 1,
        }))
    }

    /// Whether the set is empty.
    #[must_use]
    pub(crate) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }

    /// Number of elements.
    #[must_use]
    pub(crate) fn len(self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether the number is in the set.
    #[must_use]
    pub fn has(self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 == 1
    }

    /// The union of both sets.
    #[must_use]
    pub(crate) fn union(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// The intersection of both sets.
    #[must_use]
    pub(crate) fn shared(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// The elements that are in this set only.
    #[must_use]
    pub(crate) fn without(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// Whether every element is in the other set, too.
    #[must_use]
    pub fn is_subset(self, other: Self) -> bool {
        self.0.iter().zip(other.0).all(|(own, other)| own & !other == 0)
    }

    /// The elements, lowest first.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                word &= word.checked_sub(1)?;
                Some(at * 64 + bit)
            })
        })
    }
}

/// The numbers of the bits that are set.
impl<const W: usize> From<u64> for Bits<W> {
    fn from(bits: u64) -> Self {
        let mut words = [0; W];
        words[0] = bits;
        Self(words)
    }
}

impl From<Bits<1>> for usize {
    fn from(Bits([word]): Bits<1>) -> Self {
        word as Self
    }
}

impl<const W: usize> Default for Bits<W> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// Ordered by the bits as one large number.
impl<const W: usize> Ord for Bits<W> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl<const W: usize> PartialOrd for Bits<W> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const W: usize> FromIterator<usize> for Bits<W> {
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Self {
        numbers.into_iter().fold(Self::EMPTY, |set, n| set.union(Self::one(n)))
    }
}

impl<const W: usize> fmt::Debug for Bits<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The sets that contain no other of them.
#[must_use]
pub fn smallest<const W: usize>(sets: &[Bits<W>]) -> Vec<Bits<W>> {
    let sets: Vec<&Bits<W>> = sets.iter().collect();
    let mut kept: Vec<Bits<W>> = super::table::minimal(&sets, |a, b| a.is_subset(*b)).into_iter().copied().collect();
    kept.sort();
    kept.dedup();
    kept
}

/// The largest subsets of `all` that contain none of the sets: `all` without a minimal set that intersects each of them
/// (C. Berge, *Hypergraphs*, 1989, ch. 2: one set after the other).
#[must_use]
pub(crate) fn largest_without<const W: usize>(all: Bits<W>, sets: &[Bits<W>]) -> Vec<Bits<W>> {
    let mut taken = vec![Bits::EMPTY];
    for set in sets {
        let (meet, miss): (Vec<_>, Vec<_>) = taken.iter().partition(|t: &&Bits<W>| !t.shared(*set).is_empty());
        let extended = miss.iter().flat_map(|t: &Bits<W>| set.iter().map(move |n| t.union(Bits::one(n))));
        taken = smallest(&meet.into_iter().chain(extended).collect::<Vec<_>>());
    }
    let mut left: Vec<Bits<W>> = taken.into_iter().map(|t| all.without(t)).collect();
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
    fn set_operations() {
        assert_eq!(Set::first(3), set(&[0, 1, 2]));
        assert_eq!(Set::first(MOST).len(), MOST);
        assert_eq!(Set::first(64), (0..64).collect());
        assert_eq!(Set::first(130), (0..130).collect());
        assert_eq!(set(&[5, 1]).iter().collect::<Vec<_>>(), [1, 5]);
        assert_eq!(set(&[1, 2]).without(set(&[2])), set(&[1]));
        assert!(Set::EMPTY.is_subset(set(&[1])) && !set(&[1]).is_subset(Set::EMPTY));
        assert_eq!(format!("{:?}", set(&[2, 0])), "{0, 2}");
    }

    #[test]
    fn numbers_beyond_one_word() {
        let far = set(&[2, 66, 150, 511]);
        assert_eq!(far.iter().collect::<Vec<_>>(), [2, 66, 150, 511]);
        assert!(far.has(66) && !far.has(3), "66 is not 2");
        assert!(set(&[66]).is_subset(far) && !set(&[67]).is_subset(far));
        assert!(set(&[63]) < set(&[64]) && set(&[0, 64]) > set(&[64]), "ordered as one large number");
        let both: Bits<1> = [0, 63].into_iter().collect();
        assert_eq!(both.len(), 2);
    }

    #[test]
    #[should_panic(expected = "513 conditions")]
    fn rejects_more_conditions_than_fit() {
        let _ = Set::first(MOST + 1);
    }

    #[test]
    fn largest_sets_that_avoid_others() {
        let all = Set::first(4);
        assert_eq!(largest_without(all, &[]), [all]);
        assert_eq!(largest_without(all, &[set(&[1])]), [set(&[0, 2, 3])]);
        assert_eq!(largest_without(all, &[set(&[0, 1])]), [set(&[0, 2, 3]), set(&[1, 2, 3])]);
        assert_eq!(largest_without(all, &[set(&[0, 1]), set(&[0, 2])]), [set(&[1, 2, 3]), set(&[0, 3])]);
        assert_eq!(largest_without(all, &[Set::EMPTY]), [] as [Set; 0]);
    }
}
