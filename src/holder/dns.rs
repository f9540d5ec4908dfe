//! The candidate's resolver, on 127.0.0.1:53 of its namespace, UDP and TCP.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType, rdata::A};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::accept::{RETRY_AFTER, accept};
use super::protocol::{HOSTNAME, OWN, SECOND, SHORT_HOSTNAME};
use crate::model::condition::{DnsFault, DnsPlan};
use crate::model::observation::DnsQuestion;

/// Names get addresses from 198.18.0.0/15, which is reserved for tests (RFC 2544).
const FIRST_NAME: u32 = u32::from_be_bytes([198, 18, 0, 1]);
const MOST_NAMES: u32 = (1 << 17) - 2;

/// The addresses assigned to names; every queried name gets one.
#[derive(Default)]
pub(crate) struct Names {
    by_name: BTreeMap<String, Ipv4Addr>,
    by_address: BTreeMap<Ipv4Addr, String>,
}

impl Names {
    /// The address of a name; an address maps to itself.
    pub(crate) fn address_of(&mut self, name: &str) -> Ipv4Addr {
        if let Ok(address) = name.parse() {
            return address;
        }
        if let Some(address) = self.by_name.get(name) {
            return *address;
        }
        let offset = u32::try_from(self.by_name.len()).unwrap_or(u32::MAX) % MOST_NAMES;
        let address = Ipv4Addr::from(FIRST_NAME + offset);
        self.by_name.insert(name.to_owned(), address);
        self.by_address.insert(address, name.to_owned());
        address
    }

    /// Assigns a fixed address to a name.
    pub(crate) fn fix(&mut self, name: &str, address: Ipv4Addr) {
        self.by_name.insert(name.to_owned(), address);
        self.by_address.entry(address).or_insert_with(|| name.to_owned());
    }

    /// The name to which this address was assigned.
    pub(crate) fn name_of(&self, address: Ipv4Addr) -> Option<String> {
        self.by_address.get(&address).cloned()
    }
}

/// The names of a run, shared with the packet tap.
pub(crate) type SharedNames = Arc<Mutex<Names>>;

/// Reports a question and its answer.
pub(crate) type OnQuestion = Arc<dyn Fn(DnsQuestion) + Send + Sync>;

/// The resolver of one run.
#[derive(Clone)]
pub(crate) struct Resolver {
    faults: Arc<DnsPlan>,
    /// The address of the container's own name.
    own_name: Ipv4Addr,
    names: SharedNames,
    on_question: OnQuestion,
    /// When the process started, if it has.
    started: Started,
    silence: Silence,
}

/// When a question last went unanswered, or its answer was delayed.
pub(crate) type Silence = Arc<Mutex<Option<Instant>>>;

/// When the process started, if it has.
pub(crate) type Started = watch::Receiver<Option<Instant>>;

/// A connection to a dropped port is given up after this time (compressed); one that was accepted for the sake of other
/// names is closed after the same time.
const CLOSED_AFTER: Duration = Duration::from_secs(3);

/// In lower case, without the trailing dot.
fn asked_name(query: &Query) -> String {
    query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// The transport of a question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

/// A port that silently drops connection attempts: one connection fills the queue of a listener that accepts nobody,
/// and the kernel drops further requests to it (net/ipv4/tcp_input.c, `tcp_conn_request`).
async fn full_listener(address: SocketAddr) -> std::io::Result<(TcpListener, TcpStream)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(0)?;
    let only = TcpStream::connect(listener.local_addr()?).await?;
    Ok((listener, only))
}

fn is_own(name: &str) -> bool {
    [HOSTNAME, SHORT_HOSTNAME, "localhost"].contains(&name)
}

impl Resolver {
    /// Creates a resolver that is not bound yet.
    pub(crate) fn new(
        faults: DnsPlan,
        own_name: Ipv4Addr,
        names: SharedNames,
        on_question: OnQuestion,
        started: Started,
    ) -> Self {
        debug_assert!(own_name == OWN || own_name == SECOND);
        Self { faults: Arc::new(faults), own_name, names, on_question, started, silence: Silence::default() }
    }

    /// When a question last went unanswered.
    pub(crate) fn silence(&self) -> Silence {
        self.silence.clone()
    }

    /// The fault that applies to a question now.
    fn fault(&self, name: &str) -> Option<DnsFault> {
        // The container's own name is in /etc/hosts everywhere; resolver faults do not affect it.
        if is_own(name) {
            return None;
        }
        match self.faults.of(name)? {
            DnsFault::Late(length) => {
                let there = self.started.borrow().is_some_and(|at| at.elapsed() >= length);
                (!there).then_some(DnsFault::Drop)
            }
            other => Some(other),
        }
    }

    /// Binds in the calling thread's namespace and serves until the set is dropped.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub(crate) async fn serve(&self, address: Ipv4Addr, tasks: &mut JoinSet<()>) -> std::io::Result<()> {
        let udp = Arc::new(UdpSocket::bind((address, 53)).await?);
        tasks.spawn(self.clone().serve_udp(udp));
        if self.faults.all == Some(DnsFault::Truncated) {
            let full = full_listener((address, 53).into()).await?;
            tasks.spawn(async move {
                let _open = full;
                std::future::pending().await
            });
        } else {
            let tcp = TcpListener::bind((address, 53)).await?;
            tasks.spawn(self.clone().serve_tcp(tcp));
        }
        Ok(())
    }

    async fn serve_udp(self, socket: Arc<UdpSocket>) {
        let mut answers = JoinSet::new();
        let mut buffer = [0; 4096];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
                // Out of memory: the resolver continues once there is some.
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            };
            let (question, socket, resolver) = (buffer[..length].to_vec(), socket.clone(), self.clone());
            answers.spawn(async move {
                if let Some(answer) = resolver.answer(&question, Transport::Udp).await {
                    let _ = socket.send_to(&answer, from).await;
                }
            });
            while answers.try_join_next().is_some() {}
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let mut stream = accept(&listener).await;
            let resolver = self.clone();
            connections.spawn(async move {
                // RFC 1035, 4.2.2: a two-byte length precedes every message.
                while let Ok(length) = stream.read_u16().await {
                    let mut question = vec![0; usize::from(length)];
                    if stream.read_exact(&mut question).await.is_err() {
                        return;
                    }
                    let Some(answer) = resolver.answer(&question, Transport::Tcp).await else {
                        if resolver.closes_tcp(&question) {
                            return;
                        }
                        continue;
                    };
                    let Ok(length) = u16::try_from(answer.len()) else { return };
                    if stream.write_u16(length).await.is_err() || stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            });
            while connections.try_join_next().is_some() {}
        }
    }

    /// Whether the connection of this question is closed without an answer. Resolvers that wait for a TCP answer
    /// without a limit (glibc) would otherwise wait forever, whereas a dropped port lets them give up.
    fn closes_tcp(&self, question: &[u8]) -> bool {
        let name = Message::from_vec(question).ok().and_then(|m| m.queries.first().map(asked_name));
        name.is_some_and(|name| self.fault(&name) == Some(DnsFault::Truncated))
    }

    async fn answer(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).ok()?;
        let query = question.queries.first()?.clone();
        let name = asked_name(&query);
        let fault = self.fault(&name);
        let mut reply = Message::new(question.id, MessageType::Response, OpCode::Query);
        reply.metadata.recursion_desired = question.metadata.recursion_desired;
        reply.metadata.recursion_available = true;
        reply.add_query(query.clone());
        let shown = match (fault, query.query_type()) {
            (Some(DnsFault::Drop), _) => "no answer".to_owned(),
            (Some(DnsFault::Truncated), _) if transport == Transport::Tcp => "no answer".to_owned(),
            (Some(DnsFault::Truncated), _) => {
                reply.metadata.truncation = true;
                "truncated".to_owned()
            }
            (Some(DnsFault::Servfail), _) => {
                reply.metadata.response_code = ResponseCode::ServFail;
                "SERVFAIL".to_owned()
            }
            (Some(DnsFault::Nxdomain), _) | (_, RecordType::PTR) => {
                reply.metadata.response_code = ResponseCode::NXDomain;
                "NXDOMAIN".to_owned()
            }
            (_, RecordType::A) => {
                let address = self.address(&name);
                reply.add_answer(Record::from_rdata(query.name().clone(), 60, RData::A(A(address))));
                address.to_string()
            }
            // Outbound traffic on the platform is IPv4 only.
            _ => "no record".to_owned(),
        };
        let (own, record) = (is_own(&name), query.query_type().to_string());
        (self.on_question)(DnsQuestion { at_ms: 0.0, name, record, answer: shown, own });
        // A client that falls back to TCP does not wait.
        if let Some(DnsFault::Drop | DnsFault::Delay(_) | DnsFault::Truncated) = fault {
            *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        match fault {
            Some(DnsFault::Drop) => return None,
            Some(DnsFault::Truncated) if transport == Transport::Tcp => {
                tokio::time::sleep(CLOSED_AFTER).await;
                return None;
            }
            Some(DnsFault::Delay(delay)) => tokio::time::sleep(delay).await,
            _ => {}
        }
        reply.to_vec().ok()
    }

    fn address(&self, name: &str) -> Ipv4Addr {
        match name {
            "localhost" => Ipv4Addr::LOCALHOST,
            HOSTNAME | SHORT_HOSTNAME => self.own_name,
            // A URL may contain an address; the resolver returns it as is.
            _ => self.names.lock().unwrap_or_else(PoisonError::into_inner).address_of(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Name;

    use super::*;

    fn resolver(faults: DnsPlan, asked: &Arc<Mutex<Vec<String>>>) -> Resolver {
        let (_, started) = watch::channel(None);
        let asked = asked.clone();
        let on_question = move |question: DnsQuestion| {
            asked.lock().unwrap_or_else(PoisonError::into_inner).push(question.answer);
        };
        Resolver::new(faults, OWN, SharedNames::default(), Arc::new(on_question), started)
    }

    fn question(name: &str) -> Vec<u8> {
        let mut question = Message::new(7, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(Name::from_utf8(name).expect("a name"), RecordType::A));
        question.to_vec().expect("written")
    }

    #[tokio::test(start_paused = true)]
    async fn truncated_answers_have_no_record_and_tcp_is_silent() {
        let asked = Arc::default();
        let host = "a.example".parse().expect("a host");
        let plan = DnsPlan { all: None, names: BTreeMap::from([(host, DnsFault::Truncated)]) };
        let resolver = resolver(plan, &asked);
        let answer = resolver.answer(&question("a.example."), Transport::Udp).await.expect("an answer");
        let answer = Message::from_vec(&answer).expect("a message");
        assert!(answer.metadata.truncation && answer.answers.is_empty());
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert_eq!(resolver.answer(&question("a.example."), Transport::Tcp).await, None);
        assert!(resolver.closes_tcp(&question("a.example.")) && !resolver.closes_tcp(&question("b.example.")));
        let other = resolver.answer(&question("b.example."), Transport::Tcp).await.expect("an answer");
        assert_eq!(Message::from_vec(&other).expect("a message").answers.len(), 1);
        let own = resolver.answer(&question(&format!("{HOSTNAME}.")), Transport::Udp).await.expect("an answer");
        assert!(!Message::from_vec(&own).expect("a message").metadata.truncation);
        assert_eq!(*asked.lock().expect("not poisoned"), ["truncated", "no answer", "198.18.0.1", "10.0.61.20"]);
    }

    #[tokio::test]
    async fn full_listener_drops_connections() {
        let (listener, _only) = full_listener((Ipv4Addr::LOCALHOST, 0).into()).await.expect("bound");
        let connect = TcpStream::connect(listener.local_addr().expect("bound"));
        let connected = tokio::time::timeout(Duration::from_millis(300), connect).await;
        assert!(connected.is_err(), "neither accepted nor refused: {connected:?}");
    }
}
