//! The simulated internet: a thread with a namespace of its own in which every address exists.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rtnetlink::Handle;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::authority::Signer;
use super::net::{self, NetResult};
use super::upstream;

/// Ports that answer at once. Any other answers as well, from the first retransmission of the client's kernel
/// on (1 s), because its listener is opened when its first packet is seen.
const KNOWN_PORTS: [u16; 42] = [
    21, 22, 25, 53, 80, 110, 143, 389, 443, 465, 587, 636, 993, 1433, 1521, 1883, 2181, 3000, 3306, 4222, 4317, 4318,
    5000, 5432, 5671, 5672, 6379, 6380, 6432, 6543, 8000, 8080, 8081, 8086, 8125, 8200, 8443, 8500, 9092, 9200, 11211,
    27017,
];

/// The pause after a connection that could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

/// The internet and its void.
pub struct Internet {
    /// Netlink into its namespace.
    pub netlink: Handle,
    /// Its namespace.
    pub namespace: File,
    runtime: tokio::runtime::Handle,
    signer: Arc<Signer>,
    ports: Mutex<BTreeSet<u16>>,
}

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
    spawned.map_err(|e| net::NetError::new("starting a thread", e))?;
    told.await.map_err(|e| net::NetError::new("starting a runtime", e))?
}

impl Internet {
    /// Starts the internet and the void.
    ///
    /// # Errors
    /// When the holder lacks the capabilities, or the kernel a part.
    pub async fn start(signer: Arc<Signer>) -> NetResult<Self> {
        let void = place("void").await?;
        let internet = place("internet").await?;
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
        };
        this.open(KNOWN_PORTS).await?;
        Ok(this)
    }

    /// Runs a future on the internet's thread: sockets that it makes are in the internet.
    pub async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.runtime.spawn(future).await.ok()
    }

    /// A raw socket of the internet's namespace, for what a router says.
    ///
    /// # Errors
    /// When the capability NET_RAW is missing.
    pub async fn raw_icmp(&self) -> NetResult<Socket> {
        let open = || {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
            socket.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(socket)
        };
        let opened = self.run(async move { open() }).await;
        opened
            .ok_or_else(|| net::NetError::new("opening a raw socket", "the internet's thread ended"))?
            .map_err(|e| net::NetError::new("opening a raw socket", e))
    }

    /// Opens ports that are not open yet.
    ///
    /// # Errors
    /// When the kernel refuses a rule or a socket.
    pub async fn open(&self, ports: impl IntoIterator<Item = u16>) -> NetResult<()> {
        for port in ports {
            let new = self.ports.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
            if !new {
                continue;
            }
            if let Err(e) = self.open_one(port).await {
                // Another run may have more luck.
                self.ports.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
                return Err(e);
            }
        }
        Ok(())
    }

    async fn open_one(&self, port: u16) -> NetResult<()> {
        let signer = self.signer.clone();
        on(&self.runtime, async move {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
                .await
                .map_err(|e| net::NetError::new(&format!("opening port {port} of the internet"), e))?;
            tokio::spawn(accept(listener, signer));
            Ok(())
        })
        .await?;
        net::open_port(&self.netlink, port).await
    }
}

async fn on(
    runtime: &tokio::runtime::Handle,
    future: impl Future<Output = NetResult<()>> + Send + 'static,
) -> NetResult<()> {
    runtime.spawn(future).await.map_err(|e| net::NetError::new("setting up a namespace", e))?
}

async fn accept(listener: TcpListener, signer: Arc<Signer>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(upstream::serve(stream, signer.clone()));
            }
            // Out of descriptors: others must close theirs first.
            Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
        }
    }
}
