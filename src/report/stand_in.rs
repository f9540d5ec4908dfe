//! The first answer of the demo, from a stand-in for the incident's service.

use std::fmt::Write;
use std::time::Duration;

use super::style::{HEAD, causes, mark, styled, wrap};
use crate::model::{CaseResult, Verdict};

const ABOUT: &str = "The service calls verify.twilio.com at startup and waits for the answer. Here exitone stands in \
                     for the service, in real containers with real sockets and DNS:";
const NEXT: &str = "To ask this about your own image: exitone why IMAGE --service service.json. Next, the incident's \
                    real images are built and run.";

/// The first answer; the results are of the friendly run and of the one without egress.
#[must_use]
pub(crate) fn text(results: &[&CaseResult], taken: Duration) -> String {
    let title = format!("The first answer, after {:.1} s", taken.as_secs_f64());
    let mut text = format!("\n{}\n{}\n\n", styled(HEAD, &title), wrap(ABOUT, 0));
    for result in results {
        let (mark, style) = mark(Some(result));
        let name = if result.conditions.is_empty() { "friendly".to_owned() } else { result.conditions.to_string() };
        let _ = writeln!(text, "  {name:12} {}", styled(style, &mark));
    }
    for failed in results.iter().filter(|result| result.verdict == Verdict::Fail) {
        text.push_str(&causes(failed));
    }
    let _ = writeln!(text, "\n{}\n", wrap(NEXT, 0));
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixture;
    use super::*;

    #[test]
    fn shows_both_runs_and_the_cause_of_the_failure() {
        let run = fixture::every_kind();
        let of = |verdict: Verdict| {
            let mut found = run.results.values().map(Arc::as_ref).filter(move |result| result.verdict == verdict);
            found.find(|result| verdict == Verdict::Pass || !result.causes.is_empty()).expect("a result")
        };
        let (passed, failed) = (of(Verdict::Pass), of(Verdict::Fail));
        let text = text(&[passed, failed], Duration::from_millis(3210));
        assert!(text.starts_with(&format!("\n{}\n", styled(HEAD, "The first answer, after 3.2 s"))), "{text}");
        assert!(text.contains(&format!("  {}", failed.conditions)), "{text}");
        assert!(text.contains(&mark(Some(failed)).0) && text.contains("fix"), "{text}");
        assert!(text.trim_end().ends_with("are built and run."), "{text}");
    }
}
