//! Every key of every shipped scenario, misspelt, with a wrong type, out of range: rejected at its place. Also files
//! that are not scenarios at all.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use exitone::scenario::{Refused, Scenario, apprunner, file};
use serde_saphyr::granit_parser::{Event, Parser, Span};

fn shipped() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    let text = |path: &PathBuf| std::fs::read_to_string(path).expect("a text file");
    files.into_iter().map(|path| (path.clone(), text(&path))).collect()
}

fn read(path: &Path, text: &str) -> Result<Scenario, Refused> {
    file::read(&path.display().to_string(), text, path.parent().expect("a folder"), None)
}

#[test]
fn shipped_scenarios_are_valid() {
    let shipped = shipped();
    assert!(shipped.len() >= 6, "{}", shipped.len());
    for (path, text) in shipped {
        let scenario = read(&path, &text).unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(scenario.name, path.file_stem().expect("a name").to_string_lossy());
        let first = text.lines().next();
        assert_eq!(first, Some("# yaml-language-server: $schema=../docs/scenario.schema.json"), "{}", path.display());
    }
}

#[test]
fn battery_has_every_condition_that_needs_no_name() {
    let (path, text) = shipped().into_iter().find(|(path, _)| path.ends_with("battery.yaml")).expect("it is there");
    let scenario = read(&path, &text).expect("good");
    let profile = apprunner();
    for line in profile.battery.iter().chain(&profile.forms).filter(|line| !line.contains('*')) {
        assert!(scenario.conditions.contains(&line.parse().expect("a condition")), "{line}");
    }
    for limit in ["memory.limit:2g", "cpu.limit:1"] {
        assert!(scenario.conditions.contains(&limit.parse().expect("a condition")), "{limit}: the default size");
    }
}

/// Line and column, from 1, and the bytes.
#[derive(Clone, Copy)]
struct At {
    line: usize,
    column: usize,
    from: usize,
    to: usize,
}

/// The type of a value.
#[derive(Clone, PartialEq)]
enum Kind {
    Scalar(String),
    List,
    Map,
}

/// A value, its key if it has one, and the keys above.
struct Found {
    above: Vec<String>,
    key: Option<(String, At)>,
    at: At,
    kind: Kind,
}

fn at(text: &str, span: Span, end: Option<Span>) -> At {
    let from = span.byte_range().expect("bytes").start;
    let to = end.unwrap_or(span).byte_range().expect("bytes").end;
    let to = from + text[from..to].trim_end().len();
    At { line: span.start.line(), column: span.start.col() + 1, from, to }
}

/// Everything in a text, from the parser's events alone.
fn walk(text: &str) -> Vec<Found> {
    let events: Vec<(Event, Span)> = Parser::new_from_str(text)
        .map(|next| next.expect("it is YAML"))
        .filter(|(event, _)| event.is_node() || matches!(event, Event::SequenceEnd | Event::MappingEnd))
        .collect();
    let mut walker = Walker { text, events, next: 0, found: Vec::new() };
    walker.value(&[], None);
    walker.found
}

struct Walker<'a> {
    text: &'a str,
    events: Vec<(Event<'a>, Span)>,
    next: usize,
    found: Vec<Found>,
}

impl Walker<'_> {
    /// Consumes a value with everything in it; returns where it ends.
    fn value(&mut self, above: &[String], key: Option<(String, At)>) -> Span {
        let (event, span) = self.events[self.next].clone();
        self.next += 1;
        let index = self.found.len();
        let below: Vec<String> = above.iter().cloned().chain(key.iter().map(|(name, _)| name.clone())).collect();
        let kind = match &event {
            Event::Scalar(scalar, ..) => Kind::Scalar(scalar.to_string()),
            Event::SequenceStart(..) => Kind::List,
            Event::MappingStart(..) => Kind::Map,
            other => panic!("{other:?}"),
        };
        self.found.push(Found { above: above.to_vec(), key, at: at(self.text, span, None), kind: kind.clone() });
        let mut end = span;
        if !matches!(kind, Kind::Scalar(_)) {
            while !matches!(self.events[self.next].0, Event::SequenceEnd | Event::MappingEnd) {
                let name = (kind == Kind::Map).then(|| {
                    let (event, span) = self.events[self.next].clone();
                    self.next += 1;
                    (event.scalar().expect("a plain key").0.to_owned(), at(self.text, span, None))
                });
                end = self.value(&below, name);
            }
            // Flow collections end where they are closed, block collections with their last value.
            let closing = self.events[self.next].1;
            end = if closing.is_empty() { end } else { closing };
            self.next += 1;
        }
        self.found[index].at = at(self.text, span, Some(end));
        end
    }
}

/// The text with a replacement at a place.
fn with(text: &str, at: At, other: &str) -> String {
    format!("{}{other}{}", &text[..at.from], &text[at.to..])
}

/// Whether it is below a key with free keys: variables, candidates, and JSON values.
fn is_below(found: &Found, key: &str) -> bool {
    found.above.iter().any(|name| name == key)
}

/// The same with its number far out of range; `None` if there is none.
fn out_of_range(found: &Found, scalar: &str) -> Option<String> {
    let numeric = |text: &str, extra: &str| {
        text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || extra.contains(c))
    };
    let larger = |text: &str| {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        numeric(text, ".mskg").then(|| format!("99999999{unit}"))
    };
    if is_below(found, "conditions") {
        let separator = if scalar.contains('=') { '=' } else { ':' };
        let (name, argument) = scalar.rsplit_once(separator)?;
        return larger(argument).map(|argument| format!("{name}{separator}{argument}"));
    }
    if is_below(found, "expect") {
        return scalar.strip_prefix("exit 1").map(|rest| format!("exit 1000{rest}"));
    }
    found.key.as_ref().and_then(|_| larger(scalar))
}

#[test]
fn every_mistake_in_a_shipped_scenario_is_reported_at_its_place() {
    let mut counts = [0; 4];
    for (path, text) in shipped() {
        let refused_at = |mutant: &str, places: &[(usize, usize)], what: &str| {
            let Err(refused) = read(&path, mutant) else { panic!("{} is accepted: {what}", path.display()) };
            let there = refused.problems.iter().any(|p| places.contains(&(p.line.unwrap_or_default(), p.column)));
            assert!(there, "{what}: not at {places:?}:\n{refused}");
        };
        for found in walk(&text) {
            let free = is_below(&found, "env");
            let json = found.above.iter().any(|name| name == "json" || name == "body");
            let place = (found.at.line, found.at.column);
            if let Some((key, at)) = found.key.as_ref().filter(|_| !json) {
                let token = &text[at.from..at.to];
                let wrong = match token.strip_suffix('"') {
                    _ if free => format!("9{token}"),
                    Some(token) => format!("{token}x\""),
                    None => format!("{token}x"),
                };
                refused_at(&with(&text, *at, &wrong), &[(at.line, at.column)], &format!("{key} misspelt"));
                counts[0] += 1;
                // Duplicated before itself, if it starts a line.
                let indent = " ".repeat(at.column - 1);
                if text[..at.from].ends_with(&format!("\n{indent}")) {
                    let twice = format!("{token}: x\n{indent}{token}");
                    refused_at(&with(&text, *at, &twice), &[(at.line + 1, at.column)], &format!("{key} twice"));
                    counts[1] += 1;
                }
            }
            let top = found.above.is_empty() && found.key.is_none();
            let any = json || found.key.as_ref().is_some_and(|(key, _)| key == "json" || key == "body");
            if !top && !any {
                let wrong = if matches!(found.kind, Kind::Scalar(_)) { "{wrong: 1}" } else { "wrong" };
                // If a mapping is also allowed, the key is reported.
                let places = [place, (place.0, place.1 + 1)];
                let name = found.key.as_ref().map_or("an element", |(key, _)| key.as_str());
                refused_at(&with(&text, found.at, wrong), &places, &format!("{name} of a wrong type"));
                counts[2] += 1;
            }
            if let Kind::Scalar(scalar) = &found.kind
                && !free
                && !json
                && let Some(wrong) = out_of_range(&found, scalar)
            {
                refused_at(&with(&text, found.at, &wrong), &[place], &format!("{scalar} as {wrong}"));
                counts[3] += 1;
            }
        }
    }
    let least = [140, 130, 280, 30];
    assert!(counts.iter().zip(least).all(|(count, least)| *count >= least), "{counts:?}");
}

/// Runs a file, which must be rejected quickly with exit code 3.
fn refused(path: &Path) -> String {
    let mut command = Command::cargo_bin("exitone").expect("built");
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").arg("run").arg(path).timeout(Duration::from_secs(5));
    let output = command.output().expect("it ran");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.len() < 4000, "{} bytes of output", said.len());
    said
}

#[test]
fn rejects_malformed_scenarios_quickly_with_a_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.yaml");
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let aliases = vec![format!("*a{}", n - 1); 9].join(", ");
        text + &format!("a{n}: &a{n} [{aliases}]\n")
    });
    let table: [(&str, &[u8], &str); 13] = [
        ("tabs", b"candidates:\n\t- a\n", "tab in indentation: YAML uses spaces"),
        ("duplicate keys", b"candidates: [a]\ncandidates: [b]\n", "s.yaml:2:1"),
        ("an anchor bomb", bomb.as_bytes(), "too many repeated nodes"),
        ("a binary file", &[0x7f, b'E', b'L', b'F', 0, 1, 0xff, 0xfe], "not a text file"),
        ("zero bytes", b"candidates: [a]\n\0\0\0", "NUL byte: not a text file"),
        ("nothing", b"", "the file is empty"),
        ("a comment", b"# hello\n", "the file is empty"),
        ("two documents", b"candidates: [a]\n---\ncandidates: [b]\n", "unexpected second document"),
        ("a list", b"- a\n- b\n", "expected a mapping (KEY: value)"),
        ("a word", b"hello\n", "expected a mapping (KEY: value)"),
        ("broken", b"candidates: [a\nservice: {}\n", "s.yaml:"),
        ("deep", &b"[".repeat(1000), "s.yaml"),
        ("a number", b"candidates: [a]\nrepeat: many\n", "repeat `many`: must be an integer from 1 to 100"),
    ];
    for (name, bytes, said) in table {
        std::fs::write(&path, bytes).expect("written");
        let found = refused(&path);
        assert!(found.contains(said), "{name}: {found}");
        for word in ["expected string", "invalid type", "sequence start", "Options", "panicked"] {
            assert!(!found.contains(word), "{name}: {found}");
        }
    }
}

#[test]
fn rejects_huge_files_quickly() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("huge.yaml");
    File::create(&path).expect("created").set_len(100 << 20).expect("it is sparse");
    assert!(refused(&path).contains("larger than 1 MiB"));
    // As text, and as an environment file.
    let mut file = File::create(&path).expect("created");
    for _ in 0..40_000 {
        file.write_all(b"# a line of a file that is too long\n").expect("written");
    }
    assert!(refused(&path).contains("larger than 1 MiB"));
    let scenario = folder.path().join("s.yaml");
    std::fs::write(&scenario, "candidates: [a]\nservice: {env_file: huge.yaml}\n").expect("written");
    let said = refused(&scenario);
    assert!(said.contains("larger than 1 MiB") && said.contains("s.yaml:2:21"), "{said}");
    if cfg!(unix) {
        assert!(refused(Path::new("/dev/zero")).contains("larger than 1 MiB"));
        assert!(!refused(folder.path()).is_empty(), "a folder");
    }
}
