//! A case of class C depends on time: when it ran beside others, it is run once more, alone.

use crate::model::{CaseResult, FailureClass, Verdict};

/// True when a result does not stand before its case was run alone.
#[must_use]
pub fn is_wanted(beside: bool, result: &CaseResult) -> bool {
    beside && result.class == Some(FailureClass::C)
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
