//! Rules as data: what must be seen, what it means, what to do about it, and the source. Pure.
//!
//! A rule fires when everything it names is seen; each sighting provides the observations that the cause cites, and
//! words for its text. `{word}` in a text is substituted; a part in `[…]` is dropped if one of its words is unknown.

mod ends;
pub(super) mod fixes;
mod log;
mod network;
mod serving;
#[cfg(test)]
mod tests;

use crate::model::observation::Fate;

/// How App Runner runs an image.
const DEVELOP: &str = "https://docs.aws.amazon.com/apprunner/latest/dg/develop.html";
/// Its outgoing traffic in a VPC.
const VPC: &str = "https://docs.aws.amazon.com/apprunner/latest/dg/network-vpc.html";

/// What a cause is mainly based on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Basis {
    /// The program's own output.
    Log,
    /// What the network observed.
    Network,
    /// Ports and probes.
    Serving,
    /// How the process ended.
    End,
}

/// Something that must be seen.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// A line of the log that matches; its named groups become words. The last matching line counts. Patterns are tried
    /// in order; the first one that matches any line is used.
    Line(&'static [&'static str]),
    /// A crash in any known form.
    AnyCrash,
    /// Fields that a validation error names, below its headline.
    Fields,
    /// A process that exited.
    Exited,
    /// An engine observed the end, so it is known who killed the process.
    ByEngine,
    /// One of these exit codes.
    Code(&'static [i64]),
    /// The kernel killed it for exceeding its memory.
    OutOfMemory,
    /// It stayed alive and never became healthy (class C).
    NeverHealthy,
    /// It never opened the probed port.
    NeverListened,
    /// An outbound connection failed in one of these ways, or in any way if none is listed; the last one counts.
    Connect(&'static [Fate]),
    /// It failed on the default port of one of these databases.
    DatabasePort,
    /// A name could not be resolved.
    Name,
    /// Only ports other than the probed one are open.
    OtherPort,
    /// Only loopback sockets are open, none of them on the probed port.
    OtherPortInside,
    /// The port is open on loopback only.
    Loopback,
    /// The port is open on an address that is not probed.
    OtherAddress,
    /// The last probe was answered with a status in this range.
    Status(u16, u16),
    /// The port is open, and the last probe timed out.
    NoAnswer,
    /// The last probe's answer was not HTTP.
    NoHttp,
    /// It was still computing when given up, or throttled by its CPU limit.
    Computing,
    /// It was waiting for a connection or an answer when given up.
    Waiting,
    /// A connection nobody accepted, or a question nobody answered, was open when given up.
    Opening,
    /// Nothing was written.
    Quiet,
}

/// A rule that recognises a cause.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name; stable.
    pub id: &'static str,
    /// Its main basis.
    pub basis: Basis,
    /// All of these must be seen.
    pub seen: &'static [Seen],
    /// None of these may be seen.
    pub unless: &'static [Seen],
    /// Cited as well if seen.
    pub also: &'static [Seen],
    /// What happened, and why.
    pub text: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// Source: a page of the platform's, the language's or the tool's documentation.
    pub reference: &'static str,
    /// Whether it applies only if no other rule does.
    pub alone: bool,
}

impl std::fmt::Display for Seen {
    /// Describes what must be seen, for docs/causes.md.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Line([only]) => return write!(f, "a line of the log like `{only}`"),
            Self::Line(patterns) => {
                return write!(
                    f,
                    "a line of the log like one of {} patterns, such as `{}`",
                    patterns.len(),
                    patterns[0]
                );
            }
            Self::Code(codes) => {
                let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
                return write!(f, "exit code {}", codes.join(" or "));
            }
            Self::Status(from, to) if from == to => return write!(f, "the last probe was answered with {from}"),
            Self::Status(from, to) => return write!(f, "the last probe was answered with {from} to {to}"),
            Self::AnyCrash => "a crash in a form that is known",
            Self::Fields => "fields that a validation names, below its headline",
            Self::Exited => "the process ended by itself",
            Self::ByEngine => "an engine saw the end",
            Self::OutOfMemory => "the kernel killed it for its memory",
            Self::NeverHealthy => "it lived on and was never healthy",
            Self::NeverListened => "it never opened the port that is probed",
            Self::Connect(_) => "an outbound connection that failed",
            Self::DatabasePort => "it went to a port that a database listens on",
            Self::Name => "a name that could not be resolved",
            Self::OtherPort => "another port is open, and not the probed one",
            Self::OtherPortInside => "only the loopback address has an open port, which is not the probed one",
            Self::Loopback => "the port is open on the loopback alone",
            Self::OtherAddress => "the port is open on an address that is not probed",
            Self::NoAnswer => "the port is open, and the last probe had no answer in its time",
            Self::NoHttp => "the last probe met something that is no HTTP",
            Self::Computing => "it was computing when it was given up",
            Self::Opening => "a connection or a question of it had no answer when it was given up",
            Self::Waiting => "it waited for a connection or an answer when it was given up",
            Self::Quiet => "nothing was written",
        })
    }
}

/// Every rule, most certain first.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [log::RULES, network::RULES, serving::RULES, ends::RULES].into_iter().flatten()
}

/// Substitutes the words in a text.
#[must_use]
pub(crate) fn filled(text: &str, word: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let Some(close) = rest[open..].find(']').map(|n| n + open) else { break };
        out.push_str(&words(&rest[..open], word).unwrap_or_default());
        out.push_str(&words(&rest[open + 1..close], word).unwrap_or_default());
        rest = &rest[close + 1..];
    }
    out.push_str(&words(rest, word).unwrap_or_default());
    out
}

/// A text without options; `None` if a word is unknown.
fn words(text: &str, word: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        out.push_str(before);
        out.push_str(&word(name)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}
