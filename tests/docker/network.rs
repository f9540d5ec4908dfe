//! What a candidate experiences in its namespace, and that none of its packets leave it.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use exitone::model::observation::{Fate, MOST_KEPT};
use exitone::model::{Outcome, Verdict};
use exitone::run::pool::Mode;
use socket2::{Domain, Protocol, Socket, Type};

use super::support::{PLANTED, engine, load_planted, run, service_with, set};

const ETIMEDOUT: i64 = 110;
const ECONNREFUSED: i64 = 111;
const EHOSTUNREACH: i64 = 113;

#[tokio::test]
async fn network_faults_look_like_the_platforms() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let connect = || service_with("/planted connect 198.18.7.7 443");
    let unusual = || service_with("/planted connect 198.18.7.7 31999");
    let send = || service_with("/planted send 198.18.7.7 9999");
    let cases = [
        (connect(), set(&[]), 0),
        (unusual(), set(&[]), 0),
        (connect(), set(&["egress.drop"]), ETIMEDOUT),
        (connect(), set(&["egress.reject"]), ECONNREFUSED),
        (connect(), set(&["egress.unreachable"]), EHOSTUNREACH),
        // A cloud never tells a UDP sender that a packet was dropped.
        (send(), set(&[]), 0),
        (send(), set(&["egress.drop"]), 0),
        (send(), set(&["egress.reject"]), 0),
        (send(), set(&["egress.unreachable"]), 0),
        // A failing resolver does not affect connections to addresses.
        (connect(), set(&["dns.drop"]), 0),
    ];
    for mode in [Mode::Shared, Mode::OneRun] {
        let plan: Vec<_> = cases.iter().map(|(service, set, _)| (service.clone(), set.clone())).collect();
        let results = run(&engine, Some(mode), PLANTED, &plan).await;
        for ((service, set, errno), result) in cases.iter().zip(results) {
            let what = format!("{mode:?} {:?} under {set}", service.start_command);
            assert_eq!(result.exit_code, Some(*errno), "{what}: {:?}", result.evidence);
            let attempt = &result.evidence.connects[0];
            let fate = match *errno {
                ETIMEDOUT => Fate::Silent,
                ECONNREFUSED => Fate::Refused,
                EHOSTUNREACH => Fate::Unreachable,
                _ => attempt.fate,
            };
            assert_eq!(attempt.fate, fate, "{what}");
            assert_eq!(attempt.address.to_string(), "198.18.7.7");
        }
    }
}

#[tokio::test]
async fn fault_is_in_force_before_the_first_instruction() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let case = (service_with("/planted connect 198.18.7.7 443"), set(&["egress.reject"]));
    let results = run(&engine, None, PLANTED, &vec![case; 20]).await;
    let codes: Vec<Option<i64>> = results.iter().map(|r| r.exit_code).collect();
    assert_eq!(codes, vec![Some(ECONNREFUSED); 20]);
}

#[tokio::test]
async fn router_reports_unreachable_every_time() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let case = (service_with("/planted repeat 12 198.18.7.7 443 113"), set(&["egress.unreachable"]));
    let results = run(&engine, None, PLANTED, &[case]).await;
    assert_eq!(results[0].exit_code, Some(0), "{:?}", results[0].evidence.log_tail);
}

#[tokio::test]
async fn spinning_resolver_client_does_not_starve_the_probes() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let case = (service_with("/planted ask 1000000 0.0.0.0 8000"), set(&["dns.servfail"]));
    let results = run(&engine, None, PLANTED, &[case]).await;
    let (result, evidence) = (&results[0], &results[0].evidence);
    assert_eq!((result.verdict, evidence.dns.len()), (Verdict::Pass, MOST_KEPT), "{:?}", result.notes);
    assert!(evidence.dns.iter().all(|q| q.name == "db.internal" && q.answer == "SERVFAIL"));
    assert!(evidence.more_questions > 1000, "{}", evidence.more_questions);
}

#[tokio::test]
async fn files_of_a_candidate_are_gone_for_the_next() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    // Two holders: each of the last two cases is served by one that an earlier case had.
    let cases: Vec<_> = ["tamper", "tamper", "untampered", "untampered"]
        .map(|what| (service_with(&format!("/planted {what}")), set(&[])))
        .to_vec();
    let results = run(&engine, Some(Mode::Shared), PLANTED, &cases).await;
    assert_eq!(results.iter().map(|r| r.exit_code).collect::<Vec<_>>(), vec![Some(0); 4]);
}

#[tokio::test]
async fn probe_comes_from_outside() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let quick = |command: &str| {
        let mut service = service_with(command);
        service.health_check.interval = 1;
        service.health_check.unhealthy_threshold = 3;
        service
    };
    let cases = [
        (quick("/planted serve 0.0.0.0 8000"), set(&["egress.drop"])),
        (quick("/planted serve 127.0.0.1 8000"), set(&[])),
        (quick("/planted serve 0.0.0.0 9000"), set(&[])),
        // A server bound to the host name's address is reached in the baseline, not under the platform's name.
        (quick("/planted serve 10.0.61.20 8000"), set(&[])),
        (quick("/planted serve 10.0.248.213 8000"), set(&["hostname.platform"])),
        (quick("/planted serve 10.0.248.213 8000"), set(&["hostname.unbindable"])),
        // A port below 1024, which Docker lets every user open.
        (quick("/planted serve 0.0.0.0 80"), set(&[])),
    ];
    let results = run(&engine, None, PLANTED, &cases).await;
    let seen: Vec<(Verdict, Option<Outcome>, Option<&str>)> =
        results.iter().map(|r| (r.verdict, r.outcome.clone(), r.causes.first().map(|c| c.id.as_str()))).collect();
    let (pass, fail) = (Verdict::Pass, Verdict::Fail);
    assert_eq!(
        seen,
        [
            (pass, Some(Outcome::Healthy), None),
            (fail, Some(Outcome::NeverListened), Some("bound-to-loopback")),
            (fail, Some(Outcome::NeverListened), Some("port-mismatch")),
            (pass, Some(Outcome::Healthy), None),
            (fail, Some(Outcome::NeverListened), Some("bound-to-host-name")),
            (fail, Some(Outcome::Exited), Some("bind-host-name")),
            (fail, Some(Outcome::NeverListened), Some("port-mismatch")),
        ]
    );
}

/// Watches every packet in the host's own namespace for a marker.
struct OutsideWatch {
    seen: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl OutsideWatch {
    fn start(marker: &'static [u8]) -> std::io::Result<Self> {
        let all = i32::from(0x0003_u16.to_be());
        let mut socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(all)))?;
        socket.set_read_timeout(Some(std::time::Duration::from_millis(100)))?;
        let (seen, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (seen.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut packet = [0; 2048];
            while !end.load(Ordering::Relaxed) {
                let Ok(length) = socket.read(&mut packet) else { continue };
                if packet[..length].windows(marker.len()).any(|w| w == marker) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Self { seen, stop, thread: Some(thread) })
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Drop for OutsideWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[tokio::test]
async fn no_packet_leaves_the_namespace() {
    const MARKER: &[u8] = b"exitone-marker-5b1f";
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let Ok(watch) = OutsideWatch::start(MARKER) else {
        eprintln!("skipped: watching the outside needs the right to open a packet socket");
        return;
    };
    // An attractive target on the host: a listener on every address.
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("bound");
    listener.set_nonblocking(true).expect("set");
    let places = "8.8.8.8 1.1.1.1 192.0.2.1 172.17.0.1 172.17.0.2 10.0.0.2 192.168.0.1 169.254.169.254 \
                  169.254.170.2 100.100.100.100 198.18.0.1 255.255.255.255 224.0.0.251 10.0.61.1";
    let command = format!("/planted spread {} {places}", String::from_utf8_lossy(MARKER));
    let port = listener.local_addr().expect("bound").port();
    let knock = service_with(&format!("/planted connect 172.17.0.1 {port}"));
    let mut quick = service_with(&command);
    quick.health_check.unhealthy_threshold = 20;
    let cases: Vec<_> = [set(&[]), set(&["egress.reject"]), set(&["egress.unreachable"])]
        .into_iter()
        .flat_map(|set| [(quick.clone(), set.clone()), (knock.clone(), set)])
        .collect();
    let results = run(&engine, None, PLANTED, &cases).await;
    assert!(results.iter().all(|r| r.outcome == Some(Outcome::Exited)), "every candidate ran to its end");
    assert!(results[0].evidence.connects.len() > 20, "it did send packets");
    assert_eq!(watch.seen(), 0, "a packet of the candidate was seen outside");
    assert!(listener.accept().is_err(), "the candidate reached the host");
    // The watch does see packets that are there.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
    socket.send_to(MARKER, socket.local_addr().expect("bound")).expect("sent");
    let end = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    while watch.seen() == 0 && std::time::SystemTime::now() < end {
        tokio::task::yield_now().await;
    }
    assert!(watch.seen() > 0, "the watch is blind");
}
