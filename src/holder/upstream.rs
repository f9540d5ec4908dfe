//! What answers in the simulated internet: HTTPS for any name, HTTP, the credentials endpoint, stubs from a service
//! file, relays to service containers; any other TCP connection is accepted and left open.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;

use super::authority::Signer;
use super::deny;
use super::net::service_address;
use super::protocol::{Answer, CREDENTIALS_PATH, METADATA};
use crate::model::condition::{MetadataFault, ResponseFault};
use crate::model::service::{Step, Stub};

/// The first byte of a TLS handshake record (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// The beginning of an HTTP/1 request; other protocols may also start with letters.
const METHODS: [&str; 7] = ["GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS"];
/// A client that is silent for this long is disconnected.
const PATIENCE: Duration = Duration::from_secs(600);
/// Maximum number of bytes that a script step waits for.
const MOST_EXPECTED: usize = 64 << 10;

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
}

/// What a connection has reached.
struct Reached {
    fault: ResponseFault,
    answer: Answer,
}

impl World {
    fn reached(&self, address: Ipv4Addr, port: u16) -> Reached {
        let known = self.upstreams.get(&(address, port)).cloned();
        Reached {
            fault: self.responses.get(&address).copied().unwrap_or_default(),
            answer: known.unwrap_or_else(|| Answer::Stub(Stub::default())),
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
    if *local.ip() == METADATA {
        return http(stream, move |path| world.credentials(path)).await;
    }
    let Reached { fault, answer } = world.reached(*local.ip(), local.port());
    if fault.denied && deny::speaks_first(local.port()) {
        return deny::greet(stream).await;
    }
    if let Answer::Service(number) = answer
        && !fault.denied
    {
        tokio::time::sleep(fault.delay).await;
        return relay(stream, service_address(number), local.port()).await;
    }
    let mut stub = match answer {
        Answer::Stub(stub) => stub,
        Answer::Service(_) => Stub::default(),
    };
    stub.delay += fault.delay;
    if !stub.script.is_empty() && !fault.denied {
        return play(stream, &stub).await;
    }
    let mut first = [0; 8];
    let length = match tokio::time::timeout(PATIENCE, stream.peek(&mut first)).await {
        Ok(Ok(length)) if length > 0 => length,
        _ => return,
    };
    if fault.denied {
        stub = Stub { status: 401, body: r#"{"message":"Unauthorized"}"#.to_owned(), ..stub };
    }
    if first[0] == TLS_HANDSHAKE {
        if let Some(stream) = tls(stream, &local.ip().to_string(), &signer).await {
            http(stream, move |_| stub.clone()).await;
        }
    } else if METHODS.iter().any(|method| first[..length].starts_with(&method.as_bytes()[..length.min(method.len())])) {
        http(stream, move |_| stub.clone()).await;
    } else if fault.denied {
        deny::refuse(stream, &first[..length]).await;
    } else {
        swallow(stream).await;
    }
}

async fn tls(stream: TcpStream, address: &str, signer: &Signer) -> Option<impl AsyncRead + AsyncWrite + Unpin + use<>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.ok()?;
    let config = {
        let hello = start.client_hello();
        signer.config_for(hello.server_name().unwrap_or(address)).ok()?
    };
    start.into_stream(config).await.ok()
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin, stub: impl Fn(&str) -> Stub) {
    let service = service_fn(|request: Request<Incoming>| answer(stub(request.uri().path()), request));
    // A client that disconnects is not an error.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(stub: Stub, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // Read the whole body: a client may wait until it is sent.
    let _ = request.into_body().collect().await;
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

async fn swallow(mut stream: TcpStream) {
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}
