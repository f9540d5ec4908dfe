//! `env.*`.

use super::super::run::Seen;
use super::{Failure, Knowledge, Meaning, NAMED, Undone, if_fits, nothing_excludes_it};
use crate::catalogue::fix_of;
use crate::model::Condition;
use crate::model::condition::{Env, EnvChange};
use crate::model::deployment::{Applies, Ground, Known, Revision};
use crate::model::words::has_word;

/// Minimum length of a part of a name or value to compare: shorter ones occur everywhere.
const LEAST_WORD: usize = 4;
/// Variables that the kernel and the C library read themselves.
const OF_THE_SYSTEM: [&str; 8] = ["PATH", "HOME", "TZ", "LANG", "LD_", "LC_", "MALLOC_", "GODEBUG"];

/// Variables from which an AWS client takes its credentials, before it asks the platform
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>).
const OF_AWS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

impl Knowledge for Env {
    /// A variable's effect does not show in a run that has it, only in the files of the image.
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String> {
        let name = self.name.as_str();
        let [before, after] = run.values.map(|env| env.get(name).cloned().flatten());
        // If the container gets no value, the image's own counts.
        let image =
            |given: Option<String>, taken: bool| given.or_else(|| run.facts.env.get(name).filter(|_| !taken).cloned());
        let taken = run.values.map(|env| env.get(name) == Some(&None));
        if image(before, taken[0]) == image(after, taken[1]) {
            return Some("its value is the same without the condition".to_owned());
        }
        // A process that failed may have read it in a way that no search finds.
        if !run.healthy || run.log.contains(name) {
            return None;
        }
        let command = run.service.start_command.as_deref().unwrap_or_default();
        let named = !run.files.is_some_and(|files| files.never_mentions(name)) || command.contains(name);
        let system = OF_THE_SYSTEM.iter().any(|s| name.starts_with(s));
        (!named && !system).then(|| {
            "the name occurs in no file of the image (a name assembled at run time would be missed)".to_owned()
        })
    }

    /// Evidence for a variable: its name, a part of its value, or a host the network saw.
    fn suspicion(&self, failure: &Failure<'_>) -> f64 {
        let name = self.name.as_str();
        let log = failure.log.to_ascii_lowercase();
        let low = name.to_ascii_lowercase();
        let is_wanted = OF_AWS.contains(&name) && failure.has_cause(&["aws-credentials"]);
        if is_wanted || has_word(&log, &low) || has_word(&log, &low.replace('_', " ")) {
            return NAMED;
        }
        let value = match &self.change {
            EnvChange::Set(value) if !value.secret => value.text.as_str(),
            _ => "",
        };
        let evidence = failure.run.evidence;
        let hosts = evidence.dns.iter().map(|q| q.name.as_str());
        let hosts: String = hosts.chain(evidence.connects.iter().filter_map(|c| c.name.as_deref())).collect();
        let mut words = name.split(['_', '-', '.']).chain(value.split(|c: char| !c.is_ascii_alphanumeric()));
        if_fits(words.any(|word| {
            let word = word.to_ascii_lowercase();
            word.len() >= LEAST_WORD && (log.contains(&word) || hosts.contains(&word))
        }))
    }

    fn standing(&self, revision: &Revision) -> Ground {
        let changed = |c: &Condition| matches!(c, Condition::Env(changed) if changed == self);
        let Some(fact) = &revision.variables else { return nothing_excludes_it() };
        let name = &self.name;
        if revision.changed.iter().any(changed) {
            return Ground::of(fact, Applies::InForce, format!("the update that failed changed {name}"));
        }
        let own = fact.value.get(name);
        let (is, because) = match (&self.change, own) {
            (EnvChange::Unset, None) => (Applies::InForce, format!("{name} is not among the variables")),
            (EnvChange::Unset, Some(_)) => (Applies::RuledOut, format!("{name} is set")),
            (EnvChange::Set(value), Some(Known::Plain(own))) if value.text == *own => {
                (Applies::InForce, format!("{name} has this value"))
            }
            (EnvChange::Empty, Some(Known::Plain(own))) if own.is_empty() => {
                (Applies::InForce, format!("{name} is empty"))
            }
            (_, Some(Known::Plain(_))) => (Applies::RuledOut, format!("{name} has another value")),
            (EnvChange::Json, Some(Known::Secret { whole: true })) => {
                (Applies::Possible, format!("{name} takes a secret whole"))
            }
            (EnvChange::Json, Some(Known::Secret { whole: false })) => {
                (Applies::RuledOut, format!("{name} names a key of its secret"))
            }
            (_, Some(Known::Secret { .. })) => {
                return Ground::new(Applies::Possible, format!("the value of {name} is stored elsewhere"));
            }
            (_, None) => (Applies::RuledOut, format!("{name} is not among the variables")),
        };
        Ground::of(fact, is, because)
    }

    fn undone(&self) -> Undone {
        let name = &self.name;
        Undone::setting(match self.change {
            EnvChange::Unset => format!("{name} is set"),
            EnvChange::Empty => format!("{name} has a value"),
            EnvChange::Set(_) => format!("{name} has its other value"),
            EnvChange::Quoted => format!("{name} has no quotes around its value"),
            EnvChange::Newline => format!("{name} does not end in a line break"),
            EnvChange::Json => format!("{name} has the value of its own key"),
            EnvChange::Bare | EnvChange::Unescaped | EnvChange::Key(_) | EnvChange::Scheme(_) => {
                format!("{name} has its own value")
            }
        })
    }

    fn meaning(&self) -> Meaning {
        let of = |id, text, fix| Meaning { id, text, fix, told_by: &[] };
        let missing = |text| Meaning {
            id: "missing-variable",
            text,
            fix: fix_of("missing-variable"),
            told_by: &[
                "missing-variable",
                "settings-validation",
                "malformed-value",
                "database-url",
                "settings-attribute-case",
            ],
        };
        let name = &self.name;
        match &self.change {
            EnvChange::Unset => missing(format!("The program fails without the variable `{name}`.")),
            EnvChange::Empty => missing(format!("The program fails when the variable `{name}` is empty.")),
            EnvChange::Set(value) => of(
                "variable-value",
                format!(
                    "`{name}={}` triggers code that fails; with the service's current value, the program starts.",
                    value.shown(name)
                ),
                "Test that code with the platform's value; or set the variable to a value that works.",
            ),
            EnvChange::Quoted => of(
                "quoted-value",
                format!("The program cannot read `{name}` when its value has quotes around it."),
                "Enter the value without quotes: the platform's console and API keep them as a part of it.",
            ),
            EnvChange::Newline => of(
                "trailing-newline",
                format!("The program cannot read `{name}` when its value ends with a line break."),
                "Make the secret without one (`printf %s`, not `echo`; `aws secretsmanager put-secret-value`), or strip it \
                 when it is read.",
            ),
            EnvChange::Bare | EnvChange::Unescaped | EnvChange::Key(_) | EnvChange::Scheme(_) => of(
                "repair",
                format!("The program fails when the value of `{name}` is repaired."),
                "Leave the repair out.",
            ),
            EnvChange::Json => of(
                "secret-as-json",
                format!("The program cannot read `{name}` when it is the secret's whole JSON document."),
                "Name the key in the service's configuration: `arn:…:secret:NAME:KEY::` instead of the secret's own ARN, \
                 which gives the whole document.",
            ),
        }
    }
}
