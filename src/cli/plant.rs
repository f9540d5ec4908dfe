//! The planted candidate, which `exitone doctor` runs from the holder's own image.
//!
//! Each action succeeds in a friendly environment and fails under the condition it was planted for. Actions are chained
//! with `then`: the next one runs only if the previous one succeeded, so `connect a 443 1 then serve 8000` is healthy
//! exactly if nothing gets in the way. Every action prints its result and duration in one line on standard error.

// A separate process without a runtime: it may block, and no test pauses its clock.
#![allow(clippy::disallowed_methods)]

mod net;

use std::fs::File;
use std::hint::black_box;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use hickory_proto::rr::Name;

/// Separates two actions.
const THEN: &str = "then";
/// The exit code of a failed action: the code this program is about.
const FAILED: u8 = 1;
/// The exit code for invalid actions (sysexits.h, EX_USAGE).
const NOT_UNDERSTOOD: u8 = 64;
/// The kernel's message for an expired time limit.
const TIMED_OUT: &str = "Connection timed out (110)";
/// Chunk size for touching memory and writing files, in bytes.
const PIECE: usize = 1 << 20;
/// The unit of CPU time in /proc/PID/stat (proc(5), USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// Executes a chain of actions; see the module.
#[must_use]
pub(crate) fn run(words: &[String]) -> ExitCode {
    let mut say = |line: &str| {
        // Nobody else could be told.
        let _ = writeln!(io::stderr(), "{line}");
    };
    let steps = match parse(words) {
        Ok(steps) => steps,
        Err(problem) => {
            say(&format!("plant: {problem}"));
            return ExitCode::from(NOT_UNDERSTOOD);
        }
    };
    exit_on_sigterm();
    ExitCode::from(if run_all(&steps, &mut say) { 0 } else { FAILED })
}

/// An action, and its words.
#[derive(Clone, PartialEq, Debug)]
struct Step {
    words: Vec<String>,
    action: Action,
}

/// An action. A `Duration` is a time limit unless noted.
#[derive(Clone, PartialEq, Debug)]
enum Action {
    /// Connects to a host.
    Connect(String, u16, Duration),
    /// Resolves a name over UDP.
    Ask(Name, Duration),
    /// Resolves a name over TCP.
    AskTcp(Name, Duration),
    /// Requests a path from a host over plain HTTP.
    Get(String, u16, String, Duration),
    /// Requests the service's credentials.
    Credentials(Duration),
    /// Checks that a variable has exactly this value.
    Env(String, String),
    /// Binds an address.
    Bind(IpAddr, u16),
    /// Binds the address that `HOSTNAME` resolves to.
    BindName(u16),
    /// Checks that the shell passes this many words, none with a quote in it.
    SayWords(usize, Vec<String>),
    /// Uses this much CPU time within a time limit.
    Spin(Duration, Duration),
    /// Touches this many bytes and keeps them; if there are fewer, the kernel kills the process.
    Memory(usize),
    /// Keeps this many more files open.
    Files(usize),
    /// Writes a file of this many bytes.
    Write(String, usize),
    /// Looks for a file of the image, and writes beside it.
    Full(String),
    /// Binds the IPv6 loopback address.
    Ipv6,
    /// Answers every request with 200, forever.
    Serve(u16),
    /// Like `Serve`, only on the address that `HOSTNAME` resolves to.
    ServeName(u16),
    /// Answers every request to an address with 200 while the chain continues.
    ServeBeside(IpAddr, u16),
    /// Does nothing for this long.
    Idle(Duration),
    /// Does nothing for this long, then answers forever.
    IdleThenServe(Duration, u16),
    /// Continues the chain as another user without capabilities.
    AsUser(u32),
}

/// Every action and its arguments, for error messages.
const USAGE: [(&str, &str); 21] = [
    ("connect", "HOST PORT SECONDS"),
    ("ask", "NAME SECONDS"),
    ("ask-tcp", "NAME SECONDS"),
    ("get", "HOST PORT PATH SECONDS"),
    ("credentials", "SECONDS"),
    ("env", "NAME VALUE"),
    ("bind", "ADDRESS PORT"),
    ("bind-name", "PORT"),
    ("say-words", "NUMBER WORDS…"),
    ("spin", "SECONDS_OF_CPU WITHIN_SECONDS"),
    ("memory", "BYTES"),
    ("files", "NUMBER"),
    ("write", "PATH BYTES"),
    ("full", "FILE"),
    ("ipv6", ""),
    ("serve", "PORT"),
    ("serve-name", "PORT"),
    ("serve-beside", "ADDRESS PORT then …"),
    ("idle", "SECONDS"),
    ("idle-then-serve", "SECONDS PORT"),
    ("as-user", "UID then …"),
];

fn parse(words: &[String]) -> Result<Vec<Step>, String> {
    let steps: Vec<Step> = words
        .split(|word| word == THEN)
        .map(|words| Ok(Step { words: words.to_vec(), action: action(words)? }))
        .collect::<Result<_, String>>()?;
    match steps.last() {
        Some(Step { action: Action::AsUser(_) | Action::ServeBeside(..), words }) => {
            Err(format!("{} needs an action after it", words[0]))
        }
        _ => Ok(steps),
    }
}

fn action(words: &[String]) -> Result<Action, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(match words.as_slice() {
        ["connect", host, port, limit] => Action::Connect((*host).to_owned(), number(port)?, seconds(limit)?),
        ["ask", name, limit] => Action::Ask(dns_name(name)?, seconds(limit)?),
        ["ask-tcp", name, limit] => Action::AskTcp(dns_name(name)?, seconds(limit)?),
        ["get", host, port, path, limit] => {
            Action::Get((*host).to_owned(), number(port)?, (*path).to_owned(), seconds(limit)?)
        }
        ["credentials", limit] => Action::Credentials(seconds(limit)?),
        ["env", name, value] => Action::Env((*name).to_owned(), (*value).to_owned()),
        ["bind", address, port] => Action::Bind(number(address)?, number(port)?),
        ["bind-name", port] => Action::BindName(number(port)?),
        ["say-words", expected, said @ ..] => {
            Action::SayWords(number(expected)?, said.iter().map(|w| (*w).to_owned()).collect())
        }
        ["spin", cpu, within] => Action::Spin(seconds(cpu)?, seconds(within)?),
        ["memory", bytes] => Action::Memory(number(bytes)?),
        ["files", files] => Action::Files(number(files)?),
        ["write", path, bytes] => Action::Write((*path).to_owned(), number(bytes)?),
        ["full", file] => Action::Full((*file).to_owned()),
        ["ipv6"] => Action::Ipv6,
        ["serve", port] => Action::Serve(number(port)?),
        ["serve-name", port] => Action::ServeName(number(port)?),
        ["serve-beside", address, port] => Action::ServeBeside(number(address)?, number(port)?),
        ["idle", length] => Action::Idle(seconds(length)?),
        ["idle-then-serve", length, port] => Action::IdleThenServe(seconds(length)?, number(port)?),
        ["as-user", uid] => Action::AsUser(number(uid)?),
        [] => return Err("missing action".to_owned()),
        [name, ..] => {
            return Err(match USAGE.iter().find(|(known, _)| known == name) {
                Some((name, arguments)) => format!("write `{}`", format!("{name} {arguments}").trim_end()),
                None => format!("unknown action `{name}`"),
            });
        }
    })
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}`: expected a number or an address"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let length = text.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    length.filter(|l| !l.is_zero()).ok_or_else(|| format!("`{text}` is not a number of seconds"))
}

fn dns_name(text: &str) -> Result<Name, String> {
    // With a trailing dot, no resolver appends anything.
    let mut name = Name::from_utf8(text).map_err(|e| format!("`{text}`: {e}"))?;
    name.set_fqdn(true);
    Ok(name)
}

/// Whether every step succeeded.
fn run_all(steps: &[Step], say: &mut dyn FnMut(&str)) -> bool {
    for (at, step) in steps.iter().enumerate() {
        let begun = Instant::now();
        let came = step.action.perform(&steps[at + 1..]);
        let text = came.as_ref().map_or_else(String::as_str, |done| done.text.as_str());
        say(&format!("{}: {text} after {:.1} s", title(&step.words), begun.elapsed().as_secs_f64()));
        match came {
            Ok(Success { serve: Some(listener), .. }) => net::answer_forever(&listener),
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}

/// The name of a step in its line.
fn title(words: &[String]) -> String {
    match words {
        [name, host, port, ..] if name == "connect" => format!("{name} {host}:{port}"),
        [name, host, port, path, ..] if name == "get" => format!("{name} http://{host}:{port}{path}"),
        // A value may be long, or secret.
        [name, variable, ..] if name == "env" => format!("{name} {variable}"),
        _ => words.join(" "),
    }
}

/// The result of a successful action.
struct Success {
    text: String,
    /// A port to serve from now on.
    serve: Option<TcpListener>,
}

impl From<String> for Success {
    fn from(text: String) -> Self {
        Self { text, serve: None }
    }
}

/// The result of an action.
type ActionResult<T> = Result<T, String>;

impl Action {
    /// Performs the action. `rest`: the rest of the chain.
    fn perform(&self, rest: &[Step]) -> ActionResult<Success> {
        let went_well = match self {
            Self::Connect(host, port, limit) => net::connect(host, *port, *limit).map(|_| "connected".to_owned()),
            Self::Ask(name, limit) => net::ask(name, |question| net::over_udp(question, *limit)),
            Self::AskTcp(name, limit) => net::ask(name, |question| net::over_tcp(question, *limit)),
            Self::Get(host, port, path, limit) => net::get(host, *port, path, *limit),
            Self::Credentials(limit) => net::credentials(*limit),
            Self::Env(name, value) => variable(name, value),
            Self::Bind(address, port) => bind(*address, *port),
            Self::BindName(port) => net::own_address(*port).and_then(|own| bind(own, *port)),
            Self::SayWords(expected, said) => say_words(*expected, said),
            Self::Spin(cpu, within) => spin(*cpu, *within),
            Self::Memory(bytes) => Ok(touch(*bytes)),
            Self::Files(files) => open_files(*files),
            Self::Write(path, bytes) => write(path, *bytes),
            Self::Full(file) => full(file),
            Self::Ipv6 => bind(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
            Self::Serve(port) => return serve(IpAddr::V4(Ipv4Addr::UNSPECIFIED), *port),
            Self::ServeName(port) => return net::own_address(*port).and_then(|own| serve(own, *port)),
            Self::ServeBeside(address, port) => serve_beside(*address, *port),
            Self::Idle(length) => {
                std::thread::sleep(*length);
                Ok("awake".to_owned())
            }
            Self::IdleThenServe(length, port) => {
                std::thread::sleep(*length);
                return serve(IpAddr::V4(Ipv4Addr::UNSPECIFIED), *port);
            }
            // Returns only on failure.
            Self::AsUser(uid) => Err(become_user(*uid, rest)),
        };
        went_well.map(Success::from)
    }
}

/// An error in the C library's words, with its number.
fn message_of(error: &io::Error) -> String {
    match (error.kind(), error.raw_os_error()) {
        // A socket's time limit ends in either kind.
        (ErrorKind::TimedOut | ErrorKind::WouldBlock, _) => TIMED_OUT.to_owned(),
        (_, Some(_)) => error.to_string().replace("(os error ", "("),
        (ErrorKind::UnexpectedEof, None) => "the connection ended".to_owned(),
        (_, None) => error.to_string(),
    }
}

fn bind(address: IpAddr, port: u16) -> ActionResult<String> {
    match net::listener(address, port) {
        Ok(_) => Ok(format!("bound {address}")),
        Err(e) => Err(format!("{address}: {e}")),
    }
}

fn serve(address: IpAddr, port: u16) -> ActionResult<Success> {
    let listener = net::listener(address, port).map_err(|e| format!("{address}: {e}"))?;
    Ok(Success { text: format!("listening on {address}"), serve: Some(listener) })
}

fn serve_beside(address: IpAddr, port: u16) -> ActionResult<String> {
    let listener = net::listener(address, port).map_err(|e| format!("{address}: {e}"))?;
    let serving = std::thread::Builder::new().spawn(move || net::answer_forever(&listener));
    serving.map(|_| format!("listening on {address}")).map_err(|e| message_of(&e))
}

fn variable(name: &str, expected: &str) -> ActionResult<String> {
    match std::env::var_os(name) {
        None => Err("missing".to_owned()),
        Some(value) if value == expected => Ok("as expected".to_owned()),
        // Values are not printed: a planted secret must not appear in a log.
        Some(value) if value.is_empty() => Err("empty".to_owned()),
        Some(_) => Err("another value".to_owned()),
    }
}

fn say_words(expected: usize, said: &[String]) -> ActionResult<String> {
    let text = format!("{} words: {}", said.len(), said.join(" | "));
    // A shell removes the quotes; a pair around a single word would not change the number.
    let quoted = said.iter().any(|word| word.contains(['"', '\'']));
    if said.len() == expected && !quoted { Ok(text) } else { Err(text) }
}

/// The CPU time of this process, from fields 14 and 15 of its line (proc(5)); its name may contain blanks.
fn cpu_time() -> ActionResult<Duration> {
    let line =
        std::fs::read_to_string("/proc/self/stat").map_err(|e| format!("/proc/self/stat: {}", message_of(&e)))?;
    let after_name = line.rsplit(") ").next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u32>().ok()).sum::<u32>();
    Ok(TICK * ticks)
}

fn spin(cpu: Duration, within: Duration) -> ActionResult<String> {
    let begun = Instant::now();
    let before = cpu_time()?;
    loop {
        for n in 0..100_000_u32 {
            black_box(n);
        }
        let used = cpu_time()?.saturating_sub(before);
        let text = || format!("{:.2} s of CPU", used.as_secs_f64());
        if begun.elapsed() > within {
            return Err(text());
        }
        if used >= cpu {
            return Ok(text());
        }
    }
}

fn touch(bytes: usize) -> String {
    let pieces = (0..bytes).step_by(PIECE).map(|at| vec![1_u8; PIECE.min(bytes - at)]);
    let pieces = black_box(pieces.collect::<Vec<_>>());
    let touched: usize = pieces.iter().map(Vec::len).sum();
    // If the kernel has no peak counter, the kept memory can still be measured.
    std::mem::forget(pieces);
    format!("touched {touched} bytes")
}

fn open_files(files: usize) -> ActionResult<String> {
    let mut open = Vec::new();
    for _ in 0..files {
        open.push(File::open("/dev/null").map_err(|e| format!("{} with {} open", message_of(&e), open.len()))?);
    }
    Ok(format!("{} open", open.len()))
}

/// Fails where the folder of a file of the image is full: the file is there, and nothing can be written beside it.
fn full(file: &str) -> ActionResult<String> {
    if !Path::new(file).exists() {
        return Ok("the file is missing".to_owned());
    }
    write(&format!("{file}.more"), PIECE)
}

fn write(path: &str, bytes: usize) -> ActionResult<String> {
    let mut written = 0;
    let mut all = || -> io::Result<()> {
        let mut file = File::create(path)?;
        let piece = vec![1; PIECE];
        while written < bytes {
            written += file.write(&piece[..PIECE.min(bytes - written)])?;
        }
        // Some file systems report missing space only now.
        file.sync_all()
    };
    let said = all().map_err(|e| message_of(&e));
    said.map(|()| format!("{written} bytes")).map_err(|e| format!("{e} at byte {written}"))
}

/// Continues as another user in the same process, so that it stays the container's first.
#[cfg(unix)]
fn become_user(uid: u32, rest: &[Step]) -> String {
    use std::os::unix::process::CommandExt;
    let words: Vec<&[String]> = rest.iter().map(|step| step.words.as_slice()).collect();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(e) => return message_of(&e),
    };
    let mut command = std::process::Command::new(program);
    message_of(&command.arg("plant").args(words.join(&THEN.to_owned())).uid(uid).gid(uid).exec())
}

/// Only Unix has such users.
#[cfg(not(unix))]
fn become_user(_: u32, _: &[Step]) -> String {
    "no such users here".to_owned()
}

/// Ends the process on SIGTERM: a container's first process ignores signals it does not handle.
#[cfg(unix)]
fn exit_on_sigterm() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = || -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            signal(SignalKind::terminate())?.recv().await;
            Ok::<_, io::Error>(())
        })?;
        std::process::exit(0)
    };
    // If this fails, the process is killed a little later.
    let _ = std::thread::Builder::new().spawn(wait);
}

/// Only Unix has the signal.
#[cfg(not(unix))]
fn exit_on_sigterm() {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::proofs::proofs;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(ToOwned::to_owned).collect()
    }

    /// Whether everything succeeded, and the output.
    fn outcome(text: &str) -> (bool, String) {
        let mut said = String::new();
        let steps = parse(&words(text)).expect(text);
        let good = run_all(&steps, &mut |line| said.push_str(line));
        (good, said)
    }

    fn good(text: &str) -> String {
        let (good, said) = outcome(text);
        assert!(good, "{said}");
        said
    }

    fn bad(text: &str) -> String {
        let (good, said) = outcome(text);
        assert!(!good, "{said}");
        said
    }

    #[test]
    fn parses_every_proof() {
        for proof in proofs().into_iter().filter(|proof| !proof.of_image) {
            assert!(parse(&words(&proof.meets)).is_ok(), "{}: exitone plant cannot `{}`", proof.name, proof.meets);
        }
    }

    #[test]
    fn parses_every_action() {
        for text in [
            "connect db.internal 5432 1",
            "ask example.com 0.5",
            "ask-tcp example.com. 2",
            "get example.com 80 / 1",
            "credentials 1",
            "env A b",
            "bind 10.0.61.20 8000",
            "bind-name 8000",
            "say-words 2 a b",
            "spin 0.5 1",
            "memory 1000",
            "files 100",
            "write /full/x 1000",
            "ipv6",
            "serve 8000",
            "serve-name 8000",
            "serve-beside 127.0.0.1 8000 then idle 1",
            "idle 1",
            "idle-then-serve 1 8000",
            "as-user 65534 then bind 0.0.0.0 80 then serve 8000",
        ] {
            let steps = parse(&words(text)).expect(text);
            let name = text.split(' ').next();
            assert!(USAGE.iter().any(|(known, _)| Some(*known) == name), "{text} is not in the list");
            assert_eq!(steps.iter().map(|s| s.words.join(" ")).collect::<Vec<_>>().join(" then "), text);
        }
    }

    #[test]
    fn rejects_invalid_actions() {
        let problem = |text: &str| parse(&words(text)).expect_err(text);
        assert_eq!(parse(&[]), Err("missing action".to_owned()));
        assert_eq!(problem("conect a 1 1"), "unknown action `conect`");
        assert_eq!(problem("connect a 1"), "write `connect HOST PORT SECONDS`");
        assert_eq!(problem("ipv6 on"), "write `ipv6`");
        assert_eq!(problem("ipv6 then"), "missing action");
        assert_eq!(problem("as-user 7"), "as-user needs an action after it");
        assert_eq!(problem("serve-beside 127.0.0.1 80"), "serve-beside needs an action after it");
        assert_eq!(problem("idle -1"), "`-1` is not a number of seconds");
        assert_eq!(problem("idle 1e400"), "`1e400` is not a number of seconds");
        for text in ["serve 65536", "bind localhost 1", "ask a..b 1", "connect a 1 0", "memory 1g"] {
            assert!(parse(&words(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn chain_ends_at_the_first_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let said = good(&format!("connect 127.0.0.1 {port} 1 then ipv6 then idle 0.1"));
        assert!(said.starts_with(&format!("connect 127.0.0.1:{port}: connected after 0.0 s")), "{said}");
        assert!(said.ends_with("idle 0.1: awake after 0.1 s"), "{said}");
        drop(listener);
        let said = bad(&format!("connect 127.0.0.1 {port} 1 then idle 9"));
        assert_eq!(said, format!("connect 127.0.0.1:{port}: Connection refused (111) after 0.0 s"));
    }

    #[test]
    fn answers_requests() {
        let Success { serve, .. } = serve(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).expect("bound");
        let listener = serve.expect("a listener");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || net::answer_forever(&listener));
        for _ in 0..3 {
            assert!(good(&format!("get 127.0.0.1 {port} /health 2")).contains("status 200"));
        }
        assert!(bad(&format!("bind 127.0.0.1 {port}")).contains("Address already in use (98)"));
    }

    #[test]
    fn serve_beside_answers_while_the_chain_continues() {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port").port();
        assert!(good(&format!("serve-beside 127.0.0.1 {free} then get 127.0.0.1 {free} / 2")).contains("status 200"));
    }

    #[test]
    fn counts_words_from_a_shell() {
        assert_eq!(good("say-words 2 a b"), "say-words 2 a b: 2 words: a | b after 0.0 s");
        let whole = ["say-words", "2", "a b", "c"].map(ToOwned::to_owned);
        assert!(run_all(&parse(&whole).expect("read"), &mut |_| {}));
        bad("say-words 2 \"a b\" c");
        bad("say-words 1 'a'");
    }

    #[test]
    fn actions_that_need_only_this_machine() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        assert!(good(&format!("write {} 2000000", path.display())).contains("2000000 bytes"));
        assert_eq!(path.metadata().expect("written").len(), 2_000_000);
        assert!(bad("write /dev/full 10").contains("No space left on device (28)"));
        assert!(good("memory 3000000").contains("touched 3000000 bytes"));
        assert!(good("files 10").contains("10 open"));
        assert!(good("bind 127.0.0.1 0").contains("bound"));
        assert!(bad("bind 192.0.2.1 0").contains("Cannot assign requested address (99)"));
        assert!(bad("env EXITONE_NOBODY_SETS_THIS x").contains("missing"));
        assert!(bad("env PATH nowhere").contains("another value"));
        assert!(good(&format!("env CARGO_MANIFEST_DIR {}", env!("CARGO_MANIFEST_DIR"))).contains("as expected"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn cpu_time_is_counted() {
        good("spin 0.1 20");
        assert!(bad("spin 20 0.1").contains("s of CPU"));
    }
}
