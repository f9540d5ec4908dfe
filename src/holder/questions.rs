//! Which of a candidate's questions to the resolver are reported: the first ones, and the number of others.
//!
//! A client that spins on SERVFAIL asks tens of thousands of times per second. Each question would be a line to the
//! controller, on the same pipe as the probe results.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::protocol::FromHolder;
use super::say::Say;
use crate::model::observation::{DnsQuestion, MOST_KEPT, Observation};

/// The questions of one run.
pub(crate) struct Questions {
    say: Say,
    run: u64,
    /// Start of the run's clock.
    zero: Instant,
    /// Whether questions are reported.
    evidence: bool,
    asked: AtomicU64,
}

impl Questions {
    /// No questions yet.
    pub(crate) fn new(say: Say, run: u64, zero: Instant, evidence: bool) -> Self {
        Self { say, run, zero, evidence, asked: AtomicU64::new(0) }
    }

    /// Reports a question, or only counts it.
    pub(crate) fn tell(&self, mut question: DnsQuestion) {
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        if self.evidence && before < MOST_KEPT as u64 {
            question.at_ms = self.zero.elapsed().as_secs_f64() * 1000.0;
            self.say.say(FromHolder::Observed { run: self.run, observation: Observation::Dns(question) });
        }
    }

    /// Number of questions that were only counted.
    pub(crate) fn more(&self) -> u64 {
        self.asked.load(Ordering::Relaxed).saturating_sub(MOST_KEPT as u64)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn spinning_client_does_not_flood_the_pipe() {
        let (sender, mut lines) = mpsc::unbounded_channel();
        let questions = Questions::new(Say::new(sender), 7, Instant::now(), true);
        let question = DnsQuestion {
            at_ms: 0.0,
            name: "db.internal".to_owned(),
            record: "A".to_owned(),
            answer: "SERVFAIL".to_owned(),
            own: false,
        };
        for _ in 0..20_000 {
            questions.tell(question.clone());
        }
        assert_eq!((lines.len(), questions.more()), (MOST_KEPT, 20_000 - MOST_KEPT as u64));
        let first = lines.recv().await.expect("a line");
        assert!(matches!(first, FromHolder::Observed { run: 7, observation: Observation::Dns(_) }), "{first:?}");
    }
}
