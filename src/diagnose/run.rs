//! What diagnosis looks at of a run.

use std::collections::BTreeMap;

use crate::model::files::ImageFiles;
use crate::model::observation::Evidence;
use crate::model::outcome::{Cause, Outcome};
use crate::model::{ImageFacts, Service};

/// What tells whether a run exercised a condition.
pub(crate) struct Seen<'a> {
    /// What was seen.
    pub(crate) evidence: &'a Evidence,
    /// The image's own configuration.
    pub(crate) facts: &'a ImageFacts,
    /// What the platform is told.
    pub(crate) service: &'a Service,
    /// The whole log.
    pub(crate) log: &'a str,
    /// True when it became and stayed healthy.
    pub(crate) healthy: bool,
    /// What is in the image, if it was inspected.
    pub(crate) files: Option<&'a ImageFiles>,
    /// What the container is given: in the baseline, and under the conditions (`None` takes the image's own away).
    pub(crate) values: [&'a BTreeMap<String, Option<String>>; 2],
    /// The start command in words: as a shell reads it, and as the platform does.
    pub(crate) words: Option<(Vec<String>, Vec<String>)>,
}

/// What tells which conditions a failed run points to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed<'a> {
    /// How it ended.
    pub(crate) outcome: Option<&'a Outcome>,
    /// What was seen.
    pub(crate) evidence: &'a Evidence,
    /// The causes that were found.
    pub(crate) causes: &'a [Cause],
    /// What it wrote.
    pub(crate) log: &'a str,
}
