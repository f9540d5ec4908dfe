//! A case as a readable shell script that runs without exitone, printed by `exitone repro`.
//!
//! The script mirrors a real run: the candidate's network namespace, another one for the simulated internet, and faults
//! as routes between them. A single namespace would not do: stubs would take the candidate's ports, and any address
//! could be bound.

mod network;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Condition;
use crate::model::condition::{ByHand, Changes, Env, EnvChange, NetworkPlan, kinds};
use crate::model::redact::{REDACTED, Redactor};
use crate::model::service::{HealthCheck, Protocol};

const BEGIN: &str = include_str!("repro/begin.sh");
const END: &str = include_str!("repro/end.sh");

/// Where an AWS SDK gets its credentials. The variable's name looks like that of a secret, but the value is not one.
const CREDENTIALS_PATH: &str = "/v2/credentials/11111111-2222-3333-4444-555555555555";
/// Variables that the script itself or the shell needs.
const TAKEN: &str = "TOOLS net internet candidate ca ipv6 docker expected good until code PATH IFS";

/// A case, with everything that its script depends on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReproCase {
    /// The case's name.
    pub(crate) id: String,
    /// The image.
    pub(crate) image: String,
    /// The conditions.
    pub(crate) conditions: Vec<Condition>,
    /// The container's variables in addition to the image's ENV, with conditions applied. They include the variables
    /// that name the certificate (`/run/exitone/ca.pem`).
    pub(crate) env: BTreeMap<String, ReproValue>,
    /// Replaces ENTRYPOINT.
    pub(crate) entrypoint: Option<Vec<String>>,
    /// Replaces CMD.
    pub(crate) cmd: Option<Vec<String>>,
    /// The probed port.
    pub(crate) port: u16,
    /// The health check.
    #[serde(with = "HealthCheckText")]
    pub(crate) health: HealthCheck,
    /// The lowest and the highest status that pass the health check.
    pub(crate) passing: [u16; 2],
    /// Names that the candidate looked up.
    pub(crate) names: Vec<String>,
    /// TCP ports that it connected to.
    pub(crate) ports: Vec<u16>,
    /// The outcome of the case, such as `exit code 1`.
    pub(crate) expected: String,
}

/// The value of a variable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReproValue {
    /// A value that may be written to the script, unless it looks like a secret.
    Text(String),
    /// A value that is never written.
    Secret,
    /// No value: the image's variable is unset.
    Unset,
}

/// Omits values, which may be secrets.
impl fmt::Debug for ReproValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::Secret => "Secret",
            Self::Unset => "Unset",
        })
    }
}

/// Omits words of commands and values of variables, which may be secrets.
impl fmt::Debug for ReproCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReproCase")
            .field("id", &self.id)
            .field("image", &self.image)
            .field("conditions", &self.conditions.iter().map(|c| self.shown(c)).collect::<Vec<_>>())
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The serialized form of [`HealthCheck`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "HealthCheck")]
struct HealthCheckText {
    #[serde(with = "ProtocolText")]
    protocol: Protocol,
    path: String,
    interval: u32,
    timeout: u32,
    healthy_threshold: u32,
    unhealthy_threshold: u32,
}

/// The serialized form of [`Protocol`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "Protocol", rename_all = "UPPERCASE")]
enum ProtocolText {
    Tcp,
    Http,
}

impl ReproCase {
    /// The network changes of its conditions.
    fn plan(&self) -> NetworkPlan {
        Changes::of(&self.conditions).network
    }

    /// Whether the value of a variable must not be written.
    fn withheld(&self, name: &str) -> bool {
        match self.env.get(name) {
            Some(ReproValue::Secret) => true,
            Some(ReproValue::Text(text)) if text != CREDENTIALS_PATH => {
                Redactor::new([(name, text.as_str())], &BTreeSet::new()).clean(text) != *text
            }
            _ => false,
        }
    }

    /// Its image, its conditions and its outcome.
    pub(crate) fn in_short(&self) -> String {
        format!("{} under {}, {}", self.image, self.all_shown("baseline"), self.expected)
    }

    /// Its conditions, or `none`.
    fn all_shown(&self, none: &str) -> String {
        let all: Vec<String> = self.conditions.iter().map(|condition| self.shown(condition)).collect();
        if all.is_empty() { none.to_owned() } else { all.join(" + ") }
    }

    fn shown(&self, condition: &Condition) -> String {
        match condition.variable() {
            Some(Env { name, change: EnvChange::Set(_) }) if self.withheld(name) => {
                format!("env.set:{name}={REDACTED}")
            }
            _ => plain(&condition.to_string()),
        }
    }

    /// A comment about the condition that the lines below it impose.
    fn why(&self, condition: &Condition) -> String {
        format!("# {}: {}", self.shown(condition), condition.kind().about)
    }

    /// The comments about some of the conditions, one per line.
    fn whys(&self, these: impl Fn(&Condition) -> bool) -> String {
        self.conditions.iter().filter(|c| these(c)).map(|c| self.why(c) + "\n").collect()
    }
}

/// The script of a case.
///
/// # Errors
/// One sentence for every condition that docker and standard tools cannot impose, and for a secret in the command.
pub(crate) fn script(case: &ReproCase) -> Result<String, Vec<String>> {
    let mut problems: Vec<String> = case.conditions.iter().filter_map(problem).collect();
    if case.entrypoint.iter().chain(&case.cmd).flatten().any(|word| word.contains(REDACTED)) {
        problems.push("the start command contains a secret, which is never written; pass it in a variable".to_owned());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let names = shell_names(case);
    let parts = [
        head(case),
        secrets(case, &names),
        BEGIN.to_owned(),
        network::set_up(case),
        candidate(case, &names),
        end(case),
    ];
    Ok(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n"))
}

fn problem(condition: &Condition) -> Option<String> {
    let ByHand::Impossible(why) = condition.by_hand() else { return None };
    Some(format!("`{condition}` {why}"))
}

/// A text on one line: untrusted text must not end a comment.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || "\u{2028}\u{2029}".contains(c) { ' ' } else { c }).collect()
}

/// Quotes a word for a POSIX shell.
fn quoted(text: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"_-./:,@%+=".contains(&b);
    if !text.is_empty() && text.bytes().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Drops the lines of a template that are tagged with a condition that the case does not have: `  # dns.late`, or
/// `  # dns.*` for all of a kind.
fn only_needed(template: &str, conditions: &[Condition]) -> String {
    let has = |name: &str| conditions.iter().any(|condition| condition.name() == name);
    let needed = |line: &str| match line.rsplit_once("  # ").map(|(_, tag)| (tag, tag.strip_suffix('*'))) {
        Some((_, Some(kind))) => conditions.iter().any(|condition| condition.name().starts_with(kind)),
        Some((tag, None)) => has(tag) || kinds().all(|kind| kind.name != tag),
        None => true,
    };
    let mut text = String::new();
    for line in template.lines().filter(|line| needed(line)) {
        // Dropped lines leave no gap.
        if !(line.is_empty() && text.ends_with("\n\n\n")) {
            text += line;
            text.push('\n');
        }
    }
    text
}

fn head(case: &ReproCase) -> String {
    let conditions = case.all_shown("none (baseline)");
    let list = |words: Vec<String>| if words.is_empty() { "none".to_owned() } else { plain(&words.join(", ")) };
    format!(
        "#!/bin/sh\n\
         # The case {id} by hand: docker and standard tools, without exitone.\n\
         #\n\
         # image:      {image}\n\
         # conditions: {conditions}\n\
         # expected:   {expected}\n\
         # names that it asked DNS for: {names}\n\
         # TCP ports that it connected to: {ports}\n\
         #\n\
         # Needs docker with the image. The first run builds a tools image from debian:12-slim and Debian's packages.\n\
         # Nothing that the candidate sends leaves the machine. Ends with the candidate's exit code, with 0 when it\n\
         # becomes healthy, with 124 when it does neither.\n",
        id = plain(&case.id),
        image = plain(&case.image),
        expected = plain(&case.expected),
        names = list(case.names.clone()),
        ports = list(case.ports.iter().map(ToString::to_string).collect()),
    )
}

/// The shell variables that provide the values of secrets, with the same names if possible.
fn shell_names(case: &ReproCase) -> BTreeMap<&str, String> {
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    for name in case.env.keys().filter(|name| case.withheld(name)) {
        let mut shell_name = name.clone();
        if !is_shell_name(name) {
            shell_name = format!("REPRO_{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
        }
        while shell_name != *name && (case.env.contains_key(&shell_name) || names.values().any(|n| *n == shell_name)) {
            shell_name.push('_');
        }
        names.insert(name, shell_name);
    }
    names
}

fn is_shell_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !name.is_empty()
        && name.bytes().all(good)
        && !name.as_bytes()[0].is_ascii_digit()
        && !TAKEN.split(' ').any(|taken| taken == name)
}

fn secrets(case: &ReproCase, names: &BTreeMap<&str, String>) -> String {
    let line = |(name, shell_name): (&&str, &String)| {
        let variable = case.conditions.iter().filter_map(Condition::variable).find(|variable| variable.name == **name);
        let change = variable.map(|variable| match variable.change {
            EnvChange::Quoted => ", with the quotes of env.quoted around it",
            EnvChange::Newline => ", with the line break of env.newline at its end",
            EnvChange::Json => " to the JSON document of env.json",
            _ => " to the value of env.set",
        });
        let change = change.unwrap_or_default();
        format!(": \"${{{shell_name}:?set it{change}: its value is a secret that is not written down}}\"\n")
    };
    names.iter().map(line).collect()
}

/// Creates and starts the candidate, and starts the timers that count from its start.
fn candidate(case: &ReproCase, names: &BTreeMap<&str, String>) -> String {
    let mut text = String::from("# What the candidate gets.\n");
    text += &case.whys(|c| c.changes().container.changes_environment());
    text += &variables(case, names);
    text += &limits(case);
    text += &case.whys(|c| c.changes().container.changes_command());
    let mut words: Vec<String> = Vec::new();
    if let Some(entrypoint) = &case.entrypoint {
        let first = entrypoint.first().map(String::as_str).unwrap_or_default();
        text += &format!("set -- \"$@\" --entrypoint {}\n", quoted(first));
        words.extend(entrypoint.iter().skip(1).map(|word| quoted(word)));
    }
    words.extend(case.cmd.iter().flatten().map(|word| quoted(word)));
    let words: String = words.iter().map(|word| format!(" {word}")).collect();
    let run = format!(
        "run --detach --pull never --no-healthcheck --name \"$candidate\" --label exitone.repro \\\n    \
         --network \"container:$net\" --volume \"$ca:/run/exitone:ro\" \"$@\" \\\n    {}{words} >/dev/null",
        quoted(&case.image)
    );
    text += &started_without(case, &run);
    text + &network::from_the_start(case)
}

/// Starts the candidate in a shell where the variables to unset are not set.
fn started_without(case: &ReproCase, run: &str) -> String {
    let unset = |(name, value): (&String, &ReproValue)| (*value == ReproValue::Unset).then(|| name.clone());
    let missing: Vec<String> = case.env.iter().filter_map(unset).collect();
    if missing.is_empty() {
        return format!("docker {run}\n");
    }
    // PATH is not a free name but may be one of them.
    let names: Vec<String> = missing.into_iter().filter(|name| is_shell_name(name) || name == "PATH").collect();
    let unset = if names.is_empty() { String::new() } else { format!("unset {}; ", names.join(" ")) };
    format!(
        "# Docker unsets a variable of the image if its name is given and it is not set here.\n\
         docker=$(command -v docker)\n({unset}exec \"$docker\" {run})\n"
    )
}

fn variables(case: &ReproCase, names: &BTreeMap<&str, String>) -> String {
    let word = |(name, value): (&String, &ReproValue)| match (names.get(name.as_str()), value) {
        (Some(shell_name), _) if shell_name == name => name.clone(),
        (Some(shell_name), _) => format!("\"{name}=${shell_name}\""),
        (None, ReproValue::Text(text)) => quoted(&format!("{name}={text}")),
        (None, _) => quoted(name),
    };
    let words: String = case.env.iter().map(|pair| format!(" \\\n    --env {}", word(pair))).collect();
    format!("set --{words}\n")
}

fn limits(case: &ReproCase) -> String {
    let mut text = String::new();
    for condition in &case.conditions {
        if let ByHand::Options { options, remark } = condition.by_hand() {
            text += &format!("{}{remark}\nset -- \"$@\" {options}\n", case.why(condition));
        }
    }
    text
}

fn end(case: &ReproCase) -> String {
    let (port, health) = (case.port, &case.health);
    let timeout = health.timeout;
    let probe = match health.protocol {
        Protocol::Tcp => format!(
            "# The health check, from outside of the candidate's namespace: the port accepts a connection.\n\
             probe() {{\n    docker exec \"$internet\" python3 -c '\n\
             import socket\n\
             socket.create_connection((\"10.0.61.20\", {port}), {timeout})' 2>/dev/null\n}}\n"
        ),
        Protocol::Http => format!(
            "# The health check, from outside of the candidate's namespace: a GET is answered with a good status.\n\
             probe() {{\n    docker exec \"$internet\" python3 -c '\n\
             import http.client, sys\n\
             candidate = http.client.HTTPConnection(\"10.0.61.20\", {port}, timeout={timeout})\n\
             candidate.request(\"GET\", sys.argv[1])\n\
             sys.exit(not {low} <= candidate.getresponse().status <= {high})' {path} 2>/dev/null\n}}\n",
            path = quoted(&health.path),
            low = case.passing[0],
            high = case.passing[1],
        ),
    };
    let watch = END
        .replace("@INTERVAL@", &health.interval.to_string())
        .replace("@LIMIT@", &health.limit().as_secs().to_string())
        .replace("@GOOD@", &health.healthy_threshold.to_string());
    format!("{probe}\nexpected={}\n{watch}", quoted(&plain(&case.expected)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn text(value: &str) -> ReproValue {
        ReproValue::Text(value.to_owned())
    }

    fn case(conditions: &[&str]) -> ReproCase {
        ReproCase {
            id: "v20-otp-fix-0011aabb".to_owned(),
            image: "nerava-backend:v20-otp-fix".to_owned(),
            conditions: conditions.iter().map(|c| c.parse().expect("a condition")).collect(),
            env: BTreeMap::from([
                ("JWT_SECRET".to_owned(), ReproValue::Secret),
                ("PORT".to_owned(), text("8000")),
                ("SSL_CERT_FILE".to_owned(), text("/run/exitone/ca.pem")),
            ]),
            entrypoint: None,
            cmd: Some(["python", "-m", "app server"].map(ToOwned::to_owned).to_vec()),
            port: 8000,
            passing: [200, 399],
            health: HealthCheck::some(),
            names: vec!["Verify.Twilio.com.".to_owned(), "db.internal".to_owned()],
            ports: vec![443, 5432],
            expected: "exit code 1".to_owned(),
        }
    }

    fn written(case: &ReproCase) -> String {
        script(case).expect("a script")
    }

    fn is_valid_shell(script: &str) -> bool {
        let mut shell = Command::new("sh").arg("-n").stdin(Stdio::piped()).spawn().expect("a shell");
        shell.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("written");
        shell.wait().expect("an end").success()
    }

    /// Every condition, with each kind of argument that it takes.
    fn every_condition() -> Vec<String> {
        let mut all = Vec::new();
        for kind in kinds() {
            let example = kind.example().replace(":NAME=10s", ":db.internal=10s");
            let upstream = kind.name.starts_with("upstream.");
            all.push(if upstream { example.replace(":NAME", ":db.internal") } else { example });
            if kind.takes_name {
                all.push(format!("{}@db.internal", kind.example()));
            }
        }
        all.extend(
            ["9.9.9.9", "10.0.0.0/8", "0.0.0.0/0", "except=db.internal,10.0.0.0/8"].map(|t| format!("egress.drop:{t}")),
        );
        all
    }

    #[test]
    fn whole_script() {
        let script =
            written(&case(&["egress.drop", "upstream.refused:db.internal", "memory.limit:512m", "env.unset:DEBUG"]));
        // The Python programs are separate files.
        let mut shown = String::new();
        let mut inside = false;
        for line in script.lines() {
            inside &= line != "PYTHON";
            if !inside {
                shown += &format!("{line}\n");
            }
            inside |= line.ends_with("<<'PYTHON'");
        }
        insta::with_settings!({ snapshot_path => "repro", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!("script", shown);
        });
    }

    #[test]
    fn every_condition_has_a_script_or_a_reason() {
        for condition in every_condition() {
            let case = case(&[&condition]);
            match script(&case) {
                Ok(script) => {
                    assert!(is_valid_shell(&script), "{condition}");
                    let whys = script.lines().filter(|l| l.starts_with(&case.why(&case.conditions[0]))).count();
                    assert!(whys > 0, "{condition} is not said");
                    assert!(
                        !script.contains('@') || condition.contains('@') || script.contains("\"$@\""),
                        "{condition}"
                    );
                }
                Err(problems) => {
                    assert_eq!(problems.len(), 1);
                    assert!(problems[0].starts_with(&format!("`{condition}`")), "{problems:?}");
                    assert!(["arch.mismatch", "latency:200ms"].contains(&condition.as_str()), "{condition}");
                }
            }
        }
        assert_eq!(script(&case(&["arch.mismatch", "latency:1s", "egress.drop"])).map_err(|e| e.len()), Err(2));
    }

    #[test]
    fn template_keeps_only_the_faults_of_its_case() {
        let template = "a\n\n\nb  # dns.*\n\n\nc  # dns.late\nd  # a remark\n";
        assert_eq!(only_needed(template, &case(&["dns.drop"]).conditions), "a\n\n\nb  # dns.*\n\n\nd  # a remark\n");
        assert_eq!(only_needed(template, &[]), "a\n\n\nd  # a remark\n");
        let friendly = written(&case(&[]));
        for absent in ["fault_of", "refuse(", "[\"denied\"]", "[\"slow\"]", "[\"metadata\"]", "dev void", "(unset"] {
            assert!(!friendly.contains(absent), "{absent}");
        }
        let all = every_condition().into_iter().filter(|c| !c.starts_with("arch.") && !c.starts_with("latency"));
        let all: Vec<String> = all.collect();
        let everything = written(&case(&all.iter().map(String::as_str).collect::<Vec<_>>()));
        for part in ["fault == \"late\"", "def refuse(", "[\"denied\"]", "[\"slow\"]", "[\"metadata\"]"] {
            assert!(everything.contains(part), "{part}");
        }
    }

    #[test]
    fn untrusted_values_are_quoted() {
        let nasty = "a'b\"c $(exit 3) `exit 4` \\ \n# PYTHON\nPYTHON\nSH";
        let mut case = case(&["env.set:GREETING=$(exit 5)"]);
        case.id = nasty.to_owned();
        case.image = nasty.to_owned();
        case.expected = nasty.to_owned();
        case.names.push(nasty.to_owned());
        case.health.path = nasty.to_owned();
        case.cmd = Some(vec![nasty.to_owned(), String::new()]);
        case.entrypoint = Some(vec![nasty.to_owned(), "-x".to_owned()]);
        case.env.insert("GREETING".to_owned(), text(nasty));
        case.env.insert("my.variable".to_owned(), ReproValue::Unset);
        let script = written(&case);
        assert!(is_valid_shell(&script));
        assert!(!script.contains("unset my.variable") && script.contains("--env my.variable"));
        // A shell expands a quoted word to its value.
        for value in [nasty, "", "plain", "-e", "ä b", "'"] {
            let output =
                Command::new("sh").args(["-c", &format!("printf %s {}", quoted(value))]).output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&output.stdout), value);
        }
        let head: Vec<&str> = script.lines().skip(1).take_while(|line| !line.is_empty()).collect();
        assert_eq!(head.iter().filter(|line| line.starts_with('#')).count(), 11, "{head:?}");
    }

    #[test]
    fn secrets_are_asked_for_and_never_written() {
        let mut case = case(&["env.set:API_TOKEN=hunter2-1", "env.set:PLAIN=hunter2-2", "env.quoted:JWT_SECRET"]);
        case.env.insert("API_TOKEN".to_owned(), text("hunter2-1"));
        case.env.insert("PLAIN".to_owned(), ReproValue::Secret);
        case.env.insert("DATABASE_URL".to_owned(), text("postgresql://app:hunter2-3@db.internal/app"));
        case.env.insert("my.secret".to_owned(), ReproValue::Secret);
        case.env.insert("MAX_TOKENS".to_owned(), text("800"));
        case.env.insert("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI".to_owned(), text(CREDENTIALS_PATH));
        let script = written(&case);
        assert!(!script.contains("hunter2"), "{script}");
        assert!(!format!("{case:?} {:?}", case.env).contains("hunter2"));
        for name in ["API_TOKEN", "PLAIN", "DATABASE_URL", "JWT_SECRET", "REPRO_my_secret"] {
            assert_eq!(script.matches(&format!(": \"${{{name}:?set it")).count(), 1, "{name}");
        }
        assert!(script.contains("JWT_SECRET:?set it, with the quotes of env.quoted around it: its value is a secret"));
        assert!(script.contains("--env API_TOKEN \\") && script.contains("--env \"my.secret=$REPRO_my_secret\""));
        assert!(script.contains("--env MAX_TOKENS=800 "));
        case.cmd = Some(vec![format!("--token={REDACTED}")]);
        assert_eq!(super::script(&case).map_err(|e| e.len()), Err(1));
        let asks = Command::new("sh").args(["-c", &script]).env_clear().output().expect("a shell");
        assert!(!asks.status.success(), "it stops before doing anything");
        assert!(String::from_utf8_lossy(&asks.stderr).contains("API_TOKEN: set it"), "{asks:?}");
    }

    #[test]
    fn unset_variables_are_not_passed() {
        let mut case = case(&["env.unset:PATH"]);
        case.env.insert("PATH".to_owned(), ReproValue::Unset);
        case.env.insert("OTHER".to_owned(), ReproValue::Unset);
        let script = written(&case);
        assert!(script.contains("\n(unset OTHER PATH; exec \"$docker\" run "), "{script}");
        assert!(script.contains("    --env OTHER \\\n    --env PATH \\\n"), "{script}");
    }

    #[test]
    fn case_survives_serialization() {
        let mut case = case(&["egress.drop", "dns.delay:5s@db.internal"]);
        case.env.insert("OTHER".to_owned(), ReproValue::Unset);
        let json = serde_json::to_string(&case).expect("written");
        assert_eq!(serde_json::from_str::<ReproCase>(&json).expect("read"), case);
    }
}
