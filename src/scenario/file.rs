//! Scenario files: candidates, a service, and the sets of conditions to run them under.

use std::path::Path;

use serde::Deserialize;

use super::problem::{Problem, Refused};
use super::service::RawService;
use super::yaml::{self, OneOrMany, problem};
use crate::model::{Condition, ConditionSet, Service};
use crate::profile::Profile;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScenario {
    candidates: Vec<String>,
    #[serde(default)]
    service: RawService,
    #[serde(default)]
    conditions: Vec<OneOrMany>,
}

/// What a scenario asks for.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Image names, the oldest version first.
    pub candidates: Vec<String>,
    /// What the platform is told.
    pub service: Service,
    /// The sets of conditions; the baseline is the first.
    pub sets: Vec<ConditionSet>,
}

/// Reads a scenario file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(file: &str, text: &str, folder: &Path, profile: &Profile) -> Result<Scenario, Refused> {
    let raw: RawScenario = yaml::read(file, text)?;
    let mut problems: Vec<Problem> = Vec::new();
    let service = raw.service.check(folder, profile, &mut problems);
    let mut sets = vec![ConditionSet::baseline()];
    for OneOrMany(texts) in &raw.conditions {
        let mut conditions: Vec<Condition> = Vec::new();
        for text in texts {
            match text.value.parse() {
                Ok(condition) => conditions.push(condition),
                Err(e) => problems.push(problem(text, format!("{e}"))),
            }
        }
        match ConditionSet::new(conditions) {
            Ok(set) if !sets.contains(&set) => sets.push(set),
            Ok(_) => {}
            Err(messages) => {
                problems.extend(messages.into_iter().filter_map(|m| texts.first().map(|t| problem(t, m))));
            }
        }
    }
    if raw.candidates.is_empty() {
        problems.push(Problem::of_file("`candidates` is empty: there is nothing to run"));
    }
    let sets = sets.into_iter().map(|set| set.with_secrets(&service.secrets)).collect();
    if problems.is_empty() {
        Ok(Scenario { candidates: raw.candidates, service, sets })
    } else {
        Err(Refused::new(file, text, problems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::apprunner;

    #[test]
    fn sets_are_read_and_mistakes_are_placed() {
        let read = |text: &str| read("s.yaml", text, Path::new("."), &apprunner());
        let good =
            read("candidates: [a:1]\nconditions:\n  - egress.drop\n  - [egress.drop, 'env.set:A=b']\n").expect("good");
        let shown: Vec<String> = good.sets.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["baseline", "egress.drop", "egress.drop + env.set:A=b"]);
        let bad =
            read("candidates: [a:1]\nconditions:\n  - egres.drop\n  - [dns.drop, dns.servfail]\n").expect_err("bad");
        insta::assert_snapshot!(bad);
    }
}
