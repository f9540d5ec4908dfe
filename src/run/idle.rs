//! What can be said of a candidate that is not healthy while its health check goes on. Pure.

use std::time::Duration;

use crate::diagnose::repairs::PATHS;
use crate::holder::protocol::OWN;
use crate::model::observation::{ProbeAttempt, ProbeResult};
use crate::model::service::Protocol;
use crate::model::{Evidence, Service};

/// How often to check whether a candidate that is not healthy still does anything.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// From when on one that does nothing is reported.
pub(super) const IDLE_FROM: Duration = Duration::from_secs(3);
/// How long a candidate has to do nothing new before it may be given up ahead of its time.
pub(super) const STEADY: Duration = Duration::from_secs(5);
/// Most ports that are asked.
const MOST_PORTS: usize = 4;
/// CPU time in milliseconds that one that does nothing may use between two looks, and one that answers requests.
const IDLE_CPU_MS: f64 = 20.0;
const ANSWERING_CPU_MS: f64 = 200.0;

/// What a candidate has done so far.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Done {
    /// Questions, connections and ports.
    observations: usize,
    /// Bytes written.
    written: u64,
    /// CPU time in milliseconds.
    cpu_ms: f64,
}

impl Done {
    /// `written`: bytes of output. `None` if the kernel does not tell what it used.
    pub(super) fn of(evidence: &Evidence, written: u64) -> Option<Self> {
        let Evidence { dns, connects, listens, usage, .. } = evidence;
        let observations = dns.len() + connects.len() + listens.len();
        Some(Self { observations, written, cpu_ms: usage.as_ref()?.cpu_ms })
    }

    /// Whether it did nothing since an earlier look.
    pub(super) fn is_idle_since(&self, earlier: &Self) -> bool {
        let same = (self.observations, self.written) == (earlier.observations, earlier.written);
        same && self.cpu_ms - earlier.cpu_ms <= IDLE_CPU_MS
    }

    /// Whether it did nothing since an earlier look but what requests explain: it wrote a line for each, and used a little
    /// CPU time.
    fn only_answered_since(&self, earlier: &Self) -> bool {
        self.observations == earlier.observations && self.cpu_ms - earlier.cpu_ms <= ANSWERING_CPU_MS
    }
}

/// Whether all that it did since the last look is to answer requests, here or on another port.
pub(super) fn answers(evidence: &Evidence, now: &Done, earlier: &Done) -> bool {
    let serves = match evidence.probes.last().map(|probe| &probe.result) {
        Some(ProbeResult::Status(status)) => *status < 500,
        Some(ProbeResult::Broken(_)) => true,
        _ => evidence.listens.iter().any(|listening| listening.reachable_at(OWN)),
    };
    serves && now.only_answered_since(earlier)
}

/// Whether more time would change nothing about a candidate that does nothing new: it answers the health check with the
/// same 4xx status, or has bound the probed port where no probe gets.
pub(super) fn is_settled(evidence: &Evidence, port: u16) -> bool {
    client_error(evidence).is_some() || is_bound_elsewhere(evidence, port)
}

/// The 4xx status that all probes of the last seconds were answered with, a scheduled one among them. A slow or starting
/// server answers 5xx, or not at all.
fn client_error(evidence: &Evidence) -> Option<u16> {
    let probes = &evidence.probes;
    let (last, scheduled) = (probes.last()?, probes.iter().rfind(|probe| !probe.early)?);
    let ProbeResult::Status(status @ 400..500) = last.result else { return None };
    let from = scheduled.at_ms.min(last.at_ms - STEADY.as_secs_f64() * 1000.0);
    let is_same = |probe: &ProbeAttempt| matches!(probe.result, ProbeResult::Status(other) if other == status);
    probes.iter().filter(|probe| probe.at_ms >= from).all(is_same).then_some(status)
}

/// Whether the probed port has been open since before the last scheduled probe, and on addresses that it does not reach:
/// with more time, a program does not bind it once more.
fn is_bound_elsewhere(evidence: &Evidence, port: u16) -> bool {
    let Some(first) = evidence.probes.iter().rfind(|probe| !probe.early) else { return false };
    let mut of_port = evidence.listens.iter().filter(|listening| listening.port == port).peekable();
    of_port.peek().is_some() && of_port.all(|listening| listening.at_ms < first.at_ms && !listening.reachable_at(OWN))
}

/// Whether it promptly answered, on another port, what it was asked: others did not keep it from the CPUs.
pub(super) fn serves_elsewhere(evidence: &Evidence, port: u16) -> bool {
    let answered = |result: &ProbeResult| matches!(result, ProbeResult::Status(_) | ProbeResult::Broken(_));
    evidence.asked.iter().any(|asked| asked.port != port && answered(&asked.result))
}

/// Requests that tell where a server that is not healthy would be: every port that is open, and the usual paths.
pub(super) fn to_ask(service: &Service, evidence: &Evidence) -> Vec<(u16, String)> {
    let check = &service.health_check;
    if check.protocol != Protocol::Http {
        return Vec::new();
    }
    let mut ports: Vec<u16> = evidence.listens.iter().filter(|l| l.reachable_at(OWN)).map(|l| l.port).collect();
    ports.sort_by_key(|port| (*port != service.port, *port));
    ports.dedup();
    ports.truncate(MOST_PORTS);
    let paths = || std::iter::once(check.path.as_str()).chain(PATHS.into_iter().filter(|path| *path != check.path));
    let asks = ports.into_iter().flat_map(|port| paths().map(move |path| (port, path.to_owned())));
    asks.filter(|(port, path)| (*port, path.as_str()) != (service.port, check.path.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::{Asked, Listening};

    fn probe(at_s: u32, status: Option<u16>, early: bool) -> ProbeAttempt {
        let result = status.map_or(ProbeResult::Refused, ProbeResult::Status);
        ProbeAttempt { at_ms: f64::from(at_s) * 1000.0, result, passed: false, early, location: None }
    }

    fn listens(address: &str, port: u16) -> Listening {
        Listening { at_ms: 800.0, address: address.parse().expect("an address"), port }
    }

    #[test]
    fn steady_client_errors_do_not_change() {
        let early = |status| probe(6, Some(status), true);
        let at = |second, status| probe(second, Some(status), false);
        for (probes, found) in [
            (vec![at(5, 404), early(404), at(10, 404)], Some(404)),
            (vec![at(5, 503), at(10, 401), early(401), at(15, 401)], Some(401)),
            (vec![at(5, 404)], Some(404)),
            (vec![early(404), early(404), early(404)], None),
            (vec![at(5, 404), early(503), at(10, 404)], None),
            (vec![at(5, 401), at(10, 404)], None),
            (vec![at(5, 503), at(10, 503)], None),
            (vec![at(5, 404), at(10, 404), probe(11, None, true)], None),
        ] {
            let evidence = Evidence { probes: probes.clone(), ..Evidence::default() };
            assert_eq!(client_error(&evidence), found, "{probes:?}");
        }
    }

    #[test]
    fn port_of_another_address_is_not_bound_again() {
        let probes = vec![probe(5, None, false), probe(10, None, false)];
        for (listening, port, settled) in [
            (vec![listens("127.0.0.1", 8000)], 8000, true),
            (vec![listens("10.0.248.213", 8000)], 8000, true),
            (vec![listens("0.0.0.0", 8000)], 8000, false),
            (vec![listens("127.0.0.1", 8000), listens("0.0.0.0", 8000)], 8000, false),
            // Another port may be that of a metrics server; the probed one may yet open.
            (vec![listens("0.0.0.0", 9090)], 8000, false),
            (vec![listens("127.0.0.1", 9090)], 8000, false),
            (Vec::new(), 8000, false),
        ] {
            let evidence = Evidence { probes: probes.clone(), listens: listening.clone(), ..Evidence::default() };
            assert_eq!(is_settled(&evidence, port), settled, "{listening:?}");
        }
        // Bound after the last probe.
        let late = Listening { at_ms: 11_000.0, ..listens("127.0.0.1", 8000) };
        assert!(!is_settled(&Evidence { probes, listens: vec![late], ..Evidence::default() }, 8000));
    }

    #[test]
    fn answers_elsewhere_show_that_it_has_the_cpu() {
        let asked = |port, result| Asked { port, path: "/".to_owned(), result };
        for (asked, elsewhere) in [
            (asked(9090, ProbeResult::Status(404)), true),
            (asked(8000, ProbeResult::Status(404)), false),
            (asked(9090, ProbeResult::TimedOut), false),
        ] {
            let evidence = Evidence { asked: vec![asked.clone()], ..Evidence::default() };
            assert_eq!(serves_elsewhere(&evidence, 8000), elsewhere, "{asked:?}");
        }
    }

    #[test]
    fn lines_about_requests_are_no_sign_of_life() {
        let done = |observations, written, cpu_ms| Done { observations, written, cpu_ms };
        let earlier = done(3, 100, 500.0);
        assert!(done(3, 100, 510.0).is_idle_since(&earlier));
        assert!(!done(3, 160, 510.0).is_idle_since(&earlier) && !done(4, 100, 510.0).is_idle_since(&earlier));
        let answering = Evidence { probes: vec![probe(5, Some(404), false)], ..Evidence::default() };
        assert!(answers(&answering, &done(3, 160, 600.0), &earlier));
        assert!(!answers(&answering, &done(4, 160, 600.0), &earlier), "it connects to something");
        assert!(!answers(&answering, &done(3, 160, 1_400.0), &earlier), "it computes");
        let starting = Evidence { probes: vec![probe(5, Some(503), false)], ..Evidence::default() };
        assert!(!answers(&starting, &done(3, 160, 600.0), &earlier));
    }
}
