//! What a planted candidate does on the network.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::{Came, TIMED_OUT, spoken};
use crate::holder::protocol::METADATA;

/// Where a container of the platform learns the path of its credentials.
const CREDENTIALS_VARIABLE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
/// Whoever connects and says nothing is left after this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause after a connection that could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);
/// Neither a request nor the first line of an answer is longer.
const LONGEST: usize = 64 << 10;

/// What is left of a time limit.
fn left(begun: Instant, limit: Duration) -> Came<Duration> {
    limit.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()).ok_or_else(|| TIMED_OUT.to_owned())
}

/// The first IPv4 address of a host, else its first: outbound traffic of the platform is IPv4 only.
fn resolve(host: &str, port: u16) -> Came<SocketAddr> {
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(|e| spoken(&e))?.collect();
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).copied().ok_or_else(|| format!("{host} has no address"))
}

/// Connects to a host.
pub(crate) fn connect(host: &str, port: u16, limit: Duration) -> Came<TcpStream> {
    TcpStream::connect_timeout(&resolve(host, port)?, limit).map_err(|e| spoken(&e))
}

/// The first nameserver of the system's resolver.
fn nameserver() -> Came<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").map_err(|e| format!("/etc/resolv.conf: {}", spoken(&e)))?;
    let address = text.lines().find_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    Ok(SocketAddr::new(address.ok_or("/etc/resolv.conf names no nameserver")?, 53))
}

/// Asks once for the IPv4 addresses of a name.
pub(crate) fn ask(name: &Name, exchange: impl FnOnce(&[u8]) -> Came<Vec<u8>>) -> Came<String> {
    // A number that a late answer to somebody else does not have.
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
pub(crate) fn over_udp(question: &[u8], limit: Duration) -> Came<Vec<u8>> {
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
    exchange().map_err(|e| spoken(&e))
}

/// The same over TCP: two bytes of length before every message (RFC 1035, 4.2.2).
pub(crate) fn over_tcp(question: &[u8], limit: Duration) -> Came<Vec<u8>> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect_timeout(&nameserver()?, limit).map_err(|e| spoken(&e))?;
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
    exchange().map_err(|e| spoken(&e))
}

/// Asks a host for a path: the status of a success, or what came instead.
pub(crate) fn get(host: &str, port: u16, path: &str, limit: Duration) -> Came<String> {
    let begun = Instant::now();
    let mut stream = connect(host, port, limit)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|e| spoken(&e))?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    // The first line is all that is looked at.
    while !answer.contains(&b'\n') && answer.len() < LONGEST {
        stream.set_read_timeout(Some(left(begun, limit)?)).map_err(|e| spoken(&e))?;
        match stream.read(&mut piece).map_err(|e| spoken(&e))? {
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

/// Asks the platform's endpoint for the credentials of the service.
pub(crate) fn credentials(limit: Duration) -> Came<String> {
    match std::env::var(CREDENTIALS_VARIABLE) {
        Ok(path) => get(&METADATA.to_string(), 80, &path, limit),
        Err(_) => Err(format!("{CREDENTIALS_VARIABLE} is missing")),
    }
}

/// Listens.
pub(crate) fn listener(address: IpAddr, port: u16) -> Came<TcpListener> {
    TcpListener::bind((address, port)).map_err(|e| spoken(&e))
}

/// The address that `HOSTNAME` resolves to.
pub(crate) fn own_address(port: u16) -> Came<IpAddr> {
    let name = std::env::var("HOSTNAME").map_err(|_| "HOSTNAME is missing".to_owned())?;
    resolve(&name, port).map(|address| address.ip()).map_err(|e| format!("{name}: {e}"))
}

/// Answers every request with 200.
pub(crate) fn answer_for_ever(listener: &TcpListener) -> ! {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                // Without a thread this client gets no answer, the next may.
                let _ = std::thread::Builder::new().spawn(move || answer(stream));
            }
            // Out of descriptors: others must be closed first.
            Err(_) => std::thread::sleep(ACCEPT_AGAIN),
        }
    }
}

/// Answers one request; who goes before it is its own affair.
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
    // A body that is left unread would turn the end into a reset.
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_gets_its_answer() {
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
    fn what_answers_late_or_wrongly_is_no_success() {
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
                // Unread, the request would make a reset of the end.
                let length = stream.read(&mut [0; 1024]).expect("a request");
                stream.write_all(answer.as_bytes()).map(|()| length)
            });
            let came = get("127.0.0.1", port, "/", Duration::from_secs(5));
            assert_eq!(came.as_deref().map_err(String::as_str), expected);
            assert!(server.join().is_ok());
        }
    }
}
