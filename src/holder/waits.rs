//! What the threads of a candidate wait for.
//!
//! The program runs in a container of its own that sees the candidate's processes, and reads of each thread which system
//! call it is blocked in (`/proc/PID/task/TID/syscall`, proc(5)). Two looks, a moment apart, show the same calls or
//! prove nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc;

use super::protocol::line;
use crate::model::observation::Waits;

/// Time between the two looks, and how often to look again when a thread was running.
const BETWEEN: Duration = Duration::from_millis(250);
const ROUNDS: usize = 4;
/// An event loop that wakes up at least this often does so to see whether to stop.
const TICK: Duration = Duration::from_secs(1);

/// Writes what the threads of all other processes wait for. A wait of `within` or longer counts as endless.
///
/// # Errors
/// When standard output fails.
pub(crate) async fn report(within: Duration) -> io::Result<()> {
    let mut found = Waits::Other;
    for _ in 0..ROUNDS {
        let before = look(Path::new("/proc"), within);
        tokio::time::sleep(BETWEEN).await;
        found = both(&before, &look(Path::new("/proc"), within));
        if found != Waits::Other {
            break;
        }
    }
    let mut out = io::stdout().lock();
    out.write_all(&line(&found)?)?;
    out.flush()
}

/// A thread at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Thread {
    waits: Waits,
    /// The call with its arguments, as the kernel writes it.
    call: String,
    /// How often it has been switched out because it had to wait.
    switches: u64,
}

/// The threads at one moment by process and thread, and what else may wake them.
#[derive(Default, Debug)]
struct Look {
    threads: BTreeMap<(u32, u32), Thread>,
    /// At most this can be said, whatever the threads wait for.
    most: Option<Waits>,
}

/// What two looks show together. A thread that waits for ever did not run in between; an event loop may have, and waits
/// again.
fn both(before: &Look, after: &Look) -> Waits {
    if before.threads.is_empty() || !before.threads.keys().eq(after.threads.keys()) {
        return Waits::Other;
    }
    let pairs = before.threads.values().zip(after.threads.values());
    let number = |thread: &Thread| thread.call.split(' ').next().map(str::to_owned);
    let threads = pairs.map(|(before, after)| {
        if before == after {
            after.waits
        } else if number(before) == number(after) {
            before.waits.min(after.waits).min(Waits::Events)
        } else {
            Waits::Other
        }
    });
    threads.chain(before.most).chain(after.most).min().unwrap_or(Waits::Other)
}

fn look(proc: &Path, within: Duration) -> Look {
    let mut look = Look::default();
    for pid in numbers(proc).into_iter().filter(|pid| *pid != std::process::id()) {
        let folder = proc.join(pid.to_string());
        let status = read(folder.join("status"));
        if field(&status, "State").starts_with('Z') {
            continue;
        }
        look.most = look.most.into_iter().chain(most(&folder, &status, within)).min();
        let memory = fs::File::open(folder.join("mem")).ok();
        let at = |address: u64| timespec(memory.as_ref()?, address);
        for tid in numbers(&folder.join("task")) {
            let task = folder.join("task").join(tid.to_string());
            let status = read(task.join("status"));
            let call = read(task.join("syscall"));
            let is_asleep = field(&status, "State").starts_with('S');
            let waits = if is_asleep { blocked_in(&call, within, at) } else { Waits::Other };
            let switches = field(&status, "voluntary_ctxt_switches").parse().unwrap_or_default();
            look.threads.insert((pid, tid), Thread { waits, call, switches });
        }
    }
    look
}

/// What can be said of a process at most, apart from what its threads wait for; `None` for everything.
fn most(folder: &Path, status: &str, within: Duration) -> Option<Waits> {
    let sockets = read(folder.join("net/tcp")) + &read(folder.join("net/tcp6"));
    let fds = folder.join("fdinfo");
    let mut timers = numbers(&fds).into_iter().map(|fd| read(fds.join(fd.to_string())));
    let has_timer = timers.any(|fd| is_armed(&fd, within)) || !read(folder.join("timers")).is_empty();
    if is_32_bit(&folder.join("exe")) || has_timer || is_connected(&sockets) {
        return Some(Waits::Other);
    }
    // What handles SIGALRM may have set an alarm, which the kernel shows nowhere.
    let caught = u64::from_str_radix(field(status, "SigCgt"), 16).unwrap_or(u64::MAX);
    (caught >> (libc::SIGALRM - 1) & 1 == 1).then_some(Waits::Events)
}

/// What a thread waits for in a system call, written as `NUMBER ARGUMENT… STACK PROGRAM`, all but the first in
/// hexadecimal. `at` reads a time from the process's memory. Pure but for it.
fn blocked_in(call: &str, within: Duration, at: impl Fn(u64) -> Option<Duration>) -> Waits {
    let mut words = call.split_whitespace();
    let Some(number) = words.next().and_then(|n| n.parse::<libc::c_long>().ok()) else { return Waits::Other };
    let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    let Some(args) = words.map(hex).collect::<Option<Vec<u64>>>().filter(|args| args.len() >= 6) else {
        return Waits::Other;
    };
    let Some((_, wait)) = CALLS.iter().find(|(of, _)| *of == number) else { return Waits::Other };
    let spec = |n: usize| match args[n] {
        0 => Some(None),
        address => at(address).map(Some),
    };
    let (is_for_events, limit) = match *wait {
        Wait::Endless => return Waits::Forever,
        Wait::Millis { limit, of } => {
            // A negative number of milliseconds, as an `int`, is no limit.
            let millis = args[limit] as u32 as i32;
            (has_any(&args, of), Some(u64::try_from(millis).ok().map(Duration::from_millis)))
        }
        Wait::Time { limit, of } => (has_any(&args, of), spec(limit)),
        Wait::Sleep { limit } => (false, spec(limit)),
        Wait::Until { flags, limit } if args[flags] & ABSOLUTE == 0 => (false, spec(limit)),
        Wait::Futex => match args[1] & FUTEX_COMMAND {
            FUTEX_WAIT => (false, spec(3)),
            // Its limit is a point in time.
            FUTEX_WAIT_BITSET if args[3] == 0 => return Waits::Forever,
            _ => return Waits::Other,
        },
        Wait::Until { .. } => return Waits::Other,
    };
    match limit {
        Some(None) => Waits::Forever,
        Some(Some(limit)) if limit >= within => Waits::Forever,
        Some(Some(limit)) if is_for_events && limit <= TICK => Waits::Events,
        Some(Some(_)) if is_for_events => Waits::Timers,
        _ => Waits::Other,
    }
}

/// Whether a call waits for something besides time: its number of files, if it has one, is not 0.
fn has_any(args: &[u64], of: Option<usize>) -> bool {
    of.is_none_or(|n| args[n] != 0)
}

/// How a system call waits; the numbers are those of its arguments.
#[derive(Clone, Copy)]
enum Wait {
    /// Until something happens.
    Endless,
    /// Until something happens to one of `of` files, or for a number of milliseconds.
    Millis { limit: usize, of: Option<usize> },
    /// The same with the address of a time.
    Time { limit: usize, of: Option<usize> },
    /// For a time.
    Sleep { limit: usize },
    /// For a time, or until one.
    Until { flags: usize, limit: usize },
    /// See futex(2).
    Futex,
}

/// `TIMER_ABSTIME` of clock_nanosleep(2).
const ABSOLUTE: u64 = 1;
/// The command in the operation of futex(2), without its flags.
const FUTEX_COMMAND: u64 = 0x7f;
const FUTEX_WAIT: u64 = libc::FUTEX_WAIT as u64;
const FUTEX_WAIT_BITSET: u64 = libc::FUTEX_WAIT_BITSET as u64;

/// The calls in which a thread that has nothing to do is blocked; any other proves nothing.
const CALLS: &[(libc::c_long, Wait)] = &[
    (libc::SYS_accept, Wait::Endless),
    (libc::SYS_accept4, Wait::Endless),
    (libc::SYS_read, Wait::Endless),
    (libc::SYS_readv, Wait::Endless),
    (libc::SYS_recvfrom, Wait::Endless),
    (libc::SYS_recvmsg, Wait::Endless),
    (libc::SYS_rt_sigsuspend, Wait::Endless),
    (libc::SYS_wait4, Wait::Endless),
    (libc::SYS_waitid, Wait::Endless),
    (libc::SYS_flock, Wait::Endless),
    (libc::SYS_epoll_pwait, Wait::Millis { limit: 3, of: None }),
    (libc::SYS_epoll_pwait2, Wait::Time { limit: 3, of: None }),
    (libc::SYS_ppoll, Wait::Time { limit: 2, of: Some(1) }),
    (libc::SYS_pselect6, Wait::Time { limit: 4, of: Some(0) }),
    (libc::SYS_rt_sigtimedwait, Wait::Time { limit: 2, of: None }),
    (libc::SYS_nanosleep, Wait::Sleep { limit: 0 }),
    (libc::SYS_clock_nanosleep, Wait::Until { flags: 1, limit: 2 }),
    (libc::SYS_futex, Wait::Futex),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_pause, Wait::Endless),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_epoll_wait, Wait::Millis { limit: 3, of: None }),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, Wait::Millis { limit: 2, of: Some(1) }),
];

/// Whether one of these sockets (`/proc/net/tcp`) is connected, or being connected, to another machine. Pure.
fn is_connected(sockets: &str) -> bool {
    const ESTABLISHED: &str = "01";
    const SYN_SENT: &str = "02";
    const LISTEN: &str = "0A";
    let rows = || sockets.lines().map(|row| row.split_whitespace().skip(1).take(3).collect::<Vec<_>>());
    let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
    let listening = |row: Vec<&str>| matches!(row[..], [_, _, LISTEN]).then(|| port(row[0]));
    let listening: BTreeSet<String> = rows().filter_map(listening).collect();
    rows().any(|row| match row[..] {
        [local, remote, ESTABLISHED | SYN_SENT] => !listening.contains(&port(local)) && !is_loopback(remote),
        _ => false,
    })
}

/// Whether an address in hexadecimal, in words of the machine's byte order, is of the loopback interface.
fn is_loopback(address: &str) -> bool {
    // 127.x.y.z, ::ffff:127.x.y.z and ::1, on a little-endian machine.
    match address.split(':').next().unwrap_or_default() {
        v4 if v4.len() == 8 => v4.ends_with("7F"),
        v6 => {
            v6 == "00000000000000000000000001000000" || v6.starts_with("0000000000000000FFFF0000") && v6.ends_with("7F")
        }
    }
}

/// Whether the description of an open file is that of a timer that ends before `within`, or comes again. Pure.
fn is_armed(fdinfo: &str, within: Duration) -> bool {
    let seconds = |name| {
        let text = field(fdinfo, name).trim_matches(['(', ')']);
        text.split_once(',')
            .and_then(|(seconds, nanos)| Some(Duration::new(seconds.trim().parse().ok()?, nanos.trim().parse().ok()?)))
    };
    let zero = Duration::ZERO;
    seconds("it_interval").is_some_and(|every| every > zero)
        || seconds("it_value").is_some_and(|left| left > zero && left < within)
}

/// Whether a program is not one of 64 bits: its system calls have other numbers. One that cannot be read may be.
fn is_32_bit(program: &Path) -> bool {
    const CLASS_64: u8 = 2;
    let mut header = [0; 5];
    let read = fs::File::open(program).and_then(|file| file.read_exact_at(&mut header, 0));
    read.is_err() || header[4] != CLASS_64
}

/// The time at an address of a process.
fn timespec(memory: &fs::File, address: u64) -> Option<Duration> {
    let mut bytes = [0; 16];
    memory.read_exact_at(&mut bytes, address).ok()?;
    let (seconds, nanos) = bytes.split_at(8);
    let seconds = u64::from_ne_bytes(seconds.try_into().ok()?);
    let nanos = u64::from_ne_bytes(nanos.try_into().ok()?);
    Some(Duration::new(seconds, u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?))
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The entries of a folder that are numbers.
fn numbers(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The value after `name:` at the start of a line.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    text.lines().find_map(value).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(25);

    /// A call as the kernel writes it.
    fn call(number: libc::c_long, args: [u64; 6]) -> String {
        let args = args.map(|arg| format!("{arg:#x}")).join(" ");
        format!("{number} {args} 0x7ffe00000000 0x7f0000000000\n")
    }

    #[test]
    fn calls_and_their_limits() {
        let forever = u64::from(u32::MAX);
        // The "memory": an address is a number of milliseconds.
        let at = |address: u64| (address < 1_000_000).then(|| Duration::from_millis(address));
        for (number, args, waits) in [
            (libc::SYS_accept4, [3, 0, 0, 0, 0, 0], Waits::Forever),
            (libc::SYS_epoll_pwait, [4, 1, 64, forever, 0, 8], Waits::Forever),
            (libc::SYS_epoll_pwait, [4, 1, 64, 100, 0, 8], Waits::Events),
            (libc::SYS_epoll_pwait, [4, 1, 64, 15_000, 0, 8], Waits::Timers),
            (libc::SYS_epoll_pwait, [4, 1, 64, 30_000, 0, 8], Waits::Forever),
            (libc::SYS_ppoll, [1, 2, 500, 0, 0, 0], Waits::Events),
            (libc::SYS_ppoll, [1, 2, 0, 0, 0, 0], Waits::Forever),
            (libc::SYS_ppoll, [1, 2, 1 << 40, 0, 0, 0], Waits::Other),
            // Without a file, it is a sleep.
            (libc::SYS_ppoll, [0, 0, 500, 0, 0, 0], Waits::Other),
            (libc::SYS_pselect6, [0, 0, 0, 0, 500, 0], Waits::Other),
            (libc::SYS_pselect6, [5, 1, 0, 0, 1000, 0], Waits::Events),
            (libc::SYS_rt_sigtimedwait, [1, 0, 1000, 8, 0, 0], Waits::Events),
            (libc::SYS_nanosleep, [500, 0, 0, 0, 0, 0], Waits::Other),
            (libc::SYS_clock_nanosleep, [0, 0, 60_000, 0, 0, 0], Waits::Forever),
            (libc::SYS_clock_nanosleep, [0, ABSOLUTE, 60_000, 0, 0, 0], Waits::Other),
            (libc::SYS_futex, [1, FUTEX_WAIT | 0x80, 2, 0, 0, 0], Waits::Forever),
            (libc::SYS_futex, [1, FUTEX_WAIT | 0x80, 2, 60_000, 0, 0], Waits::Forever),
            (libc::SYS_futex, [1, FUTEX_WAIT | 0x80, 2, 500, 0, 0], Waits::Other),
            (libc::SYS_futex, [1, FUTEX_WAIT_BITSET | 0x180, 2, 60_000, 0, 0], Waits::Other),
            (libc::SYS_futex, [1, FUTEX_WAIT_BITSET | 0x180, 2, 0, 0, 0], Waits::Forever),
            (libc::SYS_openat, [0; 6], Waits::Other),
        ] {
            assert_eq!(blocked_in(&call(number, args), WITHIN, at), waits, "{number} {args:?}");
        }
        for text in ["running\n", "-1 0x7ffe00000000 0x7f0000000000\n", "", "232 0x4\n"] {
            assert_eq!(blocked_in(text, WITHIN, at), Waits::Other, "{text:?}");
        }
    }

    #[test]
    fn two_looks_agree_or_prove_nothing() {
        let thread = |waits, call: &str, switches| Thread { waits, call: call.to_owned(), switches };
        let look = |threads: &[Thread], most| {
            let threads = (1..).zip(threads).map(|(n, thread)| ((1, n), thread.clone())).collect();
            Look { threads, most }
        };
        let asleep = thread(Waits::Forever, "futex", 7);
        let serving = |switches| thread(Waits::Forever, "epoll_wait", switches);
        let ticking = |switches| thread(Waits::Events, "poll 1", switches);
        let timed = |switches| thread(Waits::Timers, "poll 2", switches);
        let one = std::slice::from_ref::<Thread>;
        for (before, after, waits) in [
            (look(one(&asleep), None), look(one(&asleep), None), Waits::Forever),
            (look(one(&serving(7)), None), look(one(&serving(9)), None), Waits::Events),
            (look(&[asleep.clone(), ticking(3)], None), look(&[asleep.clone(), ticking(5)], None), Waits::Events),
            (look(one(&timed(3)), None), look(one(&timed(3)), None), Waits::Timers),
            (look(one(&ticking(3)), None), look(one(&timed(4)), None), Waits::Timers),
            (look(one(&asleep), Some(Waits::Events)), look(one(&asleep), None), Waits::Events),
            (look(one(&asleep), None), look(one(&asleep), Some(Waits::Other)), Waits::Other),
            (look(one(&asleep), None), look(&[asleep.clone(), ticking(3)], None), Waits::Other),
            (look(one(&asleep), None), look(one(&thread(Waits::Forever, "wait4", 8)), None), Waits::Other),
            (look(one(&asleep), None), look(one(&thread(Waits::Other, "running", 8)), None), Waits::Other),
            (look(&[], None), look(&[], None), Waits::Other),
        ] {
            assert_eq!(both(&before, &after), waits, "{before:?} {after:?}");
        }
    }

    #[test]
    fn connections_to_other_machines() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n";
        let row =
            |local: &str, remote: &str, state: &str| format!("   0: {local} {remote} {state} 00000000:00000000\n");
        let serves = row("00000000:1F90", "00000000:0000", "0A");
        for (rows, connected) in [
            (serves.clone(), false),
            (serves.clone() + &row("0100007F:1F90", "0100007F:C350", "01"), false),
            (serves.clone() + &row("143D000A:1F90", "0100FEA9:C350", "01"), false),
            (serves.clone() + &row("0100007F:C350", "0100007F:0FA1", "01"), false),
            (serves.clone() + &row("143D000A:C350", "010012C6:1538", "01"), true),
            (row("143D000A:C350", "010012C6:1538", "02"), true),
            (row("143D000A:C350", "010012C6:1538", "06"), false),
        ] {
            assert_eq!(is_connected(&(head.to_owned() + &rows)), connected, "{rows}");
        }
        assert!(is_loopback("00000000000000000000000001000000:0050"));
        assert!(is_loopback("0000000000000000FFFF00000100007F:0050"));
        assert!(!is_loopback("0000000000000000FFFF0000010012C6:0050"));
    }

    #[test]
    fn timers_among_the_open_files() {
        let timer =
            |left: &str, every: &str| format!("pos:\t0\nclockid: 1\nit_value: ({left})\nit_interval: ({every})\n");
        assert!(is_armed(&timer("14, 500000000", "0, 0"), WITHIN));
        assert!(is_armed(&timer("60, 0", "60, 0"), WITHIN));
        assert!(!is_armed(&timer("60, 0", "0, 0"), WITHIN));
        assert!(!is_armed(&timer("0, 0", "0, 0"), WITHIN));
        assert!(!is_armed("pos:\t0\nflags:\t02\n", WITHIN));
    }

    /// A process that sleeps, seen by this kernel.
    #[test]
    fn this_kernel_tells_what_a_process_waits_for() {
        if !Path::new("/proc/thread-self/syscall").exists() {
            return;
        }
        let mut child = std::process::Command::new("sleep").arg("20").spawn().expect("started");
        let task = PathBuf::from(format!("/proc/{0}/task/{0}", child.id()));
        let memory = || fs::File::open(format!("/proc/{}/mem", child.id())).ok();
        let waits = |within| {
            let at = |address| timespec(&memory()?, address);
            blocked_in(&read(task.join("syscall")), Duration::from_secs(within), at)
        };
        // It is a sleep from its first wait on.
        while !read(task.join("syscall")).starts_with(&libc::SYS_clock_nanosleep.to_string()) {
            std::thread::yield_now();
        }
        assert_eq!((waits(25), waits(20)), (Waits::Other, Waits::Forever));
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }
}
