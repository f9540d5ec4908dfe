//! `Unhandled exception. Type: message`, `   at Namespace.Type.Method() in file.cs:line 12`
//! (<https://learn.microsoft.com/dotnet/api/system.exception.tostring>).

use super::{Crash, Frame, Language, parted};

pub(super) fn read(lines: &[&str]) -> Option<Crash> {
    let (head, text) = lines.iter().enumerate().rev().find_map(|(n, line)| {
        let at = line.find("Unhandled exception. ").or_else(|| line.find("Unhandled Exception: "))?;
        Some((n, &line[at + "Unhandled exception. ".len()..]))
    })?;
    let part = |line: &&&str| {
        let text = line.trim_start();
        text.starts_with("at ") || text.starts_with("---> ") || text.starts_with("--- End of ")
    };
    let below: Vec<&str> = lines[head + 1..].iter().take_while(part).copied().collect();
    // The innermost exception is the last one after an arrow.
    let inner = below.iter().rev().find_map(|line| line.trim_start().strip_prefix("---> "));
    let inner = inner.or_else(|| text.rsplit_once(" ---> ").map(|(_, inner)| inner));
    let headline = inner.unwrap_or(text).trim().to_owned();
    let (kind, message) = parted(&headline)?;
    let own = below.iter().find_map(|line| frame(line));
    let importing = below.iter().any(|line| line.contains("..cctor()"));
    Some(Crash {
        language: Language::DotNet,
        kind,
        message,
        headline,
        own,
        importing,
        begins: head,
        handles: None,
        ends: head + below.len(),
    })
}

/// Only code compiled with symbols has a place, and that is usually the application.
fn frame(line: &str) -> Option<Frame> {
    let (function, at) = line.trim_start().strip_prefix("at ")?.split_once(" in ")?;
    let (file, line) = at.rsplit_once(":line ")?;
    let foreign = function.starts_with("System.") || function.starts_with("Microsoft.");
    (!foreign).then_some(())?;
    Some(Frame {
        file: file.to_owned(),
        line: line.parse().ok()?,
        function: function.to_owned(),
        source: String::new(),
    })
}
