//! Conditions: the departures from the friendly baseline, `kind.variant[:argument]`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::redact::{REDACTED, shown_value};
use super::units::{parse_bytes, parse_cpu, parse_duration, show_bytes, show_cpu, show_duration};

/// One difference between a friendly local run and the platform.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Outbound packets vanish; DNS answers (a VPC without a NAT gateway).
    EgressDrop,
    /// Outbound connections are refused at once.
    EgressReject,
    /// A router answers "host unreachable" at once.
    EgressUnreachable,
    /// The resolver answers SERVFAIL.
    DnsServfail,
    /// The resolver answers NXDOMAIN.
    DnsNxdomain,
    /// The resolver never answers.
    DnsDrop,
    /// The resolver answers after this long.
    DnsDelay(Duration),
    /// A variable of the service is missing.
    EnvUnset(String),
    /// A variable of the service is there and empty.
    EnvEmpty(String),
    /// A variable has this value.
    EnvSet(String, EnvValue),
    /// The platform runs linux/amd64 only (judged from the image, nothing is run).
    ArchMismatch,
    /// So many thousandths of a CPU.
    CpuLimit(u32),
    /// So many bytes of memory.
    MemoryLimit(u64),
    /// `HOSTNAME` is injected and resolves to an address that the probe does not use.
    HostnamePlatform,
    /// `HOSTNAME` is injected and resolves to an address that no interface has.
    HostnameUnbindable,
}

/// The value that a condition gives to a variable, and whether it may be shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvValue {
    /// The value.
    pub text: String,
    /// True when it is never shown: the name is among the service's secrets.
    pub secret: bool,
}

impl EnvValue {
    /// The value as it may be shown.
    #[must_use]
    pub fn shown(&self, name: &str) -> String {
        if self.secret && !self.text.is_empty() { REDACTED.to_owned() } else { shown_value(name, &self.text) }
    }
}

/// A condition's name, whether it takes an argument, and what it is for.
pub struct Known {
    /// `kind.variant`.
    pub name: &'static str,
    /// An example of the argument, or `None` where none is taken.
    pub argument: Option<&'static str>,
    /// One line for a list.
    pub about: &'static str,
}

/// Every condition that this version knows, in the order of the documentation.
pub const KNOWN: [Known; 15] = [
    Known { name: "egress.drop", argument: None, about: "outbound packets vanish, DNS answers" },
    Known { name: "egress.reject", argument: None, about: "outbound connections are refused" },
    Known { name: "egress.unreachable", argument: None, about: "a router answers: host unreachable" },
    Known { name: "dns.servfail", argument: None, about: "the resolver answers SERVFAIL" },
    Known { name: "dns.nxdomain", argument: None, about: "the resolver answers NXDOMAIN" },
    Known { name: "dns.drop", argument: None, about: "the resolver never answers" },
    Known { name: "dns.delay", argument: Some("2s"), about: "the resolver answers late" },
    Known { name: "env.unset", argument: Some("NAME"), about: "a variable is missing" },
    Known { name: "env.empty", argument: Some("NAME"), about: "a variable is empty" },
    Known { name: "env.set", argument: Some("NAME=VALUE"), about: "a variable has this value" },
    Known { name: "arch.mismatch", argument: None, about: "the platform runs linux/amd64 only" },
    Known { name: "cpu.limit", argument: Some("0.25"), about: "so many CPUs" },
    Known { name: "memory.limit", argument: Some("512m"), about: "so much memory" },
    Known { name: "hostname.platform", argument: None, about: "the host name is not the probed address" },
    Known { name: "hostname.unbindable", argument: None, about: "the host name cannot be bound" },
];

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// No condition of that name.
    #[error("unknown condition `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// What was written.
        name: String,
        /// The nearest known name, if one is near.
        nearest: Option<String>,
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
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let known = KNOWN.iter().find(|k| k.name == name).ok_or_else(|| ConditionError::Unknown {
            // What follows an equals sign may be a secret.
            name: name.split('=').next().unwrap_or(name).to_owned(),
            nearest: nearest(name, KNOWN.iter().map(|k| k.name)).map(ToOwned::to_owned),
        })?;
        let wrong = |problem: String| ConditionError::Argument { name: name.to_owned(), problem };
        match (known.argument, argument) {
            (None, Some(_)) => return Err(wrong("takes no argument".to_owned())),
            (Some(example), None | Some("")) => {
                return Err(wrong(format!("needs an argument: `{name}:{example}`")));
            }
            _ => {}
        }
        Self::with_argument(name, argument.unwrap_or_default()).map_err(wrong)
    }
}

impl Condition {
    fn with_argument(name: &str, argument: &str) -> Result<Self, String> {
        Ok(match name {
            "egress.drop" => Self::EgressDrop,
            "egress.reject" => Self::EgressReject,
            "egress.unreachable" => Self::EgressUnreachable,
            "dns.servfail" => Self::DnsServfail,
            "dns.nxdomain" => Self::DnsNxdomain,
            "dns.drop" => Self::DnsDrop,
            "dns.delay" => Self::DnsDelay(in_range(
                parse_duration(argument)?,
                Duration::from_millis(1)..=Duration::from_secs(120),
                show_duration,
            )?),
            "env.unset" => Self::EnvUnset(variable_name(argument)?),
            "env.empty" => Self::EnvEmpty(variable_name(argument)?),
            "env.set" => {
                let (name, value) = argument.split_once('=').ok_or("needs NAME=VALUE".to_owned())?;
                Self::EnvSet(variable_name(name)?, EnvValue { text: value.to_owned(), secret: false })
            }
            "arch.mismatch" => Self::ArchMismatch,
            "cpu.limit" => Self::CpuLimit(in_range(parse_cpu(argument)?, 10..=64_000, show_cpu)?),
            // The engine refuses less than 6 MB (Docker Engine API, HostConfig.Memory).
            "memory.limit" => Self::MemoryLimit(in_range(parse_bytes(argument)?, 6 << 20..=1 << 40, show_bytes)?),
            "hostname.platform" => Self::HostnamePlatform,
            "hostname.unbindable" => Self::HostnameUnbindable,
            other => return Err(format!("`{other}` has no meaning here")),
        })
    }

    /// `kind.variant`, without the argument.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::EgressDrop => "egress.drop",
            Self::EgressReject => "egress.reject",
            Self::EgressUnreachable => "egress.unreachable",
            Self::DnsServfail => "dns.servfail",
            Self::DnsNxdomain => "dns.nxdomain",
            Self::DnsDrop => "dns.drop",
            Self::DnsDelay(_) => "dns.delay",
            Self::EnvUnset(_) => "env.unset",
            Self::EnvEmpty(_) => "env.empty",
            Self::EnvSet(..) => "env.set",
            Self::ArchMismatch => "arch.mismatch",
            Self::CpuLimit(_) => "cpu.limit",
            Self::MemoryLimit(_) => "memory.limit",
            Self::HostnamePlatform => "hostname.platform",
            Self::HostnameUnbindable => "hostname.unbindable",
        }
    }

    /// What this condition decides alone: two conditions with the same slot exclude each other.
    fn slot(&self) -> String {
        match self {
            Self::EnvUnset(n) | Self::EnvEmpty(n) | Self::EnvSet(n, _) => format!("the variable {n}"),
            Self::CpuLimit(_) => "the CPU limit".to_owned(),
            Self::MemoryLimit(_) => "the memory limit".to_owned(),
            Self::ArchMismatch => "the architecture".to_owned(),
            Self::HostnamePlatform | Self::HostnameUnbindable => "the host name".to_owned(),
            Self::EgressDrop | Self::EgressReject | Self::EgressUnreachable => "egress".to_owned(),
            Self::DnsServfail | Self::DnsNxdomain | Self::DnsDrop | Self::DnsDelay(_) => "DNS".to_owned(),
        }
    }

    /// True for what a holder imposes: egress, DNS and the host name.
    #[must_use]
    pub fn is_of_network(&self) -> bool {
        ["egress.", "dns.", "hostname."].iter().any(|kind| self.name().starts_with(kind))
    }

    /// The same condition, its value never shown when the variable is among the secrets.
    #[must_use]
    fn with_secrets(self, secrets: &BTreeSet<String>) -> Self {
        match self {
            Self::EnvSet(name, value) => {
                let secret = value.secret || secrets.contains(&name);
                Self::EnvSet(name, EnvValue { secret, ..value })
            }
            other => other,
        }
    }
}

fn in_range<T: PartialOrd + Copy>(
    value: T,
    range: std::ops::RangeInclusive<T>,
    show: impl Fn(T) -> String,
) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("{} is outside of {} … {}", show(value), show(*range.start()), show(*range.end())))
}

/// Accepts what a process can have as a variable's name.
///
/// # Errors
/// A sentence that says what is wrong with the name.
pub fn variable_name(name: &str) -> Result<String, String> {
    let good = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if !good {
        // What is no name may be a part of a secret that was pasted here.
        let plain = name.len() <= 32 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        let quoted = if plain && !name.is_empty() { format!("`{name}` is") } else { "this is".to_owned() };
        return Err(format!("{quoted} not a variable's name"));
    }
    if name.to_ascii_uppercase().starts_with("AWSAPPRUNNER") {
        // https://docs.aws.amazon.com/apprunner/latest/api/API_ImageConfiguration.html
        return Err(format!("`{name}`: App Runner refuses names that begin with AWSAPPRUNNER"));
    }
    Ok(name.to_owned())
}

/// Shown without secrets.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Self::DnsDelay(d) => write!(f, "{name}:{}", show_duration(*d)),
            Self::EnvUnset(n) | Self::EnvEmpty(n) => write!(f, "{name}:{n}"),
            Self::EnvSet(n, v) => write!(f, "{name}:{n}={}", v.shown(n)),
            Self::CpuLimit(milli) => write!(f, "{name}:{}", show_cpu(*milli)),
            Self::MemoryLimit(bytes) => write!(f, "{name}:{}", show_bytes(*bytes)),
            _ => f.write_str(name),
        }
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

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Conditions that can hold together, in a fixed order.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct ConditionSet(BTreeSet<Condition>);

impl ConditionSet {
    /// Puts conditions together.
    ///
    /// # Errors
    /// One sentence for each pair that excludes each other.
    pub fn new(conditions: impl IntoIterator<Item = Condition>) -> Result<Self, Vec<String>> {
        let set: BTreeSet<Condition> = conditions.into_iter().collect();
        let mut problems = Vec::new();
        for (i, a) in set.iter().enumerate() {
            for b in set.iter().skip(i + 1).filter(|b| b.slot() == a.slot()) {
                // By name: whether a value may be shown is not known yet.
                let (first, second) = (a.name(), b.name());
                problems.push(format!("`{first}` and `{second}` exclude each other: both decide {}", a.slot()));
            }
        }
        if problems.is_empty() { Ok(Self(set)) } else { Err(problems) }
    }

    /// The same set; values of variables that are among the secrets are never shown.
    #[must_use]
    pub fn with_secrets(self, secrets: &BTreeSet<String>) -> Self {
        Self(self.0.into_iter().map(|c| c.with_secrets(secrets)).collect())
    }

    /// No condition at all.
    #[must_use]
    pub fn baseline() -> Self {
        Self::default()
    }

    /// True for the baseline.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The conditions in order.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }

    /// True when the set has this condition.
    #[must_use]
    pub fn has(&self, condition: &Condition) -> bool {
        self.0.contains(condition)
    }

    /// True when every condition of this set is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
}

impl fmt::Display for ConditionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("baseline");
        }
        for (i, condition) in self.0.iter().enumerate() {
            write!(f, "{}{condition}", if i == 0 { "" } else { " + " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_condition_is_read_and_written() {
        for known in &KNOWN {
            let text = match known.argument {
                Some(example) => format!("{}:{example}", known.name),
                None => known.name.to_owned(),
            };
            let condition: Condition = text.parse().expect(&text);
            assert_eq!(condition.to_string(), text);
            assert_eq!(condition.name(), known.name);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let message = |text: &str| text.parse::<Condition>().expect_err(text).to_string();
        assert_eq!(message("egres.drop"), "unknown condition `egres.drop`; did you mean `egress.drop`?");
        assert_eq!(message("zzz"), "unknown condition `zzz`");
        assert_eq!(message("dns.drop:5s"), "`dns.drop`: takes no argument");
        assert_eq!(message("dns.delay"), "`dns.delay`: needs an argument: `dns.delay:2s`");
        assert_eq!(message("dns.delay:0s"), "`dns.delay`: 0s is outside of 1ms … 2m");
        assert_eq!(message("memory.limit:1k"), "`memory.limit`: 1k is outside of 6m … 1024g");
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
    fn what_excludes_each_other_is_refused() {
        let set = |texts: &[&str]| ConditionSet::new(texts.iter().map(|t| t.parse().expect("valid")));
        assert_eq!(
            set(&["egress.drop", "egress.reject", "dns.drop"]),
            Err(vec!["`egress.drop` and `egress.reject` exclude each other: both decide egress".to_owned()])
        );
        assert!(set(&["env.unset:A", "env.empty:A"]).is_err());
        let good = set(&["env.unset:B", "egress.drop", "env.unset:A"]).expect("fit together");
        assert_eq!(good.to_string(), "egress.drop + env.unset:A + env.unset:B");
        assert_eq!(ConditionSet::baseline().to_string(), "baseline");
    }
}
