//! Candidates in which nothing happens for a while, and which are healthy then: none may be called dead.
//!
//! `EXITONE_SLEEPERS` sets the number of runs of each, half of them beside programs that compute.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::support::{PLANTED, engine, exitone, load_planted};

/// What they wait for.
const HOW: [&str; 8] = ["timer", "steps", "file", "pipe", "alarm", "lock", "child", "computes"];
/// Seconds until they are healthy; the health check waits for 25.
const SECONDS: [u32; 3] = [3, 10, 20];
/// Programs that compute beside them.
const LOAD: usize = 2;

/// `also`: another port that is served from the start.
fn service(folder: &Path, how: &str, seconds: u32, also: &str) -> std::path::PathBuf {
    let file = folder.join(format!("{how}-{seconds}{also}.yaml"));
    let command = format!("/planted late {how} {seconds} 8000{also}");
    let text = format!("port: 8000\nstart_command: {command}\nhealth_check: {{protocol: HTTP, path: /}}\n");
    std::fs::write(&file, text).expect("written");
    file
}

/// Does something while threads compute.
fn under_load<T>(what: impl FnOnce() -> T) -> T {
    let stop = Arc::new(AtomicBool::new(false));
    let busy = |_| {
        let stop = stop.clone();
        std::thread::spawn(move || while !stop.load(Ordering::Relaxed) {})
    };
    let threads: Vec<_> = (0..LOAD).map(busy).collect();
    let done = what();
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("ended"));
    done
}

/// The verdicts of images that run side by side.
fn verdicts(service: &Path, images: &[String]) -> Vec<String> {
    let mut command = exitone();
    command.args(["run", "--format", "json", "--jobs", "12", "--service"]).arg(service);
    command.args(images.iter().flat_map(|image| ["--image", image]));
    let output = command.output().expect("it runs");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let cases = document["cases"].as_array().into_iter().flatten();
    cases.map(|case| format!("{}: {}", case["verdict"].as_str().unwrap_or("none"), case["notes"])).collect()
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn late_candidates_are_healthy() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let runs = std::env::var("EXITONE_SLEEPERS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_usize);
    // Names of one image: a case for each.
    let names: Vec<String> = (0..runs.div_ceil(2)).map(|n| format!("exitone-test/late:{n}")).collect();
    for name in &names {
        engine.tag_image(PLANTED, name).await.expect("named");
    }
    let mut wrong = Vec::new();
    let mut count = 0;
    for how in HOW {
        for seconds in SECONDS {
            let [alone, beside] = ["", " 9090"].map(|also| service(folder.path(), how, seconds, also));
            let quiet = verdicts(&beside, &names);
            let busy = under_load(|| verdicts(&alone, &names[..runs / 2]));
            for verdict in quiet.into_iter().chain(busy) {
                count += 1;
                if !verdict.starts_with("pass") {
                    wrong.push(format!("{how} {seconds} s: {verdict}"));
                }
            }
        }
    }
    for name in &names {
        engine.remove_image(name).await.expect("removed");
    }
    eprintln!("{count} runs, {} not healthy", wrong.len());
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(count, runs * HOW.len() * SECONDS.len(), "every run has a verdict");
}

/// A search that sees a candidate do nothing looks for repairs at once; what is late needs none.
#[tokio::test]
#[ignore = "takes minutes"]
async fn late_candidates_need_no_repair() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let folder = tempfile::tempdir().expect("a folder");
    for how in HOW {
        let service = service(folder.path(), how, 10, "");
        let asked = ["why", PLANTED, "--format", "json", "--with", "ipv6.off", "--service"];
        let output = exitone().args(asked).arg(&service).output().expect("it runs");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("an answer");
        assert_eq!(answer["baseline"], "pass", "{how}: {answer:#}");
        assert_eq!(answer["minimal_sets"], serde_json::json!([]), "{how}: {answer:#}");
    }
}
