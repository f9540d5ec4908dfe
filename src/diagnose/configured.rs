//! Causes that the image's command and the variables of the service show, held against a run. Pure.

use crate::model::image::short_name;
use crate::model::outcome::Cause;
use crate::model::words::is_shell;
use crate::model::{CaseResult, ImageFacts, Service};

/// A cause that says no more than that nothing else is known.
const NOTHING_KNOWN: &str = "never-listened";

/// The causes of a failure that the configuration shows, most certain first.
#[must_use]
pub(crate) fn configured(failed: &CaseResult, known: &[Cause], facts: &ImageFacts, service: &Service) -> Vec<Cause> {
    let in_log = |word: &&str| failed.log.contains(*word);
    let mut all: Vec<Cause> = Vec::new();
    if let Some(word) = unfilled(facts, service).into_iter().find(in_log) {
        let line = failed.log.lines().rev().find(|line| line.contains(word)).unwrap_or_default().trim();
        all.push(Cause {
            id: "exec-form-variable".to_owned(),
            text: format!(
                "The command of {} is a list of words, so no shell fills in `{word}`: the program gets these characters.",
                short_name(&facts.reference)
            ),
            fix: format!("Write CMD without brackets, or let a shell run it: `CMD [\"sh\", \"-c\", \"exec … {word}\"]`."),
            evidence: vec![format!("log: {line}")],
            ..Cause::default()
        });
    }
    if known.iter().all(|cause| cause.id == NOTHING_KNOWN)
        && let Some(name) = service.env.iter().find(|(_, value)| is_quoted(value)).map(|(name, _)| name)
    {
        all.push(Cause {
            id: "quoted-value".to_owned(),
            text: format!(
                "The value of {name} begins and ends with a quote, which is part of it: no shell removes it."
            ),
            fix: format!("Give {name} its value without the quotes."),
            evidence: vec![format!("the service's {name}")],
            ..Cause::default()
        });
    }
    all
}

/// Words of the image's own command that hold a variable which no shell fills in.
pub(crate) fn unfilled<'a>(facts: &'a ImageFacts, service: &Service) -> Vec<&'a str> {
    let words = || facts.entrypoint.iter().chain(&facts.cmd).map(String::as_str);
    if service.start_command.is_some() || words().any(is_shell) {
        return Vec::new();
    }
    words().filter(|word| word.contains('$')).collect()
}

/// Whether quotes stand around a value.
pub(crate) fn is_quoted(value: &str) -> bool {
    let around = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    around('"') || around('\'')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ConditionSet;

    fn ids(log: &str, known: &[&str], cmd: &[&str], value: &str) -> Vec<String> {
        let failed = CaseResult { log: log.to_owned(), ..CaseResult::some("a", "app:1", ConditionSet::baseline()) };
        let cause = |id: &&str| Cause {
            id: (*id).to_owned(),
            text: String::new(),
            fix: String::new(),
            evidence: Vec::new(),
            ..Cause::default()
        };
        let known: Vec<Cause> = known.iter().map(cause).collect();
        let facts = ImageFacts { cmd: cmd.iter().map(|word| (*word).to_owned()).collect(), ..ImageFacts::default() };
        let mut service = Service::some();
        service.start_command = None;
        service.env.insert("AMQP_URL".to_owned(), value.to_owned());
        configured(&failed, &known, &facts, &service).into_iter().map(|cause| cause.id).collect()
    }

    #[test]
    fn variable_of_a_command_without_a_shell_is_told_if_the_log_has_it() {
        let log = "error: argument -p/--port: invalid int value: '$PORT'";
        assert_eq!(ids(log, &["uncaught-exception"], &["serve", "-p", "$PORT"], "x"), ["exec-form-variable"]);
        assert!(ids(log, &[], &["sh", "-c", "serve -p $PORT"], "x").is_empty(), "a shell fills it in");
        assert!(ids("another error", &[], &["serve", "-p", "$PORT"], "x").is_empty(), "nothing shows that it matters");
    }

    #[test]
    fn quotes_around_a_value_are_told_if_nothing_else_is_known() {
        assert_eq!(ids("", &["never-listened"], &[], "\"amqp://queue\""), ["quoted-value"]);
        assert_eq!(ids("", &[], &[], "'amqp://queue'"), ["quoted-value"]);
        assert!(ids("", &["port-mismatch"], &[], "\"amqp://queue\"").is_empty());
        assert!(ids("", &[], &[], "\"").is_empty());
    }
}
