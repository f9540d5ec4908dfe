//! Conditions that the log of a failed deployment points to. Pure.

use std::collections::BTreeSet;

use super::causes::VAGUE;
use crate::model::condition::{Argument, Host, kinds};
use crate::model::deployment::Seen;
use crate::model::words::has_word;
use crate::model::{Condition, Service};

/// What a cause in the log points to. `HOST` stands for each host that the log or a variable names, `NAME` for each
/// variable that the log names or shows the value of.
const POINTS_TO: [(&[&str], &[&str]); 7] = [
    (
        &["name-not-resolved"],
        &["dns.servfail", "dns.nxdomain", "dns.drop", "dns.truncated", "dns.nxdomain@HOST", "dns.servfail@HOST"],
    ),
    (
        &["outbound-call-at-startup", "database-unreachable", "never-listened"],
        &["egress.drop:HOST", "upstream.refused:HOST", "egress.reject", "egress.unreachable"],
    ),
    (&["database-credentials", "upstream-credentials"], &["upstream.denied:HOST"]),
    (&["bind-host-name", "bound-to-host-name"], &["hostname.unbindable", "ipv6.off"]),
    (&["aws-credentials"], &["metadata.none", "metadata.denied"]),
    (&["read-only-files", "disk-full"], &["rootfs.readonly", "disk.full"]),
    (
        &["malformed-value", "settings-validation", "missing-variable", "database-url", "uncaught-exception"],
        &["env.quoted:NAME", "env.newline:NAME", "env.empty:NAME", "env.json:NAME"],
    ),
];
/// What may befall a single host.
const OF_A_HOST: [&str; 2] = ["dns.nxdomain@", "egress.drop:"];
/// Maximum number of hosts, and of variables.
const MOST_NAMES: usize = 4;
/// A value this short occurs in a log by chance.
const LEAST_VALUE: usize = 3;

/// The conditions that the log points to.
#[must_use]
pub(crate) fn pointed_at(seen: &Seen, service: &Service) -> Vec<Condition> {
    let (hosts, names) = (hosts(seen, service), variables(seen, service));
    let mut found: Vec<Condition> = Vec::new();
    for (causes, templates) in POINTS_TO {
        if !seen.causes.iter().any(|cause| causes.iter().any(|id| cause.is(id))) {
            continue;
        }
        for template in templates {
            let filled: Vec<String> = match (template.contains("HOST"), template.contains("NAME")) {
                (true, _) => hosts.iter().map(|host| template.replace("HOST", host)).collect(),
                (_, true) => names.iter().map(|name| template.replace("NAME", name)).collect(),
                (false, false) => vec![(*template).to_owned()],
            };
            let conditions = filled.iter().filter_map(|text| text.parse::<Condition>().ok());
            for condition in conditions.map(|condition| condition.with_secrets(&service.secrets)) {
                if !found.contains(&condition) {
                    found.push(condition);
                }
            }
        }
    }
    // An error that no rule knows may be of anything that the sandbox can do.
    let is_known = seen.causes.iter().any(|cause| !VAGUE.contains(&cause.id.as_str()));
    if !is_known && !seen.log.is_empty() {
        let all = kinds().filter(|kind| kind.argument == Argument::None).map(|kind| kind.name.to_owned());
        let of_hosts = hosts.iter().flat_map(|host| OF_A_HOST.map(|kind| format!("{kind}{host}")));
        let rest = all.chain(of_hosts).filter_map(|text| text.parse().ok());
        for condition in rest.filter(|condition: &Condition| !condition.is_of_image()) {
            if !found.contains(&condition) {
                found.push(condition);
            }
        }
    }
    found
}

/// The hosts that the log names, then those that variables do.
fn hosts(seen: &Seen, service: &Service) -> Vec<String> {
    let of_log = seen
        .causes
        .iter()
        .flat_map(|cause| [cause.text.as_str()].into_iter().chain(cause.evidence.iter().map(String::as_str)));
    let mut found: Vec<String> = Vec::new();
    let values = service.env.values().map(String::as_str);
    for text in of_log.chain(values) {
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || ".-_".contains(c))) {
            if is_host(word) && !found.iter().any(|known| known == word) {
                found.push(word.to_ascii_lowercase());
            }
        }
    }
    // A log names few; of the variables, those that it names come first.
    found.sort_by_key(|host| !seen.log.contains(host.as_str()));
    found.truncate(MOST_NAMES);
    found
}

/// Whether a word is the name of a host rather than of a file or a module.
fn is_host(word: &str) -> bool {
    const FILES: [&str; 14] =
        ["py", "js", "ts", "json", "yaml", "yml", "txt", "log", "sh", "so", "conf", "html", "pem", "lock"];
    let last = word.rsplit('.').next().unwrap_or_default();
    let parts = word.split('.').count();
    parts >= 2
        && last.len() >= 2
        && last.bytes().all(|b| b.is_ascii_lowercase())
        && !FILES.contains(&last)
        && word.parse::<Host>().is_ok()
        && !word.split('.').any(|part| part.contains('_'))
        // `urllib3.connection.timed` is a module; a host of two parts needs a domain that exists for hosts.
        && (parts >= 3 || ["com", "net", "org", "io", "internal", "local", "dev", "app"].contains(&last))
}

/// The variables that the log names or shows the value of; all of a few if it names none.
fn variables(seen: &Seen, service: &Service) -> Vec<String> {
    let log = &seen.log;
    let named = |(name, value): &(&String, &String)| {
        has_word(log, name) || (value.len() >= LEAST_VALUE && log.contains(value.as_str()))
    };
    let names: BTreeSet<&String> = service.env.iter().filter(named).map(|(name, _)| name).collect();
    let all = names.into_iter().cloned().collect::<Vec<_>>();
    match all.is_empty() && service.env.len() <= MOST_NAMES {
        true => service.env.keys().cloned().collect(),
        false => all.into_iter().take(MOST_NAMES).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Cause;

    fn seen(cause: &str, log: &str) -> Seen {
        let cause = Cause {
            id: cause.to_owned(),
            text: log.to_owned(),
            fix: String::new(),
            evidence: Vec::new(),
            ..Cause::default()
        };
        Seen { causes: vec![cause], log: log.to_owned(), ..Seen::default() }
    }

    fn pointed(seen: &Seen, env: &[(&str, &str)]) -> String {
        let mut service = Service::some();
        service.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = pointed_at(seen, &service);
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn log_points_to_hosts_and_variables() {
        let log = "socket.gaierror: [Errno -2] Name or service not known: ledger.corp.internal (app.py, line 3)";
        assert_eq!(
            pointed(&seen("name-not-resolved", log), &[]),
            "dns.servfail dns.nxdomain dns.drop dns.truncated dns.nxdomain@ledger.corp.internal dns.servfail@ledger.corp.internal"
        );
        let log = "ValueError: invalid literal for int() with base 10: '\"400\"'";
        let env = [("WORKERS", "400"), ("OTHER", "x")];
        assert_eq!(
            pointed(&seen("malformed-value", log), &env),
            "env.quoted:WORKERS env.newline:WORKERS env.empty:WORKERS env.json:WORKERS"
        );
        assert_eq!(pointed(&seen("port-in-use", "EADDRINUSE"), &env), "");
    }

    #[test]
    fn templates_are_conditions() {
        for template in POINTS_TO.iter().flat_map(|(_, templates)| *templates) {
            let text = template.replace("HOST", "a.example.com").replace("NAME", "A");
            assert!(text.parse::<Condition>().is_ok(), "{text}");
        }
    }
}
