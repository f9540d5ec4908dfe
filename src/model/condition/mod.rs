//! Conditions: the departures from the friendly baseline, `kind.variant[:argument]`.

mod known;
mod milder;
mod set;
mod target;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use known::{Argument, KNOWN, Known};
pub use set::ConditionSet;
pub use target::{Host, Reach, Target, is_in};

use super::redact::{REDACTED, shown_value};
use super::units::{parse_bytes, parse_cpu, parse_duration, show_bytes, show_cpu, show_duration};

/// One difference between a friendly local run and the platform.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Outbound packets vanish; DNS answers (a VPC without a NAT gateway).
    EgressDrop(Reach),
    /// Outbound connections are refused at once.
    EgressReject,
    /// A router answers "host unreachable" at once.
    EgressUnreachable,
    /// There is no route out.
    EgressNone,
    /// The route out appears so long after the start of the process.
    EgressLate(Duration),
    /// Every round trip to the internet takes so much longer.
    Latency(Duration),
    /// The resolver fails, for every name or for one.
    Dns(DnsFault, Option<Host>),
    /// One host of the internet fails.
    Upstream(UpstreamFault, Host),
    /// A variable differs.
    Env(String, EnvChange),
    /// The platform runs linux/amd64 only (judged from the image, nothing is run).
    ArchMismatch,
    /// So many thousandths of a CPU.
    CpuLimit(u32),
    /// So many bytes of memory.
    MemoryLimit(u64),
    /// So many open files, sockets included.
    NofileLimit(u64),
    /// No space is left where the process may write.
    DiskFull,
    /// `HOSTNAME` is injected and resolves to an address that the probe does not use.
    HostnamePlatform,
    /// `HOSTNAME` is injected and resolves to an address that no interface has.
    HostnameUnbindable,
    /// The start command is split at white space, quote characters stay in the words.
    CommandSplit,
    /// The start command takes the place of ENTRYPOINT as well.
    CommandNoEntrypoint,
    /// The endpoint of credentials fails.
    Metadata(MetadataFault),
    /// Ports below 1024 are closed to all but root.
    PortsPrivileged,
    /// No interface has an IPv6 address, not even loopback.
    Ipv6Off,
}

/// How the resolver fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DnsFault {
    /// It answers SERVFAIL.
    Servfail,
    /// It answers NXDOMAIN.
    Nxdomain,
    /// It never answers.
    Drop,
    /// It answers after this long.
    Delay(Duration),
    /// It is silent until so long after the start of the process.
    Late(Duration),
}

/// How one host of the internet fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum UpstreamFault {
    /// It does not answer.
    Down,
    /// It refuses connections.
    Refused,
    /// It accepts connections and answers so much later.
    Slow(Duration),
    /// It refuses the credentials.
    Denied,
}

/// How the endpoint of credentials (169.254.170.2) fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MetadataFault {
    /// It is not there, and nothing names it: the service has no instance role.
    None,
    /// It refuses.
    Denied,
    /// It answers so much later.
    Slow(Duration),
}

/// What becomes of a variable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EnvChange {
    /// It is missing.
    Unset,
    /// It is there and empty.
    Empty,
    /// It has this value.
    Set(EnvValue),
    /// Its value stands in quotes that are a part of it.
    Quoted,
    /// Its value ends in a line break.
    Newline,
    /// It holds a JSON document in which its value stands under its name.
    Json,
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
        // `dns.servfail@NAME`, `dns.delay:5s@NAME`: the name stands last.
        let (text, host) = match text.split_once('@') {
            Some((head, host)) if head.starts_with("dns.") => (head, Some(host)),
            _ => (text, None),
        };
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let known = KNOWN.iter().find(|k| k.name == name).ok_or_else(|| ConditionError::Unknown {
            // What follows an equals sign may be a secret.
            name: name.split('=').next().unwrap_or(name).to_owned(),
            nearest: near_condition(name).map(ToOwned::to_owned),
        })?;
        let wrong = |problem: String| ConditionError::Argument { name: name.to_owned(), problem };
        match (known.argument, argument) {
            (Argument::No, Some(_)) => return Err(wrong("takes no argument".to_owned())),
            (Argument::Must(example), None | Some("")) | (Argument::May(example), Some("")) => {
                return Err(wrong(format!("needs an argument: `{name}:{example}`")));
            }
            _ => {}
        }
        let host = host.map(Host::from_str).transpose().map_err(wrong)?;
        if let Some(address) = host.as_ref().filter(|host| host.address().is_some()) {
            return Err(wrong(format!("`{address}` is an address; nobody asks a resolver for it")));
        }
        Self::with_argument(name, argument.unwrap_or_default(), host).map_err(wrong)
    }
}

/// The known condition that a word means most likely: the nearest, or one that has the word as a part.
fn near_condition(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let part = |k: &&str| word.len() > 2 && k.split('.').any(|part| part == word);
    nearest(&word, KNOWN.iter().map(|k| k.name)).or_else(|| KNOWN.iter().map(|k| k.name).find(part))
}

/// A length of time that a condition may have.
fn time(text: &str) -> Result<Duration, String> {
    in_range(parse_duration(text)?, Duration::from_millis(1)..=Duration::from_secs(600), show_duration)
}

fn host_and_time(text: &str) -> Result<(Host, Duration), String> {
    let (host, length) = text.split_once('=').ok_or("needs NAME=TIME".to_owned())?;
    Ok((host.parse()?, time(length)?))
}

fn variable_and_value(text: &str) -> Result<(String, EnvChange), String> {
    let (name, value) = text.split_once('=').ok_or("needs NAME=VALUE".to_owned())?;
    Ok((variable_name(name)?, EnvChange::Set(EnvValue { text: value.to_owned(), secret: false })))
}

impl Condition {
    fn with_argument(name: &str, argument: &str, host: Option<Host>) -> Result<Self, String> {
        let env = |change| Ok::<_, String>(Self::Env(variable_name(argument)?, change));
        let upstream = |fault| Ok::<_, String>(Self::Upstream(fault, argument.parse()?));
        Ok(match name {
            "egress.drop" if argument.is_empty() => Self::EgressDrop(Reach::Everything),
            "egress.drop" => Self::EgressDrop(argument.parse()?),
            "egress.reject" => Self::EgressReject,
            "egress.unreachable" => Self::EgressUnreachable,
            "egress.none" => Self::EgressNone,
            "egress.late" => Self::EgressLate(time(argument)?),
            "latency" => Self::Latency(in_range(
                parse_duration(argument)?,
                Duration::from_millis(1)..=Duration::from_secs(60),
                show_duration,
            )?),
            "dns.servfail" => Self::Dns(DnsFault::Servfail, host),
            "dns.nxdomain" => Self::Dns(DnsFault::Nxdomain, host),
            "dns.drop" => Self::Dns(DnsFault::Drop, host),
            "dns.delay" => Self::Dns(DnsFault::Delay(time(argument)?), host),
            "dns.late" => Self::Dns(DnsFault::Late(time(argument)?), host),
            "upstream.down" => upstream(UpstreamFault::Down)?,
            "upstream.refused" => upstream(UpstreamFault::Refused)?,
            "upstream.denied" => upstream(UpstreamFault::Denied)?,
            "upstream.slow" => {
                let (host, length) = host_and_time(argument)?;
                Self::Upstream(UpstreamFault::Slow(length), host)
            }
            "env.unset" => env(EnvChange::Unset)?,
            "env.empty" => env(EnvChange::Empty)?,
            "env.quoted" => env(EnvChange::Quoted)?,
            "env.newline" => env(EnvChange::Newline)?,
            "env.json" => env(EnvChange::Json)?,
            "env.set" => {
                let (name, change) = variable_and_value(argument)?;
                Self::Env(name, change)
            }
            "arch.mismatch" => Self::ArchMismatch,
            "cpu.limit" => Self::CpuLimit(in_range(parse_cpu(argument)?, 10..=64_000, show_cpu)?),
            // The engine refuses less than 6 MB (Docker Engine API, HostConfig.Memory).
            "memory.limit" => Self::MemoryLimit(in_range(parse_bytes(argument)?, 6 << 20..=1 << 40, show_bytes)?),
            "nofile.limit" => {
                let number = argument.parse().map_err(|_| format!("`{argument}` is not a whole number of files"))?;
                // Below 16 not even a loader opens its libraries; the kernel's own highest is 2^20 (fs.nr_open).
                Self::NofileLimit(in_range(number, 16..=1 << 20, |n| n.to_string())?)
            }
            "disk.full" => Self::DiskFull,
            "hostname.platform" => Self::HostnamePlatform,
            "hostname.unbindable" => Self::HostnameUnbindable,
            "command.split" => Self::CommandSplit,
            "command.no-entrypoint" => Self::CommandNoEntrypoint,
            "metadata.none" => Self::Metadata(MetadataFault::None),
            "metadata.denied" => Self::Metadata(MetadataFault::Denied),
            "metadata.slow" => Self::Metadata(MetadataFault::Slow(time(argument)?)),
            "ports.privileged" => Self::PortsPrivileged,
            "ipv6.off" => Self::Ipv6Off,
            other => return Err(format!("`{other}` has no meaning here")),
        })
    }

    /// `kind.variant`, without the argument.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::EgressDrop(_) => "egress.drop",
            Self::EgressReject => "egress.reject",
            Self::EgressUnreachable => "egress.unreachable",
            Self::EgressNone => "egress.none",
            Self::EgressLate(_) => "egress.late",
            Self::Latency(_) => "latency",
            Self::Dns(fault, _) => match fault {
                DnsFault::Servfail => "dns.servfail",
                DnsFault::Nxdomain => "dns.nxdomain",
                DnsFault::Drop => "dns.drop",
                DnsFault::Delay(_) => "dns.delay",
                DnsFault::Late(_) => "dns.late",
            },
            Self::Upstream(fault, _) => match fault {
                UpstreamFault::Down => "upstream.down",
                UpstreamFault::Refused => "upstream.refused",
                UpstreamFault::Slow(_) => "upstream.slow",
                UpstreamFault::Denied => "upstream.denied",
            },
            Self::Env(_, change) => match change {
                EnvChange::Unset => "env.unset",
                EnvChange::Empty => "env.empty",
                EnvChange::Set(_) => "env.set",
                EnvChange::Quoted => "env.quoted",
                EnvChange::Newline => "env.newline",
                EnvChange::Json => "env.json",
            },
            Self::ArchMismatch => "arch.mismatch",
            Self::CpuLimit(_) => "cpu.limit",
            Self::MemoryLimit(_) => "memory.limit",
            Self::NofileLimit(_) => "nofile.limit",
            Self::DiskFull => "disk.full",
            Self::HostnamePlatform => "hostname.platform",
            Self::HostnameUnbindable => "hostname.unbindable",
            Self::CommandSplit => "command.split",
            Self::CommandNoEntrypoint => "command.no-entrypoint",
            Self::Metadata(fault) => match fault {
                MetadataFault::None => "metadata.none",
                MetadataFault::Denied => "metadata.denied",
                MetadataFault::Slow(_) => "metadata.slow",
            },
            Self::PortsPrivileged => "ports.privileged",
            Self::Ipv6Off => "ipv6.off",
        }
    }

    /// What this condition decides alone: two conditions that share a slot exclude each other.
    fn slots(&self) -> Vec<String> {
        let one = match self {
            Self::EgressDrop(Reach::Only(Target::Host(host))) => format!("what {host} answers"),
            Self::EgressDrop(Reach::Only(network)) => format!("egress to {network}"),
            Self::EgressDrop(_)
            | Self::EgressReject
            | Self::EgressUnreachable
            | Self::EgressNone
            | Self::EgressLate(_) => "egress".to_owned(),
            Self::Upstream(_, host) => format!("what {host} answers"),
            Self::Latency(_) => "latency".to_owned(),
            Self::Dns(_, None) => "DNS".to_owned(),
            Self::Dns(_, Some(host)) => format!("DNS for {host}"),
            // The platform's host name conditions inject it.
            Self::Env(name, _) if name == "HOSTNAME" => "the host name".to_owned(),
            Self::Env(name, _) => format!("the variable {name}"),
            Self::CpuLimit(_) => "the CPU limit".to_owned(),
            Self::MemoryLimit(_) => "the memory limit".to_owned(),
            Self::NofileLimit(_) => "the limit of open files".to_owned(),
            Self::HostnamePlatform | Self::HostnameUnbindable => "the host name".to_owned(),
            Self::Metadata(_) => "the metadata".to_owned(),
            Self::ArchMismatch
            | Self::DiskFull
            | Self::CommandSplit
            | Self::CommandNoEntrypoint
            | Self::PortsPrivileged
            | Self::Ipv6Off => return Vec::new(),
        };
        vec![one]
    }

    /// True for what a holder imposes: everything about the network.
    #[must_use]
    pub fn is_of_network(&self) -> bool {
        match self {
            Self::EgressDrop(_)
            | Self::EgressReject
            | Self::EgressUnreachable
            | Self::EgressNone
            | Self::EgressLate(_)
            | Self::Latency(_)
            | Self::Dns(..)
            | Self::Upstream(..)
            | Self::HostnamePlatform
            | Self::HostnameUnbindable
            | Self::Metadata(_)
            | Self::PortsPrivileged
            | Self::Ipv6Off => true,
            Self::Env(..)
            | Self::ArchMismatch
            | Self::CpuLimit(_)
            | Self::MemoryLimit(_)
            | Self::NofileLimit(_)
            | Self::DiskFull
            | Self::CommandSplit
            | Self::CommandNoEntrypoint => false,
        }
    }

    /// The same condition, its value never shown when the variable is among the secrets.
    #[must_use]
    pub fn with_secrets(self, secrets: &BTreeSet<String>) -> Self {
        match self {
            Self::Env(name, EnvChange::Set(value)) => {
                let secret = value.secret || secrets.contains(&name);
                Self::Env(name, EnvChange::Set(EnvValue { secret, ..value }))
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
            Self::EgressDrop(reach) => write!(f, "{name}{reach}"),
            Self::EgressLate(d) | Self::Latency(d) | Self::Metadata(MetadataFault::Slow(d)) => {
                write!(f, "{name}:{}", show_duration(*d))
            }
            Self::Dns(fault, host) => {
                f.write_str(name)?;
                if let DnsFault::Delay(d) | DnsFault::Late(d) = fault {
                    write!(f, ":{}", show_duration(*d))?;
                }
                host.as_ref().map_or(Ok(()), |host| write!(f, "@{host}"))
            }
            Self::Upstream(UpstreamFault::Slow(d), host) => write!(f, "{name}:{host}={}", show_duration(*d)),
            Self::Upstream(_, host) => write!(f, "{name}:{host}"),
            Self::Env(n, EnvChange::Set(v)) => write!(f, "{name}:{n}={}", v.shown(n)),
            Self::Env(n, _) => write!(f, "{name}:{n}"),
            Self::CpuLimit(milli) => write!(f, "{name}:{}", show_cpu(*milli)),
            Self::MemoryLimit(bytes) => write!(f, "{name}:{}", show_bytes(*bytes)),
            Self::NofileLimit(files) => write!(f, "{name}:{files}"),
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
    fn every_known_condition_is_read_and_written() {
        for known in &KNOWN {
            let mut texts = vec![known.example()];
            match known.argument {
                Argument::May(_) => {
                    texts.extend(["verify.twilio.com", "10.0.0.0/8"].map(|a| format!("{}:{a}", known.name)))
                }
                Argument::Must("NAME") if known.name.starts_with("upstream.") => {
                    texts = vec![format!("{}:db.internal", known.name)]
                }
                Argument::Must("NAME=10s") => texts = vec![format!("{}:db.internal=10s", known.name)],
                _ => {}
            }
            if known.takes_name() {
                texts.push(format!("{}@verify.twilio.com", known.example()));
            }
            for text in texts {
                let condition: Condition = text.parse().expect(&text);
                assert_eq!(condition.to_string(), text);
                assert_eq!(condition.name(), known.name);
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        let message = |text: &str| text.parse::<Condition>().expect_err(text).to_string();
        assert_eq!(message("egres.drop"), "unknown condition `egres.drop`; did you mean `egress.drop`?");
        assert_eq!(message("zzz"), "unknown condition `zzz`");
        assert!(message("EGRESS.DROP").ends_with("did you mean `egress.drop`?"));
        assert!(message("hostname").ends_with("did you mean `hostname.platform`?"));
        assert!(message("dns.drop@10.0.0.1").contains("is an address"));
        assert!(message("egress.drop:127.0.0.1").contains("not behind any gateway"));
        assert_eq!(message("dns.drop:5s"), "`dns.drop`: takes no argument");
        assert_eq!(message("dns.delay"), "`dns.delay`: needs an argument: `dns.delay:5s`");
        assert_eq!(message("dns.delay:0s"), "`dns.delay`: 0s is outside of 1ms … 10m");
        assert_eq!(message("memory.limit:1k"), "`memory.limit`: 1k is outside of 6m … 1024g");
        assert_eq!(message("upstream.slow:db.internal"), "`upstream.slow`: needs NAME=TIME");
        assert_eq!(message("dns.servfail@a..b"), "`dns.servfail`: `a..b` is not the name of a host");
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
}
