//! Conditions: the departures from the friendly baseline, `kind.variant[:argument]`.
//!
//! Each family has a file of its own with its rows of the table and everything that depends on the variant. A condition
//! that is new is a variant and a row there, and what is known of it in `diagnose/conditions/`.

mod arch;
mod command;
mod container;
mod dns;
mod egress;
mod env;
mod files;
mod hostname;
mod kind;
mod limits;
mod metadata;
mod network;
mod repair;
mod set;
mod sockets;
mod target;
mod upstream;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use command::CommandFault;
pub(crate) use container::ContainerPlan;
pub(crate) use dns::{Dns, DnsFault};
pub(crate) use egress::EgressFault;
pub(crate) use env::{Env, EnvChange, EnvValue, STAND_IN, variable_name};
pub(crate) use files::FileFault;
pub(crate) use hostname::HostnameFault;
pub use kind::Argument;
pub(crate) use kind::{Each, Kind};
pub(crate) use limits::Limit;
pub(crate) use metadata::MetadataFault;
pub(crate) use network::{DnsPlan, Egress, NetworkPlan, ResponseFault, RouteFault};
pub(crate) use repair::{CheckPlan, Repair};
pub use set::ConditionSet;
pub(crate) use sockets::SocketFault;
pub use target::Host;
pub(crate) use target::{Reach, Target, is_in};
pub(crate) use upstream::{Upstream, UpstreamFault};

use super::observation::Usage;
use super::platform::Platform;

/// One difference between a friendly local run and the platform.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The way out of the container fails.
    Egress(EgressFault),
    /// The resolver fails, for every name or for one.
    Dns(Dns),
    /// One host of the internet fails.
    Upstream(Upstream),
    /// A variable differs.
    Env(Env),
    /// The platform runs linux/amd64 only (judged from the image, nothing is run).
    Arch,
    /// A limit of the container.
    Limit(Limit),
    /// The file system fails.
    Files(FileFault),
    /// The injected `HOSTNAME` resolves to another address.
    Hostname(HostnameFault),
    /// The start command is read in another way.
    Command(CommandFault),
    /// The endpoint of credentials fails.
    Metadata(MetadataFault),
    /// Something cannot be bound.
    Sockets(SocketFault),
    /// A change that may heal.
    Repair(Repair),
}

/// Every kind of condition that this version knows, in the order of the documentation.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    let families = [
        egress::KINDS,
        dns::KINDS,
        upstream::KINDS,
        env::KINDS,
        arch::KINDS,
        limits::KINDS,
        files::KINDS,
        hostname::KINDS,
        command::KINDS,
        metadata::KINDS,
        sockets::KINDS,
    ];
    families.into_iter().flatten().copied()
}

/// Every kind of repair.
pub(crate) fn repairs() -> impl Iterator<Item = &'static Kind> {
    [env::REPAIRS, repair::KINDS].into_iter().flatten().copied()
}

/// What each family of conditions says of its members: everything but diagnosis, which is in `diagnose/conditions/`.
trait Family {
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

    /// Whether it allows less than a clean start used, which has to be healthy within a time; `None` if it limits nothing
    /// that is measured.
    fn is_short_of(&self, _used: &Usage, _within: Duration) -> Option<bool> {
        None
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
pub(crate) struct Changes {
    /// About the network: imposed by the holder.
    pub(crate) network: NetworkPlan,
    /// About the container: imposed by the engine.
    pub(crate) container: ContainerPlan,
    /// About the health check.
    pub(crate) check: CheckPlan,
}

impl Changes {
    /// What these conditions change about a run.
    #[must_use]
    pub(crate) fn of<'a>(conditions: impl IntoIterator<Item = &'a Condition>) -> Self {
        let mut changes = Self::default();
        for condition in conditions {
            condition.family().impose(&mut changes);
            changes.network.silent |= condition.wait() == Wait::Silence;
        }
        changes
    }
}

/// What makes a run under a condition take longer than usual.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
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
pub(crate) enum ByHand {
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
fn shorter(longest: Duration, make: impl Fn(Duration) -> Condition) -> Vec<Condition> {
    DELAYS.iter().map(|ms| Duration::from_millis(*ms)).filter(|d| *d < longest).map(make).collect()
}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// No condition of that name.
    #[error("unknown condition `{name}`{hint}")]
    Unknown {
        /// What was written.
        name: String,
        /// What may have been meant; empty where nothing is near.
        hint: String,
    },
    /// The argument is missing, superfluous, or out of range.
    #[error("`{name}`: {problem}")]
    Argument {
        /// The condition's name.
        name: String,
        /// What is wrong with its argument.
        problem: String,
    },
}

/// The word of `known` that is nearest to `word`, if it is near enough to be meant.
#[must_use]
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(word, k), k))
        .filter(|(distance, k)| *distance <= (k.chars().count() / 3).max(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (name, argument) = match text.split_once([':', '@']) {
            Some((name, _)) => (name, &text[name.len()..]),
            None => (text, ""),
        };
        let kind = kind_named(name, kinds().chain(repairs()))?;
        // `dns.servfail@NAME`, `dns.delay:5s@NAME`: the name stands last.
        let (argument, confined) = match argument.split_once('@') {
            Some((argument, confined)) if kind.takes_name => (argument, Some(confined)),
            _ => (argument, None),
        };
        let wrong = |problem| ConditionError::Argument { name: name.to_owned(), problem };
        let argument = match argument.strip_prefix(':') {
            None if !argument.is_empty() => return Err(wrong("takes no `@NAME`".to_owned())),
            argument => argument,
        };
        kind.read(argument, confined).map_err(wrong)
    }
}

/// The kind of this name among others.
///
/// # Errors
/// [`ConditionError::Unknown`], with what may have been meant.
pub(crate) fn kind_named(
    name: &str,
    mut among: impl Iterator<Item = &'static Kind>,
) -> Result<&'static Kind, ConditionError> {
    among.find(|kind| kind.name == name).ok_or_else(|| {
        // What follows an equals sign may be a secret.
        let name = name.split('=').next().unwrap_or(name).to_owned();
        ConditionError::Unknown { hint: meant(&name), name }
    })
}

/// `; did you mean …` for a word that names no condition: the nearest, the one that has the word as a part, or all that
/// have its first part.
fn meant(word: &str) -> String {
    let word = word.to_ascii_lowercase();
    if word == "deployed" {
        return "; use `--deployed`, or `deployed` under `conditions:` of a scenario".to_owned();
    }
    let names = || kinds().map(|kind| kind.name);
    let part = |name: &&str| word.len() > 2 && name.split('.').any(|part| part == word);
    let group = word.split_once('.').map(|(group, _)| format!("{group}."));
    let members: Vec<String> = group
        .map(|group| names().filter(|n| n.starts_with(&group)).map(|n| format!("`{n}`")).collect())
        .unwrap_or_default();
    match (nearest(&word, names()).or_else(|| names().find(part)), members.as_slice()) {
        (Some(name), _) => format!("; did you mean `{name}`?"),
        (None, []) => "; `exitone run --help` lists all conditions".to_owned(),
        (None, members) => format!("; expected one of {}", members.join(", ")),
    }
}

impl Condition {
    /// The one match on families: everything else asks the family.
    fn family(&self) -> &dyn Family {
        match self {
            Self::Egress(family) => family,
            Self::Dns(family) => family,
            Self::Upstream(family) => family,
            Self::Env(family) => family,
            Self::Arch => &arch::Arch,
            Self::Limit(family) => family,
            Self::Files(family) => family,
            Self::Hostname(family) => family,
            Self::Command(family) => family,
            Self::Metadata(family) => family,
            Self::Sockets(family) => family,
            Self::Repair(family) => family,
        }
    }

    /// Its row in the table of conditions.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static Kind {
        self.family().kind()
    }

    /// `kind.variant`, without the argument.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind().name
    }

    /// As a person says it, after "when": `outbound traffic is dropped`.
    #[must_use]
    pub(crate) fn words(&self) -> String {
        self.family().words()
    }

    /// What it changes about a run.
    #[must_use]
    pub(crate) fn changes(&self) -> Changes {
        Changes::of([self])
    }

    /// True for what a holder imposes: everything about the network.
    #[must_use]
    pub(crate) fn is_of_network(&self) -> bool {
        self.changes().network != NetworkPlan::default()
    }

    /// True when it is judged from the image, and nothing is run for it.
    #[must_use]
    pub fn is_of_image(&self) -> bool {
        *self == Self::Arch
    }

    /// True when it changes what the program does (its variables, its command) or is a repair, and so may well take a failure
    /// away.
    #[must_use]
    pub(crate) fn changes_program(&self) -> bool {
        let container = self.changes().container;
        matches!(self, Self::Repair(_)) || !container.env.is_empty() || container.changes_command()
    }

    /// The variable that it is about.
    #[must_use]
    pub(crate) fn variable(&self) -> Option<&Env> {
        if let Self::Env(env) = self { Some(env) } else { None }
    }

    /// The host of the internet that it is about.
    #[must_use]
    pub(crate) fn upstream(&self) -> Option<&Host> {
        if let Self::Upstream(upstream) = self { Some(&upstream.host) } else { None }
    }

    /// What makes a run under it take longer than usual.
    #[must_use]
    pub(crate) fn wait(&self) -> Wait {
        self.family().wait()
    }

    /// The milder forms of a condition with a size (a limit, a delay), mildest first; none for any other. Limits are those
    /// of the platform's instances.
    #[must_use]
    pub(crate) fn milder(&self, platform: &Platform) -> Vec<Self> {
        self.family().milder(platform)
    }

    /// Whether it allows less than a clean start used, which has to be healthy within a time; `None` if it limits nothing
    /// that is measured.
    #[must_use]
    pub(crate) fn is_short_of(&self, used: &Usage, within: Duration) -> Option<bool> {
        self.family().is_short_of(used, within)
    }

    /// True when this form of a condition teaches nothing new once `failing` is known to fail.
    #[must_use]
    pub(crate) fn is_covered_by(&self, failing: &Self) -> bool {
        self.family().is_covered_by(failing)
    }

    /// How a script imposes it with docker and standard tools.
    #[must_use]
    pub(crate) fn by_hand(&self) -> ByHand {
        self.family().by_hand()
    }

    /// The same condition, its value never shown when the variable is among the secrets.
    #[must_use]
    pub(crate) fn with_secrets(self, secrets: &BTreeSet<String>) -> Self {
        match self {
            Self::Env(Env { name, change: EnvChange::Set(value) }) => {
                let secret = value.secret || secrets.contains(&name);
                Self::Env(Env { name, change: EnvChange::Set(EnvValue { secret, ..value }) })
            }
            other => other,
        }
    }
}

/// Shown without secrets.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name(), self.family().argument())
    }
}

/// Shown without secrets: a panic message must not carry one.
impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Condition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Condition {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A departure from friendly conditions: `kind.variant[:argument]`.",
            "examples": ["egress.drop", "env.unset:DATABASE_URL"],
        })
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_and_written() {
        let mut sorted = Vec::new();
        for kind in kinds() {
            let mut texts = vec![kind.example()];
            match kind.argument {
                Argument::Optional(_) => {
                    texts.extend(["verify.twilio.com", "10.0.0.0/8"].map(|a| format!("{}:{a}", kind.name)))
                }
                Argument::Required("NAME") if kind.name.starts_with("upstream.") => {
                    texts = vec![format!("{}:db.internal", kind.name)]
                }
                Argument::Required("NAME=10s") => texts = vec![format!("{}:db.internal=10s", kind.name)],
                _ => {}
            }
            if kind.takes_name {
                texts.push(format!("{}@verify.twilio.com", kind.example()));
            }
            for text in &texts {
                let condition: Condition = text.parse().expect(text);
                assert_eq!(condition.to_string(), *text);
                assert_eq!(condition.kind(), kind);
            }
            sorted.push(texts[0].parse::<Condition>().expect("read before"));
        }
        // The ids of cases depend on the order of their conditions.
        assert!(sorted.is_sorted(), "the order of the table and of the variants differ: {sorted:?}");
    }

    #[test]
    fn a_mistake_is_named_with_what_was_expected() {
        let message = |text: &str| text.parse::<Condition>().expect_err(text).to_string();
        assert_eq!(message("egres.drop"), "unknown condition `egres.drop`; did you mean `egress.drop`?");
        assert!(message("deployed").contains("--deployed"));
        assert_eq!(message("zzz"), "unknown condition `zzz`; `exitone run --help` lists all conditions");
        assert_eq!(
            message("metadata.timeout"),
            "unknown condition `metadata.timeout`; expected one of `metadata.none`, `metadata.denied`, `metadata.slow`"
        );
        assert!(message("egress.block").contains("expected one of `egress.drop`, "), "{}", message("egress.block"));
        assert_eq!(message("egress.drop@a.b"), "`egress.drop`: takes no `@NAME`");
        assert!(message("EGRESS.DROP").ends_with("did you mean `egress.drop`?"));
        assert!(message("hostname").ends_with("did you mean `hostname.platform`?"));
        assert!(message("dns.drop@10.0.0.1").contains("is an address"));
        assert!(message("egress.drop:127.0.0.1").contains("not behind any gateway"));
        assert_eq!(message("dns.drop:5s"), "`dns.drop`: takes no argument");
        assert_eq!(message("dns.delay"), "`dns.delay`: needs an argument: `dns.delay:5s`");
        assert_eq!(message("dns.delay:0s"), "`dns.delay`: 0s: must be between 1ms and 10m");
        assert_eq!(message("memory.limit:1k"), "`memory.limit`: 1k: must be between 6m and 1024g");
        assert_eq!(message("upstream.slow:db.internal"), "`upstream.slow`: needs NAME=TIME");
        assert_eq!(message("dns.servfail@a..b"), "`dns.servfail`: `a..b` is not the name of a host");
        // No container runtime starts a process with so few.
        assert!(message("nofile.limit:16").contains("32"), "{}", message("nofile.limit:16"));
        assert!("nofile.limit:32".parse::<Condition>().is_ok());
        assert_eq!(message("nofile.limit:many"), "`nofile.limit`: `many` is not a whole number of files");
        assert_eq!(
            message("cpu.limit:512m"),
            "`cpu.limit`: `512m` is not a number of CPUs; write one such as 0.25 or 2"
        );
        assert_eq!(message("env.set:A"), "`env.set`: needs NAME=VALUE");
        assert_eq!(message("env.unset:9A"), "`env.unset`: `9A` is not a variable's name");
        assert!(message("env.set:AWSAPPRUNNER_X=1").contains("App Runner refuses"));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let condition: Condition = "env.set:API_TOKEN=abc".parse().expect("valid");
        assert_eq!(format!("{condition} {condition:?}"), "env.set:API_TOKEN=‹redacted› env.set:API_TOKEN=‹redacted›");
        let listed: Condition = "env.set:LICENSE=abc".parse().expect("valid");
        let set = ConditionSet::new([listed]).expect("one").with_secrets(&BTreeSet::from(["LICENSE".to_owned()]));
        assert_eq!(set.to_string(), "env.set:LICENSE=‹redacted›");
        let error = "env.set=API_TOKEN=hunter2".parse::<Condition>().expect_err("no colon");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

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
