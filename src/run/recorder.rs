//! Stamps the events of a run and keeps the run's state.

use tokio::time::Instant;

use crate::event::run::Run;
use crate::event::{Event, Stamped};

/// The only source of stamped events: numbers them, timestamps them and passes them to the reporters.
pub(super) struct Recorder<'a> {
    begun: Instant,
    seq: u64,
    /// The run so far.
    pub(super) run: Run,
    report: &'a mut dyn FnMut(&Stamped),
}

impl<'a> Recorder<'a> {
    /// A recorder whose clock starts now.
    pub(super) fn new(report: &'a mut dyn FnMut(&Stamped)) -> Self {
        Self { begun: Instant::now(), seq: 0, run: Run::default(), report }
    }

    /// When the run began.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Seconds since the run began, to a tenth.
    pub(super) fn seconds(&self) -> f64 {
        (self.begun.elapsed().as_secs_f64() * 10.0).round() / 10.0
    }

    /// Stamps an event.
    pub(super) fn stamp(&mut self, event: Event) {
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let stamped = Stamped { seq: self.seq, at_ms, event };
        self.seq += 1;
        self.run.on(&stamped);
        (self.report)(&stamped);
    }
}
