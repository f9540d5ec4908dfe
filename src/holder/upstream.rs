//! What answers in the simulated internet: HTTPS for any name, HTTP, the credentials endpoint, stubs from a service
//! file, relays to service containers, the openings of common protocols; any other TCP connection is accepted and left
//! open.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::authority::{Signer, TLS_HANDSHAKE};
use super::deny;
use super::net::service_address;
use super::opening::{Stream, Talk, is_secure_port, recognise, spoken_first};
use super::protocol::{Answer, CREDENTIALS_PATH, METADATA, Sent};
use crate::model::condition::{MetadataFault, ResponseFault};
use crate::model::observation::Reply;
use crate::model::service::{Step, Stub};

/// The beginning of an HTTP/1 request; other protocols may also start with letters.
const METHODS: [&str; 7] = ["GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS"];
/// A client that is silent for this long is disconnected.
const PATIENCE: Duration = Duration::from_secs(600);
/// Maximum number of bytes that a script step waits for.
const MOST_EXPECTED: usize = 64 << 10;
/// The first bytes of a client that tell its protocol: MongoDB's header is the longest.
const FIRST: usize = 16;

/// A client that says nothing for this long waits for the server to begin.
const SILENCE: Duration = Duration::from_secs(1);

/// Called when the sandbox answers in place of a server: its address and port, what it does, and the command that it
/// refused.
pub(crate) type OnStandIn = Arc<dyn Fn(Ipv4Addr, u16, Reply, Option<String>) + Send + Sync>;

/// Called with each HTTP request to a host of the internet, whoever plays it.
pub(crate) type OnRequest = Arc<dyn Fn(Sent) + Send + Sync>;

/// Most of a request's body that is reported.
const MOST_BODY: usize = 4 << 10;

/// The internet of one run.
#[derive(Default)]
pub(crate) struct World {
    /// Response faults by address.
    pub(crate) responses: BTreeMap<Ipv4Addr, ResponseFault>,
    /// What answers, by address and port.
    pub(crate) upstreams: BTreeMap<(Ipv4Addr, u16), Answer>,
    /// The fault of the credentials endpoint.
    pub(crate) metadata: Option<MetadataFault>,
    /// The other end is dropped when the run is over.
    pub(crate) over: Option<watch::Receiver<()>>,
    /// Reports what is said in place of servers that nobody plays.
    pub(crate) on_stand_in: Option<OnStandIn>,
    /// Reports requests, if they are asked for.
    pub(crate) on_request: Option<OnRequest>,
}

/// What a connection has reached.
struct Reached {
    fault: ResponseFault,
    /// `None` for a server that nobody plays.
    answer: Option<Answer>,
}

impl World {
    fn reached(&self, address: Ipv4Addr, port: u16) -> Reached {
        Reached {
            fault: self.responses.get(&address).copied().unwrap_or_default(),
            answer: self.upstreams.get(&(address, port)).cloned(),
        }
    }

    /// The credentials endpoint's answer for a path.
    fn credentials(&self, path: &str) -> Stub {
        let answer = |status, body: &str| Stub { status, body: body.to_owned(), ..Stub::default() };
        match self.metadata {
            Some(MetadataFault::Denied) => {
                answer(403, r#"{"code":"AccessDenied","message":"the role cannot be assumed"}"#)
            }
            _ if path != CREDENTIALS_PATH => answer(404, r#"{"code":"NotFound"}"#),
            fault => Stub {
                delay: if let Some(MetadataFault::Slow(delay)) = fault { delay } else { Duration::ZERO },
                ..answer(
                    200,
                    r#"{"RoleArn":"arn:aws:iam::000000000000:role/simulated","AccessKeyId":"ASIASIMULATED0000000","SecretAccessKey":"simulated","Token":"simulated","Expiration":"2099-12-31T23:59:59Z"}"#,
                )
            },
        }
    }
}

/// Serves one connection until the client closes it or the run is over: removing a link does not close connections.
pub(crate) async fn serve(stream: TcpStream, signer: Arc<Signer>, world: Arc<World>) {
    let over = world.over.clone();
    let over = async {
        match over {
            Some(mut over) => while over.changed().await.is_ok() {},
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = converse(stream, signer, world) => {}
        () = over => {}
    }
}

async fn converse(stream: TcpStream, signer: Arc<Signer>, world: Arc<World>) {
    // The address the candidate connected to: every address is local here.
    let Ok(SocketAddr::V4(local)) = stream.local_addr() else { return };
    let (address, port) = (*local.ip(), local.port());
    if address == METADATA {
        return http(stream, move |path| world.credentials(path), None).await;
    }
    let Reached { fault, answer } = world.reached(address, port);
    if fault.denied && deny::speaks_first(port) {
        return deny::greet(stream).await;
    }
    if let Some(Answer::Service(number)) = answer
        && !fault.denied
    {
        tokio::time::sleep(fault.delay).await;
        return relay(stream, service_address(number), port).await;
    }
    // A host that is named without an answer is played by nobody.
    let is_played = answer.as_ref().is_some_and(|answer| *answer != Answer::Stub(Stub::default()));
    let mut stub = match answer {
        Some(Answer::Stub(stub)) => stub,
        Some(Answer::Service(_)) | None => Stub::default(),
    };
    stub.delay += fault.delay;
    if !stub.script.is_empty() && !fault.denied {
        return play(stream, &stub).await;
    }
    if fault.denied {
        stub = Stub { status: 401, body: r#"{"message":"Unauthorized"}"#.to_owned(), ..stub };
    }
    let stand_in = |reply, refused| {
        if let Some(tell) = world.on_stand_in.as_ref().filter(|_| !is_played) {
            tell(address, port, reply, refused);
        }
    };
    let spoken = Mutex::new(Reply::Nothing);
    let refused = |command| stand_in(*spoken.lock().unwrap_or_else(PoisonError::into_inner), Some(command));
    let mut talk = Talk { host: address.to_string(), signer, is_secure: false, refused: &refused };
    let begin = |protocol| {
        let reply = Reply::Opening(protocol);
        *spoken.lock().unwrap_or_else(PoisonError::into_inner) = reply;
        stand_in(reply, None);
    };
    let mut stream: Stream = Box::new(stream);
    if let Some(protocol) = spoken_first(port).filter(|_| !fault.denied && !is_played) {
        tokio::time::sleep(stub.delay).await;
        if is_secure_port(port) {
            let Some(secure) = talk.secure(stream).await else { return };
            stream = secure;
        }
        begin(protocol);
        // A client that disconnects is not an error.
        return drop(talk.play(protocol, stream).await);
    }
    loop {
        // A client that says nothing waits for a server that speaks first.
        let silent = || stand_in(Reply::Nothing, None);
        let Some((first, whole)) = peek(stream, &silent).await else { return };
        stream = whole;
        if first[0] == TLS_HANDSHAKE && !talk.is_secure {
            let Some(secure) = talk.secure(stream).await else { return };
            stream = secure;
            continue;
        }
        let is_http =
            METHODS.iter().any(|method| first.starts_with(&method.as_bytes()[..first.len().min(method.len())]));
        if is_http {
            stand_in(Reply::Http, None);
            let told = world.on_request.clone().map(|tell| (tell, port));
            return http(stream, move |_| stub.clone(), told).await;
        }
        if fault.denied {
            return deny::refuse(stream, &first).await;
        }
        let Some(protocol) = recognise(&first).filter(|_| !is_played) else {
            stand_in(Reply::Nothing, None);
            return swallow(stream).await;
        };
        tokio::time::sleep(stub.delay).await;
        begin(protocol);
        return drop(talk.play(protocol, stream).await);
    }
}

/// The first bytes of a stream, and the whole of it. `None` if the client says nothing; `silent` is called after a while.
async fn peek(mut stream: Stream, silent: &(dyn Fn() + Sync)) -> Option<(Vec<u8>, Stream)> {
    let mut first = vec![0; FIRST];
    let length = match tokio::time::timeout(SILENCE, stream.read(&mut first)).await {
        Ok(read) => read.ok()?,
        Err(_) => {
            silent();
            tokio::time::timeout(PATIENCE, stream.read(&mut first)).await.ok()?.ok()?
        }
    };
    first.truncate(length);
    let (reader, writer) = tokio::io::split(stream);
    let whole = tokio::io::join(std::io::Cursor::new(first.clone()).chain(reader), writer);
    (length > 0).then(|| (first, Box::new(whole) as Stream))
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    stub: impl Fn(&str) -> Stub,
    told: Option<(OnRequest, u16)>,
) {
    let service = service_fn(|request: Request<Incoming>| answer(stub(request.uri().path()), request, told.clone()));
    // A client that disconnects is not an error.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    stub: Stub,
    request: Request<Incoming>,
    told: Option<(OnRequest, u16)>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // Read the whole body: a client may wait until it is sent.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if let Some((tell, port)) = told {
        let host = head.uri.host().or_else(|| head.headers.get(HOST)?.to_str().ok()).unwrap_or_default();
        tell(Sent {
            host: host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned(),
            port,
            method: head.method.to_string(),
            path: head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            body: String::from_utf8_lossy(&body[..body.len().min(MOST_BODY)]).into_owned(),
            status: stub.status,
        });
    }
    tokio::time::sleep(stub.delay).await;
    let mut response = Response::new(Full::new(Bytes::from(stub.body)));
    *response.status_mut() = hyper::StatusCode::from_u16(stub.status).unwrap_or_default();
    if let Ok(value) = HeaderValue::from_str(&stub.content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    Ok(response)
}

/// Relays a connection of the candidate to a service container.
async fn relay(mut stream: TcpStream, service: Ipv4Addr, port: u16) {
    // If the service is gone, the connection ends, as on the platform.
    if let Ok(mut far) = TcpStream::connect((service, port)).await {
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut far).await;
    }
}

/// Plays a script.
async fn play(mut stream: TcpStream, stub: &Stub) {
    tokio::time::sleep(stub.delay).await;
    let mut heard: Vec<u8> = Vec::new();
    for step in &stub.script {
        match step {
            Step::Send(text) => {
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Step::Expect(text) => {
                while !heard.windows(text.len().max(1)).any(|w| w == text.as_bytes()) && heard.len() < MOST_EXPECTED {
                    let mut piece = [0; 1024];
                    match stream.read(&mut piece).await {
                        Ok(length) if length > 0 => heard.extend(&piece[..length]),
                        _ => return,
                    }
                }
                heard.clear();
            }
        }
    }
    swallow(stream).await;
}

async fn swallow(mut stream: impl AsyncRead + Unpin) {
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}
