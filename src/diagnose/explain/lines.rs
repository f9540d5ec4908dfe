//! The lines of a log, and the meaning of the platform's own.

use super::{FailureClass, LogLine, NotALog};
use crate::model::redact::shown_line;

/// The prefix of the platform's lines.
const PREFIX: &str = "[AppRunner] ";

/// A line.
#[derive(Debug)]
pub(super) struct Line {
    /// Its position in time, from 1.
    pub(crate) at: usize,
    /// Its position in the file, from 1; for JSON, its event's.
    pub(crate) number: usize,
    pub(crate) time: Option<String>,
    /// Without credentials.
    pub(crate) text: String,
    /// Its meaning; `None` for a line of the application.
    pub(crate) meaning: Option<PlatformLine>,
}

impl Line {
    pub(super) fn shown(&self) -> LogLine {
        LogLine { number: self.number, time: self.time.clone(), text: self.text.clone() }
    }
}

/// The meaning of a platform line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PlatformLine {
    /// A deployment begins.
    Started(String),
    /// The image that is deployed.
    Image(String),
    /// The process never started.
    NeverStarted,
    /// The process exited with this code.
    Exited(Option<i64>),
    /// It never became healthy.
    Unhealthy,
    /// The access role is reported invalid: false in the field when it follows another failure.
    Role,
    /// The deployment succeeded.
    Succeeded,
    /// Anything else.
    Other,
}

impl PlatformLine {
    pub(super) fn class(&self) -> Option<FailureClass> {
        match self {
            Self::NeverStarted => Some(FailureClass::A),
            Self::Exited(_) => Some(FailureClass::B),
            Self::Unhealthy => Some(FailureClass::C),
            _ => None,
        }
    }

    pub(super) fn exit_code(&self) -> Option<i64> {
        if let Self::Exited(code) = self { *code } else { None }
    }

    /// Parses a platform line without its prefix.
    fn of(text: &str) -> Self {
        if let Some(rest) = text.strip_prefix("Deployment with ID : ") {
            let (id, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            return if rest.starts_with("started") { Self::Started(id.to_owned()) } else { Self::Other };
        }
        if let Some(artifact) = text.strip_prefix("Deployment Artifact:") {
            let part = |key: &str| Some(artifact.split_once(&format!("[{key}: "))?.1.split_once(']')?.0);
            if let (Some(url), Some(tag)) = (part("Image URL"), part("Image Tag")) {
                let between = if tag.starts_with("sha256:") { '@' } else { ':' };
                return Self::Image(format!("{url}{between}{tag}"));
            }
        }
        if let Some(rest) = text.strip_prefix("Pulling image ") {
            return Self::Image(rest.split(' ').next().unwrap_or_default().to_owned());
        }
        let starts = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
        if starts(&["Your application stopped or failed to start"]) {
            let code =
                text.rsplit_once("exit code:").and_then(|(_, code)| code.trim().trim_end_matches('.').parse().ok());
            Self::Exited(code)
        } else if starts(&["Health check failed"]) {
            Self::Unhealthy
        } else if starts(&[
            "Failed to deploy your application",
            "Failed to pull",
            "Failed to copy",
            "Failed to provision",
        ]) {
            Self::NeverStarted
        } else if text.contains("Invalid Access Role") {
            Self::Role
        } else if starts(&["Service update completed successfully", "Successfully routed incoming traffic"]) {
            Self::Succeeded
        } else {
            Self::Other
        }
    }
}

/// An unparsed line: its position in the file, its time, its text.
type Raw = (usize, Option<String>, String);

/// The lines in chronological order.
pub(super) fn read(text: &str) -> Result<Vec<Line>, NotALog> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(NotALog::Empty);
    }
    let raw = match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) => of_json(&json)?,
        // A file of which the end is missing; other text stops being JSON before it ends.
        Err(e) if e.is_eof() && text.lines().count() > 1 => return Err(NotALog::CutOff { line: e.line() }),
        _ => of_text(text),
    };
    let lines: Vec<Line> = raw.into_iter().enumerate().map(|(n, raw)| line(n + 1, raw)).collect();
    if lines.is_empty() { Err(NotALog::Empty) } else { Ok(lines) }
}

fn line(at: usize, (number, time, text): Raw) -> Line {
    // Escape sequences for a terminal are removed.
    let plain: String = anstream::adapter::strip_str(&text).to_string();
    let plain: String = plain.chars().filter(|c| !c.is_control() || *c == '\t').collect();
    let shown = shown_line(plain.trim_end());
    match shown.split_once(PREFIX) {
        Some((before, statement)) => {
            // It follows a time and, with `aws logs tail`, the stream's name.
            let before = before.trim().trim_end_matches([':', '-']).trim();
            let time = time.or_else(|| (!before.is_empty()).then(|| before.to_owned()));
            Line {
                at,
                number,
                time,
                meaning: Some(PlatformLine::of(statement.trim())),
                text: statement.trim().to_owned(),
            }
        }
        None => match streamed(&shown) {
            Some((stamp, rest)) => {
                let time = time.or_else(|| Some(stamp.to_owned()));
                Line { at, number, time, text: rest.to_owned(), meaning: None }
            }
            None => Line { at, number, time, text: shown, meaning: None },
        },
    }
}

/// A line of `aws logs tail`: the time, and the text after the stream's name.
fn streamed(line: &str) -> Option<(&str, &str)> {
    let (time, rest) = line.split_once(' ')?;
    let (stream, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let of_platform = ["instance/", "deployment/"].iter().any(|start| stream.starts_with(start));
    (of_platform && time.parse::<jiff::Timestamp>().is_ok()).then_some((time, text))
}

/// `{"events": [{"timestamp": …, "message": …}]}`, or the list alone.
fn of_json(json: &serde_json::Value) -> Result<Vec<Raw>, NotALog> {
    let other = |what: String| NotALog::OtherJson { what };
    let events = json.get("events").unwrap_or(json);
    let events = events.as_array().ok_or_else(|| {
        let keys: Vec<&str> = json.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).take(6).collect();
        other(format!("no `events`, but the keys {}", keys.join(", ")))
    })?;
    let mut all: Vec<(i64, usize, String)> = Vec::new();
    for (n, event) in events.iter().enumerate() {
        let message = event.get("message").and_then(serde_json::Value::as_str);
        let message = message.ok_or_else(|| other(format!("entry {} has no `message`", n + 1)))?;
        let time = event.get("timestamp").and_then(serde_json::Value::as_i64).unwrap_or_default();
        all.extend(message.lines().map(|line| (time, n + 1, line.to_owned())));
    }
    // The sort is stable for equal times.
    all.sort_by_key(|(time, ..)| *time);
    let shown = |ms: i64| jiff::Timestamp::from_millisecond(ms).ok().map(|time| time.to_string());
    Ok(all.into_iter().map(|(time, n, text)| (n, shown(time).filter(|_| time != 0), text)).collect())
}

/// Lines of text; a log with its newest line first is reversed.
fn of_text(text: &str) -> Vec<Raw> {
    let mut lines: Vec<Raw> = text.lines().enumerate().map(|(n, line)| (n + 1, None, line.to_owned())).collect();
    let at = |word: &str| lines.iter().position(|(_, _, line)| line.contains(word));
    let first = at("Triggering event");
    let later = [at("Performing health check"), at("Pulling image"), at("exit code:"), at("Health check failed")];
    // With one deployment only: in a longer log, the next deployment starts after the end of the one before.
    let one = lines.iter().filter(|(_, _, line)| line.contains("Triggering event")).count() == 1;
    if one && later.into_iter().flatten().any(|n| first.is_some_and(|first| n < first)) {
        lines.reverse();
    }
    lines
}
