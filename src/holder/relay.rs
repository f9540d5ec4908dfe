//! Takes the controller's requests to the candidate: HTTP/2 over a socket, each stream one request, which goes on to the
//! candidate's own address from outside its namespace, as the platform's load balancer does.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixListener as StdListener;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::probe::client;
use super::protocol::{NO_ANSWER, RELAY_SOCKET, RELAY_STREAM_WINDOW, RELAY_WINDOW};

/// Most requests at a time; App Runner's own limit for an instance is 200.
const MOST_STREAMS: u32 = 1000;

/// Copies standard input to the relay of this container's holder, and its answers to standard output.
///
/// # Errors
/// When the holder relays nothing, or one of the streams breaks.
pub(crate) fn stdio() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let copied = runtime.block_on(async {
        let mut holder = UnixStream::connect(RELAY_SOCKET).await?;
        let mut stdio = tokio::io::join(tokio::io::stdin(), tokio::io::stdout());
        tokio::io::copy_bidirectional(&mut stdio, &mut holder).await
    });
    // Do not wait for the thread that reads standard input.
    runtime.shutdown_background();
    copied.map(drop)
}

/// The socket that [`stdio`] connects to, in place of an earlier run's.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn listener() -> io::Result<StdListener> {
    match std::fs::remove_file(RELAY_SOCKET) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = StdListener::bind(RELAY_SOCKET)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves connections until dropped, with everything under way on them.
pub(crate) async fn serve(listener: StdListener, port: u16) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            let service = service_fn(move |request| async move { Ok::<_, Infallible>(forward(request, port).await) });
            let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(RELAY_STREAM_WINDOW)
                .initial_connection_window_size(RELAY_WINDOW)
                .max_concurrent_streams(MOST_STREAMS)
                .serve_connection(TokioIo::new(stream), service);
            // The controller is gone.
            drop(served.await);
        });
    }
}

type Answer = Response<Either<Incoming, Full<Bytes>>>;

async fn forward(request: Request<Incoming>, port: u16) -> Answer {
    match exchange(request, port).await {
        Some(response) => response.map(Either::Left),
        None => {
            let mut response = Response::new(Either::Right(Full::new(Bytes::from_static(NO_ANSWER.as_bytes()))));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            response
        }
    }
}

/// The candidate's answer; `None` if there is none.
async fn exchange(request: Request<Incoming>, port: u16) -> Option<Response<Incoming>> {
    client(port).await.ok()?.send_request(as_http1(request)).await.ok()
}

/// HTTP/2 names the host in the address, HTTP/1 in a header.
fn as_http1<B>(mut request: Request<B>) -> Request<B> {
    *request.version_mut() = Version::HTTP_11;
    let uri = request.uri();
    let host = uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    let path = uri.path_and_query().cloned().map(Uri::from).unwrap_or_else(|| Uri::from_static("/"));
    *request.uri_mut() = path;
    if let Some(host) = host.filter(|_| !request.headers().contains_key(HOST)) {
        request.headers_mut().insert(HOST, host);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_moves_to_its_header() {
        let request =
            Request::get("http://abc.us-east-1.awsapprunner.localhost:8080/otp?to=1").body(()).expect("a request");
        let request = as_http1(request);
        assert_eq!(request.uri(), "/otp?to=1");
        assert_eq!(request.headers()[HOST], "abc.us-east-1.awsapprunner.localhost:8080");
        assert_eq!(request.version(), Version::HTTP_11);
    }
}
