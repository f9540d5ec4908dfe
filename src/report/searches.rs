//! The searches and the bisection of a run: their answers, and what each of their runs showed.

use super::deployed::{ALSO, deployed};
use super::plain::one_line;
use super::view::{self, name, plural};
use super::{bisect, why};
use crate::event::run::{Ran, Run};
use crate::event::{Kind, PlannedSearch, Standing};
use crate::model::answer::MinimalSet;
use crate::model::image::plain_name;
use crate::model::search::{JudgedSet, SearchReport};
use crate::model::verdicts::Verdicts;
use crate::model::{CaseId, ConditionSet, Verdict};

/// A search or a bisection.
#[derive(Default)]
pub(crate) struct SearchView<'a> {
    /// The scenario that it belongs to.
    pub(crate) scenario: Option<&'a str>,
    /// The image; `None` for a bisection.
    pub(crate) image: Option<&'a str>,
    /// The image and the number of conditions.
    pub(crate) title: String,
    /// The answer in a few words.
    pub(crate) verdict: String,
    /// What broke the deployment, and what would fail too; empty without a deployment.
    pub(crate) broke: Vec<String>,
    /// The answer in detail: minimal sets, or versions.
    pub(crate) lines: Vec<Line>,
    /// Further remarks, such as what changed and how certain the answer is.
    pub remarks: Vec<String>,
    /// Why it is undecided.
    pub(crate) open: Option<String>,
    /// Its runs, in order.
    pub(crate) runs: Vec<RunLine>,
    /// Its duration in seconds.
    pub(crate) seconds: f64,
}

/// A line of an answer.
pub(crate) struct Line {
    /// Its case; `None` when it was not run.
    pub(crate) case: Option<CaseId>,
    /// The set or version, and its outcome.
    pub(crate) text: String,
    /// Whether the outcome is good or as expected; `None` when undecided.
    pub(crate) good: Option<bool>,
    /// Causes and fixes.
    pub(crate) because: Vec<String>,
}

/// A run of a search.
pub(crate) struct RunLine {
    /// Milliseconds from the beginning of the run to its end.
    pub(crate) at_ms: u64,
    /// Its case.
    pub(crate) case: CaseId,
    /// Whether it passed; `None` when unresolved.
    pub(crate) passed: Option<bool>,
    /// The conditions or the image, and the outcome.
    pub(crate) text: String,
    /// What it showed.
    pub(crate) lesson: String,
}

/// The verdict on a run and a sentence, without a full stop. No verdict means that nothing was run.
#[must_use]
pub(crate) fn headline(run: &Run) -> (Option<Verdict>, String) {
    let verdict = Some(match run.exit_code() {
        0 => Verdict::Pass,
        1 => Verdict::Fail,
        _ => Verdict::Unresolved,
    });
    match (run.header.kind, searches(run).first()) {
        (Kind::Run, _) | (_, None) => view::headline(&run.counts()),
        (Kind::Why, Some(search)) => {
            let image = search.image.map(|image| one_line(plain_name(image))).unwrap_or_default();
            let is_sentence = search.verdict.contains(&image);
            (verdict, if is_sentence { search.verdict.clone() } else { format!("{image}: {}", search.verdict) })
        }
        (Kind::Bisect, Some(search)) => (verdict, search.verdict.clone()),
    }
}

/// All searches of a run, in the order of the plan, then its bisection.
pub(crate) fn searches(run: &Run) -> Vec<SearchView<'_>> {
    let images = run.images();
    let searches = run.searches().map(|(planned, answer)| {
        let image = one_line(name(&planned.image, &images));
        let title = format!("{image}: a search among {}", plural(planned.conditions.len(), "condition"));
        let answer = answer.map(|report| of_report(run, planned, report));
        let (scenario, image) = (planned.scenario.as_deref(), Some(planned.image.as_str()));
        let view = answer.unwrap_or_else(|because| SearchView {
            verdict: "not made".to_owned(),
            open: Some(one_line(because)),
            ..SearchView::default()
        });
        SearchView { scenario, image, title, runs: runs(run, planned), ..view }
    });
    searches.chain(run.verdicts.iter().map(|verdicts| of_bisection(run, verdicts))).collect()
}

/// The answer of a search.
fn of_report<'a>(run: &Run, planned: &PlannedSearch, report: &SearchReport) -> SearchView<'a> {
    let mut lines = Vec::new();
    if run.header.kind == Kind::Why {
        let of_search = |p: &&crate::event::Planned| p.search.as_ref() == Some(&planned.id) && p.conditions.is_empty();
        lines.extend(run.header.cases.iter().find(of_search).map(|p| line(run, &p.id, "friendly conditions", &[])));
    }
    lines.extend(report.judged.iter().map(|judged| set(run, report, judged)));
    let answer = &report.answer;
    let open = report.open.as_deref().map(one_line);
    let mut verdict = why::verdict(answer);
    let (mut broke, mut remarks) = (Vec::new(), Vec::new());
    if let Some(deployment) = &answer.deployment {
        let outcome = |set: &MinimalSet| run.results.get(&set.case).and_then(|result| result.outcome.clone());
        let of = deployed(answer, deployment, outcome);
        verdict = of.headline.trim_end_matches('.').to_owned();
        broke.extend(of.lines.iter().map(|(key, text)| one_line(&format!("{key}: {text}"))));
        broke.extend(of.also.map(|also| one_line(&format!("{ALSO} {also}"))));
    } else {
        remarks.extend(answer.needs.iter().map(|need| format!("needs: {}; {}", need.text, need.how())));
    }
    remarks.extend(why::around_lines(answer));
    remarks.push(why::certainty(answer));
    let remarks = remarks.iter().map(|text| one_line(text)).collect();
    SearchView {
        verdict: one_line(&verdict),
        broke,
        lines,
        remarks,
        open,
        seconds: answer.seconds,
        ..SearchView::default()
    }
}

impl SearchView<'_> {
    /// A sentence about why it is undecided; `None` when it is decided.
    #[must_use]
    pub(crate) fn undecided(&self) -> Option<String> {
        self.open.as_ref().map(|open| format!("undecided; there may be more sets: {open}"))
    }
}

fn set(run: &Run, report: &SearchReport, judged: &JudgedSet) -> Line {
    let kind = if judged.smallest { "" } else { "not a minimal set: " };
    let minimal = report.answer.minimal_sets.iter().find(|set| set.conditions == judged.conditions);
    let mut because: Vec<String> = Vec::new();
    for cause in minimal.iter().flat_map(|set| &set.causes) {
        let lines = [format!("why: {}", cause.text), format!("fix: {}", cause.fix)];
        because.extend(lines.into_iter().filter(|line| !because.contains(line)).collect::<Vec<_>>());
    }
    because.extend(minimal.map(|set| format!("rerun: {}", set.repro)));
    line(run, &judged.case, &format!("{kind}{}", judged.conditions), &because)
}

/// The line of a case in an answer.
fn line(run: &Run, case: &CaseId, what: &str, because: &[String]) -> Line {
    let entry = run.entry(case);
    let good = entry.and_then(|entry| match entry.standing {
        Standing::Expected | Standing::Step => Some(true),
        Standing::Unexpected => Some(false),
        Standing::Unresolved | Standing::Skipped | Standing::NotRun => None,
    });
    let outcome = entry.and_then(|entry| entry.result).map_or_else(|| "not run".to_owned(), |r| one_line(&r.cell()));
    let expected_words = match (entry.and_then(|entry| entry.expected), good, run.header.kind) {
        (_, None, _) | (None, _, Kind::Why | Kind::Bisect) => String::new(),
        (None, Some(true), Kind::Run) | (Some(_), Some(true), _) => ", as expected".to_owned(),
        (None, Some(false), Kind::Run) => ", unexpected".to_owned(),
        (Some(expected), Some(false), _) => format!(", expected: {}", one_line(expected)),
    };
    let because = because.iter().map(|text| one_line(text)).collect();
    Line { case: Some(case.clone()), text: format!("{}: {outcome}{expected_words}", one_line(what)), good, because }
}

/// The runs of a search, each with what it showed at the time.
fn runs(run: &Run, planned: &PlannedSearch) -> Vec<RunLine> {
    let answer = run.searches.get(&planned.id);
    let minimal: Vec<&ConditionSet> =
        answer.iter().flat_map(|report| &report.answer.minimal_sets).map(|set| &set.conditions).collect();
    let mut failing: Vec<&ConditionSet> = Vec::new();
    let mut lines: Vec<RunLine> = Vec::new();
    for ran in &run.runs {
        let Some(case) = run.header.cases.iter().find(|case| case.id == ran.case) else { continue };
        if case.search.as_ref() != Some(&planned.id) {
            continue;
        }
        let set = &case.conditions;
        let again = lines.iter().any(|line| line.case == case.id);
        let lesson = if again { "the same set again".to_owned() } else { lesson(ran.verdict, set, &failing, &minimal) };
        if ran.verdict == Verdict::Fail {
            failing.push(set);
        }
        lines.push(run_line(ran, &set.to_string(), lesson));
    }
    lines
}

fn run_line(ran: &Ran, what: &str, lesson: String) -> RunLine {
    let passed = match ran.verdict {
        Verdict::Pass => Some(true),
        Verdict::Fail => Some(false),
        Verdict::Unresolved => None,
    };
    let text = format!("{}: {}", one_line(what), one_line(&ran.outcome));
    RunLine { at_ms: ran.at_ms, case: ran.case.clone(), passed, text, lesson }
}

/// What a run showed, given the sets that failed before it and the answer.
fn lesson(verdict: Verdict, set: &ConditionSet, failing: &[&ConditionSet], minimal: &[&ConditionSet]) -> String {
    let count = set.iter().count();
    match verdict {
        Verdict::Unresolved => "no verdict".to_owned(),
        Verdict::Pass if count == 0 => "a failure needs a condition".to_owned(),
        Verdict::Pass if count == 1 => "not enough by itself".to_owned(),
        Verdict::Pass => format!("no set among these {count} fails"),
        Verdict::Fail if count == 0 => "fails without any condition".to_owned(),
        Verdict::Fail if minimal.contains(&set) => "a minimal set".to_owned(),
        Verdict::Fail => match failing.iter().find(|known| **known != set && known.is_subset(set)) {
            Some(known) => format!("contains {known}, which fails already"),
            None => format!("a minimal set is among these {count}"),
        },
    }
}

/// A bisection: a line for each version, the oldest first.
fn of_bisection<'a>(run: &Run, verdicts: &Verdicts) -> SearchView<'a> {
    let versions = bisect::versions(verdicts).into_iter().map(|version| Line {
        case: version.tested.map(|tested| tested.case.clone()),
        text: one_line(&format!("{}: {}{}", version.name, version.text, version.often)),
        good: version.tested.and_then(|tested| match tested.verdict {
            Verdict::Pass => Some(true),
            Verdict::Fail => Some(false),
            Verdict::Unresolved => None,
        }),
        because: Vec::new(),
    });
    let changes = bisect::changes(verdicts).into_iter().map(|(what, text)| format!("{what}: {text}"));
    let causes = verdicts.causes.iter().flat_map(|c| [format!("why: {}", c.text), format!("fix: {}", c.fix)]);
    let rerun = verdicts.repro.iter().map(|repro| format!("rerun: {repro}"));
    let remarks = causes.chain(rerun).chain(changes).chain(verdicts.notes.iter().cloned());
    let under =
        if verdicts.conditions.is_empty() { "friendly conditions".to_owned() } else { verdicts.conditions.to_string() };
    let runs = run.runs.iter().filter_map(|ran| {
        let image = &run.header.cases.iter().find(|case| case.id == ran.case)?.image;
        let lesson = match ran.verdict {
            Verdict::Pass => "good",
            Verdict::Fail => "bad",
            Verdict::Unresolved => "no verdict",
        };
        Some(run_line(ran, name(image, &verdicts.images), lesson.to_owned()))
    });
    SearchView {
        scenario: None,
        image: None,
        title: one_line(&format!("{} under {under}", plural(verdicts.images.len(), "version"))),
        verdict: one_line(&bisect::sentence(verdicts)),
        broke: Vec::new(),
        lines: versions.collect(),
        remarks: remarks.map(|text| one_line(&text)).collect(),
        open: None,
        runs: runs.collect(),
        seconds: verdicts.seconds,
    }
}
