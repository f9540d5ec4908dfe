//! One image under one set of conditions.

use super::condition::ConditionSet;
use super::expectation::Expectation;
use super::id::{CaseId, fnv1a, tidy};
use super::image::ImageFacts;

/// An image under test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// What the engine says of it.
    pub facts: ImageFacts,
}

/// One candidate under one set of conditions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// The stable name.
    pub id: CaseId,
    /// The image's name.
    pub image: String,
    /// The departures from the baseline.
    pub conditions: ConditionSet,
    /// Its place in the whole plan, from 0: shards of one run are put together by it.
    pub place: usize,
    /// Which of the plan's parts it belongs to.
    pub part: usize,
    /// How often it is run at least.
    pub repeat: u32,
    /// What is expected of it; nothing: that it passes.
    pub expect: Option<Expectation>,
    /// The search of its candidate, where there is one: both are run in the same shard.
    pub search: Option<CaseId>,
}

impl Case {
    /// Names a case. Values that may be secrets take no part in the id.
    #[must_use]
    pub fn new(image: &str, conditions: ConditionSet) -> Self {
        let hash = fnv1a(&format!("{image}\n{conditions}"));
        let id = CaseId(format!("{}-{:08x}", tidy(image), hash >> 32));
        Self { id, image: image.to_owned(), conditions, place: 0, part: 0, repeat: 1, expect: None, search: None }
    }

    /// What tells its shard: a search and its cases belong together.
    #[must_use]
    pub(crate) fn home(&self) -> &CaseId {
        self.search.as_ref().unwrap_or(&self.id)
    }

    /// True when its result comes from the search of its candidate; the baseline is run by itself.
    #[must_use]
    pub(crate) fn is_searched(&self) -> bool {
        self.search.is_some() && !self.conditions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_tell_cases_apart() {
        let drop = ConditionSet::new(["egress.drop".parse().expect("valid")]).expect("one");
        let a = Case::new("nerava-backend:v20-otp-fix", drop.clone());
        assert_eq!(a, Case::new("nerava-backend:v20-otp-fix", drop.clone()));
        assert!(a.id.0.starts_with("v20-otp-fix-"), "{}", a.id);
        assert_ne!(a.id, Case::new("nerava-backend:v20-otp-fix", ConditionSet::baseline()).id);
        assert_ne!(a.id, Case::new("other:v20-otp-fix", drop).id);
    }
}
