//! Event logs: one JSON document per line, written as events happen, and readable after a kill.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Event, Stamped, VERSION};

/// A log that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogError {
    /// The log is empty.
    #[error("the log contains no event")]
    Empty,
    /// The first line does not start a run.
    #[error("the first line does not start a run: {0}")]
    NoStart(String),
    /// A newer version wrote it.
    #[error("it was written by a newer exitone (format {0}; this one reads up to {VERSION})")]
    Newer(u32),
    /// A line is invalid.
    #[error("invalid line {line}: {why}")]
    Broken {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// The events of a log.
#[derive(Debug)]
pub struct Read {
    /// In order.
    pub events: Vec<Stamped>,
    /// Whether the last line is truncated: the run was killed while writing it.
    pub cut: bool,
}

/// An event as one line, including the line break.
///
/// # Errors
/// Never in practice: every event can be serialised.
pub fn line(event: &Stamped) -> serde_json::Result<String> {
    serde_json::to_string(event).map(|text| text + "\n")
}

/// The version only, whatever else a newer program has written.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Parses a log of this or an older version. A truncated last line is omitted.
///
/// # Errors
/// When it is not a log, is from a newer version, or a line before the last is invalid.
pub fn read(text: &str) -> Result<Read, LogError> {
    let mut events: Vec<Stamped> = Vec::new();
    let lines: Vec<&str> = text.split('\n').collect();
    let last = lines.iter().rposition(|line| !line.trim().is_empty()).ok_or(LogError::Empty)?;
    let mut version = VERSION;
    for (n, line) in lines[..=last].iter().enumerate() {
        if n == 0 {
            let first = serde_json::from_str::<Version>(line).map_err(|e| LogError::NoStart(e.to_string()))?;
            version = first.version;
            if version > VERSION {
                return Err(LogError::Newer(version));
            }
        }
        match event(line, version) {
            Ok(event) if n == 0 && !matches!(event.event, Event::RunStarted(_)) => {
                return Err(LogError::NoStart("another event precedes it".to_owned()));
            }
            Ok(event) => events.push(event),
            // The last line without a line break: it was truncated.
            Err(_) if n == last && n > 0 && !text.ends_with('\n') => return Ok(Read { events, cut: true }),
            Err(e) => return Err(LogError::Broken { line: n + 1, why: e.to_string() }),
        }
    }
    Ok(Read { events, cut: false })
}

/// Parses an event of the given version.
fn event(line: &str, version: u32) -> serde_json::Result<Stamped> {
    if version >= VERSION {
        return serde_json::from_str(line);
    }
    let mut value: Value = serde_json::from_str(line)?;
    from_version_1(&mut value);
    serde_json::from_value(value)
}

/// Version 1 stored the attempts in the result, and counted either failures or, with `tried`, unexpected results. Its
/// copy of the expectation is also in the plan.
fn from_version_1(event: &mut Value) {
    let Some(event) = event.as_object_mut() else { return };
    if let Some(report) = event.remove("searched") {
        event.insert("report".to_owned(), report);
    }
    let Some(result) = event.get_mut("result").and_then(Value::as_object_mut) else { return };
    let (counts, tried) = (result.remove("attempts"), result.remove("tried"));
    let Some([Some(first), Some(decided)]) = counts.map(|counts| [0, 1].map(|n| counts[n].as_u64())) else { return };
    let outcomes = tried.unwrap_or_else(|| json!([]));
    let of_expectation = result.contains_key("expected");
    let [failed, unexpected] = if of_expectation { [0, first] } else { [first, 0] };
    let attempts = json!({"failed": failed, "unexpected": unexpected, "decided": decided, "outcomes": outcomes});
    event.insert("attempts".to_owned(), attempts);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::run::Run;
    use crate::event::{Counts, Header, Standing};

    fn written() -> String {
        let events = [
            Event::RunStarted(Header { version: VERSION, session: "s".to_owned(), ..Header::default() }),
            Event::Draining { because: "asked".to_owned(), aborts: false },
            Event::RunFinished { summary: Counts::default() },
        ];
        let stamped = events.into_iter().enumerate();
        let lines = stamped.map(|(n, event)| line(&Stamped { seq: n as u64, at_ms: n as u64, event }).expect("a line"));
        lines.collect()
    }

    #[test]
    fn reads_what_was_written() {
        let read = read(&written()).expect("good");
        assert_eq!((read.events.len(), read.cut), (3, false));
        assert!(Run::of(&read.events).summary.is_some());
    }

    #[test]
    fn reads_a_log_truncated_anywhere() {
        let text = written();
        let first = text.find('\n').expect("lines") + 1;
        for end in first..text.len() {
            let read = read(&text[..end]).unwrap_or_else(|e| panic!("cut at {end}: {e}"));
            assert!(read.events.len() <= 3 && !read.events.is_empty());
        }
    }

    #[test]
    fn rejects_text_that_is_not_a_log() {
        assert!(matches!(read(""), Err(LogError::Empty)));
        assert!(matches!(read("{}\n"), Err(LogError::NoStart(_))));
        assert!(matches!(read("\u{0}\u{1}\n"), Err(LogError::NoStart(_))));
        let newer = written().replacen("\"version\":2", "\"version\":3", 1);
        assert!(matches!(read(&newer), Err(LogError::Newer(3))));
        let broken = written().replacen("\"draining\"", "\"drained\"", 1);
        assert!(matches!(read(&broken), Err(LogError::Broken { line: 2, .. })));
    }

    /// A run of version 1 with a retried case, one that the host cannot impose, and a search.
    #[test]
    fn reads_a_log_of_version_1() {
        let read = read(include_str!("../../tests/fixtures/events-v1.jsonl")).expect("a log");
        let run = Run::of(&read.events);
        assert!(!read.cut && run.summary.is_some() && run.results.len() == 11);
        let flaky = run.entries().find_map(|entry| entry.attempts.flaky());
        assert_eq!(flaky.as_deref(), Some("not as expected in 1 of 2 attempts"));
        let counts = run.counts();
        assert_eq!((counts.expected, counts.unexpected, counts.skipped, counts.steps), (5, 1, 1, 4));
        assert_eq!((counts.passed, counts.failed, counts.flaky, counts.searches), (3, 3, 1, 1));
        // Written again, it has this version and the same content.
        let mut events = read.events;
        if let Some(Stamped { event: Event::RunStarted(header), .. }) = events.first_mut() {
            header.version = VERSION;
        }
        let text: String = events.iter().map(|event| line(event).expect("a line")).collect();
        let again = Run::of(&super::read(&text).expect("a log").events);
        assert_eq!((again.counts(), &again.results), (counts, &run.results));
        assert!(again.entries().all(|entry| entry.standing != Standing::NotRun));
    }
}
