//! Sends health check probes and later requests from outside the candidate's namespace to its own address, so that an
//! application bound to 127.0.0.1 fails as it would on the platform.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Body;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST, LOCATION};
use hyper::http::request::Builder;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

use super::protocol::{self, GATEWAY, OWN};
use crate::model::observation::ProbeResult;

/// The rest of a body is not read.
const MOST_BODY: usize = 64 << 10;

/// An HTTP answer.
struct Answered {
    status: u16,
    /// Where it redirects to.
    location: Option<String>,
    body: String,
}

/// Sends one probe and returns its result, and where it was redirected to.
pub(crate) async fn probe(probe: &protocol::Probe) -> (ProbeResult, Option<String>) {
    let timeout = Duration::from_millis(probe.timeout_ms);
    let attempt = async {
        let Some(path) = &probe.path else { return connect(probe.port).await.map(|_| (ProbeResult::Accepted, None)) };
        let answered = exchange(probe.port, Request::get(path), None).await?;
        Ok((ProbeResult::Status(answered.status), answered.location))
    };
    match tokio::time::timeout(timeout, attempt).await {
        Ok(result) => result.unwrap_or_else(|failure| (failure, None)),
        Err(_) => (ProbeResult::TimedOut, None),
    }
}

/// Sends one request and returns its result and the body.
pub(crate) async fn request(request: &protocol::Request) -> (ProbeResult, String) {
    let timeout = Duration::from_millis(request.timeout_ms);
    let head = Request::builder().method(request.method.as_str()).uri(&request.path);
    let head = request.headers.iter().fold(head, |head, (name, value)| head.header(name, value));
    let attempt = exchange(request.port, head, request.body.clone());
    match tokio::time::timeout(timeout, attempt).await {
        Ok(Ok(Answered { status, body, .. })) => (ProbeResult::Status(status), body),
        Ok(Err(failure)) => (failure, String::new()),
        Err(_) => (ProbeResult::TimedOut, String::new()),
    }
}

/// Connects to the candidate from outside its namespace.
async fn connect(port: u16) -> Result<TcpStream, ProbeResult> {
    let open = async {
        let socket = TcpSocket::new_v4()?;
        // A probe's source address is chosen before its route, so probes are never delayed.
        socket.bind((GATEWAY, 0).into())?;
        socket.connect((OWN, port).into()).await
    };
    open.await.map_err(|e| match e.kind() {
        std::io::ErrorKind::ConnectionRefused => ProbeResult::Refused,
        std::io::ErrorKind::TimedOut => ProbeResult::TimedOut,
        _ => ProbeResult::Broken(e.to_string()),
    })
}

/// A connection that sends HTTP requests to the candidate.
///
/// # Errors
/// What became of the attempt.
pub(super) async fn client<B>(port: u16) -> Result<SendRequest<B>, ProbeResult>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TokioIo::new(connect(port).await?);
    let handshake = hyper::client::conn::http1::handshake(stream).await;
    let (sender, connection) = handshake.map_err(|e| ProbeResult::Broken(e.to_string()))?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(port: u16, head: Builder, body: Option<String>) -> Result<Answered, ProbeResult> {
    let broken = |e: &dyn std::fmt::Display| ProbeResult::Broken(e.to_string());
    let mut sender = client(port).await?;
    let own_host = head.headers_ref().is_some_and(|headers| headers.contains_key(HOST));
    let mut request = if own_host { head } else { head.header(HOST, format!("{OWN}:{port}")) };
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body.unwrap_or_default()))).map_err(|e| broken(&e))?;
    let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
    let status = response.status().as_u16();
    let location = response.headers().get(LOCATION).map(|to| {
        // What follows the path may be a token.
        String::from_utf8_lossy(to.as_bytes()).split(['?', '#']).next().unwrap_or_default().to_owned()
    });
    let body = Limited::new(response.into_body(), MOST_BODY).collect().await;
    let body = body.map(|b| String::from_utf8_lossy(&b.to_bytes()).into_owned()).unwrap_or_default();
    Ok(Answered { status, location, body })
}
