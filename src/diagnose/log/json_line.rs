//! Lines that a logger writes as JSON: pino, bunyan, winston, logback, zap, zerolog, slog, Serilog, structlog,
//! python-json-logger, tracing, Cloud Logging. Their level, message and stack become plain lines.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::diagnose::signature::speaks_of_an_error;

/// Keys of the message, in order of preference.
const MESSAGE: [&str; 10] =
    ["message", "msg", "@m", "event", "textPayload", "log", "text", "@mt", "body", "errorMessage"];
/// Keys of the level.
const LEVEL: [&str; 8] = ["level", "severity", "@l", "levelname", "log.level", "lvl", "loglevel", "s"];
/// Keys of an error: a text, or an object with a message and a stack.
const ERROR: [&str; 11] = [
    "err",
    "error",
    "exception",
    "exc_info",
    "@x",
    "stack_trace",
    "stack",
    "stacktrace",
    "exc_text",
    "cause",
    "reason",
];
/// Keys of the parts of an error, in the order in which a runtime prints them.
const PARTS: [&str; 7] = ["stack", "stack_trace", "stackTrace", "backtrace", "message", "msg", "errmsg"];
/// Objects that hold the fields of the event.
const INSIDE: [&str; 3] = ["fields", "jsonPayload", "attr"];

/// Fields that say nothing about what happened.
const BESIDE: [&str; 26] = [
    "time",
    "timestamp",
    "ts",
    "@t",
    "pid",
    "hostname",
    "name",
    "logger",
    "logger_name",
    "thread",
    "thread_name",
    "target",
    "level_value",
    "v",
    "@version",
    "caller",
    "source",
    "version",
    "service",
    "env",
    "type",
    "@i",
    "id",
    "ctx",
    "stream",
    "location",
];
/// Maximum length of the fields of an event, in characters.
const MOST_FIELDS: usize = 400;

/// A log whose JSON lines are plain lines: the level unless it is an error's, then the message, then the stack. A line that
/// is not such JSON stays as it is.
pub(crate) fn plain(log: &str) -> Cow<'_, str> {
    if !log.lines().any(|line| line.trim_start().starts_with('{') || line.trim_end().ends_with('}')) {
        return Cow::Borrowed(log);
    }
    let mut out = String::with_capacity(log.len());
    for line in log.lines() {
        match event(line) {
            Some(text) => out.push_str(&text),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    Cow::Owned(out)
}

/// Whether a line is an event that a logger wrote.
pub(super) fn is_event(line: &str) -> bool {
    event(line).is_some()
}

/// The event behind a program's name: `kibana[7]: {…}` (syslog). It has a level and a message, as no other text does.
fn tagged(line: &str) -> Option<&str> {
    let (tag, json) = line.split_once(": {").map(|(tag, _)| (tag, &line[tag.len() + 2..]))?;
    let is_name = !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-[]".contains(&b));
    let has = |keys: &[&str]| keys.iter().any(|key| json.contains(&format!("\"{key}\":")));
    (is_name && has(&LEVEL) && has(&MESSAGE)).then_some(json)
}

/// The plain lines of an event; `None` if the line is not one.
fn event(line: &str) -> Option<String> {
    let line = line.trim();
    // One of a list, which has a line of its own there (`aws logs filter-log-events`).
    let line = line.strip_suffix(',').unwrap_or(line);
    let json = if line.starts_with('{') { line } else { tagged(line)? };
    let Some(Value::Object(event)) = json.ends_with('}').then(|| serde_json::from_str(json).ok()).flatten() else {
        return None;
    };
    let event = uncapitalized(event);
    let inner = INSIDE.iter().filter_map(|key| event.get(*key)?.as_object());
    let all: Vec<&Map<String, Value>> = std::iter::once(&event).chain(inner).collect();
    let find = |keys: &[&str]| keys.iter().find_map(|key| all.iter().find_map(|map| map.get(*key)));
    let mut messages = all.iter().filter_map(|map| message_of(map));
    let message = messages.next();
    let level = find(&LEVEL).and_then(level);
    let mut error = String::new();
    // MongoDB: `"msg":"WiredTiger error message","attr":{"message":{"msg":"…"}}`.
    for inner in messages.filter(|inner| Some(*inner) != message) {
        add(&mut error, &Value::from(inner));
    }
    for key in ERROR {
        if let Some(value) = all.iter().find_map(|map| map.get(key)) {
            add(&mut error, value);
        }
    }
    all.iter().filter_map(|map| dotted(map)).for_each(|value| add(&mut error, &value));
    if message.is_none() && error.is_empty() {
        return None;
    }
    let mut text = String::new();
    // What is no error is marked as a logger of text would.
    if let Some(level) = level.filter(|level| *level != Level::Error) {
        text.push_str(level.word());
    }
    text.push_str(message.unwrap_or_default().trim_end());
    let fields = if level.is_none_or(|level| level == Level::Error) { fields(&all) } else { String::new() };
    if !error.is_empty() {
        let first = error.lines().next().unwrap_or_default();
        // The stack begins with the message already.
        if message.is_some_and(|message| !message.is_empty() && first.contains(message)) {
            text.truncate(text.len() - message.unwrap_or_default().trim_end().len());
        } else if message.is_some_and(|message| !message.trim().is_empty()) {
            // Loggers of text write `message: error`.
            text.push_str(if error.trim_end().contains('\n') { "\n" } else { ": " });
        }
        text.push_str(error.trim_end());
    }
    // So that the line is known for an error without the level, too.
    if level == Some(Level::Error) && !text.contains('\n') && !speaks_of_an_error(&text) {
        text.insert_str(0, "ERROR: ");
    }
    // Below the first line nothing is added to a stack.
    if !fields.is_empty() {
        let end = text.find('\n').unwrap_or(text.len());
        text.insert_str(end, &fields);
    }
    Some(text)
}

/// The keys with a small first letter: some loggers write `Level` and `Message`.
fn uncapitalized(event: Map<String, Value>) -> Map<String, Value> {
    let small = |key: String| {
        let mut letters = key.chars();
        letters.next().map(|first| first.to_ascii_lowercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    let (capital, mut all): (Map<_, _>, Map<_, _>) =
        event.into_iter().partition(|(key, _)| key.starts_with(|c: char| c.is_ascii_uppercase()));
    for (key, value) in capital {
        all.entry(small(key)).or_insert(value);
    }
    all
}

/// The message in an object: a text, or an object that has one.
fn message_of(map: &Map<String, Value>) -> Option<&str> {
    MESSAGE.iter().find_map(|key| match map.get(*key)? {
        Value::Object(inner) => MESSAGE.iter().find_map(|key| inner.get(*key)?.as_str()),
        value => value.as_str(),
    })
}

/// The error that dotted keys spell: `error.type`, `error.message`, `error.stack_trace` (Elastic Common Schema).
fn dotted(map: &Map<String, Value>) -> Option<Value> {
    let part = |(key, value): (&String, &Value)| Some((key.strip_prefix("error.")?.to_owned(), value.clone()));
    let parts: Map<String, Value> = map.iter().filter_map(part).collect();
    (!parts.is_empty()).then_some(Value::Object(parts))
}

/// What else an event says, as loggers of text write it: ` key=value`.
fn fields(all: &[&Map<String, Value>]) -> String {
    let is_known = |key: &str| {
        let lists = [&MESSAGE[..], &LEVEL[..], &ERROR[..], &INSIDE[..], &BESIDE[..]];
        key.starts_with("error.") || lists.iter().any(|keys| keys.contains(&key))
    };
    let mut out = String::new();
    for (key, value) in all.iter().flat_map(|map| map.iter()).filter(|(key, _)| !is_known(key)) {
        let value = match value {
            Value::String(text) if !text.contains('\n') => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        if out.len() + key.len() + value.len() < MOST_FIELDS {
            out.push_str(&format!(" {key}={value}"));
        }
    }
    out
}

/// Adds an error's text.
fn add(out: &mut String, value: &Value) {
    let mut line = |text: &str| {
        let text = text.trim_end();
        if !text.is_empty() && !out.contains(text) {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(text);
        }
    };
    match value {
        Value::String(text) => line(text),
        Value::Array(items) => items.iter().filter_map(Value::as_str).for_each(line),
        Value::Object(map) => {
            let found = PARTS.iter().find_map(|key| map.get(*key)?.as_str());
            let kind = ["type", "name", "class", "kind"].iter().find_map(|key| map.get(*key)?.as_str());
            match (kind, found) {
                (Some(kind), Some(text)) if !text.contains(kind) => line(&format!("{kind}: {text}")),
                (_, Some(text)) => line(text),
                (Some(kind), None) => line(kind),
                (None, None) => {}
            }
            if let Some(cause) = map.get("cause").filter(|cause| !cause.is_null()) {
                add(out, cause);
            }
        }
        _ => {}
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// The word in front of a line.
    fn word(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG: ",
            Self::Info => "INFO: ",
            Self::Warn => "WARN: ",
            Self::Error => "",
        }
    }
}

/// A level in words, or as a number: bunyan and pino count 10, 20 … 60.
fn level(value: &Value) -> Option<Level> {
    if let Some(number) = value.as_i64() {
        return Some(match number {
            ..30 => Level::Debug,
            30..40 => Level::Info,
            40..50 => Level::Warn,
            _ => Level::Error,
        });
    }
    let word = value.as_str()?.to_ascii_lowercase();
    // MongoDB's are letters.
    if let Some(level) =
        [("d", Level::Debug), ("i", Level::Info), ("w", Level::Warn), ("e", Level::Error), ("f", Level::Error)]
            .into_iter()
            .find_map(|(letter, level)| (word == letter).then_some(level))
    {
        return Some(level);
    }
    let starts = |words: &[&str]| words.iter().any(|start| word.starts_with(start));
    if starts(&["trace", "debug", "verbose", "silly"]) {
        Some(Level::Debug)
    } else if starts(&["info", "notice", "default", "http"]) {
        Some(Level::Info)
    } else if starts(&["warn"]) {
        Some(Level::Warn)
    } else if starts(&["err", "fatal", "crit", "panic", "alert", "emerg", "severe", "dpanic"]) {
        Some(Level::Error)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_loggers_write() {
        for (line, expected) in [
            (r#"{"level":30,"time":1,"msg":"listening"}"#, "INFO: listening"),
            (r#"kibana[744]: {"level":30,"msg":"listening"}"#, "INFO: listening"),
            (
                r#"{"level":60,"err":{"type":"Error","message":"x y","stack":"Error: x y\n    at f (/app/a.js:1:2)"},"msg":"x y"}"#,
                "Error: x y\n    at f (/app/a.js:1:2)",
            ),
            (r#"{"level":"fatal","ts":1.5,"msg":"no db","error":"dial tcp: refused"}"#, "no db: dial tcp: refused"),
            (
                r#"{"@t":"2026","@mt":"Host {X}","@l":"Fatal","@x":"System.Exception: boom\n   at P.Main()"}"#,
                "Host {X}\nSystem.Exception: boom\n   at P.Main()",
            ),
            (r#"{"timestamp":"2026","level":"WARN","fields":{"message":"slow"},"target":"app"}"#, "WARN: slow"),
            (r#"{"event":"started","level":"info"}"#, "INFO: started"),
            // AWS Lambda.
            (
                r#"{"errorMessage":"Unable to import module 'app'","errorType":"Runtime.ImportModuleError"}"#,
                "Unable to import module 'app' errorType=Runtime.ImportModuleError",
            ),
            (r#" {"timestamp":1703848211402,"message":"boom"},"#, "boom"),
            (
                r#"{"message":"bad","level":"ERROR","stack_trace":"java.lang.E: bad\n\tat a.B.c(B.java:1)"}"#,
                "java.lang.E: bad\n\tat a.B.c(B.java:1)",
            ),
            (r#"{"severity":"ERROR","jsonPayload":{"message":"boom"}}"#, "ERROR: boom"),
            (
                r#"{"Event":"cannot start","Level":"fatal","Location":"main.go:190","Time":"10:00","error":"no key"}"#,
                "cannot start: no key",
            ),
            (r#"{"level":"FATAL","error":{"message":"disk a: corrupted"}}"#, "ERROR: disk a: corrupted"),
            (
                r#"{"log.level":"ERROR","message":"fatal","error.type":"java.lang.E","error.message":"bad","error.stack_trace":"java.lang.E: bad\n\tat a.B.c(B.java:1)"}"#,
                "fatal\njava.lang.E: bad\n\tat a.B.c(B.java:1)",
            ),
            (
                r#"{"s":"E","msg":"WiredTiger error message","attr":{"error":1,"message":{"msg":"journal: Operation not permitted"}}}"#,
                "WiredTiger error message: journal: Operation not permitted",
            ),
        ] {
            assert_eq!(plain(line).trim_end(), expected, "{line}");
        }
    }

    #[test]
    fn leaves_other_lines_alone() {
        for line in ["{ not json }", "{\"a\": 1}", "plain {\"msg\": \"x\"}", "failed: {\"msg\": \"x\"}", "}"] {
            assert_eq!(plain(line).trim_end(), line);
        }
    }
}
