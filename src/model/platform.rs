//! What a case needs to know about its platform.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A platform, as defined by its profile.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Its id on the command line and in documents.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// What its machines execute, as images name it: `amd64`.
    pub architecture: String,
    /// Whether the lines of its service log and its statuses are known.
    pub service_log: bool,
    /// Whether the start command is split at white space.
    pub splits_command: bool,
    /// The names of conditions that hold for every service.
    #[serde(default)]
    pub always: Vec<String>,
    /// The disk of an instance in GB, including the image; `None` if it does not limit images.
    #[serde(default)]
    pub disk_gb: Option<u64>,
    /// The lowest and the highest HTTP status of a successful check.
    pub passing: [u16; 2],
    /// After how many minutes deployments were given up in the field, the least and the most; `None` if that is not
    /// known to differ from what the health check says.
    #[serde(default)]
    pub gives_up: Option<[u32; 2]>,
    /// Its own words for what a fix needs: `more_memory`, `role` …
    pub ways: BTreeMap<String, String>,
    /// The sizes of its instances, smallest first.
    pub sizes: Vec<Size>,
}

/// A CPU size of an instance, and the memory sizes available with it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Thousandths of a CPU.
    pub(crate) cpu_milli: u32,
    /// GB (0.5 as a fraction), smallest first.
    pub(crate) memory: Vec<String>,
}

/// GB in bytes.
#[must_use]
pub(crate) fn gigabytes(gb: &str) -> u64 {
    (gb.parse::<f64>().unwrap_or_default() * f64::from(1 << 30)) as u64
}

impl Platform {
    /// The memory sizes of its instances in bytes, smallest first.
    #[must_use]
    pub(crate) fn memories(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self.sizes.iter().flat_map(|size| size.memory.iter().map(|gb| gigabytes(gb))).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Why no instance has these limits; `None` if one does.
    #[must_use]
    pub(crate) fn no_size(&self, cpu_milli: Option<u32>, memory: Option<u64>) -> Option<String> {
        let fits = |size: &Size| {
            cpu_milli.is_none_or(|wanted| wanted == size.cpu_milli)
                && memory.is_none_or(|m| size.memory.iter().any(|gb| gigabytes(gb) == m))
        };
        if self.sizes.iter().any(fits) {
            return None;
        }
        let pairs = self.sizes.iter().map(|size| {
            let memory = match size.memory.as_slice() {
                [first, .., last] if size.memory.len() > 3 => format!("{first} to {last}"),
                few => few.join(", "),
            };
            format!("{} with {memory} GB", f64::from(size.cpu_milli) / 1000.0)
        });
        let pairs: Vec<String> = pairs.collect();
        Some(format!("{} has no instance of this size: {}", self.name, pairs.join("; ")))
    }
}

/// For tests: App Runner according to its profile.
#[cfg(test)]
impl Platform {
    /// The lines below `ways:` in a profile, which only the `scenario` module parses completely.
    fn ways_of(profile: &str) -> BTreeMap<String, String> {
        let lines = profile.lines().skip_while(|line| *line != "  ways:").skip(1);
        let ways = lines.map_while(|line| line.strip_prefix("    ")?.split_once(": "));
        ways.map(|(name, text)| (name.to_owned(), text.trim_matches('"').to_owned())).collect()
    }

    pub(crate) fn some() -> Self {
        let sizes = [("250", "0.5 1"), ("500", "1"), ("1000", "2 3 4"), ("2000", "4 6"), ("4000", "8 10 12")];
        let size = |(cpu, memory): (&str, &str)| Size {
            cpu_milli: cpu.parse().expect("a number"),
            memory: memory.split(' ').map(str::to_owned).collect(),
        };
        Self {
            id: "apprunner".to_owned(),
            name: "App Runner".to_owned(),
            architecture: "amd64".to_owned(),
            service_log: true,
            splits_command: true,
            always: ["hostname.platform", "ports.privileged"].map(str::to_owned).to_vec(),
            disk_gb: Some(3),
            passing: [200, 399],
            gives_up: Some([1, 19]),
            ways: Self::ways_of(include_str!("../profile/apprunner.yaml")),
            sizes: sizes.map(size).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_instances() {
        let (gb, platform) = (1 << 30, Platform::some());
        assert_eq!(platform.no_size(Some(250), Some(gb / 2)), None);
        assert_eq!(platform.no_size(None, Some(3 * gb)), None);
        assert_eq!(platform.no_size(Some(4000), None), None);
        for (cpu, memory) in [(Some(250), Some(2 * gb)), (None, Some(64 << 20)), (Some(100), None)] {
            let text = platform.no_size(cpu, memory);
            assert!(
                text.as_ref().is_some_and(|text| text.contains("App Runner") && text.contains("0.25 with 0.5, 1 GB")),
                "{text:?}"
            );
        }
    }
}
