//! What explaining a log costs. `cargo bench --bench explain`
//!
//! - a log of 100 MB: the time and the largest memory of `exitone explain` (asked: 2 s, 100 MB);
//! - a log of 10,000 lines: the time to hold it against every entry of the catalogue (asked: 50 ms), and to read the
//!   catalogue.

// Nothing here pauses a clock.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods)]

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use exitone::catalogue::{Catalogue, embedded};
use exitone::diagnose::samples::causes_of;
use exitone::scenario::{apprunner, service};

const LINES: [&str; 5] = [
    "2026-11-28T10:00:00.123Z INFO  [main] c.e.orders.OrderService : processed order 8f2c in 12 ms for customer 4711",
    "2026-11-28T10:00:00.124Z DEBUG [pool-1] c.e.http.Client : GET https://api.internal.example/v1/items?id=42 -> 200",
    "2026-11-28T10:00:00.125Z WARN  [main] c.e.cache.Cache : miss for key session:99, falling back to the database",
    "10.0.1.7 - - [28/Nov/2026:10:00:00 +0000] \"GET /healthz HTTP/1.1\" 200 2 \"-\" \"ELB-HealthChecker/2.0\"",
    "2026-11-28T10:00:00.126Z ERROR [pool-2] c.e.mail.Mailer : could not send mail 17, will retry in 30 s",
];
const END: &str = "Traceback (most recent call last):\n  File \"/app/main.py\", line 3, in <module>\n    import \
                   psycopg2\nModuleNotFoundError: No module named 'psycopg2'\n";

fn main() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let (mut bytes, mut n) = (0, 0);
    let mut out = std::io::BufWriter::new(file.as_file_mut());
    while bytes < 100_000_000 {
        bytes += LINES[n % 5].len() + 1;
        writeln!(out, "{}", LINES[n % 5]).expect("written");
        n += 1;
    }
    out.write_all(END.as_bytes()).expect("written");
    out.flush().expect("written");
    drop(out);
    let begun = Instant::now();
    let mut explain = Command::new(env!("CARGO_BIN_EXE_exitone"));
    let output = explain.arg("explain").arg(file.path()).stderr(Stdio::inherit()).output().expect("it runs");
    let took = begun.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("psycopg2"), "{text}");
    let used = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).expect("known").max_rss();
    println!("explain, {n} lines, {bytes} bytes: {:.2} s, {} MB", took.as_secs_f64(), used / 1024);

    let begun = Instant::now();
    let catalogue = Catalogue::new(embedded());
    println!("reading {} entries: {:.1} ms", catalogue.entries().len(), begun.elapsed().as_secs_f64() * 1000.0);
    let log: String = (0..10_000).map(|n| format!("{}\n", LINES[n % 5])).chain([END.to_owned()]).collect();
    let entry = catalogue.get("missing-dependency").expect("an entry");
    let service = service::defaults(&apprunner());
    for run in ["first", "second", "third"] {
        let begun = Instant::now();
        let causes = causes_of(&catalogue, entry, &log, &service);
        println!("10,000 lines, {run} time: {:.1} ms", begun.elapsed().as_secs_f64() * 1000.0);
        assert!(causes.iter().any(|cause| cause.id == "missing-dependency"), "{causes:?}");
    }
}
