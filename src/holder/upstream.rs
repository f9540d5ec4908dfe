//! What answers in the simulated internet: HTTPS for any name, HTTP, and any other TCP by listening patiently.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;

use super::authority::Signer;

/// The first byte of a TLS handshake record (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// What an HTTP/1 request begins with; other protocols begin with letters, too.
const METHODS: [&str; 7] = ["GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS"];
/// A client that says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(600);

/// Serves one connection until the client goes.
pub async fn serve(stream: TcpStream, signer: Arc<Signer>) {
    // The address that the candidate connected to: every address is local here.
    let Ok(local) = stream.local_addr() else { return };
    let mut first = [0; 8];
    let length = match tokio::time::timeout(PATIENCE, stream.peek(&mut first)).await {
        Ok(Ok(length)) if length > 0 => length,
        _ => return,
    };
    if first[0] == TLS_HANDSHAKE {
        if let Some(stream) = tls(stream, &local.ip().to_string(), &signer).await {
            http(stream).await;
        }
    } else if METHODS.iter().any(|method| first[..length].starts_with(&method.as_bytes()[..length.min(method.len())])) {
        http(stream).await;
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

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(answer);
    // A client that breaks off is its own affair.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A stub's answer: success, an empty JSON document.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // The body is read to its end: a client may wait until it is taken.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}

async fn swallow(mut stream: TcpStream) {
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}
