//! Live lines of a search on standard error: its activity, the failing sets so far, the running cases, and every
//! result.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::first::first;
use super::progress::stopping;
use super::style::{mark, shorten_end, styled, width};
use super::view;
use crate::event::{Event, Stamped};
use crate::model::outcome::Phase;
use crate::model::{CaseId, CaseResult, ConditionSet};

/// Number of failing sets shown.
const MOST_FOUND: usize = 4;
/// Maximum width of a line, in columns.
const LINE: usize = 124;
/// What stands before and after a running case's name: spinner, time, phase.
const AROUND_NAME: usize = 40;
/// What stands before a result's name: mark and seconds.
const BEFORE_NAME: usize = 18;

/// How to name the cases of a search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Named {
    /// One image under many sets of conditions.
    ByConditions,
    /// Many images under one set of conditions.
    ByImage,
}

/// Live lines, drawn only on a terminal.
pub(crate) struct Live {
    bar: ProgressBar,
    named: Named,
    doing: String,
    running: BTreeMap<CaseId, (String, Phase)>,
    found: Vec<String>,
    /// Sets that were said.
    said: Vec<ConditionSet>,
    runs: usize,
}

impl Live {
    /// Live lines of a search that begins with the activity `doing`.
    #[must_use]
    pub(crate) fn new(wanted: bool, named: Named, doing: &str) -> Self {
        let target = if wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{spinner} {elapsed:>4}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        if wanted {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self {
            bar,
            named,
            doing: doing.to_owned(),
            running: BTreeMap::new(),
            found: Vec::new(),
            said: Vec::new(),
            runs: 0,
        }
    }

    /// Shows what an event changes.
    pub(crate) fn on(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::CaseStarted { id, image, conditions } => {
                let name = self.name(image, conditions);
                self.running.insert(id.clone(), (name, Phase::Prepare));
            }
            Event::CaseConfirming { id } => {
                if let Some((name, _)) = self.running.get_mut(id) {
                    name.push_str(" (confirming, alone)");
                }
            }
            Event::CasePhase { id, phase } => {
                if let Some((_, known)) = self.running.get_mut(id) {
                    *known = *phase;
                }
            }
            Event::CaseFinished { result, .. } => self.finished(result),
            Event::SearchTold { told, .. } => {
                if !self.said.contains(&told.conditions) {
                    self.said.push(told.conditions.clone());
                    self.bar.println(format!("\n{}\n", first(told)));
                }
            }
            Event::SearchProgress { doing, found, .. } => {
                self.doing.clone_from(doing);
                let short = |set: &ConditionSet| if set.is_empty() { "always".to_owned() } else { set.to_string() };
                self.found = found.iter().map(short).collect();
            }
            Event::Draining { because, aborts: false } => self.bar.println(stopping(because)),
            Event::RunFinished { .. } => return self.bar.finish_and_clear(),
            Event::RunStarted(_)
            | Event::CaseRetrying { .. }
            | Event::CaseAdded { .. }
            | Event::CaseNotRun { .. }
            // Aborted: the command says why it ends.
            | Event::Draining { .. }
            | Event::SearchStarted { .. }
            | Event::SearchFinished { .. }
            | Event::SearchNotRun { .. }
            | Event::BisectFinished { .. } => {}
        }
        self.draw();
    }

    fn name(&self, image: &str, conditions: &ConditionSet) -> String {
        match self.named {
            Named::ByConditions => conditions.to_string(),
            Named::ByImage => image.to_owned(),
        }
    }

    fn finished(&mut self, result: &CaseResult) {
        self.running.remove(&result.id);
        self.runs += 1;
        let (mark, style) = mark(Some(result));
        let name = self.name(&result.image, &result.conditions);
        let name = shorten_end(&name, width(LINE) - BEFORE_NAME);
        let seconds = result.total_ms / 1000.0;
        self.bar.println(format!("{} {seconds:>5.1} s  {name}", styled(style, &format!("{mark:>8}"))));
    }

    fn draw(&self) {
        let mut lines = vec![format!("{} runs · {}", self.runs, self.doing)];
        let room = width(LINE) - AROUND_NAME;
        let fails = |set: &String| format!("        fails: {}", shorten_end(set, room));
        lines.extend(self.found.iter().take(MOST_FOUND).map(fails));
        if self.found.len() > MOST_FOUND {
            lines.push(format!("        … and {} more", self.found.len() - MOST_FOUND));
        }
        let runs = |(name, phase): &(String, Phase)| {
            format!("        runs:  {} ({})", shorten_end(name, room), view::phase(*phase))
        };
        lines.extend(self.running.values().map(runs));
        self.bar.set_message(lines.join("\n"));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
