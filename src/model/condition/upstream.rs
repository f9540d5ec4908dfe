//! One host of the internet: `upstream.*`.

use std::time::Duration;

use super::kind::{Each, time};
use super::network::{ResponseFault, RouteFault};
use super::{Argument, Changes, Condition, Family, Host, Kind, Target, Wait, shorter};
use crate::model::platform::Platform;
use crate::model::units::show_duration;

/// A host that fails.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Upstream {
    /// How it fails.
    pub(crate) fault: UpstreamFault,
    /// The host.
    pub(crate) host: Host,
}

/// How one host of the internet fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum UpstreamFault {
    /// It does not answer.
    Down,
    /// It refuses connections.
    Refused,
    /// It accepts connections and answers this much later.
    Slow(Duration),
    /// It refuses the credentials.
    Denied,
}

static DOWN: Kind = Kind::new("upstream.down", Argument::Required("NAME"), "one host does not answer", |written| {
    Ok(Condition::Upstream(Upstream { fault: UpstreamFault::Down, host: written.parse()? }))
})
.for_each(Each::Host);
static REFUSED: Kind =
    Kind::new("upstream.refused", Argument::Required("NAME"), "one host refuses connections", |written| {
        Ok(Condition::Upstream(Upstream { fault: UpstreamFault::Refused, host: written.parse()? }))
    })
    .for_each(Each::Host);
static SLOW: Kind =
    Kind::new("upstream.slow", Argument::Required("NAME=10s"), "one host answers this much later", |written| {
        let (host, length) = written.pair("NAME=TIME")?;
        let host = host.parse()?;
        Ok(Condition::Upstream(Upstream { fault: UpstreamFault::Slow(time(length)?), host }))
    });
static DENIED: Kind =
    Kind::new("upstream.denied", Argument::Required("NAME"), "one host refuses the credentials", |written| {
        Ok(Condition::Upstream(Upstream { fault: UpstreamFault::Denied, host: written.parse()? }))
    })
    .for_each(Each::Host);
pub(super) const KINDS: &[&Kind] = &[&DOWN, &REFUSED, &SLOW, &DENIED];

impl Family for Upstream {
    fn kind(&self) -> &'static Kind {
        match self.fault {
            UpstreamFault::Down => &DOWN,
            UpstreamFault::Refused => &REFUSED,
            UpstreamFault::Slow(_) => &SLOW,
            UpstreamFault::Denied => &DENIED,
        }
    }

    fn argument(&self) -> String {
        match self.fault {
            UpstreamFault::Slow(length) => format!(":{}={}", self.host, show_duration(length)),
            _ => format!(":{}", self.host),
        }
    }

    fn slot(&self) -> Option<String> {
        Some(format!("what {} answers", self.host))
    }

    fn words(&self) -> String {
        let host = &self.host;
        match self.fault {
            UpstreamFault::Down => format!("{host} does not answer"),
            UpstreamFault::Refused => format!("{host} refuses connections"),
            UpstreamFault::Slow(length) => format!("{host} answers {} late", show_duration(length)),
            UpstreamFault::Denied => format!("{host} refuses the credentials"),
        }
    }

    fn impose(&self, changes: &mut Changes) {
        let network = &mut changes.network;
        let mut response = |fault| {
            network.responses.insert(self.host.clone(), fault);
        };
        match self.fault {
            UpstreamFault::Slow(delay) => response(ResponseFault { delay, denied: false }),
            UpstreamFault::Denied => response(ResponseFault { delay: Duration::ZERO, denied: true }),
            UpstreamFault::Down => network.routes.push((Target::Host(self.host.clone()), RouteFault::Silent)),
            UpstreamFault::Refused => network.routes.push((Target::Host(self.host.clone()), RouteFault::Refused)),
        }
    }

    fn wait(&self) -> Wait {
        match self.fault {
            UpstreamFault::Down => Wait::Silence,
            UpstreamFault::Slow(length) => Wait::For(length),
            UpstreamFault::Refused | UpstreamFault::Denied => Wait::Nothing,
        }
    }

    fn milder(&self, _: &Platform) -> Vec<Condition> {
        let UpstreamFault::Slow(length) = self.fault else { return Vec::new() };
        shorter(length, |length| {
            Condition::Upstream(Self { fault: UpstreamFault::Slow(length), host: self.host.clone() })
        })
    }

    fn is_covered_by(&self, failing: &Condition) -> bool {
        match failing {
            Condition::Upstream(known) => {
                // Whoever refuses credentials was reached: that is another failure than not to be reached.
                self.fault != UpstreamFault::Denied || known == self
            }
            // A fault of everything stands for one of a single host.
            Condition::Egress(super::EgressFault::Drop(_)) => self.fault != UpstreamFault::Denied,
            _ => false,
        }
    }
}
