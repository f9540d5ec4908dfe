//! Events as lines of JSON: written as they happen, read back after a kill.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Event, Stamped, VERSION};

/// A log that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogError {
    /// There is no event in it.
    #[error("there is no event in it")]
    Empty,
    /// The first line does not begin a run.
    #[error("its first line is no beginning of a run: {0}")]
    NoBeginning(String),
    /// A newer program wrote it.
    #[error("it was written by a newer exitone (format {0}; this one reads up to {VERSION})")]
    Newer(u32),
    /// A line in the middle is broken.
    #[error("line {line} is broken: {why}")]
    Broken {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// Events that were read.
#[derive(Debug)]
pub struct Read {
    /// In their order.
    pub events: Vec<Stamped>,
    /// Whether the last line was cut: the run was killed while it wrote.
    pub cut: bool,
}

/// One event as one line, its line break included.
///
/// # Errors
/// None that a caller could mend: an event is always written.
pub fn line(event: &Stamped) -> serde_json::Result<String> {
    serde_json::to_string(event).map(|text| text + "\n")
}

/// The version alone, whatever else a newer program has written.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Reads lines of events, of this version or an older one. A last line that was cut is left out.
///
/// # Errors
/// What is no log, a newer one, and a broken line that is not the last.
pub fn read(text: &str) -> Result<Read, LogError> {
    let mut events: Vec<Stamped> = Vec::new();
    let lines: Vec<&str> = text.split('\n').collect();
    let last = lines.iter().rposition(|line| !line.trim().is_empty()).ok_or(LogError::Empty)?;
    let mut version = VERSION;
    for (n, line) in lines[..=last].iter().enumerate() {
        if n == 0 {
            let first = serde_json::from_str::<Version>(line).map_err(|e| LogError::NoBeginning(e.to_string()))?;
            version = first.version;
            if version > VERSION {
                return Err(LogError::Newer(version));
            }
        }
        match event(line, version) {
            Ok(event) if n == 0 && !matches!(event.event, Event::RunStarted(_)) => {
                return Err(LogError::NoBeginning("another event comes first".to_owned()));
            }
            Ok(event) => events.push(event),
            // Nothing comes after it, and its line break never was written: it was cut.
            Err(_) if n == last && n > 0 && !text.ends_with('\n') => return Ok(Read { events, cut: true }),
            Err(e) => return Err(LogError::Broken { line: n + 1, why: e.to_string() }),
        }
    }
    Ok(Read { events, cut: false })
}

/// One event, from a line of the given version.
fn event(line: &str, version: u32) -> serde_json::Result<Stamped> {
    if version >= VERSION {
        return serde_json::from_str(line);
    }
    let mut value: Value = serde_json::from_str(line)?;
    from_version_1(&mut value);
    serde_json::from_value(value)
}

/// Version 1 kept the attempts in the result, and counted there either failures or, beside `tried`, what was not as
/// expected. What it kept of the expectation is in the plan as well.
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
            Event::Draining { because: "asked".to_owned() },
            Event::RunFinished { summary: Counts::default() },
        ];
        let stamped = events.into_iter().enumerate();
        let lines = stamped.map(|(n, event)| line(&Stamped { seq: n as u64, at_ms: n as u64, event }).expect("a line"));
        lines.collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let read = read(&written()).expect("good");
        assert_eq!((read.events.len(), read.cut), (3, false));
        assert!(Run::of(&read.events).summary.is_some());
    }

    #[test]
    fn wherever_it_is_cut_the_rest_is_read() {
        let text = written();
        let first = text.find('\n').expect("lines") + 1;
        for end in first..text.len() {
            let read = read(&text[..end]).unwrap_or_else(|e| panic!("cut at {end}: {e}"));
            assert!(read.events.len() <= 3 && !read.events.is_empty());
        }
    }

    #[test]
    fn what_is_no_log_is_refused() {
        assert!(matches!(read(""), Err(LogError::Empty)));
        assert!(matches!(read("{}\n"), Err(LogError::NoBeginning(_))));
        assert!(matches!(read("\u{0}\u{1}\n"), Err(LogError::NoBeginning(_))));
        let newer = written().replacen("\"version\":2", "\"version\":3", 1);
        assert!(matches!(read(&newer), Err(LogError::Newer(3))));
        let broken = written().replacen("\"draining\"", "\"drained\"", 1);
        assert!(matches!(read(&broken), Err(LogError::Broken { line: 2, .. })));
    }

    /// A run of version 1 with a retried case, one that the host cannot impose, and a search.
    #[test]
    fn a_log_of_version_1_is_read() {
        let read = read(include_str!("../../tests/fixtures/events-v1.jsonl")).expect("a log");
        let run = Run::of(&read.events);
        assert!(!read.cut && run.summary.is_some() && run.results.len() == 11);
        let flaky = run.entries().find_map(|entry| entry.attempts.flaky());
        assert_eq!(flaky.as_deref(), Some("not as expected in 1 of 2 attempts"));
        let counts = run.counts();
        assert_eq!((counts.expected, counts.unexpected, counts.skipped, counts.steps), (5, 1, 1, 4));
        assert_eq!((counts.passed, counts.failed, counts.flaky, counts.searches), (3, 3, 1, 1));
        // Written anew, it is of this version and says the same.
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
