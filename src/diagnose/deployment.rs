//! What broke a deployment: what the search found, held against what the files and the logs show. Pure.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::causes::VAGUE;
use super::signature::{normalised, signature};
use super::traceback::crash;
use crate::model::answer::{Answer, MinimalSet};
use crate::model::deployment::{
    Applies, BASELINE, Broke, Certainty, ConditionStanding, Deployment, Ground, NOT_PUSHED, Reproduced, SameImage,
    Seen, Shown, Suspect,
};
use crate::model::outcome::{Cause, Finding};
use crate::model::{CaseResult, Condition, ConditionSet, FailureClass, Verdict};

/// What was run, beside the answer of the search.
pub(crate) struct Runs<'a> {
    /// The standing of every condition that was searched.
    pub(crate) standing: Vec<ConditionStanding>,
    /// What was in force, and its run.
    pub(crate) deployed: (ConditionSet, Option<&'a CaseResult>),
    /// A failed run of each minimal set, in the order of the answer; `None` for what was judged from the image.
    pub(crate) failed: Vec<Option<&'a CaseResult>>,
    /// Whether the image at hand is the one that was deployed.
    pub(crate) image: SameImage,
    /// Whether it fails under friendly conditions, but not as the log has it.
    pub(crate) baseline_differs: bool,
}

/// How a failure compares with what the logs show, worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fit {
    /// It is another failure.
    Differs,
    /// There is nothing to compare it with.
    Unknown,
    /// Its class and its exit code are those of the log.
    Consistent,
    /// Its error is that of the log.
    Same,
    /// Word for word.
    Exact,
}

/// How strongly the files speak for a set, worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Level {
    /// One of its conditions did not apply.
    RuledOut,
    /// Nothing excludes it.
    Possible,
    /// Files point to all that is not known to have applied.
    Hinted,
    /// All of it applied.
    InForce,
}

/// A part of the answer that may have broken the deployment.
struct Candidate<'a> {
    /// `set:0`.
    part: String,
    set: &'a MinimalSet,
    fit: Fit,
    level: Level,
    /// Whether it fails as everything that was in force does.
    as_deployed: bool,
}

impl Candidate<'_> {
    /// Candidates of one rank cannot be told apart.
    fn rank(&self) -> (Fit, Level, bool) {
        (self.fit, self.level, self.as_deployed)
    }
}

/// What broke the deployment. A cause that the log names and no run shows is added to the findings.
pub(crate) fn broke(deployment: &Deployment, answer: &mut Answer, runs: Runs<'_>) -> Broke {
    let seen = deployment.seen.as_ref();
    let mut named = None;
    let mut candidates = candidates(deployment, answer, &runs);
    candidates.sort_by_key(|candidate| Reverse(candidate.rank()));
    let (fitting, other): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|c| c.fit > Fit::Differs && c.level > Level::RuledOut);
    let mut likely = suspects(deployment, &fitting, &runs);
    let parts: Vec<String> = likely.iter().map(|suspect| suspect.part.clone()).collect();
    let is_class_a = seen.is_some_and(|seen| seen.class == Some(FailureClass::A));
    if is_class_a {
        likely = vec![class_a()];
    } else if !likely.iter().any(|suspect| suspect.certainty == Certainty::Proved) {
        likely.splice(0..0, other_architecture(seen, answer, &runs));
        if likely.iter().all(|suspect| suspect.certainty == Certainty::Undecided) {
            named = named_by_log(seen);
            likely.splice(0..0, named.as_ref().map(|_| of_log(answer.findings.len())));
        }
    }
    let also = fitting.iter().chain(&other).map(|c| c.part.clone());
    let also = also.filter(|part| is_class_a || !parts.contains(part)).collect();
    let reproduced = reproduced(seen, &likely, &fitting, &runs);
    // What points to a set is only shown for one that leads.
    let leads = |candidate: &&Candidate<'_>| likely.first().is_some_and(|first| first.part == candidate.part);
    let matches = matches(seen, &runs.standing, fitting.first().filter(leads));
    let mut notes = deployment.notes.clone();
    if runs.image == SameImage::Other {
        notes.push("The image at hand is not the one that was deployed: their digests differ.".to_owned());
    }
    answer.findings.extend(named);
    Broke { reproduced, deployed: runs.deployed.0, standing: runs.standing, likely, also, matches, notes }
}

/// The places of the minimal sets, likeliest first; those that cannot be told apart keep their order.
pub(crate) fn order(deployment: &Deployment, answer: &Answer, runs: &Runs<'_>) -> Vec<usize> {
    let all = candidates(deployment, answer, runs);
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|n| Reverse(all[*n].rank()));
    order
}

fn candidates<'a>(deployment: &Deployment, answer: &'a Answer, runs: &Runs<'_>) -> Vec<Candidate<'a>> {
    let seen = deployment.seen.as_ref();
    let deployed = runs.deployed.1.and_then(signature);
    let candidate = |(n, set): (usize, &'a MinimalSet)| {
        let result = runs.failed.get(n).copied().flatten();
        let part = if set.conditions.is_empty() { BASELINE.to_owned() } else { format!("set:{n}") };
        let as_deployed = deployed.is_some() && result.and_then(signature) == deployed;
        let fit = seen.map_or(Fit::Unknown, |seen| fit(seen, set, result));
        let level = match level(&set.conditions, &runs.standing) {
            // The service is not as the user wrote it down.
            Level::RuledOut if fit >= Fit::Same && deployment.revision.written => Level::Possible,
            level => level,
        };
        Candidate { part, set, fit, level, as_deployed }
    };
    answer.minimal_sets.iter().enumerate().map(candidate).collect()
}

/// How the failure of a set compares with what the logs show.
fn fit(seen: &Seen, set: &MinimalSet, result: Option<&CaseResult>) -> Fit {
    let Some(result) = result else {
        // A program that cannot be executed prints nothing of its own.
        let says_so = seen.causes.iter().any(|cause| cause.is("exec-format-error"));
        return match (&seen.error, seen.class) {
            _ if other_end(seen, set.class, set.exit_code) => Fit::Differs,
            (_, _) if says_so => Fit::Same,
            (Some(_), _) => Fit::Differs,
            (None, Some(_)) => Fit::Consistent,
            (None, None) => Fit::Unknown,
        };
    };
    fit_of(seen, result, &set.causes)
}

/// Whether a failed run shows what the logs show, and not only the same exit code.
pub(crate) fn shows_the_log(seen: &Seen, result: &CaseResult) -> bool {
    fit_of(seen, result, &result.causes) >= Fit::Same
}

/// Whether a failed run shows another failure than the logs.
pub(crate) fn shows_another(seen: &Seen, result: &CaseResult) -> bool {
    fit_of(seen, result, &result.causes) == Fit::Differs
}

fn other_end(seen: &Seen, class: Option<FailureClass>, exit_code: Option<i64>) -> bool {
    let other_class = seen.class.is_some() && class.is_some() && seen.class != class;
    other_class || (seen.exit_code.is_some() && exit_code.is_some() && seen.exit_code != exit_code)
}

fn fit_of(seen: &Seen, result: &CaseResult, causes: &[Cause]) -> Fit {
    if other_end(seen, result.class, result.exit_code) {
        return Fit::Differs;
    }
    let Some(error) = &seen.error else {
        return if seen.class.is_some() { Fit::Consistent } else { Fit::Unknown };
    };
    // The words may differ where the place in the code does not (a time-out may be the program's own or the kernel's),
    // and the same words may come from elsewhere.
    let same_place = same_place(&seen.log, &result.log);
    let words = normalised(error.text.trim());
    let exact = result.log.lines().any(|own| normalised(own.trim()) == words);
    if let Some(same) = same_place {
        return match (same, exact) {
            (true, true) => Fit::Exact,
            (true, false) => Fit::Same,
            (false, _) => Fit::Differs,
        };
    }
    if exact {
        return Fit::Exact;
    }
    if result.log.lines().any(|own| are_alike(own, &error.text)) {
        return Fit::Same;
    }
    let alike = |found: &&Cause| causes.iter().any(|own| own.is(&found.id) || found.is(&own.id));
    match seen.causes.iter().find(alike) {
        Some(found) if causes.iter().any(|own| own.text == found.text) => Fit::Same,
        Some(_) => Fit::Consistent,
        // What it printed last there, it never printed here.
        None => Fit::Differs,
    }
}

/// Words that two lines must share to be the same, of all their words.
const ALIKE: f64 = 0.6;

/// Whether two lines say the same, but for what differs from run to run.
fn are_alike(one: &str, other: &str) -> bool {
    let words =
        |line: &str| normalised(line.trim()).split_whitespace().map(str::to_owned).collect::<BTreeSet<String>>();
    let (one, other) = (words(one), words(other));
    let shared = one.intersection(&other).count() as f64;
    let all = one.union(&other).count().max(1) as f64;
    shared / all >= ALIKE
}

/// Whether two logs end with the same kind of error in the same place of the application's code; `None` if one of them
/// shows no such place.
fn same_place(one: &str, other: &str) -> Option<bool> {
    let place = |log: &str| crash(log).and_then(|crash| Some((crash.kind, crash.own?)));
    let ((kind, one), (other_kind, other)) = (place(one)?, place(other)?);
    Some(kind == other_kind && (one.file, one.function, one.line) == (other.file, other.function, other.line))
}

/// How strongly the files speak for all conditions of a set.
fn level(conditions: &ConditionSet, standing: &[ConditionStanding]) -> Level {
    let level = |condition: &Condition| match ground(condition, standing) {
        None => Level::Possible,
        Some(ground) => match (ground.is, ground.is_hinted()) {
            (Applies::InForce, _) => Level::InForce,
            (Applies::Possible, true) => Level::Hinted,
            (Applies::Possible, false) => Level::Possible,
            (Applies::RuledOut, _) => Level::RuledOut,
        },
    };
    conditions.iter().map(level).min().unwrap_or(Level::InForce)
}

fn ground<'a>(condition: &Condition, standing: &'a [ConditionStanding]) -> Option<&'a Ground> {
    standing.iter().find(|of| of.condition == *condition).map(|of| &of.ground)
}

/// The candidates that the deployment may show, likeliest first: those of the best rank, or the hypotheses to try next.
fn suspects(deployment: &Deployment, fitting: &[Candidate<'_>], runs: &Runs<'_>) -> Vec<Suspect> {
    let Some(best) = fitting.first() else { return Vec::new() };
    let best: Vec<&Candidate<'_>> = fitting.iter().filter(|c| c.rank() == best.rank()).collect();
    let settled = |candidate: &Candidate<'_>| {
        let (certainty, because) = certainty(deployment, candidate, best.len(), runs);
        let settles = (certainty != Certainty::Proved).then(|| settles(deployment, &candidate.set.conditions));
        Suspect { part: candidate.part.clone(), certainty, because, settles }
    };
    best.iter().map(|candidate| settled(candidate)).collect()
}

/// How certain it is that `of`, one of `rivals` candidates of the best rank, broke the deployment.
fn certainty(deployment: &Deployment, of: &Candidate<'_>, rivals: usize, runs: &Runs<'_>) -> (Certainty, String) {
    let undecided = |because: &str| (Certainty::Undecided, because.to_owned());
    let likely = |because: &str| (Certainty::Likely, because.to_owned());
    if of.part == BASELINE && !deployment.placeholders.is_empty() && of.fit < Fit::Same {
        return undecided("it may fail because a placeholder stands for a secret");
    }
    if runs.image == SameImage::Other {
        return undecided("the image at hand is not the one that was deployed");
    }
    // What is judged from the image needs no run.
    let needs_no_run = of.set.fails == [0, 0] || fails_otherwise_without(of, runs);
    let is_minimal = of.set.passes_without_each || of.set.conditions.is_empty() || needs_no_run;
    match (of.fit, of.level) {
        (Fit::Unknown, Level::InForce | Level::Hinted) => likely("there is no log of the failure to compare it with"),
        (Fit::Unknown, _) => undecided("there is no log of the failure to compare it with"),
        (_, Level::Possible) if of.fit < Fit::Same => undecided("nothing points to it, and nothing excludes it"),
        _ if !is_minimal => likely("no run passed without each of its conditions"),
        (_, Level::Hinted | Level::Possible) if rivals > 1 => likely("other conditions would look the same"),
        (Fit::Same | Fit::Exact, _) => (Certainty::Proved, "it fails with the error of the log".to_owned()),
        _ if deployment.seen.as_ref().is_some_and(|seen| seen.error.is_some()) => {
            likely("it fails as the log has it, but with another error")
        }
        (_, Level::InForce) if deployed_passes(runs) => likely("everything that was in force together passes"),
        (_, Level::InForce) => (Certainty::Proved, "it was in force, and fails as the log has it".to_owned()),
        _ => (
            Certainty::Proved,
            "it fails as the log has it, and nothing else that may have been in force does".to_owned(),
        ),
    }
}

/// Whether the image fails under friendly conditions, too, but not in this way: then its single condition is needed for
/// this failure, although nothing passes without it.
fn fails_otherwise_without(of: &Candidate<'_>, runs: &Runs<'_>) -> bool {
    of.fit >= Fit::Same && of.set.conditions.iter().count() == 1 && runs.baseline_differs
}

fn deployed_passes(runs: &Runs<'_>) -> bool {
    runs.deployed.1.is_some_and(|result| result.verdict == Verdict::Pass)
}

/// The first cause that the log names.
fn named_by_log(seen: Option<&Seen>) -> Option<Finding> {
    let cause = seen?.causes.iter().find(|cause| !VAGUE.contains(&cause.id.as_str()))?;
    Some(Finding { cause: cause.clone(), fatal: false, exit_code: None })
}

/// The suspect for the finding at this place.
fn of_log(at: usize) -> Suspect {
    Suspect {
        part: format!("static:{at}"),
        certainty: Certainty::Likely,
        because: "the log says so; no run here fails that way".to_owned(),
        settles: None,
    }
}

/// A deployment that failed before a process ran.
fn class_a() -> Suspect {
    Suspect {
        part: "class_a".to_owned(),
        certainty: Certainty::Undecided,
        because: "it failed before the container was started, which no local run can show".to_owned(),
        settles: Some("exitone explain LOG".to_owned()),
    }
}

/// Exit code 1 without a line of the application speaks for an image of another architecture, unless the image at hand
/// is the one that was deployed.
fn other_architecture(seen: Option<&Seen>, answer: &Answer, runs: &Runs<'_>) -> Option<Suspect> {
    let seen = seen?;
    let at = answer.findings.iter().position(|finding| finding.cause.id == NOT_PUSHED)?;
    let fits = match seen.class {
        // 255 is what some engines make of a program that cannot be executed.
        Some(FailureClass::B) => matches!(seen.exit_code, None | Some(1 | 255)),
        Some(FailureClass::C) => true,
        _ => false,
    };
    // An image that passes and has another tag may well be the next version.
    let is_later = deployed_passes(runs) && seen.image.as_deref().is_some_and(|of| has_other_tag(of, &answer.image));
    (seen.silent && fits && runs.image != SameImage::Same && !is_later).then(|| Suspect {
        part: format!("static:{at}"),
        certainty: Certainty::Likely,
        because:
            "no line of the application is in the logs, and the image that was pushed may be of another architecture"
                .to_owned(),
        settles: Some(match &seen.image {
            Some(image) => format!("docker manifest inspect --verbose {image}"),
            None => APPLICATION_LOG.to_owned(),
        }),
    })
}

/// Whether two images have a tag each, and not the same.
fn has_other_tag(one: &str, other: &str) -> bool {
    let tag = |image: &str| {
        let name = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        name.split_once(':').map(|(_, tag)| tag.to_owned())
    };
    matches!((tag(one), tag(other)), (Some(one), Some(other)) if one != other)
}

/// The finding for a deployment that printed nothing, if the image at hand may not be the one that was pushed.
pub(crate) fn not_pushed(deployment: &Deployment, image: SameImage) -> Option<Finding> {
    let seen = deployment.seen.as_ref().filter(|seen| seen.silent && image != SameImage::Same)?;
    let pushed = seen.image.as_deref().unwrap_or("what was pushed");
    let cause = Cause {
        id: NOT_PUSHED.to_owned(),
        text: format!(
            "Nothing shows that the image at hand is {pushed}. An image that is built on an Apple laptop is for arm64 \
             unless told otherwise, and fails there without a line of the application; on the laptop it works."
        ),
        fix: "Look at what was pushed, and build with `docker buildx build --platform linux/amd64 …`.".to_owned(),
        evidence: seen.failure.iter().map(|shown| format!("log: {}", shown.text)).collect(),
        ..Cause::default()
    };
    Some(Finding { cause, fatal: false, exit_code: None })
}

/// The command whose answer would settle it.
fn settles(deployment: &Deployment, conditions: &ConditionSet) -> String {
    let first = conditions.iter().next().map_or("", |condition| condition.name());
    let group = first.split('.').next().unwrap_or_default();
    let silent = deployment.seen.as_ref().is_none_or(|seen| seen.silent);
    let known = SETTLES.iter().find(|(of, _)| *of == group && !(silent && group != "egress"));
    known.map_or(APPLICATION_LOG, |(_, command)| command).to_owned()
}

/// What shows whether a group of conditions applied.
const SETTLES: [(&str, &str); 4] = [
    (
        "egress",
        "aws ec2 describe-route-tables --filters Name=association.subnet-id,Values=SUBNET (is there a route of 0.0.0.0/0 \
         to a NAT gateway?)",
    ),
    ("env", "aws apprunner describe-service --service-arn ARN --query Service.SourceConfiguration"),
    ("command", "aws apprunner describe-service --service-arn ARN --query Service.SourceConfiguration"),
    ("metadata", "aws apprunner describe-service --service-arn ARN --query Service.InstanceConfiguration"),
];
/// What the application printed tells most failures apart.
const APPLICATION_LOG: &str = "aws logs tail /aws/apprunner/NAME/ID/application --since 1d > application.log; exitone why … \
                               --log application.log";

fn reproduced(seen: Option<&Seen>, likely: &[Suspect], fitting: &[Candidate<'_>], runs: &Runs<'_>) -> Reproduced {
    let Some(seen) = seen.filter(|seen| seen.class.is_some()) else { return Reproduced::Unknown };
    let proved = likely.iter().find(|suspect| suspect.certainty == Certainty::Proved);
    let of = proved.and_then(|suspect| fitting.iter().find(|candidate| candidate.part == suspect.part));
    match (of, runs.deployed.1) {
        (Some(candidate), _) if candidate.level == Level::InForce => Reproduced::Yes,
        (Some(_), _) => Reproduced::Partly,
        (None, Some(deployed)) if deployed.verdict != Verdict::Unresolved => {
            let alike =
                deployed.class == seen.class && (seen.exit_code.is_none() || deployed.exit_code == seen.exit_code);
            if alike && seen.error.is_none() { Reproduced::Partly } else { Reproduced::No }
        }
        _ => Reproduced::Unknown,
    }
}

/// The lines of the logs, and what the files say of the conditions of the likeliest candidate.
fn matches(seen: Option<&Seen>, standing: &[ConditionStanding], best: Option<&Candidate<'_>>) -> Vec<Shown> {
    let lines = seen.into_iter().flat_map(|seen| seen.failure.iter().chain(&seen.error));
    let mut all: Vec<Shown> = lines.cloned().collect();
    for condition in best.into_iter().flat_map(|candidate| candidate.set.conditions.iter()) {
        let Some(ground) = ground(condition, standing).filter(|ground| ground.is != Applies::RuledOut) else {
            continue;
        };
        let Some(source) = ground.source.clone() else { continue };
        all.push(Shown { source, line: None, text: ground.because.clone() });
    }
    all
}

#[cfg(test)]
mod tests;
