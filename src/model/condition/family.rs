//! What each family of conditions says of its members. `mod.rs` asks it, nobody else matches on the variants.

use std::time::Duration;

use super::{Condition, ContainerPlan, Kind, NetworkPlan};
use crate::model::platform::Platform;

/// A family of conditions: everything but diagnosis, which is in `diagnose/conditions/`.
pub(super) trait Family {
    /// Its row in the table.
    fn kind(&self) -> &'static Kind;

    /// The argument as it is written, separator included: `:5s`, `:20ms@db.internal`. Secrets are not shown.
    fn argument(&self) -> String {
        String::new()
    }

    /// What it decides alone: two conditions that decide the same thing exclude each other.
    fn slot(&self) -> Option<String> {
        None
    }

    /// In words that follow "when": `outbound traffic is dropped`.
    fn words(&self) -> String;

    /// Puts it in force.
    fn impose(&self, changes: &mut Changes);

    /// What makes a run under it take longer than usual.
    fn wait(&self) -> Wait {
        Wait::Nothing
    }

    /// The milder forms of a condition with a size, mildest first.
    fn milder(&self, _platform: &Platform) -> Vec<Condition> {
        Vec::new()
    }

    /// True when this form of a condition teaches nothing new once `failing` is known to fail.
    fn is_covered_by(&self, failing: &Condition) -> bool {
        let group = |name: &'static str| name.split('.').next();
        group(self.kind().name) == group(failing.name())
    }

    /// How a script imposes it with docker and standard tools.
    fn by_hand(&self) -> ByHand {
        ByHand::Planned
    }
}

/// What conditions change about a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// About the network: imposed by the holder.
    pub network: NetworkPlan,
    /// About the container: imposed by the engine.
    pub container: ContainerPlan,
}

/// What makes a run under a condition take longer than usual.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Nothing.
    Nothing,
    /// A connection that nobody answers.
    Silence,
    /// A question that no resolver answers.
    NoAnswer,
    /// This long.
    For(Duration),
    /// Every round trip takes this much longer.
    RoundTrips(Duration),
    /// It computes with this many thousandths of a CPU.
    Cpu(u32),
}

/// How a script imposes a condition with docker and standard tools.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ByHand {
    /// As [`NetworkPlan`] and [`ContainerPlan`] tell: by routes, a resolver, variables and words of a command.
    Planned,
    /// By options of `docker run`.
    Options {
        /// The options.
        options: String,
        /// What a reader should know, after the condition's own line: a clause, or further lines of comment.
        remark: &'static str,
    },
    /// It cannot; a sentence that says why, after the condition's name.
    Impossible(String),
}

/// Delays that are tried as milder forms, in milliseconds.
const DELAYS: [u64; 9] = [50, 100, 250, 500, 1000, 2000, 5000, 10_000, 30_000];

/// The condition with shorter delays, shortest first.
pub(super) fn shorter(longest: Duration, make: impl Fn(Duration) -> Condition) -> Vec<Condition> {
    DELAYS.iter().map(|ms| Duration::from_millis(*ms)).filter(|d| *d < longest).map(make).collect()
}
