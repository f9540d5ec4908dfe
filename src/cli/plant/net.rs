//! Network actions of a planted candidate.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::{ActionResult, TIMED_OUT, message_of};
use crate::holder::protocol::METADATA;

/// The variable with the path of a container's credentials on the platform.
const CREDENTIALS_VARIABLE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
/// A client that is silent for this long is disconnected.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause after a connection that could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);
/// Maximum length of a request, and of the first line of an answer.
const LONGEST: usize = 64 << 10;

/// The rest of a time limit.
fn left(begun: Instant, limit: Duration) -> ActionResult<Duration> {
    limit.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()).ok_or_else(|| TIMED_OUT.to_owned())
}

/// The first IPv4 address of a host, else its first: the platform's outbound traffic is IPv4 only.
fn resolve(host: &str, port: u16) -> ActionResult<SocketAddr> {
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(|e| message_of(&e))?.collect();
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).copied().ok_or_else(|| format!("{host} has no address"))
}

/// Connects to a host.
pub(crate) fn connect(host: &str, port: u16, limit: Duration) -> ActionResult<TcpStream> {
    TcpStream::connect_timeout(&resolve(host, port)?, limit).map_err(|e| message_of(&e))
}

/// The first nameserver of the system's resolver.
fn nameserver() -> ActionResult<SocketAddr> {
    let text =
        std::fs::read_to_string("/etc/resolv.conf").map_err(|e| format!("/etc/resolv.conf: {}", message_of(&e)))?;
    let address = text.lines().find_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    Ok(SocketAddr::new(address.ok_or("/etc/resolv.conf names no nameserver")?, 53))
}

/// Queries the IPv4 addresses of a name once.
pub(crate) fn ask(name: &Name, exchange: impl FnOnce(&[u8]) -> ActionResult<Vec<u8>>) -> ActionResult<String> {
    // An id that a late answer to another process does not have.
    let id = (std::process::id() as u16) ^ 0xe1e1;
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name.clone(), RecordType::A));
    let answer = exchange(&question.to_vec().map_err(|e| e.to_string())?)?;
    let answer = Message::from_vec(&answer).map_err(|e| format!("no DNS message: {e}"))?;
    if answer.metadata.id != id {
        return Err("the answer to another question".to_owned());
    }
    match (answer.metadata.response_code, answer.answers.first()) {
        (ResponseCode::NoError, Some(record)) => Ok(record.data.to_string()),
        (ResponseCode::NoError, None) => Err("no record".to_owned()),
        (code, _) => Err(code.to_string()),
    }
}

/// Sends a question to the resolver and waits for one answer.
pub(crate) fn over_udp(question: &[u8], limit: Duration) -> ActionResult<Vec<u8>> {
    let exchange = || -> io::Result<Vec<u8>> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(nameserver().map_err(io::Error::other)?)?;
        socket.set_read_timeout(Some(limit))?;
        socket.send(question)?;
        let mut answer = vec![0; 4096];
        let length = socket.recv(&mut answer)?;
        answer.truncate(length);
        Ok(answer)
    };
    exchange().map_err(|e| message_of(&e))
}

/// The same over TCP: a two-byte length precedes every message (RFC 1035, 4.2.2).
pub(crate) fn over_tcp(question: &[u8], limit: Duration) -> ActionResult<Vec<u8>> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect_timeout(&nameserver()?, limit).map_err(|e| message_of(&e))?;
    let left = left(begun, limit)?;
    let mut exchange = || -> io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(left))?;
        let length = u16::try_from(question.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], question].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    exchange().map_err(|e| message_of(&e))
}

/// Requests a path from a host: the status if successful, or what happened instead.
pub(crate) fn get(host: &str, port: u16, path: &str, limit: Duration) -> ActionResult<String> {
    let begun = Instant::now();
    let mut stream = connect(host, port, limit)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|e| message_of(&e))?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    // Only the first line matters.
    while !answer.contains(&b'\n') && answer.len() < LONGEST {
        stream.set_read_timeout(Some(left(begun, limit)?)).map_err(|e| message_of(&e))?;
        match stream.read(&mut piece).map_err(|e| message_of(&e))? {
            0 => return Err("the connection ended".to_owned()),
            length => answer.extend(&piece[..length]),
        }
    }
    let first = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u16>().ok());
    match status {
        Some(status @ 200..=299) => Ok(format!("status {status}")),
        Some(status) => Err(format!("status {status}")),
        None => Err(format!("no HTTP: {first:?}")),
    }
}

/// Requests the service's credentials from the platform's endpoint.
pub(crate) fn credentials(limit: Duration) -> ActionResult<String> {
    match std::env::var(CREDENTIALS_VARIABLE) {
        Ok(path) => get(&METADATA.to_string(), 80, &path, limit),
        Err(_) => Err(format!("{CREDENTIALS_VARIABLE} is missing")),
    }
}

/// Opens a listening socket.
pub(crate) fn listener(address: IpAddr, port: u16) -> ActionResult<TcpListener> {
    TcpListener::bind((address, port)).map_err(|e| message_of(&e))
}

/// The address that `HOSTNAME` resolves to.
pub(crate) fn own_address(port: u16) -> ActionResult<IpAddr> {
    let name = std::env::var("HOSTNAME").map_err(|_| "HOSTNAME is missing".to_owned())?;
    resolve(&name, port).map(|address| address.ip()).map_err(|e| format!("{name}: {e}"))
}

/// Answers every request with 200.
pub(super) fn answer_forever(listener: &TcpListener) -> ! {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                // Without a thread this client gets no answer; the next one may.
                let _ = std::thread::Builder::new().spawn(move || answer(stream));
            }
            // Out of descriptors: others must be closed first.
            Err(_) => std::thread::sleep(ACCEPT_AGAIN),
        }
    }
}

/// Answers one request; a client that disconnects is not an error.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request: Vec<u8> = Vec::new();
    let mut piece = [0; 4096];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") && request.len() < LONGEST {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            length => request.extend(&piece[..length]),
        }
    }
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    )?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // An unread body would turn the close into a reset.
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_gets_its_answer() {
        let name = Name::from_utf8("example.com.").expect("a name");
        let reply = |code: ResponseCode, number: u16| {
            ask(&name, |question| {
                let question = Message::from_vec(question).expect("a question");
                assert_eq!(question.queries[0].name().to_utf8(), "example.com.");
                let mut reply = Message::response(question.metadata.id ^ number, OpCode::Query);
                reply.metadata.response_code = code;
                reply.to_vec().map_err(|e| e.to_string())
            })
        };
        assert_eq!(reply(ResponseCode::NoError, 0), Err("no record".to_owned()));
        assert_eq!(reply(ResponseCode::ServFail, 0), Err("Server Failure".to_owned()));
        assert_eq!(reply(ResponseCode::NoError, 1), Err("the answer to another question".to_owned()));
        assert!(ask(&name, |_| Ok(vec![1])).is_err());
        assert_eq!(ask(&name, |_| Err(TIMED_OUT.to_owned())), Err(TIMED_OUT.to_owned()));
    }

    #[test]
    fn late_or_wrong_answers_are_failures() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = silent.local_addr().expect("bound").port();
        // The kernel accepts, nobody answers.
        assert_eq!(get("127.0.0.1", port, "/", Duration::from_millis(200)), Err(TIMED_OUT.to_owned()));
        for (answer, expected) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Ok("status 204")),
            ("HTTP/1.1 401 Unauthorized\r\n\r\n", Err("status 401")),
            ("hello\n", Err("no HTTP: \"hello\"")),
            ("", Err("the connection ended")),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
            let port = listener.local_addr().expect("bound").port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a client");
                // An unread request would turn the close into a reset.
                let length = stream.read(&mut [0; 1024]).expect("a request");
                stream.write_all(answer.as_bytes()).map(|()| length)
            });
            let came = get("127.0.0.1", port, "/", Duration::from_secs(5));
            assert_eq!(came.as_deref().map_err(String::as_str), expected);
            assert!(server.join().is_ok());
        }
    }
}
