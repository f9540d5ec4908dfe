//! Serves one run after the other: the candidate's namespace, its resolver, and the observation of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rtnetlink::Handle;
use socket2::Socket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dns::{Names, Resolver, SharedNames, Silence, Started};
use super::error::{NetError, NetResult};
use super::internet::Internet;
use super::listen::Listeners;
use super::net::{self, Faults, Network};
use super::packets::{Attempts, Tap, unreachable};
use super::protocol::{Await, FromHolder, HOSTNAME, OWN, Prepare, RESOLVER, SECOND, SHORT_HOSTNAME};
use super::questions::Questions;
use super::relay;
use super::say::Say;
use super::service;
use super::upstream::{OnRequest, OnStandIn, World};
use super::usage::{Groups, Meter};
use crate::model::Condition;
use crate::model::condition::{Changes, Egress, EgressFault, NetworkPlan, RouteFault, Target};
use crate::model::observation::{Listening, Observation, Reply, StandIn};

/// Interval of reading the kernel's socket table.
const LISTEN_EVERY: Duration = Duration::from_millis(20);

/// Maximum number of ports of a service that are prepared.
const MOST_PORTS: usize = 256;

/// A client asks again, or gives up, 5 s after an unanswered question (resolv.conf(5), timeout).
const RESOLVERS_PATIENCE: Duration = Duration::from_millis(5500);

/// The runs of a holder, one at a time.
pub(crate) struct Runs {
    /// The simulated internet.
    pub(crate) internet: Arc<Internet>,
    /// Messages to the controller.
    pub(crate) say: Say,
    groups: Option<Groups>,
    faults: Faults,
    /// Service containers of the run being prepared.
    services: Vec<u32>,
    run: Option<Run>,
}

/// Everything that serves one run; dropping it ends the run.
struct Run {
    number: u64,
    names: SharedNames,
    attempts: Arc<Mutex<Attempts>>,
    meter: Arc<Mutex<Option<Meter>>>,
    services: Vec<u32>,
    questions: Arc<Questions>,
    started: watch::Sender<Option<Instant>>,
    evidence: bool,
    /// When a question last went unanswered.
    silence: Silence,
    // Dropped with the run: the resolver, the tap, the port watcher, the relay.
    tasks: JoinSet<()>,
}

impl Runs {
    /// No run yet.
    pub(crate) fn new(internet: Arc<Internet>, say: Say, groups: Option<Groups>) -> Self {
        Self { internet, say, groups, faults: Faults::default(), services: Vec::new(), run: None }
    }

    /// Creates a namespace for a service container and enters it.
    pub(crate) async fn place(&mut self, run: u64, number: u32) {
        let placed = async {
            net::fresh_namespace()?;
            let netlink = net::netlink()?;
            net::service(&netlink, &self.internet.netlink, &self.internet.namespace, number).await
        };
        match placed.await {
            Ok(()) => {
                self.services.push(number);
                self.say.say(FromHolder::Placed { run, number });
            }
            Err(e) => self.say.say(FromHolder::Failed { run: Some(run), message: e.to_string() }),
        }
    }

    /// Reports when a service serves; the time limit is the controller's.
    pub(crate) fn wait_for(&self, order: &Await) {
        let (say, internet) = (self.say.clone(), self.internet.clone());
        let Await { run, number, port } = *order;
        tokio::spawn(async move {
            internet.run(async move { service::awake(net::service_address(number), port).await }).await;
            say.say(FromHolder::Awake { run, number });
        });
    }

    /// Creates the namespace of a run and reports it.
    pub(crate) async fn prepare(&mut self, prepare: Prepare) {
        let run = prepare.run;
        let Err(error) = self.make(prepare).await else { return };
        self.run = None;
        let message = error.to_string();
        self.say.say(match error.condition() {
            Some(condition) => FromHolder::CannotImpose { run, condition: condition.clone(), reason: message },
            None => FromHolder::Failed { run: Some(run), message },
        });
    }

    async fn make(&mut self, prepare: Prepare) -> NetResult<()> {
        let begun = Instant::now();
        self.run = None;
        if prepare.fresh {
            net::fresh_namespace()?;
        }
        let run = prepare.run;
        let plan = Changes::of(&prepare.conditions).network;
        let internet = self.internet.clone();
        let netlink = net::netlink()?;
        net::candidate(&netlink, &internet.netlink, &internet.namespace, run, &plan, prepare.real_time).await?;
        let mut names = Names::default();
        let (routes, fixed) = settle_names(&mut names, &plan, &prepare);
        internet.close_on_demand().await?;
        internet.open(prepare.ports.iter().copied().take(MOST_PORTS)).await?;
        write_names(own_name(&plan))?;
        let mut tasks = JoinSet::new();
        if let Some(delay) = plan.latency {
            let held_back = internet.hold_back(delay, &mut tasks).await;
            held_back.map_err(|e| e.imposing(&Condition::Egress(EgressFault::Latency(delay))))?;
        }
        // Delayed traffic takes another route, which must exist before it is used.
        self.faults.set(&internet.netlink, &plan, &routes).await?;
        let responses = plan.responses.iter().map(|(host, fault)| (names.address_of(host.as_str()), *fault)).collect();
        let upstreams =
            prepare.upstreams.into_iter().map(|u| ((names.address_of(&u.host), u.port), u.answer)).collect();
        let names: SharedNames = Arc::new(Mutex::new(names));
        let attempts = Arc::new(Mutex::new(Attempts::default()));
        let tap = Tap::open().map_err(|e| NetError::new("opening a packet socket", e))?;
        // Start of the run's clock.
        let zero = Instant::now();
        let on_stand_in = prepare.evidence.then(|| on_stand_in(self.say.clone(), run, zero, names.clone()));
        let on_request = prepare.outbox.then(|| {
            let say = self.say.clone();
            Arc::new(move |request| say.say(FromHolder::Sent { run, request })) as OnRequest
        });
        internet.put(World { responses, upstreams, metadata: plan.metadata, over: None, on_stand_in, on_request });
        let (tell, started) = watch::channel(None);
        let questions = Arc::new(Questions::new(self.say.clone(), run, zero, prepare.evidence));
        let on_question = questions.clone();
        let on_question = Arc::new(move |question| on_question.tell(question));
        let resolver = Resolver::new(plan.dns.clone(), own_name(&plan), names.clone(), on_question, started.clone());
        let silence = resolver.silence();
        resolver.serve(RESOLVER, &mut tasks).await.map_err(|e| NetError::new("binding the resolver", e))?;
        if let Egress::Late(length) = plan.egress {
            tasks.spawn(route_late((internet.netlink.clone(), netlink), length, started, self.say.clone(), run));
        }
        let router = match plan.egress {
            Egress::Unreachable => {
                let router = internet.raw_icmp().await;
                Some((router.map_err(|e| e.imposing(&Condition::Egress(EgressFault::Unreachable)))?, fixed))
            }
            _ => None,
        };
        let meter = Arc::new(Mutex::new(None));
        let watched = prepare.evidence.then(|| attempts.clone());
        tasks.spawn(watch_packets(tap, watched, internet, router, (self.say.clone(), run, zero)));
        tasks.spawn(watch_ports(self.say.clone(), run, zero, meter.clone()));
        let services = std::mem::take(&mut self.services);
        let evidence = prepare.evidence;
        self.run = Some(Run {
            number: run,
            names,
            attempts,
            meter,
            services,
            questions,
            started: tell,
            evidence,
            silence,
            tasks,
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| NetError::new("reading the clock", e))?;
        self.say.say(FromHolder::Prepared {
            run,
            epoch_us: micros(now) - micros(zero.elapsed()),
            setup_us: micros(begun.elapsed()).unsigned_abs(),
        });
        Ok(())
    }

    /// Starts measuring a container that is about to start.
    pub(crate) fn watch(&self, number: u64, container: &str) {
        if let (Some(run), Some(groups)) = (&self.run, &self.groups)
            && run.number == number
            && run.evidence
        {
            *run.meter.lock().unwrap_or_else(PoisonError::into_inner) = Some(groups.meter(container));
        }
    }

    /// Records that the process has started.
    pub(crate) fn started(&self, number: u64) {
        if let Some(run) = self.run.as_ref().filter(|run| run.number == number) {
            run.started.send_replace(Some(Instant::now()));
        }
    }

    /// Reports what the candidate waits for: connections being opened, and a recent unanswered question.
    pub(crate) fn pending(&self, number: u64) {
        let Some(run) = self.run.as_ref().filter(|run| run.number == number) else { return };
        let opening = Listeners::open().connections().iter().filter(|socket| !socket.accepted).count();
        let asked = run.silence.lock().unwrap_or_else(PoisonError::into_inner);
        let asking = usize::from(asked.is_some_and(|at| at.elapsed() < RESOLVERS_PATIENCE));
        self.say.say(FromHolder::Pending { run: number, open: opening + asking });
    }

    /// Accepts requests to the candidate until the run ends.
    ///
    /// # Errors
    /// When the socket cannot be created.
    pub(crate) fn relay(&mut self, number: u64, port: u16) -> std::io::Result<()> {
        let Some(run) = self.run.as_mut().filter(|run| run.number == number) else { return Ok(()) };
        let listener = relay::listener()?;
        self.internet.spawn_in(&mut run.tasks, async move { relay::serve(listener, port).await });
        Ok(())
    }

    /// Reports the observations of the end as far as they are known now.
    pub(crate) fn so_far(&self, number: u64) {
        let run = self.run.as_ref().filter(|run| run.number == number && run.evidence);
        let seen = run.map(last_observations).unwrap_or_default();
        self.say.say(FromHolder::SoFar { run: number, seen });
    }

    /// Sends the remaining observations of a run and takes it down.
    pub(crate) async fn finish(&mut self, number: u64) {
        let Some(run) = self.run.take_if(|run| run.number == number) else {
            self.say.say(FromHolder::Finished { run: number });
            return;
        };
        if run.evidence {
            for observation in last_observations(&run) {
                self.say.say(FromHolder::Observed { run: number, observation });
            }
        }
        self.say.say(FromHolder::Finished { run: number });
        // A candidate that is still stopping must not reach the internet of the next one.
        let internet = &self.internet.netlink;
        for service in run.services {
            // It no longer exists if the service has ended.
            let _ = net::unlink_service(internet, service).await;
        }
        if let Err(e) = net::unlink(internet, number).await {
            self.say.say(FromHolder::Failed { run: Some(number), message: e.to_string() });
        }
    }
}

/// Reports what the sandbox says in place of servers.
fn on_stand_in(say: Say, run: u64, zero: Instant, names: SharedNames) -> OnStandIn {
    // A client may connect, and ask, again and again: each server is reported once, and once with a refusal.
    let reported = Mutex::new(BTreeSet::new());
    Arc::new(move |address, port, reply, refused| {
        let known = (address, port, reply != Reply::Nothing, refused.is_some());
        if !reported.lock().unwrap_or_else(PoisonError::into_inner).insert(known) {
            return;
        }
        let name = names.lock().unwrap_or_else(PoisonError::into_inner).name_of(address);
        let stand_in = StandIn { at_ms: since(zero), address, port, name, reply, refused };
        say.say(FromHolder::Observed { run, observation: Observation::StandIn(stand_in) });
    })
}

/// The observations reported on request. The calling thread is still in the candidate's namespace.
fn last_observations(run: &Run) -> Vec<Observation> {
    let names = run.names.lock().unwrap_or_else(PoisonError::into_inner);
    let attempts = run.attempts.lock().unwrap_or_else(PoisonError::into_inner).list().to_vec();
    let mut told = Vec::new();
    for mut attempt in attempts {
        attempt.name = names.name_of(attempt.address);
        told.push(Observation::Connect(attempt));
    }
    let questions = run.questions.more();
    if questions > 0 {
        told.push(Observation::MoreQuestions { questions });
    }
    if let Some(packets) = net::without_route().filter(|packets| *packets > 0) {
        told.push(Observation::NoRoute { packets });
    }
    let mut open = Listeners::open().connections();
    for socket in &mut open {
        socket.name = names.name_of(socket.address);
    }
    if !open.is_empty() {
        told.push(Observation::Sockets { open });
    }
    if let Some(meter) = run.meter.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        meter.look(Instant::now());
        let mut usage = meter.usage();
        // Contention with the run's own service containers cannot be told apart.
        if let Some(usage) = usage.as_mut().filter(|_| !run.services.is_empty()) {
            usage.contention = None;
        }
        told.extend(usage.map(Observation::Usage));
    }
    told
}

/// Microseconds as `i64`, which suffices for 292,000 years.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn since(zero: Instant) -> f64 {
    zero.elapsed().as_secs_f64() * 1000.0
}

/// The address of the container's own name.
fn own_name(plan: &NetworkPlan) -> Ipv4Addr {
    if plan.hostname.is_some() { SECOND } else { OWN }
}

/// Assigns an address to every named host, and returns the fate of packets to them as routes, together with the
/// networks that have a route of their own.
fn settle_names(
    names: &mut Names,
    plan: &NetworkPlan,
    prepare: &Prepare,
) -> (Vec<(Network, RouteFault)>, Vec<Network>) {
    for upstream in &prepare.upstreams {
        if let Some(address) = upstream.address {
            names.fix(&upstream.host, address);
        }
    }
    for host in plan.hosts() {
        names.address_of(host.as_str());
    }
    let mut network = |target: &Target| match target {
        Target::Host(host) => (names.address_of(host.as_str()), 32),
        Target::Network(address, bits) => (*address, *bits),
    };
    // The most specific network wins, as in any router; of two routes to one network, the last.
    let routes: BTreeMap<Network, RouteFault> =
        plan.routes.iter().map(|(target, fault)| (network(target), *fault)).collect();
    let routes: Vec<(Network, RouteFault)> = routes.into_iter().collect();
    let fixed = routes.iter().map(|(network, _)| *network).collect();
    (routes, fixed)
}

async fn route_late(
    (internet, candidate): (Handle, Handle),
    length: Duration,
    mut started: Started,
    say: Say,
    run: u64,
) {
    let Ok(at) = started.wait_for(Option::is_some).await.map(|at| *at) else { return };
    tokio::time::sleep_until(at.unwrap_or_else(Instant::now) + length).await;
    if let Err(e) = net::open_late(&internet, &candidate).await {
        say.say(FromHolder::Failed { run: Some(run), message: e.to_string() });
    }
}

/// `attempts`: where to record traffic. `router`: where to report a host as unreachable, if that is the condition, and
/// the networks that are exempt.
async fn watch_packets(
    tap: Tap,
    attempts: Option<Arc<Mutex<Attempts>>>,
    internet: Arc<Internet>,
    router: Option<(Socket, Vec<Network>)>,
    (say, run, zero): (Say, u64, Instant),
) {
    // Ports are opened on demand whether attempts are recorded or not.
    let attempts = attempts.unwrap_or_default();
    tap.read(|packet| {
        let answer = router.as_ref().and_then(|(router, spared)| Some((router, unreachable(packet, spared)?)));
        if let Some((router, (to, answer))) = answer {
            // What cannot be sent now is lost, as with any router.
            let _ = router.send_to(&answer, &SocketAddr::from((to, 0)).into());
        }
        let new = attempts.lock().unwrap_or_else(PoisonError::into_inner).see(packet, since(zero));
        if let Some((_, port)) = new {
            let internet = internet.clone();
            // Nobody serves this port yet: the kernel resends its first packet in a second.
            let say = say.clone();
            tokio::spawn(async move {
                if let Err(e) = internet.open_on_demand(port).await {
                    say.say(FromHolder::Failed { run: Some(run), message: e.to_string() });
                }
            });
        }
    })
    .await;
}

async fn watch_ports(say: Say, run: u64, zero: Instant, meter: Arc<Mutex<Option<Meter>>>) {
    let mut ticks = tokio::time::interval(LISTEN_EVERY);
    let mut known = vec![];
    let mut listeners = Listeners::open();
    let mut looks = 0_u32;
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
        if let Some(meter) = meter.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            looks += 1;
            // At first it is checked often, because it may be short-lived, then every 100 ms: each check reads several
            // files.
            if looks <= 100 || looks.is_multiple_of(5) {
                meter.look(Instant::now());
            }
        }
    }
}

/// The files are shared with the candidate; the previous one may have written to them.
fn write_names(own_name: Ipv4Addr) -> Result<(), NetError> {
    std::fs::write("/etc/hosts", hosts(own_name)).map_err(|e| NetError::new("writing /etc/hosts", e))?;
    std::fs::write("/etc/resolv.conf", resolv_conf()).map_err(|e| NetError::new("writing /etc/resolv.conf", e))
}

/// A candidate's /etc/hosts.
pub(super) fn hosts(own_name: Ipv4Addr) -> String {
    format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own_name}\t{HOSTNAME} {SHORT_HOSTNAME}\n"
    )
}

/// A candidate's /etc/resolv.conf.
pub(super) fn resolv_conf() -> String {
    format!("nameserver {RESOLVER}\n")
}
