//! An entry of the catalogue: what must be seen, what it means, what to do about it, and where that is known from.

use std::collections::BTreeMap;
use std::fmt;

use super::pattern::Pattern;
use crate::model::observation::Fate;

/// What a cause is mainly based on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Basis {
    /// The program's own output.
    #[default]
    Log,
    /// What the network observed.
    Network,
    /// Ports and probes.
    Serving,
    /// How the process ended.
    End,
}

/// Which of several matching entries is named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Rank {
    /// Names one cause that breaks whatever comes after it: a script with carriage returns. Preferred
    /// wherever it stands in the log, before the crash too.
    Root,
    /// Names one cause precisely.
    #[default]
    Specific,
    /// Describes a kind of failure; any specific entry is preferred.
    General,
    /// Applies only if nothing else does.
    Last,
}

/// Something that must be seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// A line of the log matches one of these patterns; its named groups become words. The line closest to the end counts,
    /// and the first pattern that matches it.
    Line(Vec<Pattern>),
    /// A crash in any known form.
    AnyCrash,
    /// Fields that a validation error names, below its headline.
    Fields,
    /// A process that exited.
    Exited,
    /// An engine observed the end, so it is known who killed the process.
    ByEngine,
    /// One of these exit codes.
    Code(Vec<i64>),
    /// The kernel killed it for exceeding its memory.
    OutOfMemory,
    /// It stayed alive and never became healthy (class C).
    NeverHealthy,
    /// It never opened the probed port.
    NeverListened,
    /// An outbound connection failed in one of these ways, or in any way if none is listed; the last one counts.
    Connect(Vec<Fate>),
    /// It failed on the default port of a database.
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
    /// The last probe was answered with a status in this range, inclusive.
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
    /// The file that the word `path` names is so in the container.
    File(FileState),
    /// The process was started as root.
    AsRoot,
    /// The variable that the word `variable` names has such a value.
    Variable(VariableState),
    /// The log says that the program listens.
    Says,
    /// The log says that the program listens, and only on loopback.
    SaysInside,
    /// The log says that the program listens on one port, which is not the one that the word `asked` names.
    SaysOther,
    /// The log has a line that names an error.
    Error,
    /// Nothing was written.
    Quiet,
    /// An engine ran it, and no connection of its was answered.
    Unanswered,
}

/// What the container has at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileState {
    /// Nothing.
    Missing,
    /// Something.
    There,
    /// Nothing, and the same name with other upper and lower case.
    OtherCase,
    /// What its permissions, or those of the folder it would be made in, keep the process from writing.
    NotWritable,
    /// What its permissions keep the process from reading.
    NotReadable,
}

/// The value of a variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VariableState {
    /// None.
    Unset,
    /// One that is not empty.
    Set,
    /// An empty one.
    Empty,
    /// One in quotes.
    Quoted,
    /// One that begins or ends with white space.
    Spaced,
}

/// Sightings without an argument: the word for each in a file, and how documents describe it.
pub(super) const PLAIN: [(&str, Seen, &str); 35] = [
    ("crash", Seen::AnyCrash, "a crash in a known format"),
    ("fields", Seen::Fields, "fields that a validation error names below its headline"),
    ("exited", Seen::Exited, "the process exited"),
    ("by-engine", Seen::ByEngine, "an engine observed the end"),
    ("out-of-memory", Seen::OutOfMemory, "the kernel killed the process for exceeding its memory"),
    ("never-healthy", Seen::NeverHealthy, "the process stayed alive and never became healthy"),
    ("never-listened", Seen::NeverListened, "the probed port was never opened"),
    ("database-port", Seen::DatabasePort, "a connection to a database's default port failed"),
    ("name", Seen::Name, "a name could not be resolved"),
    ("other-port", Seen::OtherPort, "only ports other than the probed one are open"),
    ("other-port-inside", Seen::OtherPortInside, "only loopback sockets are open, none on the probed port"),
    ("loopback", Seen::Loopback, "the port is open on loopback only"),
    ("other-address", Seen::OtherAddress, "the port is open on an address that is not probed"),
    ("no-answer", Seen::NoAnswer, "the port is open and the last probe timed out"),
    ("no-http", Seen::NoHttp, "the last probe's answer was not HTTP"),
    ("computing", Seen::Computing, "the process was still computing when it was given up"),
    ("waiting", Seen::Waiting, "the process was waiting for a connection or an answer when it was given up"),
    ("opening", Seen::Opening, "a connection or a DNS question had no answer when the process was given up"),
    ("file-missing", Seen::File(FileState::Missing), "the file at `path` is not in the container"),
    ("file-there", Seen::File(FileState::There), "the file at `path` is in the container"),
    (
        "other-case",
        Seen::File(FileState::OtherCase),
        "the folder has the name at `path` with other upper and lower case",
    ),
    ("not-writable", Seen::File(FileState::NotWritable), "the permissions at `path` keep the process from writing"),
    ("not-readable", Seen::File(FileState::NotReadable), "the permissions at `path` keep the process from reading"),
    ("as-root", Seen::AsRoot, "the process was started as root"),
    ("variable-unset", Seen::Variable(VariableState::Unset), "the variable `variable` is not set"),
    ("variable-set", Seen::Variable(VariableState::Set), "the variable `variable` has a value"),
    ("variable-empty", Seen::Variable(VariableState::Empty), "the variable `variable` is empty"),
    ("variable-quoted", Seen::Variable(VariableState::Quoted), "the value of the variable `variable` is in quotes"),
    (
        "variable-spaced",
        Seen::Variable(VariableState::Spaced),
        "the value of the variable `variable` begins or ends with white space",
    ),
    ("says", Seen::Says, "a line says that it listens"),
    ("says-inside", Seen::SaysInside, "a line says that it listens, and only on loopback"),
    ("says-other", Seen::SaysOther, "a line says that it listens on one port, and that is not `asked`"),
    ("error", Seen::Error, "a line that names an error"),
    ("quiet", Seen::Quiet, "nothing was written"),
    ("unanswered", Seen::Unanswered, "the run shows that no connection was answered"),
];

impl Seen {
    fn patterns(&self) -> &[Pattern] {
        if let Self::Line(patterns) = self { patterns } else { &[] }
    }

    /// The words that it adds for the texts.
    pub(super) fn provides(&self) -> &'static [&'static str] {
        match self {
            Self::File(FileState::Missing | FileState::There) => &["place"],
            Self::File(FileState::OtherCase) => &["place", "like"],
            Self::File(FileState::NotWritable | FileState::NotReadable) => &["place", "owner", "mode", "user", "uid"],
            Self::Variable(_) => &["state"],
            Self::Says | Self::SaysInside | Self::SaysOther => &["address", "other_port"],
            _ => &[],
        }
    }

    /// Whether only the container itself shows it, and no log.
    pub(crate) fn is_of_container(&self) -> bool {
        matches!(self, Self::File(_) | Self::AsRoot | Self::Variable(_))
    }
}

/// Words for the fate of a connection.
pub(super) const FATES: [(&str, Fate); 4] = [
    ("silent", Fate::Silent),
    ("refused", Fate::Refused),
    ("unreachable", Fate::Unreachable),
    ("answered", Fate::Answered),
];

impl fmt::Display for Seen {
    /// Describes what must be seen, for documents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: Vec<String>| items.join(" or ");
        match self {
            Self::Line(patterns) => {
                write!(f, "a line like {}", list(patterns.iter().map(|p| format!("`{}`", p.text())).collect()))
            }
            Self::Code(codes) => write!(f, "exit code {}", list(codes.iter().map(ToString::to_string).collect())),
            Self::Status(from, to) if from == to => write!(f, "the last probe was answered with {from}"),
            Self::Status(from, to) => write!(f, "the last probe was answered with {from} to {to}"),
            Self::Connect(_) => f.write_str("an outbound connection failed"),
            plain => {
                let row = PLAIN.iter().find(|(_, seen, _)| seen == plain);
                f.write_str(row.map_or("", |(_, _, about)| about))
            }
        }
    }
}

/// A log that looks like an entry's and means something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NearMiss {
    /// The log.
    pub log: String,
    /// What it means instead.
    pub means: String,
}

/// An entry of the catalogue.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// Its stable name: lower-case words joined by hyphens.
    pub id: String,
    /// The field it belongs to: the name of its file.
    pub field: String,
    /// Its main basis.
    pub basis: Basis,
    /// Which of several matching entries is named.
    pub rank: Rank,
    /// A warning that a healthy start prints too: its lines are never read as a cause.
    pub harmless: bool,
    /// All of these must be seen.
    pub seen: Vec<Seen>,
    /// None of these may be seen.
    pub unless: Vec<Seen>,
    /// Cited as well if seen.
    pub also: Vec<Seen>,
    /// What happened, and why. `{word}` is substituted; a part in `[…]` is dropped if one of its words is unknown.
    pub cause: String,
    /// What to do.
    pub fix: String,
    /// What to do on some platforms, where it differs: by the platform's id.
    pub fix_on: BTreeMap<String, String>,
    /// Repairs that heal it, or would if it were the cause: conditions with their arguments, or names alone.
    pub repair: Vec<String>,
    /// Repairs that heal one of several things that the cause names: if they change nothing, it may still be another.
    pub attempt: Vec<String>,
    /// A page about it: documentation of the platform, the language or the tool.
    pub reference: String,
    /// The report that its lines are from.
    pub source: String,
    /// Logs that fire it.
    pub fires: Vec<String>,
    /// Logs that must not.
    pub near: Vec<NearMiss>,
}

impl Entry {
    /// All repairs that are worth a try.
    pub(crate) fn repairs(&self) -> impl Iterator<Item = &String> {
        self.repair.iter().chain(&self.attempt)
    }

    /// The patterns of the lines that it must see.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Pattern> {
        self.seen.iter().flat_map(Seen::patterns)
    }

    /// All patterns that it asks for.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.seen.iter().chain(&self.unless).chain(&self.also).flat_map(Seen::patterns)
    }

    /// What to do on a platform.
    pub(crate) fn fix_for(&self, platform: &str) -> &str {
        self.fix_on.get(platform).unwrap_or(&self.fix)
    }

    /// The exit code that goes with its logs; `None` for a process that lives on.
    pub(crate) fn exit_code(&self) -> Option<i64> {
        let lives = |seen: &Seen| matches!(seen, Seen::NeverHealthy | Seen::NeverListened);
        if self.seen.iter().any(lives) {
            return None;
        }
        let code = |seen: &Seen| if let Seen::Code(codes) = seen { codes.first().copied() } else { None };
        Some(self.seen.iter().find_map(code).unwrap_or(1))
    }
}
