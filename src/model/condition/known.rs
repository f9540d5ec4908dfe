//! Every condition by name: what a list, a doctor and the nearest word are made of.

/// Whether a condition takes an argument, and an example of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Argument {
    /// None.
    No,
    /// One that may be left out.
    May(&'static str),
    /// One that must be there.
    Must(&'static str),
}

impl Argument {
    /// An example, where one is taken.
    #[must_use]
    pub fn example(self) -> Option<&'static str> {
        match self {
            Self::No => None,
            Self::May(example) | Self::Must(example) => Some(example),
        }
    }
}

/// A condition's name, its argument, and what it is for.
pub struct Known {
    /// `kind.variant`.
    pub name: &'static str,
    /// Its argument.
    pub argument: Argument,
    /// One line for a list.
    pub about: &'static str,
}

impl Known {
    /// True when `@NAME` confines it to one name.
    #[must_use]
    pub fn takes_name(&self) -> bool {
        self.name.starts_with("dns.")
    }

    /// How it is written, with an example of its argument.
    #[must_use]
    pub fn example(&self) -> String {
        match self.argument {
            Argument::Must(example) => format!("{}:{example}", self.name),
            Argument::May(_) | Argument::No => self.name.to_owned(),
        }
    }
}

const fn known(name: &'static str, argument: Argument, about: &'static str) -> Known {
    Known { name, argument, about }
}

use Argument::{May, Must, No};

/// Every condition that this version knows, in the order of the documentation.
pub const KNOWN: [Known; 35] = [
    known("egress.drop", May("HOST_OR_CIDR"), "outbound packets vanish, DNS answers"),
    known("egress.reject", No, "outbound connections are refused"),
    known("egress.unreachable", No, "a router answers: host unreachable"),
    known("egress.none", No, "there is no route out at all"),
    known("egress.late", Must("20s"), "the route out appears so long after the start"),
    known("latency", Must("200ms"), "every round trip to the internet takes so much longer"),
    known("dns.servfail", No, "the resolver answers SERVFAIL"),
    known("dns.nxdomain", No, "the resolver answers NXDOMAIN"),
    known("dns.drop", No, "the resolver never answers"),
    known("dns.delay", Must("5s"), "the resolver answers so much later"),
    known("dns.late", Must("10s"), "the resolver is silent until so long after the start"),
    known("upstream.down", Must("NAME"), "one host does not answer"),
    known("upstream.refused", Must("NAME"), "one host refuses connections"),
    known("upstream.slow", Must("NAME=10s"), "one host answers so much later"),
    known("upstream.denied", Must("NAME"), "one host refuses the credentials"),
    known("env.unset", Must("NAME"), "a variable is missing"),
    known("env.empty", Must("NAME"), "a variable is empty"),
    known("env.set", Must("NAME=VALUE"), "a variable has this value"),
    known("env.quoted", Must("NAME"), "a variable's value stands in quotes that are a part of it"),
    known("env.newline", Must("NAME"), "a variable's value ends in a line break"),
    known("env.json", Must("NAME"), "a variable holds the secret as a whole JSON document"),
    known("arch.mismatch", No, "the platform runs linux/amd64 only"),
    known("cpu.limit", Must("0.25"), "so many CPUs"),
    known("memory.limit", Must("512m"), "so much memory"),
    known("nofile.limit", Must("1024"), "so many open files"),
    known("disk.full", No, "no space is left on the disk"),
    known("hostname.platform", No, "HOSTNAME resolves to an address that is not the probed one"),
    known("hostname.unbindable", No, "HOSTNAME resolves to an address that cannot be bound"),
    known("command.split", No, "the start command is split at white space, by no shell"),
    known("command.no-entrypoint", No, "the start command takes the place of ENTRYPOINT, too"),
    known("metadata.none", No, "there are no credentials: the service has no instance role"),
    known("metadata.denied", No, "the credentials' endpoint refuses"),
    known("metadata.slow", Must("5s"), "the credentials' endpoint answers so much later"),
    known("ports.privileged", No, "ports below 1024 are closed to all but root"),
    known("ipv6.off", No, "there is no IPv6, not even ::1"),
];
