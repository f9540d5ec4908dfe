//! The evidence of a case as readable lines.

use super::view::plural;
use crate::model::observation::{ConnectAttempt, Evidence, Fate, ProbeAttempt, ProbeResult};
use crate::model::outcome::CaseResult;

/// Maximum number of events shown.
const MOST_LINES: usize = 14;

/// A port is seen to be open at most this many milliseconds late.
const LATE_MS: f64 = 100.0;

/// What a candidate did and what stopped it, in chronological order.
#[must_use]
pub(crate) fn timeline(evidence: &Evidence) -> Vec<String> {
    let mut lines: Vec<(f64, String)> = Vec::new();
    for q in evidence.questions().filter(|q| q.record != "AAAA") {
        lines.push((q.at_ms, format!("looked up {} ({}): {}", q.name, q.record, q.answer)));
    }
    lines.extend(evidence.connects.iter().map(|c| (c.at_ms, attempt(c))));
    // What is open is asked for now and then: a probe may find it first.
    let answered = |probe: &&ProbeAttempt| matches!(probe.result, ProbeResult::Status(_));
    let first = evidence.probes.iter().find(answered).map_or(f64::INFINITY, |probe| probe.at_ms);
    let opened = |at_ms: f64| if (first..first + LATE_MS).contains(&at_ms) { first } else { at_ms };
    lines.extend(evidence.listens.iter().map(|l| (opened(l.at_ms), format!("opened {}", socket(l.address, l.port)))));
    let mut last = String::new();
    for probe in &evidence.probes {
        let text = format!("probe: {}", probed(&probe.result));
        // Repeated answers are shown once.
        if text != last {
            lines.push((probe.at_ms, text.clone()));
        }
        last = text;
    }
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    let left = lines.len().saturating_sub(MOST_LINES);
    let mut shown: Vec<String> = Vec::new();
    for (at, line) in lines.into_iter().take(MOST_LINES) {
        shown.push(format!("{:>8.3} s  {line}", at / 1000.0));
    }
    if left > 0 {
        shown.push(format!("{:>10}  … and {left} more (--format json has them)", ""));
    }
    shown.extend(counted(evidence).iter().map(|line| format!("{:>10}  {line}", "")));
    shown
}

/// What was only counted, one per line.
pub(super) fn counted(evidence: &Evidence) -> Vec<String> {
    let (queries, packets, writes) = (evidence.more_questions, evidence.no_route, evidence.full_disk_writes);
    let all = [
        (queries, format!("{queries} more DNS {}", if queries == 1 { "query" } else { "queries" })),
        (packets, format!("no route for {}", plural(packets, "packet"))),
        (writes, format!("{} failed: disk full", plural(writes, "write"))),
    ];
    all.into_iter().filter(|(count, _)| *count > 0).map(|(_, line)| line).collect()
}

pub(super) fn socket(address: std::net::IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

pub(super) fn attempt(c: &ConnectAttempt) -> String {
    let host = c.name.as_ref().map_or_else(|| c.address.to_string(), |name| format!("{name} ({})", c.address));
    let fate = match c.fate {
        Fate::Answered => "answered".to_owned(),
        Fate::Refused => "refused".to_owned(),
        Fate::Unreachable => "host unreachable".to_owned(),
        Fate::Silent if c.protocol == "udp" => "sent, nothing came back".to_owned(),
        Fate::Silent => format!("no answer after {}", plural(c.sent, "attempt")),
    };
    let verb = if c.protocol == "udp" { "sent to" } else { "connected to" };
    format!("{verb} {host} port {}: {fate}", c.port)
}

pub(super) fn probed(result: &ProbeResult) -> String {
    match result {
        ProbeResult::Accepted => "accepted".to_owned(),
        ProbeResult::Status(status) => format!("status {status}"),
        ProbeResult::Refused => "refused".to_owned(),
        ProbeResult::TimedOut => "no answer in time".to_owned(),
        ProbeResult::Broken(why) => why.clone(),
    }
}

/// The process's use of memory and CPU, in one line.
#[must_use]
pub(crate) fn usage(evidence: &Evidence) -> Option<String> {
    let usage = evidence.usage?;
    let megabytes = usage.memory_peak as f64 / f64::from(1 << 20);
    let mut text = format!(
        "at most {megabytes:.0} MB of memory and {:.2} CPUs, {:.2} s of CPU time",
        usage.cpu_peak,
        usage.cpu_ms / 1000.0
    );
    if usage.throttled_ms > 0.0 {
        text.push_str(&format!(", held back by its CPU limit for {:.2} s", usage.throttled_ms / 1000.0));
    }
    if usage.memory_limit_hits > 0 {
        text.push_str(&format!(", hit its memory limit {}", plural(usage.memory_limit_hits, "time")));
    }
    if usage.oom_kills > 0 {
        let processes = if usage.oom_kills == 1 { "process" } else { "processes" };
        text.push_str(&format!(", {} {processes} killed by the kernel (out of memory)", usage.oom_kills));
    } else if usage.oom_kills_at_end > 0 {
        text.push_str(", ended while the kernel was killing processes (out of memory)");
    }
    Some(text)
}

/// The conditions that were not exercised, one per line.
#[must_use]
pub(crate) fn not_exercised(result: &CaseResult) -> Vec<String> {
    result.not_exercised.iter().map(|n| format!("{} was not exercised: {}", n.condition, n.because)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::{DnsQuestion, Listening, ProbeAttempt, Usage};

    #[test]
    fn timeline_is_chronological() {
        let probe = |at_ms, result| ProbeAttempt { at_ms, passed: false, result, early: false, location: None };
        let evidence = Evidence {
            dns: vec![DnsQuestion {
                at_ms: 10.0,
                name: "a.b".to_owned(),
                record: "A".to_owned(),
                answer: "198.18.0.1".to_owned(),
                own: false,
            }],
            connects: vec![ConnectAttempt {
                at_ms: 11.0,
                protocol: "tcp".to_owned(),
                address: [198, 18, 0, 1].into(),
                port: 443,
                name: Some("a.b".to_owned()),
                fate: Fate::Silent,
                sent: 3,
            }],
            listens: vec![Listening { at_ms: 5.0, address: "::1".parse().expect("one"), port: 8000 }],
            probes: vec![probe(5000.0, ProbeResult::Refused), probe(10_000.0, ProbeResult::Refused)],
            usage: Some(Usage { memory_peak: 3 << 20, cpu_peak: 0.5, cpu_ms: 20.0, ..Usage::default() }),
            more_questions: 20_000,
            no_route: 2,
            full_disk_writes: 1,
            ..Evidence::default()
        };
        let expected = [
            "   0.005 s  opened [::1]:8000",
            "   0.010 s  looked up a.b (A): 198.18.0.1",
            "   0.011 s  connected to a.b (198.18.0.1) port 443: no answer after 3 attempts",
            "   5.000 s  probe: refused",
            "            20000 more DNS queries",
            "            no route for 2 packets",
            "            1 write failed: disk full",
        ];
        assert_eq!(timeline(&evidence), expected);
        assert_eq!(usage(&evidence).as_deref(), Some("at most 3 MB of memory and 0.50 CPUs, 0.02 s of CPU time"));
    }
}
