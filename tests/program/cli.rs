//! The command line without an engine: errors are reported before an engine is contacted.

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

fn exitone() -> Command {
    let mut command = Command::cargo_bin("exitone").expect("built");
    // Any attempt to contact an engine fails here.
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    command
}

fn with_file(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn missing_engine_is_reported_with_a_hint() {
    exitone().args(["run", "--image", "app:1"]).assert().code(4).stderr(
        contains("cannot connect to the container engine at unix:///nonexistent/docker.sock")
            .and(contains("hint: Start Docker")),
    );
    exitone()
        .env("DOCKER_HOST", "carrier-pigeon://x")
        .args(["clean"])
        .assert()
        .code(4)
        .stderr(contains("carrier-pigeon"));
}

#[test]
fn rejects_invalid_usage_without_an_engine() {
    exitone().args(["run"]).assert().code(2).stderr(contains("nothing to run"));
    exitone().args(["frobnicate"]).assert().code(2);
    exitone()
        .args(["run", "--image", "a", "--with", "egres.drop", "--with", "dns.delay:5", "--with", "env.set:X"])
        .assert()
        .code(2)
        .stderr(
            contains("did you mean `egress.drop`?")
                .and(contains("`5` is not a duration"))
                .and(contains("needs NAME=VALUE")),
        );
    exitone()
        .args(["run", "--image", "a", "--with", "egress.drop", "--with", "egress.reject"])
        .assert()
        .code(2)
        .stderr(contains("exclude each other"));
    exitone().args(["run", "--image", "a", "--soak", "2h"]).assert().code(2);
    exitone().args(["run", "--image", "a", "--jobs", "0"]).assert().code(2);
    exitone().args(["run", "--image", "a", "--retries", "1", "--repeat", "2"]).assert().code(2);
    let (_folder, path) = with_file("s.yaml", "candidates: [a:1]\nrepeat: 3\n");
    exitone().args(["run", &path, "--retries", "1"]).assert().code(2).stderr(contains("`repeat: 3` of the scenario s"));
    exitone().args(["run", &path, "--retries", "0"]).assert().code(4);
}

#[test]
fn reports_every_error_in_files() {
    let (_folder, path) = with_file("service.yaml", "port: eight\nhealth_check: {interval: 0, timeout: 21}\n");
    let assert = exitone().args(["run", "--image", "a", "--service", &path]).assert().code(3);
    assert.stderr(
        contains("port `eight`: must be an integer")
            .and(contains("interval `0`: must be an integer from 1 to 20"))
            .and(contains("timeout `21`"))
            .and(contains("service.yaml:1:7")),
    );
    let (_folder, path) = with_file("x.env", "GOOD=1\nbroken line\n=x\n");
    exitone()
        .args(["run", "--image", "a", "--env-file", &path])
        .assert()
        .code(3)
        .stderr(contains("x.env:2:1: expected NAME=VALUE").and(contains("x.env:3")).and(contains("broken line").not()));
    exitone().args(["run", "--image", "a", "--service", "/nonexistent.yaml"]).assert().code(3);
    let (_folder, path) = with_file("s.yaml", "candidates: [a:1]\nconditions: [egres.drop]\nplatform: x\n");
    exitone().args(["run", &path]).assert().code(3).stderr(contains("s.yaml:3:1"));
    let (folder, path) = with_file("b.yaml", "");
    std::fs::write(&path, [0xff, 0xfe, 0x00]).expect("written");
    exitone().args(["run", &path]).assert().code(3).stderr(contains("not a text file"));
    drop(folder);
}

#[test]
fn watchdog_ends_when_its_controller_says_so() {
    exitone().args(["watchdog", "--session", "0"]).write_stdin("done").assert().code(4);
    exitone().arg("holder").write_stdin("").assert().success();
    exitone().arg("holder").write_stdin("hello\n").assert().code(70).stderr(contains("expected a hello"));
}

#[test]
fn image_in_place_of_a_scenario_suggests_the_flag() {
    exitone().args(["run", "app:v2"]).assert().code(3).stderr(contains("hint: did you mean --image app:v2?"));
    exitone().args(["run", "gone.yaml"]).assert().code(3).stderr(contains("--image").not());
}

#[test]
fn prints_help_and_version() {
    exitone().arg("--help").assert().success().stdout(contains("demo").and(contains("clean")));
    exitone()
        .assert()
        .code(2)
        .stderr(contains("exitone doctor").and(contains("exitone demo")).and(contains("exitone why")));
    exitone().arg("--version").assert().success().stdout(contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn selects_platforms_by_name() {
    let wrong = "unknown platform `ecs-expres`; did you mean `ecs-express`?";
    for words in [vec!["run", "--image", "a"], vec!["why", "a"], vec!["bisect", "a", "b"], vec!["gate"]] {
        exitone().args(&words).args(["--platform", "ecs-expres"]).assert().code(2).stderr(contains(wrong));
    }
    exitone().args(["run", "--image", "a", "--platform", "ecs-express"]).assert().code(4);
    exitone().args(["gate", "--install", "--platform", "apprunner"]).assert().code(2);
    // What only one platform has is rejected on the other; the flag overrides the file.
    let text = "platform: ecs-express\ncandidates: [a:1]\nservice: {cpu: 0.25, memory: 2}\nexpect: {a:1: pass}\n";
    let (_folder, path) = with_file("s.yaml", text);
    exitone().args(["plan", &path]).assert().success();
    exitone().args(["plan", &path, "--platform", "apprunner"]).assert().code(3).stderr(contains("use 0.5, 1 GB"));
    let text = "candidates: [a:1]\nexpect: {a:1: RUNNING}\n";
    let (_folder, path) = with_file("s.yaml", text);
    exitone().args(["plan", &path]).assert().success();
    let said = "`RUNNING` is an App Runner status; on ECS Express Mode, expect";
    exitone().args(["plan", &path, "--platform", "ecs-express"]).assert().code(3).stderr(contains(said));
    let (_folder, path) = with_file("s.yaml", "platform: ecs\ncandidates: [a:1]\n");
    exitone().args(["plan", &path]).assert().code(3).stderr(contains("s.yaml:1:11").and(contains("ecs-express")));
}

#[test]
fn prints_the_committed_schemas() {
    for what in ["scenario", "events", "result"] {
        let kept = std::fs::read_to_string(format!("{}/docs/{what}.schema.json", env!("CARGO_MANIFEST_DIR")));
        exitone().args(["schema", what]).assert().success().stdout(kept.expect("a schema"));
    }
    exitone().args(["schema", "event"]).assert().code(2).stderr(contains("events"));
}

#[test]
fn reports_errors_in_conditions_and_files_together() {
    let (_folder, service) = with_file("service.yaml", "port: eight\n");
    let mut command = exitone();
    command.args(["run", "--image", "x", "--service", &service]);
    for condition in ["egres.drop", "cpu.limit:512m", "egress.drop", "egress.reject", "upstream.down:a..b"] {
        command.args(["--with", condition]);
    }
    let output = command.output().expect("it ran");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for words in [
        "did you mean `egress.drop`?",
        "`512m` is not a number of CPUs",
        "`a..b` is not the name of a host",
        "`egress.drop` and `egress.reject` exclude each other",
        "port `eight`: must be an integer",
    ] {
        assert!(said.contains(words), "{words}:\n{said}");
    }
}

#[test]
fn why_rejects_invalid_requests() {
    exitone().args(["why"]).assert().code(2).stderr(contains("missing image"));
    exitone()
        .args(["why", "a", "--with", "egress.drop", "--with", "egress.reject", "--with", "dns.drp"])
        .assert()
        .code(2)
        .stderr(contains("exclude each other").and(contains("one at a time")).and(contains("`dns.drop`?")));
    exitone()
        .args(["why", "a", "--with", "dns.drop", "--with", "dns.drop"])
        .assert()
        .code(2)
        .stderr(contains("duplicate condition dns.drop"));
    exitone()
        .args(["why", "a", "--confidence", "1"])
        .assert()
        .code(2)
        .stderr(contains("must be at least 0.5 and less than 1"));
    exitone().args(["why", "a", "--budget", "soon"]).assert().code(2);
    let (_folder, path) = with_file("service.yaml", "port: eight\n");
    exitone().args(["why", "a", "--service", &path]).assert().code(3).stderr(contains("port `eight`"));
    exitone().args(["why", "a"]).assert().code(4).stderr(contains("cannot connect to the container engine"));
}

const DESCRIBED: &str = r#"{"Service": {"SourceConfiguration": {"ImageRepository": {"ImageIdentifier": "app:1",
    "ImageConfiguration": {"Port": "8000", "RuntimeEnvironmentVariables": {"ENV": "production", "API_TOKEN": "hunter2"},
    "RuntimeEnvironmentSecrets": {"DATABASE_URL": "arn:aws:ssm:us-east-1:123456789012:parameter/db"}}}},
    "NetworkConfiguration": {"EgressConfiguration": {"EgressType": "VPC"}}}}"#;

#[test]
fn import_writes_a_scenario_that_run_reads() {
    let (folder, path) = with_file("describe.json", DESCRIBED);
    exitone().args(["import", &path]).assert().success().stderr(contains("read as the output of")).stdout(
        contains("- app:1").and(contains("- egress.drop")).and(contains("hunter2").not()).and(contains("arn:").not()),
    );
    exitone().args(["import", "-"]).write_stdin("A=1\n").assert().success().stderr(contains("read as an env file"));
    let out = folder.path().join("scenario.yaml").display().to_string();
    exitone().args(["import", &path, "-o", &out, "--image", "b:1"]).assert().success().stdout("");
    let written = std::fs::read_to_string(&out).expect("written");
    assert!(written.contains("- b:1") && written.contains("placeholder-for-API_TOKEN"), "{written}");
    // It is read completely: only the engine is missing.
    exitone().args(["run", &out]).assert().code(4);
    exitone().args(["import", &path, "-o", &out]).assert().code(6).stderr(contains("--force"));
    assert_eq!(std::fs::read_to_string(&out).expect("still there"), written);
    exitone().args(["import", &path, "-o", &out, "--force"]).assert().success();
    assert!(std::fs::read_to_string(&out).expect("written").contains("- app:1"));
    exitone().args(["import", &path, "-o", "/nonexistent/s.yaml"]).assert().code(6).stderr(contains("/nonexistent"));
}

#[test]
fn import_rejects_unreadable_input() {
    exitone().arg("import").assert().code(2);
    let (_folder, path) = with_file("d.json", DESCRIBED);
    exitone().args(["import", &path, "--force"]).assert().code(2);
    exitone().args(["import", &path, "--image", ""]).assert().code(2);
    exitone()
        .args(["import", &path, "-o", &path, "--force"])
        .assert()
        .code(2)
        .stderr(contains("input and output are the same file"));
    exitone().args(["import", "/nonexistent.json"]).assert().code(3);
    let bad = DESCRIBED.replace("\"8000\"", "[]").replace("\"VPC\"", "\"LAN\"");
    let (_folder, path) = with_file("bad.json", &bad);
    exitone().args(["import", &path]).assert().code(3).stdout("").stderr(
        contains(
            "bad.json:2:36: Service.SourceConfiguration.ImageRepository.ImageConfiguration.Port: expected a number or a string",
        )
        .and(contains("EgressType: egress `LAN`: expected DEFAULT or VPC"))
        .and(contains("bad.json:4:68"))
        .and(contains("hunter2").not()),
    );
    let (_folder, path) = with_file("x.txt", "hello\n");
    exitone().args(["import", &path]).assert().code(3).stderr(contains("neither the output of"));
}

#[test]
fn accepts_a_description_as_service_file() {
    let (_folder, path) = with_file("describe.json", DESCRIBED);
    exitone().args(["run", "--service", &path]).assert().code(4).stderr(
        contains("no file has the values of DATABASE_URL")
            .and(contains("cannot connect to the container engine"))
            .and(contains("hunter2").not()),
    );
    exitone().args(["why", "--service", &path, "--with", "dns.drop"]).assert().code(4);
    let (_folder, path) = with_file("bad.json", &DESCRIBED.replace("\"8000\"", "\"eight\""));
    let port = "Service.SourceConfiguration.ImageRepository.ImageConfiguration.Port: port `eight`";
    exitone().args(["run", "--service", &path]).assert().code(3).stderr(contains(port));
}

/// A repository in its own directory; `None`, with a printed reason, without git.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Option<Self> {
        let repository = Self(tempfile::tempdir().expect("a folder"));
        for name in ["home", "work"] {
            std::fs::create_dir(repository.0.path().join(name)).expect("made");
        }
        if std::process::Command::new("git").arg("version").output().is_err() {
            #[allow(clippy::print_stderr)]
            {
                eprintln!("skipped: no git");
            }
            return None;
        }
        repository.git(&["init", "--quiet"]);
        Some(repository)
    }

    fn work(&self) -> std::path::PathBuf {
        self.0.path().join("work")
    }

    fn own(&self, mut command: Command) -> Command {
        // The settings of the user who runs the tests do not matter.
        command.env("HOME", self.0.path().join("home")).env("XDG_STATE_HOME", self.0.path().join("state"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env_remove("XDG_CONFIG_HOME").current_dir(self.work());
        command.env_remove("PRE_COMMIT_TO_REF").env_remove("PRE_COMMIT_REMOTE_NAME");
        command
    }

    fn git(&self, args: &[&str]) {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        self.own(Command::new("git")).args(who).args(args).assert().success();
    }

    fn gate(&self, args: &[&str]) -> Command {
        let mut command = self.own(exitone());
        command.arg("gate").args(args);
        command
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.work().join(name), text).expect("written");
    }
}

const PUSHED: &str = "refs/heads/a 1111111111111111111111111111111111111111 refs/heads/a \
                      0000000000000000000000000000000000000000\n";
const SCENARIO: &str = "build: {image: app}\nservice: {port: \"8000\"}\nconditions: [egress.drop]\n";

#[test]
fn gate_rejects_invalid_requests() {
    let Some(repository) = Repository::new() else { return };
    let elsewhere = tempfile::tempdir().expect("a folder");
    let outside = || repository.gate(&[]).current_dir(elsewhere.path()).assert().code(2);
    outside().stderr(contains("git repository with a working tree"));
    repository.gate(&["--install", "--uninstall"]).assert().code(2);
    repository.gate(&["--max-age", "soon"]).assert().code(2).stderr(contains("`soon` is not a duration"));
    repository.gate(&[]).assert().code(2).stderr(contains(".exitone.yaml, exitone.yaml, scenarios/gate.yaml"));
    repository.gate(&["--install"]).assert().code(2).stderr(contains("no scenario to run"));
    repository.write("bad.yaml", "build: {dockerfil: x}\n");
    let bad = || repository.gate(&["--scenario", "bad.yaml"]).assert().code(3);
    bad().stderr(contains("bad.yaml:1").and(contains("did you mean `dockerfile`?")));
    repository.gate(&["--scenario", "bad.yaml", "--install"]).assert().code(3);
    assert!(!repository.work().join(".git/hooks/pre-push").exists(), "nothing is installed then");
    repository.write("bad.yaml", "build: {image: app, context: ..}\n");
    bad().stderr(contains("is outside the repository"));
    std::fs::create_dir(repository.work().join("below")).expect("made");
    repository.write("below/gate.yaml", "build: {image: app, dockerfile: Dockerfile}\n");
    let below = ["--scenario", "below/gate.yaml", "--install"];
    repository.gate(&below).assert().success().stderr(contains("no below/Dockerfile here yet"));
    repository.gate(&["--uninstall"]).assert().success();
    repository.write("bad.yaml", "# about\nbuild:\n  image: app\nconditions: [egres.drop]\n");
    bad().stderr(contains("bad.yaml:4:14").and(contains("did you mean `egress.drop`?")));
    repository.write(".exitone.yaml", SCENARIO);
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "--message", "one"]);
    repository
        .gate(&[])
        .assert()
        .code(4)
        .stderr(contains("cannot connect to the container engine").and(contains("no-verify").not()));
    repository.gate(&["--lenient"]).assert().code(4);
}

#[test]
fn gate_reads_the_lines_of_a_push() {
    let Some(repository) = Repository::new() else { return };
    let hook = |text: &str| repository.gate(&["--hook", "origin", "/nowhere"]).write_stdin(text.to_owned()).assert();
    // Without anything to test, neither a scenario nor an engine is needed.
    hook("").code(0);
    hook("(delete) 0000000000000000000000000000000000000000 refs/heads/a 1111111111111111111111111111111111111111\n")
        .code(0)
        .stderr(contains("the ref is deleted"));
    hook(&PUSHED.replace("refs/heads/a", "refs/tags/v1")).code(0).stderr(contains("the ref is a tag"));
    hook("what is this\n").code(2).stderr(contains("not a line that git passes"));
    hook(PUSHED).code(2).stderr(contains("no scenario to run"));
    repository.write(".exitone.yaml", SCENARIO);
    repository.write("Dockerfile", "FROM scratch\n");
    hook(PUSHED).code(0).stderr(contains("not a commit"));
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "--message", "one"]);
    let framework = || {
        let mut command = repository.gate(&[]);
        command.env("PRE_COMMIT_REMOTE_NAME", "origin");
        command
    };
    framework().assert().code(4).stderr(contains("push stopped"));
    framework().env("PRE_COMMIT_REMOTE_BRANCH", "refs/tags/v1").assert().code(0).stderr(contains("the ref is a tag"));
    framework()
        .args(["--lenient"])
        .env("PRE_COMMIT_TO_REF", "HEAD")
        .env("PRE_COMMIT_REMOTE_BRANCH", "refs/heads/a")
        .assert()
        .code(0)
        .stderr(contains("pushing anyway"));
    // Nothing changes the image between a commit and itself.
    framework()
        .env("PRE_COMMIT_FROM_REF", "HEAD")
        .env("PRE_COMMIT_TO_REF", "HEAD")
        .env("PRE_COMMIT_REMOTE_BRANCH", "refs/heads/a")
        .assert()
        .code(0)
        .stderr(contains("nothing in it changes the image"));
}

#[cfg(unix)]
#[test]
fn gate_installs_its_hook_where_git_looks() {
    let Some(repository) = Repository::new() else { return };
    repository.write("gate.yaml", SCENARIO);
    repository.write("a file", "");
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "--message", "one"]);
    let install = || repository.gate(&["--install", "--scenario", "gate.yaml"]);
    let setting = |name: &str, value: &str| repository.git(&["config", name, value]);
    // Paths where there can be no directory.
    for place in ["/dev/null", "a file"] {
        setting("core.hooksPath", place);
        install().assert().code(6).stderr(contains("cannot write the hook").and(contains("Nothing was changed")));
    }
    setting("core.hooksPath", ".husky/_");
    install().assert().code(2).stderr(contains("managed by husky"));
    let scenario = || repository.own(Command::new("git")).args(["config", "exitone.gate.scenario"]).assert();
    scenario().code(1);
    // A directory that the repository's settings name, and that does not exist yet.
    setting("core.hooksPath", "my hooks");
    install().assert().code(0).stdout(contains("my hooks/pre-push, with gate.yaml"));
    install().assert().code(0).stdout(contains("is already installed"));
    scenario().success().stdout("gate.yaml\n");
    let hook = repository.work().join("my hooks/pre-push");
    assert!(hook.exists());
    // The script without exitone: `sh` and its tools are on the PATH.
    let bare = || {
        let mut command = repository.own(Command::new("/bin/sh"));
        command.arg(&hook).args(["origin", "/nowhere"]).env("PATH", "/usr/bin:/bin").write_stdin(PUSHED);
        command
    };
    bare().assert().code(1).stderr(contains("exitone is not on the PATH").and(contains("git push --no-verify")));
    bare().env("EXITONE_GATE", "optional").assert().code(0).stderr(contains("goes on unjudged"));
    repository.gate(&["--uninstall"]).assert().code(0).stdout("removed the gate\n");
    repository.gate(&["--uninstall"]).assert().code(0).stdout(contains("not installed"));
    assert!(!hook.exists());
    scenario().code(1);
    repository.git(&["config", "--unset", "core.hooksPath"]);
    // A linked working tree has the hooks of its repository.
    repository.git(&["worktree", "add", "--quiet", "../linked"]);
    let mut linked = install();
    linked.current_dir(repository.0.path().join("linked")).assert().code(0);
    assert!(repository.work().join(".git/hooks/pre-push").exists());
    install().assert().code(0).stdout(contains("is already installed"));
    repository.git(&["config", "--global", "core.hooksPath", "/everywhere"]);
    install().assert().code(2).stderr(contains("set for all repositories (global)"));
}

#[test]
fn search_is_planned_as_one_for_one_worker() {
    let text = "candidates: [a:1, a:2]\ncombine: why\nconditions: [egress.drop, dns.drop, env.unset:B]\nservice: {env: {B: \
                x}}\nexpect: {'*': [pass, exit 1 under env.unset:B]}\n";
    let (_folder, path) = with_file("s.yaml", text);
    exitone().args(["plan", &path]).assert().success().stdout(
        contains("  1: a search among 3 conditions, about 7 runs, ")
            .and(contains("2 under env.unset:B  → exit 1"))
            .and(contains("4 cases and 2 searches, about ")),
    );
    let output = exitone().args(["plan", &path, "--format", "json", "--shards", "8"]).output().expect("it ran");
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    let searches = plan["searches"].as_array().expect("searches");
    assert_eq!((searches.len(), plan["cases"].as_array().map(Vec::len)), (2, Some(4)));
    for search in searches {
        let of_image = |case: &&serde_json::Value| case["image"] == search["image"];
        for case in plan["cases"].as_array().expect("cases").iter().filter(of_image) {
            assert_eq!(case["shard"], search["shard"], "{case}");
        }
    }
    let output = exitone().args(["plan", &path, "--format", "github", "--shards", "8"]).output().expect("it ran");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let used: std::collections::BTreeSet<&str> = searches.iter().filter_map(|s| s["shard"].as_str()).collect();
    assert_eq!(said.matches("shard\":").count(), used.len(), "{said}");
    let many: Vec<String> = (0..513).map(|n| format!("env.unset:V{n}")).collect();
    let text = format!("candidates: [a:1]\ncombine: why\nconditions: [{}]\n", many.join(", "));
    let (_folder, path) = with_file("s.yaml", &text);
    exitone().args(["plan", &path]).assert().code(3).stderr(contains("513 conditions are too many for one search"));
}

#[test]
fn missing_build_files_are_reported_without_an_engine() {
    let text =
        "candidates:\n  - {image: 'a:1', context: nowhere}\n  - {image: 'a:2', dockerfile: Dockerfile.no}\n  - b\n";
    let (_folder, path) = with_file("s.yaml", text);
    exitone().args(["run", &path]).assert().code(3).stderr(
        contains("cannot build a:1: no such folder: ")
            .and(contains("nowhere"))
            .and(contains("cannot build a:2: no such file: "))
            .and(contains("Dockerfile.no")),
    );
    // An image in their place is not built, nor is an image that is not requested.
    exitone().args(["run", &path, "--image", "c"]).assert().code(4).stderr(contains("cannot be built").not());
    let (_folder, path) = with_file("s.yaml", "candidates: [b]\nbuild: {image: c, context: nowhere}\n");
    exitone().args(["run", &path]).assert().code(4).stderr(contains("cannot be built").not());
    let (_folder, path) = with_file("s.yaml", "build: {image: c, context: nowhere}\n");
    exitone().args(["run", &path]).assert().code(3).stderr(contains("cannot build c: no such folder"));
}

#[test]
fn trace_is_written_where_it_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let doctor = |form: &str| {
        let mut command = exitone();
        command.current_dir(folder.path()).env("EXITONE_TRACE", form).arg("doctor");
        command
    };
    doctor("perfetto").assert().code(2).stderr(contains("the only format of a trace is `chrome`"));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    doctor("chrome").assert().code(4).stderr(contains("writing a trace to exitone-trace-"));
    let file = std::fs::read_dir(folder.path()).expect("a folder").next().expect("a trace").expect("an entry");
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(file.path()).expect("read")).expect("whole");
    assert!(trace.is_array(), "{trace}");
}

#[test]
fn key_of_another_kind_of_file_says_where_it_belongs() {
    let run = |scenario: &str, service: &str| {
        let (_one, scenario) = with_file("s.yaml", scenario);
        let (_other, service) = with_file("service.yaml", service);
        let runs = exitone().args(["run", &scenario]).assert().code(3);
        let said = String::from_utf8_lossy(&runs.get_output().stderr).into_owned();
        let asks = exitone().args(["why", "app:1", "--service", &service]).assert().code(3);
        said + &String::from_utf8_lossy(&asks.get_output().stderr)
    };
    let said = run("image: app:1\nport: 8000\n", "service:\n  port: 8000\nconditions: [egress.drop]\n");
    for expected in [
        "unknown key `image`: write `candidates: [IMAGE]`",
        "unknown key `port`: it belongs under `service:`",
        "unknown key `service`: in a service file, its keys stand at the top level",
        "unknown key `conditions`: it belongs in a scenario file, which `exitone run` reads",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
