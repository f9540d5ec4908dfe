//! The catalogue of causes on a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::style::{BAD, DIM, GOOD, HEAD, styled, width, wrap};
use super::view::plural;
use crate::catalogue::{Entry, Seen, filled, required_words};
use crate::model::Platform;

/// Width of the ids in a list.
const IDS: usize = 36;

/// A list of entries: id and cause, by field.
#[must_use]
pub(crate) fn list(entries: &[&Entry], platform: &Platform) -> String {
    let mut text = String::new();
    let mut fields: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        fields.entry(entry.field.as_str()).or_default().push(entry);
    }
    for (field, entries) in fields {
        let _ = writeln!(text, "{}", styled(HEAD, field));
        for entry in entries {
            let cause = in_words(&entry.cause, platform);
            let room = width(120).saturating_sub(IDS + 4).max(20);
            let short: String = cause.chars().take(room - 1).collect();
            let more = if short.len() < cause.len() { "…" } else { "" };
            let _ = writeln!(text, "  {:IDS$}  {}", entry.id, styled(DIM, &format!("{short}{more}")));
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}. `exitone causes ID` explains one.", plural(entries.len(), "cause"));
    text
}

/// One entry at length: what it looks like, what it means, what to do, and what it is not.
#[must_use]
pub(crate) fn explained(entry: &Entry, variants: &[&Entry], platform: &Platform) -> String {
    let mut text =
        format!("{} ({})\n\n{}\n", styled(HEAD, &entry.id), entry.field, wrap(&in_words(&entry.cause, platform), 0));
    for variant in variants.iter().filter(|variant| variant.cause != entry.cause) {
        let _ = writeln!(text, "\n{}", wrap(&in_words(&variant.cause, platform), 0));
    }
    if !entry.fix.is_empty() {
        let fix = in_words(entry.fix_for(&platform.id), platform);
        let _ = writeln!(text, "\n{}  {}", styled(GOOD, "fix"), wrap(&fix, 5));
    }
    if entry.harmless {
        let _ = writeln!(text, "\nA healthy start prints this as well; it is never named as a cause.");
    }
    let seen = |entry: &Entry| {
        let all = entry.seen.iter().filter(|seen| !matches!(seen, Seen::Line(_)));
        all.map(ToString::to_string).collect::<Vec<_>>()
    };
    let facts = seen(entry);
    if !facts.is_empty() {
        let _ = writeln!(text, "\n{}  {}", styled(HEAD, "needs"), wrap(&facts.join("; "), 7));
    }
    let mut logs = |title: &str, style, logs: &mut dyn Iterator<Item = (&str, &str)>| {
        let mut first = true;
        for (log, means) in logs {
            if std::mem::take(&mut first) {
                let _ = writeln!(text, "\n{}", styled(style, title));
            }
            for line in log.trim_end().lines() {
                let _ = writeln!(text, "    {line}");
            }
            if !means.is_empty() {
                let _ = writeln!(text, "      {}", styled(DIM, &wrap(&format!("means: {means}"), 6)));
            }
        }
    };
    logs("looks like", HEAD, &mut entry.fires.iter().map(|log| (log.as_str(), "")));
    logs("not to be confused with", BAD, &mut entry.near.iter().map(|near| (near.log.as_str(), near.means.as_str())));
    if let Some(repair) = entry.repairs().next() {
        let _ = writeln!(text, "\n{}  {}", styled(HEAD, "proof"), wrap(&format!("exitone run --repair {repair}"), 7));
    }
    for (name, page) in [("see", &entry.reference), ("source", &entry.source)] {
        if !page.is_empty() {
            let _ = writeln!(text, "\n{}  {page}", styled(DIM, name));
        }
    }
    text
}

/// A text with the platform's words; a word that only a failure fills in stands as its name.
fn in_words(text: &str, platform: &Platform) -> String {
    let required = required_words(text);
    let word = |name: &str| match name {
        "platform" => Some(platform.name.clone()),
        _ => {
            let placeholder = || required.iter().any(|word| word == name).then(|| format!("<{name}>"));
            platform.ways.get(name).cloned().or_else(placeholder)
        }
    };
    filled(text, &word).split_whitespace().collect::<Vec<_>>().join(" ")
}
