//! Causes: the rules applied to the evidence of one attempt. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::LazyLock;

use regex::Regex;

use super::rules::{self, Basis, Rule, Seen};
use super::signature::short;
use super::traceback::{Crash, crash};
use super::waiting::{is_computing, unanswered, waiting_for};
use crate::model::observation::{ConnectAttempt, Evidence, Fate, Listening, ProbeResult};
use crate::model::outcome::{Cause, Outcome};
use crate::model::service::{Protocol, Service};
use crate::model::units::show_bytes;

/// Number of lines read from the end of a log if no crash shows where the end begins.
const LINES_FROM_END: usize = 80;
/// A cited line is cut to this many characters.
const MOST_CITED: usize = 300;
/// An error quoted in a text is cut to this many characters.
const MOST_QUOTED: usize = 160;
/// Causes of a process that listens where no probe comes.
const ELSEWHERE: [&str; 3] = ["port-mismatch", "bound-to-loopback", "bound-to-host-name"];
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

/// The source of what is known about a process's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Witness {
    /// The engine that ran it.
    Engine,
    /// A service log of the platform, which has the exit code and nothing more.
    ServiceLog,
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Engine => "engine",
            Self::ServiceLog => "service log",
        })
    }
}

/// The input of the rules.
pub(crate) struct Facts<'a> {
    /// The source of what is known about the end.
    pub(crate) witness: Witness,
    /// How the attempt ended.
    pub(crate) outcome: &'a Outcome,
    /// The exit code, where there was one.
    pub(crate) exit_code: Option<i64>,
    /// What was seen.
    pub(crate) evidence: &'a Evidence,
    /// The whole log.
    pub(crate) log: &'a str,
    /// The service's configuration.
    pub(crate) service: &'a Service,
    /// The address that is probed.
    pub(crate) own: Ipv4Addr,
    /// The container's memory limit in bytes.
    pub(crate) memory: Option<u64>,
}

/// Every cause that the evidence supports, most certain first.
#[must_use]
pub(crate) fn causes(facts: &Facts<'_>) -> Vec<Cause> {
    if *facts.outcome == Outcome::Healthy {
        return Vec::new();
    }
    let eyes = Sight::of(facts);
    let mut found: Vec<(Basis, Cause)> = Vec::new();
    for rule in rules::all() {
        let known = found.iter().any(|(_, cause)| cause.id == rule.id);
        if !known && (!rule.alone || found.is_empty()) && (rule.basis != Basis::Network || eyes.network(&found)) {
            found.extend(eyes.cause(rule).map(|cause| (rule.basis, cause)));
        }
    }
    // A process that came so far as to listen, or to answer, survived what its log shows. (A refused Host is answered
    // with 400, and a program's own error with 500.)
    let is_elsewhere = found.iter().any(|(_, cause)| ELSEWHERE.contains(&cause.id.as_str()));
    let last = facts.evidence.probes.last().map(|probe| &probe.result);
    let answers = *facts.outcome == Outcome::Unhealthy && matches!(last, Some(ProbeResult::Status(401..=499)));
    if is_elsewhere || answers {
        found.retain(|(basis, _)| *basis != Basis::Log);
    }
    found.into_iter().map(|(_, cause)| cause).collect()
}

/// The patterns of all rules.
static PATTERNS: LazyLock<BTreeMap<&'static str, Regex>> = LazyLock::new(|| {
    let seen = rules::all().flat_map(|rule| rule.seen.iter().chain(rule.unless).chain(rule.also));
    let lists = seen.filter_map(|seen| if let Seen::Line(patterns) = seen { Some(*patterns) } else { None });
    // A test rejects an invalid pattern.
    lists.flatten().filter_map(|pattern| Some((*pattern, Regex::new(pattern).ok()?))).collect()
});

type Words = BTreeMap<&'static str, String>;

/// What is visible of one attempt.
struct Sight<'a> {
    facts: &'a Facts<'a>,
    crash: Option<Crash>,
    /// The lines of the log that are about the end.
    lines: Vec<String>,
    /// Whether these lines, or the errors that were being handled, speak of the network.
    is_of_network: bool,
    /// Words available to every text.
    common: Words,
}

impl<'a> Sight<'a> {
    fn of(facts: &'a Facts<'a>) -> Self {
        // Escape sequences for a terminal are neither read nor shown.
        let log = anstream::adapter::strip_str(facts.log).to_string();
        let crash = crash(&log);
        let all: Vec<&str> = log.lines().collect();
        // Earlier lines are from the time when everything worked.
        let from = crash.as_ref().map_or(all.len().saturating_sub(LINES_FROM_END), |crash| crash.begins);
        let within = |n: usize| crash.as_ref().is_some_and(|crash| (crash.begins..=crash.ends).contains(&n));
        let said = all.iter().enumerate().skip(from).filter(|(n, line)| within(*n) || !is_chat(line));
        let lines: Vec<String> = said.map(|(_, line)| line.trim_end().to_owned()).collect();
        let handled =
            crash.as_ref().and_then(|crash| crash.handles).map_or(&[][..], |first| &all[first..from.max(first)]);
        let speaks = |line: &str| NETWORK_WORDS.iter().any(|word| line.contains(word));
        let is_of_network = lines.iter().map(String::as_str).chain(handled.iter().copied()).any(speaks);
        let common = common(facts, crash.as_ref());
        Self { facts, crash, lines, is_of_network, common }
    }

    /// Whether the network may be the cause: a failed attempt next to an unrelated error explains nothing.
    fn network(&self, found: &[(Basis, Cause)]) -> bool {
        let told = self.crash.is_some() || found.iter().any(|(basis, _)| *basis == Basis::Log);
        !told || self.is_of_network
    }

    fn cause(&self, rule: &Rule) -> Option<Cause> {
        let (mut words, mut evidence) = (Words::new(), Vec::new());
        if !rule.seen.iter().all(|seen| self.sees(seen, &mut words, &mut evidence)) {
            return None;
        }
        if rule.unless.iter().any(|seen| self.sees(seen, &mut Words::new(), &mut Vec::new())) {
            return None;
        }
        for seen in rule.also {
            self.sees(seen, &mut words, &mut evidence);
        }
        if matches!(rule.basis, Basis::Log | Basis::Network) {
            evidence.extend(self.traceback());
        }
        if evidence.is_empty() {
            evidence.push(self.end());
        }
        evidence.dedup();
        let ways = &self.facts.service.platform.ways;
        let word = |name: &str| self.common.get(name).or_else(|| words.get(name)).or_else(|| ways.get(name)).cloned();
        let (text, fix) = (rules::filled(rule.text, &word), rules::filled(rule.fix, &word));
        Some(Cause { id: rule.id.to_owned(), text, fix, evidence })
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

    fn sees(&self, seen: &Seen, words: &mut Words, cited: &mut Vec<String>) -> bool {
        let outcome = self.facts.outcome;
        let lives = matches!(outcome, Outcome::NeverListened | Outcome::Unhealthy);
        match seen {
            Seen::Line(patterns) => self.line(patterns, words, cited),
            Seen::AnyCrash => self.crash.as_ref().is_some_and(|crash| {
                cited.push(logged(&crash.headline));
                cited.extend(self.traceback());
                true
            }),
            Seen::Fields => self.fields(words, cited),
            Seen::Exited => self.facts.exit_code.is_some() && *outcome != Outcome::OomKilled,
            Seen::Code(codes) => self.facts.exit_code.is_some_and(|code| codes.contains(&code)),
            Seen::ByEngine => self.facts.witness == Witness::Engine,
            Seen::OutOfMemory => *outcome == Outcome::OomKilled,
            Seen::NeverHealthy => lives,
            Seen::NeverListened => *outcome == Outcome::NeverListened,
            Seen::Connect(fates) => self.connect(words, cited, |fate| fates.is_empty() || fates.contains(&fate)),
            Seen::DatabasePort => self.attempt().and_then(|a| database(a.port)).is_some_and(|kind| {
                words.insert("database_kind", kind.to_owned());
                true
            }),
            Seen::Name => self.name(words, cited),
            Seen::OtherPort | Seen::OtherPortInside | Seen::Loopback | Seen::OtherAddress => {
                self.listens(seen, words, cited)
            }
            Seen::Status(..) | Seen::NoAnswer | Seen::NoHttp => self.probed(seen, words, cited),
            Seen::Computing => is_computing(self.facts.evidence).is_some(),
            Seen::Waiting => !self.facts.evidence.sockets.is_empty() || unanswered(self.facts.evidence).is_some(),
            Seen::Opening => {
                let open = self.facts.evidence.sockets.iter().any(|socket| !socket.accepted);
                open || unanswered(self.facts.evidence).is_some()
            }
            Seen::Quiet => {
                let quiet = self.facts.log.trim().is_empty();
                cited.extend(quiet.then(|| "log: empty".to_owned()));
                quiet
            }
        }
    }

    fn line(&self, patterns: &[&'static str], words: &mut Words, cited: &mut Vec<String>) -> bool {
        for pattern in patterns {
            let Some(regex) = PATTERNS.get(pattern) else { continue };
            let Some((line, found)) = self.lines.iter().rev().find_map(|line| Some((line, regex.captures(line)?)))
            else {
                continue;
            };
            for name in regex.capture_names().flatten() {
                if let Some(value) = found.name(name) {
                    words.insert(name, short(value.as_str(), MOST_QUOTED));
                }
            }
            words.entry("said").or_insert_with(|| short(line.trim(), MOST_QUOTED));
            cited.push(logged(line));
            return true;
        }
        false
    }

    /// Pydantic names each field on its own line below the headline, then the message, indented. A model validated
    /// while serving a request is not a setting: a settings class is recognised by its name, or because it is created
    /// during import.
    fn fields(&self, words: &mut Words, cited: &mut Vec<String>) -> bool {
        let headline = |line: &String| line.contains("validation error for") || line.contains("validation errors for");
        let Some(at) = self.lines.iter().rposition(headline) else { return false };
        let class = self.lines[at].rsplit(" for ").next().unwrap_or_default().to_ascii_lowercase();
        let of_settings = ["setting", "config", "env", "secret", "option"].iter().any(|word| class.contains(word));
        if !of_settings && !self.crash.as_ref().is_some_and(|crash| crash.importing) {
            return false;
        }
        let below = self.lines[at + 1..].iter().take_while(|line| !line.trim().is_empty());
        let named = |line: &&String| !line.starts_with(' ') && !line.contains(' ');
        let fields: Vec<String> = below.filter(named).map(|line| format!("`{}`", line.trim())).collect();
        let text = if fields.is_empty() { "a setting".to_owned() } else { fields.join(", ") };
        words.insert("fields", text);
        cited.push(logged(&self.lines[at]));
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

    fn connect(&self, words: &mut Words, cited: &mut Vec<String>, wanted: impl Fn(Fate) -> bool) -> bool {
        let Some(attempt) = self.attempt().filter(|attempt| wanted(attempt.fate)) else { return false };
        let host = attempt.name.clone().unwrap_or_else(|| attempt.address.to_string());
        let fate = match attempt.fate {
            Fate::Silent => "nothing came back",
            Fate::Refused => "refused",
            Fate::Unreachable => "host unreachable",
            Fate::Answered => "answered",
        };
        cited.push(format!("connected at {:.0} ms to {host}:{}: {fate}", attempt.at_ms, attempt.port));
        words.insert("host", host);
        words.insert("target_port", attempt.port.to_string());
        words.insert("fate", fate.to_owned());
        true
    }

    fn name(&self, words: &mut Words, cited: &mut Vec<String>) -> bool {
        let mut questions = self.facts.evidence.dns.iter().rev();
        let Some(question) = questions.find(|q| q.failed() && q.record != "PTR") else { return false };
        cited.push(format!(
            "asked at {:.0} ms for {} ({}): {}",
            question.at_ms, question.name, question.record, question.answer
        ));
        words.insert("name", question.name.clone());
        words.insert("answer", question.answer.clone());
        true
    }

    fn listens(&self, seen: &Seen, words: &mut Words, cited: &mut Vec<String>) -> bool {
        let port = self.facts.service.port;
        let listens: Vec<&Listening> = self.facts.evidence.listens.iter().filter(|l| !l.is_internal()).collect();
        let of_port = |l: &&&Listening| l.port == port;
        let found = match seen {
            Seen::OtherPort | Seen::OtherPortInside if listens.iter().any(|l| of_port(&l)) => None,
            Seen::OtherPort => listens.iter().find(|l| !l.address.is_loopback()).or(listens.first()),
            Seen::OtherPortInside => listens.first().filter(|_| listens.iter().all(|l| l.address.is_loopback())),
            _ if listens.iter().filter(of_port).any(|l| l.reachable_at(self.facts.own)) => None,
            _ => listens.iter().find(of_port).filter(|l| l.address.is_loopback() == matches!(seen, Seen::Loopback)),
        };
        let Some(found) = found else { return false };
        words.insert("other_port", found.port.to_string());
        words.insert("address", found.address.to_string());
        cited.push(format!("opened at {:.0} ms: {}:{}", found.at_ms, found.address, found.port));
        true
    }

    fn probed(&self, seen: &Seen, words: &mut Words, cited: &mut Vec<String>) -> bool {
        let Some(last) = self.facts.evidence.probes.last() else { return false };
        let what = match (seen, &last.result) {
            (Seen::Status(from, to), ProbeResult::Status(status)) if (from..=to).contains(&status) => {
                words.insert("status", status.to_string());
                format!("status {status}")
            }
            (Seen::NoAnswer, ProbeResult::TimedOut) if !self.facts.evidence.listens.is_empty() => {
                "no answer".to_owned()
            }
            (Seen::NoHttp, ProbeResult::Broken(what)) => what.clone(),
            _ => return false,
        };
        cited.push(format!("probe at {:.0} ms: {what}", last.at_ms));
        true
    }
}

/// Words available to every text.
fn common(facts: &Facts<'_>, crash: Option<&Crash>) -> Words {
    let Facts { service, exit_code, memory, evidence, .. } = facts;
    let check = &service.health_check;
    let mut words = Words::from([
        ("port", service.port.to_string()),
        ("platform", service.platform.name.clone()),
        ("timeout", check.timeout.to_string()),
        ("memory", memory.map_or_else(|| "its limit".to_owned(), show_bytes)),
        ("waiting", waiting_for(evidence).join("; ")),
    ]);
    words.extend((check.protocol == Protocol::Http).then(|| ("path", check.path.clone())));
    words.extend(exit_code.map(|code| ("code", code.to_string())));
    // The words may be secret: only their existence is mentioned.
    words.extend(service.start_command.is_some().then(|| ("start_command", "start command".to_owned())));
    if let Some(crash) = crash {
        words.insert("said", short(&crash.said(), MOST_QUOTED));
        words.extend(place_of(crash).map(|place| ("where", place)));
    }
    words
}

/// A level below an error, where a logger puts it, followed by a message.
static CHAT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let level = "(?:DEBUG|INFO|TRACE|WARN|WARNING)";
    Regex::new(&format!(
        r#"^.{{0,40}}?(?:^|[\s\[(|]){level}(?:[\]):|]|\s+\S)|(?i:^\s*{level}\s*:|\[{level}\]|\blevel"?\s*[=:]\s*"?{level}\b)"#
    ))
    .ok()
});

/// Whether a logger marked the line as less than an error.
fn is_chat(line: &str) -> bool {
    CHAT.as_ref().is_some_and(|chat| chat.is_match(line))
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

fn logged(line: &str) -> String {
    format!("log: {}", short(line.trim(), MOST_CITED))
}

#[cfg(test)]
mod tests;
