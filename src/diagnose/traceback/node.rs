//! `Error: …` with `    at function (file:line:column)` below it (<https://v8.dev/docs/stack-trace-api>).

use super::{Crash, Frame, Language, parted, place};

pub(super) fn read(lines: &[&str]) -> Option<Crash> {
    let last = lines.iter().rposition(|line| frame(line).is_some())?;
    let mut first = last;
    while first > 0 && frame(lines[first - 1]).is_some() {
        first -= 1;
    }
    // The message may continue between the headline and the frames ("Require stack:").
    let above = lines[..first].iter().enumerate().rev().take(12);
    let mut above = above.map(|(n, line)| (n, line.trim_start_matches("Uncaught ")));
    let (begins, headline, (kind, message)) = above.find_map(|(n, line)| Some((n, line, named(line)?)))?;
    let frames: Vec<Frame> = lines[first..=last].iter().filter_map(|line| frame(line)).collect();
    let own = frames
        .iter()
        .find(|f| !f.file.starts_with("node:") && !f.file.contains("node_modules") && f.file.contains('/'))
        .cloned();
    let loading = ["Module._compile", "ModuleJob.run", "Module.require"];
    let importing = frames.iter().any(|f| loading.iter().any(|word| f.function.contains(word)));
    let headline = headline.trim().to_owned();
    Some(Crash { language: Language::Node, kind, message, headline, own, importing, begins, handles: None, ends: last })
}

/// `TypeError: message`, or `TypeError [ERR_X]: message`.
fn named(line: &str) -> Option<(String, String)> {
    let is_error = |kind: &str| kind.ends_with("Error") || kind.ends_with("Exception");
    if let Some((head, message)) = line.split_once("]: ")
        && let Some((name, code)) = head.split_once(" [")
    {
        let (name, _) = parted(name)?;
        return is_error(&name).then(|| (name, format!("{code}: {message}")));
    }
    parted(line).filter(|(kind, _)| is_error(kind))
}

fn frame(line: &str) -> Option<Frame> {
    let text = line.strip_prefix("    at ")?;
    // Properties of the error follow the last frame.
    let text = text.strip_suffix(" {").unwrap_or(text);
    let (function, at) = match text.strip_suffix(')').and_then(|t| t.rsplit_once(" (")) {
        Some((function, at)) => (function, at),
        None => ("", text.strip_prefix("async ").unwrap_or(text)),
    };
    let (file, line) = place(at.strip_prefix("file://").unwrap_or(at), true)?;
    Some(Frame { file, line, function: function.to_owned(), source: String::new() })
}
