//! A case of class C depends on time: when it ran beside others, it is run once more, alone. An answer to the probe that
//! is no error of the moment (401, 404 …) is no matter of time.

use crate::model::observation::ProbeResult;
use crate::model::{CaseResult, FailureClass, Verdict};

/// True when a result does not stand before its case was run alone.
#[must_use]
pub fn is_wanted(beside: bool, result: &CaseResult) -> bool {
    beside && result.class == Some(FailureClass::C) && !is_answered(result)
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
pub fn stands(first: Box<CaseResult>, mut alone: Box<CaseResult>) -> Box<CaseResult> {
    if alone.verdict == Verdict::Unresolved {
        let why = alone.notes.first().cloned().unwrap_or_default();
        return unconfirmed(first, &why);
    }
    alone.notes.push(format!("confirmed alone; beside other cases it was: {}", first.cell()));
    alone
}

/// A result that stands although its case was not run alone.
#[must_use]
pub fn unconfirmed(mut first: Box<CaseResult>, because: &str) -> Box<CaseResult> {
    first.notes.push(format!("not confirmed alone: {because}"));
    first
}
