//! `arch.mismatch`: decided from the image.

use super::super::run::Seen;
use super::{Failure, Knowledge, Meaning, Undone};
use crate::model::deployment::{Applies, Ground, Revision};

/// The platform runs linux/amd64 only.
pub(super) struct Arch;

impl Knowledge for Arch {
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String> {
        Some(format!("the image is {}", run.facts.platform()))
    }

    fn suspicion(&self, _: &Failure<'_>) -> f64 {
        1.0
    }

    fn standing(&self, _: &Revision) -> Ground {
        Ground::new(Applies::Possible, "the image at hand may not be the one that was deployed")
    }

    fn undone(&self) -> Undone {
        Undone::proof("the image is for linux/amd64")
    }

    fn meaning(&self) -> Meaning {
        Meaning {
            id: "arch-mismatch",
            text: "The image is not for linux/amd64.".to_owned(),
            fix: "Build it with `docker buildx build --platform linux/amd64 …`.",
            told_by: &["exec-format-error"],
        }
    }
}
