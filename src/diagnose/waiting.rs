//! What a process that never served was waiting for, as far as it shows from outside.

use crate::model::observation::{DnsQuestion, Evidence, Usage};

/// CPU use from which a process is computing, and from which one that is throttled is.
const BUSY: (f64, f64) = (0.5, 0.1);

/// The usage of a process that was computing when last checked; `None` if it was not.
pub(crate) fn is_computing(evidence: &Evidence) -> Option<Usage> {
    evidence.usage.filter(|u| u.recent_cpu >= BUSY.0 || (u.throttled_ms > 0.0 && u.recent_cpu > BUSY.1))
}

/// The last question to the resolver, if it was not answered.
pub(super) fn unanswered(evidence: &Evidence) -> Option<&DnsQuestion> {
    evidence.dns.last().filter(|question| question.answer == "no answer")
}

/// What it was waiting for when given up, most conclusive first.
#[must_use]
pub(crate) fn waiting_for(evidence: &Evidence) -> Vec<String> {
    let mut found = Vec::new();
    for socket in &evidence.sockets {
        let host = socket.name.clone().unwrap_or_else(|| socket.address.to_string());
        found.push(if socket.accepted {
            format!("perhaps an answer of {host}:{}, to which it is connected", socket.port)
        } else {
            format!("{host}:{} to accept its connection", socket.port)
        });
    }
    if let Some(question) = unanswered(evidence).filter(|_| found.is_empty()) {
        found.push(format!("the resolver's answer for {} ({})", question.name, question.record));
    }
    if let Some(usage) = is_computing(evidence) {
        let held = if usage.throttled_ms > 0.0 {
            format!("; its limit has held it back for {:.1} s", usage.throttled_ms / 1000.0)
        } else {
            String::new()
        };
        found.push(format!("its own computing: {:.2} CPUs busy in the last second{held}", usage.recent_cpu));
    }
    if found.is_empty() {
        found.push(
            "nothing that can be seen from outside: it sleeps, or waits for a lock, a file, a child or standard input"
                .to_owned(),
        );
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::OpenSocket;

    #[test]
    fn names_what_a_process_waits_for() {
        let mut evidence = Evidence::default();
        assert!(waiting_for(&evidence)[0].starts_with("nothing that can be seen"));
        evidence.usage = Some(Usage { recent_cpu: 0.98, ..Usage::default() });
        assert_eq!(waiting_for(&evidence), ["its own computing: 0.98 CPUs busy in the last second"]);
        evidence.usage = None;
        evidence.dns.push(DnsQuestion {
            at_ms: 1.0,
            name: "a.b".to_owned(),
            record: "A".to_owned(),
            answer: "no answer".to_owned(),
            own: false,
        });
        assert_eq!(waiting_for(&evidence), ["the resolver's answer for a.b (A)"]);
        let socket = |accepted| OpenSocket {
            address: [10, 0, 3, 4].into(),
            port: 5432,
            name: Some("db.internal".to_owned()),
            accepted,
        };
        evidence.sockets = vec![socket(false), socket(true)];
        assert_eq!(
            waiting_for(&evidence),
            [
                "db.internal:5432 to accept its connection",
                "perhaps an answer of db.internal:5432, to which it is connected"
            ]
        );
    }
}
