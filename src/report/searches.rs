//! What the searches of a run came to, as plain text without escapes of any format.

use super::plain::one_line;
use super::view::plural;
use super::why::{certainty, verdict};
use crate::event::run::Run;
use crate::event::{PlannedSearch, Standing};
use crate::model::CaseId;
use crate::model::image::short_name;
use crate::model::search::JudgedSet;

/// A search that is told.
pub struct Told<'a> {
    /// The search.
    pub planned: &'a PlannedSearch,
    /// `a search among 3 conditions`.
    pub title: String,
    /// What came out.
    pub verdict: String,
    /// The sets that stand for themselves.
    pub sets: Vec<Set<'a>>,
    /// Whether the list is complete, and what that rests on; nothing: there is no answer.
    pub certainty: Option<String>,
    /// Why it is not decided whether there are other sets.
    pub open: Option<String>,
}

/// A set that stands for itself.
pub struct Set<'a> {
    /// Its case.
    pub case: &'a CaseId,
    /// The conditions, and what came out.
    pub text: String,
    /// True when that is as expected; nothing: the run says nothing.
    pub good: Option<bool>,
}

/// Every search of a run, in the order of the plan.
pub fn told(run: &Run) -> impl Iterator<Item = Told<'_>> {
    run.searches().map(move |(planned, came)| {
        let title = format!("a search among {}", plural(planned.conditions.len(), "condition"));
        match came {
            Err(because) => {
                let open = Some(one_line(because));
                Told { planned, title, verdict: "not made".to_owned(), sets: Vec::new(), certainty: None, open }
            }
            Ok(searched) => Told {
                planned,
                title,
                verdict: one_line(&verdict(&searched.answer)),
                sets: searched.judged.iter().map(|judged| set(run, judged)).collect(),
                certainty: Some(one_line(&certainty(&searched.answer))),
                open: searched.open.as_deref().map(one_line),
            },
        }
    })
}

impl Told<'_> {
    /// The image as people call it.
    #[must_use]
    pub fn image(&self) -> String {
        one_line(short_name(&self.planned.image))
    }

    /// That, and why, it is undecided; nothing: it is decided.
    #[must_use]
    pub fn undecided(&self) -> Option<String> {
        self.open.as_ref().map(|open| format!("undecided, whether there are other sets: {open}"))
    }
}

fn set<'a>(run: &Run, judged: &'a JudgedSet) -> Set<'a> {
    let entry = run.entry(&judged.case);
    let good = entry.and_then(|entry| match entry.standing {
        Standing::Expected | Standing::Step => Some(true),
        Standing::Unexpected => Some(false),
        Standing::Unresolved | Standing::Skipped | Standing::NotRun => None,
    });
    let result = entry.and_then(|entry| entry.result);
    let came = result.map_or_else(|| "not run".to_owned(), |r| one_line(&r.cell()));
    let stands = match (&judged.expected, good) {
        (_, None) => String::new(),
        (None, _) => ", nothing of it was expected".to_owned(),
        (Some(_), Some(true)) => ", as expected".to_owned(),
        (Some(expected), Some(false)) => format!(", expected: {}", one_line(&expected.text)),
    };
    let kind = if judged.smallest { "" } else { "no smallest set: " };
    Set {
        case: &judged.case,
        text: format!("{kind}{}: {came}{stands}", one_line(&judged.conditions.to_string())),
        good,
    }
}
