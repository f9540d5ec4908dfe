//! Every rule, with a case that triggers it and a near miss.

use super::*;
use crate::catalogue::catalogue;
use crate::model::observation::{
    ConnectAttempt, DnsQuestion, Evidence, Fate, Listening, OpenSocket, ProbeAttempt, Usage,
};
use std::net::Ipv4Addr;

/// What is visible of one attempt.
#[derive(Clone)]
struct Scene {
    outcome: Outcome,
    code: Option<i64>,
    log: String,
    evidence: Evidence,
}

fn died(code: i64, log: &str) -> Scene {
    Scene { outcome: Outcome::Exited, code: Some(code), log: log.to_owned(), evidence: Evidence::default() }
}

fn says(log: &str) -> Scene {
    died(1, log)
}

fn lives(outcome: Outcome, evidence: Evidence) -> Scene {
    Scene { outcome, code: None, log: "INFO: started".to_owned(), evidence }
}

fn deaf(evidence: Evidence) -> Scene {
    lives(Outcome::NeverListened, evidence)
}

fn opens(address: &str, port: u16) -> Evidence {
    let address = address.parse().expect("an address");
    Evidence { listens: vec![Listening { at_ms: 1.0, address, port }], ..Evidence::default() }
}

fn probed(result: ProbeResult) -> Evidence {
    Evidence {
        probes: vec![ProbeAttempt { at_ms: 5.0, result, passed: false, early: false, location: None }],
        ..opens("0.0.0.0", 8000)
    }
}

fn asked(answer: &str) -> Evidence {
    let (name, record, answer) = ("a.example".to_owned(), "A".to_owned(), answer.to_owned());
    Evidence { dns: vec![DnsQuestion { at_ms: 1.0, name, record, answer, own: false }], ..Evidence::default() }
}

fn connected(port: u16, fate: Fate) -> Evidence {
    let (address, name) = (Ipv4Addr::new(198, 18, 0, 1), Some("a.example".to_owned()));
    let attempt = ConnectAttempt { at_ms: 2.0, protocol: "tcp".to_owned(), address, port, name, fate, sent: 2 };
    Evidence { connects: vec![attempt], ..Evidence::default() }
}

fn using(cpu: f64) -> Evidence {
    Evidence { usage: Some(Usage { recent_cpu: cpu, ..Usage::default() }), ..Evidence::default() }
}

fn open_socket() -> Evidence {
    let socket =
        OpenSocket { address: [10, 0, 3, 4].into(), port: 5432, name: Some("db.internal".to_owned()), accepted: true };
    Evidence { sockets: vec![socket], ..Evidence::default() }
}

/// A metrics port is open, the program's own is not yet.
fn metrics_while_connecting() -> Evidence {
    let mut evidence = open_socket();
    evidence.sockets.iter_mut().for_each(|socket| socket.accepted = false);
    Evidence { listens: opens("0.0.0.0", 9090).listens, ..evidence }
}

fn of(scene: &Scene) -> Vec<Cause> {
    of_service(scene, &Service::some())
}

fn of_service(scene: &Scene, service: &Service) -> Vec<Cause> {
    let facts = Facts {
        witness: Witness::Engine,
        outcome: &scene.outcome,
        exit_code: scene.code,
        evidence: &scene.evidence,
        log: &scene.log,
        service,
        own: [10, 0, 61, 20].into(),
        memory: Some(512 << 20),
        env: None,
    };
    causes(&facts, catalogue())
}

/// A traceback that ends with an error.
fn python(error: &str) -> Scene {
    let frames = "  File \"/usr/lib/python3.11/importlib/__init__.py\", line 126, in import_module\n    return f()\n  File \
                  \"/app/app/main.py\", line 7, in <module>\n    client = connect()\n";
    says(&format!("INFO: starting\nTraceback (most recent call last):\n{frames}{error}\n"))
}

/// Rule, case that triggers it, near miss.
fn table() -> Vec<(&'static str, Scene, Scene)> {
    let log = |id, fires: &str, near: &str| (id, says(fires), says(near));
    let oom = Scene { outcome: Outcome::OomKilled, ..died(137, "") };
    vec![
        log("exec-format-error", "exec /bin/sh: exec format error", "date: format error"),
        log(
            "crlf-shebang",
            "env: 'python3\\r': No such file or directory",
            "env: 'python3': No such file or directory",
        ),
        log(
            "privileged-port",
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)",
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Unknown error)",
        ),
        log(
            "bind-host-name",
            "Error: listen EADDRNOTAVAIL: address not available 10.0.248.213",
            "Error: connect EADDRNOTAVAIL ::1:5432",
        ),
        log("port-in-use", "OSError: [Errno 98] Address already in use", "OSError: [Errno 5] Address family"),
        log(
            "start-command-split",
            "app.migrate: error: unrecognized arguments: && exec python3 -m uvicorn app.main:app",
            "app.migrate: error: unrecognized arguments: --fast",
        ),
        ("missing-program", died(127, "/bin/sh: 1: uvicorn: not found"), died(1, "/bin/sh: 1: uvicorn: not found")),
        (
            "not-executable",
            died(126, "/bin/sh: 1: /app/start.sh: Permission denied"),
            died(126, "/bin/sh: 1: /app/start.sh: is odd"),
        ),
        (
            "settings-validation",
            python(
                "pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings\nJWT_SECRET\n  Field \
                 required [type=missing]\nPORT\n  Input should be a valid integer",
            ),
            python("ValueError: validation failed"),
        ),
        (
            "settings-validation",
            says(
                "pydantic_core._pydantic_core.ValidationError: 1 validation error for AppConfig\nPORT\n  Field required",
            ),
            // A request body, or a message at startup.
            says(
                "Traceback (most recent call last):\n  File \"/app/app/orders.py\", line 9, in read\n    Order(**data)\n\
                 pydantic_core._pydantic_core.ValidationError: 1 validation error for Order\nquantity\n  Field required",
            ),
        ),
        (
            "settings-attribute-case",
            python("AttributeError: 'Settings' object has no attribute 'database_url'"),
            python("AttributeError: 'Router' object has no attribute 'database_url'"),
        ),
        (
            "missing-attribute",
            python("AttributeError: module 'app.api' has no attribute 'routes'"),
            python("AttributeError: 'AppConfig' object has no attribute 'routes'"),
        ),
        ("missing-variable", python("KeyError: 'JWT_SECRET'"), python("KeyError: 'user'")),
        log(
            "database-url",
            "sqlalchemy.exc.ArgumentError: Could not parse SQLAlchemy URL from given URL string",
            "sqlalchemy.exc.ArgumentError: Could not parse option",
        ),
        (
            "malformed-value",
            python("ValueError: invalid literal for int() with base 10: 'eighty'"),
            python("ValueError: invalid state"),
        ),
        (
            "missing-dependency",
            python("ModuleNotFoundError: No module named 'psycopg2'"),
            python("ModuleError: 'psycopg2' is old"),
        ),
        log(
            "database-credentials",
            "FATAL:  password authentication failed for user \"app\"",
            "FATAL:  password expired for the day",
        ),
        log("database-missing", "FATAL:  database \"app\\n\" does not exist", "FATAL:  role \"app\" does not exist"),
        log(
            "migration-failed",
            "django.db.utils.ProgrammingError: column \"active\" of relation \"users\" does not exist",
            "alembic.util.exc.CommandError: No config file 'alembic.ini'",
        ),
        (
            "database-unreachable",
            Scene {
                evidence: connected(5432, Fate::Silent),
                ..python("psycopg.OperationalError: connection timeout expired")
            },
            python("psycopg.OperationalError: out of shared memory"),
        ),
        log(
            "aws-credentials",
            "botocore.exceptions.NoCredentialsError: Unable to locate credentials",
            "botocore.exceptions.ParamValidationError: Parameter validation failed",
        ),
        log(
            "aws-region",
            "botocore.exceptions.NoRegionError: You must specify a region.",
            "You must specify a bucket.",
        ),
        log(
            "aws-denied",
            "User: arn:… is not authorized to perform: secretsmanager:GetSecretValue on resource: x",
            "User is not authorized to see this page",
        ),
        log(
            "certificate",
            "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
            "ssl.SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number",
        ),
        log("heap-out-of-memory", "FATAL ERROR: JavaScript heap out of memory", "FATAL ERROR: heap of junk"),
        log("disk-full", "OSError: [Errno 28] No space left on device", "OSError: [Errno 5] Input/output error"),
        log("read-only-files", "mkdir: Read-only file system", "mkdir: File exists"),
        log("too-many-files", "Error: EMFILE: too many open files, open '/app/x'", "Error: too many requests"),
        (
            "host-check",
            Scene {
                log: "Invalid HTTP_HOST header: '10.0.61.20:8000'.".to_owned(),
                ..lives(Outcome::Unhealthy, probed(ProbeResult::Status(400)))
            },
            lives(Outcome::Unhealthy, probed(ProbeResult::Status(400))),
        ),
        (
            "file-permission",
            python("PermissionError: [Errno 13] Permission denied: '/data/app.db'"),
            python("OSError: [Errno 5] denied: '/data/app.db'"),
        ),
        (
            "missing-file",
            python("FileNotFoundError: [Errno 2] No such file or directory: '/app/config.yaml'"),
            python("OSError: no such file"),
        ),
        log(
            "refuses-root",
            "[C 2026-11-28 19:00:00 ServerApp] Running as root is not recommended. Use --allow-root to bypass.",
            "WARNING: Running pip as the 'root' user can result in broken permissions",
        ),
        log(
            "missing-extra",
            "passlib library is not available. You must install it (`pip install 'pypiserver[passlib]'`).",
            "A new release of pip is available: 26.1",
        ),
        (
            "name-not-resolved",
            Scene { evidence: asked("SERVFAIL"), ..says("x") },
            Scene { evidence: asked("198.18.0.1"), ..says("x") },
        ),
        (
            "outbound-call-at-startup",
            Scene { evidence: connected(443, Fate::Silent), ..python("requests.exceptions.ConnectTimeout: timed out") },
            Scene { evidence: connected(443, Fate::Answered), ..says("x") },
        ),
        ("port-mismatch", deaf(opens("0.0.0.0", 4001)), deaf(metrics_while_connecting())),
        ("never-listened", deaf(metrics_while_connecting()), deaf(opens("0.0.0.0", 9090))),
        ("port-mismatch", deaf(opens("0.0.0.0", 4001)), lives(Outcome::Unhealthy, opens("0.0.0.0", 8000))),
        ("bound-to-loopback", deaf(opens("127.0.0.1", 8000)), deaf(opens("0.0.0.0", 8000))),
        // The near miss talks to itself.
        ("bound-to-loopback", deaf(opens("127.0.0.1", 5000)), deaf(opens("127.0.0.1", 48119))),
        ("bound-to-host-name", deaf(opens("10.0.248.213", 8000)), deaf(opens("10.0.61.20", 8000))),
        (
            "probe-status",
            lives(Outcome::Unhealthy, probed(ProbeResult::Status(401))),
            lives(Outcome::Unhealthy, probed(ProbeResult::Accepted)),
        ),
        (
            "probe-timeout",
            lives(Outcome::Unhealthy, probed(ProbeResult::TimedOut)),
            lives(Outcome::Unhealthy, probed(ProbeResult::Refused)),
        ),
        (
            "probe-no-http",
            lives(Outcome::Unhealthy, probed(ProbeResult::Broken("the connection was closed".to_owned()))),
            lives(Outcome::Unhealthy, probed(ProbeResult::Refused)),
        ),
        ("slow-start", deaf(using(0.98)), deaf(using(0.01))),
        ("never-listened", deaf(open_socket()), deaf(using(0.98))),
        ("out-of-memory", oom.clone(), died(137, "x")),
        ("killed", died(137, "x"), oom),
        ("segmentation-fault", died(139, "x"), died(138, "x")),
        ("aborted", died(134, "x"), died(1, "x")),
        ("command-finished", died(0, "done"), died(1, "done")),
        ("uncaught-exception", python("TypeError: unhashable type: 'dict'"), python("KeyError: 'JWT_SECRET'")),
        ("unrecognized-error", says("starting\nERROR: the flux is out of phase\n  at stage 4"), says("starting")),
        ("no-output", died(1, "  \n"), died(1, "x")),
    ]
}

#[test]
fn errors_that_were_being_handled_speak_of_the_network_alone() {
    let log = "Traceback (most recent call last):\n  File \"/app/a.py\", line 1, in f\nPermissionError: [Errno 13] Permission \
               denied: '/cache'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most \
               recent call last):\n  File \"/app/a.py\", line 2, in f\nTimeoutError: Connection timed out\n\nDuring handling of \
               the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/app/a.py\", line \
               3, in <module>\nlists.NotFound: no list\n";
    let failed = Scene { evidence: connected(443, Fate::Silent), ..says(log) };
    let ids: Vec<String> = of(&failed).into_iter().map(|cause| cause.id).collect();
    assert_eq!(ids, ["outbound-call-at-startup"]);
}

#[test]
fn every_entry_fires_and_has_a_near_miss() {
    let table = table();
    // An entry that is based on the log alone has its own logs.
    for entry in catalogue().entries().iter().filter(|entry| entry.basis != Basis::Log) {
        assert!(table.iter().any(|(id, ..)| *id == entry.id), "{} has no case", entry.id);
    }
    for (id, fires, near) in &table {
        let ids = |scene| of(scene).into_iter().map(|cause| cause.id).collect::<Vec<_>>();
        assert_eq!(ids(fires).first().map(String::as_str), Some(*id), "{}", fires.log);
        assert!(!ids(near).iter().any(|other| other == id), "{id} fires at {}", near.log);
    }
}

#[test]
fn every_cause_cites_what_it_stands_on_and_says_whole_sentences() {
    let mut page = String::new();
    for (_, fires, _) in table() {
        for cause in of(&fires) {
            assert!(!cause.evidence.is_empty(), "{}", cause.id);
            assert!(!cause.text.is_empty() && !cause.text.contains(['{', '}', '[']), "{}: {}", cause.id, cause.text);
            assert!(
                cause.text.ends_with(['.', ')']) && cause.fix.ends_with(['.', ')']),
                "{}: {}",
                cause.id,
                cause.text
            );
            page.push_str(&format!(
                "{}\n  {}\n  {}\n  {}\n\n",
                cause.id,
                cause.text,
                cause.fix,
                cause.evidence.join("\n  ")
            ));
        }
    }
    insta::assert_snapshot!(page);
}

#[test]
fn patterns_of_many_languages() {
    for (id, log) in [
        ("missing-variable", "Error: DATABASE_URL is not set"),
        ("missing-variable", "Error: Missing required environment variable: STRIPE_KEY"),
        ("missing-variable", "/app/config.rb:3:in `fetch': key not found: \"JWT_SECRET\" (KeyError)"),
        ("missing-variable", "thread 'main' panicked at src/main.rs:5:43:\nJWT_SECRET: NotPresent"),
        ("missing-variable", "./start.sh: line 3: JWT_SECRET: unbound variable"),
        ("missing-variable", "java.lang.IllegalArgumentException: Could not resolve placeholder 'db.url' in value"),
        ("missing-variable", "django.core.exceptions.ImproperlyConfigured: Set the SECRET_KEY environment variable"),
        ("missing-dependency", "Error: Cannot find module 'express'"),
        ("missing-dependency", "Error: Could not find or load main class com.acme.Main"),
        ("missing-dependency", "<internal:require>:1:in `require': cannot load such file -- pg (LoadError)"),
        ("missing-dependency", "app: error while loading shared libraries: libpq.so.5: cannot open shared object file"),
        ("database-unreachable", "Error: connect ECONNREFUSED 10.0.3.4:5432"),
        (
            "database-unreachable",
            "panic: dial tcp 10.0.3.4:5432: connect: connection refused\n\ngoroutine 1 [running]:",
        ),
        ("aws-credentials", "Error: Could not load credentials from any providers"),
        ("certificate", "x509: certificate signed by unknown authority"),
        ("privileged-port", "Error: listen EACCES: permission denied 0.0.0.0:80"),
        ("privileged-port", "listen tcp :80: bind: permission denied"),
        ("start-command-split", "run: 1: Syntax error: Unterminated quoted string"),
        ("py-relative-import-of-a-script", "ImportError: attempted relative import with no known parent package"),
        ("option-unknown", "error: unknown option '--reload'; see --help"),
        ("shell-syntax-error", "/app/start.sh: line 12: unexpected EOF while looking for matching"),
        ("inotify-instances", "Error: EMFILE: too many open files, watch"),
    ] {
        let found = of(&says(log));
        assert!(found.first().is_some_and(|cause| cause.is(id)), "{log}: {found:?}");
    }
}

#[test]
fn ignores_lines_that_sound_like_a_cause() {
    let listening = |log: &str| Scene { log: log.to_owned(), ..deaf(opens("0.0.0.0", 4001)) };
    let known = |cause: &Cause| cause.id != "unrecognized-error";
    let ids = |scene: Scene| of(&scene).into_iter().filter(known).map(|cause| cause.id).collect::<Vec<_>>();
    for log in ["LOG_LEVEL is set to debug", "NODE_ENV set to production", "SENTRY_DSN is not set, tracking is off"] {
        assert_eq!(ids(listening(log)), ["port-mismatch"], "{log}");
    }
    let mut accused = Vec::new();
    for log in [
        "LOG_LEVEL is set to debug",
        "Authentication required: E_AUTH_FAILED",
        "{\"level\":\"warn\",\"msg\":\"SENTRY_DSN is not set\"}",
        "\u{1b}[33mWARN\u{1b}[0m SENTRY_DSN is not set",
        "time=x level=warning msg=\"SENTRY_DSN is not set\"",
        "Error 99 connecting to localhost:6379. Cannot assign requested address.",
        "SyntaxError: unterminated quoted string at or near \"x\"",
        "bind() to unix:/run/app.sock failed (13: Permission denied)",
    ] {
        let found = ids(says(log));
        accused.extend((!found.is_empty()).then(|| format!("{log}: {found:?}")));
    }
    assert!(accused.is_empty(), "{}", accused.join("\n"));
    assert_eq!(ids(says("Error: listen EACCES: permission denied 0.0.0.0:80")), ["privileged-port"]);
    assert_eq!(ids(python("KeyError: 'DEBUG'")), ["missing-variable"]);
    // The value that is shown beside what is missing is there.
    let shown = "ValidationError: 1 validation error for Settings\nJWT_SECRET\n  Field required [type=missing, \
                 input_value={'OTP_PROVIDER': 'twilio'}, input_type=dict]";
    assert_eq!(ids(python(shown)), ["settings-validation"]);
    // What telemetry met and got over is not why the program ended.
    let beside = Scene { evidence: connected(4317, Fate::Refused), ..python("ValueError: bad thing") };
    assert_eq!(ids(beside), ["uncaught-exception"]);
    let mut retried = connected(443, Fate::Refused);
    let again = ConnectAttempt { at_ms: 9.0, fate: Fate::Answered, ..retried.connects[0].clone() };
    retried.connects.push(again);
    assert_eq!(ids(Scene { evidence: retried, ..says("boom") }), Vec::<String>::new());
    let obeyed = of(&says("\u{1b}]0;owned\u{7}\u{1b}[2JKeyError: 'JWT_SECRET'"));
    assert!(!format!("{obeyed:?}").contains("u{1b}") && obeyed[0].id == "missing-variable", "{obeyed:?}");
}

#[test]
fn ignores_warnings_and_handled_errors() {
    // A warning of a startup that continued is not the cause; neither is an earlier crash that was handled.
    let scene = says("WARNING: SENTRY_DSN is not set\nINFO: NEW_RELIC_KEY missing\nboom");
    assert_eq!(of(&scene), []);
    let handled =
        "Traceback (most recent call last):\n  File \"/app/a.py\", line 1, in f\n    x\nKeyError: 'SENTRY_DSN'\n";
    let last = "Traceback (most recent call last):\n  File \"/app/a.py\", line 9, in g\n    y\nTypeError: y\n";
    let ids: Vec<String> = of(&says(&format!("{handled}INFO: goes on\n{last}"))).into_iter().map(|c| c.id).collect();
    assert_eq!(ids, ["uncaught-exception"]);
    assert_eq!(of(&Scene { outcome: Outcome::Healthy, ..python("KeyError: 'JWT_SECRET'") }), []);
    // A failed attempt next to an unrelated error.
    let beside = Scene { evidence: connected(443, Fate::Silent), ..python("ModuleNotFoundError: No module named 'x'") };
    let ids: Vec<String> = of(&beside).into_iter().map(|c| c.id).collect();
    assert_eq!(ids, ["missing-dependency"]);
}

#[test]
fn names_the_service_start_command_without_its_words() {
    let scene = lives(Outcome::Unhealthy, probed(ProbeResult::Status(404)));
    let own = Service { start_command: Some("node web.js --token=x".to_owned()), ..Service::some() };
    let text = |service: &Service| of_service(&scene, service)[0].text.clone();
    assert!(text(&own).contains("the service's start command replaces"), "{}", text(&own));
    assert!(!text(&own).contains("--token"), "it may contain secrets");
    assert!(!text(&Service::some()).contains("start command"), "{}", text(&Service::some()));
}

#[test]
fn distinguishes_refusing_from_unreachable_databases() {
    let error = |end: &str| {
        python(&format!(
            "psycopg.OperationalError: connection failed: connection to server at \"10.0.3.4\", port 5432 failed: {end}"
        ))
    };
    let ids = |scene: &Scene| of(scene).into_iter().map(|cause| cause.id).collect::<Vec<_>>();
    assert_eq!(ids(&error("FATAL:  password authentication failed for user \"app\"")), ["database-credentials"]);
    assert_eq!(ids(&error("FATAL:  database \"app\" does not exist")), ["database-missing"]);
    assert_eq!(ids(&error("Connection refused")), ["database-unreachable"]);
    let unresolved =
        of(&python("psycopg.OperationalError: failed to resolve host 'db.internal': [Errno -3] Temporary failure"));
    assert!(unresolved[0].text.contains("its name, db.internal, could not be resolved"), "{}", unresolved[0].text);
}
