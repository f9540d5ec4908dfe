//! Writes a draft as YAML; each line has its origin.

use std::fmt::Write;

use super::Kind;
use super::draft::{Draft, Field, Origin, Value, Variable};
use super::hide;
use crate::model::words::file_name;

/// The column at which comments wrap.
const WIDTH: usize = 110;
/// Placeholder for an unknown image.
const NO_IMAGE: &str = "your-image:latest";

/// What is written for values that look like credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    /// The real values: the text is parsed immediately and stored nowhere.
    Real,
    /// Placeholders: the text is a file.
    Placeholders,
}

/// The written lines.
#[derive(Default)]
pub(crate) struct Lines(Vec<(String, Option<Origin>)>);

impl Lines {
    /// The whole text.
    pub(crate) fn text(&self) -> String {
        self.0.iter().fold(String::new(), |text, (line, _)| text + line + "\n")
    }

    /// The origin of a line, counted from 1.
    pub(crate) fn origin(&self, line: usize) -> Option<&Origin> {
        self.0.get(line.checked_sub(1)?)?.1.as_ref()
    }

    fn put(&mut self, line: impl Into<String>) {
        self.0.push((line.into(), None));
    }

    fn put_from(&mut self, line: impl Into<String>, from: &Origin) {
        self.0.push((line.into(), Some(from.clone())));
    }

    /// A wrapped comment; `first` starts its first line, spaces of the same width the others.
    fn comment(&mut self, indent: &str, first: &str, text: &str) {
        let mut line = format!("{indent}#{first}");
        let empty = format!("{indent}#{}", " ".repeat(first.chars().count()));
        let mut fresh = true;
        for word in text.split_whitespace() {
            if !fresh && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.put(std::mem::replace(&mut line, empty.clone()));
                fresh = true;
            }
            if !fresh {
                line.push(' ');
            }
            line.push_str(word);
            fresh = false;
        }
        self.put(line);
    }
}

/// A YAML scalar: plain if unambiguous, else in double quotes.
pub(crate) fn scalar(text: &str) -> String {
    const WORDS: [&str; 10] = ["true", "false", "yes", "no", "on", "off", "null", "nan", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

/// A text in double quotes (YAML 1.2, 5.7).
fn quoted(text: &str) -> String {
    let mut out = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Characters that an editor does not show or takes for a line end.
            c if c.is_control() || is_invisible(c) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

/// Separators, direction marks, the byte order mark, and noncharacters; all below 2^16.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff0}'..='\u{ffff}')
}

/// A text of the file inside a comment: it must not end the line.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c }).collect()
}

/// The draft as a scenario file.
pub(crate) fn scenario(draft: &Draft, file: &str, images: &[String]) -> Lines {
    let mut lines = Lines::default();
    head(&mut lines, draft, file, images);
    lines.put("");
    lines.put("candidates:");
    match (&draft.image, images) {
        (_, [_, ..]) => images.iter().for_each(|image| lines.put(format!("  - {}", image_name(image)))),
        (Some(image), []) => lines.put_from(format!("  - {}", image_name(&image.text)), &image.from),
        (None, []) => lines.put(format!("  - {NO_IMAGE} # the image to run; the file does not name one")),
    }
    lines.put("");
    let block = service_lines(draft, Values::Placeholders, "  ");
    if !block.0.is_empty() {
        lines.put("service:");
        lines.0.extend(block.0);
        lines.put("");
    }
    conditions(&mut lines, draft);
    lines
}

/// The draft as a service file.
pub(crate) fn service(draft: &Draft, values: Values) -> Lines {
    let mut lines = Lines::default();
    if let Some(image) = &draft.image {
        lines.put_from(format!("image: {}", scalar(&image.text)), &image.from);
    }
    lines.0.extend(service_lines(draft, values, "").0);
    lines
}

/// Image names contain a colon, which is plain if no space follows.
fn image_name(image: &str) -> String {
    let plain = image.starts_with(|c: char| c.is_ascii_lowercase())
        && image.chars().all(|c| c.is_ascii_alphanumeric() || "_./-:@".contains(c))
        && !image.ends_with(':');
    if plain { image.to_owned() } else { quoted(image) }
}

fn head(lines: &mut Lines, draft: &Draft, file: &str, images: &[String]) {
    let of = draft.name.as_ref().map(|name| format!(" (service {})", shown(name))).unwrap_or_default();
    // The path to a file is private.
    let file = file_name(file);
    lines.comment("", " ", &format!("Made by `exitone import` from {}, read as {}{of}.", shown(file), draft.kind));
    lines.put("#");
    lines.put("# Taken from it:");
    if let Some(image) = draft.image.as_ref().filter(|_| images.is_empty()) {
        lines.put(format!("#   candidates     {}", image.from.path));
    }
    let command = draft.start_command.as_ref();
    let fields = [
        ("port", draft.port.as_ref()),
        ("start_command", command),
        ("cpu", draft.cpu.as_ref()),
        ("memory", draft.memory.as_ref()),
        ("egress", draft.egress.as_ref()),
    ];
    for (key, field) in fields {
        lines.0.extend(field.map(|field| (format!("#   {key:<14} {}", field.from.path), None)));
    }
    if let Some((_, field)) = draft.health.first() {
        lines.put(format!("#   {:<14} {}", "health_check", group(&field.from.path)));
    }
    for (key, from, count) in variables(draft) {
        lines.put(format!("#   {key:<14} {from} ({count})"));
    }
    if !images.is_empty() {
        lines.put("# The candidates are those of the command line.");
    }
    let health = if draft.health.is_empty() { None } else { Some(()) };
    let missing = [("port", draft.port.is_some()), ("health_check", health.is_some())];
    let sizes = [("cpu", draft.cpu.is_some()), ("memory", draft.memory.is_some())];
    let defaults: Vec<&str> = missing.iter().chain(&sizes).filter(|(_, is)| !is).map(|(key, _)| *key).collect();
    if !defaults.is_empty() {
        lines.comment(
            "",
            " ",
            &format!("App Runner's defaults, because it does not set them: {}.", defaults.join(", ")),
        );
    }
    lines.put("#");
    lines.put("# Not known from the file; check before you rely on a result:");
    for note in values_not_known(draft).iter().chain(&draft.notes) {
        lines.comment("", " - ", note);
    }
}

/// A path without its last part.
fn group(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(group, _)| group)
}

/// The origins of variables, with their numbers.
fn variables(draft: &Draft) -> Vec<(&'static str, String, usize)> {
    let mut all: Vec<(&'static str, String, usize)> = Vec::new();
    for variable in &draft.env {
        let key = if matches!(variable.value, Value::Secret(_)) { "secrets" } else { "env" };
        let from = match (draft.kind, variable.from.path.as_str()) {
            (Kind::EnvFile, _) => "all its lines".to_owned(),
            // A single variable, not one of a list.
            (Kind::AppRunnerYaml, path) => path.to_owned(),
            // A name may contain dots.
            (Kind::Describe | Kind::Update, path) => {
                path.strip_suffix(&variable.name).unwrap_or(path).trim_end_matches('.').to_owned()
            }
        };
        match all.iter_mut().find(|(k, f, _)| (*k, f.as_str()) == (key, from.as_str())) {
            Some((_, _, count)) => *count += 1,
            None => all.push((key, from, 1)),
        }
    }
    all
}

/// Which values are placeholders, and what to do about them.
fn values_not_known(draft: &Draft) -> Vec<String> {
    let mut notes = Vec::new();
    let secrets = draft.secrets();
    if !secrets.is_empty() {
        notes.push(format!("The values of the secrets {}: they are stored elsewhere.", secrets.join(", ")));
    }
    let looks = |v: &&Variable| matches!(v.value, Value::Plain(_)) && v.hidden().is_some();
    let hidden: Vec<&str> = draft.env.iter().filter(looks).map(|v| v.name.as_str()).collect();
    if !hidden.is_empty() {
        let looks = if hidden.len() == 1 { "it may be a credential" } else { "they may be credentials" };
        notes.push(format!("The values of {}: left out on purpose, as {looks}.", hidden.join(", ")));
    }
    if !secrets.is_empty() || !hidden.is_empty() {
        let file = match draft.kind {
            Kind::EnvFile => " (such as the imported file)",
            _ => "",
        };
        notes.push(format!(
            "Placeholders replace these. Insert test values of the same form (a URL for a URL), or the process may fail \
             because of a placeholder; or remove the lines and name a file of NAME=VALUE lines with \
             `env_file: FILE`{file}."
        ));
    }
    if draft.start_command.as_ref().is_some_and(|c| hide::text("placeholder", &c.text).is_some()) {
        notes.push("A possible credential in the start command: `placeholder` replaces it.".to_owned());
    }
    notes
}

/// The block with every line indented.
fn service_lines(draft: &Draft, values: Values, indent: &str) -> Lines {
    let mut lines = Lines::default();
    let put = |lines: &mut Lines, indent: &str, key: &str, field: &Field| {
        lines.put_from(format!("{indent}{key}: {}", scalar(&field.text)), &field.from);
    };
    if let Some(port) = &draft.port {
        put(&mut lines, indent, "port", port);
    }
    if let Some(command) = &draft.start_command {
        let hidden = hide::text("placeholder", &command.text).filter(|_| values == Values::Placeholders);
        let text = hidden.unwrap_or_else(|| command.text.clone());
        put(&mut lines, indent, "start_command", &Field { text, from: command.from.clone() });
    }
    for (key, field) in [("cpu", &draft.cpu), ("memory", &draft.memory), ("egress", &draft.egress)] {
        if let Some(field) = field {
            put(&mut lines, indent, key, field);
        }
    }
    if let Some(role) = draft.role {
        lines.put(format!("{indent}role: {}", if role { "yes" } else { "no" }));
    }
    if !draft.health.is_empty() {
        lines.put(format!("{indent}health_check:"));
        for (key, field) in &draft.health {
            let number = !field.text.is_empty() && field.text.bytes().all(|b| b.is_ascii_digit());
            let value = if number { field.text.clone() } else { scalar(&field.text) };
            lines.put_from(format!("{indent}  {key}: {value}"), &field.from);
        }
    }
    let mut secret_names: Vec<(String, &Origin)> = Vec::new();
    if !draft.env.is_empty() {
        lines.put(format!("{indent}env:"));
        for variable in &draft.env {
            let hidden = variable.hidden();
            if hidden.is_some() {
                secret_names.push((scalar(&variable.name), &variable.from));
            }
            let (value, why) = match (&variable.value, hidden) {
                (Value::Plain(value), Some(hidden)) if values == Values::Placeholders => {
                    (hidden, "may be a credential: put a test value here".to_owned())
                }
                (Value::Plain(value), _) => (value.clone(), String::new()),
                (Value::Secret(store), hidden) => {
                    (hidden.unwrap_or_default(), format!("from {}: put a test value here", store.name()))
                }
            };
            let why = if why.is_empty() { why } else { format!(" # {why}") };
            let line = format!("{indent}  {}: {}{why}", scalar(&variable.name), scalar(&value));
            lines.put_from(line, &variable.from);
        }
    }
    if !secret_names.is_empty() {
        lines.put(format!("{indent}secrets:"));
        for (name, from) in secret_names {
            lines.put_from(format!("{indent}  - {name}"), from);
        }
    }
    lines
}

fn conditions(lines: &mut Lines, draft: &Draft) {
    lines.put("# Each entry is one set of conditions; the baseline (none of them) is always run as well.");
    lines.put("# `exitone why IMAGE` searches among all that differs on the platform.");
    lines.put("conditions:");
    for proposal in &draft.proposals {
        lines.comment("  ", " ", &proposal.why);
        lines.put(format!("  - {}", proposal.condition));
    }
    lines.comment("  ", " ", "everything that is in force for the service, all at once");
    lines.put("  - deployed");
}
