//! The host that a hostile candidate must not reach: counting listeners, and a packet watch.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// The marker in every packet of a hostile candidate (hostile.h).
const HOSTILE: &[u8] = b"exitone-hostile-93ab";
/// The host's answer to any visitor.
const HOST: &str = "exitone-host-2f7e";

/// Attractive targets on the host, and their counters.
pub(super) struct Host {
    port: u16,
    api: u16,
    folder: tempfile::TempDir,
    visits: Arc<AtomicUsize>,
}

impl Host {
    /// Its threads live as long as the tests.
    pub(super) fn start() -> Self {
        let visits = Arc::new(AtomicUsize::new(0));
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("shared")).expect("made");
        std::fs::write(folder.path().join("shared/ca.pem"), "").expect("written");
        std::fs::write(folder.path().join("file"), "").expect("written");
        let listener = TcpListener::bind("0.0.0.0:0").expect("bound");
        let port = listener.local_addr().expect("bound").port();
        greet(&visits, HOST, move || listener.accept().map(|(stream, _)| stream));
        let listener = TcpListener::bind("0.0.0.0:0").expect("bound");
        let api = listener.local_addr().expect("bound").port();
        let docker = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";
        greet(&visits, docker, move || listener.accept().map(|(stream, _)| stream));
        let listener = UnixListener::bind(folder.path().join("socket")).expect("bound");
        greet(&visits, HOST, move || listener.accept().map(|(stream, _)| stream));
        let listener = UnixListener::bind_addr(&abstract_name(folder.path())).expect("bound");
        greet(&visits, HOST, move || listener.accept().map(|(stream, _)| stream));
        let socket = UdpSocket::bind(("0.0.0.0", port)).expect("bound");
        let count = visits.clone();
        std::thread::spawn(move || {
            while let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
                count.fetch_add(1, Ordering::Relaxed);
                let _ = socket.send_to(HOST.as_bytes(), from);
            }
        });
        Self { port, api, folder, visits }
    }

    /// Number of visits.
    pub(super) fn visits(&self) -> usize {
        self.visits.load(Ordering::Relaxed)
    }

    /// Fills in the host's addresses in an attempt.
    pub(super) fn words(&self, text: &str, victim: &str) -> String {
        let engine = std::env::var("DOCKER_HOST").ok().and_then(|host| host.strip_prefix("unix://").map(str::to_owned));
        let folder = self.folder.path().display().to_string();
        let (port, api) = (self.port.to_string(), self.api.to_string());
        let mut places = addresses();
        places
            .extend(["10.0.61.1", "172.17.0.1", "host.docker.internal", "gateway.docker.internal"].map(str::to_owned));
        [
            ("{host}", HOST),
            ("{port}", &port),
            ("{api}", &api),
            ("{folder}", &folder),
            ("{victim}", victim),
            ("{engine}", engine.as_deref().unwrap_or("/var/run/docker.sock")),
            ("{places}", &places.join(" ")),
        ]
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// Visits every listener, to verify that visits are counted.
    pub(super) fn be_reached(&self) {
        let before = self.visits();
        let hear = |mut stream: Box<dyn Read>| {
            let mut heard = String::new();
            stream.read_to_string(&mut heard).map(|_| heard).expect("heard")
        };
        for address in addresses() {
            let stream = TcpStream::connect((address.as_str(), self.port)).expect(&address);
            assert_eq!(hear(Box::new(stream)), HOST, "{address}");
        }
        let stream = TcpStream::connect(("127.0.0.1", self.api)).expect("connected");
        assert!(hear(Box::new(stream)).contains("Api-Version"));
        assert_eq!(hear(Box::new(UnixStream::connect(self.folder.path().join("socket")).expect("connected"))), HOST);
        assert_eq!(
            hear(Box::new(UnixStream::connect_addr(&abstract_name(self.folder.path())).expect("connected"))),
            HOST
        );
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        socket.send_to(b"x", ("127.0.0.1", self.port)).expect("sent");
        assert_eq!(socket.recv(&mut [0; 64]).expect("an answer"), HOST.len());
        let expected = addresses().len() + 4;
        assert_eq!(self.visits() - before, expected, "a visit was not counted");
    }
}

/// The name of the abstract socket, reserved for the duration of the tests.
fn abstract_name(folder: &Path) -> SocketAddr {
    SocketAddr::from_abstract_name(folder.as_os_str().as_bytes()).expect("a name")
}

/// Counts and answers visitors.
fn greet<S: Write>(
    visits: &Arc<AtomicUsize>,
    text: &'static str,
    mut accept: impl FnMut() -> std::io::Result<S> + Send + 'static,
) {
    let visits = visits.clone();
    std::thread::spawn(move || {
        while let Ok(mut stream) = accept() {
            visits.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(text.as_bytes());
        }
    });
}

/// The addresses of this machine (Documentation/networking/fib_trie.rst): `|-- 10.0.0.1` before `/32 host LOCAL`.
pub(super) fn addresses() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/net/fib_trie").expect("the kernel's table");
    let mut last = "";
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some((_, address)) = line.split_once("|-- ") {
            last = address;
        } else if line == "/32 host LOCAL" && !found.iter().any(|known| known == last) {
            found.push(last.to_owned());
        }
    }
    found
}

/// Counts packets with the hostile marker in the host's own namespace; `None` if that is not permitted.
pub(super) struct Outside {
    seen: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Outside {
    pub(super) fn watch() -> Option<Self> {
        let all = Protocol::from(i32::from(0x0003_u16.to_be()));
        let Ok(mut socket) = Socket::new(Domain::PACKET, Type::DGRAM, Some(all)) else {
            eprintln!("the host is not watched: that needs the right to open a packet socket");
            return None;
        };
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
        let (seen, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (seen.clone(), stop.clone());
        std::thread::spawn(move || {
            let mut packet = [0; 2048];
            while !end.load(Ordering::Relaxed) {
                let Ok(length) = socket.read(&mut packet) else { continue };
                count.fetch_add(usize::from(has(&packet[..length], HOSTILE)), Ordering::Relaxed);
            }
        });
        Some(Self { seen, stop })
    }

    /// Returns the number of packets seen, after verifying that it sees a planted one.
    pub(super) async fn settle(self) -> usize {
        let seen = self.seen.load(Ordering::Relaxed);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        socket.send_to(HOSTILE, socket.local_addr().expect("bound")).expect("sent");
        for _ in 0..100 {
            if self.seen.load(Ordering::Relaxed) > seen {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the watch of the host is blind");
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn has(bytes: &[u8], marker: &[u8]) -> bool {
    bytes.windows(marker.len()).any(|w| w == marker)
}
