//! Reads the catalogue of causes and packs it, so that no start of the program parses YAML or patterns.
//!
//! The result is deflated JSON, one line for each file: `field`, its name; `entries`, its values as they are written (every
//! scalar is a string); and `words`, the words that each of its patterns is found by. Mistakes in the files are not
//! reported here but by the tests, with their places.

#[path = "src/catalogue/words.rs"]
#[allow(unreachable_pub)]
mod words;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use granit_parser::{Event, Parser, ScalarStyle, StrInput};

/// Where the files are, relative to the package.
const CATALOGUE: &str = "src/catalogue";

/// A value of a file.
enum Value {
    Null,
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={CATALOGUE}");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(CATALOGUE)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut lines = String::new();
    for path in paths {
        let entries = read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut found = BTreeMap::new();
        patterns(&entries, &mut found);
        let words =
            found.into_iter().map(|(pattern, of)| (pattern, Value::List(of.into_iter().map(Value::Text).collect())));
        let field = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let file = [("field", Value::Text(field)), ("words", Value::Map(words.collect())), ("entries", entries)];
        write_json(&Value::Map(file.map(|(key, value)| (key.to_owned(), value)).into()), &mut lines);
        lines.push('\n');
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("catalogue.deflate");
    let mut packed = DeflateEncoder::new(std::fs::File::create(out)?, Compression::best());
    packed.write_all(lines.as_bytes())?;
    packed.finish()?;
    Ok(())
}

/// Reads a file.
fn read(path: &Path) -> Result<Value, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let mut parser = Parser::new_from_str(&text);
    loop {
        match next(&mut parser)? {
            Event::StreamStart | Event::DocumentStart(..) => {}
            event => return value(event, &mut parser),
        }
    }
}

fn next<'a>(parser: &mut Parser<'a, StrInput<'a>>) -> Result<Event<'a>, Box<dyn Error>> {
    loop {
        match parser.next_event() {
            None => return Err("the file ends early".into()),
            Some(Err(error)) => {
                let (line, column) = (error.marker().line(), error.marker().col() + 1);
                return Err(format!("{line}:{column}: {}", error.info()).into());
            }
            Some(Ok((Event::Comment(..), _))) => {}
            Some(Ok((event, _))) => return Ok(event),
        }
    }
}

/// The value that begins with an event.
fn value<'a>(event: Event<'a>, parser: &mut Parser<'a, StrInput<'a>>) -> Result<Value, Box<dyn Error>> {
    match event {
        Event::Scalar(text, style, ..) => {
            let is_null = style == ScalarStyle::Plain && ["", "~", "null", "Null", "NULL"].contains(&text.as_ref());
            Ok(if is_null { Value::Null } else { Value::Text(text.into_owned()) })
        }
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next(parser)? {
                    Event::SequenceEnd => return Ok(Value::List(items)),
                    event => items.push(value(event, parser)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut entries = Vec::new();
            loop {
                let key = match next(parser)? {
                    Event::MappingEnd => return Ok(Value::Map(entries)),
                    Event::Scalar(text, ..) => text.into_owned(),
                    _ => return Err("a key must be a string".into()),
                };
                let event = next(parser)?;
                entries.push((key, value(event, parser)?));
            }
        }
        Event::Alias(_) => Err("aliases are not supported in the catalogue".into()),
        _ => Err("expected a value".into()),
    }
}

/// Adds the words of every pattern below a value. A pattern without words is a mistake, which the tests report.
fn patterns(of: &Value, found: &mut BTreeMap<String, Vec<String>>) {
    match of {
        Value::Null | Value::Text(_) => {}
        Value::List(items) => items.iter().for_each(|item| patterns(item, found)),
        Value::Map(entries) => {
            for (key, value) in entries {
                match value {
                    Value::List(items) if key == "line" => items.iter().for_each(|item| add(item, found)),
                    value if key == "line" => add(value, found),
                    value => patterns(value, found),
                }
            }
        }
    }
}

fn add(pattern: &Value, found: &mut BTreeMap<String, Vec<String>>) {
    if let Value::Text(text) = pattern
        && let Ok(words) = words::words_of(text)
    {
        found.insert(text.clone(), words);
    }
}

fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Text(text) => quoted(text, out),
        Value::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                write_json(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (n, (key, value)) in entries.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                quoted(key, out);
                out.push(':');
                write_json(value, out);
            }
            out.push('}');
        }
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
