//! The simulated internet: a thread with its own namespace in which every address exists.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use rtnetlink::Handle;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::accept::accept;
use super::authority::Signer;
use super::error::{NetError, NetResult};
use super::net;
use super::packets::Tap;
use super::slow;
use super::upstream::{self, World};

/// Ports that answer immediately. Any other port answers from the first retransmission of the client's kernel (1 s),
/// because its listener is opened when its first packet is seen.
const KNOWN_PORTS: [u16; 42] = [
    21, 22, 25, 53, 80, 110, 143, 389, 443, 465, 587, 636, 993, 1433, 1521, 1883, 2181, 3000, 3306, 4222, 4317, 4318,
    5000, 5432, 5671, 5672, 6379, 6380, 6432, 6543, 8000, 8080, 8081, 8086, 8125, 8200, 8443, 8500, 9092, 9200, 11211,
    27017,
];

/// The simulated internet and the void.
pub(crate) struct Internet {
    /// Netlink connection to its namespace.
    pub(crate) netlink: Handle,
    /// Its namespace.
    pub(crate) namespace: File,
    runtime: tokio::runtime::Handle,
    signer: Arc<Signer>,
    ports: Mutex<BTreeMap<u16, Listening>>,
    /// What answers in the current run.
    world: Arc<Mutex<Arc<World>>>,
    /// Dropped when the run ends.
    over: Mutex<Option<watch::Sender<()>>>,
    /// The namespace in which packets are delayed; created when a run needs it.
    slow: OnceCell<Place>,
}

/// An open port.
#[derive(Default)]
struct Listening {
    /// Whether a candidate connected to it without its being named.
    on_demand: bool,
    /// Its listener; `None` while it is being opened.
    listener: Option<Listener>,
}

/// The task that accepts the connections of a port.
struct Listener(JoinHandle<()>);

impl Listener {
    /// Returns when the port is free again.
    async fn close(self) {
        self.0.abort();
        let _ = self.0.await;
    }
}

/// Listens on a port, then redirects packets to it. If the redirection fails, the listener is closed: its port would
/// stay in use for the holder's lifetime.
async fn open_port(
    listen: impl Future<Output = NetResult<Listener>>,
    deliver: impl Future<Output = NetResult<()>>,
) -> NetResult<Listener> {
    let listener = listen.await?;
    match deliver.await {
        Ok(()) => Ok(listener),
        Err(e) => {
            listener.close().await;
            Err(e)
        }
    }
}

/// Ports that a candidate opens on demand beyond this number stay silent: each is a listener and a rule.
const MOST_ON_DEMAND: usize = 512;

/// A thread with a fresh namespace, a runtime and a netlink connection; it lives as long as the process.
struct Place {
    netlink: Handle,
    namespace: File,
    runtime: tokio::runtime::Handle,
}

async fn place(name: &str) -> NetResult<Place> {
    let (tell, told) = oneshot::channel();
    let body = move || {
        let made = net::fresh_namespace().and_then(|()| net::this_namespace());
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let place = made.and_then(|namespace| {
                Ok(Place { netlink: net::netlink()?, namespace, runtime: tokio::runtime::Handle::current() })
            });
            let _ = tell.send(place);
            std::future::pending::<()>().await;
        });
    };
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map_err(|e| NetError::new("starting a thread", e))?;
    told.await.map_err(|e| NetError::new("starting a runtime", e))?
}

impl Internet {
    /// Starts the internet and the void.
    ///
    /// # Errors
    /// When the holder lacks capabilities, or the kernel a feature.
    pub(crate) async fn start(signer: Arc<Signer>) -> NetResult<Self> {
        let (void, internet) = tokio::try_join!(place("void"), place("internet"))?;
        let void_netlink = void.netlink.clone();
        on(&void.runtime, async move { net::void(&void_netlink).await }).await?;
        let (netlink, void_netlink) = (internet.netlink.clone(), void.netlink.clone());
        on(&internet.runtime, async move { net::internet(&netlink, &void_netlink, &void.namespace).await }).await?;
        let this = Self {
            netlink: internet.netlink,
            namespace: internet.namespace,
            runtime: internet.runtime,
            signer,
            ports: Mutex::default(),
            world: Arc::default(),
            over: Mutex::default(),
            slow: OnceCell::new(),
        };
        this.open(KNOWN_PORTS).await?;
        Ok(this)
    }

    /// Runs a future on the internet's thread: its sockets are in the internet.
    pub(crate) async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.runtime.spawn(future).await.ok()
    }

    /// Starts a task on the internet's thread that ends when it is dropped with its set.
    pub(crate) fn spawn_in(&self, tasks: &mut JoinSet<()>, task: impl Future<Output = ()> + Send + 'static) {
        tasks.spawn_on(task, &self.runtime);
    }

    /// Sets what answers from now on.
    pub(crate) fn put(&self, mut world: World) {
        let (over, told) = watch::channel(());
        world.over = Some(told);
        // The previous one is dropped here, which ends its connections.
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = Some(over);
        *self.world.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(world);
    }

    /// A raw socket in the internet's namespace, for the messages of a router.
    ///
    /// # Errors
    /// When the capability NET_RAW is missing.
    pub(crate) async fn raw_icmp(&self) -> NetResult<Socket> {
        self.socket(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))).await
    }

    async fn socket(&self, open: impl FnOnce() -> std::io::Result<Socket> + Send + 'static) -> NetResult<Socket> {
        let wrong = |e: &dyn std::fmt::Display| NetError::new("opening a raw socket", e);
        let opened = self.run(async move {
            let socket = open()?;
            socket.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(socket)
        });
        opened.await.ok_or_else(|| wrong(&"the internet's thread ended"))?.map_err(|e| wrong(&e))
    }

    /// Delays what goes to the candidate, until the task is dropped with its set.
    ///
    /// # Errors
    /// When the namespace for it cannot be created.
    pub(crate) async fn hold_back(&self, delay: Duration, tasks: &mut JoinSet<()>) -> NetResult<()> {
        let slow = self.slow.get_or_try_init(|| self.slow_place()).await?;
        let onward = self
            .socket(|| {
                // The packets include their headers (raw(7), IPPROTO_RAW).
                let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))?;
                socket.set_mark(net::SLOWED_MARK)?;
                Ok(socket)
            })
            .await?;
        let (ready, opened) = oneshot::channel();
        let task = async move {
            match Tap::open() {
                Ok(tap) => {
                    let _ = ready.send(Ok(()));
                    slow::hold_back(tap, onward, delay).await;
                }
                Err(e) => drop(ready.send(Err(e))),
            }
        };
        tasks.spawn_on(task, &slow.runtime);
        let wrong = |e: &dyn std::fmt::Display| NetError::new("opening a packet socket", e);
        opened.await.map_err(|e| wrong(&e))?.map_err(|e| wrong(&e))
    }

    async fn slow_place(&self) -> NetResult<Place> {
        let place = place("slow").await?;
        let namespace = place.namespace.try_clone().map_err(|e| NetError::new("keeping a namespace", e))?;
        let (internet, slow) = (self.netlink.clone(), place.netlink.clone());
        on(&place.runtime, async move { net::slow(&internet, &slow, &namespace).await }).await?;
        Ok(place)
    }

    /// Opens ports that are not open yet.
    ///
    /// # Errors
    /// When the kernel refuses a rule or a socket.
    pub(crate) async fn open(&self, ports: impl IntoIterator<Item = u16>) -> NetResult<()> {
        // All at once: each is a question to the kernel and its answer.
        try_join_all(ports.into_iter().map(|port| self.open_new(port, false))).await.map(drop)
    }

    /// Opens a port that a candidate tries to connect to.
    ///
    /// # Errors
    /// When the kernel refuses a rule or a socket.
    pub(crate) async fn open_on_demand(&self, port: u16) -> NetResult<()> {
        self.open_new(port, true).await
    }

    /// Closes the ports opened on demand.
    ///
    /// # Errors
    /// When the kernel refuses to remove a rule.
    pub(crate) async fn close_on_demand(&self) -> NetResult<()> {
        let old: Vec<(u16, Listening)> = {
            let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
            ports.extract_if(.., |_, listening| listening.on_demand && listening.listener.is_some()).collect()
        };
        let mut closed = Ok(());
        for (port, listening) in old {
            // Every listener is closed, even if removing another's rule fails.
            closed = closed.and(net::close_port(&self.netlink, port).await);
            if let Some(listener) = listening.listener {
                listener.close().await;
            }
        }
        closed
    }

    async fn open_new(&self, port: u16, on_demand: bool) -> NetResult<()> {
        {
            let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
            let knocked = ports.values().filter(|listening| listening.on_demand).count();
            if ports.contains_key(&port) || (on_demand && knocked >= MOST_ON_DEMAND) {
                return Ok(());
            }
            ports.insert(port, Listening { on_demand, listener: None });
        }
        let opened = self.open_one(port).await;
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        match opened {
            Ok(listener) => {
                ports.insert(port, Listening { on_demand, listener: Some(listener) });
                Ok(())
            }
            Err(e) => {
                // Another run may succeed.
                ports.remove(&port);
                Err(e)
            }
        }
    }

    async fn open_one(&self, port: u16) -> NetResult<Listener> {
        let (signer, world) = (self.signer.clone(), self.world.clone());
        let listen = async move {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
            Ok::<_, std::io::Error>(Listener(tokio::spawn(serve(listener, signer, world))))
        };
        let wrong = |e: &dyn std::fmt::Display| NetError::new(&format!("opening port {port} of the internet"), e);
        let listen = async { self.run(listen).await.ok_or_else(|| wrong(&"its thread ended"))?.map_err(|e| wrong(&e)) };
        open_port(listen, net::open_port(&self.netlink, port)).await
    }
}

async fn on(
    runtime: &tokio::runtime::Handle,
    future: impl Future<Output = NetResult<()>> + Send + 'static,
) -> NetResult<()> {
    runtime.spawn(future).await.map_err(|e| NetError::new("setting up a namespace", e))?
}

async fn serve(listener: TcpListener, signer: Arc<Signer>, world: Arc<Mutex<Arc<World>>>) {
    loop {
        let stream = accept(&listener).await;
        let world = world.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tokio::spawn(upstream::serve(stream, signer.clone(), world));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_can_be_opened_after_a_failure() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
        let address = free.local_addr().expect("an address");
        drop(free);
        let listen = || async move {
            let listener = TcpListener::bind(address).await.map_err(|e| NetError::new("listening", e))?;
            let accept = async move { while listener.accept().await.is_ok() {} };
            Ok(Listener(tokio::spawn(accept)))
        };
        let failed = open_port(listen(), async { Err(NetError::new("adding a rule", "no memory")) }).await;
        assert_eq!(failed.err().map(|e| e.to_string()).as_deref(), Some("adding a rule: no memory"));
        let opened = open_port(listen(), async { Ok(()) }).await;
        assert!(opened.is_ok(), "{:?}", opened.err());
    }
}
