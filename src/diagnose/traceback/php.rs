//! `PHP Fatal error:  Uncaught Type: message in file.php:12` and `PHP Parse error:  … in file.php on line 12`
//! (<https://www.php.net/manual/en/language.exceptions.php>).

use super::{Crash, Frame, Language, parted};

pub(super) fn read(lines: &[&str]) -> Option<Crash> {
    let (head, level, text) = lines.iter().enumerate().rev().find_map(|(n, line)| {
        let line = line.strip_prefix("PHP ").unwrap_or(line);
        let (level, text) = line.split_once(": ")?;
        ["Fatal error", "Parse error"].contains(&level).then_some((n, level, text.trim()))
    })?;
    let uncaught = text.strip_prefix("Uncaught ");
    let (said, at) = uncaught.unwrap_or(text).rsplit_once(" in ").unwrap_or((text, ""));
    let (kind, message) = match uncaught {
        Some(_) => parted(said)?,
        None => (level.to_owned(), said.to_owned()),
    };
    let (file, line) = match at.split_once(" on line ") {
        Some((file, line)) => (file, line),
        None => at.rsplit_once(':').unwrap_or((at, "")),
    };
    let own = line.parse().ok().filter(|_| !file.contains("/vendor/")).map(|line| Frame {
        file: file.to_owned(),
        line,
        function: String::new(),
        source: String::new(),
    });
    let ends = lines[head + 1..]
        .iter()
        .take_while(|l| l.starts_with('#') || l.starts_with("Stack trace") || l.contains("thrown in"))
        .count();
    let headline = text.to_owned();
    Some(Crash {
        language: Language::Php,
        kind,
        message,
        headline,
        own,
        importing: false,
        begins: head,
        handles: None,
        ends: head + ends,
    })
}
