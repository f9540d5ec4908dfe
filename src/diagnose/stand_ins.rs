//! Servers that nobody plays: what a program does without them says nothing about its image, and what a healthy run rests
//! on. Pure.

use std::collections::BTreeMap;

use crate::model::Platform;
use crate::model::observation::{Evidence, Listening, ProbeResult, Reply, Spoken, StandIn};
use crate::model::outcome::{Cause, Need, Outcome};
use crate::model::words::has_word;

/// Causes that no answer of a server changes.
const WITHOUT_SERVERS: [&str; 21] = [
    "aws-region",
    "bind-host-name",
    "crlf-shebang",
    "database-url",
    "disk-full",
    "exec-format-error",
    "file-permission",
    "heap-out-of-memory",
    "malformed-value",
    "missing-dependency",
    "missing-file",
    "missing-program",
    "missing-variable",
    "not-executable",
    "port-in-use",
    "privileged-port",
    "read-only-files",
    "settings-attribute-case",
    "settings-validation",
    "start-command-split",
    "too-many-files",
];
/// A program that ends sooner after it was left without an answer did not wait for it.
const WAITED_MS: f64 = 900.0;

/// How an attempt ended, as far as it matters here.
pub(crate) struct Ended<'a> {
    pub(crate) outcome: &'a Outcome,
    /// Milliseconds from the start of the process to its end, if it ended.
    pub(crate) at_ms: Option<f64>,
    pub(crate) evidence: &'a Evidence,
    /// The causes found in the log and the evidence.
    pub(crate) causes: &'a [Cause],
    /// The variables of the container.
    pub(crate) env: &'a BTreeMap<String, Option<String>>,
}

/// Causes that tell of a server that could not be used, although its opening was played.
const OF_SERVERS: [&str; 4] = ["certificate", "database-credentials", "database-missing", "database-unreachable"];

/// Whether a failure may depend on what servers answer.
#[must_use]
pub(crate) fn may_depend_on_servers(outcome: &Outcome, evidence: &Evidence, causes: &[Cause]) -> bool {
    match outcome {
        Outcome::Exited | Outcome::Signalled => {
            !causes.iter().any(|cause| WITHOUT_SERVERS.iter().any(|id| cause.is(id)))
        }
        // Else it serves, only not where it is probed.
        Outcome::NeverListened => evidence.listens.iter().all(Listening::is_internal),
        Outcome::Unhealthy => evidence.probes.last().is_some_and(|probe| match &probe.result {
            ProbeResult::Status(status) => *status >= 500,
            ProbeResult::TimedOut | ProbeResult::Broken(_) => true,
            ProbeResult::Accepted | ProbeResult::Refused => false,
        }),
        // A request after healthy may fail.
        Outcome::Healthy => true,
        Outcome::OomKilled | Outcome::NotStarted => false,
    }
}

/// The servers without which the failure of an attempt says nothing about its image.
#[must_use]
pub(crate) fn missing_servers(ended: &Ended<'_>) -> Vec<Need> {
    let Ended { outcome, at_ms, evidence, causes, env } = ended;
    if !may_depend_on_servers(outcome, evidence, causes) {
        return Vec::new();
    }
    let names_a_server = causes.iter().any(|cause| OF_SERVERS.iter().any(|id| cause.is(id)));
    let waited = |stand_in: &StandIn| at_ms.is_none_or(|at| at - stand_in.at_ms >= WAITED_MS);
    let matters = |stand_in: &&StandIn| match (stand_in.reply, outcome) {
        (Reply::Http, _) => false,
        _ if stand_in.refused.is_some() => true,
        (_, Outcome::Healthy) => false,
        // All that it asked was answered.
        (Reply::Opening(_), _) => names_a_server,
        (Reply::Nothing, _) => waited(stand_in),
    };
    evidence.stand_ins.iter().filter(matters).map(|stand_in| need(stand_in, env)).collect()
}

/// What a server is, its name in a sentence, and the service container that plays it.
const SERVERS: [(Spoken, &str, &str); 6] = [
    (Spoken::Amqp, "RabbitMQ", "container: {image: 'rabbitmq:3'}"),
    (Spoken::Mongodb, "MongoDB", "container: {image: 'mongo:7'}"),
    (Spoken::Mysql, "MySQL", "container: {image: 'mysql:8', env: {MYSQL_ALLOW_EMPTY_PASSWORD: 'yes'}}"),
    (Spoken::Postgresql, "PostgreSQL", "container: {image: 'postgres:16', env: {POSTGRES_HOST_AUTH_METHOD: trust}}"),
    (Spoken::Redis, "Redis", "container: {image: 'redis:7'}"),
    (Spoken::Smtp, "a mail server", "container: {image: 'axllent/mailpit', env: {MP_SMTP_BIND_ADDR: '0.0.0.0:PORT'}}"),
];

/// The protocol that a stand-in spoke, in words.
fn spoken(stand_in: &StandIn) -> Option<(&'static str, &'static str)> {
    let Reply::Opening(spoken) = stand_in.reply else { return None };
    SERVERS.iter().find(|(known, ..)| *known == spoken).map(|(_, name, container)| (*name, *container))
}

fn need(stand_in: &StandIn, env: &BTreeMap<String, Option<String>>) -> Need {
    let host = stand_in.host();
    let port = stand_in.port;
    let of = spoken(stand_in);
    let names = |value: &Option<String>| value.as_ref().is_some_and(|value| has_word(value, &host));
    let variable = env.iter().find(|(_, value)| names(value)).map(|(name, _)| name);
    let about: Vec<String> = of
        .map(|(name, _)| name.to_owned())
        .into_iter()
        .chain(variable.map(|name| format!("named by {name}")))
        .collect();
    let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
    let asked = match &stand_in.refused {
        Some(command) => format!("it sent {command}, which only the real server can answer"),
        None => "it waited for an answer".to_owned(),
    };
    let container = of.map_or("container: {image: IMAGE}", |(_, container)| container);
    let container = container.replace("PORT", &port.to_string());
    Need {
        kind: "upstream".to_owned(),
        text: format!("nothing here plays {host}:{port}{about}: {asked}"),
        add: format!("upstreams: [{{host: {host}, port: {port}, {container}}}]"),
    }
}

/// What is needed instead of an answer that the sandbox made up.
#[must_use]
pub(crate) fn made_up_answer(stand_in: &StandIn) -> Need {
    let host = stand_in.host();
    let port = stand_in.port;
    Need {
        kind: "upstream".to_owned(),
        text: format!(
            "the sandbox made up what {host}:{port} answers (200 and `{{}}`), and the program fails differently when \
             that answer is another"
        ),
        add: format!("upstreams: [{{host: {host}, port: {port}, respond: {{status: 200, body: BODY}}}}]"),
    }
}

/// What a healthy run rests on that may be otherwise on the platform: servers that nobody plays, a redirect.
#[must_use]
pub(crate) fn rests_on(evidence: &Evidence, platform: &Platform) -> Vec<String> {
    let note = |stand_in: &StandIn| {
        let host = stand_in.host();
        let about = spoken(stand_in).map(|(name, _)| format!(" ({name})")).unwrap_or_default();
        let more = match &stand_in.refused {
            Some(command) => format!("only accepted its connection, and refused {command}"),
            None => "only accepted its connection".to_owned(),
        };
        format!("nothing here plays {}:{}{about}: the sandbox {more}", host, stand_in.port)
    };
    let passed = evidence.probes.last().filter(|probe| probe.passed);
    let redirect = passed.and_then(|probe| {
        let ProbeResult::Status(status @ 300..=399) = probe.result else { return None };
        let to = probe.location.as_ref().map(|to| format!(" to {to}")).unwrap_or_default();
        Some(format!(
            "the health check was answered {status}, a redirect{to}: only 200 is known to pass on {}, and what is behind \
             the redirect was not asked for",
            platform.name
        ))
    });
    let stand_ins = evidence.stand_ins.iter().filter(|stand_in| stand_in.reply != Reply::Http);
    stand_ins.map(note).chain(redirect).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::{Listening, ProbeAttempt};

    fn stand_in(at_ms: f64, reply: Reply, refused: Option<&str>) -> StandIn {
        let (address, name) = ([10, 0, 3, 4].into(), Some("db.internal".to_owned()));
        StandIn { at_ms, address, port: 5432, name, reply, refused: refused.map(ToOwned::to_owned) }
    }

    #[test]
    fn tells_what_a_failure_owes_to_a_missing_server() {
        let postgres = Reply::Opening(Spoken::Postgresql);
        let [refused, waits] = [stand_in(500.0, postgres, Some("a query")), stand_in(500.0, postgres, None)];
        let silent = stand_in(500.0, Reply::Nothing, None);
        let http = stand_in(500.0, Reply::Http, None);
        let [exited, never, unhealthy] = [Outcome::Exited, Outcome::NeverListened, Outcome::Unhealthy];
        let probe = |status| ProbeAttempt {
            at_ms: 1.0,
            result: ProbeResult::Status(status),
            passed: false,
            early: false,
            location: None,
        };
        let listen = Listening { at_ms: 1.0, address: [127, 0, 0, 1].into(), port: 8000 };
        for (what, outcome, at_ms, stand_in, cause, status, listens, expected) in [
            ("a refused query", &exited, Some(510.0), &refused, "unhandled", 0, false, true),
            ("a variable is missing", &exited, Some(510.0), &refused, "missing-variable", 0, false, false),
            ("all was answered", &exited, Some(5500.0), &waits, "unhandled", 0, false, false),
            ("its login failed", &exited, Some(600.0), &waits, "certificate", 0, false, true),
            ("it ended at once", &exited, Some(600.0), &silent, "unhandled", 0, false, false),
            ("it waited for an answer", &exited, Some(5500.0), &silent, "unhandled", 0, false, true),
            ("still waiting", &never, None, &silent, "unhandled", 0, false, true),
            ("bound to loopback", &never, None, &silent, "unhandled", 0, true, false),
            ("its page is an error", &unhealthy, None, &refused, "status", 503, true, true),
            ("another path", &unhealthy, None, &refused, "status", 404, true, false),
            ("made-up HTTP", &exited, Some(5500.0), &http, "unhandled", 0, false, false),
            ("a check fails", &Outcome::Healthy, None, &refused, "unhandled", 0, false, true),
            ("a check fails by itself", &Outcome::Healthy, None, &silent, "unhandled", 0, false, false),
        ] {
            let evidence = Evidence {
                stand_ins: vec![stand_in.clone()],
                probes: if status > 0 { vec![probe(status)] } else { Vec::new() },
                listens: if listens { vec![listen.clone()] } else { Vec::new() },
                ..Evidence::default()
            };
            let cause = Cause {
                id: cause.to_owned(),
                text: String::new(),
                fix: String::new(),
                evidence: Vec::new(),
                ..Cause::default()
            };
            let env = BTreeMap::from([("DATABASE_URL".to_owned(), Some("postgresql://db.internal/app".to_owned()))]);
            let ended = Ended { outcome, at_ms, evidence: &evidence, causes: &[cause], env: &env };
            assert_eq!(!missing_servers(&ended).is_empty(), expected, "{what}");
        }
    }

    #[test]
    fn names_the_server_and_what_to_add() {
        let postgres = Reply::Opening(Spoken::Postgresql);
        let evidence = Evidence { stand_ins: vec![stand_in(1.0, postgres, Some("a query"))], ..Evidence::default() };
        let env = BTreeMap::from([("DATABASE_URL".to_owned(), Some("postgresql://db.internal/app".to_owned()))]);
        let ended = Ended { outcome: &Outcome::Exited, at_ms: Some(9.0), evidence: &evidence, causes: &[], env: &env };
        let [need] = missing_servers(&ended).try_into().expect("one");
        assert_eq!(
            need.text,
            "nothing here plays db.internal:5432 (PostgreSQL, named by DATABASE_URL): it sent a query, which only the \
             real server can answer"
        );
        let container = "container: {image: 'postgres:16', env: {POSTGRES_HOST_AUTH_METHOD: trust}}";
        assert_eq!(need.add, format!("upstreams: [{{host: db.internal, port: 5432, {container}}}]"));
        assert_eq!(
            rests_on(&evidence, &Platform::some()),
            [
                "nothing here plays db.internal:5432 (PostgreSQL): the sandbox only accepted its connection, and refused \
              a query"
            ]
        );
    }
}
