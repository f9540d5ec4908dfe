//! What is visible of one attempt, as the entries of the catalogue ask for it. Pure.

mod announced;
mod named;
mod said;
mod zones;

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::facts::{Facts, Witness};
use super::log::json_line;
use super::log::spelled::{spelled, unescaped};
use super::signature::{error_at, is_numbered, names_an_error, short};
use super::traceback::{Crash, crash};
use super::waiting::{is_computing, unanswered, waiting_for};
use crate::catalogue::pattern::Candidates;
use crate::catalogue::{Basis, Catalogue, Entry, Pattern, Seen};
use crate::model::observation::{ConnectAttempt, Fate, Listening, ProbeResult};
use crate::model::outcome::Outcome;
use crate::model::service::Protocol;
use crate::model::units::show_bytes;
use said::said;
pub(super) use zones::Zone;
use zones::zones;

/// Maximum number of lines that belong to one error, for the evidence.
const MOST_CONTINUED: usize = 12;
/// A cited line is cut to this many characters.
const MOST_CITED: usize = 300;
/// An error quoted in a text is cut to this many characters.
const MOST_QUOTED: usize = 160;
/// Databases by their default port.
const DATABASES: [(u16, &str); 7] = [
    (5432, "PostgreSQL database"),
    (3306, "MySQL database"),
    (6379, "Redis server"),
    (27017, "MongoDB database"),
    (1433, "SQL Server database"),
    (1521, "Oracle database"),
    (5672, "message broker"),
];
/// Words of a log line about the network.
const NETWORK_WORDS: [&str; 11] = [
    "onnection",
    "onnect ",
    "onnectError",
    "timed out",
    "imeout",
    "resol",
    "unreachable",
    "refused",
    "route to host",
    "ENOTFOUND",
    "EAI_AGAIN",
];

type Words = BTreeMap<String, String>;

/// A line that may be read as a cause.
struct Spoken {
    zone: Zone,
    text: String,
}

/// What an entry saw.
#[derive(Default)]
pub(super) struct Found {
    words: Words,
    /// What a cause cites.
    pub(super) evidence: Vec<String>,
    /// The closest line that it matched.
    pub(super) at: Option<(Zone, usize)>,
    /// How much text the matching patterns have.
    pub(super) detail: usize,
}

impl Found {
    /// Adds a line to what is cited; `detail`: how much text identifies it.
    fn cite(&mut self, line: &Spoken, n: usize, detail: usize) {
        let at = (line.zone, n);
        self.evidence.push(logged(&line.text));
        self.at = Some(self.at.map_or(at, |other| other.min(at)));
        self.detail += detail;
    }
}

/// What is visible of one attempt.
pub(super) struct Sight<'a> {
    facts: &'a Facts<'a>,
    catalogue: &'a Catalogue,
    crash: Option<Crash>,
    lines: Vec<Spoken>,
    candidates: Candidates,
    /// Whether the lines about the end, or the errors that were being handled, speak of the network.
    is_of_network: bool,
    /// Words available to every text.
    common: Words,
}

impl<'a> Sight<'a> {
    pub(super) fn of(facts: &'a Facts<'a>, catalogue: &'a Catalogue) -> Self {
        // Escape sequences for a terminal are neither read nor shown.
        let log = anstream::adapter::strip_str(facts.log).to_string();
        let log = spelled(&log);
        let log = json_line::plain(&log);
        let log = unescaped(&log);
        let all: Vec<&str> = log.lines().collect();
        // What a program printed and got over is not how it ended.
        let (survived, crash) = match crash(&log) {
            Some(crash) if zones::goes_on(all.get(crash.ends + 1..).unwrap_or_default()) => (Some(crash), None),
            crash => (None, crash),
        };
        let mut zones = zones(&all, crash.as_ref());
        if let Some(survived) = survived {
            zones[survived.begins..=survived.ends].fill(Zone::Survived);
        }
        let spoken = |(zone, line): (Zone, &&str)| Spoken { zone, text: line.trim_end().to_owned() };
        let mut lines: Vec<Spoken> = zones.into_iter().zip(&all).map(spoken).collect();
        // What a runtime quotes of a source behind line numbers says nothing by itself.
        for line in lines.iter_mut().filter(|line| is_numbered(&line.text)) {
            line.text.clear();
        }
        let look = |lines: &[Spoken]| catalogue.patterns.candidates(lines.iter().map(|line| line.text.as_str()));
        let candidates = look(&lines);
        let harmless = harmless(catalogue, &lines, &candidates);
        let candidates = if harmless.is_empty() {
            candidates
        } else {
            let mut n = 0;
            lines.retain(|line| {
                n += 1;
                line.zone == Zone::Error && crash.is_some() || !harmless.contains(&(n - 1))
            });
            look(&lines)
        };
        let handled = crash.as_ref().and_then(|crash| Some(&all[crash.handles?..crash.begins.max(crash.handles?)]));
        let speaks = |line: &str| NETWORK_WORDS.iter().any(|word| line.contains(word));
        let about_the_end = lines.iter().filter(|line| line.zone < Zone::Before).map(|line| line.text.as_str());
        let is_of_network = about_the_end.chain(handled.into_iter().flatten().copied()).any(speaks);
        let common = common(facts, crash.as_ref());
        Self { facts, catalogue, crash, lines, candidates, is_of_network, common }
    }

    /// Whether the network may be the cause: a failed attempt next to an unrelated error explains nothing. `known`:
    /// whether the log names a cause.
    pub(super) fn network(&self, known: bool) -> bool {
        !(known || self.crash.is_some()) || self.is_of_network
    }

    /// Whether the log has a crash in a known format.
    pub(super) fn has_crash(&self) -> bool {
        self.crash.is_some()
    }

    /// Whether a crash, or a line that begins with the name of an error, says what ended the process.
    pub(super) fn states_an_error(&self) -> bool {
        let mut lines = self.lines.iter().filter(|line| line.zone < Zone::Chat);
        self.crash.is_some() || lines.any(|line| names_an_error(&line.text))
    }

    /// The platform's id.
    pub(super) fn platform(&self) -> &str {
        &self.facts.service.platform.id
    }

    /// A word for a text.
    pub(super) fn word(&self, found: &Found, name: &str) -> Option<String> {
        let ways = &self.facts.service.platform.ways;
        self.common.get(name).or_else(|| found.words.get(name)).or_else(|| ways.get(name)).cloned()
    }

    /// The entries that may see all that they ask for, in order.
    pub(super) fn possible(&self) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.catalogue.possible(&self.candidates)
    }

    /// What an entry sees, if that is all it asks for.
    pub(super) fn look(&self, entry: &Entry) -> Option<Found> {
        let mut found = Found::default();
        // Lines first: what else is asked for may be about what they name.
        let are = |lines: bool| entry.seen.iter().filter(move |seen| matches!(seen, Seen::Line(_)) == lines);
        if !are(true).chain(are(false)).all(|seen| self.sees(seen, &mut found)) {
            return None;
        }
        // What rules it out may be about what was seen: its words are known.
        let known = || Found { words: found.words.clone(), ..Found::default() };
        if entry.unless.iter().any(|seen| self.sees(seen, &mut known())) {
            return None;
        }
        for seen in &entry.also {
            self.sees(seen, &mut found);
        }
        if matches!(entry.basis, Basis::Log | Basis::Network) {
            found.evidence.extend(self.traceback());
        }
        if found.evidence.is_empty() {
            found.evidence.push(self.end());
        }
        found.evidence.dedup();
        Some(found)
    }

    /// The place in the application's own code, as evidence.
    fn traceback(&self) -> Option<String> {
        let frame = self.crash.as_ref()?.own.as_ref()?;
        let function = if frame.function.is_empty() { String::new() } else { format!(", in {}", frame.function) };
        let source = if frame.source.is_empty() { String::new() } else { format!(": {}", frame.source) };
        Some(short(&format!("traceback: {}, line {}{function}{source}", frame.file, frame.line), MOST_CITED))
    }

    /// How the process ended, as evidence.
    fn end(&self) -> String {
        match (self.facts.outcome, self.facts.exit_code) {
            (Outcome::OomKilled, _) => {
                format!("{}: exit code 137; kernel: killed for want of memory", self.facts.witness)
            }
            (_, Some(code)) => format!("{}: exit code {code}", self.facts.witness),
            _ => format!("waiting for: {}", waiting_for(self.facts.evidence).join("; ")),
        }
    }

    fn sees(&self, seen: &Seen, found: &mut Found) -> bool {
        let outcome = self.facts.outcome;
        let lives = matches!(outcome, Outcome::NeverListened | Outcome::Unhealthy);
        match seen {
            Seen::Line(patterns) => self.line(patterns, found),
            Seen::AnyCrash => self.crash.as_ref().is_some_and(|crash| {
                found.evidence.push(logged(&crash.headline));
                found.evidence.extend(self.traceback());
                true
            }),
            Seen::Fields => self.fields(found),
            Seen::Exited => !lives && *outcome != Outcome::OomKilled && *outcome != Outcome::NotStarted,
            // Where no code is known, the line decides.
            Seen::Code(codes) => match self.facts.exit_code {
                Some(code) => codes.contains(&code),
                None => *outcome == Outcome::Exited && found.at.is_some(),
            },
            Seen::ByEngine => self.facts.witness == Witness::Engine,
            Seen::OutOfMemory => *outcome == Outcome::OomKilled,
            Seen::NeverHealthy => lives,
            Seen::NeverListened => *outcome == Outcome::NeverListened,
            Seen::Connect(fates) => self.connect(found, |fate| fates.is_empty() || fates.contains(&fate)),
            Seen::DatabasePort => self.attempt().and_then(|a| database(a.port)).is_some_and(|kind| {
                found.words.insert("database_kind".to_owned(), kind.to_owned());
                true
            }),
            Seen::Name => self.name(found),
            Seen::OtherPort | Seen::OtherPortInside | Seen::Loopback | Seen::OtherAddress => self.listens(seen, found),
            Seen::Status(..) | Seen::NoAnswer | Seen::NoHttp => self.probed(seen, found),
            Seen::Computing => is_computing(self.facts.evidence).is_some(),
            Seen::Waiting => !self.facts.evidence.sockets.is_empty() || unanswered(self.facts.evidence).is_some(),
            Seen::Opening => {
                let open = self.facts.evidence.sockets.iter().any(|socket| !socket.accepted);
                open || unanswered(self.facts.evidence).is_some()
            }
            Seen::File(state) => named::file(*state, self.facts, found),
            Seen::AsRoot => self.facts.evidence.user == Some(0),
            Seen::Variable(state) => named::variable(*state, self.facts, found),
            Seen::Says | Seen::SaysInside | Seen::SaysOther => self.says(seen, found),
            Seen::Error => self.error(found),
            Seen::Unanswered => {
                let answered = |c: &ConnectAttempt| c.fate == Fate::Answered;
                self.facts.witness == Witness::Engine && !self.facts.evidence.connects.iter().any(answered)
            }
            Seen::Quiet => {
                let quiet = self.facts.log.trim().is_empty();
                found.evidence.extend(quiet.then(|| "log: empty".to_owned()));
                quiet
            }
        }
    }

    /// Where the log says that the program listens.
    fn says(&self, seen: &Seen, found: &mut Found) -> bool {
        let asked = found.words.get("asked").and_then(|port| port.parse().ok());
        let lines = self.lines.iter().map(|line| line.text.as_str());
        let Some((n, place)) = announced::says(seen, asked, lines) else { return false };
        found.words.insert("address".to_owned(), place.host);
        found.words.insert("other_port".to_owned(), place.port.to_string());
        found.cite(&self.lines[n], n, self.lines[n].text.len());
        true
    }

    /// The closest line that matches one of the patterns; its named groups become words.
    fn line(&self, patterns: &[Pattern], found: &mut Found) -> bool {
        let closest = |pattern: &Pattern| {
            let (regex, lines) = self.catalogue.patterns.look(pattern, &self.candidates)?;
            let matching = lines.iter().filter(|n| regex.is_match(&self.lines[**n].text));
            let (zone, n) = matching.map(|n| (self.lines[*n].zone, *n)).min()?;
            Some((zone, n, regex, pattern.text().len()))
        };
        // A pattern whose line is no error does not keep the others from theirs.
        let Some((_, n, regex, detail)) = patterns.iter().filter_map(closest).min_by_key(|(zone, ..)| *zone) else {
            return false;
        };
        let line = &self.lines[n].text;
        let Some(groups) = regex.captures(line) else { return false };
        for name in regex.capture_names().flatten() {
            if let Some(value) = groups.name(name).filter(|value| !value.is_empty()) {
                found.words.insert(name.to_owned(), short(unquoted(value.as_str()), MOST_QUOTED));
            }
        }
        let below = self.lines.get(n + 1).map(|line| line.text.as_str());
        found.words.entry("said".to_owned()).or_insert_with(|| short(&said(line, below), MOST_QUOTED));
        found.cite(&self.lines[n], n, detail);
        true
    }

    /// The error that ended the process, in full, if the log has one.
    fn error(&self, found: &mut Found) -> bool {
        let lines = self.lines.iter().filter(|line| line.zone < Zone::Chat);
        let texts: Vec<&str> = lines.map(|line| line.text.as_str()).collect();
        let Some(at) = error_at(&texts) else { return false };
        found.words.insert("said".to_owned(), short(&said(texts[at], texts.get(at + 1).copied()), MOST_QUOTED));
        let continues = |line: &&&str| line.starts_with([' ', '\t']) || line.starts_with("Caused by");
        let below = texts[at + 1..].iter().take_while(continues).take(MOST_CONTINUED);
        found.evidence.extend(std::iter::once(&texts[at]).chain(below).map(|line| format!("log: {}", line.trim_end())));
        true
    }

    /// Pydantic names each field on its own line below the headline, then the message, indented. A model validated
    /// while serving a request is not a setting: a settings class is recognised by its name, or because it is created
    /// during import.
    fn fields(&self, found: &mut Found) -> bool {
        let headline =
            |line: &Spoken| line.text.contains("validation error for") || line.text.contains("validation errors for");
        let Some(at) = self.lines.iter().rposition(headline) else { return false };
        let line = &self.lines[at].text;
        let class = line.rsplit(" for ").next().unwrap_or_default().to_ascii_lowercase();
        let of_settings = ["setting", "config", "env", "secret", "option"].iter().any(|word| class.contains(word));
        if !of_settings && !self.crash.as_ref().is_some_and(|crash| crash.importing) {
            return false;
        }
        let below = self.lines[at + 1..].iter().map(|line| line.text.as_str());
        let named = |line: &&str| !line.starts_with(' ') && !line.contains(' ');
        let below = below.take_while(|line| !line.trim().is_empty()).filter(named);
        let fields: Vec<String> = below.map(|line| format!("`{}`", line.trim())).collect();
        let text = if fields.is_empty() { "a setting".to_owned() } else { fields.join(", ") };
        found.words.insert("fields".to_owned(), text);
        found.evidence.push(logged(line));
        found.at = Some((self.lines[at].zone, at));
        found.detail += line.len();
        true
    }

    /// The last outbound attempt that failed. Every AWS SDK asks the link-local endpoints, successfully or not.
    fn attempt(&self) -> Option<&ConnectAttempt> {
        let all = &self.facts.evidence.connects;
        let got_over = |c: &ConnectAttempt| {
            let same = |other: &ConnectAttempt| (other.address, other.port) == (c.address, c.port);
            all.iter().any(|other| same(other) && other.fate == Fate::Answered && other.at_ms > c.at_ms)
        };
        let failed = |c: &&ConnectAttempt| c.protocol == "tcp" && c.fate != Fate::Answered && !got_over(c);
        self.facts.evidence.outbound().filter(failed).last()
    }

    fn connect(&self, found: &mut Found, wanted: impl Fn(Fate) -> bool) -> bool {
        let Some(attempt) = self.attempt().filter(|attempt| wanted(attempt.fate)) else { return false };
        let host = attempt.name.clone().unwrap_or_else(|| attempt.address.to_string());
        let fate = match attempt.fate {
            Fate::Silent => "nothing came back",
            Fate::Refused => "refused",
            Fate::Unreachable => "host unreachable",
            Fate::Answered => "answered",
        };
        found.evidence.push(format!("connected at {:.0} ms to {host}:{}: {fate}", attempt.at_ms, attempt.port));
        found.words.insert("host".to_owned(), host);
        found.words.insert("target_port".to_owned(), attempt.port.to_string());
        found.words.insert("fate".to_owned(), fate.to_owned());
        true
    }

    fn name(&self, found: &mut Found) -> bool {
        let mut questions = self.facts.evidence.dns.iter().rev();
        let Some(question) = questions.find(|q| q.failed() && q.record != "PTR") else { return false };
        found.evidence.push(format!(
            "asked at {:.0} ms for {} ({}): {}",
            question.at_ms, question.name, question.record, question.answer
        ));
        found.words.insert("name".to_owned(), question.name.clone());
        found.words.insert("answer".to_owned(), question.answer.clone());
        true
    }

    fn listens(&self, seen: &Seen, found: &mut Found) -> bool {
        let port = self.facts.service.port;
        let listens: Vec<&Listening> = self.facts.evidence.listens.iter().filter(|l| !l.is_internal()).collect();
        let of_port = |l: &&&Listening| l.port == port;
        let socket = match seen {
            Seen::OtherPort | Seen::OtherPortInside if listens.iter().any(|l| of_port(&l)) => None,
            Seen::OtherPort => listens.iter().find(|l| !l.address.is_loopback()).or(listens.first()),
            Seen::OtherPortInside => listens.first().filter(|_| listens.iter().all(|l| l.address.is_loopback())),
            _ if listens.iter().filter(of_port).any(|l| l.reachable_at(self.facts.own)) => None,
            _ => listens.iter().find(of_port).filter(|l| l.address.is_loopback() == matches!(seen, Seen::Loopback)),
        };
        let Some(socket) = socket else { return false };
        found.words.insert("other_port".to_owned(), socket.port.to_string());
        found.words.insert("address".to_owned(), socket.address.to_string());
        found.evidence.push(format!("opened at {:.0} ms: {}:{}", socket.at_ms, socket.address, socket.port));
        true
    }

    fn probed(&self, seen: &Seen, found: &mut Found) -> bool {
        let Some(last) = self.facts.evidence.probes.last() else { return false };
        let what = match (seen, &last.result) {
            (Seen::Status(from, to), ProbeResult::Status(status)) if (from..=to).contains(&status) => {
                found.words.insert("status".to_owned(), status.to_string());
                format!("status {status}")
            }
            (Seen::NoAnswer, ProbeResult::TimedOut) if !self.facts.evidence.listens.is_empty() => {
                "no answer".to_owned()
            }
            (Seen::NoHttp, ProbeResult::Broken(what)) => what.clone(),
            _ => return false,
        };
        found.evidence.push(format!("probe at {:.0} ms: {what}", last.at_ms));
        true
    }
}

/// Words available to every text.
fn common(facts: &Facts<'_>, crash: Option<&Crash>) -> Words {
    let Facts { service, exit_code, memory, evidence, .. } = facts;
    let check = &service.health_check;
    let mut words: BTreeMap<&str, String> = BTreeMap::from([
        ("port", service.port.to_string()),
        ("platform", service.platform.name.clone()),
        ("timeout", check.timeout.to_string()),
        ("memory", memory.map_or_else(|| "its limit".to_owned(), show_bytes)),
        ("waiting", waiting_for(evidence).join("; ")),
    ]);
    words.extend((check.protocol == Protocol::Http).then(|| ("check_path", check.path.clone())));
    words.extend(exit_code.map(|code| ("code", code.to_string())));
    // The words may be secret: only their existence is mentioned.
    words.extend(service.start_command.is_some().then(|| ("start_command", "start command".to_owned())));
    if let Some(crash) = crash {
        words.insert("said", short(&crash.said(), MOST_QUOTED));
        words.extend(place_of(crash).map(|place| ("where", place)));
    }
    words.into_iter().map(|(name, word)| (name.to_owned(), word)).collect()
}

/// The lines that harmless entries match, with the stacks below them.
fn harmless(catalogue: &Catalogue, lines: &[Spoken], candidates: &Candidates) -> BTreeSet<usize> {
    let entries = catalogue.possible(candidates).filter(|entry| entry.harmless);
    let looks = entries.flat_map(Entry::patterns).filter_map(|pattern| catalogue.patterns.look(pattern, candidates));
    let of_stack = |line: &&Spoken| {
        let text = line.text.trim_start();
        text.len() < line.text.len() && (text.starts_with("at ") || text.starts_with("... "))
            || text.starts_with("Caused by: ")
    };
    let matching = |(regex, among): (&Regex, &[usize])| -> Vec<usize> {
        let with_stack = |n: usize| n..=n + lines[n + 1..].iter().take_while(of_stack).count();
        among.iter().copied().filter(|n| regex.is_match(&lines[*n].text)).flat_map(with_stack).collect()
    };
    looks.flat_map(matching).collect()
}

fn database(port: u16) -> Option<&'static str> {
    DATABASES.iter().find(|(known, _)| *known == port).map(|(_, kind)| *kind)
}

/// `app/main.py, line 7, `client = Client()`, while it is loaded`.
fn place_of(crash: &Crash) -> Option<String> {
    let frame = crash.own.as_ref()?;
    let source = if frame.source.is_empty() { String::new() } else { format!(", `{}`", short(&frame.source, 80)) };
    let while_ = if crash.importing { ", while it is loaded" } else { "" };
    Some(format!("{}, line {}{source}{while_}", frame.file, frame.line))
}

/// A part of a line without a quote that closes behind it.
fn unquoted(part: &str) -> &str {
    let is_odd = part.matches('"').count() % 2 == 1;
    if is_odd { part.trim_end_matches(['"', '\\']) } else { part }
}

fn logged(line: &str) -> String {
    format!("log: {}", short(line.trim(), MOST_CITED))
}
