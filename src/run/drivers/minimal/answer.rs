//! Builds the answer of an inquiry.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Inquiry;
use super::around::Around;
use super::memory::Universe;
use crate::diagnose::configured::configured;
use crate::diagnose::needed::with_needed;
use crate::diagnose::signature::{normalised, signature};
use crate::diagnose::stand_ins::rests_on;
use crate::model::answer::{Answer, Healed, MinimalSet};
use crate::model::outcome::{Cause, Finding, Need};
use crate::model::words::command_line;
use crate::model::{CaseResult, Condition, ConditionSet, FailureClass, Verdict};
use crate::search::minimal::Findings;

/// The document's version (contract).
const VERSION: u32 = 2;
/// The assumption under which the list is complete.
const MONOTONE: &str = "adding a condition never cures a failure; spot checks found no exception";

impl Inquiry<'_, '_> {
    /// The answer for an image that the platform cannot execute. Nothing has to run.
    pub(super) fn of_image(&self, finding: Finding, findings: Vec<Finding>) -> Answer {
        let conditions = ConditionSet::new([Condition::Arch]).unwrap_or_default();
        let case = self.question.id_of(&conditions);
        let code = finding.exit_code.or(Some(1));
        let set = MinimalSet {
            repro: self.by_hand(&conditions),
            conditions,
            confidence: 1.0,
            fails: [0, 0],
            passes_without_each: false,
            signature: format!("exit {} · {}", code.unwrap_or(1), finding.cause.id),
            class: Some(FailureClass::B),
            exit_code: code,
            causes: vec![finding.cause],
            limits: Vec::new(),
            repairs: Vec::new(),
            case,
        };
        let mut answer = self.empty(findings);
        answer.verdict = Verdict::Fail;
        (answer.class, answer.exit_code) = (set.class, set.exit_code);
        answer.minimal_sets = vec![set];
        answer.confidence = 1.0;
        answer.assumption =
            "judged from the image; its behaviour on this machine proves nothing, so nothing was run, and \
                             other causes may hide behind this one"
                .to_owned();
        self.hold_against_deployment(&mut answer);
        answer
    }

    /// Builds the answer.
    pub(super) fn finish(
        &self,
        universe: &Universe,
        main: &Findings,
        around: Around,
        findings: Vec<Finding>,
    ) -> Answer {
        let convert = |set: &crate::search::set::Set| universe.conditions(*set);
        let mut sets: Vec<ConditionSet> = main.sets.iter().map(convert).collect();
        sets.extend(around.sets.iter().map(|(set, _)| set.clone()));
        // Two searches may find a set and a part of it. What fails always is listed beside what a deployment shows.
        let all = sets.clone();
        let has_part =
            |set: &ConditionSet| all.iter().any(|part| !part.is_empty() && part != set && part.is_subset(set));
        sets.retain(|set| !has_part(set));
        self.most_likely_first(&mut sets);
        let baseline = self.memory.tally(&ConditionSet::baseline());
        let mut answer = self.empty(findings);
        answer.baseline = match baseline.plain() {
            Some(crate::search::noise::Answer::Pass) => Verdict::Pass,
            Some(crate::search::noise::Answer::Fail) => Verdict::Fail,
            _ => Verdict::Unresolved,
        };
        answer.flaky = main.flaky || self.is_flaky();
        answer.confidence = round(main.confidence);
        let healthy = self.healthy_lines();
        answer.minimal_sets = sets.iter().filter_map(|set| self.minimal_set(set, main, &around, &healthy)).collect();
        // A program that cannot be executed prints nothing; its files tell why.
        let fatal: Vec<Cause> = answer.findings.iter().filter(|f| f.fatal).map(|f| f.cause.clone()).collect();
        let unexplained = |set: &&mut MinimalSet| set.conditions.is_empty() && set.causes.is_empty();
        answer.minimal_sets.iter_mut().filter(unexplained).for_each(|set| set.causes.clone_from(&fatal));
        let unproved: Vec<ConditionSet> = main.perhaps.iter().map(convert).chain(around.perhaps.clone()).collect();
        // A condition that turned out to matter was not ruled out, whatever a clean start looked like.
        let failing = |c: &Condition| sets.iter().chain(&unproved).any(|set| set.has(c));
        answer.pruned.retain(|left| !failing(&left.condition));
        for set in unproved {
            answer.notes.push(format!("{set} fails; a part of it may be enough"));
        }
        answer.healed =
            main.healed.iter().map(|h| Healed { healers: convert(&h.healers), heals: convert(&h.heals) }).collect();
        answer.other_failures = around.others;
        (answer.untried, answer.uncombined) = (around.untried, around.uncombined);
        answer.not_tried = around.not_tried;
        if !main.finished {
            answer.not_tried.extend(
                main.open.iter().filter(|set| !set.is_empty()).map(|set| format!("{} and its subsets", convert(set))),
            );
        }
        if self.stopped && !main.finished && main.open.is_empty() {
            let all: Vec<String> = self.question.search.conditions.iter().map(ToString::to_string).collect();
            answer.not_tried.push(all.join(", "));
        }
        answer.not_exercised = self.not_exercised();
        answer.needs = self.missing_servers(answer.baseline);
        let open = !main.open.is_empty() || around.open;
        answer.settled = answer.baseline == Verdict::Pass && main.complete() && !around.open && !self.stopped;
        answer.complete = answer.settled && answer.untried.is_empty() && answer.uncombined == 0;
        answer.assumption = self.assumption(&answer, open);
        answer.verdict = match (answer.minimal_sets.first(), answer.baseline, answer.settled) {
            (Some(_), ..) | (None, Verdict::Fail, _) => Verdict::Fail,
            (None, _, true) => Verdict::Pass,
            (None, ..) if main.perhaps.is_empty() && around.perhaps.is_empty() => Verdict::Unresolved,
            _ => Verdict::Fail,
        };
        self.hold_against_deployment(&mut answer);
        if !self.made_up.is_empty() && answer.deployment.is_none() {
            // What it does with answers that were made up is no failure of the image.
            (answer.verdict, answer.baseline) = (Verdict::Unresolved, Verdict::Unresolved);
            answer.minimal_sets.retain(|set| !set.conditions.is_empty());
            answer.needs.extend(self.made_up.clone());
        }
        let first = answer.minimal_sets.first().map(|set| (set.class, set.exit_code));
        (answer.class, answer.exit_code) = first.unwrap_or_default();
        let platform = &self.question.service.platform;
        answer.notes.extend(self.clean_start().iter().flat_map(|start| rests_on(&start.evidence, platform)));
        answer.notes.extend(self.not_in_the_file());
        answer.notes.extend(self.behind_repairs());
        answer.notes.extend(self.unresolved(&answer.needs));
        answer
    }

    fn empty(&self, findings: Vec<Finding>) -> Answer {
        let facts = &self.question.candidate.facts;
        Answer {
            version: VERSION,
            image: facts.reference.clone(),
            image_id: facts.id.to_string(),
            platform: self.question.service.platform.id.clone(),
            platform_name: self.question.service.platform.name.clone(),
            verdict: Verdict::Unresolved,
            class: None,
            exit_code: None,
            baseline: Verdict::Unresolved,
            minimal_sets: Vec::new(),
            complete: false,
            settled: false,
            assumption: String::new(),
            flaky: false,
            confidence: 0.0,
            pruned: self.pruned.clone(),
            not_exercised: Vec::new(),
            skipped: self.skipped.clone(),
            findings,
            deployment: None,
            needs: Vec::new(),
            healed: Vec::new(),
            other_failures: Vec::new(),
            untried: Vec::new(),
            uncombined: 0,
            not_tried: Vec::new(),
            notes: Vec::new(),
            told: self.told.clone(),
            watched_s: self.conductor.context.options.soak.as_secs_f64(),
            runs: self.restored + self.conductor.runs() - self.runs_before,
            seconds: (self.begun.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        }
    }

    /// Sorts by number of conditions, then by the battery's order, which begins with the most frequent on the platform.
    fn most_likely_first(&self, sets: &mut Vec<ConditionSet>) {
        let order: Vec<&Condition> =
            self.question.search.conditions.iter().chain(&self.question.search.forms).collect();
        let place = |c: &Condition| order.iter().position(|known| *known == c).unwrap_or(usize::MAX);
        sets.sort_by_key(|set| (set.iter().count(), set.iter().map(place).collect::<Vec<_>>()));
        sets.dedup();
    }

    /// `healthy`: the lines of a healthy run.
    fn minimal_set(
        &self,
        set: &ConditionSet,
        main: &Findings,
        around: &Around,
        healthy: &BTreeSet<String>,
    ) -> Option<MinimalSet> {
        let failed: &CaseResult = self.memory.failure(set)?;
        let tally = self.memory.tally(set);
        let of_form = around.sets.iter().find(|(known, _)| known == set);
        let confidence = of_form.map_or(main.confidence, |(_, share)| share.min(main.confidence));
        let proved = set.iter().all(|condition| self.memory.passed_without(set, condition).next().is_some());
        // A condition is needed only if the failure goes away without it.
        let needed = if proved { set.clone() } else { ConditionSet::baseline() };
        let runs = [tally.fails, tally.fails + tally.passes];
        let causes = match set.is_empty() {
            true => {
                let known = self.not_contradicted(failed, failed.causes.clone());
                let own = configured(failed, &known, &self.question.candidate.facts, &self.question.service);
                self.not_contradicted(failed, own).into_iter().chain(known).collect()
            }
            false => not_in_a_healthy_log(failed.causes.clone(), healthy),
        };
        let causes = with_needed(causes, &needed, runs, &self.question.service.platform);
        Some(MinimalSet {
            conditions: set.clone(),
            confidence: round(confidence),
            fails: [tally.fails, tally.fails + tally.passes],
            passes_without_each: proved,
            signature: signature(failed).map(|s| s.to_string()).unwrap_or_default(),
            class: failed.class,
            exit_code: failed.exit_code,
            causes,
            limits: around.limits.iter().filter(|(of, _)| of == set).map(|(_, text)| text.clone()).collect(),
            repairs: if set.is_empty() { self.tried_repairs() } else { self.repairs_of(set) },
            repro: self.by_hand(set),
            case: failed.id.clone(),
        })
    }

    /// The command that reproduces a set.
    fn by_hand(&self, set: &ConditionSet) -> String {
        if self.question.search.by_hand.is_empty() {
            return format!("exitone repro {}", self.question.id_of(set));
        }
        let with = set.iter().flat_map(|c| ["--with".to_owned(), c.to_string()]);
        command_line(self.question.search.by_hand.iter().cloned().chain(with))
    }

    /// Conditions that some run imposed and none exercised. In a run that fails, another condition may have ended the
    /// program before it came to this one.
    fn not_exercised(&self) -> Vec<String> {
        let results = self.memory.results();
        let shows = |r: &CaseResult| match r.verdict {
            Verdict::Pass => true,
            Verdict::Fail => r.conditions.iter().count() == 1,
            Verdict::Unresolved => false,
        };
        let imposed = |c: &&Condition| results.iter().any(|r| r.conditions.has(c) && shows(r));
        let exercised = |c: &&Condition| {
            let with = results.iter().filter(|r| r.conditions.has(c) && r.verdict != Verdict::Unresolved);
            with.clone().any(|r| !r.not_exercised.iter().any(|n| n.condition == **c))
        };
        let all = self.active.iter().chain(&self.question.search.forms);
        all.filter(|c| imposed(c) && !exercised(c)).map(ToString::to_string).collect()
    }

    /// The lines of the log of a healthy run, normalised.
    fn healthy_lines(&self) -> BTreeSet<String> {
        self.clean_start().iter().flat_map(|start| start.log.lines()).map(normalised).collect()
    }

    /// The servers without which nothing can be said of the image.
    fn missing_servers(&self, baseline: Verdict) -> Vec<Need> {
        let of_baseline = |result: &&Arc<CaseResult>| result.conditions.is_empty() && baseline == Verdict::Unresolved;
        let mut needs: Vec<Need> = Vec::new();
        for need in self.memory.results().iter().filter(of_baseline).flat_map(|result| &result.needs) {
            if !needs.contains(need) {
                needs.push(need.clone());
            }
        }
        needs
    }

    fn is_flaky(&self) -> bool {
        let sets = self.memory.answers().map(|(set, _)| self.memory.tally(set));
        sets.into_iter().any(|tally| tally.passes > 0 && tally.fails > 0)
    }

    fn unresolved(&self, needs: &[Need]) -> Vec<String> {
        // What is missing is said by itself.
        let is_said = |r: &CaseResult| {
            r.skipped.is_some() || (!r.needs.is_empty() && r.needs.iter().all(|need| needs.contains(need)))
        };
        let unresolved = self.memory.results().iter().filter(|r| r.verdict == Verdict::Unresolved && !is_said(r));
        let why = |r: &CaseResult| {
            format!("{} is unresolved: {}", r.conditions, r.notes.first().map(String::as_str).unwrap_or_default())
        };
        let mut all: Vec<String> = unresolved.map(|r| why(r)).collect();
        all.dedup();
        all
    }

    fn assumption(&self, answer: &Answer, open: bool) -> String {
        if answer.baseline == Verdict::Fail {
            return "it fails even under friendly conditions, so no condition is needed; fix that first, then search \
                    for other failures"
                .to_owned();
        }
        if self.is_answered() {
            return format!("the search stopped at its first answer (--quick), after {} runs", answer.runs);
        }
        if self.stopped {
            return format!("the search stopped early, after {} runs", answer.runs);
        }
        if !answer.healed.is_empty() {
            return "some conditions prevent failures: the list is complete for sets without them, and sets with \
                    them were searched, too"
                .to_owned();
        }
        if open {
            return "some sets could not be judged".to_owned();
        }
        MONOTONE.to_owned()
    }
}

/// The causes without those that rest on nothing but lines which a healthy run writes as well.
fn not_in_a_healthy_log(mut causes: Vec<Cause>, healthy: &BTreeSet<String>) -> Vec<Cause> {
    let lines = |cause: &Cause| -> Vec<String> {
        cause.evidence.iter().filter_map(|evidence| evidence.strip_prefix("log: ")).map(normalised).collect()
    };
    causes.retain(|cause| {
        let lines = lines(cause);
        lines.is_empty() || !lines.iter().all(|line| healthy.contains(line))
    });
    causes
}

fn round(share: f64) -> f64 {
    // Rounded down: 0.9996 is not certain.
    (share * 1000.0).floor() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_that_a_healthy_run_writes_too_is_no_contradiction() {
        let healthy = BTreeSet::from([normalised("Loading the model")]);
        let cause = |lines: &[&str]| Cause {
            evidence: lines.iter().map(|line| format!("log: {line}")).collect(),
            ..Cause::default()
        };
        let all = vec![
            cause(&["WORKER TIMEOUT (pid:7)", "Loading the model"]),
            cause(&["Loading the model"]),
            Cause { evidence: vec!["probe at 3 ms: no answer".to_owned()], ..Cause::default() },
        ];
        let left = not_in_a_healthy_log(all.clone(), &healthy);
        assert_eq!(left, [all[0].clone(), all[2].clone()]);
    }
}
