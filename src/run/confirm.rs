//! Confirms results that depend on timing. A class C failure in parallel with other cases may be their fault, so the
//! case runs again, alone. Some do not depend on timing: a steady client error from the probe (401, 404 …), a socket on
//! the probed port that cannot be reached, a server that promptly answers on another port, and a program that used all
//! the CPU time of its own limit. A candidate that other work on the machine starved of CPU time is unresolved.

use super::idle::{is_settled, serves_elsewhere};
use crate::model::observation::Contention;
use crate::model::outcome::Cause;
use crate::model::{CaseResult, FailureClass, Verdict};

/// Whether a case has to run again, alone, before its result is final. `port`: the one that was probed.
#[must_use]
pub(crate) fn needs_rerun(beside: bool, result: &CaseResult, port: u16) -> bool {
    let watched = watched_ms(result);
    let is_plain = contention(result).is_some_and(|found| found.changed_nothing(watched)) || used_its_limit(result);
    beside && is_time_dependent(result, port) && !is_plain
}

/// The part of its CPU limit that one uses which nothing else holds back, start and end included.
const ALL: f64 = 0.9;

/// Whether it got all the CPU time that its limit allows: other work took none of that.
fn used_its_limit(result: &CaseResult) -> bool {
    let limit = result.conditions.changes().container.cpu_milli;
    let allowed_ms = |milli: u32| f64::from(milli) / 1000.0 * result.total_ms;
    limit.zip(result.evidence.usage).is_some_and(|(milli, usage)| usage.cpu_ms >= ALL * allowed_ms(milli))
}

/// For how long the health check watched it, in milliseconds.
fn watched_ms(result: &CaseResult) -> f64 {
    result.evidence.probes.last().map_or(0.0, |probe| probe.at_ms)
}

fn is_time_dependent(result: &CaseResult, port: u16) -> bool {
    let evidence = &result.evidence;
    result.class == Some(FailureClass::C) && !is_settled(evidence, port) && !serves_elsewhere(evidence, port)
}

fn contention(result: &CaseResult) -> Option<Contention> {
    result.evidence.usage.and_then(|usage| usage.contention)
}

/// The final result of a case that ran in parallel (`first`) and then alone. An unresolved second run leaves the first
/// result in place.
#[must_use]
pub(crate) fn confirmed_result(first: Box<CaseResult>, alone: Box<CaseResult>, port: u16) -> Box<CaseResult> {
    let mut alone = unless_starved(alone, port);
    if alone.verdict == Verdict::Unresolved {
        let why = alone.notes.first().cloned().unwrap_or_default();
        return unless_starved(unconfirmed(first, &why), port);
    }
    alone.notes.push(format!("confirmed alone; in parallel with other cases: {}", first.cell()));
    alone
}

/// Makes a result final although its case did not run again, alone.
#[must_use]
pub(crate) fn unconfirmed(mut first: Box<CaseResult>, because: &str) -> Box<CaseResult> {
    first.notes.push(format!("not confirmed alone: {because}"));
    first
}

/// Makes a result unresolved when other work on the machine starved the candidate of CPU time until the health check
/// gave up.
#[must_use]
pub(crate) fn unless_starved(mut result: Box<CaseResult>, port: u16) -> Box<CaseResult> {
    let watched = watched_ms(&result);
    let Some(found) = contention(&result)
        .filter(|found| found.starved(watched))
        .filter(|_| is_time_dependent(&result, port) && !used_its_limit(&result))
    else {
        return result;
    };
    let seconds = |ms: f64| ms / 1000.0;
    let why = format!(
        "the machine is busy with other work: for {:.1} s of {:.1} s some task waited for a CPU, and other work took \
         {:.0} % of CPU time",
        seconds(found.waited_ms),
        seconds(watched),
        found.others * 100.0
    );
    unresolve(&mut result, why, "Run it again when the machine is idle, or run fewer cases at a time (--jobs).");
    result
}

/// Makes a result unresolved when the health check gave up on a candidate that ran under emulation: that is many times
/// slower than on the platform.
#[must_use]
pub(crate) fn unless_only_slow(mut result: CaseResult, port: u16) -> CaseResult {
    if is_time_dependent(&result, port) {
        let why = "the engine's machine has another architecture and emulates the image's, which is many times slower: \
                   that the image was not healthy in time proves nothing";
        unresolve(&mut result, why.to_owned(), "Use an engine on a machine of the image's architecture.");
    }
    result
}

fn unresolve(result: &mut CaseResult, why: String, fix: &str) {
    let cause = Cause {
        id: "unresolved".to_owned(),
        text: format!("The run is inconclusive: {why}"),
        fix: fix.to_owned(),
        evidence: vec![why.clone()],
        ..Cause::default()
    };
    (result.verdict, result.class, result.outcome, result.causes) = (Verdict::Unresolved, None, None, vec![cause]);
    result.apprunner_log.clear();
    (result.operation_status, result.service_status) = (None, None);
    result.notes.insert(0, why);
}
