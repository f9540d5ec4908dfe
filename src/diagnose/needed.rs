//! What it means that a failure needs a condition: the image fails with it and passes without it. That is an
//! experiment, not an indication, so each condition of a minimal set gets a cause regardless of the log. Pure.

use super::causes::VAGUE;
use super::conditions::known;
use crate::catalogue::filled;
use crate::model::outcome::Cause;
use crate::model::{ConditionSet, Platform};

/// The causes of a failure that needs all of these conditions: those observed, and for each condition that none of them
/// covers, the meaning of needing it. `runs`: number of failed runs, and of all runs.
#[must_use]
pub(crate) fn with_needed(seen: Vec<Cause>, needed: &ConditionSet, runs: [u32; 2], platform: &Platform) -> Vec<Cause> {
    let (vague, mut all): (Vec<Cause>, Vec<Cause>) =
        seen.into_iter().partition(|cause| VAGUE.contains(&cause.id.as_str()));
    for condition in needed.iter() {
        let meaning = known(condition).meaning();
        let told = all.iter().any(|c| c.is(meaning.id) || meaning.told_by.iter().any(|id| c.is(id)));
        // Settings write their fields in lower case.
        let names = |text: &str, name: &str| text.to_ascii_uppercase().contains(&name.to_ascii_uppercase());
        // A cause that does not name the variable is about something else.
        let variable = condition.variable();
        let named = variable.is_none_or(|variable| all.iter().any(|c| names(&c.text, &variable.name)));
        if told && named {
            continue;
        }
        let with =
            if needed.iter().count() > 1 { format!("{needed}, of which it needs each") } else { needed.to_string() };
        let evidence = format!("runs: {} of {} under {with} failed; without {condition} it passes", runs[0], runs[1]);
        let fix = filled(meaning.fix, &|word: &str| platform.ways.get(word).cloned());
        all.push(Cause {
            id: meaning.id.to_owned(),
            text: meaning.text,
            fix,
            evidence: vec![evidence],
            also: Vec::new(),
        });
    }
    all.extend(vague);
    all
}

#[cfg(test)]
mod tests;
