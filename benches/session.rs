//! Measurements against the real engine, side by side in one run: `cargo bench --bench session -- WHAT`.
//!
//! * `case`: a whole case of a 1 ms program against `docker run --rm` of the same image, alternating.
//! * `evidence`: the same case with and without recording evidence, alternating; and the holders' memory.
//! * `verdict`: from the end of the process to the verdict.
//! * `demo`: the demo's wall time against `by-hand/cells.sh`, which runs the same cells sequentially.
//! * `cells`: 40 cells of a scenario against the truth table, and their wall time against the longest cell, the
//!   processor time, and the same script.
//! * `shot`: `exitone run` of one image, as a command, against `docker run --rm` of it, alternating: until the answer is
//!   printed, and until everything is removed.
//! * `scale`: 1,000 cases over 20 images: the memory of the controller and of its holders, early and late, and what the
//!   run leaves in files. Only if it is asked for.
//! * `kill`: `kill -9` of a demo's controller at random moments, and what is left two seconds later.
//! * `truth`: the demo's cells against `tests/fixtures/truth.yaml`, three times in a row.
//!
//! All figures are ratios within one run; nothing here is a test.

// A benchmark prints.
#![allow(clippy::print_stdout)]
#![allow(clippy::print_stderr)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use exitone::engine::archive::{Layer, NewImage, append_mode, write};
use exitone::engine::context::EngineEnv;
use exitone::engine::docker::DockerEngine;
use exitone::engine::{Engine, Found, IMAGE_LABEL, OWNER_LABEL, ROLE_LABEL};
use exitone::model::{Candidate, Case, ConditionSet, Part, Plan};
use exitone::run::context::Options;
use exitone::run::drivers;
use exitone::run::rig::{Rig, Setup};
use exitone::run::session;
use exitone::scenario::{apprunner, service};
use tokio::sync::watch;
use tokio::time::Instant;

const EXITONE: &str = env!("CARGO_BIN_EXE_exitone");
const PLANTED: &str = "exitone-test/planted:latest";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let what: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let all = what.is_empty();
    let engine: Arc<dyn Engine> =
        Arc::new(DockerEngine::connect(&EngineEnv::of_process()).expect("an engine's address"));
    let info = engine.info().await.expect("an engine");
    println!("engine {} {}, {} CPUs", info.name, info.version, info.cpus);
    for name in ["case", "verdict", "evidence", "shot", "scale", "kill", "truth", "cells", "demo"] {
        if (!all || name == "scale") && !what.iter().any(|w| w == name) {
            continue;
        }
        match name {
            "case" | "verdict" => case(&engine, name).await,
            "evidence" => evidence(&engine).await,
            "shot" => shot(engine.as_ref()).await,
            "scale" => scale(engine.as_ref()).await,
            "kill" => kill(engine.as_ref()).await,
            "truth" => truth(),
            "cells" => cells(),
            _ => demo(),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

async fn load_planted(engine: &dyn Engine) {
    load(engine, &[PLANTED.to_owned()]).await;
}

/// Loads the planted program once under each tag.
async fn load(engine: &dyn Engine, tags: &[String]) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("planted");
    let status = Command::new("cc")
        .args(["-static", "-O1", "-o"])
        .arg(&program)
        .arg(root().join("tests/fixtures/planted.c"))
        .status();
    assert!(status.expect("a C compiler").success());
    let bytes = std::fs::read(&program).expect("compiled");
    let mut tar = tar::Builder::new(Vec::new());
    append_mode(&mut tar, "planted", bytes.len() as u64, 0o755, bytes.as_slice()).expect("packed");
    let layer = Layer::of_bytes(tar.into_inner().expect("packed"));
    let image = |tag: &String| NewImage {
        tag: tag.clone(),
        architecture: "amd64".to_owned(),
        cmd: vec!["/planted".to_owned(), "exit".to_owned(), "1".to_owned()],
        labels: BTreeMap::from([(IMAGE_LABEL.to_owned(), "test".to_owned())]),
        // Otherwise they would all be one image.
        env: BTreeMap::from([("TAG".to_owned(), tag.clone())]),
        layers: vec![layer.clone()],
        ..NewImage::default()
    };
    let images: Vec<NewImage> = tags.iter().map(image).collect();
    let mut archive = tempfile::NamedTempFile::new().expect("a file");
    write(&images, &mut archive).expect("packed");
    engine.load_image(archive.path()).await.expect("loaded");
}

async fn case(engine: &Arc<dyn Engine>, what: &str) {
    const ROUNDS: usize = 40;
    load_planted(engine.as_ref()).await;
    let state = tempfile::tempdir().expect("a folder");
    let setup = Setup {
        state: state.path().to_owned(),
        jobs: 1,
        options: Options::default(),
        watchdog: true,
        program: Some(PathBuf::from(EXITONE)),
        mode: None,
    };
    let info = engine.info().await.expect("an engine");
    let rig = Rig::open(engine.clone(), &info, setup).await.expect("a session");
    let facts = engine.inspect_image(PLANTED).await.expect("an image");
    let plan = Arc::new(Plan {
        parts: vec![Part { scenario: None, service: service::defaults(&apprunner()) }],
        candidates: vec![Candidate { facts }],
        cases: vec![Case::new(PLANTED, ConditionSet::baseline())],
        searches: Vec::new(),
        bisect: None,
    });
    let (mut ours, mut plain, mut verdicts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        let finished = drivers::run(rig.context.clone(), plan.clone(), 1, watch::channel(0).1, |_| {}).await;
        let whole = begun.elapsed().as_secs_f64() * 1000.0;
        assert_eq!(finished.results[0].exit_code, Some(1), "{:?}", finished.results[0].notes);
        let begun = Instant::now();
        let status = Command::new("docker").args(["run", "--rm", "--pull=never", PLANTED]).status().expect("docker");
        let by_hand = begun.elapsed().as_secs_f64() * 1000.0;
        assert_eq!(status.code(), Some(1));
        // The first round launches the holder.
        if round > 0 {
            ours.push(whole);
            plain.push(by_hand);
            verdicts.push(finished.results[0].verdict_ms.expect("it ended"));
        }
    }
    rig.close(false).await.expect("closed");
    if what == "case" {
        let (a, b) = (median(ours), median(plain));
        println!("case: {ROUNDS} rounds in turn, median {a:.0} ms against {b:.0} ms of docker run --rm: {:.2}", a / b);
    } else {
        let (ours, engines) = (median(verdicts), median(reports_ms(ROUNDS / 2)));
        println!(
            "verdict: {ROUNDS} rounds, median {:.0} ms after the end of the process: {engines:.0} ms until the engine \
             reports the end, {ours:.0} ms from then on",
            ours + engines
        );
    }
}

/// Milliseconds from the end of a process until the engine reports it as an event, for `count` containers.
fn reports_ms(count: usize) -> Vec<f64> {
    let docker = |args: &[&str]| {
        let output = Command::new("docker").args(args).output().expect("docker");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let finished = |_| {
        let id = docker(&["run", "--detach", "--pull=never", PLANTED]);
        docker(&["wait", &id]);
        let at = docker(&["inspect", "--format", "{{.State.FinishedAt}}", &id]);
        docker(&["rm", &id]);
        (id, at.parse::<jiff::Timestamp>().expect("a time"))
    };
    let finished: Vec<(String, jiff::Timestamp)> = (0..count).map(finished).collect();
    // The stream ends in a second: by then every event is in it.
    let window = ["events", "--since=1h", "--until=-1s", "--filter=event=die"];
    let events = docker(&[&window[..], &["--format={{.Actor.ID}} {{.TimeNano}}"]].concat());
    let reported = |id: &str| {
        let line = events.lines().find_map(|line| line.strip_prefix(id)).expect("its event");
        line.trim().parse::<i128>().expect("nanoseconds")
    };
    finished.iter().map(|(id, at)| (reported(id) - at.as_nanosecond()) as f64 / 1e6).collect()
}

async fn rig(engine: &Arc<dyn Engine>, state: &Path, evidence: bool) -> Rig {
    let setup = Setup {
        state: state.to_owned(),
        jobs: 1,
        options: Options { evidence, ..Options::default() },
        watchdog: true,
        program: Some(PathBuf::from(EXITONE)),
        mode: None,
    };
    let info = engine.info().await.expect("an engine");
    Rig::open(engine.clone(), &info, setup).await.expect("a session")
}

/// Resident memory of a session's holder, in MB.
async fn memory(engine: &dyn Engine, rig: &Rig) -> f64 {
    let all = engine.containers(&rig.context.session.filter()).await.expect("listed");
    let holder = all.iter().find(is_holder).expect("a holder that runs");
    pid_of(holder).and_then(|pid| status_mb(pid, "VmRSS:")).expect("a process of this machine")
}

/// A running container's first process on this machine; `None` once it has ended.
fn pid_of(container: &Found) -> Option<u32> {
    let output = Command::new("docker").args(["inspect", "--format", "{{.State.Pid}}", &container.id]).output();
    String::from_utf8_lossy(&output.expect("docker").stdout).trim().parse().ok()
}

/// Whether the container is a holder that runs.
fn is_holder(container: &&Found) -> bool {
    container.running && container.labels.get(ROLE_LABEL).is_some_and(|role| role == "holder")
}

async fn evidence(engine: &Arc<dyn Engine>) {
    const ROUNDS: usize = 60;
    load_planted(engine.as_ref()).await;
    let state = tempfile::tempdir().expect("a folder");
    let rigs = [rig(engine, state.path(), true).await, rig(engine, state.path(), false).await];
    let facts = engine.inspect_image(PLANTED).await.expect("an image");
    let mut service = service::defaults(&apprunner());
    // It asks for nothing and tries twenty connections: more evidence than most programs produce in such a short time.
    service.start_command = Some("/planted repeat 20 198.18.7.7 443 0".to_owned());
    let case = Case::new(PLANTED, ConditionSet::baseline());
    let plan = Arc::new(Plan {
        parts: vec![Part { scenario: None, service }],
        candidates: vec![Candidate { facts }],
        cases: vec![case],
        searches: Vec::new(),
        bisect: None,
    });
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (rig, times) in rigs.iter().zip(&mut times) {
            let begun = Instant::now();
            let finished = drivers::run(rig.context.clone(), plan.clone(), 1, watch::channel(0).1, |_| {}).await;
            let seen = finished.results[0].evidence.connects.len();
            assert_eq!(
                (finished.results[0].exit_code, seen),
                (Some(0), if rig.context.options.evidence { 20 } else { 0 })
            );
            if round > 0 {
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    let (with, without) = (memory(engine.as_ref(), &rigs[0]).await, memory(engine.as_ref(), &rigs[1]).await);
    for rig in rigs {
        rig.close(false).await.expect("closed");
    }
    let [on, off] = times.map(median);
    println!(
        "evidence: {ROUNDS} rounds in turn, median {on:.1} ms with it against {off:.1} ms without: {:.3}; holder {with:.1} \
         MB against {without:.1} MB",
        on / off
    );
}

/// One image, once, as a command.
async fn shot(engine: &dyn Engine) {
    const ROUNDS: usize = 20;
    load_planted(engine).await;
    // Milliseconds until the last of its output, and until it ends.
    let timed = |program: &str, args: &[&str]| {
        let begun = Instant::now();
        let mut child = Command::new(program).args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let child = child.as_mut().expect("started");
        let (mut out, mut answered, mut chunk) = (child.stdout.take().expect("piped"), 0.0, [0; 4096]);
        while out.read(&mut chunk).expect("readable") > 0 {
            answered = begun.elapsed().as_secs_f64() * 1000.0;
        }
        assert_eq!(child.wait().expect("ended").code(), Some(1), "{program} {args:?}");
        (answered, begun.elapsed().as_secs_f64() * 1000.0)
    };
    let ours = || timed(EXITONE, &["run", "--image", PLANTED]);
    // The first proves the engine.
    ours();
    let (mut answers, mut shots, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (answered, ended) = ours();
        answers.push(answered);
        shots.push(ended);
        plain.push(timed("docker", &["run", "--rm", PLANTED]).1);
    }
    let [answer, shot, plain] = [answers, shots, plain].map(median);
    println!(
        "shot: the answer after {answer:.0} ms, the end after {shot:.0} ms, docker run --rm {plain:.0} ms: {:.2} and {:.2}",
        answer / plain,
        shot / plain
    );
}

/// A line of `/proc/PID/status`, in MB; `None` once the process has ended.
fn status_mb(pid: u32, key: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kb| kb / 1024.0)
}

async fn scale(engine: &dyn Engine) {
    const IMAGES: usize = 20;
    const CONDITIONS: usize = 49;
    let tags: Vec<String> = (1..=IMAGES).map(|n| format!("exitone-test/planted:{n}")).collect();
    load(engine, &tags).await;
    let home = tempfile::tempdir().expect("a folder");
    let list = |name: &str, items: Vec<String>| {
        format!("{name}:\n{}", items.iter().map(|item| format!("  - {item}\n")).collect::<String>())
    };
    let conditions = (1..=CONDITIONS).map(|n| format!("env.set:STEP={n}")).collect();
    let scenario = home.path().join("scale.yaml");
    std::fs::write(&scenario, list("candidates", tags) + &list("conditions", conditions)).expect("written");
    let page = home.path().join("page.html");
    let begun = Instant::now();
    let mut child = Command::new(EXITONE)
        .args(["--no-progress", "run", "--report"])
        .arg(format!("html={}", page.display()))
        .arg(&scenario)
        .env("XDG_STATE_HOME", home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let (mut controller, mut holders, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
    while child.try_wait().expect("waited for").is_none() {
        controller.extend(status_mb(child.id(), "VmRSS:"));
        peak = status_mb(child.id(), "VmHWM:").map_or(peak, |mb| mb.max(peak));
        let ours = session::known_owner(&home.path().join("exitone")).map(|owner| format!("{OWNER_LABEL}={owner}"));
        let all = match ours {
            Some(label) => engine.containers(&label).await.expect("listed"),
            None => Vec::new(),
        };
        let pids = all.iter().filter(is_holder).filter_map(pid_of);
        holders.extend(pids.filter_map(|pid| status_mb(pid, "VmRSS:")).reduce(f64::max));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let wall = begun.elapsed().as_secs_f64();
    let quarter = |values: &[f64], last: bool| {
        let part = values.len() / 4;
        median(if last { values[values.len() - part..].to_vec() } else { values[..part].to_vec() })
    };
    println!(
        "scale: {} cases, {wall:.0} s; controller {:.0} MB in the first quarter, {:.0} MB in the last, at most {peak:.0} MB; \
         holder {:.1} MB, then {:.1} MB; page {:.1} MB",
        IMAGES * (CONDITIONS + 1),
        quarter(&controller, false),
        quarter(&controller, true),
        quarter(&holders, false),
        quarter(&holders, true),
        std::fs::metadata(&page).map_or(0.0, |file| file.len() as f64 / 1e6),
    );
}

async fn kill(engine: &dyn Engine) {
    const ROUNDS: u64 = 20;
    assert!(Command::new(EXITONE).args(["images", "build"]).status().expect("built").success());
    let mut clean = 0;
    // Others may use the engine: only what this owner left counts.
    let home = tempfile::tempdir().expect("a folder");
    let owned = || session::known_owner(&home.path().join("exitone")).map(|owner| format!("{OWNER_LABEL}={owner}"));
    // The same moments in every run of the benchmark: a multiplicative generator (Lehmer, 1951).
    let mut random: u64 = 20_261_121;
    for _ in 0..ROUNDS {
        random = random * 48_271 % 2_147_483_647;
        let after = 50 + random % 6_000;
        let mut child = Command::new(EXITONE)
            .args(["--no-progress", "demo"])
            .env("XDG_STATE_HOME", home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        tokio::time::sleep(Duration::from_millis(after)).await;
        child.kill().expect("killed");
        child.wait().expect("ended");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (containers, volumes) = match owned() {
            Some(label) => {
                let containers = engine.containers(&label).await.expect("listed").len();
                (containers, engine.volumes(&label).await.expect("listed").len())
            }
            // It was killed before it had created anything.
            None => (0, 0),
        };
        clean += u64::from(containers + volumes == 0);
        println!("  killed after {after} ms: {containers} containers, {volumes} volumes left");
    }
    println!("kill: {clean} of {ROUNDS} left nothing");
}

fn run_demo() -> (serde_json::Value, f64) {
    let begun = Instant::now();
    let output = Command::new(EXITONE).args(["--no-progress", "demo", "--format", "json"]).output().expect("it runs");
    let seconds = begun.elapsed().as_secs_f64();
    if !output.status.success() {
        println!("demo: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    (serde_json::from_slice(&output.stdout).expect("a document"), seconds)
}

#[derive(serde::Deserialize)]
struct Truth {
    images: Vec<String>,
    cells: BTreeMap<String, Vec<String>>,
}

fn conditions(case: &serde_json::Value) -> Vec<&str> {
    case["conditions"].as_array().expect("a list").iter().filter_map(serde_json::Value::as_str).collect()
}

impl Truth {
    fn read() -> Self {
        let text = std::fs::read_to_string(root().join("tests/fixtures/truth.yaml")).expect("the table");
        serde_saphyr::from_str(&text).expect("a table")
    }

    /// Whether the result of a case matches the table.
    fn agrees(&self, case: &serde_json::Value) -> bool {
        let row = if conditions(case).is_empty() { "baseline".to_owned() } else { conditions(case).join(" + ") };
        let tag = case["image"].as_str().and_then(|i| i.split_once(':')).expect("a name").1;
        let column = self.images.iter().position(|i| i == tag).expect("a column");
        let checks = case["checks"].as_array().expect("checks").iter().all(|c| c["passed"] == true);
        let cell = match (case["outcome"].as_str(), case["exit_code"].as_i64()) {
            (None, _) => "-".to_owned(),
            (Some("healthy"), _) => if checks { "ok" } else { "ok*" }.to_owned(),
            (Some(_), code) => code.map_or_else(|| "?".to_owned(), |c| c.to_string()),
        };
        self.cells[&row][column] == cell
    }
}

/// Five images under eight sets of conditions, of the incident's table.
const CELLS_IMAGES: [&str; 5] = ["v19-photo-fix", "v20-otp-fix", "v20-otp-fix-fixed", "v22-with-env", "v24-lazy-otp"];
const CELLS_SETS: [&str; 7] = [
    "egress.drop",
    "egress.reject",
    "dns.servfail",
    "env.unset:DATABASE_URL",
    "env.unset:ENV",
    "env.set:ENV=production",
    "hostname.platform",
];

/// Seconds that all processors of this machine were busy since boot, and their number (proc(5), /proc/stat).
fn busy() -> (f64, usize) {
    let text = std::fs::read_to_string("/proc/stat").expect("/proc/stat");
    let line = text.lines().next().expect("a first line");
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    let cores = text.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")).count();
    // Neither idle nor waiting for a disk; a tick is a hundredth of a second.
    ((ticks.iter().take(8).sum::<f64>() - ticks[3] - ticks[4]) / 100.0, cores)
}

fn cells() {
    assert!(Command::new(EXITONE).args(["images", "build"]).status().expect("built").success());
    let truth = Truth::read();
    let incident = std::fs::read_to_string(root().join("scenarios/incident.yaml")).expect("the scenario");
    let service = incident.split("\nservice:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a service");
    let images: String = CELLS_IMAGES.iter().map(|i| format!("  - nerava-backend:{i}\n")).collect();
    let sets: String = CELLS_SETS.iter().map(|c| format!("  - {c}\n")).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("cells.yaml");
    let text = format!("candidates:\n{images}\nservice:\n{service}\n\nconditions:\n{sets}");
    std::fs::write(&scenario, text).expect("written");
    for round in 1..=3 {
        let (before, cores) = busy();
        let begun = Instant::now();
        let run = Command::new(EXITONE).args(["--no-progress", "run", "--format", "json"]).arg(&scenario).output();
        let wall = begun.elapsed().as_secs_f64();
        let cpu = busy().0 - before;
        let document: serde_json::Value = serde_json::from_slice(&run.expect("it runs").stdout).expect("a document");
        let cases = document["cases"].as_array().expect("cases");
        let right = cases.iter().filter(|case| truth.agrees(case)).count();
        let longest = cases.iter().filter_map(|c| c["total_ms"].as_f64()).fold(0.0, f64::max) / 1000.0;
        let bound = longest.max(cpu / cores as f64);
        println!(
            "cells: round {round}: {right} of {} right, {wall:.1} s; longest cell {longest:.1} s, all processors busy \
             {cpu:.1} s / {cores} = {:.1} s: {:.2} of the larger",
            cases.len(),
            cpu / cores as f64,
            wall / bound
        );
    }
    let rows = std::iter::once("").chain(CELLS_SETS);
    let cells: Vec<String> =
        rows.flat_map(|set| CELLS_IMAGES.map(|image| format!("nerava-backend:{image} {set}"))).collect();
    let seconds = by_hand(&cells);
    println!("cells: the same {} by a script, one after the other: {seconds:.1} s", cells.len());
}

fn truth() {
    let truth = Truth::read();
    for round in 1..=3 {
        let (demo, seconds) = run_demo();
        let cases = demo["cases"].as_array().expect("cases");
        let right = cases.iter().filter(|case| truth.agrees(case));
        println!("truth: round {round}: {} of {} cells right, {seconds:.0} s", right.count(), cases.len());
    }
}

/// Seconds that a script takes for the same cells, each an image and its conditions.
fn by_hand(cells: &[String]) -> f64 {
    let begun = Instant::now();
    let script: &Path = &root().join("benches/by-hand/cells.sh");
    let mut child =
        Command::new(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("bash");
    child.stdin.take().expect("piped").write_all((cells.join("\n") + "\n").as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), cells.len(), "a line for each cell");
    begun.elapsed().as_secs_f64()
}

fn demo() {
    assert!(Command::new(EXITONE).args(["images", "build"]).status().expect("built").success());
    let (demo, ours) = run_demo();
    let cases = demo["cases"].as_array().expect("cases");
    // Cells judged from the image do not run by hand either.
    let cells: Vec<String> = cases
        .iter()
        .filter(|case| case["outcome"].as_str().is_some() && case["causes"][0]["id"] != "arch-mismatch")
        .map(|case| format!("{} {}", case["image"].as_str().expect("a name"), conditions(case).join(" ")))
        .collect();
    println!("demo: {} cells run, {ours:.0} s", cells.len());
    let by_hand = by_hand(&cells);
    let lines = cells.len();
    println!("demo: the same by hand, {lines} cells, {by_hand:.0} s: {:.1} times faster", by_hand / ours);
}
