//! The signature of a failure: are two crashes the same? Pure.

use crate::model::outcome::{CaseResult, Outcome, Verdict};

/// The last line in a signature is cut to this many characters.
const MOST_LINE: usize = 110;

/// What makes two failures the same: how the process ended, the exit code, and the last meaningful line without what
/// differs from run to run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Signature {
    /// `exit 1`, `out of memory`, `never listened` …
    pub(crate) how: String,
    /// The normalised line; empty if there is none.
    pub(crate) line: String,
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.how)?;
        if self.line.is_empty() { Ok(()) } else { write!(f, " · {}", self.line) }
    }
}

/// The signature of a failed case; `None` for any other.
#[must_use]
pub(crate) fn signature(result: &CaseResult) -> Option<Signature> {
    if result.verdict != Verdict::Fail {
        return None;
    }
    // A living process prints many things: only how it fails counts.
    let lives = matches!(result.outcome, Some(Outcome::NeverListened | Outcome::Unhealthy | Outcome::Healthy));
    let line = if lives { String::new() } else { decisive_line(&result.log).map(normalised).unwrap_or_default() };
    Some(Signature { how: result.cell(), line })
}

/// The line that says what went wrong: the last that names an error, else the last.
fn decisive_line(log: &str) -> Option<&str> {
    let lines = || log.lines().map(str::trim_end).filter(|line| !line.trim().is_empty());
    // A traceback ends with its error, unindented; it is often followed by a line about stopping.
    error_line(lines()).or_else(|| lines().next_back())
}

/// The last line that names an error, else the last that speaks of one.
pub(super) fn error_line<'a>(lines: impl DoubleEndedIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    lines.clone().rfind(|line| names_an_error(line)).or_else(|| lines.clone().rfind(|line| speaks_of_an_error(line)))
}

/// The line that says what went wrong: the last that begins with the name of an error, else the first that a logger marked as
/// one, else the first that speaks of one, else the last that complains.
pub(super) fn error_at(lines: &[&str]) -> Option<usize> {
    let reports = |line: &&str| {
        let low = line.to_ascii_lowercase();
        !is_code(line) && !is_help(line) && !ENDS.iter().any(|words| low.contains(words))
    };
    // Lua names no class.
    let is_traced = |n: usize| lines.get(n + 1).is_some_and(|next| next.trim() == "stack traceback:");
    let named = (0..lines.len()).rfind(|n| (names_an_error(lines[*n]) || is_traced(*n)) && reports(&lines[*n]));
    let marked = || lines.iter().position(|line| is_marked(line) && reports(line));
    let spoken = || lines.iter().position(|line| speaks_of_an_error(line) && reports(line));
    let complained = || lines.iter().rposition(|line| complains(line) && reports(line));
    named
        .or_else(marked)
        .or_else(spoken)
        .or_else(complained)
        .or_else(|| lines.iter().position(|line| speaks_of_an_error(line)))
}

/// Levels with which a line of an error begins.
const MARKS: [&str; 5] = ["error", "fatal", "panic", "critical", "emerg"];

/// Whether a line begins with the level of an error: `ERROR: …`, `[0.01s][error] …`.
fn is_marked(line: &str) -> bool {
    let behind = line.trim_start().split("][").take(2);
    behind.map(|part| part.trim_start_matches('[').split([':', ' ', ']']).next().unwrap_or_default()).any(is_mark)
}

fn is_mark(word: &str) -> bool {
    MARKS.iter().any(|mark| word.eq_ignore_ascii_case(mark))
}

/// Whether a line explains an option: `-q, --quiet   Turns off …`.
fn is_help(line: &str) -> bool {
    let text = line.trim();
    text.starts_with('-') && text.contains("  ")
}

/// Words of a program that refuses what it was given.
const COMPLAINTS: [&str; 21] = [
    "not set",
    "is required",
    "required flag",
    "invalid",
    "missing",
    "must ",
    "not found",
    "no such file",
    "unable to",
    "needs an argument",
    "couldn't",
    "could not",
    "can't",
    "requires ",
    "not supported",
    "unsupported",
    "is not in the correct",
    "you skipped",
    "does not exist",
    "not defined",
    " lost",
];

/// Whether a line says what a program lacks or does not take, without the word error.
fn complains(line: &str) -> bool {
    let low = line.to_ascii_lowercase();
    COMPLAINTS.iter().any(|words| low.contains(words))
}

/// Words of lines that report the end of a process and not what ended it.
const ENDS: [&str; 16] = [
    "npm err!",
    "npm error",
    "elifecycle",
    "command failed with exit code",
    "exited with code",
    "exit code",
    "startup failed. exiting",
    "worker failed to boot",
    "application run failed",
    "back-off restarting",
    "make: ***",
    "failed to start containers",
    "shutting down",
    "will retry",
    // What was under way when something else failed.
    "a task was canceled",
    "operation was canceled",
];

/// Whether a line is one of a source that a runtime quotes: indented, and the end of a statement, or behind its number.
fn is_code(line: &str) -> bool {
    line.starts_with([' ', '\t']) && line.trim_end().ends_with(';') || is_numbered(line)
}

/// Whether a line is one of a source, behind its number: `242 |   } catch (error) {`.
pub(super) fn is_numbered(line: &str) -> bool {
    let text = line.trim_start_matches([' ', '>', '\t']);
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    digits > 0 && text[digits..].starts_with(" |")
}

/// Whether a line begins with the name of an error: `ValueError: …`, `java.net.ConnectException: …`.
pub(super) fn names_an_error(line: &str) -> bool {
    // Node.js puts an error that is printed as an object in brackets.
    let word = line.trim_start().trim_start_matches('[').split([':', ' ', '(']).next().unwrap_or_default();
    let class = word.rsplit('.').next().unwrap_or_default();
    // `Timeout: 120` is a setting.
    let is_class = ["Error", "Exception"].iter().any(|e| class.ends_with(e))
        || ["Exit", "Interrupt", "Timeout", "Failure", "Rejection"]
            .iter()
            .any(|e| class.len() > e.len() && class.ends_with(e));
    is_class && word.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c))
}

pub(super) fn speaks_of_an_error(line: &str) -> bool {
    let low = line.to_ascii_lowercase();
    ["error", "fatal", "panic", "exception", "failed", "cannot", "denied", "refused"].iter().any(|w| low.contains(w))
}

/// A line without what differs from run to run: addresses, times, ids, line and process numbers.
#[must_use]
pub(crate) fn normalised(line: &str) -> String {
    let words: Vec<String> = line.split_whitespace().map(word).collect();
    let mut kept: Vec<String> = Vec::new();
    for (at, word) in words.into_iter().enumerate() {
        // Line and process numbers vary, however small they are.
        let counted = at > 0
            && ["line", "pid", "process"].contains(&kept.last().map_or("", |w| w.trim_start_matches(['[', '('])));
        let word = if counted && word.starts_with(|c: char| c.is_ascii_digit()) { "…".to_owned() } else { word };
        // Consecutive times and ids leave a single mark.
        if word == "…" && kept.last().is_some_and(|last| last == "…") {
            continue;
        }
        kept.push(word);
    }
    short(&kept.join(" "), MOST_LINE)
}

/// Cuts a text to `most` characters, with a mark if it is longer.
pub(super) fn short(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A word without its numbers, unless they are small and meaningful (`exit 3`, `port 5432`, `HTTP/1.1`).
fn word(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        out.push_str(&rest[..start]);
        let token = &rest[start..];
        // Colons and dots hold a time or an address together.
        let end = token.find(|c: char| !(c.is_ascii_alphanumeric() || ".,:-_".contains(c))).unwrap_or(token.len());
        let (token, after) = token.split_at(end);
        let bare = token.trim_end_matches(['.', ',', ':', '-', '_']);
        // `main.py:42` is a place in a file.
        let bare_line = bare.rsplit_once(':').filter(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if let Some((file, _)) = bare_line.filter(|(file, _)| file.contains('.') && !varies(file)) {
            out.push_str(file);
            out.push_str(":…");
        } else if varies(bare) {
            out.push('…')
        } else {
            out.push_str(bare)
        }
        out.push_str(&token[bare.len()..]);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether the token most likely differs in the next run.
fn varies(token: &str) -> bool {
    let digits = token.bytes().filter(u8::is_ascii_digit).count();
    let hex = token.len() >= 6 && digits > 0 && token.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let address = token.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    let numeric = digits > 0 && token.bytes().all(|b| b.is_ascii_digit() || b".,:-_TZms".contains(&b));
    let short = token.len() <= 4 && token.bytes().all(|b| b.is_ascii_digit());
    hex || address || (numeric && !short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_what_differs_from_run_to_run() {
        for (one, other) in [
            ("[2026-11-24 02:03:04,123] ERROR boom", "[2026-11-25 12:13:14,999] ERROR boom"),
            (
                "urllib3.connection.HTTPSConnection object at 0x7f00aa11>: timed out",
                "urllib3.connection.HTTPSConnection object at 0x7fe4bb22>: timed out",
            ),
            ("could not connect to 198.18.0.17:443", "could not connect to 198.18.0.3:443"),
            (
                "request 3f2a9c81-77ab-4f00-9d3e-aa0011223344 failed",
                "request 00112233-77ab-4f00-9d3e-bb0011223344 failed",
            ),
            ("took 12.345s", "took 7.1s"),
            ("/app/main.py:42: boom", "/app/main.py:57: boom"),
            ("SyntaxError in line 12, really", "SyntaxError in line 345, really"),
            ("worker [pid 31] died", "worker [pid 4711] died"),
        ] {
            assert_eq!(normalised(one), normalised(other));
        }
    }

    #[test]
    fn an_error_is_named_and_a_setting_is_not() {
        for line in ["Error: boom", "java.net.ConnectException: refused", "SystemExit: 1", "httpx.ReadTimeout: late"] {
            assert!(names_an_error(line), "{line}");
        }
        for line in ["Timeout: 120", "Exit: no", "Errors: 0"] {
            assert!(!names_an_error(line), "{line}");
        }
    }

    #[test]
    fn keeps_meaningful_words() {
        for (one, other) in [
            ("exited with 3", "exited with 4"),
            ("no attribute 'database_url'", "no attribute 'jwt_secret'"),
            ("host a.example refused", "host b.example refused"),
            ("port 5432", "port 443"),
        ] {
            assert_ne!(normalised(one), normalised(other));
        }
        assert_eq!(
            normalised("ModuleNotFoundError: No module named 'psycopg2'"),
            "ModuleNotFoundError: No module named 'psycopg2'"
        );
        assert!(normalised(&"word ".repeat(100)).chars().count() <= MOST_LINE + 1);
    }

    #[test]
    fn finds_the_line_with_the_error() {
        let log =
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\nValueError: bad\nINFO: Shutting down\n";
        assert_eq!(decisive_line(log), Some("ValueError: bad"));
        assert_eq!(
            decisive_line("INFO start\nFATAL: no pg_hba.conf entry\nINFO bye\n"),
            Some("FATAL: no pg_hba.conf entry")
        );
        assert_eq!(decisive_line("a\nb\n\n"), Some("b"));
        assert_eq!(decisive_line("\n"), None);
        let node = [
            "node:internal/process/promises:288",
            "            triggerUncaughtException(err, true /* fromPromise */);",
            "            ^",
            "[UnhandledPromiseRejection: This error originated either by throwing …] {",
            "Node.js v18.16.0",
        ];
        assert_eq!(error_at(&node), Some(3));
        assert_eq!(error_at(&["starting", "Required flag \"token\" not set", "bye"]), Some(1));
        assert_eq!(error_at(&["FOO is not set, using 1", "cannot open /x"]), Some(1), "an error comes first");
        assert_eq!(error_at(&[" 12 | throw new Error(x)", "bot: invalid intent"]), Some(1), "a source is no error");
        assert_eq!(error_at(&["[0.1s][error][gc] no heap", "error: x"]), Some(0));
        assert_eq!(error_at(&["KEY must exactly be 32 bytes long", "bye"]), Some(0));
        let usage = ["ERROR: D is not a recognized option", "  -q, --quiet    Turns off output/error streams"];
        assert_eq!(error_at(&usage), Some(0));
        assert_eq!(error_at(&["failed to read x, using y", "ERROR: no z"]), Some(1), "a level comes first");
        assert_eq!(error_at(&["luajit: a.lua:3: bad argument #1", "stack traceback:", "\t[C]: in f"]), Some(0));
        assert_eq!(
            decisive_line("sqlalchemy.exc.OperationalError: (psycopg) x\n(Background on this error at: …)"),
            Some("sqlalchemy.exc.OperationalError: (psycopg) x")
        );
    }
}
