//! The public address of a service: HTTP and HTTPS requests go to the instance that serves, as App Runner's load balancer
//! passes them on.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, UPGRADE};
use hyper::{Request, Response, StatusCode, Uri};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::shared::{Shared, Way};
use crate::holder::protocol::NO_ANSWER;

/// A body of any kind.
pub(crate) type AnyBody = UnsyncBoxBody<Bytes, AnyError>;

/// An error of a body.
type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Limit of a whole request (<https://docs.aws.amazon.com/apprunner/latest/dg/develop.html>).
const WITHIN: Duration = Duration::from_secs(120);
/// Endings of the host of a service; the second for those who send the real name here.
const DOMAINS: [&str; 2] = [".awsapprunner.localhost", ".awsapprunner.com"];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The address of the service that a host names, without domain and port.
#[must_use]
fn service_of(host: &str) -> Option<&str> {
    DOMAINS.iter().find_map(|domain| without_port(host).strip_suffix(domain))
}

/// The address of the service that a host leads to, by its own name or by a custom domain.
#[must_use]
pub(crate) fn address_of(shared: &Shared, host: &str) -> Option<String> {
    if let Some(address) = service_of(host) {
        return Some(address.to_owned());
    }
    let arn = shared.place.domains.get(&without_port(host).to_ascii_lowercase())?;
    shared.books().state.services.get(arn).map(|service| service.url.clone())
}

/// A host without its port. An address in brackets has colons of its own.
#[must_use]
pub(crate) fn without_port(host: &str) -> &str {
    host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name)
}

/// Passes a request on to the service with this address.
pub(crate) async fn pass_on(
    shared: &Arc<Shared>,
    url: &str,
    host: &str,
    request: Request<Incoming>,
    is_secure: bool,
) -> Response<AnyBody> {
    // https://docs.aws.amazon.com/apprunner/latest/dg/develop.html: WebSockets are not supported.
    if request.headers().contains_key(UPGRADE) {
        return text(StatusCode::FORBIDDEN, "WebSockets are not supported by App Runner");
    }
    let Some(Way { mut sender, busy }) = shared.way(url) else {
        let is_known = shared.books().state.services.values().any(|service| service.url == url);
        return match is_known {
            true => text(StatusCode::SERVICE_UNAVAILABLE, "no healthy upstream"),
            false => text(StatusCode::NOT_FOUND, "no service has this address"),
        };
    };
    let Some(request) = onward(request, host, is_secure) else {
        return text(StatusCode::BAD_REQUEST, "the request has no valid address");
    };
    let begun = Instant::now();
    match timeout(WITHIN, sender.send_request(request)).await {
        Ok(Ok(response)) => {
            let late = Box::pin(sleep_until(begun + WITHIN));
            response.map(|body| Busy { body, late, _busy: busy }.boxed_unsync())
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "passing a request on");
            text(StatusCode::SERVICE_UNAVAILABLE, NO_ANSWER)
        }
        Err(_) => text(StatusCode::GATEWAY_TIMEOUT, "upstream request timeout"),
    }
}

/// The request as it goes on, in the form of HTTP/2.
fn onward(mut request: Request<Incoming>, host: &str, is_secure: bool) -> Option<Request<Incoming>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::builder().scheme("http").authority(host).path_and_query(path).build().ok()?;
    let headers = request.headers_mut();
    headers.remove(HOST);
    headers.insert(FORWARDED_FOR, HeaderValue::from_static("127.0.0.1"));
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(if is_secure { "https" } else { "http" }));
    Some(request)
}

/// A short answer.
#[must_use]
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<AnyBody> {
    let mut response = Response::new(full(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// A whole body.
#[must_use]
pub(crate) fn full(bytes: Bytes) -> AnyBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body during which its instance is not stopped.
struct Busy {
    body: Incoming,
    /// When the whole request has taken too long.
    late: Pin<Box<Sleep>>,
    _busy: mpsc::Sender<Infallible>,
}

impl Body for Busy {
    type Data = Bytes;
    type Error = AnyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnyError>>> {
        if self.late.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err("the request took too long".into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_a_service() {
        assert_eq!(service_of("abc.us-east-1.awsapprunner.localhost:8080"), Some("abc.us-east-1"));
        assert_eq!(service_of("abc.us-east-1.awsapprunner.com"), Some("abc.us-east-1"));
        assert_eq!(service_of("127.0.0.1:8080"), None);
        assert_eq!(service_of("example.com"), None);
    }
}
