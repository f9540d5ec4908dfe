//! What is to be run: candidates, cases, plans.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::condition::ConditionSet;
use super::image::{ImageFacts, short_name};
use super::service::Service;

/// An image that is looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// What the engine says of it.
    pub facts: ImageFacts,
}

impl Candidate {
    /// The name that people use for this version.
    #[must_use]
    pub fn short(&self) -> &str {
        short_name(&self.facts.reference)
    }
}

/// The stable name of a case: the same image name and conditions give the same id on every machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub String);

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
}

impl Case {
    /// Names a case. Values that may be secrets take no part in the id.
    #[must_use]
    pub fn new(image: &str, conditions: ConditionSet) -> Self {
        let hash = fnv1a(&format!("{image}\n{conditions}"));
        let short: String =
            short_name(image).chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        Self { id: CaseId(format!("{short}-{:08x}", hash >> 32)), image: image.to_owned(), conditions }
    }
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): the same on every machine and in every version.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Everything that one invocation runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the platform is told.
    pub service: Service,
    /// The candidates, oldest version first.
    pub candidates: Vec<Candidate>,
    /// The cases, in the order of the report.
    pub cases: Vec<Case>,
}

impl Plan {
    /// The candidate of a case.
    #[must_use]
    pub fn candidate(&self, case: &Case) -> Option<&Candidate> {
        self.candidates.iter().find(|c| c.facts.reference == case.image)
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
