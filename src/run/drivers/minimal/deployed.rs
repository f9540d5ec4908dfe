//! The deployment that a search is about: what was in force is imposed together, and the answer is held against what the
//! logs show.

use super::Inquiry;
use super::around::Around;
use crate::diagnose::deployment::{Runs, broke, not_pushed, order, shows_another, shows_the_log};
use crate::diagnose::standing::{deployed, same_image, standing};
use crate::model::answer::Answer;
use crate::model::deployment::{ConditionStanding, Deployment, SameImage, Seen};
use crate::model::outcome::{Finding, Need};
use crate::model::{CaseResult, Condition, ConditionSet, Verdict};

/// More conditions than this are not run one by one.
const MOST_ALONE: usize = 24;
/// The confidence in a set that failed as the log has it, and ran once.
const CONFIDENCE: f64 = 0.9;

impl Inquiry<'_, '_> {
    pub(super) fn deployment(&self) -> Option<&Deployment> {
        self.question.search.deployment.as_deref()
    }

    /// The standing of every condition that the search is about.
    pub(super) fn standing(&self, deployment: &Deployment) -> Vec<ConditionStanding> {
        let super::Question { search, service, candidate, .. } = self.question;
        let image = (&candidate.facts, self.image_of(deployment));
        let all = search.conditions.iter().chain(&search.forms);
        all.map(|condition| standing(condition, &deployment.revision, service, image)).collect()
    }

    /// Whether the image at hand is the one that was deployed.
    fn image_of(&self, deployment: &Deployment) -> SameImage {
        same_image(deployment, &self.question.candidate.facts)
    }

    /// Whether a file or the log of the deployment points to a condition, so that it is tried whatever else fails.
    pub(super) fn is_pointed_at(&self, condition: &Condition) -> bool {
        let Some(deployment) = self.deployment() else { return false };
        let super::Question { service, candidate, .. } = self.question;
        let image = (&candidate.facts, SameImage::Unknown);
        deployment.pointed.contains(condition)
            || standing(condition, &deployment.revision, service, image).ground.is_hinted()
    }

    /// Whether the log of the deployment has an error that no failure so far shows.
    pub(super) fn is_log_unexplained(&self) -> bool {
        let Some(seen) = self.deployment().and_then(|deployment| deployment.seen.as_ref()) else { return false };
        let failed = self.memory.results().iter().filter(|result| result.verdict == Verdict::Fail);
        seen.error.is_some() && !failed.into_iter().any(|result| shows_the_log(seen, result))
    }

    /// Whether a set fails, and never as the log has it. One run may lack a line that another has.
    pub(super) fn fails_otherwise(&self, seen: &Seen, set: &ConditionSet) -> bool {
        let mut failed = self.memory.failures(set).peekable();
        failed.peek().is_some() && failed.all(|result| shows_another(seen, result))
    }

    /// Everything that was in force and that this host can impose.
    pub(super) fn deployed_set(&self) -> Option<ConditionSet> {
        let deployment = self.deployment()?;
        let mut in_force = self.standing(deployment);
        in_force.retain(|of| !self.skipped.iter().any(|left| left.condition == of.condition));
        Some(deployed(&in_force))
    }

    /// Starts a run of everything that was in force together if there is room, unless that is known.
    pub(super) fn start_deployed(&mut self) {
        let Some(set) = self.deployed_set() else { return };
        let is_known = set.is_empty() || self.memory.last_answer(&set).is_some() || self.is_running(&set);
        if !is_known && self.conductor.free() > 0 {
            self.start(set);
        }
    }

    /// Runs everything that was in force together, unless that is known.
    pub(super) async fn run_deployed(&mut self) {
        let Some(set) = self.deployed_set() else { return };
        if self.memory.last_answer(&set).is_none() && !self.is_running(&set) && !self.is_over() {
            self.report_activity("running what was deployed");
            self.start(set.clone());
        }
        while self.is_running(&set) && !self.is_over() {
            self.next_result().await;
        }
    }

    /// Runs what was in force alone, each condition by itself, if the image fails under friendly conditions already but
    /// not as the log has it: what is in force may bring its failure about first.
    pub(super) async fn run_each_in_force(&mut self, around: &mut Around) {
        let Some(seen) = self.deployment().and_then(|deployment| deployment.seen.clone()) else { return };
        let baseline = ConditionSet::baseline();
        if !self.fails_otherwise(&seen, &baseline) {
            return;
        }
        let in_force = self.deployed_set().unwrap_or_default();
        let alone: Vec<ConditionSet> =
            in_force.iter().filter_map(|condition| ConditionSet::new([condition.clone()]).ok()).collect();
        for set in alone.iter().filter(|_| in_force.iter().count() <= MOST_ALONE) {
            if self.memory.last_answer(set).is_none() && !self.is_over() {
                self.start(set.clone());
            }
        }
        while alone.iter().any(|set| self.is_running(set)) && !self.is_over() {
            self.next_result().await;
        }
        let shows = |set: &&ConditionSet| self.memory.failure(set).is_some_and(|failed| shows_the_log(&seen, failed));
        around.sets.extend(alone.iter().filter(shows).map(|set| (set.clone(), CONFIDENCE)));
    }

    /// The finding that the image that was pushed may be another one.
    pub(super) fn not_pushed(&self) -> Option<Finding> {
        let deployment = self.deployment()?;
        not_pushed(deployment, self.image_of(deployment))
    }

    /// Adds what broke the deployment to the answer, and puts its sets in that order.
    pub(super) fn hold_against_deployment(&self, answer: &mut Answer) {
        let Some(deployment) = self.deployment() else { return };
        let runs = |answer: &Answer| self.runs(deployment, answer);
        let order = order(deployment, answer, &runs(answer));
        answer.minimal_sets = order.into_iter().map(|n| answer.minimal_sets[n].clone()).collect();
        if !deployment.is_told {
            return;
        }
        let of_answer = runs(answer);
        let broke = broke(deployment, answer, of_answer);
        if answer.baseline == Verdict::Fail && broke.is_open_for_secrets() {
            answer.verdict = Verdict::Unresolved;
            answer.needs.push(Need {
                kind: "secret".to_owned(),
                text: format!("values for {}, which are stored elsewhere", deployment.placeholders.join(", ")),
                add: deployment.placeholders.iter().map(|name| format!("{name}=")).collect::<Vec<_>>().join("\n"),
            });
        }
        answer.deployment = Some(broke);
    }

    fn runs(&self, deployment: &Deployment, answer: &Answer) -> Runs<'_> {
        let mut known = self.standing(deployment);
        // What is judged from the image is not searched among.
        for condition in answer.minimal_sets.iter().flat_map(|set| set.conditions.iter()) {
            if !known.iter().any(|of| of.condition == *condition) {
                let image = (&self.question.candidate.facts, self.image_of(deployment));
                known.push(standing(condition, &deployment.revision, &self.question.service, image));
            }
        }
        let set = self.deployed_set().unwrap_or_default();
        let failed = |conditions: &ConditionSet| -> Option<&CaseResult> { self.memory.failure(conditions) };
        let of_deployed = self.memory.results().iter().rev().find(|result| result.conditions == set);
        Runs {
            standing: known,
            deployed: (set, of_deployed.map(AsRef::as_ref)),
            failed: answer.minimal_sets.iter().map(|of| failed(&of.conditions)).collect(),
            image: self.image_of(deployment),
            baseline_differs: deployment
                .seen
                .as_ref()
                .is_some_and(|seen| self.fails_otherwise(seen, &ConditionSet::baseline())),
        }
    }
}
