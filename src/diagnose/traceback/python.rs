//! `Traceback (most recent call last):` (<https://docs.python.org/3/library/traceback.html>).

use super::{Crash, Frame, Language, parted};

/// Paths that do not belong to the application.
const FOREIGN: [&str; 6] =
    ["site-packages", "dist-packages", "/opt/site/", "/usr/lib/python", "/usr/local/lib/python", "<frozen"];
/// Words in the frames while a module is loaded.
const IMPORT: [&str; 3] = ["importlib", "import_module", "import_app"];

/// Errors of a supervisor that ends because a worker did: the worker's own error, above, is the cause. Gunicorn prints
/// this one when a second worker fails while it stops the others.
const RELAYED: [&str; 1] = ["HaltServer"];

pub(super) fn read(lines: &[&str]) -> Option<Crash> {
    let mut last: Option<Crash> = None;
    let starts = lines.iter().enumerate().filter(|(_, line)| line.ends_with("Traceback (most recent call last):"));
    for (start, _) in starts {
        let Some(mut crash) = one(lines, start) else { continue };
        if last.is_some() && RELAYED.iter().any(|kind| crash.kind.ends_with(kind)) {
            continue;
        }
        let chain = chain(lines, start);
        if let Some(before) = last.take().filter(|_| chain != Chain::None) {
            // What was being handled is no cause of what comes of the handling.
            match chain {
                Chain::Cause => (crash.begins, crash.handles) = (before.begins, before.handles),
                _ => crash.handles = before.handles.or(Some(before.begins)),
            }
            // The place may be in the first part only.
            if crash.own.is_none() {
                (crash.own, crash.importing) = (before.own, before.importing);
            }
        }
        last = Some(crash);
    }
    last
}

/// What the traceback above one is for it.
#[derive(PartialEq, Eq)]
enum Chain {
    /// Nothing.
    None,
    /// It was being handled.
    Handled,
    /// Its cause.
    Cause,
}

/// How a traceback continues the one above it.
fn chain(lines: &[&str], start: usize) -> Chain {
    let above = lines[..start].iter().rev().map(|line| line.trim()).find(|line| !line.is_empty());
    match above {
        Some(line) if line.starts_with("During handling of the above exception") => Chain::Handled,
        Some(line) if line.starts_with("The above exception was the direct") => Chain::Cause,
        _ => Chain::None,
    }
}

fn one(lines: &[&str], start: usize) -> Option<Crash> {
    let (mut own, mut importing, mut loads): (Option<Frame>, bool, bool) = (None, false, false);
    let mut at = start + 1;
    while let Some(line) = lines.get(at) {
        // Exception groups have a margin.
        let text = line.trim_start_matches([' ', '|', '+', '-']);
        if let Some(mut frame) = frame(text) {
            loads |= IMPORT.iter().any(|word| frame.file.contains(word) || frame.function.contains(word));
            if let Some(source) =
                lines.get(at + 1).filter(|l| l.starts_with("    ") && !l.trim().starts_with("File \""))
            {
                source.trim().clone_into(&mut frame.source);
                at += 1;
            }
            if !FOREIGN.iter().any(|foreign| frame.file.contains(foreign)) {
                importing |= loads && frame.function == "<module>";
                own = Some(frame);
            }
        } else if !line.starts_with(' ') && !text.is_empty() {
            let (kind, message) = parted(text)?;
            let headline = text.to_owned();
            let language = Language::Python;
            return Some(Crash {
                language,
                kind,
                message,
                headline,
                own,
                importing,
                begins: start,
                handles: None,
                ends: at,
            });
        }
        at += 1;
    }
    None
}

/// Parses `File "PATH", line N, in FUNCTION`; a SyntaxError lacks the last part.
fn frame(text: &str) -> Option<Frame> {
    let (file, rest) = text.strip_prefix("File \"")?.split_once("\", line ")?;
    let (line, function) = rest.split_once(", in ").unwrap_or((rest, ""));
    let (line, function) = (line.trim().parse().ok()?, function.to_owned());
    Some(Frame { file: file.to_owned(), line, function, source: String::new() })
}
