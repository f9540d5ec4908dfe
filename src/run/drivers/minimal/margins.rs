//! The smallest limits and the longest delays that pass, around the sets that were found.

use super::Inquiry;
use super::around::Around;
use crate::model::{Condition, ConditionSet};
use crate::search::noise::Answer;
use crate::search::threshold::Threshold;

/// Most forms of one condition that run at a time.
const MOST_AT_A_TIME: usize = 3;

/// The search for the margin of one condition in a set.
struct Margin<'a> {
    set: &'a ConditionSet,
    condition: &'a Condition,
    /// The set with each milder form of the condition, mildest first.
    milder: Vec<(Condition, ConditionSet)>,
    threshold: Threshold,
    /// The forms that run.
    open: Vec<usize>,
}

impl Inquiry<'_, '_> {
    /// Finds the smallest limit and the longest delay that pass, of all sets side by side.
    pub(super) async fn limits_of(&mut self, sets: &[ConditionSet], around: &mut Around) {
        let mut margins = self.margins(sets);
        if margins.is_empty() {
            return;
        }
        self.report_activity("measuring limits and delays");
        while !self.is_over() {
            for margin in &mut margins {
                self.advance(margin);
            }
            if margins.iter().all(|margin| margin.open.is_empty()) && self.conductor.is_idle() {
                break;
            }
            self.next_result().await;
        }
        for margin in &margins {
            match margin.text() {
                Some(text) => around.limits.push((margin.set.clone(), text)),
                None if self.is_over() => around.not_tried.push(format!("milder forms of {}", margin.condition)),
                None => {}
            }
        }
    }

    /// Starts runs that the search for margins will need if the main search ends with `found`.
    pub(super) fn start_limits_ahead(&mut self, found: &[ConditionSet]) {
        for mut margin in self.margins(found) {
            if self.conductor.free() > 0 {
                self.advance(&mut margin);
            }
        }
    }

    /// The sets with each milder form of one of their conditions.
    pub(super) fn milder(&self, sets: &[ConditionSet]) -> Vec<ConditionSet> {
        self.margins(sets).into_iter().flat_map(|margin| margin.milder).map(|(_, set)| set).collect()
    }

    fn margins<'a>(&self, sets: &'a [ConditionSet]) -> Vec<Margin<'a>> {
        sets.iter().flat_map(|set| set.iter().filter_map(|condition| self.margin(set, condition))).collect()
    }

    fn margin<'a>(&self, set: &'a ConditionSet, condition: &'a Condition) -> Option<Margin<'a>> {
        let service = &self.question.service;
        let with = |level: Condition| {
            let changed = set.iter().map(|c| if c == condition { level.clone() } else { c.clone() });
            Some((level.clone(), ConditionSet::new(changed).ok()?))
        };
        let milder: Vec<_> = condition.milder(&service.platform).into_iter().filter_map(with).collect();
        let usage = self.clean_start().and_then(|start| start.evidence.usage);
        let within = service.health_check.limit();
        let short: Option<Vec<bool>> =
            usage.and_then(|usage| milder.iter().map(|(level, _)| level.is_short_of(&usage, within)).collect());
        let expected = short.map(|short| short.iter().position(|short| *short).unwrap_or(short.len()));
        let threshold = Threshold::new(milder.len(), expected);
        (!milder.is_empty()).then_some(Margin { set, condition, milder, threshold, open: Vec::new() })
    }

    /// Records the forms that have their answer, and starts the next ones.
    fn advance(&mut self, margin: &mut Margin<'_>) {
        for form in std::mem::take(&mut margin.open) {
            let set = &margin.milder[form].1;
            match self.memory.last_answer(set) {
                _ if self.is_running(set) => margin.open.push(form),
                Some(answer) => margin.threshold.record(form, answer),
                // Its run broke off.
                None => margin.threshold.record(form, Answer::Unresolved),
            }
        }
        if !margin.open.is_empty() {
            return;
        }
        for form in margin.threshold.next(MOST_AT_A_TIME) {
            let set = margin.milder[form].1.clone();
            if self.memory.last_answer(&set).is_none() && !self.is_running(&set) {
                self.start(set);
            }
            margin.open.push(form);
        }
    }
}

impl Margin<'_> {
    /// What was found, in words.
    fn text(&self) -> Option<String> {
        let found = self.threshold.found()?;
        let form = |n: usize| &self.milder[n].0;
        Some(match (found.passes.map(form), found.fails.map(form)) {
            (Some(passes), Some(fails)) => format!("passes with {passes}, fails with {fails}"),
            (Some(passes), None) => format!("passes with {passes}, fails with {}", self.condition),
            (None, _) => format!("fails with every milder form tried, down to {}", form(0)),
        })
    }
}
