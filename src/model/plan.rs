//! Everything that one invocation runs.

use std::collections::BTreeSet;

use super::case::{Candidate, Case};
use super::condition::ConditionSet;
use super::expectation::Expectation;
use super::id::CaseId;
use super::search::{Bisect, Search, SearchRequest};
use super::service::Service;
use super::shard::Shard;

/// Cases that have a service in common: a scenario, or those of a command line.
#[derive(Clone, Debug)]
pub struct Part {
    /// The scenario's name; nothing: cases by hand.
    pub scenario: Option<String>,
    /// What the platform is told.
    pub service: Service,
}

/// Everything that one invocation runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// At least one.
    pub parts: Vec<Part>,
    /// The candidates, oldest version first.
    pub candidates: Vec<Candidate>,
    /// The cases, in the order of the report.
    pub cases: Vec<Case>,
    /// Searches, made when the cases are done.
    pub searches: Vec<Search>,
    /// The search for the first bad candidate, made last.
    pub bisect: Option<Bisect>,
}

/// So many places are kept for the cases of a search; none adds as many.
const PLACES: usize = 1 << 20;

impl Plan {
    /// Puts a plan together. Cases that would have the same id (the same image and conditions twice, or conditions
    /// that differ in a secret only) are numbered; values among the service's secrets are never shown.
    #[must_use]
    pub fn new(
        service: Service,
        candidates: Vec<Candidate>,
        pairs: impl IntoIterator<Item = (String, ConditionSet)>,
    ) -> Self {
        let wanted = pairs.into_iter().map(|(image, conditions)| (image, conditions, None));
        Self::of_scenario(Part { scenario: None, service }, candidates, wanted)
    }

    /// The plan of a scenario: images, each with its conditions and what is expected.
    #[must_use]
    pub fn of_scenario(
        part: Part,
        candidates: Vec<Candidate>,
        wanted: impl IntoIterator<Item = (String, ConditionSet, Option<Expectation>)>,
    ) -> Self {
        let secrets = &part.service.secrets;
        let case = |(image, conditions, expect): (String, ConditionSet, _)| Case {
            expect,
            ..Case::new(&image, conditions.with_secrets(secrets))
        };
        let mut cases: Vec<Case> = wanted.into_iter().map(case).collect();
        number(&mut cases);
        Self { parts: vec![part], candidates, cases, searches: Vec::new(), bisect: None }
    }

    /// The same plan of one scenario with a search for each of these candidates; sets that something is expected of are
    /// cases.
    #[must_use]
    pub fn with_searches(mut self, asked: impl IntoIterator<Item = SearchRequest>) -> Self {
        for asked in asked {
            let search = Search::new(&asked);
            let of_image = self.cases.iter_mut().filter(|case| case.image == asked.image);
            of_image.for_each(|case| case.search = Some(search.id.clone()));
            let case = |(conditions, expect)| Case {
                expect,
                search: Some(search.id.clone()),
                ..Case::new(&asked.image, conditions)
            };
            self.cases.extend(asked.named.into_iter().map(case));
            self.searches.push(search);
        }
        number(&mut self.cases);
        place(&mut self.searches, self.cases.len());
        self
    }

    /// Leaves what belongs to a shard.
    pub fn keep(&mut self, shard: Shard) {
        self.cases.retain(|case| shard.has(case.home()));
        self.searches.retain(|search| shard.has(&search.id));
    }

    /// The planned cases of a search.
    pub(crate) fn named(&self, search: &Search) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| case.is_searched() && case.search.as_ref() == Some(&search.id))
    }

    /// The platforms that its parts run on, in their order.
    #[must_use]
    pub(crate) fn platforms(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for part in &self.parts {
            if !names.contains(&part.service.platform.id.as_str()) {
                names.push(&part.service.platform.id);
            }
        }
        names.join(", ")
    }

    /// Several plans as one.
    #[must_use]
    pub fn joined(plans: Vec<Self>) -> Self {
        let mut whole =
            Self { parts: Vec::new(), candidates: Vec::new(), cases: Vec::new(), searches: Vec::new(), bisect: None };
        for mut plan in plans {
            let first = whole.parts.len();
            for search in &mut plan.searches {
                search.part += first;
                // The same search in two files.
                if whole.searches.iter().any(|known| known.id == search.id) {
                    let id = CaseId(format!("{}-{first}", search.id));
                    let own = plan.cases.iter_mut().filter(|case| case.search.as_ref() == Some(&search.id));
                    own.for_each(|case| case.search = Some(id.clone()));
                    search.id = id;
                }
            }
            whole.searches.extend(plan.searches);
            whole.cases.extend(plan.cases.into_iter().map(|case| Case { part: first + case.part, ..case }));
            whole.parts.extend(plan.parts);
            let known = whole.candidates.len();
            for candidate in plan.candidates {
                if whole.candidates[..known].iter().all(|c| c.facts.reference != candidate.facts.reference) {
                    whole.candidates.push(candidate);
                }
            }
        }
        number(&mut whole.cases);
        place(&mut whole.searches, whole.cases.len());
        for search in &mut whole.searches {
            let elsewhere = |case: &Case| case.image == search.image && case.part != search.part;
            if whole.cases.iter().any(elsewhere) {
                search.suffix = format!("-s{}", search.part + 1);
            }
        }
        whole
    }

    /// The part that a case belongs to.
    ///
    /// # Panics
    /// Never for a case of this plan.
    #[must_use]
    pub(crate) fn part(&self, case: &Case) -> &Part {
        &self.parts[case.part]
    }

    /// The candidate of a case.
    #[must_use]
    pub(crate) fn candidate(&self, case: &Case) -> Option<&Candidate> {
        self.candidate_of(&case.image)
    }

    /// The candidate of an image's name.
    #[must_use]
    pub(crate) fn candidate_of(&self, image: &str) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.facts.reference == image)
    }

    /// The content address of an image; empty where the plan has no such candidate.
    #[must_use]
    pub(crate) fn image_id(&self, image: &str) -> String {
        self.candidate_of(image).map(|candidate| candidate.facts.id.to_string()).unwrap_or_default()
    }
}

/// Searches get their places behind those of the cases.
fn place(searches: &mut [Search], cases: usize) {
    for (n, search) in searches.iter_mut().enumerate() {
        search.place = cases + n * PLACES;
    }
}

/// Cases get their places, and those of the same name a number behind it.
fn number(cases: &mut [Case]) {
    let mut known: BTreeSet<CaseId> = BTreeSet::new();
    for (place, case) in cases.iter_mut().enumerate() {
        case.place = place;
        let plain = case.id.clone();
        let mut number = 1;
        while !known.insert(case.id.clone()) {
            number += 1;
            case.id = CaseId(format!("{plain}-{number}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_differ_in_a_secret_are_two_cases() {
        let set = |text: &str| ConditionSet::new([text.parse().expect("valid")]).expect("one");
        let pairs = ["env.set:API_KEY=a", "env.set:API_KEY=b"].map(|c| ("app:1".to_owned(), set(c)));
        let plan = Plan::new(Service::some(), Vec::new(), pairs);
        assert_eq!(plan.cases[1].id.0, format!("{}-2", plan.cases[0].id));
        // The same case in two scenarios.
        let both = Plan::joined(vec![plan.clone(), plan.clone()]);
        assert_eq!(both.cases[2].id.0, format!("{}-3", plan.cases[0].id));
        assert_eq!((both.cases[2].part, both.parts.len()), (1, 2));
    }
}
