//! Logs in documents: JSON of `aws logs get-log-events` and `filter-log-events`, of `aws ecs describe-tasks`, of
//! `gcloud logging read`, its YAML, and CSV as consoles export it.

use std::fmt;
use std::io::BufRead;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::json_line::is_event;
use super::kept::{Kept, Raw};
use super::prefix::millis;
use super::{NotALog, PlatformLine};

/// What kind of document a log is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Json,
    Csv,
    Yaml,
}

/// The kind of document that a log begins like; `None` for lines of text.
pub(super) fn shape(sample: &str) -> Option<Shape> {
    let text = sample.trim_start_matches('\u{feff}').trim_start();
    let first = text.lines().next().unwrap_or_default();
    let inside = text.get(1..).unwrap_or_default().trim_start();
    // Erlang's terms begin like JSON.
    let parsed = serde_json::from_str::<Value>(first);
    let is_json = parsed.as_ref().map_or_else(serde_json::Error::is_eof, |_| true);
    match text.as_bytes().first() {
        // A logger writes an object a line; a document has the events in it.
        Some(b'{') if is_json && (inside.starts_with('"') || inside.starts_with('}')) => {
            let is_event = parsed.is_ok_and(|one| !DOCUMENT.iter().any(|key| one.get(key).is_some()))
                && (is_event(first) || text.lines().filter(|line| !line.trim().is_empty()).count() > 1);
            (!is_event).then_some(Shape::Json)
        }
        Some(b'[') if is_json && inside.starts_with(['{', ']']) && begins_as_json(text) => Some(Shape::Json),
        _ if Columns::of(first).is_some() => Some(Shape::Csv),
        _ if first.starts_with("---") || first.starts_with("insertId:") => text
            .lines()
            .any(|line| line.starts_with("textPayload:") || line.starts_with("jsonPayload:"))
            .then_some(Shape::Yaml),
        _ => None,
    }
}

/// Whether a text begins with JSON, as far as it goes. Node.js prints objects that only look like it.
fn begins_as_json(text: &str) -> bool {
    match serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>().next() {
        Some(Err(e)) => e.is_eof(),
        Some(Ok(_)) => true,
        None => false,
    }
}

/// Keys of documents.
const DOCUMENT: [&str; 3] = ["events", "tasks", "entries"];

/// Reads a document; what follows it stays in the source.
pub(super) fn read(shape: Shape, source: &mut impl BufRead, kept: &mut Kept) -> Result<(), NotALog> {
    match shape {
        Shape::Json => json(source, kept),
        Shape::Csv => csv(source, kept),
        Shape::Yaml => yaml(source, kept),
    }
}

fn json(source: &mut impl BufRead, kept: &mut Kept) -> Result<(), NotALog> {
    skip_blanks(source)?;
    let mut top = Top { kept, number: 0, keys: Vec::new(), other: None };
    let mut reader = serde_json::Deserializer::from_reader(source);
    match (&mut top).deserialize(&mut reader) {
        Ok(()) => {}
        Err(e) if e.is_eof() => return Err(NotALog::CutOff { line: e.line() }),
        Err(e) if e.is_io() => return Err(NotALog::Io(e.into())),
        Err(e) => return Err(NotALog::OtherJson { what: e.to_string() }),
    }
    match top.other {
        Some(what) => Err(NotALog::OtherJson { what }),
        None => Ok(()),
    }
}

/// Skips white space, and the mark of UTF-8.
fn skip_blanks(source: &mut impl BufRead) -> Result<(), NotALog> {
    loop {
        let buffer = source.fill_buf()?;
        let blank = |byte: &u8| byte.is_ascii_whitespace() || [0xef, 0xbb, 0xbf].contains(byte);
        let skip = buffer.iter().position(|byte| !blank(byte)).unwrap_or(buffer.len());
        let is_end = buffer.is_empty() || skip < buffer.len();
        source.consume(skip);
        if is_end {
            return Ok(());
        }
    }
}

/// An event of CloudWatch Logs, a row of Insights, or an entry of Cloud Logging.
#[derive(Deserialize, Default)]
struct Event {
    #[serde(default, alias = "@timestamp")]
    timestamp: Option<Value>,
    #[serde(default, alias = "@message")]
    message: Option<String>,
    #[serde(default, rename = "textPayload")]
    text_payload: Option<String>,
    #[serde(default, rename = "jsonPayload")]
    json_payload: Option<Value>,
    #[serde(default)]
    severity: Option<Value>,
    /// What the platform itself says, in Cloud Logging.
    #[serde(default, rename = "protoPayload")]
    proto_payload: Option<Value>,
    /// Every entry of Cloud Logging has it.
    #[serde(default, rename = "insertId")]
    insert_id: Option<IgnoredAny>,
}

/// Reads the top of a document.
struct Top<'k> {
    kept: &'k mut Kept,
    number: usize,
    keys: Vec<String>,
    /// What the document is instead of a log.
    other: Option<String>,
}

impl Top<'_> {
    fn event(&mut self, event: Event) {
        self.number += 1;
        let Event { timestamp, message, text_payload, json_payload, severity, proto_payload, insert_id } = event;
        let status = proto_payload.as_ref().and_then(|payload| payload.pointer("/status/message")?.as_str());
        let json = json_payload.map(|payload| serde_json::json!({"severity": severity, "jsonPayload": payload}));
        let text = message.or(text_payload).or_else(|| json.map(|json| json.to_string()));
        let Some(text) = text.or_else(|| status.map(str::to_owned)) else {
            // An entry about a request has no text.
            if insert_id.is_some() || proto_payload.is_some() {
                return;
            }
            self.other.get_or_insert_with(|| format!("entry {} has no `message`", self.number));
            return;
        };
        let ms = timestamp.as_ref().and_then(|time| time.as_i64().or_else(|| millis(time.as_str()?)));
        let ms = ms.filter(|ms| *ms != 0);
        let time = ms.and_then(|ms| Some(jiff::Timestamp::from_millisecond(ms).ok()?.to_string()));
        for line in text.lines() {
            let text = line.to_owned();
            self.kept.push(Raw { number: self.number, time: time.clone(), ms, text, meaning: None });
        }
    }

    /// A task of `aws ecs describe-tasks`: how it stopped.
    fn task(&mut self, task: &Value) {
        self.number += 1;
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let written = text(task, "stoppedAt");
        let ms = millis(&written);
        let time = (!written.is_empty()).then_some(written);
        let mut push = |text: String, meaning: PlatformLine| {
            let (time, number) = (time.clone(), self.number);
            self.kept.push(Raw { number, time, ms, text, meaning: Some(meaning) });
        };
        let reason = text(task, "stoppedReason");
        let low = reason.to_ascii_lowercase();
        let meaning = if low.contains("health check") {
            PlatformLine::Unhealthy
        } else if text(task, "stopCode") == "TaskFailedToStart" {
            PlatformLine::NeverStarted
        } else {
            PlatformLine::Other
        };
        if !reason.is_empty() {
            push(reason, meaning);
        }
        for container in task.get("containers").and_then(Value::as_array).into_iter().flatten() {
            let (name, reason) = (text(container, "name"), text(container, "reason"));
            let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
            match container.get("exitCode").and_then(Value::as_i64) {
                Some(0) => push(format!("container {name} exited with code 0{reason}"), PlatformLine::Other),
                Some(code) => {
                    push(format!("container {name} exited with code {code}{reason}"), PlatformLine::Exited(Some(code)));
                }
                None if !reason.is_empty() => push(format!("container {name}{reason}"), PlatformLine::Other),
                None => {}
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Top<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `events`, or a list of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(event) = items.next_element::<Event>()? {
            self.event(event);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        let mut single: Vec<(String, Value)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "events" | "entries" => {
                    found = true;
                    map.next_value_seed(&mut *self)?;
                }
                "tasks" => {
                    found = true;
                    let tasks: Vec<Value> = map.next_value()?;
                    tasks.iter().for_each(|task| self.task(task));
                }
                // An event of EventBridge: ECS Task State Change.
                "detail" => {
                    let task: Value = map.next_value()?;
                    if task.get("stoppedReason").is_some() {
                        found = true;
                        self.task(&task);
                    } else {
                        self.keys.push(key);
                    }
                }
                "message" | "timestamp" | "textPayload" | "jsonPayload" | "protoPayload" | "severity" | "@message" => {
                    single.push((key, map.next_value()?));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    self.keys.push(key);
                }
            }
        }
        let one = serde_json::from_value::<Event>(Value::Object(single.into_iter().collect()));
        match one {
            Ok(event)
                if !found
                    && (event.message.is_some()
                        || event.text_payload.is_some()
                        || event.json_payload.is_some()
                        || event.proto_payload.is_some()) =>
            {
                self.event(event);
            }
            _ if !found => {
                let keys: Vec<&str> = self.keys.iter().map(String::as_str).take(6).collect();
                self.other = Some(format!("no `events`, but the keys {}", keys.join(", ")));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Names of a column with times and of one with messages, in lower case: CloudWatch Logs Insights, Cloud Logging, Log
/// Analytics, Datadog, Grafana, Kibana.
const TIMES: [&str; 7] =
    ["@timestamp", "timestamp", "time", "date", "timegenerated", "timegenerated [utc]", "datetime"];
const MESSAGES: [&str; 10] =
    ["@message", "message", "textpayload", "msg", "log", "line", "content", "logentry", "log_s", "resultdescription"];

/// Where the times and the messages are in a table.
struct Columns {
    time: usize,
    message: usize,
}

impl Columns {
    /// The columns that the first line of a table names; `None` for anything else.
    fn of(line: &str) -> Option<Self> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let names = reader.records().next()?.ok()?;
        let name = |name: &str| name.trim_start_matches('\u{feff}').trim().to_lowercase();
        let names: Vec<String> = names.iter().map(name).collect();
        let column = |of: &[&str]| of.iter().find_map(|one| names.iter().position(|name| name == one));
        Some(Self { time: column(&TIMES)?, message: column(&MESSAGES)? })
    }
}

/// Rows with a time and a message, often newest first.
fn csv(source: &mut impl BufRead, kept: &mut Kept) -> Result<(), NotALog> {
    let mut first = Vec::new();
    super::kept::line(source, &mut first)?;
    let Some(Columns { time, message }) = Columns::of(&String::from_utf8_lossy(&first)) else { return Ok(()) };
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(source);
    let mut record = csv::ByteRecord::new();
    let mut number = 1;
    let wrong = |e: csv::Error| match e.into_kind() {
        csv::ErrorKind::Io(e) => NotALog::Io(e),
        other => NotALog::OtherJson { what: format!("{other:?}") },
    };
    while reader.read_byte_record(&mut record).map_err(wrong)? {
        number += 1;
        let field = |at: usize| record.get(at).map(String::from_utf8_lossy).unwrap_or_default();
        let time = Some(field(time).into_owned()).filter(|time| !time.is_empty());
        let ms = time.as_deref().and_then(millis);
        for line in field(message).lines() {
            kept.push(Raw { number, time: time.clone(), ms, text: line.to_owned(), meaning: None });
        }
    }
    Ok(())
}

/// Entries of `gcloud logging read`, one document each.
fn yaml(source: &mut impl BufRead, kept: &mut Kept) -> Result<(), NotALog> {
    let mut buffer = Vec::new();
    let (mut number, mut first) = (0, 0);
    let mut texts: Vec<String> = Vec::new();
    let mut time: Option<String> = None;
    // A text that goes on below its key: in a block, in quotes, or not at all.
    let mut block = false;
    let flush = |texts: &mut Vec<String>, time: &mut Option<String>, first: usize, kept: &mut Kept| {
        let ms = time.as_deref().and_then(millis);
        for text in texts.drain(..) {
            kept.push(Raw { number: first, time: time.clone(), ms, text, meaning: None });
        }
        *time = None;
    };
    while super::kept::line(source, &mut buffer)? {
        number += 1;
        let line = String::from_utf8_lossy(&buffer).into_owned();
        if line.starts_with("---") {
            flush(&mut texts, &mut time, first, kept);
            (first, block) = (number + 1, false);
        } else if let Some(text) =
            line.strip_prefix("textPayload:").or_else(|| line.trim_start().strip_prefix("message:"))
        {
            let text = text.trim();
            block = text.starts_with(['|', '>'])
                || (text.starts_with(['"', '\'']) && !(text.len() > 1 && text.ends_with(['"', '\''])));
            if !text.starts_with(['|', '>']) {
                texts.push(text.trim_matches(['"', '\'']).to_owned());
            }
        } else if let Some(text) = line.strip_prefix("timestamp:") {
            time = Some(text.trim().trim_matches(['"', '\'']).to_owned());
            block = false;
        } else if line.starts_with(' ') && block {
            texts.push(line.strip_prefix("  ").unwrap_or(&line).trim_end_matches(['"', '\'']).to_owned());
        } else {
            block = false;
        }
    }
    flush(&mut texts, &mut time, first, kept);
    Ok(())
}
