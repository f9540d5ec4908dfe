//! Repairs: which changes may heal an image that fails under friendly conditions, and what is so without a condition.
//! Pure.

use std::sync::LazyLock;

use regex::Regex;

use super::conditions::known;
use super::configured::{is_quoted, unfilled};
use super::signature::Signature;
use crate::catalogue::{Entry, catalogue};
use crate::model::answer::{Repair, RepairKind};
use crate::model::condition::STAND_IN;
use crate::model::outcome::Cause;
use crate::model::service::{Protocol, Service};
use crate::model::words::has_word;
use crate::model::{CaseResult, Condition, ConditionSet, FailureClass, ImageFacts, Verdict};

/// Paths that health checks are mostly served under.
pub(crate) const PATHS: [&str; 7] = ["/", "/health", "/healthz", "/ping", "/api/health", "/readyz", "/status"];
/// A file that tells a second process of the first: `tmp/pids/server.pid`, `/run/app.lock`.
static LEFT_BEHIND: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[\s'\x22(`=])([\w./-]*/)[\w.-]+\.(?:pid|lock)\b").ok());
/// A path that could not be written: `mkdir() "/var/cache/nginx/client_temp" failed (13: Permission denied)`.
static DENIED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:['\x22\s(](/[\w./-]+)['\x22)\s:].*(?:permission denied|EACCES|read-only file system|EROFS)|(?:permission denied|EACCES|read-only file system|EROFS|unable to create|(?:cannot|can't|could not|failed to) (?:create|write|make))[^/]*['\x22\s(:](/[\w./-]+))").ok()
});
/// Settings that heal what a log shows: part of a line, and the repair.
const SETTINGS: [(&str, &str); 10] = [
    ("Couldn't find a valid ICU package", "env.set:DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1"),
    ("JavaScript heap out of memory", "env.set:NODE_OPTIONS=--max-old-space-size=1536"),
    ("unsupported locale setting", "env.set:LC_ALL=C.UTF-8"),
    // Not every image has that one.
    ("unsupported locale setting", "env.set:LC_ALL=C"),
    ("'ascii' codec can't", "env.set:LC_ALL=C.UTF-8"),
    ("invalid byte sequence in US-ASCII", "env.set:LC_ALL=C.UTF-8"),
    ("Python 3 was configured to use ASCII", "env.set:LC_ALL=C.UTF-8"),
    ("HOME environment variable", "env.set:HOME=/tmp"),
    ("$HOME is not", "env.set:HOME=/tmp"),
    ("home directory", "env.set:HOME=/tmp"),
];
/// Settings that heal what a condition breaks: its name, and the repairs. App Runner injects its port as `PORT`.
const OF_CONDITION: [(&str, &[&str]); 1] = [("ports.privileged", &["env.set:PORT=8080", "check.port:8080"])];
/// What a write to a file system says that is read-only.
const READ_ONLY: [&str; 2] = ["Read-only file system", "EROFS"];
/// Folders that programs make in the home folder.
const IN_HOME: [&str; 5] = [".cache", ".config", ".local", ".npm", ".streamlit"];

/// The repairs that prove a cause that the image's configuration shows.
const PROOFS: [(&str, &[&str]); 2] = [("exec-form-variable", &["command.shell"]), ("quoted-value", &["env.bare"])];

/// A refusal to run as root.
static NOT_AS_ROOT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:not|never|refus\w+|shouldn't|don't|cannot|can't)\b.{0,40}\b(?:as|by|be) (?:the )?(?:root|superuser)|root\b.{0,40}\bnot (?:permitted|recommended|allowed|supported)").ok()
});
/// A field that a validation misses, and the line below it that says so.
static MISSING_FIELD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?mi)^([a-z_][\w.]*)\r?\n\s+(?:field required|missing)").ok());
/// A variable's name as logs write it.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b").ok());
/// Runs that must all be healthy before a repair is called verified.
pub(crate) const RUNS: usize = 3;
/// Maximum number of answers of a server that are tried as health checks.
const MOST_ANSWERS: usize = 2;
/// CPUs that one uses that has not come to its end, on a machine that does other work as well.
const WORKS: f64 = 0.1;
/// Maximum number of variables that are changed.
const MOST_VARIABLES: usize = 4;
/// A value this short occurs in a log by chance.
const LEAST_VALUE: usize = 4;

/// What a set's repair is without running anything more: each of its conditions taken away. `passed`: a run that passed
/// without it.
pub(crate) fn undone(condition: &Condition, passed: &CaseResult) -> Repair {
    let undone = known(condition).undone();
    Repair {
        id: format!("without:{condition}"),
        text: undone.text,
        kind: if undone.is_setting { RepairKind::Fix } else { RepairKind::Proof },
        verified: Some(true),
        healthy_ms: passed.healthy_ms,
        uncovers: false,
        runs: 0,
    }
}

/// Sets of repairs that may heal a failed run, likeliest first.
#[must_use]
pub(crate) fn repairs(failed: &CaseResult, service: &Service, facts: &ImageFacts) -> Vec<ConditionSet> {
    let texts = match failed.class {
        Some(FailureClass::C) => of_check(failed, service),
        _ => of_process(failed, service, facts),
    };
    let mut sets: Vec<ConditionSet> = Vec::new();
    for text in texts {
        let conditions: Vec<Condition> = text.iter().filter_map(|one| one.parse().ok()).collect();
        let Ok(set) = ConditionSet::new(conditions) else { continue };
        if !set.is_empty() && !sets.contains(&set) {
            sets.push(set.with_secrets(&service.secrets));
        }
    }
    sets
}

/// Sets of repairs that may heal a minimal set. None, if a setting takes one of its conditions away: that is the repair.
#[must_use]
pub(crate) fn healers(
    set: &ConditionSet,
    failed: &CaseResult,
    service: &Service,
    facts: &ImageFacts,
) -> Vec<ConditionSet> {
    if set.iter().any(|condition| known(condition).undone().is_setting) {
        return Vec::new();
    }
    let own = OF_CONDITION.iter().filter(|(name, _)| set.iter().any(|condition| condition.name() == *name));
    let own = own.filter_map(|(_, repairs)| {
        ConditionSet::new(repairs.iter().filter_map(|repair| repair.parse::<Condition>().ok())).ok()
    });
    // Where it is never healthy, each attempt would take the whole wait.
    let lives = failed.class == Some(FailureClass::C);
    let of_failure = if lives { Vec::new() } else { repairs(failed, service, facts) }.into_iter();
    let is_kept = |repair: &Condition| is_setting(repair) || repair.name() == "folder.empty";
    own.chain(of_failure.filter(|repairs| repairs.iter().all(is_kept))).collect()
}

/// What may heal a health check: another port, another path, a connection alone, more time.
fn of_check(failed: &CaseResult, service: &Service) -> Vec<Vec<String>> {
    let listens = &failed.evidence.listens;
    let mut ports: Vec<u16> = listens.iter().filter(|l| !l.address.is_loopback()).map(|l| l.port).collect();
    ports.sort_by_key(|port| *port != service.port);
    ports.dedup();
    let check = &service.health_check;
    let repair = |port: u16, path: &str| {
        let port = (port != service.port).then(|| format!("check.port:{port}"));
        let path = (path != check.path).then(|| format!("check.path:{path}"));
        port.into_iter().chain(path).collect::<Vec<String>>()
    };
    let mut all: Vec<Vec<String>> = Vec::new();
    let asked = &failed.evidence.asked;
    if check.protocol == Protocol::Http {
        // What it answered is known; else each of the usual paths is worth a run.
        let answered = asked.iter().filter(|asked| asked.result.good(service.platform.passing));
        all.extend(answered.map(|asked| repair(asked.port, &asked.path)).take(MOST_ANSWERS));
        if asked.is_empty() {
            let own = ports.contains(&service.port).then_some(PATHS).into_iter().flatten();
            all.extend(own.filter(|path| *path != check.path).map(|path| repair(service.port, path)));
            all.extend(ports.iter().filter(|port| **port != service.port).map(|port| repair(*port, &check.path)));
        }
        if all.is_empty() || asked.is_empty() {
            let tcp = || "check.tcp".to_owned();
            all.extend(ports.iter().map(|port| repair(*port, &check.path).into_iter().chain([tcp()]).collect()));
        }
    } else {
        all.extend(ports.iter().map(|port| repair(*port, &check.path)));
    }
    // One that never listens may wait for what a malformed value names.
    if listens.is_empty() {
        let quoted = service.env.iter().filter(|(_, value)| is_quoted(value)).take(MOST_VARIABLES);
        all.extend(quoted.map(|(name, _)| vec![format!("env.bare:{name}")]));
    }
    // One that sleeps or waits for ever gains nothing by more time.
    if listens.is_empty() && failed.evidence.usage.is_some_and(|usage| usage.recent_cpu >= WORKS) {
        all.push(vec!["check.longer".to_owned()]);
    }
    all
}

/// What may heal a process that ends: a variable, a folder, the user, the entry point.
fn of_process(failed: &CaseResult, service: &Service, facts: &ImageFacts) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = Vec::new();
    let log = last_lines(&failed.log);
    let is = |id: &str| failed.causes.iter().any(|cause| cause.is(id));
    for (name, value) in variables(&log, service) {
        all.extend(of_value(name, value).into_iter().map(|text| vec![text]));
    }
    all.extend(
        folders(&LEFT_BEHIND, &log, facts, false).into_iter().map(|folder| vec![format!("folder.empty:{folder}")]),
    );
    // What the cause's own entry says heals it.
    let entries = failed.causes.iter().filter_map(|cause| catalogue().get(&cause.id));
    let (settings, proofs): (Vec<&String>, Vec<&String>) =
        entries.flat_map(Entry::repairs).partition(|repair| repair.contains('='));
    all.extend(settings.into_iter().map(|repair| vec![repair.clone()]));
    let healing = SETTINGS.iter().filter(|(part, _)| log.contains(part)).map(|(_, repair)| *repair);
    // A user without a home has `/`, which only root may write to.
    let no_home = !facts.env.contains_key("HOME") && IN_HOME.iter().any(|folder| log.contains(&format!("/{folder}")));
    all.extend(healing.chain(no_home.then_some("env.set:HOME=/tmp")).map(|repair| vec![repair.to_owned()]));
    // Without a shell, nothing fills in a variable of the command.
    all.extend((!unfilled(facts, service).is_empty()).then(|| vec!["command.shell".to_owned()]));
    let is_root = matches!(facts.user.as_str(), "" | "0" | "root" | "0:0" | "root:root");
    let denied = folders(&DENIED, &log, facts, true);
    let is_read_only = READ_ONLY.iter().any(|words| log.contains(words));
    let lacks_rights =
        is("file-permission") || !is_root && (!denied.is_empty() || log.to_ascii_lowercase().contains("denied"));
    if is_read_only || lacks_rights {
        all.extend(denied.into_iter().map(|folder| vec![format!("folder.empty:{folder}")]));
        // Root may not write to a read-only file system either.
        all.extend((!is_root && !is_read_only).then(|| vec!["user.root".to_owned()]));
    }
    if is_root && NOT_AS_ROOT.as_ref().is_some_and(|pattern| pattern.is_match(&log)) {
        all.push(vec!["user.nobody".to_owned()]);
    }
    if service.start_command.is_some() && !facts.entrypoint.is_empty() {
        all.push(vec!["command.no-entrypoint".to_owned()]);
    }
    // What a validation misses: each field is a variable.
    let fields = MISSING_FIELD.iter().flat_map(|pattern| pattern.captures_iter(&log));
    let fields = fields.filter_map(|found| Some(found.get(1)?.as_str().to_ascii_uppercase().replace('.', "__")));
    let fields = fields.filter(|name| !service.env.contains_key(name) && !facts.env.contains_key(name));
    let fields: Vec<String> = fields.map(|name| format!("env.set:{name}={STAND_IN}")).collect();
    all.extend((!fields.is_empty() && fields.len() <= MOST_VARIABLES).then_some(fields));
    // A variable that is missing: with any value the next failure shows.
    for name in names(&log)
        .filter(|name| is("missing-variable") && !service.env.contains_key(*name) && !facts.env.contains_key(*name))
    {
        all.push(vec![format!("env.set:{name}={STAND_IN}")]);
    }
    for (name, _) in variables(&log, service) {
        all.push(vec![format!("env.unset:{name}")]);
    }
    all.extend(proofs.into_iter().map(|repair| vec![repair.clone()]));
    all
}

/// What may be wrong with a variable's value.
fn of_value(name: &str, value: &str) -> Vec<String> {
    let mut all = Vec::new();
    // Service links of Docker and Kubernetes take the place of a program's own variable.
    if value.starts_with("tcp://") || value.starts_with("udp://") {
        all.push(format!("env.unset:{name}"));
    }
    if is_quoted(value) || value.trim() != value {
        all.push(format!("env.bare:{name}"));
    }
    if value.contains("\\n") {
        all.push(format!("env.unescaped:{name}"));
    }
    if value.starts_with("postgres://") {
        all.push(format!("env.scheme:{name}=postgresql"));
    }
    if let Ok(serde_json::Value::Object(document)) = serde_json::from_str(value) {
        let same = |key: &&String| {
            key.eq_ignore_ascii_case(name) || name.to_ascii_lowercase().ends_with(&key.to_ascii_lowercase())
        };
        let keys = document.keys().filter(same).chain(document.keys().filter(|_| document.len() == 1));
        all.extend(keys.take(1).map(|key| format!("env.key:{name}={key}")));
    }
    all
}

/// The variables of the service that the end of a log names, or shows the value of.
fn variables<'a>(log: &str, service: &'a Service) -> Vec<(&'a str, &'a str)> {
    let shows = |(name, value): &(&String, &String)| {
        let first = value.lines().next().unwrap_or_default();
        has_word(log, name) || (first.len() >= LEAST_VALUE && log.contains(first))
    };
    let is_postgres = |value: &str| value.starts_with("postgres://") && log.contains("postgres");
    let odd = |value: &str| value.starts_with("tcp://") || value.contains("\\n") || is_postgres(value);
    let mut found: Vec<(&String, &String)> = service.env.iter().filter(shows).collect();
    // A value that looks wrong needs no name in the log.
    found.extend(service.env.iter().filter(|(_, value)| odd(value)));
    let mut known: Vec<(&str, &str)> = Vec::new();
    for (name, value) in found {
        if !known.iter().any(|(other, _)| other == name) {
            known.push((name, value));
        }
    }
    known.truncate(MOST_VARIABLES);
    known
}

/// Names of variables in a log.
fn names(log: &str) -> impl Iterator<Item = &str> {
    let pattern = NAME.as_ref();
    pattern.into_iter().flat_map(move |pattern| pattern.find_iter(log).map(|found| found.as_str())).take(MOST_VARIABLES)
}

/// The folders that a pattern finds: of a file, or (`is_folder`) the parent of what could not be made. One that is
/// relative begins at WORKDIR.
fn folders(pattern: &LazyLock<Option<Regex>>, log: &str, facts: &ImageFacts, of_denied: bool) -> Vec<String> {
    let Some(pattern) = pattern.as_ref() else { return Vec::new() };
    let mut all: Vec<String> = Vec::new();
    for found in pattern.captures_iter(log) {
        let Some(path) = found.iter().skip(1).flatten().next().map(|path| path.as_str()) else { continue };
        let path = path.trim_end_matches('/');
        let folder = if of_denied { path.rsplit_once('/').map_or(path, |(folder, _)| folder) } else { path };
        let whole = match path.starts_with('/') {
            true => folder.to_owned(),
            false => format!("{}/{folder}", facts.workdir.trim_end_matches('/')),
        };
        if whole.matches('/').count() >= 1 && whole.len() > 1 && !all.contains(&whole) {
            all.push(whole);
        }
    }
    all.truncate(2);
    all
}

/// The variable whose absence a repair stands in for.
#[must_use]
pub(crate) fn stood_in_for(repair: &Condition) -> Option<&str> {
    let variable = repair.variable()?;
    (repair.to_string() == format!("env.set:{}={STAND_IN}", variable.name)).then_some(variable.name.as_str())
}

/// Whether repairs contradict a cause: those that would prove it were run, and the image failed as it did `before`.
#[must_use]
pub(crate) fn is_contradicted(cause: &Cause, before: &Signature, tried: &[(&ConditionSet, Option<Signature>)]) -> bool {
    let proofs = proofs(&cause.id);
    let proves = |repair: &Condition| proofs.contains(&repair.name());
    let mut ends = tried.iter().filter(|(set, _)| set.iter().all(proves)).peekable();
    ends.peek().is_some() && ends.all(|(_, signature)| signature.as_ref() == Some(before))
}

/// The repairs that prove a cause: it is wrong if with all of them the image fails just as before. One with an argument
/// is only an attempt: a program need not read the variable, and another folder may be meant.
fn proofs(id: &str) -> Vec<&'static str> {
    let configured = PROOFS.iter().filter(|(known, _)| *known == id).flat_map(|(_, proofs)| proofs.iter().copied());
    let of_entry = catalogue().get(id).into_iter().flat_map(|entry| entry.repair.iter().map(String::as_str));
    configured.chain(of_entry.filter(|repair| !repair.contains(':'))).collect()
}

/// The end of a log, which tells of the end of the process.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// A set of repairs and its runs.
#[must_use]
pub(crate) fn tried(set: &ConditionSet, runs: &[&CaseResult]) -> Repair {
    let count = |verdict: Verdict| runs.iter().filter(|run| run.verdict == verdict).count();
    let verified = match (count(Verdict::Pass), count(Verdict::Fail)) {
        (_, 1..) => Some(false),
        (RUNS.., 0) => Some(true),
        _ => None,
    };
    let text = set.iter().map(Condition::words).collect::<Vec<_>>().join(" and ");
    let healthy_ms = runs.iter().find_map(|run| run.healthy_ms);
    let id = set.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
    Repair { id, text, kind: kind_of(set), verified, healthy_ms, uncovers: false, runs: runs.len() }
}

/// Whether a set of repairs is a fix.
#[must_use]
pub(crate) fn kind_of(set: &ConditionSet) -> RepairKind {
    if set.iter().all(is_setting) { RepairKind::Fix } else { RepairKind::Proof }
}

/// Whether a repair is a setting of the service or the image, which can be kept; a stand-in, root and a feature that is
/// missing cannot.
fn is_setting(repair: &Condition) -> bool {
    let name = repair.name();
    let text = repair.to_string();
    name.starts_with("check.")
        || name == "command.shell"
        || name == "user.nobody"
        || SETTINGS.iter().map(|(_, setting)| setting).any(|setting| *setting == text)
        || OF_CONDITION.iter().flat_map(|(_, settings)| *settings).any(|setting| *setting == text)
        || ["env.bare", "env.unescaped", "env.key", "env.scheme"].contains(&name)
        || (name == "env.unset" && repair.variable().is_some_and(|variable| variable.name.ends_with("_PORT")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::{Asked, Listening, ProbeResult};

    fn failed(log: &str, cause: &str) -> CaseResult {
        CaseResult {
            verdict: Verdict::Fail,
            class: Some(FailureClass::B),
            exit_code: Some(1),
            log: log.to_owned(),
            causes: vec![Cause {
                id: cause.to_owned(),
                text: String::new(),
                fix: String::new(),
                evidence: Vec::new(),
                ..Cause::default()
            }],
            ..CaseResult::some("a", "app:1", ConditionSet::baseline())
        }
    }

    fn tried_for(failed: &CaseResult, env: &[(&str, &str)], user: &str) -> Vec<String> {
        let mut service = Service::some();
        service.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let facts = ImageFacts { user: user.to_owned(), workdir: "/app".to_owned(), ..ImageFacts::default() };
        repairs(failed, &service, &facts).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn evidence_suggests_what_to_repair() {
        let log = "ValueError: invalid literal for int() with base 10: 'tcp://10.100.74.69:80'";
        let env = [("LEDGER_PORT", "tcp://10.100.74.69:80"), ("OTHER", "1")];
        assert_eq!(tried_for(&failed(log, "malformed-value"), &env, ""), ["env.unset:LEDGER_PORT"]);

        let log = "Error: the key in PUSH_KEY is no PEM";
        let env = [("PUSH_KEY", "-----BEGIN-----\\nabc\\n")];
        assert_eq!(tried_for(&failed(log, "x"), &env, "")[0], "env.unescaped:PUSH_KEY");

        let log = "A server is already running (pid: 1, file: /app/tmp/pids/server.pid).";
        assert_eq!(tried_for(&failed(log, "x"), &[], ""), ["folder.empty:/app/tmp/pids"]);

        let log = "nginx: [emerg] mkdir() \"/var/cache/nginx/client_temp\" failed (13: Permission denied)";
        assert_eq!(tried_for(&failed(log, "x"), &[], "101:101"), ["folder.empty:/var/cache/nginx", "user.root"]);

        let log = "PermissionError: [Errno 13] Permission denied: '/.cache'";
        let home = tried_for(&failed(log, "file-permission"), &[], "1000");
        assert_eq!(home, ["env.set:HOME=/tmp", "user.root"]);

        let log = "locale.Error: unsupported locale setting";
        assert_eq!(tried_for(&failed(log, "x"), &[], ""), ["env.set:LC_ALL=C.UTF-8", "env.set:LC_ALL=C"]);

        let log = "KeyError: 'API_URL'";
        assert_eq!(tried_for(&failed(log, "missing-variable"), &[], ""), ["env.set:API_URL=stand-in"]);
        assert!(tried_for(&failed("Segmentation fault", "x"), &[("A", "1")], "").is_empty());
    }

    #[test]
    fn values_are_repaired_by_their_shape() {
        for (value, repair) in [
            ("\"quoted\"", "env.bare:A"),
            ("with a break\n", "env.bare:A"),
            ("postgres://db/app", "env.scheme:A=postgresql"),
            ("{\"A\": \"x\", \"b\": 1}", "env.key:A=A"),
            ("udp://10.0.0.1:80", "env.unset:A"),
        ] {
            assert_eq!(of_value("A", value), [repair], "{value}");
        }
        assert!(of_value("A", "plain").is_empty());
    }

    #[test]
    fn health_check_is_asked_where_something_listens() {
        let never = |port: u16, address: [u8; 4]| {
            let mut result = failed("", "x");
            (result.class, result.exit_code) = (Some(FailureClass::C), None);
            result.evidence.listens.push(Listening { at_ms: 1.0, address: address.into(), port });
            result
        };
        assert_eq!(tried_for(&never(3000, [0, 0, 0, 0]), &[], ""), ["check.port:3000", "check.port:3000 + check.tcp"]);
        let paths = tried_for(&never(8000, [0, 0, 0, 0]), &[], "");
        assert!(
            paths.contains(&"check.path:/health".to_owned()) && paths.contains(&"check.tcp".to_owned()),
            "{paths:?}"
        );
        assert!(tried_for(&never(8000, [127, 0, 0, 1]), &[], "").is_empty(), "no setting reaches the loopback");
        // One that was asked is repaired by what it answered alone.
        let mut asked = never(3000, [0, 0, 0, 0]);
        let answer =
            |path: &str, status| Asked { port: 3000, path: path.to_owned(), result: ProbeResult::Status(status) };
        asked.evidence.asked = vec![answer("/healthz", 404), answer("/ping", 200)];
        assert_eq!(tried_for(&asked, &[], ""), ["check.port:3000 + check.path:/ping"]);
        asked.evidence.asked = vec![answer("/healthz", 401)];
        assert_eq!(tried_for(&asked, &[], ""), ["check.port:3000 + check.tcp"]);
    }

    #[test]
    fn minimal_set_is_healed_where_no_setting_takes_it_away() {
        let set = |text: &str| ConditionSet::new([text.parse().expect("a condition")]).expect("a set");
        let healed = |condition: &str, log: &str| {
            let all = healers(&set(condition), &failed(log, "x"), &Service::some(), &ImageFacts::default());
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(healed("ports.privileged", "bind: permission denied"), ["env.set:PORT=8080 + check.port:8080"]);
        let denied = "mkdir() \"/var/cache/nginx/client_temp\" failed (30: Read-only file system)";
        assert_eq!(healed("rootfs.readonly", denied), ["folder.empty:/var/cache/nginx"]);
        // More memory is the repair; a name that is not resolved is no setting.
        assert!(healed("memory.limit:512M", "JavaScript heap out of memory").is_empty());
        assert!(healed("dns.servfail", "gaierror: Temporary failure in name resolution").is_empty());
    }

    #[test]
    fn cause_is_withdrawn_if_its_repair_changes_nothing() {
        let signature = |line: &str| Signature { how: "exit 1".to_owned(), line: line.to_owned() };
        let set = |repair: &str| ConditionSet::new([repair.parse().expect("a repair")]).expect("a set");
        let (root, folder) = (set("user.root"), set("folder.empty:/var/cache"));
        let cause = failed("", "file-permission").causes.remove(0);
        let before = signature("denied");
        let contradicted = |tried: &[(&ConditionSet, Option<Signature>)]| is_contradicted(&cause, &before, tried);
        assert!(!contradicted(&[]), "nothing was tried");
        assert!(!contradicted(&[(&folder, Some(before.clone()))]), "it may be another folder");
        assert!(contradicted(&[(&root, Some(before.clone()))]));
        assert!(!contradicted(&[(&root, Some(signature("another")))]), "it fails later");
        assert!(!contradicted(&[(&root, None)]), "it is healed");
        // "The folder is missing, or of another user": root is only an attempt.
        let cause = failed("", "sqlite-cannot-open").causes.remove(0);
        assert!(!is_contradicted(&cause, &before, &[(&root, Some(before.clone()))]));
    }

    #[test]
    fn a_repair_is_verified_by_three_healthy_runs() {
        let set = ConditionSet::new(["user.root".parse().expect("a repair")]).expect("a set");
        let (pass, fail) = (CaseResult::some("a", "app:1", set.clone()), failed("x", "x"));
        let verified = |runs: &[&CaseResult]| tried(&set, runs).verified;
        assert_eq!(verified(&[]), None);
        assert_eq!(verified(&[&pass, &pass]), None);
        assert_eq!(verified(&[&pass, &pass, &pass]), Some(true));
        assert_eq!(verified(&[&pass, &pass, &fail]), Some(false));
        assert_eq!(tried(&set, &[]).kind, RepairKind::Proof, "root is no setting that one keeps");
    }
}
