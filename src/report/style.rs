//! Text for a terminal: colours, widths, marks and causes.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use anstyle::{AnsiColor, Style};

use super::view::{self, Look};
use crate::model::outcome::{CaseResult, Cause};

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const HEAD: Style = Style::new().bold();
pub(super) const WARN: Style = AnsiColor::Yellow.on_default();

/// Width of wrapped text, in columns.
const TEXT: usize = 100;
/// No line is made narrower than this.
const NARROWEST: usize = 40;
/// The columns of the terminal that is written to; 0 if there is none.
static COLUMNS: AtomicUsize = AtomicUsize::new(0);

/// Fits lines to a terminal.
pub(crate) fn fit(columns: usize) {
    COLUMNS.store(columns, Ordering::Relaxed);
}

/// The width of a line: `most` columns, or the terminal's width if that is less.
pub(super) fn width(most: usize) -> usize {
    match COLUMNS.load(Ordering::Relaxed) {
        0 => most,
        columns => columns.clamp(NARROWEST, most),
    }
}

pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A cell's mark and its style.
pub(super) fn mark(result: Option<&CaseResult>) -> (String, Style) {
    let (look, mark) = view::mark(result);
    (mark, style(look))
}

fn style(look: Look) -> Style {
    match look {
        Look::Good => GOOD,
        Look::Bad => BAD,
        Look::Soft | Look::Unknown => WARN,
        Look::Weak | Look::Skipped | Look::Nothing => DIM,
    }
}

/// Cuts or pads a text to a width.
pub(super) fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:width$}");
    }
    let cut: String = text.chars().take(width - 1).collect();
    format!("{cut}…")
}

/// Cuts a text to a maximum width.
pub(super) fn shorten_end(text: &str, width: usize) -> String {
    if text.chars().count() <= width { text.to_owned() } else { shorten(text, width) }
}

/// Wraps a text at the width of the terminal, 100 columns at most.
pub(super) fn wrap(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut column = indent;
    let most = width(TEXT);
    for word in text.split_whitespace() {
        let width = unicode_width::UnicodeWidthStr::width(word);
        if column + width + 1 > most && column > indent {
            let _ = write!(out, "\n{:indent$}", "");
            column = indent;
        } else if !out.is_empty() {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out
}

/// All causes of a failure, with fixes and evidence.
pub(super) fn causes(result: &CaseResult) -> String {
    result.causes.iter().map(|one| format!("\n{}", cause(one, true))).collect()
}

/// A cause, with its evidence and, if asked for, its fix.
pub(super) fn cause(cause: &Cause, fix: bool) -> String {
    let mut text = format!("  {}  {}\n", styled(HEAD, "why"), wrap(&cause.text, 7));
    if fix {
        let _ = writeln!(text, "  {}  {}", styled(HEAD, "fix"), wrap(&cause.fix, 7));
    }
    for evidence in &cause.evidence {
        let _ = writeln!(text, "       {}", styled(DIM, &shorten_end(evidence, 140)));
    }
    text
}
