//! `PHP Fatal error:  Uncaught Type: message in file.php:12` and `PHP Parse error:  … in file.php on line 12`
//! (<https://www.php.net/manual/en/language.exceptions.php>), and what Symfony's console prints, Laravel's too:
//! `In Connection.php line 829:` and the message below it, indented.

use super::{Crash, Frame, Language, parted};

pub(super) fn read(lines: &[&str]) -> Option<Crash> {
    uncaught(lines).or_else(|| console(lines))
}

/// The last error of a chain that the console prints is the root cause.
fn console(lines: &[&str]) -> Option<Crash> {
    let is_head = |line: &str| line.starts_with("In ") && line.contains(".php line ") && line.ends_with(':');
    let head = lines.iter().rposition(|line| is_head(line))?;
    let from = lines[head + 1..].iter().position(|line| !line.trim().is_empty())? + head + 1;
    let said = lines[from..].iter().take_while(|line| line.starts_with("  ") && !line.trim().is_empty());
    let said: Vec<&str> = said.map(|line| line.trim()).collect();
    Some(Crash {
        language: Language::Php,
        kind: String::new(),
        message: said.join(" "),
        headline: (*said.first()?).to_owned(),
        own: None,
        importing: false,
        begins: lines.iter().position(|line| is_head(line))?,
        handles: None,
        ends: from + said.len() - 1,
    })
}

fn uncaught(lines: &[&str]) -> Option<Crash> {
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
