//! Builds the answer of a bisection.

use std::sync::Arc;

use super::{Bisection, NewestFailure, verdict_reply};
use crate::diagnose::signature::signature;
use crate::model::change::ImageChange;
use crate::model::verdicts::{self, Also, Tested, Verdicts};
use crate::model::words::command_line;
use crate::model::{CaseResult, Verdict};
use crate::search::noise::Noise;
use crate::search::versions::{Culprit, Settings, Versions};

/// The document's version (contract).
const VERSION: u32 = 1;
/// Prior probability that the failure is flaky although no run has shown it.
const DOUBT: f64 = 0.1;

impl Bisection<'_, '_> {
    /// Builds the answer.
    pub(super) fn finish(
        &self,
        culprit: Culprit,
        confidence: f64,
        another: Option<NewestFailure>,
        image_diff: ImageChange,
    ) -> Verdicts {
        let mut verdicts = self.empty(self.culprit_kind(culprit));
        self.add_tested(&mut verdicts, Some(culprit));
        (verdicts.first_bad, verdicts.last_good, verdicts.any_of) = self.range(culprit);
        verdicts.image_diff = image_diff;
        // Rounded down: 0.9996 is not certain.
        verdicts.confidence = (confidence * 1000.0).floor() / 1000.0;
        verdicts.flaky = self.is_flaky();
        verdicts.newest = self.candidate_at(self.results.len() - 1).and_then(|image| verdicts.tested(image)).cloned();
        verdicts.also = another.map(|another| self.also(&another)).into_iter().collect();
        verdicts.notes = self.notes(culprit);
        self.with_failure(verdicts)
    }

    /// Builds the answer for the only image.
    pub(super) fn judged(&self) -> Verdicts {
        let mut verdicts = self.empty(verdicts::Culprit::Judged);
        self.add_tested(&mut verdicts, None);
        verdicts.newest = verdicts.tested.first().cloned();
        verdicts.notes.extend(self.stopped());
        self.with_failure(verdicts)
    }

    /// Adds how the first known bad image fails.
    fn with_failure(&self, mut verdicts: Verdicts) -> Verdicts {
        let bad = verdicts.known_bad().and_then(|image| self.position(image));
        if let Some(failed) = bad.and_then(|version| self.failure(version)) {
            verdicts.causes = failed.causes.clone();
            verdicts.signature = signature(failed).map(|s| s.to_string());
            verdicts.case = Some(failed.id.clone());
        }
        verdicts.repro = self.repro(&verdicts);
        verdicts
    }

    /// The command that reproduces the failure of the first known bad image; `None` for a scenario, whose service
    /// cannot be passed to `run`.
    fn repro(&self, verdicts: &Verdicts) -> Option<String> {
        verdicts.case.as_ref()?;
        self.by_hand(&["run", "--image", verdicts.known_bad()?])
    }

    /// A command about images with the service and the conditions of this one.
    fn by_hand(&self, words: &[&str]) -> Option<String> {
        let flags = self.bisect.by_hand.as_ref()?;
        let words = std::iter::once("exitone").chain(words.iter().copied()).map(str::to_owned);
        let with = self.bisect.conditions.iter().flat_map(|c| ["--with".to_owned(), c.to_string()]);
        Some(command_line(words.chain(flags.iter().cloned()).chain(with)))
    }

    fn empty(&self, culprit: verdicts::Culprit) -> Verdicts {
        Verdicts {
            version: VERSION,
            culprit,
            first_bad: None,
            last_good: None,
            any_of: Vec::new(),
            tested: Vec::new(),
            not_tried: Vec::new(),
            image_diff: ImageChange::default(),
            conditions: self.bisect.conditions.clone(),
            signature: None,
            causes: Vec::new(),
            confidence: 0.0,
            flaky: false,
            newest: None,
            also: Vec::new(),
            repro: None,
            case: None,
            notes: Vec::new(),
            runs: self.conductor.runs(),
            seconds: (self.begun.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            images: self.plan.candidates.iter().map(|c| c.facts.reference.clone()).collect(),
        }
    }

    fn culprit_kind(&self, culprit: Culprit) -> verdicts::Culprit {
        let newest_passes = self.tally(self.results.len() - 1).passes > 0;
        match culprit {
            Culprit::First(_) => verdicts::Culprit::First,
            Culprit::AnyOf(..) => verdicts::Culprit::AnyOf,
            Culprit::AllBad if newest_passes && !self.is_flaky() => verdicts::Culprit::Reversed,
            Culprit::AllBad => verdicts::Culprit::AllBad,
            Culprit::NoneBad => verdicts::Culprit::NoneBad,
            Culprit::Unknown => verdicts::Culprit::Unknown,
        }
    }

    /// The first bad image, the last good one, and the images one of which is the first bad one.
    fn range(&self, culprit: Culprit) -> (Option<String>, Option<String>, Vec<String>) {
        let name = |version: usize| self.candidate_at(version).cloned();
        let before = |version: usize| version.checked_sub(1).and_then(name);
        match culprit {
            Culprit::First(first) => (name(first), before(first), Vec::new()),
            Culprit::AnyOf(first, last) => (None, before(first), (first..=last).filter_map(name).collect()),
            // The newest image is the last good one.
            Culprit::NoneBad => (None, name(self.results.len() - 1), Vec::new()),
            Culprit::AllBad | Culprit::Unknown => (None, None, Vec::new()),
        }
    }

    fn also(&self, another: &NewestFailure) -> Also {
        let (first_bad, last_good, any_of) = self.range(another.culprit);
        let bad = first_bad.as_ref().or(any_of.last());
        let compare = last_good.as_ref().zip(bad).and_then(|(good, bad)| self.by_hand(&["bisect", good, bad]));
        Also { first_bad, last_good, any_of, signature: another.signature.to_string(), compare }
    }

    fn add_tested(&self, verdicts: &mut Verdicts, culprit: Option<Culprit>) {
        for version in 0..self.results.len() {
            match self.tested(version, culprit) {
                Some(tested) => verdicts.tested.push(tested),
                None => verdicts.not_tried.extend(self.candidate_at(version).cloned()),
            }
        }
    }

    fn tested(&self, version: usize, culprit: Option<Culprit>) -> Option<Tested> {
        let results = &self.results[version];
        let verdict = self.verdict(version, culprit);
        let shown = results.iter().rev().find(|r| r.verdict == verdict).or(results.last())?;
        let tally = self.tally(version);
        let unresolved = verdict == Verdict::Unresolved;
        Some(Tested {
            image: shown.image.clone(),
            image_id: shown.image_id.clone(),
            verdict,
            runs: tally.decisive() + tally.unresolved,
            fails: [tally.fails, tally.decisive()],
            outcome: shown.cell(),
            signature: signature(shown).map(|s| s.to_string()),
            not_exercised: shown.not_exercised.iter().map(|n| n.condition.to_string()).collect(),
            because: unresolved.then(|| why(shown)),
            case: shown.id.clone(),
        })
    }

    /// The verdict on an image. If its answers differ, its place in the list decides.
    fn verdict(&self, version: usize, culprit: Option<Culprit>) -> Verdict {
        let tally = self.tally(version);
        let before_bad = match culprit {
            Some(Culprit::First(first) | Culprit::AnyOf(first, _)) => version < first,
            Some(Culprit::NoneBad) => true,
            _ => false,
        };
        match (tally.passes, tally.fails) {
            (0, 0) => Verdict::Unresolved,
            (_, 0) => Verdict::Pass,
            (0, _) => Verdict::Fail,
            _ if before_bad => Verdict::Pass,
            _ => Verdict::Fail,
        }
    }

    /// The confidence in answers that agree, given that the failure may be flaky after all.
    pub(super) fn agreement_confidence(&self, culprit: Culprit) -> f64 {
        let settings = Settings { noise: Noise::unknown(DOUBT), confidence: 0.5 };
        let mut doubting = Versions::new(self.results.len(), settings);
        self.teach(&mut doubting, &verdict_reply);
        match culprit {
            Culprit::Unknown => 0.0,
            // The answers fit no noise rates well.
            _ if doubting.culprit() != culprit => 0.5,
            _ => doubting.confidence(),
        }
    }

    fn notes(&self, culprit: Culprit) -> Vec<String> {
        let mut notes: Vec<String> = self.stopped().iter().map(|why| format!("stopped early: {why}")).collect();
        let name = |version: usize| self.candidate_at(version).cloned().unwrap_or_default();
        if let Culprit::First(first) | Culprit::AnyOf(_, first) = culprit {
            let good: Vec<String> = (first + 1..self.results.len())
                .filter(|v| self.tally(*v).passes > 0 && self.tally(*v).fails == 0)
                .map(name)
                .collect();
            if !good.is_empty() {
                notes.push(format!("good again after it: {}", good.join(", ")));
            }
        }
        let confirmed = |version: &usize| self.tally(*version).decisive() != 1;
        if let Culprit::First(first) = culprit
            && self.stopped().is_none()
        {
            let open = [first - 1, first].into_iter().filter(|version| !confirmed(version));
            notes.extend(
                open.map(|version| format!("{} was run only once: its second run was unresolved", name(version))),
            );
        }
        notes
    }

    fn failure(&self, version: usize) -> Option<&CaseResult> {
        self.results[version].iter().map(Arc::as_ref).rfind(|r| r.verdict == Verdict::Fail)
    }

    fn candidate_at(&self, version: usize) -> Option<&String> {
        self.plan.candidates.get(version).map(|candidate| &candidate.facts.reference)
    }

    fn position(&self, image: &str) -> Option<usize> {
        self.plan.candidates.iter().position(|candidate| candidate.facts.reference == image)
    }
}

/// Why a run is unresolved.
fn why(result: &CaseResult) -> String {
    let reason = result.skipped.as_ref().or(result.notes.first());
    reason.cloned().unwrap_or_else(|| "the run was inconclusive".to_owned())
}
