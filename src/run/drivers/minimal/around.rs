//! What follows the main search: other forms of the conditions, failures with another signature, and the exact limits
//! and delays of the sets that were found.

use std::collections::BTreeMap;

use super::memory::Universe;
use super::{FEW_FORMS, Inquiry};
use crate::diagnose::signature::{Signature, signature};
use crate::model::answer::{Left, OtherFailure};
use crate::model::service::UpstreamKind;
use crate::model::{CaseResult, Condition, ConditionSet, Verdict};
use crate::search::descent::descend;
use crate::search::minimal::Findings;
use crate::search::noise::Answer;
use crate::search::set::{MOST, Set};

/// Confidence needed for a form: lower than the main search's, which has measured how flaky the image is.
const CONFIDENCE: f64 = 0.9;
/// Maximum number of runs for a failure with another signature.
const MOST_RUNS_PER_SIGNATURE: usize = 8;
/// Maximum number of failures with another signature.
const MOST_SIGNATURES: usize = 3;

/// What was found after the main search.
#[derive(Default)]
pub(super) struct Around {
    /// Failing sets with another form of a condition, and the confidence in each.
    pub(super) sets: Vec<(ConditionSet, f64)>,
    /// Failing sets that may not be minimal.
    pub(super) perhaps: Vec<ConditionSet>,
    /// Failures with another signature.
    pub(super) others: Vec<OtherFailure>,
    /// The limits and delays that were found, for each set.
    pub(super) limits: Vec<(ConditionSet, String)>,
    /// Conditions that were not tried because a related one fails.
    pub(super) untried: Vec<Left>,
    /// Number of pairs of conditions that no run imposed together.
    pub(super) uncombined: usize,
    /// What else was not tried, with the reason.
    pub(super) not_tried: Vec<String>,
    /// Whether a search was inconclusive.
    pub(super) open: bool,
}

/// The other forms of conditions, in groups whose members may be imposed together.
#[derive(Default)]
struct Forms {
    groups: Vec<Vec<Condition>>,
    /// Forms that would show nothing new.
    redundant: Vec<Left>,
    /// Forms that no run exercises.
    not_exercised: Vec<Left>,
}

impl Inquiry<'_, '_> {
    pub(super) async fn around(&mut self, universe: &Universe, main: &Findings) -> Around {
        let mut around = Around::default();
        let mut found: Vec<ConditionSet> = main.sets.iter().map(|set| universe.conditions(*set)).collect();
        self.with_healers(universe, main, &found, &mut around).await;
        found.extend(around.sets.iter().map(|(set, _)| set.clone()));
        self.forms(&found, &mut around).await;
        let all: Vec<ConditionSet> = found.iter().chain(around.sets.iter().map(|(set, _)| set)).cloned().collect();
        self.cancel_speculative(&self.milder(&all));
        self.other_signatures(&all, &mut around).await;
        self.limits_of(&all, &mut around).await;
        // A form may have made the program exercise a condition that was ruled out.
        let aside = std::mem::take(&mut self.pruned);
        for left in aside {
            if self.not_exercised_because(&left.condition).is_some() {
                self.pruned.push(left);
            }
        }
        around
    }

    /// Failing sets with conditions that prevent another failure, which the main search excludes. These conditions are
    /// imposed in every run, and what fails then is shrunk.
    async fn with_healers(
        &mut self,
        universe: &Universe,
        main: &Findings,
        found: &[ConditionSet],
        around: &mut Around,
    ) {
        for healing in &main.healed {
            let healers = universe.conditions(healing.healers);
            if self.is_over() {
                around.not_tried.push(format!("{healers} with other conditions: out of time"));
                continue;
            }
            self.report_activity("searching sets with conditions that prevent failures");
            let alone = |c: &Condition| found.iter().any(|set| set.has(c) && set.iter().count() == 1);
            let rest = |n: &usize| !healing.healers.has(*n) && !universe.bundles[*n].iter().any(alone);
            let bundles = (0..universe.bundles.len()).filter(rest).map(|n| universe.bundles[n].clone()).collect();
            let with = Universe { base: healers.iter().cloned().collect(), bundles, may_hide: true };
            let universes = [with];
            let (findings, end) = self.search_among(&universes, CONFIDENCE, false).await;
            around.open |= end.is_none() || !findings.iter().all(Findings::complete);
            let failing = findings.iter().flat_map(|of| of.sets.iter().chain(&of.perhaps));
            let failing: Vec<ConditionSet> = failing.map(|set| universes[0].conditions(*set)).collect();
            for set in failing.iter().filter(|set| !found.iter().any(|known| known.is_subset(set))) {
                self.within(set, &healers, around).await;
            }
        }
    }

    /// The minimal failing parts of a set that include one of the healers.
    async fn within(&mut self, set: &ConditionSet, healers: &ConditionSet, around: &mut Around) {
        let universes = [Universe::each(set.iter().cloned())];
        let (findings, end) = self.search_among(&universes, CONFIDENCE, false).await;
        around.open |= end.is_none();
        for findings in findings {
            around.open |= !findings.complete();
            let perhaps = findings.perhaps.iter().map(|set| universes[0].conditions(*set));
            around.perhaps.extend(perhaps.filter(|set| set.iter().any(|c| healers.has(c))));
            let sets = findings.sets.iter().map(|set| universes[0].conditions(*set));
            let new = |set: &ConditionSet| {
                set.iter().any(|c| healers.has(c)) && around.sets.iter().all(|(known, _)| known != set)
            };
            let new: Vec<ConditionSet> = sets.filter(new).collect();
            around.sets.extend(new.into_iter().map(|set| (set, findings.confidence)));
        }
    }

    /// Other forms of the conditions (a slower resolver, a late network), where the first form did not fail.
    async fn forms(&mut self, found: &[ConditionSet], around: &mut Around) {
        let Forms { groups, redundant, not_exercised } = loop {
            let forms = self.forms_beside(found);
            if self.is_over() {
                let late = forms.groups.iter().flatten().map(|c| format!("{c}: out of time"));
                around.not_tried.extend(late);
                break forms;
            }
            // Again, when this host could not impose one of them.
            if forms.groups.is_empty() || self.search_groups(&forms.groups, found, around).await {
                break forms;
            }
        };
        around.uncombined = self.uncombined(&groups, found);
        self.pruned.extend(not_exercised);
        around.untried = redundant;
    }

    /// Number of pairs of a form and another condition that could be imposed together and were not, because the groups
    /// of forms were searched one by one.
    fn uncombined(&self, groups: &[Vec<Condition>], found: &[ConditionSet]) -> usize {
        let alone = |c: &&Condition| found.iter().any(|set| set.has(c) && set.iter().count() == 1);
        let mut within: BTreeMap<&Condition, u64> = BTreeMap::new();
        let universes: Vec<Universe> = groups.iter().map(|group| self.form_universe(group, found)).collect();
        // More groups than bits are taken as not searched.
        for (n, universe) in universes.iter().enumerate().take(64) {
            universe.bundles.iter().flatten().for_each(|c| *within.entry(c).or_default() |= 1 << n);
        }
        let of = |c: &Condition| within.get(c).copied().unwrap_or_default();
        let forms: Vec<&Condition> = groups.iter().flatten().filter(|form| !alone(form)).collect();
        let others: Vec<&Condition> = self.active.iter().filter(|c| !alone(c)).collect();
        let beside = |n: usize| forms[n + 1..].iter().chain(&others);
        let is_open = |form: &Condition, other: &Condition| of(form) & of(other) == 0 && !form.excludes(other);
        (0..forms.len()).map(|n| beside(n).filter(|other| is_open(forms[n], other)).count()).sum()
    }

    fn forms_beside(&mut self, found: &[ConditionSet]) -> Forms {
        let mut forms = Forms::default();
        let question = self.question;
        let unexplained = self.is_log_unexplained();
        for form in &question.search.forms {
            if self.skipped.iter().any(|s| s.condition == *form) {
                continue;
            }
            if let Some(because) = self.not_exercised_because(form) {
                forms.not_exercised.push(Left { condition: form.clone(), because });
                continue;
            }
            let covering = found.iter().flat_map(ConditionSet::iter).find(|failing| form.is_covered_by(failing));
            if let Some(failing) = covering.filter(|_| !unexplained && !self.is_pointed_at(form)) {
                let because = format!("{failing} already fails");
                forms.redundant.push(Left { condition: form.clone(), because });
                continue;
            }
            // A search is limited in size, and forms are searched together with the battery.
            let room = MOST.saturating_sub(question.search.conditions.len());
            let fits = |group: &&mut Vec<Condition>| {
                group.len() < room
                    && group.iter().all(|c| c.is_of_network() == form.is_of_network() && !c.excludes(form))
            };
            match forms.groups.iter_mut().find(fits) {
                Some(group) => group.push(form.clone()),
                None => forms.groups.push(vec![form.clone()]),
            }
        }
        forms
    }

    /// Starts runs that the search among forms will need if the main search ends with `found`.
    pub(super) fn start_forms_ahead(&mut self, found: &[ConditionSet]) {
        let groups = self.forms_beside(found).groups;
        let needed = self.needed_by_clean_start(groups.iter().flatten());
        let is_needed = |form: &Condition| needed.iter().any(|(needed, _)| needed == form);
        for group in groups {
            let universe = self.form_universe(&group, found);
            let all = universe.conditions(universe.all());
            let failed = group.len() <= FEW_FORMS && self.memory.last_answer(&all) == Some(Answer::Fail);
            let likely =
                group.iter().filter(|form| failed || (self.is_about_service_container(form) && is_needed(form)));
            let alone: Vec<ConditionSet> =
                likely.map(|form| ConditionSet::new([form.clone()]).unwrap_or_default()).collect();
            for set in std::iter::once(all).chain(alone) {
                // A set that includes a failing one fails.
                let fails = found.iter().any(|known| known.is_subset(&set));
                let known = fails || self.is_running(&set) || self.memory.last_answer(&set).is_some();
                if !known && self.conductor.free() > 0 {
                    self.start(set);
                }
            }
        }
    }

    /// Whether a form affects a service container. A program refused by its database usually exits; a web client may
    /// not.
    fn is_about_service_container(&self, form: &Condition) -> bool {
        let Some(host) = form.upstream() else { return false };
        let upstreams = &self.question.service.upstreams;
        upstreams.iter().any(|upstream| upstream.host == *host && matches!(upstream.kind, UpstreamKind::Container(_)))
    }

    /// Searches each group of forms together with the conditions that do not fail alone and do not exclude it. False
    /// when this host cannot impose one of them.
    async fn search_groups(&mut self, groups: &[Vec<Condition>], found: &[ConditionSet], around: &mut Around) -> bool {
        self.report_activity("searching other forms of the conditions");
        let mut universes: Vec<Universe> = groups.iter().map(|group| self.form_universe(group, found)).collect();
        let (mut findings, end) = self.search_among(&universes, CONFIDENCE, false).await;
        if end.is_none() {
            return false;
        }
        // A form may make the program exercise a condition that was ruled out.
        let matters = |(universe, findings): (&Universe, &Findings)| {
            let mut blamed = findings.sets.iter().chain(&findings.perhaps).flat_map(|set| set.iter());
            blamed.any(|n| universe.bundles[n].len() > 1)
        };
        let restored: Vec<bool> = universes.iter().zip(&findings).map(matters).collect();
        if restored.contains(&true) {
            for (universe, _) in universes.iter_mut().zip(restored).filter(|(_, restored)| *restored) {
                *universe = Universe::each(universe.bundles.concat());
            }
            let end;
            (findings, end) = self.search_among(&universes, CONFIDENCE, false).await;
            if end.is_none() {
                return false;
            }
        }
        for ((group, universe), findings) in groups.iter().zip(&universes).zip(findings) {
            around.open |= !findings.complete();
            let with_form = |sets: &[Set]| -> Vec<ConditionSet> {
                let sets = sets.iter().map(|set| universe.conditions(*set));
                sets.filter(|set| set.iter().any(|c| group.contains(c))).collect()
            };
            let mut new = with_form(&findings.sets);
            new.retain(|set| around.sets.iter().all(|(known, _)| known != set));
            around.sets.extend(new.into_iter().map(|set| (set, findings.confidence)));
            around.perhaps.extend(with_form(&findings.perhaps));
        }
        true
    }

    /// The universe of a group of forms. As in the main search, conditions ruled out are one bundle.
    fn form_universe(&self, group: &[Condition], found: &[ConditionSet]) -> Universe {
        let network = group.iter().any(Condition::is_of_network);
        let alone = |c: &Condition| found.iter().any(|set| set.has(c) && set.iter().count() == 1);
        let fits = |c: &Condition| {
            let clash = network && c.is_of_network();
            !clash && !alone(c) && !group.iter().any(|form| form.excludes(c))
        };
        let active = self.active.iter().filter(|c| fits(c)).chain(group).cloned();
        let battery = &self.question.search.conditions;
        let aside = self.pruned.iter().map(|left| &left.condition).filter(|c| battery.contains(c) && fits(c));
        Universe::each(active).and(aside.cloned().collect())
    }

    /// Failures with a signature that none of the sets has, and that these sets therefore hide.
    async fn other_signatures(&mut self, sets: &[ConditionSet], around: &mut Around) {
        let known: Vec<Signature> =
            sets.iter().filter_map(|set| self.memory.failure(set)).filter_map(signature).collect();
        let mut others: Vec<(Signature, ConditionSet)> = Vec::new();
        for (signature, seen) in self.memory.signatures() {
            // Two of the sets at once produce a mix of their failures.
            let single = |set: &&&ConditionSet| sets.iter().filter(|known| known.is_subset(set)).count() < 2;
            let smallest = seen.iter().filter(single).min_by_key(|set| set.iter().count());
            if let Some(set) = smallest.filter(|_| !known.contains(&signature)) {
                others.push((signature, (*set).clone()));
            }
        }
        others.truncate(MOST_SIGNATURES);
        let small = self.shrink(&others).await;
        for ((signature, _), conditions) in others.into_iter().zip(small) {
            let Some(conditions) = conditions else {
                around.not_tried.push(format!("a minimal set for: {signature}"));
                continue;
            };
            let Some(behind) = sets.iter().find(|s| s.is_subset(&conditions)).cloned() else { continue };
            around.others.push(OtherFailure { signature: signature.to_string(), conditions, behind });
        }
    }

    /// Shrinks each set to a small part that fails with the same signature, in parallel; `None` when time is up. A
    /// failure with another signature is no answer.
    async fn shrink(&mut self, failures: &[(Signature, ConditionSet)]) -> Vec<Option<ConditionSet>> {
        let mut left = vec![MOST_RUNS_PER_SIGNATURE; failures.len()];
        while !self.is_over() {
            let mut waits = false;
            for ((signature, set), left) in failures.iter().zip(&mut left) {
                let Err(needed) = self.small_part(signature, set) else { continue };
                let is_begun = self.is_running(&needed);
                if !is_begun && *left > 0 && self.conductor.free() > 0 {
                    *left -= 1;
                    self.start(needed);
                }
                waits |= is_begun || *left > 0;
            }
            if !waits && self.conductor.is_idle() {
                break;
            }
            self.next_result().await;
        }
        let stopped = self.is_over();
        let of = |(signature, set): &(Signature, ConditionSet)| match self.small_part(signature, set) {
            Ok(small) => Some(small),
            Err(_) => (!stopped).then(|| set.clone()),
        };
        failures.iter().map(of).collect()
    }

    /// The smallest known part of the set that fails with this signature, or as an error the set to run next.
    fn small_part(&self, signature: &Signature, set: &ConditionSet) -> Result<ConditionSet, ConditionSet> {
        let universe = Universe::each(set.iter().cloned());
        let answers = |part: Set| self.answer_for(signature, &universe.conditions(part));
        let descent = descend(universe.all(), &[], &answers);
        match (descent.minimal.first().or(descent.perhaps.first()), descent.needed.first()) {
            (None, Some(needed)) => Err(universe.conditions(*needed)),
            (small, _) => Ok(small.map_or_else(|| set.clone(), |small| universe.conditions(*small))),
        }
    }

    fn answer_for(&self, wanted: &Signature, set: &ConditionSet) -> Option<Answer> {
        let runs: Vec<_> = self.memory.results().iter().filter(|r| r.conditions == *set).collect();
        let same = |r: &CaseResult| signature(r).as_ref() == Some(wanted);
        if runs.iter().any(|r| same(r)) {
            return Some(Answer::Fail);
        }
        let last = runs.last()?;
        Some(if last.verdict == Verdict::Pass { Answer::Pass } else { Answer::Unresolved })
    }
}
