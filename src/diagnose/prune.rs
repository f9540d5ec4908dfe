//! Which conditions can be left out of a search, because a run without them shows that they would have no effect? Pure.
//!
//! A run shows this only for its own state: another condition may change the candidate's behaviour, and then a pruned
//! condition returns. So this is always checked against every run.

use super::conditions::known;
use super::run::Seen;
use crate::model::Condition;

/// Why a condition would have no effect on a run like this one; `None` if that is unknown.
#[must_use]
pub(crate) fn would_not_meet(condition: &Condition, seen: &Seen<'_>) -> Option<String> {
    // A failed process may have been about to reach it.
    if seen.healthy { known(condition).ruled_out(seen) } else { None }
}

/// Whether a run did what the condition affects, with or without the condition. A failed run shows this for the network
/// only: what else it would have done is unknown.
#[must_use]
pub(crate) fn touches(condition: &Condition, seen: &Seen<'_>) -> bool {
    known(condition).is_touched(seen)
}
