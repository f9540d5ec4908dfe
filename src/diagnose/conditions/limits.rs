//! `cpu.limit`, `memory.limit`, `nofile.limit`.

use super::super::run::Seen;
use super::{Failure, Knowledge, Meaning, Undone, nothing_excludes_it, unseen};
use crate::catalogue::fix_of;
use crate::model::condition::Limit;
use crate::model::deployment::{Applies, Ground, Revision};
use crate::model::outcome::Outcome;
use crate::model::units::show_bytes;

/// A peak below this share of a limit is clearly below it.
const SURE_SHARE: f64 = 0.6;

/// In whole megabytes.
fn rounded(bytes: u64) -> String {
    show_bytes(bytes >> 20 << 20)
}

impl Knowledge for Limit {
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String> {
        match self {
            // The last measurement of an ended process may be older than its end.
            Self::Cpu(_) | Self::Memory(_) if !run.healthy => None,
            Self::Cpu(_) => {
                let usage = run.evidence.usage?;
                let idle = usage.throttled_ms <= 0.0;
                idle.then(|| format!("it was never held back: at most {:.2} CPUs were busy", usage.cpu_peak))
            }
            Self::Memory(limit) => {
                let usage = run.evidence.usage?;
                // A group that reached its limit may not have counted that as a failure.
                if usage.memory_peak >= limit - limit / 20 {
                    return None;
                }
                let most = rounded(usage.memory_peak);
                (usage.memory_limit_hits == 0).then(|| format!("the limit was never met: at most {most} were used"))
            }
            Self::Nofile(_) => unseen(run, &["oo many open files", "EMFILE"], "files ran out"),
        }
    }

    fn ruled_out(&self, clean: &Seen<'_>) -> Option<String> {
        match self {
            Self::Memory(limit) => {
                let peak = clean.evidence.usage?.memory_peak;
                let far = (peak as f64) < *limit as f64 * SURE_SHARE;
                far.then(|| format!("a clean start used {} at the most", rounded(peak)))
            }
            Self::Cpu(milli) => {
                let peak = clean.evidence.usage?.cpu_peak;
                // A peak is an average over some time, so only a limit far above it is certain.
                let far = peak < f64::from(*milli) / 1000.0 * SURE_SHARE;
                far.then(|| format!("a clean start kept {peak:.2} CPUs busy at the most"))
            }
            // It does not show in a run that had enough of them.
            Self::Nofile(_) => None,
        }
    }

    fn suspicion(&self, failure: &Failure<'_>) -> f64 {
        match self {
            Self::Cpu(_) => failure.suspicion(&["slow-start"], failure.run.outcome == Some(&Outcome::NeverListened)),
            Self::Memory(_) => {
                let killed = failure.run.outcome == Some(&Outcome::OomKilled);
                let fits = killed || failure.says(&["MemoryError", "out of memory"]);
                failure.suspicion(&["out-of-memory", "heap-out-of-memory"], fits)
            }
            Self::Nofile(_) => failure.suspicion(&["too-many-files"], failure.says(&["oo many open files", "EMFILE"])),
        }
    }

    /// The size of an instance is among what the platform always imposes; any other is none of the service's.
    fn standing(&self, _: &Revision) -> Ground {
        match self {
            Self::Nofile(_) => nothing_excludes_it(),
            Self::Cpu(_) | Self::Memory(_) => Ground::new(Applies::RuledOut, "the instance has another size"),
        }
    }

    fn undone(&self) -> Undone {
        match self {
            Self::Cpu(_) => Undone::setting("it has more CPU"),
            Self::Memory(_) => Undone::setting("it has more memory"),
            Self::Nofile(_) => Undone::proof("it may open more files"),
        }
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::Cpu(milli) => Meaning {
                id: "slow-start",
                text: format!(
                    "The program is too slow with {} vCPU: the health check, or a timeout of its own, expires first.",
                    f64::from(*milli) / 1000.0
                ),
                fix: "Give the instance more CPU ({more_cpu}), start faster, or give the health check more time \
                      ({health_time}).",
                told_by: &[],
            },
            Self::Memory(bytes) => Meaning {
                id: "out-of-memory",
                text: format!("The program needs more memory than {} to start.", show_bytes(*bytes)),
                fix: "Give the instance more memory ({more_memory}), or start fewer workers.",
                told_by: &["heap-out-of-memory", "killed"],
            },
            Self::Nofile(count) => Meaning {
                id: "too-many-files",
                text: format!("The program needs more than {count} open files and connections."),
                fix: fix_of("too-many-files"),
                told_by: &[],
            },
        }
    }
}
