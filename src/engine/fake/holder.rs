//! The holders and candidates of the scripted engine.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream};
use tokio::time::{Instant, sleep_until, timeout};

use super::super::{Network, Output};
use super::{Act, FakeEngine, Foreign};
use crate::holder::protocol::{FromHolder, SILENT_FOR, ToHolder, VERSION, line};
use crate::model::observation::{Listening, Observation, ProbeResult};

impl FakeEngine {
    fn say(&self, holder: &str, message: &FromHolder) {
        if let Ok(bytes) = line(message) {
            self.write(holder, Output::Stdout(Bytes::from(bytes)));
        }
    }

    /// The candidate in a holder's namespace, or the last one there, and whether it still runs.
    fn last(&self, holder: &str) -> Option<(bool, Instant, Act)> {
        let joined = Network::Container(holder.to_owned());
        let state = self.lock();
        let last = state.containers.values().filter(|c| c.spec.network == joined).max_by_key(|c| c.started)?;
        Some((last.state.running, last.started?, last.act.clone()))
    }

    /// The candidate that runs in a holder's namespace.
    fn tenant(&self, holder: &str) -> Option<(Instant, Act)> {
        self.last(holder).filter(|(running, ..)| *running).map(|(_, started, act)| (started, act))
    }

    /// What a holder reports, also about a candidate that has ended.
    fn seen(&self, holder: &str) -> Vec<Observation> {
        self.last(holder).map(|(.., act)| act.seen).unwrap_or_default()
    }

    pub(super) async fn serve_holder(self, id: String, stdin: DuplexStream) {
        let mut lines = BufReader::new(stdin).lines();
        while let Ok(Ok(Some(text))) = timeout(SILENT_FOR, lines.next_line()).await {
            match serde_json::from_str(&text) {
                Ok(ToHolder::Hello(_)) => self.say(&id, &FromHolder::Ready { version: VERSION }),
                Ok(ToHolder::Place { run, number }) => self.say(&id, &FromHolder::Placed { run, number }),
                Ok(ToHolder::Await(order)) => {
                    let asleep = self.lock().faults.services_asleep;
                    if !asleep {
                        self.say(&id, &FromHolder::Awake { run: order.run, number: order.number });
                    }
                }
                Ok(ToHolder::Watch { .. } | ToHolder::Started { .. }) => {}
                Ok(ToHolder::Prepare(prepare)) => {
                    let faults = self.lock().faults.clone();
                    if faults.holder_ends {
                        self.end(&id, 70, false);
                        return;
                    }
                    if let Some(message) = faults.holder {
                        self.say(&id, &FromHolder::Failed { run: Some(prepare.run), message });
                        continue;
                    }
                    let run = prepare.run;
                    if let Some(condition) = prepare.conditions.iter().find(|c| faults.cannot_impose.contains(c)) {
                        let (condition, reason) = (condition.clone(), "the kernel refused".to_owned());
                        self.say(&id, &FromHolder::CannotImpose { run, condition, reason });
                        continue;
                    }
                    if let Some(holder) = self.lock().containers.get_mut(&id) {
                        holder.prepared = Some((run, prepare.conditions, Instant::now()));
                    }
                    self.say(&id, &FromHolder::Prepared { run, epoch_us: self.micros(), setup_us: 1 });
                }
                Ok(ToHolder::Probe(_)) if self.lock().faults.holder_silent => {}
                Ok(ToHolder::Probe(probe)) => {
                    let result = self.answer(&id, probe.port, probe.path.is_some());
                    self.say(&id, &FromHolder::Probed { run: probe.run, seq: probe.seq, result, location: None });
                }
                Ok(ToHolder::Request(request)) => {
                    let (run, seq, result) = (request.run, request.seq, self.answer(&id, request.port, true));
                    self.say(&id, &FromHolder::Responded { run, seq, result, body: "{}".to_owned() });
                }
                Ok(ToHolder::Relay { run, .. }) => self.say(&id, &FromHolder::Relaying { run }),
                Ok(ToHolder::Pending { run }) => {
                    let open = usize::from(self.tenant(&id).is_some_and(|(_, act)| act.waits));
                    self.say(&id, &FromHolder::Pending { run, open });
                }
                Ok(ToHolder::Heartbeat) => {}
                Ok(ToHolder::SoFar { run }) => self.say(&id, &FromHolder::SoFar { run, seen: self.seen(&id) }),
                Ok(ToHolder::Finish { run }) => {
                    let told = |observation| self.say(&id, &FromHolder::Observed { run, observation });
                    self.seen(&id).into_iter().for_each(told);
                    self.say(&id, &FromHolder::Finished { run });
                }
                Err(e) => self.say(&id, &FromHolder::Failed { run: None, message: e.to_string() }),
            }
        }
        // The end of standard input, or silence, ends a holder, and the engine removes it.
        self.end(&id, 0, false);
        self.lock().containers.remove(&id);
    }

    /// The image of the candidate in a holder's namespace, how long it takes to answer on the port that it opens, and what.
    pub(super) fn tenant_answer(&self, holder: &str) -> Option<(String, Duration, ProbeResult)> {
        let act = self.tenant(holder)?.1;
        let (_, _, port) = act.listens?;
        let joined = Network::Container(holder.to_owned());
        let image = {
            let state = self.lock();
            let mut running = state.containers.values().filter(|c| c.state.running && c.spec.network == joined);
            running.next()?.spec.image.clone()
        };
        Some((image, act.takes, self.answer(holder, port, true)))
    }

    fn answer(&self, holder: &str, port: u16, http: bool) -> ProbeResult {
        let Some((started, act)) = self.tenant(holder) else { return ProbeResult::Refused };
        let loopback = self.lock().faults.foreign.contains(&Foreign::Probe);
        let open = act.listens.is_some_and(|(at, address, p)| {
            p == port && (loopback || !address.is_loopback()) && started + at <= Instant::now()
        });
        match (open, http) {
            (false, _) => ProbeResult::Refused,
            (true, false) => ProbeResult::Accepted,
            (true, true) if started + act.status.0 > Instant::now() => ProbeResult::Status(503),
            (true, true) => ProbeResult::Status(act.status.1),
        }
    }

    pub(super) async fn act(self, id: String, holder: String, act: Act, started: Instant) {
        let logs = async {
            for (at, text) in &act.logs {
                sleep_until(started + *at).await;
                self.write(&id, Output::Stderr(Bytes::from(format!("{text}\n"))));
            }
        };
        let listens = async {
            if let Some((at, address, port)) = act.listens {
                sleep_until(started + at).await;
                let prepared = self.lock().containers.get(&holder).and_then(|h| h.prepared.clone());
                if let Some((run, _, since)) = prepared {
                    let at_ms = since.elapsed().as_secs_f64() * 1000.0;
                    let observation = Observation::Listen(Listening { at_ms, address, port });
                    self.say(&holder, &FromHolder::Observed { run, observation });
                }
            }
        };
        let exits = async {
            match act.exits {
                Some((at, code)) => {
                    sleep_until(started + at).await;
                    Some(code)
                }
                None => std::future::pending().await,
            }
        };
        let life = async {
            tokio::join!(logs, listens);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            // Anything due at the moment of the end still counts.
            biased;
            () = life => {}
            code = exits => self.end(&id, code.unwrap_or_default(), act.oom),
        }
    }
}
