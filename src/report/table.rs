//! The cases of a run as tables: conditions down, images across. Cases that differ only in a secret show the same
//! conditions; each gets its own row.

use std::collections::BTreeMap;

use super::plain::one_line;
use super::view;
use crate::event::run::Run;
use crate::event::{Entry, Standing};
use crate::model::outcome::{CaseResult, Outcome};

/// A row: a set of conditions and its cells.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    /// The conditions, followed by `(2)` if another row reads the same.
    pub(crate) label: String,
    /// One cell for each image of the table; `None` where no case is planned.
    pub(crate) cells: Vec<Option<Entry<'a>>>,
}

/// The cases of one scenario.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    /// The scenario's name; `None` for cases from the command line.
    pub(crate) scenario: Option<&'a str>,
    /// The images in the order of the plan.
    pub(crate) images: Vec<&'a str>,
    /// Their short names, or the whole ones where these are ambiguous.
    pub(crate) names: Vec<String>,
    /// The sets of conditions in the order of the plan.
    pub(crate) rows: Vec<Row<'a>>,
}

impl<'a> Table<'a> {
    /// The cases of an image, each with the label of its row.
    pub(crate) fn column(&self, image: usize) -> impl Iterator<Item = (&str, Entry<'a>)> {
        self.rows.iter().filter_map(move |row| Some((row.label.as_str(), (*row.cells.get(image)?)?)))
    }

    /// Every case, row by row: the image's name, the row's label, the cell.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&str, &str, Entry<'a>)> {
        self.rows.iter().flat_map(move |row| {
            let cells = self.names.iter().zip(&row.cells);
            cells.filter_map(|(name, cell)| Some((name.as_str(), row.label.as_str(), (*cell)?)))
        })
    }

    /// The table without rows that contain only steps of a search.
    #[must_use]
    pub(crate) fn without_steps(&self) -> Self {
        let has_cases = |row: &&Row<'_>| row.cells.iter().flatten().any(|cell| cell.standing != Standing::Step);
        Self { rows: self.rows.iter().filter(has_cases).cloned().collect(), ..self.clone() }
    }

    /// The title of the table, if a run has more than one.
    #[must_use]
    pub(crate) fn title(&self) -> String {
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
        |scenario: &Option<&str>| run.entries().filter(|cell| cell.planned.scenario.as_deref() == *scenario).collect();
    scenarios.into_iter().map(|scenario| table(scenario, of(&scenario))).collect()
}

fn table<'a>(scenario: Option<&'a str>, all: Vec<Entry<'a>>) -> Table<'a> {
    let mut images: Vec<&str> = Vec::new();
    let mut columns: BTreeMap<&str, usize> = BTreeMap::new();
    let mut labels: Vec<String> = Vec::new();
    // The cases of one label and image: several if they differ only in a secret.
    let mut cells: BTreeMap<String, BTreeMap<usize, Vec<Entry<'a>>>> = BTreeMap::new();
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
        // Shards are merged in any order, so the number in the id decides which row a case belongs to.
        of_label.values_mut().for_each(|several| several.sort_by_key(|cell| number(&cell.planned.id.0)));
        let most = of_label.values().map(Vec::len).max().unwrap_or_default();
        for n in 0..most {
            let label = if n == 0 { label.clone() } else { format!("{label} ({})", n + 1) };
            let cell = |column| of_label.get(&column).and_then(|several| several.get(n)).copied();
            rows.push(Row { label, cells: (0..images.len()).map(cell).collect() });
        }
    }
    Table { scenario, names: view::names(&images), images, rows }
}

/// The number that makes an id unique: 2 in `v1-0123abcd-2`.
fn number(id: &str) -> u64 {
    let Some((before, number)) = id.rsplit_once('-') else { return 1 };
    let hash = before.rsplit('-').next().unwrap_or_default();
    let is_hash = hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    number.parse().ok().filter(|_| is_hash && number.len() < 8).unwrap_or(1)
}

/// Sort key that puts the worst results first: failures without conditions, then exits, then the rest.
#[must_use]
pub(crate) fn severity(result: &CaseResult) -> (bool, bool, usize) {
    let died = !matches!(result.outcome, None | Some(Outcome::Healthy));
    (!result.conditions.is_empty(), !died, result.conditions.iter().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::every_kind;

    fn ids(row: &Row<'_>) -> Vec<String> {
        row.cells.iter().map(|cell| cell.map_or(String::new(), |cell| cell.planned.id.0.clone())).collect()
    }

    #[test]
    fn cases_with_the_same_label_get_their_own_rows() {
        assert_eq!(number("v1-2"), 1);
        let mut run = every_kind();
        for _ in 0..2 {
            let all = tables(&run);
            assert_eq!(all.iter().map(|t| t.scenario).collect::<Vec<_>>(), [Some("incident"), None]);
            let keys: Vec<&Row<'_>> = all[0].rows.iter().filter(|row| row.label.contains("API_KEY")).collect();
            assert!(keys[1].label.ends_with(" (2)"), "{}", keys[1].label);
            assert_eq!(ids(keys[0]), ["v1.2-00000007", "v2-00000008"]);
            assert_eq!(ids(keys[1]), ["v1.2-00000007-2", "v2-00000008-2"]);
            // Shards may be merged in another order.
            let cases = &mut run.header.cases;
            let (a, b) = (cases[6].clone(), cases[8].clone());
            (cases[6], cases[8]) = (b, a);
        }
    }
}
