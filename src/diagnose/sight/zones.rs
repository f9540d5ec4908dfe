//! Where the lines of a log stand in relation to what ended the process. Pure.

use std::sync::LazyLock;

use regex::Regex;

use super::announced;
use crate::diagnose::signature::{names_an_error, speaks_of_an_error};
use crate::diagnose::traceback::Crash;

/// Where a line stands in relation to the crash that ended the process, closest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::diagnose) enum Zone {
    /// It is the error itself: the root cause of a chain. Without a crash, a line that a logger marked as fatal; if there is
    /// none, any line.
    Error,
    /// It belongs to the crash, or is beside a fatal line.
    Within,
    /// It follows.
    After,
    /// It precedes, when everything worked, or was tried again before another error.
    Before,
    /// A logger marked it as less than an error.
    Chat,
    /// It failed, was tried again, and went well.
    Survived,
}

/// The zones of all lines.
pub(super) fn zones(lines: &[&str], crash: Option<&Crash>) -> Vec<Zone> {
    match crash {
        Some(crash) => lines.iter().enumerate().map(|(n, line)| beside(n, line, crash)).collect(),
        None => alone(lines),
    }
}

/// The zone of a line beside a crash.
fn beside(n: usize, line: &str, crash: &Crash) -> Zone {
    if !(crash.begins..=crash.ends).contains(&n) && is_chat(line) {
        Zone::Chat
    } else if n < crash.begins {
        Zone::Before
    } else if n > crash.ends {
        Zone::After
    } else if line.contains(&crash.headline) {
        Zone::Error
    } else {
        Zone::Within
    }
}

/// The zones of lines without a crash.
fn alone(lines: &[&str]) -> Vec<Zone> {
    let has_fatal = lines.iter().any(|line| is_fatal(line));
    let is_final =
        |line: &str| (names_an_error(line) || is_fatal(line) || speaks_of_an_error(line)) && !is_retried(line);
    let went_well =
        |line: &str| GOOD.as_ref().is_some_and(|good| good.is_match(line)) || announced::announced(line).is_some();
    // Only what follows a failure that was tried again is asked for.
    let first = lines.iter().position(|line| is_retried(line)).unwrap_or(lines.len());
    let last = |is: &dyn Fn(&str) -> bool| Some(lines[first..].iter().rposition(|line| is(line))? + first);
    let last_error = last(&|line| !is_chat(line) && is_final(line));
    let last_good = last(&went_well);
    let zone = |(n, line): (usize, &&str)| {
        if is_retried(line) && last_error.is_some_and(|last| last > n) {
            Zone::Before
        } else if is_retried(line) && last_good.is_some_and(|last| last > n) {
            Zone::Survived
        } else if is_chat(line) {
            Zone::Chat
        } else if has_fatal && !is_fatal(line) {
            Zone::Within
        } else {
            Zone::Error
        }
    };
    lines.iter().enumerate().map(zone).collect()
}

/// Words of a line about a failure that is tried again.
const RETRIED: [&str; 10] = [
    "retrying",
    "will retry",
    "retry in",
    "attempt #",
    "trying again in",
    "try again in",
    "next attempt",
    "retries left",
    "reconnecting",
    "attempt 1",
];

/// Whether a line says that what failed is tried again.
fn is_retried(line: &str) -> bool {
    let low = line.to_ascii_lowercase();
    RETRIED.iter().any(|words| low.contains(words))
}

/// A line that says that what was waited for is there.
static GOOD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\bsuccessfully (?:connected|started)|\bconnection (?:was |is |has been )?(?:established|succeeded|successful)|\bconnected to\b").ok()
});

/// Words of a framework that has started the application.
const STARTED: [&str; 2] = ["Application startup complete", "Nest application successfully started"];

/// Whether a program goes on with its start after a crash, and nothing fails after that.
pub(super) fn goes_on(after: &[&str]) -> bool {
    let started = after.iter().rposition(|line| STARTED.iter().any(|words| line.contains(words)));
    started.is_some_and(|at| !after[at..].iter().any(|line| names_an_error(line) || speaks_of_an_error(line)))
}

/// A level where a logger puts it: a word in front of the message, or a field. `others`: more forms.
fn level(words: &str, others: &str) -> Option<Regex> {
    Regex::new(&format!(
        r#"^.{{0,40}}?(?:^|[\s\[(|])(?:{words})(?:[\]):|]|\s+\S)|(?i:\b(?:level|lvl)"?\s*[=:]\s*"?(?:{words})\b)|{others}"#
    ))
    .ok()
}

/// The levels of an error that ends the process; Gitea's is a letter (`[F]`).
static FATAL: LazyLock<Option<Regex>> = LazyLock::new(|| level("FATAL|CRITICAL|PANIC|EMERG", r"\s\[F\]\s"));

/// Whether a logger marked the line as the end.
fn is_fatal(line: &str) -> bool {
    FATAL.as_ref().is_some_and(|fatal| fatal.is_match(line))
}

/// The levels below an error; Gitea's (`[W]`), klog's (`W1129 10:00:00`) and Telegraf's (`W!`) are letters, and zap puts a
/// tab behind its own.
static CHAT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let words = "DEBUG|INFO|TRACE|WARN|WARNING";
    let others = format!(
        r"(?i:^\s*(?:{words})(?:\s*:|\t)|\[(?:{words})\])|\s\[[DITW]\]\s|^[IW]\d{{4}} \d\d:\d\d:|\d[Z ] [DIW]! "
    );
    level(words, &others)
});

/// What supervisord says of a program that failed, at the level of a remark.
const FAILED: [&str; 3] = ["spawnerr:", "; not expected)", "gave up:"];

/// Whether a logger marked the line as less than an error.
fn is_chat(line: &str) -> bool {
    CHAT.as_ref().is_some_and(|chat| chat.is_match(line)) && !FAILED.iter().any(|words| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(log: &str) -> Vec<Zone> {
        zones(&log.lines().collect::<Vec<_>>(), None)
    }

    #[test]
    fn a_fatal_line_is_the_error() {
        let log = "level=info msg=start\nlevel=error msg=\"cannot send\"\nlevel=fatal msg=\"no lock\"\n";
        assert_eq!(of(log), [Zone::Chat, Zone::Within, Zone::Error]);
        assert_eq!(of("a\nERROR b\n"), [Zone::Error, Zone::Error]);
    }

    #[test]
    fn a_start_goes_on_after_what_was_caught() {
        assert!(goes_on(&["INFO: Waiting for application startup.", "INFO: Application startup complete."]));
        assert!(!goes_on(&["INFO: Application startup complete.", "ERROR: Application failed"]));
        // Another program's words.
        assert!(!goes_on(&["database system is ready to accept connections"]));
    }

    #[test]
    fn what_is_tried_again_did_not_end_the_process() {
        let refused = "dial tcp 10.0.0.5:5432: connection refused, retrying in 2s";
        assert_eq!(of(refused), [Zone::Error]);
        assert_eq!(of(&format!("{refused}\nError: LICENSE has expired\n"))[0], Zone::Before);
        assert_eq!(of(&format!("{refused}\nServer is running on port 3000\n"))[0], Zone::Survived);
    }
}
