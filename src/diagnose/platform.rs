//! Findings about an image before it runs.

use crate::model::outcome::Cause;
use crate::model::{ImageFacts, Platform};

/// Reports an image for another architecture: the pull does not check it, the start fails.
#[must_use]
pub(crate) fn architecture(facts: &ImageFacts, platform: &Platform) -> Option<Cause> {
    if facts.runs_on(&platform.architecture) {
        return None;
    }
    Some(Cause {
        id: "arch-mismatch".to_owned(),
        text: format!(
            "The image is {}; {} runs linux/{} only and does not check it when it pulls. The process dies \
             with exit code 1 and `exec format error`, or without any log.",
            facts.platform(),
            platform.name,
            platform.architecture
        ),
        fix: format!(
            "Build it for the platform: `docker buildx build --platform linux/{} …` (an Apple laptop builds arm64 by \
             default; a run on that laptop proves nothing about this).",
            platform.architecture
        ),
        evidence: vec![format!("image configuration: architecture {}, os {}", facts.architecture, facts.os)],
        ..Cause::default()
    })
}
