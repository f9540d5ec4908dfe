//! A live progress bar on standard error if that is a terminal, else a line now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::view;
use crate::event::{Event, Planned, Stamped, Standing, judge};
use crate::model::CaseId;
use crate::model::outcome::Phase;

/// A running case.
struct Running {
    name: String,
    phase: Phase,
    since_ms: u64,
}

/// Number of running cases named, those that have run longest.
const NAMED: usize = 3;

/// Time between two lines where there is no bar: a run that says nothing for minutes looks as if it hung.
const LINE_EVERY_MS: u64 = 30_000;

/// Where lines go.
pub(crate) type Lines = Box<dyn FnMut(&str)>;

/// A progress bar with the longest-running cases in its last line.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Instead of a bar.
    lines: Option<Lines>,
    /// When the last line was due, by the events' clock.
    line_ms: u64,
    running: BTreeMap<String, Running>,
    planned: BTreeMap<CaseId, Planned>,
    /// The images of the run.
    images: Vec<String>,
    /// Cases with a result. A search may run one of them again.
    finished: BTreeSet<String>,
    /// Number of cases that were not as expected.
    failed: usize,
    /// The word for these.
    failed_word: &'static str,
}

impl Progress {
    /// A bar, drawn only if it is wanted and standard error is a terminal; without one, `lines` are written.
    #[must_use]
    pub(crate) fn new(wanted: bool, lines: Option<Lines>) -> Self {
        let target = if wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = ProgressStyle::with_template("{elapsed:>4} {wide_bar} {pos}/{len}  {prefix}\n     {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            lines,
            line_ms: 0,
            running: BTreeMap::new(),
            planned: BTreeMap::new(),
            images: Vec::new(),
            finished: BTreeSet::new(),
            failed: 0,
            failed_word: "failed",
        }
    }

    /// Shows what an event changes.
    pub(crate) fn on(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::RunStarted(header) => {
                self.bar.set_length(header.cases.len() as u64);
                self.planned = header.cases.iter().map(|planned| (planned.id.clone(), planned.clone())).collect();
                self.images = header.cases.iter().map(|planned| planned.image.clone()).collect();
                self.images.sort();
                self.images.dedup();
                self.bar.enable_steady_tick(Duration::from_millis(250));
            }
            Event::CaseStarted { id, image, conditions } => {
                let name = format!("{} · {conditions}", view::name(image, &self.images));
                let since_ms = stamped.at_ms;
                self.running.insert(id.0.clone(), Running { name, phase: Phase::Prepare, since_ms });
            }
            Event::CasePhase { id, phase } => {
                if let Some(running) = self.running.get_mut(&id.0) {
                    running.phase = *phase;
                }
            }
            Event::CaseFinished { result, attempts } => {
                self.running.remove(&result.id.0);
                if self.finished.insert(result.id.0.clone()) {
                    if let Some(planned) = self.planned.get(&result.id) {
                        let entry = judge(planned, Some((result, Some(attempts))), None, None);
                        self.failed += usize::from(entry.standing == Standing::Unexpected);
                        if entry.expected.is_some() {
                            self.failed_word = "not as expected";
                        }
                    }
                    self.bar.inc(1);
                }
            }
            Event::CaseConfirming { id } => {
                if let Some(running) = self.running.get_mut(&id.0) {
                    running.phase = Phase::Prepare;
                    running.name.push_str(" (confirming, alone)");
                }
            }
            Event::CaseRetrying { id, attempt, .. } => {
                if let Some(running) = self.running.get_mut(&id.0) {
                    running.phase = Phase::Prepare;
                    running.name.push_str(&format!(" (attempt {attempt})"));
                }
            }
            Event::Draining { because, aborts: false } => self.bar.println(stopping(because)),
            Event::CaseAdded { planned } => {
                self.bar.inc_length(1);
                self.planned.insert(planned.id.clone(), planned.clone());
            }
            Event::CaseNotRun { .. }
            // Aborted: the command says why it ends.
            | Event::Draining { .. }
            | Event::SearchStarted { .. }
            | Event::SearchProgress { .. }
            | Event::SearchTold { .. }
            | Event::SearchFinished { .. }
            | Event::SearchNotRun { .. }
            | Event::BisectFinished { .. } => {}
            Event::RunFinished { .. } => self.bar.finish_and_clear(),
        }
        self.bar.set_message(self.slowest(stamped.at_ms));
        let failed = if self.failed == 0 { String::new() } else { format!("{} {}", self.failed, self.failed_word) };
        self.line(stamped.at_ms, &failed);
        self.bar.set_prefix(failed);
    }

    /// Writes a line if one is due.
    fn line(&mut self, now_ms: u64, failed: &str) {
        let Some(lines) = &mut self.lines else { return };
        if now_ms >= self.line_ms + LINE_EVERY_MS {
            self.line_ms = now_ms;
            let all = view::plural(self.bar.length().unwrap_or_default(), "case");
            let failed = if failed.is_empty() { String::new() } else { format!(", {failed}") };
            lines(&format!("  {} of {all} after {} s{failed}", self.finished.len(), now_ms / 1000));
        }
    }

    /// The longest-running cases, each with its seconds and phase.
    fn slowest(&self, now_ms: u64) -> String {
        let mut all: Vec<&Running> = self.running.values().collect();
        all.sort_by_key(|running| running.since_ms);
        let shown = all.iter().take(NAMED).map(|running| {
            let seconds = now_ms.saturating_sub(running.since_ms) / 1000;
            format!("{seconds} s {} ({})", running.name, view::phase(running.phase))
        });
        let mut text = shown.collect::<Vec<_>>().join("   ");
        if all.len() > NAMED {
            text.push_str(&format!("   and {} more", all.len() - NAMED));
        }
        text
    }
}

/// The message that no further case starts.
pub(super) fn stopping(because: &str) -> String {
    format!("stopping ({because}): running cases finish first; press Ctrl-C again to abort them")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn without_a_bar_a_line_comes_every_thirty_seconds() {
        let lines = Rc::new(RefCell::new(Vec::new()));
        let kept = lines.clone();
        let mut progress = Progress::new(false, Some(Box::new(move |line| kept.borrow_mut().push(line.to_owned()))));
        let phase = |at_ms| {
            let id = CaseId("a".to_owned());
            Stamped { seq: 0, at_ms, event: Event::CasePhase { id, phase: Phase::Listen } }
        };
        for at_ms in [0, 29_999, 30_000, 45_000, 60_001] {
            progress.on(&phase(at_ms));
        }
        assert_eq!(*lines.borrow(), ["  0 of 0 cases after 30 s", "  0 of 0 cases after 60 s"]);
    }
}
