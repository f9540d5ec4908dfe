//! What is known of each family of conditions: when a run exercises it, what rules it out, what makes it suspect, and
//! what it means when a failure needs it. One file for each family.

mod arch;
mod command;
mod dns;
mod egress;
mod env;
mod files;
mod hostname;
mod limits;
mod metadata;
mod repair;
mod sockets;
mod upstream;

use super::run::{Failed, Seen};
use crate::model::deployment::{Applies, Ground, Revision};
use crate::model::observation::{ConnectAttempt, Evidence};
use crate::model::{Condition, ConditionSet};

/// What is known of a condition.
pub(super) trait Knowledge {
    /// Why a run under it did not exercise it; nothing where it did, or where that cannot be told.
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String>;

    /// Why a run under it would not exercise it, told from a healthy run without it; nothing where that cannot be told.
    fn ruled_out(&self, clean: &Seen<'_>) -> Option<String> {
        self.not_exercised(clean)
    }

    /// True when a run did what the condition is about, whether it was imposed or not. Of a run that failed, only what it
    /// did on the network tells: what else it would have done is not known.
    fn is_touched(&self, run: &Seen<'_>) -> bool {
        run.healthy && self.ruled_out(run).is_none()
    }

    /// True when a healthy run needed, before its port was open, what the condition takes away.
    fn is_needed_to_start(&self, _start: &Start<'_>) -> bool {
        false
    }

    /// How much the evidence of a failure points to it: [`NAMED`], [`FITS`], or 1.
    fn suspicion(&self, failure: &Failure<'_>) -> f64;

    /// Whether it applied to the revision of a deployment. What the platform always does is not asked here.
    fn standing(&self, revision: &Revision) -> Ground;

    /// What it means that a failure needs it, and what to do.
    fn meaning(&self) -> Meaning;

    /// What is so without it, and whether a user can have that by a setting.
    fn undone(&self) -> Undone;
}

/// What is so without a condition.
pub(super) struct Undone {
    /// In words that follow "healthy when": `egress is open`.
    pub(super) text: String,
    /// Whether a setting of the service makes it so; otherwise it proves the cause and is no fix.
    pub(super) is_setting: bool,
}

impl Undone {
    fn setting(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_setting: true }
    }

    fn proof(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_setting: false }
    }
}

/// What is known of the condition's family.
pub(super) fn known(condition: &Condition) -> &dyn Knowledge {
    match condition {
        Condition::Egress(family) => family,
        Condition::Dns(family) => family,
        Condition::Upstream(family) => family,
        Condition::Env(family) => family,
        Condition::Arch => &arch::Arch,
        Condition::Limit(family) => family,
        Condition::Files(family) => family,
        Condition::Hostname(family) => family,
        Condition::Command(family) => family,
        Condition::Metadata(family) => family,
        Condition::Sockets(family) => family,
        Condition::Repair(family) => family,
    }
}

/// How much likelier a condition is that the log or the network names.
pub(super) const NAMED: f64 = 12.0;
/// How much likelier one is that merely fits.
pub(super) const FITS: f64 = 8.0;
/// Causes of a failure that met the network.
const NETWORK: [&str; 5] =
    ["name-not-resolved", "outbound-call-at-startup", "database-unreachable", "aws-credentials", "never-listened"];

/// After a reason that is drawn from what succeeded.
const SWALLOWED: &str = " (a failed attempt that the program ignored would be invisible)";

/// What a condition means, and what to do.
pub(super) struct Meaning {
    /// The cause's name.
    pub(crate) id: &'static str,
    /// What is wrong, in a sentence.
    pub(crate) text: String,
    /// What to do. The platform's profile has its own words for `{…}`.
    pub(crate) fix: &'static str,
    /// Rules that say the same from what was seen, and say it closer.
    pub(crate) told_by: &'static [&'static str],
}

/// What a healthy run did before its port was open.
pub(super) struct Start<'a> {
    /// Connections to elsewhere.
    early: Vec<&'a ConnectAttempt>,
    /// It asked for a name.
    asked: bool,
}

impl<'a> Start<'a> {
    pub(crate) fn of(evidence: &'a Evidence) -> Self {
        let ready = evidence.listens.first().map_or(f64::INFINITY, |listening| listening.at_ms);
        Self {
            early: evidence.outbound().filter(|attempt| attempt.at_ms < ready).collect(),
            asked: evidence.questions().any(|question| question.at_ms < ready),
        }
    }
}

/// A failed run, and what it is held against.
pub(super) struct Failure<'a> {
    /// The run.
    pub(crate) run: &'a Failed<'a>,
    /// Its conditions.
    pub(crate) conditions: &'a ConditionSet,
    /// The end of its log: what came before it is of the time when all was well.
    pub(crate) log: &'a str,
}

impl Failure<'_> {
    /// True when one of these causes was found.
    fn has_cause(&self, ids: &[&str]) -> bool {
        self.run.causes.iter().any(|cause| ids.iter().any(|id| cause.is(id)))
    }

    /// True when the log has one of these words.
    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.log.contains(word))
    }

    /// How much a failure speaks for a condition: a diagnosed cause counts for more than a word that fits.
    fn suspicion(&self, ids: &[&str], fits: bool) -> f64 {
        if self.has_cause(ids) { NAMED } else { if_fits(fits) }
    }
}

/// The standing of a condition that no file mentions.
fn nothing_excludes_it() -> Ground {
    Ground::new(Applies::Possible, "nothing known about the deployment rules it out")
}

fn if_fits(fits: bool) -> f64 {
    if fits { FITS } else { 1.0 }
}

/// What cannot be seen from outside shows in the log; a healthy process that says nothing of it has not met it.
fn unseen(run: &Seen<'_>, words: &[&str], what: &str) -> Option<String> {
    let said = words.iter().any(|word| run.log.contains(word));
    (run.healthy && !said).then(|| format!("it stayed healthy, and there is no sign that {what}"))
}
