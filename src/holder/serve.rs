//! The holder's main loop: one line in, what it asks for done, one line out.
//!
//! It runs on the process's main thread, because that is the thread whose namespace a candidate joins.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socket2::Socket;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::authority::Signer;
use super::dns::{DnsFault, Resolver, SharedNames};
use super::internet::Internet;
use super::listen::Listeners;
use super::net::{self, Egress, NetError};
use super::packets::{Attempts, Tap, unreachable};
use super::probe;
use super::protocol::{
    CA_FILE, FromHolder, HOSTNAME, Hello, OWN, Prepare, RESOLVER, SECOND, SHARED_DIR, SHORT_HOSTNAME, ToHolder,
    VERSION, line,
};
use crate::model::Condition;
use crate::model::observation::{Listening, Observation};

/// The kernel's table of sockets is read so often.
const LISTEN_EVERY: Duration = Duration::from_millis(20);

/// Lines to the controller.
#[derive(Clone)]
struct Say(mpsc::UnboundedSender<FromHolder>);

impl Say {
    fn say(&self, message: FromHolder) {
        // Nobody listens any more: the end of standard input ends the holder.
        let _ = self.0.send(message);
    }
}

/// Runs until standard input ends or the lifetime is over.
///
/// # Errors
/// When the first words are not understood or the namespaces cannot be made.
pub fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(converse());
    // The thread that waits for standard input need not be waited for.
    runtime.shutdown_background();
    result
}

async fn converse() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write_lines(receiver));
    let say = Say(sender);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let Some(first) = lines.next_line().await? else { return Ok(()) };
    let result = match serde_json::from_str(&first) {
        Ok(ToHolder::Hello(hello)) => greet(&hello, &say).await,
        _ => Err(format!("the first line is no hello of protocol {VERSION}").into()),
    };
    let (internet, end) = match result {
        Ok(ready) => ready,
        Err(e) => {
            say.say(FromHolder::Failed { run: None, message: e.to_string() });
            drop(say);
            writer.await??;
            return Err(e);
        }
    };
    let mut holder = Holder { internet: Arc::new(internet), say, run: None };
    loop {
        tokio::select! {
            read = lines.next_line() => match read? {
                Some(text) => holder.obey(&text).await,
                None => return Ok(()),
            },
            () = tokio::time::sleep_until(end) => return Err("the holder's lifetime is over".into()),
        }
    }
}

async fn write_lines(mut messages: mpsc::UnboundedReceiver<FromHolder>) -> io::Result<()> {
    let mut stdout = tokio::io::stdout();
    while let Some(message) = messages.recv().await {
        stdout.write_all(&line(&message)?).await?;
        stdout.flush().await?;
    }
    Ok(())
}

async fn greet(hello: &Hello, say: &Say) -> Result<(Internet, Instant), Box<dyn std::error::Error>> {
    if hello.version != VERSION {
        return Err(format!("the controller speaks protocol {}, this holder {VERSION}", hello.version).into());
    }
    share_certificate(&hello.ca_cert)?;
    let internet = Internet::start(Arc::new(Signer::new(&hello.ca_key)?)).await?;
    say.say(FromHolder::Ready { version: VERSION });
    Ok((internet, Instant::now() + Duration::from_secs(hello.lifetime_s)))
}

/// Puts the session's certificate where candidates read it. Every holder of a session does, at the same time and all of
/// them as process 1: each writes a file with a name of its own and renames it, so that a reader finds it whole.
fn share_certificate(certificate: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let everybody = std::fs::Permissions::from_mode(0o644);
    let mut draft = tempfile::Builder::new().prefix(".ca-").permissions(everybody).tempfile_in(SHARED_DIR)?;
    draft.write_all(certificate.as_bytes())?;
    draft.persist(format!("{SHARED_DIR}/{CA_FILE}")).map_err(|e| e.error)?;
    Ok(())
}

struct Holder {
    internet: Arc<Internet>,
    say: Say,
    run: Option<Run>,
}

/// What serves one run; dropping it ends it.
struct Run {
    number: u64,
    names: SharedNames,
    attempts: Arc<Mutex<Attempts>>,
    // Dropped with the run: the resolver, the tap, the watch of ports.
    _tasks: JoinSet<()>,
}

impl Holder {
    async fn obey(&mut self, text: &str) {
        match serde_json::from_str(text) {
            Ok(ToHolder::Prepare(prepare)) => {
                if let Err(e) = self.prepare(&prepare).await {
                    self.run = None;
                    self.say.say(FromHolder::Failed { run: Some(prepare.run), message: e.to_string() });
                }
            }
            Ok(ToHolder::Probe(order)) => {
                let (say, internet) = (self.say.clone(), self.internet.clone());
                tokio::spawn(async move {
                    let (run, seq) = (order.run, order.seq);
                    say.say(match internet.run(async move { probe::probe(&order).await }).await {
                        Some(result) => FromHolder::Probed { run, seq, result },
                        None => FromHolder::Failed { run: Some(run), message: "a probe broke off".to_owned() },
                    });
                });
            }
            Ok(ToHolder::Request(order)) => {
                // Requests have their own time limit: from here on a connection hangs as long as it would there.
                if let Err(e) = net::real_time() {
                    self.say.say(FromHolder::Failed { run: Some(order.run), message: e.to_string() });
                }
                let (say, internet) = (self.say.clone(), self.internet.clone());
                tokio::spawn(async move {
                    let (run, seq) = (order.run, order.seq);
                    say.say(match internet.run(async move { probe::request(&order).await }).await {
                        Some((result, body)) => FromHolder::Responded { run, seq, result, body },
                        None => FromHolder::Failed { run: Some(run), message: "a request broke off".to_owned() },
                    });
                });
            }
            Ok(ToHolder::Finish { run }) => self.finish(run).await,
            Ok(ToHolder::Hello(_)) => {}
            Err(e) => self.say.say(FromHolder::Failed { run: None, message: format!("not understood: {e}") }),
        }
    }

    async fn prepare(&mut self, prepare: &Prepare) -> Result<(), Box<dyn std::error::Error>> {
        let begun = Instant::now();
        self.run = None;
        if prepare.fresh {
            net::fresh_namespace()?;
        }
        let plan = NetPlan::of(&prepare.conditions);
        let netlink = net::netlink()?;
        let (internet, second) = (&self.internet, plan.second_address);
        net::candidate(&netlink, &internet.netlink, &internet.namespace, prepare.run, second, prepare.real_time)
            .await?;
        net::set_egress(&internet.netlink, plan.egress).await?;
        internet.open(prepare.ports.iter().copied()).await?;
        write_names(plan.own_name)?;
        let mut tasks = JoinSet::new();
        let names = SharedNames::default();
        let attempts = Arc::new(Mutex::new(Attempts::default()));
        let tap = Tap::open().map_err(|e| NetError::new("opening a packet socket", e))?;
        // Times count from here.
        let zero = Instant::now();
        let (say, run) = (self.say.clone(), prepare.run);
        let on_question = Arc::new(move |mut question: crate::model::observation::DnsQuestion| {
            question.at_ms = since(zero);
            say.say(FromHolder::Observed { run, observation: Observation::Dns(question) });
        });
        let resolver = Resolver::new(plan.dns, plan.own_name, names.clone(), on_question);
        let address: Ipv4Addr = RESOLVER.parse()?;
        resolver.serve(address, &mut tasks).await.map_err(|e| NetError::new("binding the resolver", e))?;
        let router = match plan.egress {
            Egress::Unreachable => Some(self.internet.raw_icmp().await?),
            Egress::Open | Egress::Drop | Egress::Reject => None,
        };
        tasks.spawn(watch_packets(tap, attempts.clone(), self.internet.clone(), router, (self.say.clone(), run, zero)));
        tasks.spawn(watch_ports(self.say.clone(), run, zero));
        self.run = Some(Run { number: run, names, attempts, _tasks: tasks });
        let epoch_us = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        self.say.say(FromHolder::Prepared {
            run,
            epoch_us: i64::try_from(epoch_us)? - i64::try_from(zero.elapsed().as_micros())?,
            setup_us: u64::try_from(begun.elapsed().as_micros())?,
        });
        Ok(())
    }

    async fn finish(&mut self, number: u64) {
        let Some(run) = self.run.take_if(|run| run.number == number) else {
            self.say.say(FromHolder::Finished { run: number });
            return;
        };
        {
            let attempts = std::mem::take(&mut *run.attempts.lock().unwrap_or_else(PoisonError::into_inner));
            let names = run.names.lock().unwrap_or_else(PoisonError::into_inner);
            for mut attempt in attempts.into_list() {
                attempt.name = names.name_of(attempt.address);
                self.say.say(FromHolder::Observed { run: number, observation: Observation::Connect(attempt) });
            }
        }
        self.say.say(FromHolder::Finished { run: number });
        // A candidate that is still being stopped must not reach the internet of the next one.
        if let Err(e) = net::unlink(&self.internet.netlink, number).await {
            self.say.say(FromHolder::Failed { run: Some(number), message: e.to_string() });
        }
    }
}

fn since(zero: Instant) -> f64 {
    zero.elapsed().as_secs_f64() * 1000.0
}

/// `router`: where to say that a host cannot be reached, when that is the condition.
async fn watch_packets(
    tap: Tap,
    attempts: Arc<Mutex<Attempts>>,
    internet: Arc<Internet>,
    router: Option<Socket>,
    (say, run, zero): (Say, u64, Instant),
) {
    tap.read(|packet| {
        if let Some((router, (to, answer))) = router.as_ref().zip(unreachable(packet)) {
            // What cannot be sent now is lost, as it may be with any router.
            let _ = router.send_to(&answer, &SocketAddr::from((to, 0)).into());
        }
        let new = attempts.lock().unwrap_or_else(PoisonError::into_inner).see(packet, since(zero));
        if let Some((_, port)) = new {
            let internet = internet.clone();
            // A port that nobody serves yet: the kernel sends its first packet again in a second.
            let say = say.clone();
            tokio::spawn(async move {
                if let Err(e) = internet.open([port]).await {
                    say.say(FromHolder::Failed { run: Some(run), message: e.to_string() });
                }
            });
        }
    })
    .await;
}

async fn watch_ports(say: Say, run: u64, zero: Instant) {
    let mut ticks = tokio::time::interval(LISTEN_EVERY);
    let mut known = vec![];
    let mut listeners = Listeners::open();
    loop {
        ticks.tick().await;
        for (address, port) in listeners.now() {
            // The resolver's own socket is not the candidate's.
            if (port == 53 && address.is_loopback()) || known.contains(&(address, port)) {
                continue;
            }
            known.push((address, port));
            let observation = Observation::Listen(Listening { at_ms: since(zero), address, port });
            say.say(FromHolder::Observed { run, observation });
        }
    }
}

/// The files are shared with the candidate, which may have written to them in the run before this one.
fn write_names(own_name: Ipv4Addr) -> Result<(), NetError> {
    let text = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own_name}\t{HOSTNAME} {SHORT_HOSTNAME}\n"
    );
    std::fs::write("/etc/hosts", text).map_err(|e| NetError::new("writing /etc/hosts", e))?;
    let resolver = format!("nameserver {RESOLVER}\n");
    std::fs::write("/etc/resolv.conf", resolver).map_err(|e| NetError::new("writing /etc/resolv.conf", e))
}

/// The network's part of a set of conditions.
struct NetPlan {
    egress: Egress,
    dns: DnsFault,
    /// What the container's own name resolves to.
    own_name: Ipv4Addr,
    second_address: bool,
}

impl NetPlan {
    fn of(conditions: &[Condition]) -> Self {
        let mut plan = Self { egress: Egress::Open, dns: DnsFault::None, own_name: OWN, second_address: false };
        for condition in conditions {
            match condition {
                Condition::EgressDrop => plan.egress = Egress::Drop,
                Condition::EgressReject => plan.egress = Egress::Reject,
                Condition::EgressUnreachable => plan.egress = Egress::Unreachable,
                Condition::DnsServfail => plan.dns = DnsFault::Servfail,
                Condition::DnsNxdomain => plan.dns = DnsFault::Nxdomain,
                Condition::DnsDrop => plan.dns = DnsFault::Drop,
                Condition::DnsDelay(delay) => plan.dns = DnsFault::Delay(*delay),
                Condition::HostnamePlatform => {
                    plan.own_name = SECOND;
                    plan.second_address = true;
                }
                Condition::HostnameUnbindable => plan.own_name = SECOND,
                // Not the network's part.
                Condition::EnvUnset(_)
                | Condition::EnvEmpty(_)
                | Condition::EnvSet(..)
                | Condition::ArchMismatch
                | Condition::CpuLimit(_)
                | Condition::MemoryLimit(_) => {}
            }
        }
        plan
    }
}
