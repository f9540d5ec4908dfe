//! The cells of a run as tables: conditions down, images across. Cells are found by the id of their case: two cases may
//! have the same conditions to look at, when they differ in a secret only.

use std::collections::{BTreeMap, BTreeSet};

use super::plain::one_line;
use crate::event::Planned;
use crate::event::run::Run;
use crate::model::CaseId;
use crate::model::image::short_name;
use crate::model::outcome::{CaseResult, Outcome, Verdict};

/// How a case stands against what is expected of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// It came out otherwise than expected.
    Unexpected,
    /// The run says nothing about it.
    Unresolved,
    /// The host cannot impose a condition.
    Skipped,
    /// It was not begun, or not ended.
    NotRun,
    /// It came out as expected.
    Expected,
    /// It is a step of a search: nothing is expected of it.
    Step,
}

impl Standing {
    /// How a case stands; nothing: there is no result of it.
    #[must_use]
    pub fn of(result: Option<&CaseResult>) -> Self {
        match result {
            None => Self::NotRun,
            Some(result) if result.step => Self::Step,
            Some(result) if result.verdict == Verdict::Unresolved && result.skipped.is_some() => Self::Skipped,
            Some(result) if result.verdict == Verdict::Unresolved => Self::Unresolved,
            Some(result) if result.as_expected() => Self::Expected,
            Some(_) => Self::Unexpected,
        }
    }
}

/// A planned case with what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// The case.
    pub planned: &'a Planned,
    /// What came out.
    pub result: Option<&'a CaseResult>,
    /// Why there is no result.
    pub missing: Option<&'a str>,
}

/// Every case of a run in the order of the plan.
pub fn cells(run: &Run) -> impl Iterator<Item = Cell<'_>> {
    let missing: BTreeMap<&CaseId, &str> = run.without_result().map(|(planned, why)| (&planned.id, why)).collect();
    run.header.cases.iter().map(move |planned| Cell {
        planned,
        result: run.results.get(&planned.id),
        missing: missing.get(&planned.id).copied(),
    })
}

impl Cell<'_> {
    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing::of(self.result)
    }

    /// A few words: what came out, and what was expected where that is something else.
    #[must_use]
    pub fn words(&self) -> String {
        let Some(result) = self.result else { return "not run".to_owned() };
        let often = result.flaky().map(|often| format!(", flaky: {often}")).unwrap_or_default();
        let cell = one_line(&result.cell());
        match (&result.expected, self.standing()) {
            (Some(expected), Standing::Unexpected) => {
                format!("{cell}{often}, expected: {}", one_line(&expected.text))
            }
            _ => format!("{cell}{often}"),
        }
    }

    /// Seconds that it took.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.result.map_or(0.0, |result| result.total_ms / 1000.0)
    }
}

/// A set of conditions and its cells.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The conditions in words; `(2)` behind it where another row reads the same.
    pub label: String,
    /// One for each image of the table, in its order; nothing: no such case is planned.
    pub cells: Vec<Option<Cell<'a>>>,
}

/// The cases of one scenario.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    /// The scenario's name; nothing: cases by hand.
    pub scenario: Option<&'a str>,
    /// The images in the order of the plan.
    pub images: Vec<&'a str>,
    /// What people call them; the whole names where the short ones are the same.
    pub names: Vec<String>,
    /// The sets of conditions in the order of the plan.
    pub rows: Vec<Row<'a>>,
}

impl<'a> Table<'a> {
    /// The cases of an image, each with the label of its row.
    pub fn column(&self, image: usize) -> impl Iterator<Item = (&str, Cell<'a>)> {
        self.rows.iter().filter_map(move |row| Some((row.label.as_str(), (*row.cells.get(image)?)?)))
    }

    /// Every case: the image's name, the label of the row, the cell; row by row.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str, Cell<'a>)> {
        self.rows.iter().flat_map(move |row| {
            let cells = self.names.iter().zip(&row.cells);
            cells.filter_map(|(name, cell)| Some((name.as_str(), row.label.as_str(), (*cell)?)))
        })
    }

    /// The same without rows that are nothing but steps of a search.
    #[must_use]
    pub fn without_steps(&self) -> Self {
        let told = |row: &&Row<'_>| row.cells.iter().flatten().any(|cell| cell.standing() != Standing::Step);
        Self { rows: self.rows.iter().filter(told).cloned().collect(), ..self.clone() }
    }

    /// What stands above it, where a run has more than one.
    #[must_use]
    pub fn title(&self) -> String {
        self.scenario.map_or_else(|| "cases by hand".to_owned(), one_line)
    }
}

/// The tables of a run, one for each scenario, in the order of the plan.
#[must_use]
pub fn tables(run: &Run) -> Vec<Table<'_>> {
    let mut scenarios: Vec<Option<&str>> = Vec::new();
    for planned in &run.header.cases {
        if !scenarios.contains(&planned.scenario.as_deref()) {
            scenarios.push(planned.scenario.as_deref());
        }
    }
    let of =
        |scenario: &Option<&str>| cells(run).filter(|cell| cell.planned.scenario.as_deref() == *scenario).collect();
    scenarios.into_iter().map(|scenario| table(scenario, of(&scenario))).collect()
}

fn table<'a>(scenario: Option<&'a str>, all: Vec<Cell<'a>>) -> Table<'a> {
    let mut images: Vec<&str> = Vec::new();
    let mut columns: BTreeMap<&str, usize> = BTreeMap::new();
    let mut labels: Vec<String> = Vec::new();
    // The cases of one label and image: several where they differ in a secret only.
    let mut cells: BTreeMap<String, BTreeMap<usize, Vec<Cell<'a>>>> = BTreeMap::new();
    for cell in all {
        let planned = cell.planned;
        let column = *columns.entry(&planned.image).or_insert_with(|| {
            images.push(&planned.image);
            images.len() - 1
        });
        let label = one_line(&planned.conditions.to_string());
        let known = cells.entry(label.clone()).or_insert_with(|| {
            labels.push(label);
            BTreeMap::new()
        });
        known.entry(column).or_default().push(cell);
    }
    let mut rows = Vec::new();
    for label in labels {
        let Some(mut of_label) = cells.remove(&label) else { continue };
        // Shards are put together in any order; the numbers of ids tell which case is of which row.
        of_label.values_mut().for_each(|several| several.sort_by_key(|cell| number(&cell.planned.id.0)));
        let most = of_label.values().map(Vec::len).max().unwrap_or_default();
        for n in 0..most {
            let label = if n == 0 { label.clone() } else { format!("{label} ({})", n + 1) };
            let cell = |column| of_label.get(&column).and_then(|several| several.get(n)).copied();
            rows.push(Row { label, cells: (0..images.len()).map(cell).collect() });
        }
    }
    Table { scenario, names: names(&images), images, rows }
}

/// The number behind an id that others have, too: `v1-0123abcd-2`.
fn number(id: &str) -> u64 {
    let Some((before, number)) = id.rsplit_once('-') else { return 1 };
    let hash = before.rsplit('-').next().unwrap_or_default();
    let is_hash = hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    number.parse().ok().filter(|_| is_hash && number.len() < 8).unwrap_or(1)
}

/// What people call the images; the whole names where the short ones are the same.
fn names(images: &[&str]) -> Vec<String> {
    let short: BTreeSet<&str> = images.iter().map(|image| short_name(image)).collect();
    let all = short.len() == images.len();
    images.iter().map(|image| one_line(if all { short_name(image) } else { image })).collect()
}

/// A few letters for a cell of a table.
#[must_use]
pub fn letters(result: Option<&CaseResult>) -> String {
    super::terminal::mark(result).0
}

/// How bad a result is, the worst first: what fails without any condition, then what died, then the rest.
#[must_use]
pub fn severity(result: &CaseResult) -> (bool, bool, usize) {
    let died = !matches!(result.outcome, None | Some(Outcome::Healthy));
    (!result.conditions.is_empty(), !died, result.conditions.iter().count())
}

/// How many cases of a run stand how.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// All that were planned.
    pub cases: usize,
    /// As expected.
    pub expected: usize,
    /// Not as expected.
    pub unexpected: usize,
    /// Without a statement.
    pub unresolved: usize,
    /// The host cannot impose a condition.
    pub skipped: usize,
    /// Without a result.
    pub not_run: usize,
    /// Steps of searches.
    pub steps: usize,
    /// Searches that do not know whether there are other sets; they are no cases.
    pub open: usize,
    /// Whose attempts did not all come out alike; they are counted above as well.
    pub flaky: usize,
}

impl Tally {
    /// Counts cases.
    #[must_use]
    pub fn of<'a>(cells: impl IntoIterator<Item = Cell<'a>>) -> Self {
        let mut tally = Self::default();
        for cell in cells {
            tally.cases += 1;
            tally.flaky += usize::from(cell.result.is_some_and(|result| result.flaky().is_some()));
            *match cell.standing() {
                Standing::Expected => &mut tally.expected,
                Standing::Unexpected => &mut tally.unexpected,
                Standing::Unresolved => &mut tally.unresolved,
                Standing::Skipped => &mut tally.skipped,
                Standing::NotRun => &mut tally.not_run,
                Standing::Step => &mut tally.steps,
            } += 1;
        }
        tally
    }

    /// Counts the cases of a run.
    #[must_use]
    pub fn of_run(run: &Run) -> Self {
        Self { open: run.counts().open, ..Self::of(cells(run)) }
    }

    /// What it comes to, in one sentence without a full stop.
    #[must_use]
    pub fn verdict(&self) -> String {
        let of = |count: usize, what: &str| format!("{count} of {} {what}", plural(self.cases, "case"));
        let are = |count: usize| if count == 1 { "is" } else { "are" };
        match *self {
            Self { cases: 0, .. } => "no case was planned".to_owned(),
            Self { unexpected, .. } if unexpected > 0 => {
                of(unexpected, &format!("{} not as expected", are(unexpected)))
            }
            Self { unresolved, skipped, .. } if unresolved + skipped > 0 => {
                of(unresolved + skipped, &format!("{} undecided, none failed", are(unresolved + skipped)))
            }
            Self { not_run, .. } if not_run > 0 => {
                of(not_run, &format!("{} not run, none failed", if not_run == 1 { "was" } else { "were" }))
            }
            Self { open, .. } if open > 0 => {
                format!("{open} of the searches undecided, none failed")
            }
            Self { cases, steps, .. } if steps > 0 => {
                format!("{} as expected, beside the steps of a search", plural(cases - steps, "case"))
            }
            Self { cases: 1, flaky: 0, .. } => "the case is as expected".to_owned(),
            Self { cases: 1, .. } => "the case is as expected, and flaky".to_owned(),
            Self { cases, flaky: 0, .. } => format!("all {cases} cases are as expected"),
            Self { cases, flaky, .. } => format!("all {cases} cases are as expected, {flaky} of them flaky"),
        }
    }

    /// The counts that are not zero.
    #[must_use]
    pub fn counts(&self) -> String {
        let parts = [
            (self.expected, "as expected"),
            (self.unexpected, "not as expected"),
            (self.unresolved, "unresolved"),
            (self.skipped, "skipped"),
            (self.not_run, "not run"),
            (self.steps, "steps of a search"),
            (self.flaky, "flaky"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        std::iter::once(plural(self.cases, "case")).chain(parts).collect::<Vec<_>>().join(", ")
    }
}

/// `1 case`, `2 cases`.
#[must_use]
pub fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::every_kind;

    fn ids(row: &Row<'_>) -> Vec<String> {
        row.cells.iter().map(|cell| cell.map_or(String::new(), |cell| cell.planned.id.0.clone())).collect()
    }

    #[test]
    fn cells_that_read_the_same_are_rows_of_their_own() {
        let mut run = every_kind();
        for _ in 0..2 {
            let all = tables(&run);
            assert_eq!(all.iter().map(|t| t.scenario).collect::<Vec<_>>(), [Some("incident"), None]);
            let keys: Vec<&Row<'_>> = all[0].rows.iter().filter(|row| row.label.contains("API_KEY")).collect();
            assert!(keys[1].label.ends_with(" (2)"), "{}", keys[1].label);
            assert_eq!(ids(keys[0]), ["v1.2-00000007", "v2-00000008"]);
            assert_eq!(ids(keys[1]), ["v1.2-00000007-2", "v2-00000008-2"]);
            // Shards may come in another order.
            let cases = &mut run.header.cases;
            let (a, b) = (cases[6].clone(), cases[8].clone());
            (cases[6], cases[8]) = (b, a);
        }
    }

    #[test]
    fn every_case_is_counted_once() {
        let tally = Tally::of_run(&every_kind());
        let expected = Tally {
            cases: 11,
            expected: 3,
            unexpected: 4,
            unresolved: 1,
            skipped: 1,
            not_run: 2,
            flaky: 1,
            ..Tally::default()
        };
        assert_eq!(tally, expected);
        assert_eq!(tally.verdict(), "4 of 11 cases are not as expected");
        let tally = Tally { cases: 1, expected: 1, ..Tally::default() };
        assert_eq!(
            (tally.verdict().as_str(), tally.counts().as_str()),
            ("the case is as expected", "1 case, 1 as expected")
        );
        assert_eq!(number("v1-2"), 1);
    }

    #[test]
    fn names_that_would_be_the_same_are_whole() {
        assert_eq!(names(&["a:v1", "b:v1"]), ["a:v1", "b:v1"]);
        assert_eq!(names(&["a:v1", "a:v2"]), ["v1", "v2"]);
    }
}
