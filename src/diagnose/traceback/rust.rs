//! `thread 'main' panicked at src/main.rs:3:5:` with the message below it; before 1.73 the message came first, in
//! quotes (<https://blog.rust-lang.org/2023/10/05/Rust-1.73.0.html>).

use super::{Crash, Frame, Language, place};

pub(super) fn read(lines: &[&str]) -> Option<Crash> {
    let (head, at) = lines.iter().enumerate().rev().find_map(|(n, line)| {
        let (thread, at) = line.split_once(" panicked at ")?;
        thread.contains("thread '").then_some((n, at))
    })?;
    let (at, message, ends) = match at.strip_prefix('\'') {
        Some(old) => {
            let (message, at) = old.rsplit_once("', ")?;
            (at, message.to_owned(), head)
        }
        None => (at.trim_end_matches(':'), lines.get(head + 1).unwrap_or(&"").trim().to_owned(), head + 1),
    };
    let (file, line) = place(at, true)?;
    let foreign = ["/rustc/", ".cargo/registry", "library/std", "library/core"];
    let own = (!foreign.iter().any(|word| file.contains(word))).then(|| Frame {
        file,
        line,
        function: String::new(),
        source: String::new(),
    });
    let headline = if message.is_empty() { lines[head].trim().to_owned() } else { message.clone() };
    let kind = "panic".to_owned();
    Some(Crash {
        language: Language::Rust,
        kind,
        message,
        headline,
        own,
        importing: false,
        begins: head,
        handles: None,
        ends,
    })
}
