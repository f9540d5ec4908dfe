//! Limits that the engine sets: `cpu.limit`, `memory.limit`, `nofile.limit`.

use std::time::Duration;

use super::kind::{Each, within};
use super::{Argument, ByHand, Changes, Condition, Family, Kind, Wait};
use crate::model::observation::Usage;
use crate::model::platform::Platform;
use crate::model::units::{parse_bytes, parse_cpu, show_bytes, show_cpu};

/// A limit of the container.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Limit {
    /// Thousandths of a CPU.
    Cpu(u32),
    /// Bytes of memory.
    Memory(u64),
    /// Open files, sockets included.
    Nofile(u64),
}

static CPU: Kind = Kind::new("cpu.limit", Argument::Required("0.25"), "the container gets this many CPUs", |written| {
    Ok(Condition::Limit(Limit::Cpu(within(parse_cpu(written.argument)?, 10..=64_000, show_cpu)?)))
})
.for_each(Each::Cpu);
static MEMORY: Kind =
    Kind::new("memory.limit", Argument::Required("512m"), "the container gets this much memory", |written| {
        // The engine refuses less than 6 MB (Docker Engine API, HostConfig.Memory).
        Ok(Condition::Limit(Limit::Memory(within(parse_bytes(written.argument)?, 6 << 20..=1 << 40, show_bytes)?)))
    })
    .for_each(Each::Memory);
/// The lowest limit of open files. A container runtime opens its own files under the limit before it starts the process:
/// runc 1.3.6 needs 17 ("cannot start" below that, as with `docker run --ulimit nofile=16:16`), earlier ones 16; the next
/// may need some more. The highest is the kernel's own, 2^20 (fs.nr_open).
const LEAST_FILES: u64 = 32;

static NOFILE: Kind = Kind::new(
    "nofile.limit",
    Argument::Required("1024"),
    "a process may open this many files, sockets included",
    |written| {
        let text = written.argument;
        let number = text.parse().map_err(|_| format!("`{text}` is not a whole number of files"))?;
        Ok(Condition::Limit(Limit::Nofile(within(number, LEAST_FILES..=1 << 20, |n| n.to_string())?)))
    },
);
pub(super) const KINDS: &[&Kind] = &[&CPU, &MEMORY, &NOFILE];

/// Limits of open files that are tried as milder forms.
const FILES: [u64; 6] = [65_536, 16_384, 4096, 1024, 256, 64];

impl Family for Limit {
    fn kind(&self) -> &'static Kind {
        match self {
            Self::Cpu(_) => &CPU,
            Self::Memory(_) => &MEMORY,
            Self::Nofile(_) => &NOFILE,
        }
    }

    fn argument(&self) -> String {
        match self {
            Self::Cpu(milli) => format!(":{}", show_cpu(*milli)),
            Self::Memory(bytes) => format!(":{}", show_bytes(*bytes)),
            Self::Nofile(files) => format!(":{files}"),
        }
    }

    fn slot(&self) -> Option<String> {
        Some(match self {
            Self::Cpu(_) => "the CPU limit".to_owned(),
            Self::Memory(_) => "the memory limit".to_owned(),
            Self::Nofile(_) => "the limit of open files".to_owned(),
        })
    }

    fn words(&self) -> String {
        match self {
            Self::Cpu(milli) => format!("it has {} CPU", show_cpu(*milli)),
            Self::Memory(bytes) => format!("it has {} of memory", show_bytes(*bytes)),
            Self::Nofile(files) => format!("it may open {files} files"),
        }
    }

    fn impose(&self, changes: &mut Changes) {
        match self {
            Self::Cpu(milli) => changes.container.cpu_milli = Some(*milli),
            Self::Memory(bytes) => changes.container.memory = Some(*bytes),
            Self::Nofile(files) => changes.container.nofile = Some(*files),
        }
    }

    fn wait(&self) -> Wait {
        match self {
            Self::Cpu(milli) => Wait::Cpu(*milli),
            Self::Memory(_) | Self::Nofile(_) => Wait::Nothing,
        }
    }

    fn milder(&self, platform: &Platform) -> Vec<Condition> {
        // Limits of CPU and memory are those of the platform's instances.
        match self {
            Self::Cpu(milli) => {
                let larger = platform.sizes.iter().rev().map(|size| size.cpu_milli).filter(|size| size > milli);
                larger.map(|milli| Condition::Limit(Self::Cpu(milli))).collect()
            }
            Self::Memory(bytes) => {
                let larger = platform.memories().into_iter().rev().filter(|m| m > bytes);
                larger.map(|bytes| Condition::Limit(Self::Memory(bytes))).collect()
            }
            Self::Nofile(files) => {
                FILES.iter().filter(|f| *f > files).map(|f| Condition::Limit(Self::Nofile(*f))).collect()
            }
        }
    }

    fn is_short_of(&self, used: &Usage, within: Duration) -> Option<bool> {
        match self {
            Self::Cpu(milli) => Some(f64::from(*milli) * within.as_secs_f64() < used.cpu_ms),
            Self::Memory(bytes) => Some(*bytes < used.memory_peak),
            Self::Nofile(_) => None,
        }
    }

    fn by_hand(&self) -> ByHand {
        let (options, remark) = match self {
            Self::Cpu(milli) => (format!("--cpus {}", show_cpu(*milli)), ""),
            Self::Memory(bytes) => {
                (format!("--memory {0} --memory-swap {0}", show_bytes(*bytes)), "; there is no swap on top of it")
            }
            Self::Nofile(files) => (format!("--ulimit nofile={files}:{files}"), "; the candidate cannot raise it"),
        };
        ByHand::Options { options, remark }
    }
}
