//! A live progress bar on standard error, if that is a terminal.

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

/// A progress bar with the longest-running cases in its last line.
pub(crate) struct Progress {
    bar: ProgressBar,
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
    /// A bar, drawn only if it is wanted and standard error is a terminal.
    #[must_use]
    pub(crate) fn new(wanted: bool) -> Self {
        let target = if wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = ProgressStyle::with_template("{elapsed:>4} {wide_bar} {pos}/{len}  {prefix}\n     {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
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
        self.bar.set_prefix(if self.failed == 0 {
            String::new()
        } else {
            format!("{} {}", self.failed, self.failed_word)
        });
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
