//! What a search says ahead of its answer, in a sentence.

use super::story::{FailingSet, clauses};
use super::style::{HEAD, styled, wrap};
use crate::model::answer::Told;

/// What a search says ahead of its answer.
pub(crate) fn first(told: &Told) -> String {
    let set = FailingSet {
        conditions: told.conditions.clone(),
        signature: String::new(),
        outcome: told.outcome.clone(),
        exit_code: told.exit_code,
        causes: Vec::new(),
    };
    let predicate = clauses(&[set]);
    let sentence = match (told.tentative, told.conditions.is_empty()) {
        (true, true) => format!("So far it looks as if it {predicate}; its health check goes on."),
        (true, false) => format!("So far it looks as if it {predicate}; this is being tried."),
        (false, _) => format!("It {predicate}."),
    };
    let cause = told.cause.as_ref().map(|cause| format!(" {cause}")).unwrap_or_default();
    let when = format!("after {:.1} s", told.seconds);
    format!("{} {}", styled(HEAD, &when), wrap(&format!("{sentence}{cause}"), when.len() + 1))
}
