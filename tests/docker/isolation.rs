//! Two concurrent candidates never affect each other, and a hostile one (root, the engine's default capabilities)
//! neither changes its rules nor escapes. Every attempt is a row of a table, made by the fixture `hostile.c`. Each is
//! repeated without protection and must succeed there: an attempt that can never succeed proves nothing.

mod host;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use exitone::engine::Engine;
use exitone::engine::archive::{Layer, NewImage};
use exitone::model::{Candidate, CaseResult, Outcome, Plan};
use exitone::run::context::Options;
use exitone::run::drivers;
use exitone::run::pool::Mode;
use exitone::run::rig::{Rig, Setup};
use tokio::sync::watch;

use self::host::{Host, Outside, addresses};
use super::support::{engine, layer, load, run, service_with, set};

const IMAGE: &str = "exitone-test/hostile:latest";
/// The exit codes of hostile.c.
const REPELLED: i64 = 0;
const WORKED: i64 = 1;
const NOT_HERE: i64 = 2;
const LATE: i64 = 75;
/// The docker command's own: the container could not be started.
const NOT_STARTED: i64 = 125;

/// An attempt of a single candidate.
struct Attempt {
    what: &'static str,
    words: &'static str,
    /// The conditions that it attacks.
    with: &'static [&'static str],
    /// Flags of `docker run` and words with which it succeeds; without words, the same ones.
    works: (&'static [&'static str], &'static str),
    /// Whether some kernels lack a prerequisite.
    rare: bool,
}

const fn attempt(what: &'static str, words: &'static str, works: (&'static [&'static str], &'static str)) -> Attempt {
    Attempt { what, words, with: &[], works, rare: false }
}

const fn rare(attempt: Attempt) -> Attempt {
    Attempt { rare: true, ..attempt }
}

const fn under(with: &'static [&'static str], attempt: Attempt) -> Attempt {
    Attempt { with, ..attempt }
}

const NET_ADMIN: &[&str] = &["--cap-add=NET_ADMIN"];
const SYS_ADMIN: &[&str] = &["--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined"];
const MOUNTED: &[&str] =
    &["--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined", "--volume={folder}:/run/exitone:ro"];
const HOST_NET: &[&str] = &["--network=host"];
const FOLDER: &[&str] = &["--volume={folder}:{folder}"];
const VICTIM: &[&str] = &["--pid=container:{victim}"];
/// No flags: in its own namespace nobody else has the resolver's port.
const ALONE: &[&str] = &[];
const LIMITS: &str = "rewrite /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us \
                      /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max";
const PARAMETERS: &str = "rewrite /proc/sys/net/ipv4/tcp_syn_retries /proc/sys/net/ipv4/ip_unprivileged_port_start \
                          /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/all/rp_filter \
                          /proc/sys/net/ipv4/neigh/default/gc_thresh1 /proc/sys/net/ipv6/conf/all/disable_ipv6";
const SOCKETS: &str = "engine-socket /var/run/docker.sock /run/docker.sock /run/containerd/containerd.sock \
                       /var/run/podman/podman.sock /run/podman/podman.sock";

const ATTEMPTS: &[Attempt] = &[
    // Its rules.
    attempt("a route, a rule, an address, a neighbour more", "rules eth0", (NET_ADMIN, "rules lo")),
    attempt("no way out", "route-away 0.0.0.0 0 254", (NET_ADMIN, "route-away 127.0.0.0 8 255")),
    attempt("no way to the gateway", "route-away 10.0.61.1 32 254", (NET_ADMIN, "route-away 127.0.0.0 8 255")),
    attempt("its link brought down", "link-down eth0", (NET_ADMIN, "link-down lo")),
    rare(attempt("a packet filter", "netfilter", (NET_ADMIN, ""))),
    attempt("the network's parameters", PARAMETERS, (&["--security-opt=systempaths=unconfined"], "")),
    attempt(
        "its link's parameters",
        "rewrite /sys/class/net/eth0/tx_queue_len /sys/class/net/eth0/mtu",
        (&["--cap-add=NET_ADMIN", "--volume=/sys:/writable"], "rewrite /writable/class/net/lo/tx_queue_len"),
    ),
    // Only a privileged container could; it is the same attempt as above on other files.
    under(&["cpu.limit:0.5", "memory.limit:64m"], attempt("its limits", LIMITS, (HOST_NET, ""))),
    under(
        &["nofile.limit:256"],
        rare(attempt("more open files than it may have", "limits", (&["--cap-add=SYS_RESOURCE"], ""))),
    ),
    under(&["egress.drop"], attempt("another namespace", "namespaces", (SYS_ADMIN, ""))),
    under(&["disk.full"], attempt("a mount", "mounts", (MOUNTED, ""))),
    // The resolver.
    attempt("the resolver's place", "resolver", (ALONE, "")),
    under(&["dns.servfail"], rare(attempt("the end of the resolver's socket", "end-socket", (NET_ADMIN, "")))),
    // The holder: it has no port, socket or process visible to a candidate, and its folder is read-only.
    attempt("open ports beside the resolver's", "ports", (HOST_NET, "")),
    attempt("sockets with a name", "unix-names", (HOST_NET, "")),
    attempt("other processes", "processes", (&["--pid=host"], "")),
    attempt("a signal to another process", "signals", (VICTIM, "")),
    attempt("a trace of another process", "traces", (VICTIM, "")),
    attempt("the session's folder", "write-into /run/exitone", (&["--volume={folder}/shared:/run/exitone"], "")),
    // The engine.
    attempt("the engine's socket", SOCKETS, (&["--volume={engine}:/var/run/docker.sock"], "")),
    attempt("the engine's API", "engine-api 2375 2376 {api} {places}", (HOST_NET, "engine-api {api} 127.0.0.1")),
    // The host.
    attempt(
        "a TCP port of the host",
        "host-tcp {host} {port} {places}",
        (HOST_NET, "host-tcp {host} {port} 127.0.0.1"),
    ),
    attempt(
        "a UDP port of the host",
        "host-udp {host} {port} {places}",
        (HOST_NET, "host-udp {host} {port} 127.0.0.1"),
    ),
    attempt("an abstract socket of the host", "abstract {folder}", (HOST_NET, "")),
    attempt("a socket of the host's files", "engine-socket {folder}/socket", (FOLDER, "")),
    attempt("a file of the host", "host-file {folder}/file", (FOLDER, "")),
    rare(attempt("a file of the host by its number", "file-handle", (&["--cap-add=DAC_READ_SEARCH"], ""))),
    rare(attempt("a disk of the host", "disks", (&["--device-cgroup-rule=b *:* rwm"], ""))),
    attempt(
        "memory, ports and log of the host",
        "devices",
        (&["--cap-add=SYSLOG", "--device-cgroup-rule=c *:* rwm"], ""),
    ),
    attempt("the host's kernel", "kernel", (SYS_ADMIN, "")),
    rare(attempt("the machine below the host", "vsock", (&["--security-opt=seccomp=unconfined"], ""))),
];

fn hostile_program(folder: &Path) -> PathBuf {
    let program = folder.join("hostile");
    let sources = ["hostile.c", "hostile_meeting.c"]
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name));
    let status = Command::new("cc").args(["-static", "-O1", "-o"]).arg(&program).args(sources).status();
    assert!(status.expect("a C compiler").success(), "the hostile program compiles");
    program
}

/// Loads an image of the hostile program with additional layers.
async fn load_hostile(engine: &dyn Engine, tag: &str, more: Vec<Layer>) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = std::fs::read(hostile_program(folder.path())).expect("compiled");
    let mut layers = vec![layer(&[("hostile", 0o755, &program), ("tmp/file", 0o644, b""), ("home/file", 0o644, b"")])];
    layers.extend(more);
    let image = NewImage {
        tag: tag.to_owned(),
        architecture: "amd64".to_owned(),
        cmd: vec!["/hostile".to_owned()],
        labels: BTreeMap::from([("exitone.image".to_owned(), "test".to_owned())]),
        layers,
        ..NewImage::default()
    };
    load(engine, &[image]).await;
}

/// A table row: the attempt, its result, the program's last words.
fn row(what: &str, came: &str, log: &str) -> String {
    format!("{what:<48} {came:<14} {}", log.trim().lines().collect::<Vec<_>>().join(" · "))
}

fn came(code: Option<i64>) -> String {
    match code {
        Some(REPELLED) => "repelled".to_owned(),
        Some(WORKED) => "WORKED".to_owned(),
        Some(NOT_HERE) => "not here".to_owned(),
        other => format!("exit {other:?}"),
    }
}

#[tokio::test]
async fn hostile_candidate_changes_nothing_and_reaches_nobody() {
    let Some((engine, _one)) = engine().await else { return };
    load_hostile(engine.as_ref(), IMAGE, Vec::new()).await;
    let host = Host::start();
    let old = engine.info().await.expect("an engine").lets_vsock();
    let mut broken = Vec::new();
    for mode in [Mode::Shared, Mode::OneRun] {
        let outside = Outside::watch();
        let cases: Vec<_> = ATTEMPTS
            .iter()
            .map(|a| (service_with(&format!("/hostile {}", host.words(a.words, ""))), set(a.with)))
            .collect();
        let results = run(&engine, Some(mode), IMAGE, &cases).await;
        assert_eq!(results.len(), ATTEMPTS.len());
        for (attempt, result) in ATTEMPTS.iter().zip(&results) {
            let line = row(attempt.what, &came(result.exit_code), &result.log);
            eprintln!("{mode:?}: {line}");
            let good = result.exit_code == Some(REPELLED) || (attempt.rare && result.exit_code == Some(NOT_HERE));
            // The engine's own profile forbids these sockets from Docker 23.0 on (moby, pull request 44563).
            let let_through = old && attempt.words == "vsock";
            if let_through {
                eprintln!("this engine is older than Docker 23.0 and lets that through; `exitone doctor` warns of it");
            } else if !good || result.outcome != Some(Outcome::Exited) {
                broken.push(format!("{mode:?}: {line} {:?}", result.notes));
            }
        }
        if let Some(outside) = outside {
            assert_eq!(outside.settle().await, 0, "a packet of a hostile candidate was seen outside");
        }
    }
    assert_eq!(host.visits(), 0, "a candidate reached the host");
    host.be_reached();
    assert!(broken.is_empty(), "not repelled:\n{}", broken.join("\n"));
}

/// Runs the docker command; `None`, with a printed reason, if it is missing.
fn docker(args: &[String]) -> Option<(i64, String)> {
    match Command::new("docker").args(args).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            Some((output.status.code().map_or(-1, i64::from), text.trim().to_owned()))
        }
        Err(e) => {
            eprintln!("skipped: no docker command: {e}");
            None
        }
    }
}

fn texts(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

/// A docker container that is removed with its test.
struct Container(String);

impl Container {
    /// Starts the hostile image with flags and words.
    fn start(flags: &str, words: &str) -> Option<Self> {
        let args = texts(&format!("run --detach --network=none {flags} {IMAGE} /hostile {words}"));
        let (code, id) = docker(&args)?;
        assert_eq!(code, 0, "{id}");
        Some(Self(id))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", &self.0].map(str::to_owned));
    }
}

#[tokio::test]
#[ignore = "shows that the attempts are real ones; they seldom change"]
async fn every_attempt_succeeds_without_protection() {
    let Some((engine, _one)) = engine().await else { return };
    load_hostile(engine.as_ref(), IMAGE, Vec::new()).await;
    let host = Host::start();
    let Some(victim) = Container::start(&format!("--env=AT={}", moment(300.0)), "neighbour") else { return };
    let mut broken = Vec::new();
    for attempt in ATTEMPTS.iter().filter(|a| a.words != LIMITS) {
        let (flags, words) = attempt.works;
        let words = if words.is_empty() { attempt.words } else { words };
        let network = if flags == HOST_NET { "" } else { "--network=none" };
        let mut args = texts(&format!("run --rm {network}"));
        args.extend(flags.iter().map(|flag| host.words(flag, &victim.0)));
        args.extend([IMAGE.to_owned(), "/hostile".to_owned()]);
        args.extend(texts(&host.words(words, &victim.0)));
        let Some((code, said)) = docker(&args) else { return };
        let line = row(attempt.what, &came(Some(code)), &said);
        eprintln!("{line}");
        // A machine that lacks the capability itself cannot grant it.
        let good = code == WORKED || (attempt.rare && (code == NOT_HERE || code == NOT_STARTED));
        if !good {
            broken.push(line);
        }
    }
    assert!(host.visits() >= 5, "the host counts visits");
    assert!(broken.is_empty(), "attempts that cannot succeed:\n{}", broken.join("\n"));
}

/// An attempt of a candidate with a neighbour, and the exit codes of both if they share everything.
struct Meeting {
    what: &'static str,
    words: &'static str,
    shared: Option<(i64, i64)>,
}

const MEETINGS: &[Meeting] = &[
    Meeting { what: "the neighbour's packets", words: "sniff", shared: Some((WORKED, WORKED)) },
    Meeting { what: "the neighbour's port", words: "same-port 127.0.0.1 {near}", shared: Some((WORKED, WORKED)) },
    Meeting { what: "the neighbour's files and sockets", words: "belongings", shared: Some((WORKED, WORKED)) },
    // It checks whether names are numbered from the first, so that the second is the next.
    Meeting { what: "the neighbour's names", words: "names", shared: None },
    // The neighbour and the host watch for the packets.
    Meeting {
        what: "packets of somebody else to the neighbour",
        words: "spoof {near}",
        shared: Some((REPELLED, WORKED)),
    },
    Meeting { what: "the neighbour's end", words: "kill-all", shared: Some((WORKED, REPELLED)) },
];

/// A moment this many seconds from now, in the format that both sides of a meeting read.
fn moment(seconds: f64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    format!("{:.3}", now.as_secs_f64() + seconds)
}

fn near(words: &str) -> String {
    let own = ["10.0.61.20", "10.0.248.213", "10.0.61.1", "10.0.62.1"].map(str::to_owned);
    words.replace("{near}", &[own.to_vec(), addresses()].concat().join(" "))
}

async fn open(engine: &Arc<dyn Engine>, mode: Mode, jobs: usize, state: &Path) -> Rig {
    let info = engine.info().await.expect("an engine");
    let setup = Setup {
        state: state.to_owned(),
        jobs,
        options: Options::default(),
        watchdog: true,
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_exitone"))),
        mode: Some(mode),
    };
    Rig::open(engine.clone(), &info, setup).await.expect("a session")
}

/// Runs candidates of the hostile image, `jobs` at a time; each gets its words in a variable.
async fn act(rig: &Rig, jobs: usize, acts: &[&str], at: &str) -> Vec<Arc<CaseResult>> {
    let engine = &rig.context.engine;
    let candidates = vec![Candidate { facts: engine.inspect_image(IMAGE).await.expect("an image") }];
    let pairs = acts.iter().map(|act| {
        (IMAGE.to_owned(), set(&[format!("env.set:ACT={act}").as_str(), format!("env.set:AT={at}").as_str()]))
    });
    let plan = Plan::new(service_with("/hostile"), candidates, pairs.collect::<Vec<_>>());
    let finished = drivers::run(rig.context.clone(), Arc::new(plan), jobs, watch::channel(0).1, |_| {}).await;
    finished.results
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn concurrent_candidates_do_not_meet() {
    let Some((engine, _one)) = engine().await else { return };
    load_hostile(engine.as_ref(), IMAGE, Vec::new()).await;
    let mut broken = Vec::new();
    for mode in [Mode::Shared, Mode::OneRun] {
        let outside = Outside::watch();
        let state = tempfile::tempdir().expect("a folder");
        let rig = open(&engine, mode, 2, state.path()).await;
        for meeting in MEETINGS {
            let mut results = Vec::new();
            // On a busy machine one of them may start too late.
            for lead in [2.0, 4.0, 8.0] {
                results = act(&rig, 2, &["neighbour", &near(meeting.words)], &moment(lead)).await;
                if results.iter().all(|r| r.exit_code != Some(LATE)) {
                    break;
                }
            }
            let [neighbour, hostile] = results.as_slice() else { panic!("two results: {results:?}") };
            let line = row(meeting.what, &came(hostile.exit_code), &hostile.log);
            let line =
                format!("{mode:?}: {line}\n{}", row("  the neighbour", &came(neighbour.exit_code), &neighbour.log));
            eprintln!("{line}");
            if [hostile, neighbour].iter().any(|r| r.exit_code != Some(REPELLED)) {
                broken.push(format!("{line} {:?} {:?}", hostile.notes, neighbour.notes));
            }
        }
        rig.close(false).await.expect("closed");
        if let Some(outside) = outside {
            assert_eq!(outside.settle().await, 0, "a packet of a hostile candidate was seen outside");
        }
    }
    assert!(broken.is_empty(), "they met:\n{}", broken.join("\n"));
}

#[tokio::test]
#[ignore = "shows that the meetings are real ones; they seldom change"]
async fn candidates_that_share_everything_do_meet() {
    let Some((engine, _one)) = engine().await else { return };
    load_hostile(engine.as_ref(), IMAGE, Vec::new()).await;
    let mut broken = Vec::new();
    for meeting in MEETINGS {
        let Some(expected) = meeting.shared else { continue };
        let mut met = (LATE, LATE);
        for lead in [2.0, 4.0, 8.0] {
            let at = moment(lead);
            let Some(neighbour) = Container::start(&format!("--ipc=shareable --env=AT={at}"), "neighbour") else {
                return;
            };
            let id = &neighbour.0;
            let with = format!("--network=container:{id} --ipc=container:{id} --pid=container:{id} --env=AT={at}");
            let Some((hostile, said)) =
                docker(&texts(&format!("run --rm {with} {IMAGE} /hostile {}", near(meeting.words))))
            else {
                return;
            };
            let (_, code) = docker(&["wait".to_owned(), id.clone()]).expect("a docker command");
            met = (hostile, code.parse().expect("an exit code"));
            eprintln!("{}", row(meeting.what, &format!("{met:?}"), &said));
            if met.0 != LATE && met.1 != LATE {
                break;
            }
        }
        if met != expected {
            broken.push(format!("{}: {met:?} and not {expected:?}", meeting.what));
        }
    }
    assert!(broken.is_empty(), "undetected meetings:\n{}", broken.join("\n"));
}

#[tokio::test]
async fn faults_cannot_be_bypassed() {
    let Some((engine, _one)) = engine().await else { return };
    load_hostile(engine.as_ref(), IMAGE, Vec::new()).await;
    let sets: [&[&str]; 7] = [
        // Without a fault it is answered.
        &[],
        &["egress.drop"],
        &["egress.reject"],
        &["egress.unreachable"],
        &["egress.none"],
        &["egress.late:60s"],
        &["egress.drop:198.18.7.7"],
    ];
    let cases: Vec<_> = sets.map(|with| (service_with("/hostile around 198.18.7.7"), set(with))).to_vec();
    let results = run(&engine, None, IMAGE, &cases).await;
    let mut broken = Vec::new();
    for (with, result) in sets.iter().zip(&results) {
        let line = row(&format!("around {}", set(with)), &came(result.exit_code), &result.log);
        eprintln!("{line}");
        if result.exit_code != Some(if with.is_empty() { WORKED } else { REPELLED }) {
            broken.push(format!("{line} {:?}", result.notes));
        }
    }
    assert!(broken.is_empty(), "ways around:\n{}", broken.join("\n"));
}

/// What a candidate does to its successor in the same holder.
struct Legacy {
    what: &'static str,
    first: &'static str,
    next: &'static str,
    /// The next must start within this many milliseconds.
    within: f64,
}

const LEGACIES: &[Legacy] = &[
    // Healthy and ignoring SIGTERM, it stays for two more seconds: its holder serves nobody else until it is gone.
    Legacy { what: "what one on its way out says and writes", first: "leaver", next: "follower", within: 10_000.0 },
    // During these two seconds it can keep the holder from writing, but no longer.
    Legacy { what: "files that nobody may open", first: "leaser", next: "quick 198.18.7.7 443", within: 5000.0 },
    Legacy { what: "20000 ports", first: "scanner 20000", next: "quick 198.18.7.7 443", within: 5000.0 },
];

#[tokio::test]
async fn candidate_leaves_nothing_for_the_next() {
    let Some((engine, _one)) = engine().await else { return };
    load_hostile(engine.as_ref(), IMAGE, Vec::new()).await;
    let mut broken = Vec::new();
    for legacy in LEGACIES {
        let state = tempfile::tempdir().expect("a folder");
        // One holder serves both.
        let rig = open(&engine, Mode::Shared, 1, state.path()).await;
        let results = act(&rig, 1, &[legacy.first, legacy.next], "0").await;
        rig.close(false).await.expect("closed");
        let [first, next] = results.as_slice() else { panic!("two results: {results:?}") };
        let lives = first.outcome == Some(Outcome::Healthy) || first.exit_code == Some(REPELLED);
        assert!(lives, "{}: {} {:?}", legacy.what, first.log, first.notes);
        let line = row(legacy.what, &came(next.exit_code), &next.log);
        let started = next.started_ms.unwrap_or(legacy.within);
        let strangers = next.evidence.dns.iter().filter(|q| !q.name.ends_with(".hostile.test")).count();
        let line = format!("{line}, started after {started:.0} ms, {strangers} names of another {:?}", next.notes);
        eprintln!("{line}");
        if next.exit_code != Some(REPELLED) || strangers > 0 || started >= legacy.within {
            broken.push(line);
        }
    }
    assert!(broken.is_empty(), "left for the next:\n{}", broken.join("\n"));
}

/// A layer with links: path and target of each.
fn links(links: &[(&str, &str)]) -> Layer {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, name, target).expect("packed");
    }
    Layer::of_bytes(tar.into_inner().expect("packed"))
}

#[tokio::test]
async fn keeper_does_not_follow_links_in_an_image() {
    const TAG: &str = "exitone-test/hostile-links:latest";
    let Some((engine, _one)) = engine().await else { return };
    // In the keeper, the candidate's folders are /kept/0 and /kept/1: a write through the link shows up in the second.
    // Another link would lead to its /proc/sys, which is the host's and writable there.
    let astray = links(&[("home/.full", "/kept/1/astray"), ("tmp/.full", "/kept/0/astray")]);
    load_hostile(engine.as_ref(), TAG, vec![astray]).await;
    let look = |path: &str| (service_with(&format!("/hostile host-file {path}")), set(&["disk.full"]));
    let results = run(&engine, None, TAG, &[look("/tmp/astray"), look("/home/astray")]).await;
    for result in results {
        assert_eq!(result.exit_code, Some(REPELLED), "{} {:?}", result.log, result.notes);
    }
}
