//! A shard of a run's cases, such as the second of four for the second of four workers.

use std::fmt;
use std::str::FromStr;

use super::id::{CaseId, fnv1a};

/// `K/N`: the K-th of N shards. A case belongs to the same shard on every machine, whatever other cases there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// Counts from 1.
    pub(crate) number: u64,
    /// Number of shards.
    pub(crate) of: u64,
}

/// Maximum number of shards: the limit of a GitHub job matrix.
const MOST: u64 = 256;

impl Shard {
    /// Whether the case belongs to this shard.
    #[must_use]
    pub fn has(&self, id: &CaseId) -> bool {
        // The low bits of FNV depend only on the last characters.
        let hash = fnv1a(&id.0);
        (hash ^ (hash >> 32)) % self.of == self.number - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a shard such as 2/4");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let (number, of) = (number.trim().parse().map_err(|_| wrong())?, of.trim().parse().map_err(|_| wrong())?);
        if of == 0 || of > MOST {
            return Err(format!("`{text}`: the number of shards must be from 1 to {MOST}"));
        }
        if (1..=of).contains(&number) {
            Ok(Self { number, of })
        } else {
            Err(format!("`{text}`: the shard must be from 1 to {of}"))
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_in_one_shard_of_similar_size() {
        let ids: Vec<CaseId> =
            (0..400_u64).map(|n| CaseId(format!("v{n}-{:08x}", fnv1a(&n.to_string()) >> 32))).collect();
        let parts: Vec<Shard> = (1..=4).map(|n| format!("{n}/4").parse().expect("a part")).collect();
        for id in &ids {
            assert_eq!(parts.iter().filter(|part| part.has(id)).count(), 1, "{id}");
        }
        for part in parts {
            let count = ids.iter().filter(|id| part.has(id)).count();
            assert!((60..=140).contains(&count), "{part}: {count}");
        }
    }

    #[test]
    fn rejects_text_that_is_not_a_shard() {
        for bad in ["", "1", "0/4", "5/4", "1/0", "a/b", "1/4/2", "1/1000"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }
}
