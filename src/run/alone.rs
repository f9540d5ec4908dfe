//! A case of class C depends on time: when it ran beside others that may have held it up, it is run once more, alone. An
//! answer to the probe that is no error of the moment (401, 404 …) is no matter of time. What the rest of the machine
//! kept from the CPUs says nothing.

use crate::model::observation::{Contention, ProbeResult};
use crate::model::outcome::Cause;
use crate::model::{CaseResult, FailureClass, Verdict};

/// True when a result does not stand before its case was run alone.
#[must_use]
pub(crate) fn is_wanted(beside: bool, result: &CaseResult) -> bool {
    beside && is_matter_of_time(result) && !contention(result).is_some_and(|found| found.changed_nothing())
}

fn is_matter_of_time(result: &CaseResult) -> bool {
    result.class == Some(FailureClass::C) && !is_answered(result)
}

fn contention(result: &CaseResult) -> Option<Contention> {
    result.evidence.usage.and_then(|usage| usage.contention)
}

/// So many of the last probes of the platform's schedule must agree.
const AGREE: usize = 3;

/// True when the last probes were answered in time and with the same status of a client's mistake: a server that is slow
/// or still starting says 5xx, or nothing.
fn is_answered(result: &CaseResult) -> bool {
    let scheduled = result.evidence.probes.iter().rev().filter(|probe| !probe.early).take(AGREE);
    let of = |probe: &ProbeResult| if let ProbeResult::Status(status) = probe { Some(*status) } else { None };
    let last: Vec<Option<u16>> = scheduled.map(|probe| of(&probe.result)).collect();
    let mistake = last.first().copied().flatten().is_some_and(|status| (400..500).contains(&status));
    mistake && last.len() == AGREE && last.iter().all(|status| *status == last[0])
}

/// The result that stands; `first` is that of the run beside others. A second run that says nothing takes nothing back.
#[must_use]
pub(crate) fn stands(first: Box<CaseResult>, alone: Box<CaseResult>) -> Box<CaseResult> {
    let mut alone = unless_starved(alone);
    if alone.verdict == Verdict::Unresolved {
        let why = alone.notes.first().cloned().unwrap_or_default();
        return unless_starved(unconfirmed(first, &why));
    }
    alone.notes.push(format!("confirmed alone; beside other cases it was: {}", first.cell()));
    alone
}

/// A result that stands although its case was not run alone.
#[must_use]
pub(crate) fn unconfirmed(mut first: Box<CaseResult>, because: &str) -> Box<CaseResult> {
    first.notes.push(format!("not confirmed alone: {because}"));
    first
}

/// The result, or that it says nothing: other work kept the candidate from the CPUs until the health check gave up.
#[must_use]
pub(crate) fn unless_starved(mut result: Box<CaseResult>) -> Box<CaseResult> {
    let watched = result.evidence.probes.last().map_or(0.0, |probe| probe.at_ms);
    let Some(found) = contention(&result).filter(|found| is_matter_of_time(&result) && found.starved(watched)) else {
        return result;
    };
    let seconds = |ms: f64| ms / 1000.0;
    let why = format!(
        "the machine is busy with other work: for {:.1} s of {:.1} s something waited for a CPU, and others took {:.0} % \
         of the CPUs' time",
        seconds(found.waited_ms),
        seconds(watched),
        found.others * 100.0
    );
    let cause = Cause {
        id: "unresolved".to_owned(),
        text: format!("The run says nothing about the image: {why}"),
        fix: "Run it again when the machine is idle, or run fewer cases at a time (--jobs).".to_owned(),
        evidence: vec![why.clone()],
    };
    (result.verdict, result.class, result.outcome, result.causes) = (Verdict::Unresolved, None, None, vec![cause]);
    result.apprunner_log.clear();
    (result.operation_status, result.service_status) = (None, None);
    result.notes.insert(0, why);
    result
}
