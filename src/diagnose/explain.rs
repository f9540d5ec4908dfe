//! Explains a service log after a failed deployment: which line is the failure, its class, and its most frequent
//! causes. Pure.
//!
//! Reads App Runner's service log (group `/aws/apprunner/NAME/ID/service`), the application log, or both in one file;
//! as text, or as printed by `aws logs get-log-events` and `filter-log-events`
//! (<https://docs.aws.amazon.com/apprunner/latest/dg/monitor-cwl.html>).

mod likely;
mod seen;

use super::causes::{VAGUE, of_log};
use super::log::{Line, PlatformLine};
use crate::catalogue::{Rank, catalogue};
use crate::model::explanation::{Explanation, LogLine};
use crate::model::outcome::{Cause, FailureClass, Outcome};
use crate::model::service::Service;
use crate::model::words::command_line;
pub(crate) use seen::seen;

/// The document's version.
const VERSION: u32 = 1;

/// Explains the lines of a log, or of several. `service`: the defaults, for entries that need the port.
#[must_use]
pub(crate) fn explain(all: &[Line], service: &Service) -> Explanation {
    let of_service = || all.iter().filter_map(|line| Some((line, line.meaning.as_ref()?)));
    let (from, to) = deployment(all);
    let part = || of_service().filter(|(line, _)| (from..=to).contains(&line.at));
    let failure = failed(part().map(|(line, _)| line)).and_then(|line| Some((line, line.meaning.as_ref()?)));
    // If nothing failed before it, the line that a rollback is known to print falsely is the failure itself.
    let failure = failure.or_else(|| part().find(|(_, meaning)| **meaning == PlatformLine::Role));
    let class = failure.map(|(_, meaning)| meaning.class().unwrap_or(FailureClass::A));
    let exit_code = failure.and_then(|(_, meaning)| meaning.exit_code());
    let misleading = part().filter(|(line, meaning)| {
        let other = failure.is_none_or(|(first, _)| line.at != first.at);
        let is_failure = meaning.class().is_some() && **meaning != PlatformLine::NotDeployed;
        other && (**meaning == PlatformLine::Role || is_failure)
    });
    let misleading: Vec<LogLine> = misleading.map(|(line, _)| line.shown()).collect();
    let found = |of: &dyn Fn(&PlatformLine) -> Option<String>| part().find_map(|(_, meaning)| of(meaning));
    let image = found(&|meaning| if let PlatformLine::Image(image) = meaning { Some(image.clone()) } else { None });
    let deployment = found(&|meaning| if let PlatformLine::Started(id) = meaning { Some(id.clone()) } else { None });
    // In a mixed log, application lines belong to the deployment around them; a pure application log belongs to none.
    let mixed = all.iter().any(|line| matches!(line.meaning, Some(PlatformLine::Started(_))));
    let of_part = |line: &&Line| !mixed || (from..=to).contains(&line.at);
    let own = || all.iter().filter(|line| line.meaning.is_none()).filter(of_part);
    let application_log = own().any(|line| !line.text.trim().is_empty());
    let succeeded = part().any(|(_, meaning)| *meaning == PlatformLine::Succeeded);
    let causes = if class.is_none() && succeeded { Vec::new() } else { shown(all, of_part, class, exit_code, service) };
    let is_vague = causes.iter().all(|cause| VAGUE.contains(&cause.id.as_str()));
    let known = class.is_some() || !(causes.is_empty() || is_unrecognized(&causes));
    // A traceback says more than what often breaks images.
    let has_traceback = causes.iter().any(|cause| cause.id == "uncaught-exception");
    let likely = if known && is_vague && !has_traceback {
        likely::causes(class, exit_code, application_log)
    } else {
        Vec::new()
    };
    let mut notes = Vec::new();
    if !misleading.is_empty() {
        notes.push(MISLEADING.to_owned());
    }
    if class.is_some() {
        notes.push(AFTER_ROLLBACK.to_owned());
    }
    Explanation {
        version: VERSION,
        text: sentence(class, exit_code, application_log, &causes, succeeded),
        next: next(class, image.as_deref(), known, application_log),
        deployment,
        image,
        class,
        succeeded: class.is_none() && succeeded,
        exit_code,
        failure: failure.map(|(line, _)| line.shown()),
        misleading,
        application_log,
        causes,
        likely,
        notes,
    }
}

/// Whether an error is all that a log shows.
fn is_unrecognized(causes: &[Cause]) -> bool {
    !causes.is_empty() && causes.iter().all(|cause| cause.id == "unrecognized-error")
}

/// What a rollback prints about roles was false in the field.
const MISLEADING: &str = "While it rolls back the platform may print another failure, `Invalid Access Role …` above all: the \
                          first failure line in time is the true one.";
/// Where the failure stays visible.
const AFTER_ROLLBACK: &str = "After a rollback `describe-service` says RUNNING again, with the old image: only `aws \
                              apprunner list-operations` shows the failure. If you have the input of the update that failed, \
                              give it to `why` with `--update`.";

/// The lines of the deployment to explain: the last that failed, else all of them.
fn deployment(all: &[Line]) -> (usize, usize) {
    let starts: Vec<usize> =
        all.iter().filter(|line| matches!(line.meaning, Some(PlatformLine::Started(_)))).map(|line| line.at).collect();
    let last = all.last().map_or(0, |line| line.at);
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for (n, start) in starts.iter().enumerate() {
        // Lines before the first start belong to the first deployment: a log may be truncated.
        let from = if n == 0 { 0 } else { *start };
        parts.push((from, starts.get(n + 1).map_or(last, |next| next - 1)));
    }
    let fails = |(from, to): &(usize, usize)| {
        let within = all.iter().filter(|line| (*from..=*to).contains(&line.at));
        within.filter_map(|line| line.meaning.as_ref()).any(|meaning| meaning.class().is_some())
    };
    parts.into_iter().rev().find(fails).unwrap_or((0, last))
}

/// The line that says how a deployment failed: the first one, or the first after one that says no more than that it did.
fn failed<'a>(part: impl Iterator<Item = &'a Line>) -> Option<&'a Line> {
    let is_failure = |line: &&Line| line.meaning.as_ref().is_some_and(|meaning| meaning.class().is_some());
    let mut failures = part.filter(is_failure).peekable();
    let first = failures.peek().copied();
    failures.find(|line| line.meaning != Some(PlatformLine::NotDeployed)).or(first)
}

/// The causes that the lines of a deployment show. Where nothing ran, these are the platform's own.
fn shown(
    all: &[Line],
    of_part: impl Fn(&&Line) -> bool,
    class: Option<FailureClass>,
    exit_code: Option<i64>,
    service: &Service,
) -> Vec<Cause> {
    // A failed health check says which port was asked.
    let asks = |line: &&Line| class == Some(FailureClass::C) && line.meaning == Some(PlatformLine::Unhealthy);
    let speaks =
        |line: &&Line| class == Some(FailureClass::A) || line.meaning.is_none() || line.is_reason || asks(line);
    let lines: Vec<&str> = all.iter().filter(&of_part).filter(speaks).map(|line| line.text.as_str()).collect();
    let mut causes = of_application(&lines.join("\n"), class, exit_code, service);
    // What the failed check alone says is the class itself.
    let says_more = |cause: &Cause| catalogue().get(&cause.id).is_some_and(|entry| entry.rank < Rank::Last);
    causes.retain(|cause| class != Some(FailureClass::C) || says_more(cause));
    causes
}

/// The causes that an application's log shows after a failure of this class.
fn of_application(log: &str, class: Option<FailureClass>, exit_code: Option<i64>, service: &Service) -> Vec<Cause> {
    if log.trim().is_empty() {
        return Vec::new();
    }
    let (outcome, exit_code) = match class {
        Some(FailureClass::A) => (Outcome::NotStarted, None),
        Some(FailureClass::C) => (Outcome::Unhealthy, None),
        _ => (Outcome::Exited, exit_code),
    };
    of_log(log, &outcome, exit_code, service, catalogue())
}

fn sentence(
    class: Option<FailureClass>,
    exit_code: Option<i64>,
    application_log: bool,
    causes: &[Cause],
    succeeded: bool,
) -> String {
    let code = exit_code.unwrap_or(1);
    let silent = if application_log { "" } else { ", and no line of it is in this log" };
    match class {
        Some(FailureClass::A) => {
            "The deployment failed before the application was started (class A): no process ran, so \
                                  no log of it exists, and no local run can show why."
                .to_owned()
        }
        Some(FailureClass::B) => {
            format!("The application's process ended by itself with exit code {code} (class B){silent}.")
        }
        Some(FailureClass::C) => format!(
            "The health check never passed, and no exit code is reported (class C){}.",
            if application_log { "" } else { "; no line of the application is in this log" }
        ),
        None if succeeded => "The last deployment in this log succeeded: there is no failure to explain.".to_owned(),
        None if is_unrecognized(causes) => {
            "This log has no lines from App Runner, and no other line is a known cause of a failure.".to_owned()
        }
        None if !causes.is_empty() => {
            "The application failed. (This log has no lines from App Runner itself.)".to_owned()
        }
        None => {
            "No line in this log is a known failure: it may be cut off, or be the log of something else.".to_owned()
        }
    }
}

/// The commands to run next.
fn next(class: Option<FailureClass>, image: Option<&str>, known: bool, application_log: bool) -> Vec<String> {
    let why =
        command_line(["exitone", "why", image.unwrap_or("IMAGE"), "--service", "service.json"].map(str::to_owned));
    let describe = "aws apprunner describe-service --service-arn ARN > service.json".to_owned();
    match class {
        Some(FailureClass::A) => likely::ab_test(),
        Some(_) => {
            let mut all = vec![describe, why];
            if !application_log {
                all.push(
                    "aws logs get-log-events --log-group-name /aws/apprunner/NAME/ID/application --log-stream-name \
                     instance/ID > application.json; exitone explain application.json"
                        .to_owned(),
                );
            }
            all
        }
        None if known => vec![describe, why],
        None => vec![
            "aws apprunner list-operations --service-arn ARN".to_owned(),
            "aws logs get-log-events --log-group-name /aws/apprunner/NAME/ID/service --log-stream-name \
             deployment/OPERATION > service-log.json; exitone explain service-log.json"
                .to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests;
