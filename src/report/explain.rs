//! The answer of `explain` for a terminal: what a log says about a failed deployment.

use std::fmt::Write;

use super::style::{BAD, DIM, GOOD, HEAD, cause, styled, wrap};
use crate::model::FailureClass;
use crate::model::explanation::{Explanation, LogLine};

/// Number of likely causes shown.
const MOST_LIKELY: usize = 6;
/// Number of misleading lines shown.
const MOST_MISLEADING: usize = 3;

/// The answer as text.
#[must_use]
pub(crate) fn text(explanation: &Explanation) -> String {
    let style = if explanation.succeeded { GOOD } else { BAD };
    let mut text = format!("{}\n", styled(style, &wrap(&explanation.text, 0)));
    if let Some(line) = &explanation.failure {
        let _ = writeln!(text, "\n  {}  {}", styled(HEAD, "line"), wrap(&shown(line), 8));
    }
    for line in explanation.misleading.iter().take(MOST_MISLEADING) {
        let _ = writeln!(text, "  {}   {}", styled(DIM, "not"), wrap(&shown(line), 8));
    }
    for one in &explanation.causes {
        let _ = write!(text, "\n{}", cause(one, true));
    }
    if !explanation.likely.is_empty() {
        let _ = writeln!(text, "\n{}", wrap(heading(explanation), 0));
        for (n, likely) in explanation.likely.iter().take(MOST_LIKELY).enumerate() {
            let cases = likely.field_cases.map(|count| format!(" ({count} field cases)")).unwrap_or_default();
            let _ = writeln!(text, "\n  {}. {}{cases}", n + 1, wrap(&likely.text, 5));
            let _ = writeln!(text, "     {} {}", styled(DIM, "check:"), wrap(&likely.check, 5));
        }
        if explanation.likely.len() > MOST_LIKELY {
            let _ = writeln!(text, "\n  {} more in --format json", explanation.likely.len() - MOST_LIKELY);
        }
    }
    if !explanation.next.is_empty() {
        let _ = writeln!(text, "\n{}", styled(HEAD, "next"));
        for step in &explanation.next {
            // A command is copied whole; what to do without a process is prose.
            let is_prose = explanation.class == Some(FailureClass::A);
            let _ = writeln!(text, "  {}", if is_prose { wrap(step, 2) } else { step.clone() });
        }
    }
    for note in &explanation.notes {
        let _ = writeln!(text, "\n{}", styled(DIM, &wrap(note, 0)));
    }
    text
}

fn heading(explanation: &Explanation) -> &'static str {
    match explanation.class {
        Some(FailureClass::A) => "Check these, which the log cannot show:",
        Some(FailureClass::C) if explanation.application_log => {
            "No line of the application names the cause. Known causes of a failed health check, the typical ones first:"
        }
        Some(FailureClass::C) => {
            "Known causes of a failed health check without an application log, the typical ones first:"
        }
        _ if explanation.application_log => {
            "No line of the application names the cause. Known causes of such a failure, most frequent first:"
        }
        _ => "Known causes of such a failure without an application log, most frequent first:",
    }
}

fn shown(line: &LogLine) -> String {
    let time = line.time.as_ref().map(|time| format!("{time}  ")).unwrap_or_default();
    format!("{}: {time}{}", line.number, line.text)
}
