//! `exitone why` against the real engine: exactly the sets planted in the bundled candidates.

use std::collections::BTreeMap;
use std::path::Path;

use exitone::engine::archive::NewImage;

use serde_json::Value;
use tokio::time::Instant;

use super::rows::Wanted;
use super::support::{engine, exitone, layer, load, planted_program};

/// The incident's service in a separate file.
fn service_file(folder: &Path) -> String {
    let scenario = include_str!("../../scenarios/incident.yaml");
    let block = scenario.split("\nservice:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("the service");
    let text: String = block.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect();
    let path = folder.join("service.yaml");
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

fn why(image: &str, service: &str, with: &[&str]) -> Value {
    let with = with.iter().flat_map(|condition| ["--with", condition]);
    let arguments = ["why", image, "--service", service, "--format", "json"].into_iter().chain(with);
    let output = exitone().args(arguments).output().expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let text = String::from_utf8(output.stdout).expect("text");
    for secret in ["not-a-password", "not-a-real-jwt-secret", "not-a-real-auth-token", "phc_not-a-real-key"] {
        assert!(!text.contains(secret), "{secret} is in the output");
    }
    serde_json::from_str(&text).expect("one document")
}

fn sets(answer: &Value) -> Vec<String> {
    let all = answer["minimal_sets"].as_array().expect("sets");
    let joined = |set: &Value| {
        let conditions = set["conditions"].as_array().expect("conditions");
        conditions.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" + ")
    };
    let mut sets: Vec<String> = all.iter().map(joined).collect();
    sets.sort();
    sets
}

fn causes<'a>(answer: &'a Value, conditions: &str) -> Vec<&'a str> {
    let all = answer["minimal_sets"].as_array().expect("sets");
    let set = all.iter().find(|set| set["conditions"][0] == conditions).expect(conditions);
    set["causes"].as_array().expect("causes").iter().filter_map(|cause| cause["id"].as_str()).collect()
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn why_finds_what_is_planted() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build"]).assert().success();
    let folder = tempfile::tempdir().expect("a folder");
    let service = service_file(folder.path());
    let always = ["env.unset:DATABASE_URL", "env.unset:ENV", "env.unset:JWT_SECRET"];

    // The whole battery: production mode is one of its forms.
    let answer = why("nerava-backend:v20-otp-fix", &service, &[]);
    let mut planted = vec!["env.set:ENV=production"];
    planted.extend(always);
    assert_eq!(sets(&answer), planted, "{answer:#}");
    assert_eq!((&answer["baseline"], &answer["settled"]), (&Value::from("pass"), &Value::from(true)));
    assert_eq!(causes(&answer, "env.set:ENV=production"), ["settings-attribute-case", "variable-value"]);
    let pruned = answer["pruned"].as_array().expect("a list");
    assert!(pruned.iter().any(|left| left["condition"] == "dns.servfail"), "{pruned:#?}");

    // This one calls Twilio at import.
    let answer = why("nerava-backend:v22-with-env", &service, &[]);
    let mut planted = vec!["dns.servfail", "egress.drop"];
    planted.extend(always);
    planted.extend(["env.unset:TWILIO_ACCOUNT_SID", "upstream.denied:verify.twilio.com"]);
    assert_eq!(sets(&answer), planted, "{answer:#}");
    assert_eq!(causes(&answer, "egress.drop"), ["outbound-call-at-startup"]);
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn finds_pairs_in_few_runs() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build", "v20-otp-fix-fixed"]).assert().success();
    let folder = tempfile::tempdir().expect("a folder");
    let service = service_file(folder.path());
    let with = [
        "egress.drop",
        "env.set:OTP_PROVIDER=twilio_verify",
        "dns.servfail",
        "env.unset:DATABASE_URL",
        "env.unset:JWT_SECRET",
        "metadata.none",
        "hostname.platform",
        "memory.limit:512m",
    ];
    let answer = why("nerava-backend:v20-otp-fix-fixed", &service, &with);
    let pairs = ["dns.servfail", "egress.drop"].map(|c| format!("{c} + env.set:OTP_PROVIDER=twilio_verify"));
    let planted = [&pairs[0], &pairs[1], "env.unset:DATABASE_URL", "env.unset:JWT_SECRET"];
    assert_eq!(sets(&answer), planted, "{answer:#}");
    // Twelve on an idle machine; which run ends first decides what starts next to it.
    assert!(answer["runs"].as_u64().is_some_and(|runs| runs <= 16), "{}", answer["runs"]);
    assert_eq!(answer["settled"], true);
}

#[tokio::test]
async fn reports_another_processor_before_anything_runs() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build", "v23-fixed-cmd-arm64"]).assert().success();
    let folder = tempfile::tempdir().expect("a folder");
    let answer = why("nerava-backend:v23-fixed-cmd-arm64", &service_file(folder.path()), &[]);
    assert_eq!(sets(&answer), ["arch.mismatch"]);
    assert_eq!((&answer["runs"], &answer["exit_code"]), (&Value::from(0), &Value::from(1)));
}

/// A service with many variables: which of them matter, and its log.
struct Large {
    name: &'static str,
    /// In the planted program's notation.
    rules: &'static [&'static str],
    sets: &'static [&'static str],
    /// Number of variables that matter.
    d: usize,
}

/// Number of variables of each.
const VARIABLES: usize = 80;
const LARGE: [Large; 4] = [
    Large { name: "none", rules: &[], sets: &[], d: 0 },
    Large {
        name: "required",
        rules: &["V04", "V21", "V22", "V47", "V60", "V79"],
        sets: &["env.unset:V04", "env.unset:V21", "env.unset:V22", "env.unset:V47", "env.unset:V60", "env.unset:V79"],
        d: 6,
    },
    Large { name: "pair", rules: &["V13|V66"], sets: &["env.unset:V13 + env.unset:V66"], d: 2 },
    Large { name: "newline", rules: &["!V38"], sets: &["env.newline:V38"], d: 1 },
];

/// `EXITONE_LARGE=pair,newline cargo test --test docker services_with_80 -- --nocapture` runs some of them, and prints
/// runs and seconds.
#[tokio::test]
async fn services_with_80_variables() {
    let Some((engine, _one)) = engine().await else { return };
    let wanted = Wanted::of("EXITONE_LARGE", &["required"]);
    let folder = tempfile::tempdir().expect("a folder");
    let program = std::fs::read(planted_program(folder.path())).expect("compiled");
    let variables: Vec<String> = (0..VARIABLES).map(|n| format!("V{n:02}")).collect();
    // The image mentions every variable, so none is ruled out beforehand.
    let settings: String = variables.iter().map(|name| format!("{name} = os.environ.get('{name}')\n")).collect();
    let env: String = variables.iter().map(|name| format!("  {name}: value-of-{name}\n")).collect();
    for row in LARGE.iter().filter(|row| wanted.has(row.name)) {
        let tag = format!("exitone-test/large-{}:latest", row.name);
        let rules = row.rules.iter().map(|rule| (*rule).to_owned());
        let image = NewImage {
            tag: tag.clone(),
            architecture: "amd64".to_owned(),
            cmd: ["/planted", "settings", "8000"].map(str::to_owned).into_iter().chain(rules).collect(),
            labels: BTreeMap::from([("exitone.session".to_owned(), "kept".to_owned())]),
            layers: vec![layer(&[("planted", 0o755, &program), ("app/settings.py", 0o644, settings.as_bytes())])],
            ..NewImage::default()
        };
        load(engine.as_ref(), &[image]).await;
        let service = folder.path().join("service.yaml");
        // Variables with a planted form are secrets, and so are a few others.
        let text = format!("port: 8000\nenv:\n{env}secrets: [V02, V17, V38, V51]\n");
        std::fs::write(&service, text).expect("written");
        let begun = Instant::now();
        let arguments =
            ["why", &tag, "--service", &service.display().to_string(), "--format", "json"].map(str::to_owned);
        let output = exitone().args(arguments).output().expect("it runs");
        let seconds = begun.elapsed().as_secs_f64();
        assert_eq!(output.status.code(), Some(i32::from(row.d > 0)), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).expect("one document");
        assert_eq!(sets(&answer), row.sets, "{answer:#}");
        assert_eq!(answer["settled"], true, "{answer:#}");
        let runs = answer["runs"].as_f64().expect("a number");
        let (n, d) = (VARIABLES as f64, row.d as f64);
        let bits = if row.d == 0 { 0.0 } else { d * (n / d).log2() };
        eprintln!("{:10} {runs:3} runs, {seconds:5.1} s; d·log2(n/d) = {bits:.1}", row.name);
        // The baseline and everything at once; 9 runs that separate the variables; other forms; for each that matters:
        // itself, everything without it, and runs started on a wrong guess.
        let most = 2.0 + 9.0 + 8.0 + bits + 5.0 * d;
        assert!(runs <= most, "{}: {runs} runs, at most {most:.0} were expected", row.name);
    }
}
