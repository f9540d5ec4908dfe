//! What a C program, a Python program and a static Rust program observe under every condition: `docs/measured.md`.
//! `EXITONE_UPDATE_DOCS=1 cargo test --test docker sees:: -- --include-ignored` regenerates it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use exitone::engine::{Engine, EngineInfo};
use exitone::holder::protocol::CREDENTIALS_PATH;
use exitone::model::condition::{Host, kinds};
use exitone::model::service::{Stub, Upstream, UpstreamKind};
use exitone::model::{Candidate, Case, CaseResult, ConditionSet, Outcome, Service, Verdict};
use exitone::run::case::{self, Listener};
use exitone::run::context::Options;
use exitone::run::rig::{Rig, Setup};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::support::{engine, exitone, service_with, set};

const IMAGE: &str = "exitone-test/sees:latest";
const PAGE: &str = "docs/measured.md";
/// The host that the programs need.
const NEEDED: &str = "planted.example";
/// The prefix of a line that is not compared.
const MEASURED: &str = "Measured on ";
/// Most cases wait.
const JOBS: usize = 8;
/// The start of each program's command, in the order of the columns.
const PROGRAMS: [&str; 3] = ["/sees-c", "python3 /sees.py", "/sees-rust"];
/// ENTRYPOINT leaves a trace: the command runs with an additional variable.
const DOCKERFILE: &str = "FROM exitone/python-base:latest\nLABEL exitone.image=test\n\
                          COPY sees-c sees-rust sees.py /\n\
                          COPY --chown=1000:1000 sees.py /kept/\nVOLUME /kept\nUSER 1000:1000\n\
                          ENTRYPOINT [\"/usr/bin/env\", \"ENTRYPOINT=ran\"]\n";

/// The page's introduction.
const HEAD: &str = "\
# What a program sees of each condition

You want to know which error your program gets under a condition, and after how long: look up the condition.

A C program (dynamic, glibc), a Python program and a static Rust program each do the same small thing as user 1000, once,
right after their start, with no time limit of their own. (For the answer to a UDP packet, from a connected socket, they
wait 2 s.) `at once` is less than 0.9 s. C names the errno, Python the exception, Rust the `ErrorKind`.

- A connection that nobody answers is given up early here; with `--real-time` it takes the kernel's own time, about two
  minutes.
- In the baseline nobody answers UDP either, except the resolver.
- The simulated internet gives names an address of `198.18.0.0/15`. A container finds its credentials at
  `169.254.170.2`, which has nothing (404) at `/`.
- `/kept` is a volume of the image, which belongs to user 1000.
- The image has an `ENTRYPOINT` that sets the variable `ENTRYPOINT`, and the service sets `PLANTED=yes`.

`tests/docker/sees.rs` generates this page from `tests/fixtures/sees.{c,py,rs}` on a real engine, and compares every cell
(`EXITONE_UPDATE_DOCS=1 cargo test --test docker sees:: -- --include-ignored` rewrites it).
";

/// Conditions, and the actions under them. In an action, `CREDENTIALS` stands for the path of the credentials.
const ROWS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "connect 198.18.9.9 443",
            "send 198.18.9.9 9999",
            "resolve planted.example",
            "get planted.example 80",
            "env PLANTED",
            "spin 0.1",
            "memory 100",
            "files",
            "write /tmp/x",
            "own-name",
            "bind ip-10-0-248-213.ec2.internal 9000",
            "argv 'a b' c",
            "env ENTRYPOINT",
            "get 169.254.170.2 80",
            "get 169.254.170.2 80 CREDENTIALS",
            "connect 169.254.169.254 80",
            "bind 0.0.0.0 80",
            "bind ::1 9000",
        ],
    ),
    ("egress.drop", &["connect 198.18.9.9 443", "send 198.18.9.9 9999", "get 169.254.170.2 80 CREDENTIALS"]),
    ("egress.drop:planted.example", &["connect planted.example 443", "connect other.example 443"]),
    ("egress.drop:198.18.0.0/16", &["connect 198.18.9.9 443", "connect 198.19.9.9 443"]),
    ("egress.drop:except=planted.example", &["connect planted.example 443", "connect other.example 443"]),
    ("egress.reject", &["connect 198.18.9.9 443", "send 198.18.9.9 9999"]),
    ("egress.unreachable", &["connect 198.18.9.9 443", "send 198.18.9.9 9999"]),
    ("egress.none", &["connect 198.18.9.9 443", "send 198.18.9.9 9999", "resolve planted.example"]),
    ("egress.late:20s", &["connect 198.18.9.9 443"]),
    ("latency:2s", &["connect 198.18.9.9 443", "get planted.example 80"]),
    ("dns.servfail", &["resolve planted.example"]),
    ("dns.servfail@planted.example", &["resolve planted.example", "resolve other.example"]),
    ("dns.nxdomain", &["resolve planted.example", "own-name"]),
    ("dns.drop", &["resolve planted.example"]),
    ("dns.truncated", &["resolve planted.example", "own-name"]),
    ("dns.truncated@planted.example", &["resolve planted.example", "resolve other.example"]),
    ("dns.delay:2s", &["resolve planted.example"]),
    ("dns.late:4s", &["resolve planted.example"]),
    ("upstream.down:planted.example", &["get planted.example 80"]),
    ("upstream.refused:planted.example", &["get planted.example 80"]),
    ("upstream.slow:planted.example=2s", &["connect planted.example 80", "get planted.example 80"]),
    ("upstream.denied:planted.example", &["get planted.example 80"]),
    ("env.unset:PLANTED", &["env PLANTED"]),
    ("env.empty:PLANTED", &["env PLANTED"]),
    ("env.set:PLANTED=no", &["env PLANTED"]),
    ("env.quoted:PLANTED", &["env PLANTED"]),
    ("env.newline:PLANTED", &["env PLANTED"]),
    ("env.json:PLANTED", &["env PLANTED"]),
    ("arch.mismatch", &["env PLANTED"]),
    ("cpu.limit:0.05", &["spin 0.1"]),
    ("memory.limit:48m", &["memory 100"]),
    ("nofile.limit:64", &["files"]),
    ("disk.full", &["write /tmp/x"]),
    ("rootfs.readonly", &["write /tmp/x", "write /kept/x"]),
    ("hostname.platform", &["own-name", "bind ip-10-0-248-213.ec2.internal 9000"]),
    ("hostname.unbindable", &["own-name", "bind ip-10-0-248-213.ec2.internal 9000"]),
    ("command.split", &["argv 'a b' c"]),
    ("command.no-entrypoint", &["env ENTRYPOINT"]),
    ("metadata.none", &["get 169.254.170.2 80 CREDENTIALS", "env AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]),
    ("metadata.denied", &["get 169.254.170.2 80 CREDENTIALS"]),
    ("metadata.slow:2s", &["get 169.254.170.2 80 CREDENTIALS"]),
    ("ports.privileged", &["bind 0.0.0.0 80"]),
    ("ipv6.off", &["bind ::1 9000"]),
];

#[test]
fn every_condition_has_a_row() {
    for kind in kinds() {
        let named = |row: &(&str, &[&str])| row.0.split([':', '@']).next() == Some(kind.name);
        assert!(ROWS.iter().any(named), "add a row for {} to ROWS in tests/docker/sees.rs", kind.name);
    }
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn programs_see_what_the_page_says() {
    let Some((engine, _one)) = engine().await else { return };
    build();
    let info = engine.info().await.expect("an engine");
    let cells = measure(&engine, &info).await;
    let page = page(&info, &cells);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("EXITONE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let wrong = differences(&found, &page);
    assert!(
        wrong.is_empty(),
        "{PAGE}: EXITONE_UPDATE_DOCS=1 cargo test --test docker sees:: -- --include-ignored\n{wrong}"
    );
}

/// Times are compared in classes: immediate, or seconds with a tolerance of one second or a fifth.
#[test]
fn comparison_ignores_the_machine_and_small_time_differences() {
    let page = |machine: &str, cell: &str| format!("# A page\n\n{MEASURED}{machine}\n\n| baseline | {cell} |\n");
    let same = |a: &str, b: &str| differences(&page("one", a), &page("another", b)).is_empty();
    assert!(same("`ETIMEDOUT (110)`, 3 s", "`ETIMEDOUT (110)`, 4 s"));
    assert!(same("`EAI_AGAIN (-3)`, 10 s", "`EAI_AGAIN (-3)`, 12 s"));
    assert!(!same("`ETIMEDOUT (110)`, 3 s", "`ETIMEDOUT (110)`, at once"));
    assert!(!same("`ETIMEDOUT (110)`, 2 s", "`EHOSTUNREACH (113)`, 2 s"));
    assert!(!same("not run", "`bound`, at once"));
    assert!(!differences(&page("one", "not run"), "# A page\n").is_empty());
}

/// Compiles the programs and builds the image.
fn build() {
    exitone().args(["images", "build", "v24-lazy-otp"]).assert().success();
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let done = |command: &mut Command| assert!(command.status().expect("it runs").success(), "{command:?}");
    done(Command::new("cc").arg("-o").arg(folder.path().join("sees-c")).arg(fixture("sees.c")));
    // Stripping symbols saves 4 MB.
    let options = ["--edition", "2021", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols"];
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    done(Command::new(rustc).args(options).arg("-o").arg(folder.path().join("sees-rust")).arg(fixture("sees.rs")));
    std::fs::copy(fixture("sees.py"), folder.path().join("sees.py")).expect("copied");
    std::fs::write(folder.path().join("Dockerfile"), DOCKERFILE).expect("written");
    let mut docker = Command::new("docker");
    // The engine's classic builder: the other one is a plugin that may be missing.
    docker.env("DOCKER_BUILDKIT", "0").args(["build", "-q", "--pull=false", "-t", IMAGE]).arg(folder.path());
    done(docker.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()));
}

/// A service whose command is one of the programs with an action.
fn service(program: &str, action: &str) -> Service {
    let action = action.replace(" CREDENTIALS", &format!(" {CREDENTIALS_PATH}"));
    let mut service = service_with(&format!("{program} {action}"));
    service.env.insert("PLANTED".to_owned(), "yes".to_owned());
    let host: Host = NEEDED.parse().expect("a host");
    service.upstreams = vec![Upstream { host, port: 80, address: None, kind: UpstreamKind::Stub(Stub::default()) }];
    service
}

/// Every row under every program, in page order.
async fn measure(engine: &Arc<dyn Engine>, info: &EngineInfo) -> Vec<[String; 3]> {
    let candidate = Candidate { facts: engine.inspect_image(IMAGE).await.expect("an image") };
    let state = tempfile::tempdir().expect("a folder");
    let setup = Setup {
        state: state.path().to_owned(),
        jobs: JOBS,
        options: Options::default(),
        watchdog: true,
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_exitone"))),
        mode: None,
    };
    let rig = Rig::open(engine.clone(), info, setup).await.expect("a session");
    let turns = Arc::new(Semaphore::new(JOBS));
    let mut cases = JoinSet::new();
    for (number, (conditions, action)) in rows().enumerate() {
        for (column, program) in PROGRAMS.iter().enumerate() {
            let (context, candidate, turns) = (rig.context.clone(), candidate.clone(), turns.clone());
            let (service, case) = (service(program, action), Case::new(IMAGE, conditions.clone()));
            cases.spawn(async move {
                let _turn = turns.acquire().await.expect("never closed");
                (number, column, cell(&case::run(&context, &service, &candidate, &case, Listener::NOBODY).await))
            });
        }
    }
    let mut cells = vec![<[String; 3]>::default(); rows().count()];
    while let Some(ended) = cases.join_next().await {
        let (number, column, cell) = ended.expect("a case");
        cells[number][column] = cell;
    }
    rig.close(false).await.expect("closed");
    cells
}

fn rows() -> impl Iterator<Item = (ConditionSet, &'static str)> {
    let set_of = |text: &str| if text.is_empty() { set(&[]) } else { set(&[text]) };
    ROWS.iter().flat_map(move |(text, actions)| actions.iter().map(move |action| (set_of(text), *action)))
}

/// The result of a case: the program's own line, or its end if it could not write one.
fn cell(result: &CaseResult) -> String {
    assert_ne!(result.verdict, Verdict::Unresolved, "{result:#?}");
    let line = result.log.lines().find_map(|line| line.strip_prefix("sees: ")?.rsplit_once(" | "));
    match (&result.outcome, line) {
        (None, _) => "not run".to_owned(),
        (_, Some((what, seconds))) => format!("`{what}`, {}", shown(seconds.parse().expect("seconds"))),
        (Some(Outcome::OomKilled), _) => "killed (137), out of memory".to_owned(),
        _ => panic!("{result:#?}"),
    }
}

fn shown(seconds: f64) -> String {
    if seconds < 0.9 { "at once".to_owned() } else { format!("{seconds:.0} s") }
}

fn page(info: &EngineInfo, cells: &[[String; 3]]) -> String {
    let mut page = HEAD.to_owned();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let EngineInfo { name, version, platform, cpus, .. } = info;
    let _ = writeln!(page, "\n{MEASURED}Linux {}, {name} {version}, {platform}, {cpus} CPUs.\n", kernel.trim());
    page.push_str("| condition | what was done | C (glibc) | Python | Rust (static) |\n|---|---|---|---|---|\n");
    for ((conditions, action), [c, python, rust]) in rows().zip(cells) {
        let condition = if conditions.is_empty() { "baseline".to_owned() } else { format!("`{conditions}`") };
        let action = action.replace(" CREDENTIALS", " /v2/credentials/…");
        let _ = writeln!(page, "| {condition} | `{action}` | {c} | {python} | {rust} |");
    }
    page
}

/// The lines that differ by more than the machine or within a class of times.
fn differences(found: &str, now: &str) -> String {
    let mut wrong = String::new();
    let (mut found, mut now) = (found.lines(), now.lines());
    loop {
        match (found.next(), now.next()) {
            (None, None) => return wrong,
            (Some(a), Some(b)) if same_line(a, b) => {}
            (a, b) => {
                let _ = writeln!(wrong, "page: {}\n now: {}", a.unwrap_or_default(), b.unwrap_or_default());
            }
        }
    }
}

fn same_line(a: &str, b: &str) -> bool {
    let cells = |line: &str| line.split(" | ").map(timed).collect::<Vec<_>>();
    let (of_a, of_b) = (cells(a), cells(b));
    // How long computing takes depends on the machine and its load.
    let computing = a.contains("| `spin ");
    let same = |(a, b): (&Timed, &Timed)| a.0 == b.0 && (computing || near(a.1, b.1));
    (a.starts_with(MEASURED) && b.starts_with(MEASURED))
        || (of_a.len() == of_b.len() && of_a.iter().zip(&of_b).all(same))
}

/// A cell's text and its time in seconds.
type Timed = (String, Option<f64>);

fn timed(cell: &str) -> Timed {
    let cell = cell.trim_end_matches(" |");
    let time = cell.rsplit_once(", ").and_then(|(text, time)| {
        let seconds = if time == "at once" { Some(0.0) } else { time.strip_suffix(" s")?.parse().ok() };
        Some((text.to_owned(), Some(seconds?)))
    });
    time.unwrap_or_else(|| (cell.to_owned(), None))
}

/// Waiting times are compared in classes that even a busy machine does not mix up: immediate, some seconds, and more.
fn near(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= f64::max(2.5, a.max(b) * 0.4),
        _ => a == b,
    }
}
