//! The resolver: `dns.*`, for every name or, with `@NAME`, for one.

use std::time::Duration;

use super::{Argument, Changes, Condition, Family, Host, Kind, Wait, shorter};
use crate::model::platform::Platform;
use crate::model::units::show_duration;

/// A fault of the resolver.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Dns {
    /// How it fails.
    pub(crate) fault: DnsFault,
    /// The name that it fails for; every name where there is none.
    pub(crate) name: Option<Host>,
}

/// How the resolver fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum DnsFault {
    /// It answers SERVFAIL.
    Servfail,
    /// It answers NXDOMAIN.
    Nxdomain,
    /// It never answers.
    Drop,
    /// Its answers over UDP are truncated (RFC 1035, TC), and nobody answers on port 53 over TCP: a security group or a
    /// firewall that knows DNS as UDP alone. Confined to one name, TCP connects, and a
    /// connection that asks for that name is closed without an answer.
    Truncated,
    /// It answers after this long.
    Delay(Duration),
    /// It is silent until this long after the start of the process.
    Late(Duration),
}

static SERVFAIL: Kind = Kind::new("dns.servfail", Argument::None, "the resolver answers SERVFAIL", |written| {
    Ok(Condition::Dns(Dns { fault: DnsFault::Servfail, name: written.name }))
})
.with_name();
static NXDOMAIN: Kind = Kind::new("dns.nxdomain", Argument::None, "the resolver answers NXDOMAIN", |written| {
    Ok(Condition::Dns(Dns { fault: DnsFault::Nxdomain, name: written.name }))
})
.with_name();
static DROP: Kind = Kind::new("dns.drop", Argument::None, "the resolver never answers", |written| {
    Ok(Condition::Dns(Dns { fault: DnsFault::Drop, name: written.name }))
})
.with_name();
static TRUNCATED: Kind =
    Kind::new("dns.truncated", Argument::None, "answers over UDP are truncated, TCP port 53 is dropped", |written| {
        Ok(Condition::Dns(Dns { fault: DnsFault::Truncated, name: written.name }))
    })
    .with_name();
static DELAY: Kind =
    Kind::new("dns.delay", Argument::Required("5s"), "the resolver answers this much later", |written| {
        Ok(Condition::Dns(Dns { fault: DnsFault::Delay(written.time()?), name: written.name }))
    })
    .with_name();
static LATE: Kind = Kind::new(
    "dns.late",
    Argument::Required("10s"),
    "the resolver is silent until this long after the start",
    |written| Ok(Condition::Dns(Dns { fault: DnsFault::Late(written.time()?), name: written.name })),
)
.with_name();
pub(super) const KINDS: &[&Kind] = &[&SERVFAIL, &NXDOMAIN, &DROP, &TRUNCATED, &DELAY, &LATE];

impl DnsFault {
    /// In one word, with its time where it has one: what a resolver in a script is told.
    #[must_use]
    pub(crate) fn parts(self) -> (&'static str, Duration) {
        match self {
            Self::Servfail => ("servfail", Duration::ZERO),
            Self::Nxdomain => ("nxdomain", Duration::ZERO),
            Self::Drop => ("drop", Duration::ZERO),
            Self::Truncated => ("truncated", Duration::ZERO),
            Self::Delay(length) => ("delay", length),
            Self::Late(length) => ("late", length),
        }
    }
}

impl Family for Dns {
    fn kind(&self) -> &'static Kind {
        match self.fault {
            DnsFault::Servfail => &SERVFAIL,
            DnsFault::Nxdomain => &NXDOMAIN,
            DnsFault::Drop => &DROP,
            DnsFault::Truncated => &TRUNCATED,
            DnsFault::Delay(_) => &DELAY,
            DnsFault::Late(_) => &LATE,
        }
    }

    fn argument(&self) -> String {
        let length = self.fault.parts().1;
        let length = if length.is_zero() { String::new() } else { format!(":{}", show_duration(length)) };
        let name = self.name.as_ref().map(|name| format!("@{name}"));
        length + &name.unwrap_or_default()
    }

    fn slot(&self) -> Option<String> {
        Some(self.name.as_ref().map_or_else(|| "DNS".to_owned(), |name| format!("DNS for {name}")))
    }

    fn words(&self) -> String {
        let whose = self.name.as_ref().map_or_else(|| "DNS".to_owned(), |name| format!("DNS for {name}"));
        match self.fault {
            DnsFault::Servfail => format!("{whose} answers SERVFAIL"),
            DnsFault::Nxdomain => format!("{whose} answers NXDOMAIN"),
            DnsFault::Drop => format!("{whose} does not answer"),
            DnsFault::Truncated => format!("{whose} truncates its answers, and TCP port 53 is dropped"),
            DnsFault::Delay(length) => format!("{whose} answers {} late", show_duration(length)),
            DnsFault::Late(length) => format!("{whose} is silent for the first {}", show_duration(length)),
        }
    }

    fn impose(&self, changes: &mut Changes) {
        let dns = &mut changes.network.dns;
        match &self.name {
            None => dns.all = Some(self.fault),
            Some(name) => {
                dns.names.insert(name.clone(), self.fault);
            }
        }
    }

    fn wait(&self) -> Wait {
        match self.fault {
            DnsFault::Drop => Wait::NoAnswer,
            DnsFault::Truncated => Wait::Silence,
            DnsFault::Delay(length) | DnsFault::Late(length) => Wait::For(length),
            DnsFault::Servfail | DnsFault::Nxdomain => Wait::Nothing,
        }
    }

    fn milder(&self, _: &Platform) -> Vec<Condition> {
        let with = |fault| Condition::Dns(Self { fault, name: self.name.clone() });
        match self.fault {
            DnsFault::Delay(length) => shorter(length, |length| with(DnsFault::Delay(length))),
            DnsFault::Late(length) => shorter(length, |length| with(DnsFault::Late(length))),
            _ => Vec::new(),
        }
    }
}
