//! Conditions with a size (a limit, a delay): the same condition, less severe.

use std::time::Duration;

use super::{Condition, DnsFault, MetadataFault, UpstreamFault};
use crate::model::platform::Platform;

/// Delays that are tried, in milliseconds.
const DELAYS: [u64; 9] = [50, 100, 250, 500, 1000, 2000, 5000, 10_000, 30_000];
/// Open files that are tried.
const FILES: [u64; 6] = [65_536, 16_384, 4096, 1024, 256, 64];

impl Condition {
    /// The milder forms of a condition with a size, mildest first; none for any other. Limits are those of the platform's
    /// instances.
    #[must_use]
    pub fn milder(&self, platform: &Platform) -> Vec<Self> {
        let shorter = |longest: Duration, make: &dyn Fn(Duration) -> Self| -> Vec<Self> {
            DELAYS.iter().map(|ms| Duration::from_millis(*ms)).filter(|d| *d < longest).map(make).collect()
        };
        match self {
            Self::CpuLimit(milli) => {
                let larger = platform.sizes.iter().rev().map(|size| size.cpu_milli).filter(|size| size > milli);
                larger.map(Self::CpuLimit).collect()
            }
            Self::MemoryLimit(bytes) => {
                platform.memories().into_iter().rev().filter(|m| m > bytes).map(Self::MemoryLimit).collect()
            }
            Self::NofileLimit(files) => FILES.iter().filter(|f| *f > files).map(|f| Self::NofileLimit(*f)).collect(),
            Self::EgressLate(d) => shorter(*d, &Self::EgressLate),
            Self::Latency(d) => shorter(*d, &Self::Latency),
            Self::Dns(DnsFault::Delay(d), host) => shorter(*d, &|d| Self::Dns(DnsFault::Delay(d), host.clone())),
            Self::Dns(DnsFault::Late(d), host) => shorter(*d, &|d| Self::Dns(DnsFault::Late(d), host.clone())),
            Self::Upstream(UpstreamFault::Slow(d), host) => {
                shorter(*d, &|d| Self::Upstream(UpstreamFault::Slow(d), host.clone()))
            }
            Self::Metadata(MetadataFault::Slow(d)) => shorter(*d, &|d| Self::Metadata(MetadataFault::Slow(d))),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milder_forms_come_mildest_first() {
        for (condition, forms) in [
            ("cpu.limit:1", "cpu.limit:4 cpu.limit:2"),
            ("memory.limit:6g", "memory.limit:12g memory.limit:10g memory.limit:8g"),
            ("nofile.limit:1024", "nofile.limit:65536 nofile.limit:16384 nofile.limit:4096"),
            ("dns.delay:300ms@a.b", "dns.delay:50ms@a.b dns.delay:100ms@a.b dns.delay:250ms@a.b"),
            ("upstream.slow:a.b=60ms", "upstream.slow:a.b=50ms"),
            ("egress.drop", ""),
            ("env.unset:A", ""),
        ] {
            let condition: Condition = condition.parse().expect("a condition");
            let shown: Vec<String> = condition.milder(&Platform::some()).iter().map(ToString::to_string).collect();
            assert_eq!(shown.join(" "), forms, "{condition}");
        }
    }
}
