//! Which conditions can be left out of a search, because a run without them shows that they would not be met? Pure.
//!
//! A run tells this for the state that it was in: another condition may make the candidate do what it did not do, and
//! then what was left out is taken in again. So the question is always asked of every run that there is.

use super::conditions::known;
use super::run::Seen;
use crate::model::Condition;

/// Why a condition would not be met by a run that went as this one; nothing where that cannot be told.
#[must_use]
pub(crate) fn would_not_meet(condition: &Condition, seen: &Seen<'_>) -> Option<String> {
    // A process that failed may have been on the way to it.
    if seen.healthy { known(condition).ruled_out(seen) } else { None }
}

/// True when a run did what the condition is about, whether it had the condition or not. A run that failed tells this of
/// the network only: what else it would have done is not known.
#[must_use]
pub(crate) fn touches(condition: &Condition, seen: &Seen<'_>) -> bool {
    known(condition).is_touched(seen)
}
