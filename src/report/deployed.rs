//! What broke a deployment, in words: the first part of the answer of `why`, and what else would fail.

use std::collections::BTreeSet;

use super::story::{FailingSet, clauses};
use super::view::plural;
use crate::model::answer::{Answer, MinimalSet, Repair, RepairKind};
use crate::model::deployment::{Applies, Broke, Certainty, Ground, NOT_PUSHED, Shown, Suspect};
use crate::model::image::plain_name;
use crate::model::outcome::{Cause, Outcome, Verdict};
use crate::model::{Condition, ConditionSet};

/// What comes before the rest of what fails.
pub(super) const ALSO: &str = "These would also make it fail, but do not match your deployment:";

/// The answer about a deployment.
pub(super) struct Deployed {
    /// What broke it, in a sentence.
    pub(super) headline: String,
    /// How certain that is.
    pub(super) certainty: Certainty,
    /// What supports it, and what to do: a keyword and a text.
    pub(super) lines: Vec<(&'static str, String)>,
    /// What would fail as well.
    pub(super) also: Option<String>,
}

/// The answer about a deployment. `outcome` finds how a set failed.
pub(super) fn deployed(answer: &Answer, broke: &Broke, outcome: impl Fn(&MinimalSet) -> Option<Outcome>) -> Deployed {
    let first = broke.likely.first();
    let certainty = first.map_or(Certainty::Undecided, |suspect| suspect.certainty);
    let failing = |set: &MinimalSet| FailingSet {
        conditions: set.conditions.clone(),
        signature: set.signature.clone(),
        outcome: outcome(set).or(Some(Outcome::Exited)),
        exit_code: set.exit_code,
        causes: Vec::new(),
    };
    // Suspects of the same certainty are named together.
    let sets: Vec<&MinimalSet> = broke
        .likely
        .iter()
        .filter(|suspect| suspect.certainty == certainty)
        .filter_map(|suspect| set_of(answer, suspect))
        .collect();
    let predicate = clauses(&sets.iter().map(|set| failing(set)).collect::<Vec<_>>());
    let headline = headline(answer, first, &predicate);
    let mut lines: Vec<(&'static str, String)> = Vec::new();
    if !broke.matches.is_empty() {
        lines.push(("matches", broke.matches.iter().map(cited).collect::<Vec<_>>().join("; ")));
    }
    let finding = first.and_then(|suspect| finding_of(answer, suspect));
    let causes: Vec<&Cause> = match (sets.first(), finding) {
        (_, Some(cause)) => vec![cause],
        (Some(set), None) => set.causes.iter().collect(),
        (None, None) => Vec::new(),
    };
    for (n, cause) in causes.iter().enumerate() {
        lines.push(("why", cause.text.clone()));
        let place = cause.evidence.iter().find_map(|evidence| evidence.strip_prefix("traceback: "));
        lines.extend(place.map(|place| ("where", place.to_owned())));
        let is_new = causes[..n].iter().all(|earlier| earlier.fix != cause.fix);
        lines.extend(is_new.then(|| ("fix", cause.fix.clone())));
    }
    lines.extend(sets.first().and_then(|set| contradicted(broke, &set.conditions)).map(|text| ("but", text)));
    lines.extend(sets.first().into_iter().flat_map(|set| healed(&set.repairs)).map(|text| ("heals", text)));
    if let Some(set) = sets.first().filter(|set| set.fails[1] > 0) {
        let because = first.map(|suspect| format!(" · {}", suspect.because)).unwrap_or_default();
        lines.push(("proof", format!("{}{because}", proof(set, answer))));
        lines.push(("rerun", set.repro.clone()));
    } else if let Some(suspect) = first {
        lines.push(("because", suspect.because.clone()));
    }
    lines.extend(first.and_then(|suspect| Some(("settle", suspect.settles.clone()?))));
    // The hypothesis that follows if the first does not hold.
    let next = broke.likely.iter().filter(|suspect| suspect.certainty != certainty);
    let next: Vec<FailingSet> = next.filter_map(|suspect| set_of(answer, suspect)).map(failing).collect();
    if !next.is_empty() {
        lines.push(("next", format!("otherwise: it {}", clauses(&next))));
    }
    lines.extend(answer.needs.iter().map(|need| ("needs", format!("{}; {}", need.text, need.how()))));
    Deployed { headline, certainty, lines, also: also(answer, broke) }
}

/// What a file of the user's says against a set that the log shows.
fn contradicted(broke: &Broke, set: &ConditionSet) -> Option<String> {
    let ground = set.iter().find_map(|condition| ruled_out(broke, condition))?;
    Some(format!(
        "{} says that {}. The log shows that it was not so in the deployment: compare the file with `aws apprunner \
         describe-service`.",
        ground.source.as_deref()?,
        ground.because
    ))
}

/// Why a condition did not apply, if a file says so.
fn ruled_out<'a>(broke: &'a Broke, condition: &Condition) -> Option<&'a Ground> {
    let of = broke.standing.iter().find(|of| of.condition == *condition)?;
    Some(&of.ground).filter(|ground| ground.is == Applies::RuledOut)
}

/// What was run instead and stayed healthy, fixes first, and what did not help.
pub(super) fn healed<'a>(repairs: impl IntoIterator<Item = &'a Repair>) -> Vec<String> {
    let seconds = |ms: Option<f64>| ms.map(|ms| format!(" in {:.1} s", ms / 1000.0)).unwrap_or_default();
    let decided: Vec<&Repair> = repairs.into_iter().filter(|repair| repair.verified.is_some()).collect();
    let works = decided.iter().filter(|repair| repair.verified == Some(true));
    let mut lines: Vec<String> = works
        .map(|repair| match repair.kind {
            RepairKind::Fix => format!("✓ verified: healthy{} when {}", seconds(repair.healthy_ms), repair.text),
            RepairKind::Proof => {
                let (seconds, text) = (seconds(repair.healthy_ms), &repair.text);
                format!("healthy{seconds} when {text}: this confirms the cause but is not a fix")
            }
        })
        .collect();
    let useless = decided.iter().filter(|repair| repair.verified == Some(false) && !repair.uncovers);
    let useless: Vec<&str> = useless.map(|repair| repair.id.as_str()).collect();
    if !useless.is_empty() {
        lines.push(format!("did not help: {}", useless.join(", ")));
    }
    lines
}

fn headline(answer: &Answer, first: Option<&Suspect>, predicate: &str) -> String {
    let (name, platform) = (plain_name(&answer.image), &answer.platform_name);
    let healthy = match answer.verdict {
        Verdict::Pass => format!(" {name} is healthy with everything that was in force."),
        Verdict::Fail | Verdict::Unresolved => String::new(),
    };
    let Some(first) = first else {
        return format!("What broke the deployment on {platform} is undecided: no run failed as in the log.{healthy}");
    };
    match (first.part.split(':').next(), first.certainty) {
        (Some("class_a"), _) => {
            format!("The deployment failed before {name} was started, which no local run can show.")
        }
        (_, Certainty::Likely | Certainty::Undecided) if !answer.settled => {
            let runs = plural(answer.runs, "run");
            format!(
                "What broke {name} on {platform} is not known yet: the search ended before it was done, after {runs}."
            )
        }
        (Some("static"), _) if finding_of(answer, first).is_some_and(|cause| cause.id == NOT_PUSHED) => {
            format!(
                "No line of the application is in these logs: {name} was probably pushed for another architecture than \
                 {platform} has. The application's own log would show any other cause."
            )
        }
        (Some("static"), _) => format!("The log names what probably broke the deployment on {platform}.{healthy}"),
        (_, Certainty::Proved) => format!("On {platform}, {name} {predicate}."),
        (_, Certainty::Likely) => format!("On {platform}, {name} probably {predicate}."),
        (_, Certainty::Undecided) => {
            format!("What broke {name} on {platform} is undecided. The next thing to look at: it {predicate}.")
        }
    }
}

fn set_of<'a>(answer: &'a Answer, suspect: &Suspect) -> Option<&'a MinimalSet> {
    match suspect.part.split_once(':') {
        Some(("set", n)) => answer.minimal_sets.get(n.parse::<usize>().ok()?),
        None => answer.minimal_sets.iter().find(|set| set.conditions.is_empty()),
        Some(_) => None,
    }
}

fn finding_of<'a>(answer: &'a Answer, suspect: &Suspect) -> Option<&'a Cause> {
    let n = suspect.part.strip_prefix("static:")?.parse::<usize>().ok()?;
    answer.findings.get(n).map(|finding| &finding.cause)
}

/// `service.log:3 "…"`, `update.json: …`.
fn cited(shown: &Shown) -> String {
    match shown.line {
        Some(line) => format!("{}:{line} \"{}\"", shown.source, shown.text),
        None => format!("{}: {}", shown.source, shown.text),
    }
}

/// How often a set failed, and what the search took.
fn proof(set: &MinimalSet, answer: &Answer) -> String {
    let [fails, runs] = set.fails;
    let with = if set.conditions.is_empty() {
        "under friendly conditions".to_owned()
    } else {
        format!("with {}", set.conditions)
    };
    let without = if set.passes_without_each && !set.conditions.is_empty() { ", passes without" } else { "" };
    format!("fails {fails} of {runs} {with}{without} · {} in {:.0} s", plural(answer.runs, "run"), answer.seconds)
}

/// What would fail as well, in a line.
fn also(answer: &Answer, broke: &Broke) -> Option<String> {
    let refs = broke.also.iter().filter_map(|part| part.strip_prefix("set:")?.parse::<usize>().ok());
    let sets: Vec<&ConditionSet> = refs.filter_map(|n| answer.minimal_sets.get(n)).map(|set| &set.conditions).collect();
    let single = |set: &ConditionSet| Some(set.iter().next()?.clone()).filter(|_| set.iter().count() == 1);
    let is_missing = |condition: &Condition| condition.name() == "env.unset";
    let missing: Vec<Condition> = sets.iter().filter_map(|set| single(set)).filter(is_missing).collect();
    let names: Vec<&str> = missing.iter().filter_map(|c| Some(c.variable()?.name.as_str())).collect();
    // The file that says that a variable is set.
    let set_by = |condition: &Condition| ruled_out(broke, condition)?.source.as_deref();
    let mut parts: Vec<String> = Vec::new();
    if let [first @ .., last] = names.as_slice() {
        let list = if first.is_empty() { (*last).to_owned() } else { format!("{} or {last}", first.join(", ")) };
        let files: Option<BTreeSet<&str>> = missing.iter().map(set_by).collect();
        let file = files.and_then(|files| files.first().copied());
        let note = match (file, names.len()) {
            (Some(file), 1) => format!(" ({file} sets it)"),
            (Some(file), _) => format!(" ({file} sets them)"),
            (None, _) => String::new(),
        };
        parts.push(format!("without {list}{note}"));
    }
    let rest = sets.iter().filter(|set| !single(set).as_ref().is_some_and(is_missing));
    parts
        .extend(rest.map(|set| format!("when {}", set.iter().map(Condition::words).collect::<Vec<_>>().join(" and "))));
    (!parts.is_empty()).then(|| parts.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deployment::Reproduced;
    use crate::model::outcome::Finding;

    fn headline_for(id: &str, settled: bool) -> String {
        let cause = Cause {
            id: id.to_owned(),
            text: String::new(),
            fix: String::new(),
            evidence: Vec::new(),
            ..Cause::default()
        };
        let findings = vec![Finding { cause, fatal: false, exit_code: None }];
        let suspect = Suspect {
            part: "static:0".to_owned(),
            certainty: Certainty::Likely,
            because: String::new(),
            settles: None,
        };
        let broke = Broke {
            reproduced: Reproduced::No,
            deployed: ConditionSet::baseline(),
            standing: Vec::new(),
            likely: vec![suspect],
            also: Vec::new(),
            matches: Vec::new(),
            notes: Vec::new(),
        };
        deployed(&Answer { findings, settled, ..Answer::some() }, &broke, |_| None).headline
    }

    #[test]
    fn finding_of_the_log_is_not_one_of_the_architecture() {
        assert!(headline_for(NOT_PUSHED, true).contains("another architecture"));
        assert_eq!(
            headline_for("missing-dependency", true),
            "The log names what probably broke the deployment on App Runner."
        );
    }

    #[test]
    fn search_that_was_cut_short_has_no_guess_for_an_answer() {
        let said = headline_for(NOT_PUSHED, false);
        assert!(said.starts_with("What broke app:1 on App Runner is not known yet: the search ended"), "{said}");
    }
}
