//! The one port: the AWS APIs, the services' public addresses, the page. HTTP and HTTPS, told by the first byte.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN, USER_AGENT};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::api::{self, error::ApiError, sts};
use super::edge::{self, AnyBody, full, text};
use super::page;
use super::shared::{Shared, new_id};
use crate::engine::Engine;
use crate::holder::accept::accept;
use crate::holder::authority::{Signer, TLS_HANDSHAKE};

/// Largest body of a call.
const MOST_BODY: usize = 1 << 20;
/// A client that says nothing for this long after it connected is disconnected.
const FIRST_WITHIN: Duration = Duration::from_secs(60);
/// Hosts under which the APIs and the page are reached; any other is another site's attempt (DNS rebinding).
const OWN_HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
const TARGET: &str = "x-amz-target";
/// A header of the page's own calls.
const PAGE: &str = "x-exitone-page";
/// Group and stream of the calls that may change something.
const ACTIONS: (&str, &str) = ("/exitone/serve", "actions");

/// What a connection needs.
pub(crate) struct Front {
    /// State, logs and ways.
    pub(crate) shared: Arc<Shared>,
    /// The engine, for questions about images.
    pub(crate) engine: Arc<dyn Engine>,
    /// Signs the names of services.
    pub(crate) signer: Signer,
}

/// Serves connections until dropped.
pub(crate) async fn serve(front: Arc<Front>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        connections.spawn(converse(front.clone(), accept(&listener).await));
    }
}

async fn converse(front: Arc<Front>, stream: TcpStream) {
    // Answers are small, and waited for.
    drop(stream.set_nodelay(true));
    let mut first = [0];
    let peeked = timeout(FIRST_WITHIN, stream.peek(&mut first)).await;
    if !matches!(peeked, Ok(Ok(1))) {
        return;
    }
    if first[0] != TLS_HANDSHAKE {
        return speak(front, stream, false).await;
    }
    if let Some(stream) = front.signer.accept(stream, "127.0.0.1").await {
        speak(front, stream, true).await;
    }
}

/// Speaks HTTP with one client.
pub(super) async fn speak(
    front: Arc<Front>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    is_secure: bool,
) {
    let service = service_fn(move |request| {
        let front = front.clone();
        async move { Ok::<_, Infallible>(answer(&front, request, is_secure).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // A client that disconnects is not an error.
    drop(served.await);
}

async fn answer(front: &Arc<Front>, request: Request<Incoming>, is_secure: bool) -> Response<AnyBody> {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) = request.uri().authority().map(|of| of.as_str()).or(named).map(str::to_owned) else {
        return text(StatusCode::BAD_REQUEST, "a request must name its host");
    };
    if let Some(url) = edge::address_of(&front.shared, &host) {
        return edge::pass_on(&front.shared, &url, &host, request, is_secure).await;
    }
    if !OWN_HOSTS.contains(&edge::without_port(&host)) {
        return text(StatusCode::FORBIDDEN, "this server answers to loopback names alone");
    }
    // A page of another site may send a request, but it cannot leave out its origin.
    let origin = request.headers().get(ORIGIN).map(|origin| origin.as_bytes().to_vec());
    let own = [format!("http://{host}"), format!("https://{host}")];
    if origin.is_some_and(|origin| !own.iter().any(|own| own.as_bytes() == origin)) {
        return text(StatusCode::FORBIDDEN, "requests of other sites' pages are refused");
    }
    if request.method() == Method::GET
        && let Some(page) = page::answer(&front.shared, request.uri().path())
    {
        return page;
    }
    if request.method() != Method::POST || request.uri().path() != "/" {
        return text(StatusCode::NOT_FOUND, "nothing is here: the APIs take POST /");
    }
    let who = who(request.headers());
    let target = request.headers().get(TARGET).and_then(|target| target.to_str().ok()).map(str::to_owned);
    let body = match Limited::new(request.into_body(), MOST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return text(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than a call's may be"),
    };
    match target {
        Some(target) => call(front, &who, &target, &body).await,
        None if sts::is_caller_identity(&body) => {
            let xml = sts::caller_identity(&front.shared.place, &new_id());
            with_type(StatusCode::OK, "text/xml", Bytes::from(xml))
        }
        None => text(StatusCode::BAD_REQUEST, "a call must name its operation in X-Amz-Target"),
    }
}

/// Who sends a request: the page, or the program that the client says it is.
fn who(headers: &HeaderMap) -> String {
    if headers.contains_key(PAGE) {
        return "page".to_owned();
    }
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unknown client");
    agent.split_whitespace().next().unwrap_or_default().to_owned()
}

/// Writes down a call that may change something.
fn note(shared: &Shared, who: &str, target: &str, body: &[u8], refused: Option<&ApiError>) {
    let operation = target.rsplit('.').next().unwrap_or_default();
    if ["Describe", "List", "Get", "Filter"].iter().any(|prefix| operation.starts_with(prefix)) {
        return;
    }
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let of_arn = || body["ServiceArn"].as_str()?.split('/').nth(1);
    let name = body["ServiceName"].as_str().or_else(of_arn).unwrap_or_default();
    let result = refused.map_or_else(|| "accepted".to_owned(), ToString::to_string);
    let line = json!({ "who": who, "call": format!("{operation} {name}").trim_end(), "result": result });
    shared.log(ACTIONS.0, ACTIONS.1, [line.to_string()]);
}

async fn call(front: &Front, who: &str, target: &str, body: &[u8]) -> Response<AnyBody> {
    let content_type = api::content_type(target);
    let called = api::call(&front.shared, front.engine.as_ref(), target, body).await;
    note(&front.shared, who, target, body, called.as_ref().err());
    let (status, answer) = match called {
        Ok(answer) => (StatusCode::OK, answer),
        Err(error) => {
            tracing::debug!(target, %error, "refused");
            let ApiError { code, message } = &error;
            (error.status(), json!({ "__type": code, "Message": message, "message": message }))
        }
    };
    let mut response = with_type(status, content_type, Bytes::from(answer.to_string()));
    if let Ok(id) = HeaderValue::from_str(&new_id()) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

fn with_type(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response<AnyBody> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
