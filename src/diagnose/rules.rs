//! Rules as data: what must be seen, what it means, what to do about it, and where that is written. Pure.
//!
//! A rule fires when everything that it names is seen; each of these leaves the observations that the cause then cites,
//! and words for its text. `{word}` in a text is filled in; what stands in `[…]` is left out where one of its words is
//! not known.

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

/// What a cause stands on, above all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Basis {
    /// What the program itself wrote.
    Log,
    /// What the network saw of it.
    Network,
    /// Ports and probes.
    Serving,
    /// How the process ended.
    End,
}

/// Something that must be seen.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// A line of the log that matches; its named groups are words. The last such line counts.
    /// The patterns are tried in their order, the first that any line matches is taken.
    Line(&'static [&'static str]),
    /// A crash in any form that is known.
    AnyCrash,
    /// Fields that a validation names, below its headline.
    Fields,
    /// A process that ended by itself.
    Exited,
    /// An engine saw its end: who killed it is known.
    ByEngine,
    /// One of these exit codes.
    Code(&'static [i64]),
    /// The kernel killed it for its memory.
    OutOfMemory,
    /// It lived on and was never healthy (class C).
    NeverHealthy,
    /// It never opened the port that is probed.
    NeverListened,
    /// An outbound connection failed in one of these ways, or in any where none is named; the last one counts.
    Connect(&'static [Fate]),
    /// It failed to a port that one of these databases listens on by default.
    DatabasePort,
    /// A name could not be resolved.
    Name,
    /// Only other ports than the probed one are open.
    OtherPort,
    /// The port is open on the loopback alone.
    Loopback,
    /// The port is open on an address that is not probed.
    OtherAddress,
    /// The last probe was answered with a status within.
    Status(u16, u16),
    /// The port is open, and the last probe had no answer in its time.
    NoAnswer,
    /// The last probe met something that is no HTTP.
    NoHttp,
    /// It was still computing when it was given up, or held back by its CPU limit.
    Computing,
    /// It was waiting for a connection or an answer when it was given up.
    Waiting,
    /// A connection that nobody accepts, or a question that nobody answers, was open when it was given up.
    Opening,
    /// Nothing was written.
    Quiet,
}

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name; stable.
    pub id: &'static str,
    /// What it stands on.
    pub basis: Basis,
    /// All of these.
    pub seen: &'static [Seen],
    /// None of these.
    pub unless: &'static [Seen],
    /// Cited as well where it is seen.
    pub also: &'static [Seen],
    /// What happened, and why.
    pub text: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// Where it is written: a page of the platform's, the language's or the tool's documentation.
    pub reference: &'static str,
    /// True: only where no other rule has anything to say.
    pub alone: bool,
}

impl std::fmt::Display for Seen {
    /// What must be seen, for the page of causes.
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

/// Every rule, the most certain first.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [log::RULES, network::RULES, serving::RULES, ends::RULES].into_iter().flatten()
}

/// Fills a text's words in.
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

/// A text without options; nothing when a word is not known.
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
