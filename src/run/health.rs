//! The platform's health check as a pure state machine: probe results in, a decision out.
//!
//! The platform probes every `interval` seconds from the start of the process, without a grace period.
//! `healthy_threshold` successes in a row make the service healthy, `unhealthy_threshold` failures in a row unhealthy.
//! Early probes, sent ahead of the schedule because the port has opened, only detect success sooner: they have their
//! own count, and their failures do not affect the scheduled one.

use std::time::Duration;

use crate::model::service::HealthCheck;

/// The state of the health check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// Undecided.
    Open,
    /// Enough successes in a row.
    Healthy,
    /// Enough failures in a row.
    Unhealthy,
}

/// A health check under way.
#[derive(Clone, Debug)]
pub(crate) struct HealthMachine {
    check: HealthCheck,
    successes: u32,
    failures: u32,
    early_successes: u32,
    ticks: u32,
}

impl HealthMachine {
    /// A health check before its first probe.
    #[must_use]
    pub(crate) fn new(check: HealthCheck) -> Self {
        Self { check, successes: 0, failures: 0, early_successes: 0, ticks: 0 }
    }

    /// When the platform's next probe is due, counted from the start of the process.
    #[must_use]
    pub(crate) fn next_tick(&self) -> Duration {
        Duration::from_secs(u64::from(self.check.interval)) * (self.ticks + 1)
    }

    /// Records that a scheduled probe was sent.
    pub(crate) fn tick(&mut self) {
        self.ticks += 1;
    }

    /// Records the result of a probe.
    pub(crate) fn result(&mut self, good: bool, early: bool) -> Decision {
        match (early, good) {
            (true, true) => self.early_successes += 1,
            (true, false) => self.early_successes = 0,
            (false, true) => {
                self.successes += 1;
                self.failures = 0;
            }
            (false, false) => {
                self.successes = 0;
                self.failures += 1;
            }
        }
        if self.successes.max(self.early_successes) >= self.check.healthy_threshold {
            Decision::Healthy
        } else if self.failures >= self.check.unhealthy_threshold {
            Decision::Unhealthy
        } else {
            Decision::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::Protocol;

    fn machine(healthy: u32, unhealthy: u32) -> HealthMachine {
        HealthMachine::new(HealthCheck {
            protocol: Protocol::Http,
            path: "/".to_owned(),
            interval: 5,
            timeout: 2,
            healthy_threshold: healthy,
            unhealthy_threshold: unhealthy,
        })
    }

    #[test]
    fn there_is_no_grace_period() {
        let mut m = machine(1, 3);
        assert_eq!(m.next_tick(), Duration::from_secs(5));
        m.tick();
        assert_eq!(m.result(false, false), Decision::Open);
        m.tick();
        assert_eq!(m.result(false, false), Decision::Open);
        assert_eq!(m.next_tick(), Duration::from_secs(15));
        m.tick();
        assert_eq!(m.result(false, false), Decision::Unhealthy);
    }

    #[test]
    fn healthy_needs_successes_in_a_row() {
        let mut m = machine(2, 2);
        assert_eq!(m.result(true, false), Decision::Open);
        assert_eq!(m.result(false, false), Decision::Open);
        assert_eq!(m.result(true, false), Decision::Open);
        assert_eq!(m.result(false, true), Decision::Open, "an early failure does not break the row");
        assert_eq!(m.result(true, false), Decision::Healthy);
        let mut m = machine(2, 2);
        assert_eq!(m.result(true, true), Decision::Open);
        assert_eq!(m.result(true, true), Decision::Healthy);
    }

    #[test]
    fn early_failures_do_not_count() {
        let mut m = machine(1, 1);
        for _ in 0..100 {
            assert_eq!(m.result(false, true), Decision::Open);
        }
        assert_eq!(m.result(false, false), Decision::Unhealthy);
    }
}
