//! Live progress on standard error, where it is a terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::{Event, Stamped};
use crate::model::image::short_name;
use crate::model::outcome::{Phase, Verdict};

/// A bar with the running cases in its last line.
pub struct Progress {
    bar: ProgressBar,
    running: BTreeMap<String, (String, Phase)>,
    failed: usize,
}

impl Progress {
    /// A bar that is drawn only when standard error is a terminal and it is wanted.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        let target = if wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = ProgressStyle::with_template("{elapsed:>4} {wide_bar} {pos}/{len}  {prefix}\n     {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, running: BTreeMap::new(), failed: 0 }
    }

    /// Shows what an event changes.
    pub fn on(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::RunStarted(header) => {
                self.bar.set_length(header.cases.len() as u64);
                self.bar.enable_steady_tick(Duration::from_millis(250));
            }
            Event::CaseStarted { id, image, conditions } => {
                let name = format!("{} · {conditions}", short_name(image));
                self.running.insert(id.0.clone(), (name, Phase::Prepare));
            }
            Event::CasePhase { id, phase } => {
                if let Some((_, current)) = self.running.get_mut(&id.0) {
                    *current = *phase;
                }
            }
            Event::CaseFinished { result } => {
                self.running.remove(&result.id.0);
                self.failed += usize::from(result.verdict == Verdict::Fail);
                self.bar.inc(1);
            }
            Event::CaseConfirming { id } => {
                if let Some((name, phase)) = self.running.get_mut(&id.0) {
                    *phase = Phase::Prepare;
                    name.push_str(" (once more, alone)");
                }
            }
            Event::Draining { because } => {
                self.bar.println(format!("stopping ({because}): running cases end first, Ctrl-C ends them at once"));
            }
            Event::CaseNotRun { .. } => {}
            Event::RunFinished { .. } => self.bar.finish_and_clear(),
        }
        let names: Vec<&str> = self.running.values().map(|(name, _)| name.as_str()).collect();
        self.bar.set_message(names.join("   "));
        self.bar.set_prefix(if self.failed == 0 { String::new() } else { format!("{} failed", self.failed) });
    }
}
