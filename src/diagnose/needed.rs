//! What it means that a failure needs a condition: with it the image fails, without it the same image passes. That is
//! an experiment and not a sign, so each condition of a minimal set has a cause, whatever the log says. Pure.

use super::conditions::known;
use super::rules::filled;
use crate::model::outcome::Cause;
use crate::model::{ConditionSet, Platform};

/// Causes that say nothing which an experiment does not say better.
const VAGUE: [&str; 2] = ["uncaught-exception", "no-output"];

/// The causes of a failure that needs all of these conditions: those that were seen, and for each condition that none
/// of them speaks of, what its being needed means. `runs`: how many failed with them, of how many.
#[must_use]
pub(crate) fn with_needed(seen: Vec<Cause>, needed: &ConditionSet, runs: [u32; 2], platform: &Platform) -> Vec<Cause> {
    let (vague, mut all): (Vec<Cause>, Vec<Cause>) =
        seen.into_iter().partition(|cause| VAGUE.contains(&cause.id.as_str()));
    for condition in needed.iter() {
        let meaning = known(condition).meaning();
        let told = all.iter().any(|c| c.id == meaning.id || meaning.told_by.contains(&c.id.as_str()));
        // Settings name their fields in small letters.
        let names = |text: &str, name: &str| text.to_ascii_uppercase().contains(&name.to_ascii_uppercase());
        // A cause that does not name the variable does not tell of it.
        let variable = condition.variable();
        let named = variable.is_none_or(|variable| all.iter().any(|c| names(&c.text, &variable.name)));
        if told && named {
            continue;
        }
        let with =
            if needed.iter().count() > 1 { format!("{needed}, of which it needs each") } else { needed.to_string() };
        let evidence = format!("runs: {} of {} under {with} failed; without {condition} it passes", runs[0], runs[1]);
        let fix = filled(meaning.fix, &|word: &str| platform.ways.get(word).cloned());
        all.push(Cause { id: meaning.id.to_owned(), text: meaning.text, fix, evidence: vec![evidence] });
    }
    all.extend(vague);
    all
}

#[cfg(test)]
mod tests;
