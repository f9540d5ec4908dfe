//! Causes: rules over the evidence of one attempt. A rule that sees nothing says nothing.

use std::net::{IpAddr, Ipv4Addr};

use crate::model::observation::{Evidence, Fate, ProbeResult};
use crate::model::outcome::{Cause, Outcome};
use crate::model::service::{HealthCheck, Service};

/// What the rules look at.
pub struct Facts<'a> {
    /// How the attempt ended.
    pub outcome: &'a Outcome,
    /// The exit code, where there was one.
    pub exit_code: Option<i64>,
    /// What was seen.
    pub evidence: &'a Evidence,
    /// The whole log.
    pub log: &'a str,
    /// What the platform is told.
    pub service: &'a Service,
    /// The address that is probed.
    pub own: Ipv4Addr,
    /// The container's memory limit in bytes.
    pub memory: Option<u64>,
}

type Rule = fn(&Facts<'_>) -> Option<Cause>;

/// The rules, the most certain first.
const RULES: [Rule; 12] = [
    exec_format,
    out_of_memory,
    settings_attribute,
    settings_validation,
    missing_dependency,
    unbindable,
    name_not_resolved,
    outbound_connection,
    wrong_port,
    bound_elsewhere,
    probe_status,
    silent_exit,
];

/// Causes that the log itself names.
const OF_THE_LOG: [&str; 4] = ["exec-format-error", "missing-attribute", "settings-validation", "missing-dependency"];
/// Causes that stand on what the network saw.
const OF_THE_NETWORK: [&str; 2] = ["name-not-resolved", "outbound-call-at-startup"];
/// Words of a log that speaks of the network.
const NETWORK_WORDS: [&str; 6] = ["onnection", "timed out", "imeout", "resol", "unreachable", "refused"];

/// Every cause that the evidence supports, the most certain first.
#[must_use]
pub fn causes(facts: &Facts<'_>) -> Vec<Cause> {
    if *facts.outcome == Outcome::Healthy {
        return Vec::new();
    }
    let all: Vec<Cause> = RULES.iter().filter_map(|rule| rule(facts)).collect();
    // An attempt that failed beside an error that has nothing to do with it explains nothing.
    let told = all.first().is_some_and(|c| OF_THE_LOG.contains(&c.id.as_str()));
    let network = line_with(facts, &NETWORK_WORDS).is_some();
    all.into_iter().filter(|c| !told || network || !OF_THE_NETWORK.contains(&c.id.as_str())).collect()
}

fn cause(id: &str, text: String, fix: &str, evidence: Vec<String>) -> Option<Cause> {
    Some(Cause { id: id.to_owned(), text, fix: fix.to_owned(), evidence })
}

/// The last line of the log that contains one of the words.
fn line_with<'a>(facts: &Facts<'a>, words: &[&str]) -> Option<&'a str> {
    facts.log.lines().rev().find(|line| words.iter().any(|word| line.contains(word))).map(str::trim)
}

fn logged(line: &str) -> String {
    format!("log: {}", line.chars().take(300).collect::<String>())
}

/// The deepest frame of the application's own code in a Python traceback: `file, line, in function`.
fn python_frame(log: &str) -> Option<String> {
    let foreign = ["site-packages", "/opt/site/", "/usr/lib/python", "/usr/local/lib/python", "<frozen"];
    log.lines()
        .rev()
        .map(str::trim)
        .find(|l| l.starts_with("File \"") && !foreign.iter().any(|f| l.contains(f)))
        .map(|l| l.trim_start_matches("File ").to_owned())
}

fn exec_format(facts: &Facts<'_>) -> Option<Cause> {
    let line = line_with(facts, &["exec format error", "Exec format error"])?;
    cause(
        "exec-format-error",
        "The kernel could not execute the image's program: it is built for another architecture, or a script has no \
         `#!` line."
            .to_owned(),
        "Build for linux/amd64 (`docker buildx build --platform linux/amd64 …`) and give scripts a `#!` line.",
        vec![logged(line)],
    )
}

fn out_of_memory(facts: &Facts<'_>) -> Option<Cause> {
    if *facts.outcome != Outcome::OomKilled {
        return None;
    }
    let limit = facts.memory.map(crate::model::units::show_bytes).unwrap_or_else(|| "its limit".to_owned());
    cause(
        "out-of-memory",
        format!("The kernel killed the process because it needed more memory than {limit}."),
        &format!("Give the instance more memory ({}), or start fewer workers.", facts.service.platform.more_memory),
        vec!["engine: OOMKilled, exit code 137".to_owned()],
    )
}

fn settings_attribute(facts: &Facts<'_>) -> Option<Cause> {
    let line = line_with(facts, &["AttributeError:"])?;
    let about = line.split('\'').collect::<Vec<_>>();
    let (object, attribute) = (about.get(1)?, about.get(3)?);
    let mut evidence = vec![logged(line)];
    evidence.extend(python_frame(facts.log).map(|f| format!("traceback: {f}")));
    cause(
        "missing-attribute",
        format!(
            "The code reads the attribute `{attribute}` of `{object}`, which has none of that name; on a settings \
             object the case must be that of the field."
        ),
        "Use the attribute's own name (the field `DATABASE_URL` is `settings.DATABASE_URL`), and run the same branch in \
         a test with the production value of ENV.",
        evidence,
    )
}

fn settings_validation(facts: &Facts<'_>) -> Option<Cause> {
    let line = line_with(facts, &["ValidationError:", "validation error for", "validation errors for"])?;
    let lines: Vec<&str> = facts.log.lines().collect();
    // Pydantic names each field on a line of its own after the headline, then the message, indented.
    let headline = lines.iter().rposition(|l| l.contains("validation error"))?;
    let fields: Vec<&str> = lines[headline + 1..]
        .iter()
        .take_while(|l| !l.trim().is_empty())
        .filter(|l| !l.starts_with(' '))
        .map(|l| l.trim())
        .collect();
    let which = if fields.is_empty() { "a setting".to_owned() } else { format!("`{}`", fields.join("`, `")) };
    cause(
        "settings-validation",
        format!(
            "The settings are validated when they are loaded, and {which} did not pass: missing, empty or malformed."
        ),
        "Set the variable in the service's configuration (RuntimeEnvironmentVariables, or RuntimeEnvironmentSecrets for \
         a secret). A map that is given to update-service replaces the whole map.",
        vec![logged(line)],
    )
}

fn missing_dependency(facts: &Facts<'_>) -> Option<Cause> {
    let line =
        line_with(facts, &["ModuleNotFoundError:", "ImportError:", "Cannot find module", "cannot open shared object"])?;
    cause(
        "missing-dependency",
        "A module or library that the program needs is not in the image.".to_owned(),
        "Install it in the image, not only on the laptop: a bind mount or a development dependency hides it locally.",
        vec![logged(line)],
    )
}

fn unbindable(facts: &Facts<'_>) -> Option<Cause> {
    let words = ["EADDRNOTAVAIL", "annot assign requested address"];
    let line = line_with(facts, &words)?;
    cause(
        "bind-host-name",
        "The program binds an address that no interface of the container has: the one that HOSTNAME resolves to, or one \
         of IPv6 where there is none."
            .to_owned(),
        "Bind 0.0.0.0; where the framework reads HOSTNAME for it, set the bind address in the start command \
         (`HOSTNAME=0.0.0.0 node server.js`).",
        vec![logged(line)],
    )
}

fn name_not_resolved(facts: &Facts<'_>) -> Option<Cause> {
    let failed = |answer: &str| ["SERVFAIL", "NXDOMAIN", "no answer"].contains(&answer);
    let question = facts.evidence.dns.iter().rev().find(|q| failed(&q.answer) && q.record != "PTR")?;
    let mut evidence = vec![format!(
        "asked at {:.0} ms for {} ({}): {}",
        question.at_ms, question.name, question.record, question.answer
    )];
    evidence.extend(python_frame(facts.log).map(|f| format!("traceback: {f}")));
    cause(
        "name-not-resolved",
        format!("While it starts the process asks for {}, and the name cannot be resolved.", question.name),
        "Do not need the network to start: connect when the first request needs it, with a time-out and retries. In a \
         VPC, switch on DNS resolution and DNS hostnames.",
        evidence,
    )
}

fn outbound_connection(facts: &Facts<'_>) -> Option<Cause> {
    // The endpoints beside the container are asked by every AWS SDK, with or without success.
    let outbound = |c: &&crate::model::observation::ConnectAttempt| !c.address.is_link_local() && c.protocol == "tcp";
    let attempt = facts.evidence.connects.iter().rev().filter(outbound).find(|c| c.fate != Fate::Answered)?;
    let host = attempt.name.clone().unwrap_or_else(|| attempt.address.to_string());
    let fate = match attempt.fate {
        Fate::Silent => "nothing came back",
        Fate::Refused => "refused",
        Fate::Unreachable => "host unreachable",
        Fate::Answered => "answered",
    };
    let mut evidence = vec![format!("connected at {:.0} ms to {host}:{}: {fate}", attempt.at_ms, attempt.port)];
    evidence.extend(python_frame(facts.log).map(|f| format!("traceback: {f}")));
    cause(
        "outbound-call-at-startup",
        format!("While it starts the process opens a connection to {host}:{}, and that fails ({fate}).", attempt.port),
        "Make the client lazily, in the route that needs it, with a time-out and retries; or give the VPC connector's \
         subnets a NAT gateway (or a VPC endpoint) so that the host can be reached.",
        evidence,
    )
}

fn class_c(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::NeverListened | Outcome::Unhealthy)
}

fn wrong_port(facts: &Facts<'_>) -> Option<Cause> {
    let port = facts.service.port;
    if !class_c(facts.outcome) || facts.evidence.listens.iter().any(|l| l.port == port) {
        return None;
    }
    let other = facts.evidence.listens.first()?;
    cause(
        "port-mismatch",
        format!("The process listens on port {}, the health check asks port {port}.", other.port),
        "Let the program listen on the port in PORT, or set the service's port to the one that it uses.",
        vec![format!("opened at {:.0} ms: {}:{}", other.at_ms, other.address, other.port)],
    )
}

fn bound_elsewhere(facts: &Facts<'_>) -> Option<Cause> {
    let port = facts.service.port;
    let listens = &facts.evidence.listens;
    let reached = |l: &&crate::model::observation::Listening| l.reachable_at(facts.own);
    if !class_c(facts.outcome) || listens.iter().filter(|l| l.port == port).any(|l| reached(&l)) {
        return None;
    }
    let bound = listens.iter().find(|l| l.port == port)?;
    let (id, what) = if bound.address.is_loopback() {
        ("bound-to-loopback", "only inside of the container")
    } else {
        ("bound-to-host-name", "not at the address that is probed")
    };
    let address: IpAddr = bound.address;
    cause(
        id,
        format!("The process listens on {address}:{port}, which can be reached {what}."),
        "Bind 0.0.0.0 instead.",
        vec![format!("opened at {:.0} ms: {address}:{port}", bound.at_ms)],
    )
}

fn probe_status(facts: &Facts<'_>) -> Option<Cause> {
    if !class_c(facts.outcome) {
        return None;
    }
    let last = facts.evidence.probes.last()?;
    let ProbeResult::Status(status) = last.result else { return None };
    let HealthCheck { path, .. } = &facts.service.health_check;
    let why = match status {
        401 | 403 => "the route asks for credentials",
        404 => "there is no such route in this image",
        400 => "the Host header of the probe may not be allowed",
        500..=599 => "the route itself fails",
        _ => "not a status that passes",
    };
    cause(
        "probe-status",
        format!("The health check of {path} is answered with {status}: {why}."),
        "Give the service a health check path that answers 200 without credentials, or use the TCP check.",
        vec![format!("probe at {:.0} ms: status {status}", last.at_ms)],
    )
}

fn silent_exit(facts: &Facts<'_>) -> Option<Cause> {
    if facts.exit_code.is_none() || !facts.log.trim().is_empty() || *facts.outcome == Outcome::OomKilled {
        return None;
    }
    cause(
        "no-output",
        format!("The process ended with code {} without a word.", facts.exit_code.unwrap_or_default()),
        "Make it speak: PYTHONUNBUFFERED=1 for Python, `set -x` in a start script, logging set up before settings are \
         loaded.",
        vec!["log: empty".to_owned()],
    )
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::model::observation::{ConnectAttempt, DnsQuestion, Listening, ProbeAttempt};
    use crate::model::service::Protocol;

    fn service() -> Service {
        Service {
            platform: crate::model::Platform::some(),
            port: 8000,
            env: BTreeMap::new(),
            secrets: BTreeSet::new(),
            start_command: None,
            upstreams: Vec::new(),
            health_check: HealthCheck {
                protocol: Protocol::Http,
                path: "/healthz".to_owned(),
                interval: 5,
                timeout: 2,
                healthy_threshold: 1,
                unhealthy_threshold: 5,
            },
            checks: Vec::new(),
            cpu_milli: 1000,
            memory: 2 << 30,
        }
    }

    fn ids(outcome: Outcome, exit_code: Option<i64>, evidence: &Evidence, log: &str) -> Vec<String> {
        let service = service();
        let facts = Facts {
            outcome: &outcome,
            exit_code,
            evidence,
            log,
            service: &service,
            own: [10, 0, 61, 20].into(),
            memory: Some(512 << 20),
        };
        causes(&facts).into_iter().map(|c| c.id).collect()
    }

    #[test]
    fn what_a_log_says() {
        let none = Evidence::default();
        for (log, id) in [
            ("exec /bin/sh: exec format error", "exec-format-error"),
            ("AttributeError: 'Settings' object has no attribute 'database_url'", "missing-attribute"),
            (
                "pydantic_core.ValidationError: 1 validation error for Settings\nJWT_SECRET\n  Field required",
                "settings-validation",
            ),
            ("ModuleNotFoundError: No module named 'psycopg'", "missing-dependency"),
            ("Error: listen EADDRNOTAVAIL: address not available 10.0.248.213", "bind-host-name"),
            ("  \n", "no-output"),
        ] {
            assert_eq!(ids(Outcome::Exited, Some(1), &none, log), [id], "{log}");
        }
        assert_eq!(ids(Outcome::Exited, Some(1), &none, "something else"), Vec::<String>::new());
        assert_eq!(ids(Outcome::Healthy, None, &none, "AttributeError: 'a' has no 'b'"), Vec::<String>::new());
        assert_eq!(ids(Outcome::OomKilled, Some(137), &none, ""), ["out-of-memory"]);
    }

    #[test]
    fn what_the_network_says() {
        let question = DnsQuestion {
            at_ms: 1.0,
            name: "h".to_owned(),
            record: "A".to_owned(),
            answer: "SERVFAIL".to_owned(),
            own: false,
        };
        let evidence = Evidence { dns: vec![question.clone()], ..Evidence::default() };
        assert_eq!(ids(Outcome::Exited, Some(1), &evidence, "x"), ["name-not-resolved"]);
        let good =
            Evidence { dns: vec![DnsQuestion { answer: "198.18.0.1".to_owned(), ..question }], ..Evidence::default() };
        assert_eq!(ids(Outcome::Exited, Some(1), &good, "x"), Vec::<String>::new());
        let attempt = ConnectAttempt {
            at_ms: 1.0,
            protocol: "tcp".to_owned(),
            address: std::net::Ipv4Addr::new(198, 18, 0, 1),
            port: 443,
            name: Some("verify.twilio.com".to_owned()),
            fate: Fate::Silent,
            sent: 3,
        };
        let evidence = Evidence { connects: vec![attempt.clone()], ..Evidence::default() };
        assert_eq!(ids(Outcome::Exited, Some(1), &evidence, "x"), ["outbound-call-at-startup"]);
        let evidence =
            Evidence { connects: vec![ConnectAttempt { fate: Fate::Answered, ..attempt }], ..Evidence::default() };
        assert_eq!(ids(Outcome::Exited, Some(1), &evidence, "x"), Vec::<String>::new());
    }

    #[test]
    fn what_the_ports_and_probes_say() {
        let at = |address: &str, port: u16| Evidence {
            listens: vec![Listening { at_ms: 1.0, address: address.parse().expect("an address"), port }],
            ..Evidence::default()
        };
        assert_eq!(ids(Outcome::NeverListened, None, &at("0.0.0.0", 4001), "x"), ["port-mismatch"]);
        assert_eq!(ids(Outcome::NeverListened, None, &at("127.0.0.1", 8000), "x"), ["bound-to-loopback"]);
        assert_eq!(ids(Outcome::NeverListened, None, &at("10.0.248.213", 8000), "x"), ["bound-to-host-name"]);
        assert_eq!(ids(Outcome::Unhealthy, None, &at("0.0.0.0", 8000), "x"), Vec::<String>::new());
        let probe = ProbeAttempt { at_ms: 1.0, result: ProbeResult::Status(404), passed: false, early: false };
        let evidence = Evidence { probes: vec![probe], ..at("0.0.0.0", 8000) };
        assert_eq!(ids(Outcome::Unhealthy, None, &evidence, "x"), ["probe-status"]);
    }
}
