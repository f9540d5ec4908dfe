//! The page: the services, their operations and logs, live, and the calls that change them. It is a client of the API like
//! any other; nothing is loaded from elsewhere.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{sleep, timeout};

use crate::serve::edge::{AnyBody, full};
use crate::serve::shared::Shared;

const FILES: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
];
/// Nothing but what this server sends.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Whoever is connected hears something this often, so that a connection that broke is noticed.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
const MOMENT: Duration = Duration::from_millis(100);

/// The answer to a path; `None` if nothing is there.
#[must_use]
pub(crate) fn answer(shared: &Arc<Shared>, path: &str) -> Option<Response<AnyBody>> {
    if path == "/events" {
        return Some(events(shared));
    }
    let (_, content_type, text) = FILES.iter().find(|(known, ..)| *known == path)?;
    let mut response = Response::new(full(Bytes::from_static(text.as_bytes())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

/// Server-sent events: where this is, and then a word for everything that happens. The page asks for what it shows, so one
/// that missed some loses nothing.
fn events(shared: &Arc<Shared>) -> Response<AnyBody> {
    let place = format!("event: place\ndata: account {}, {}\n\n", shared.place.account, shared.place.region);
    let told = shared.listen();
    let all = stream::unfold((told, Some(place)), |(mut told, first)| async move {
        let text = match first {
            Some(first) => first,
            None => match timeout(ALIVE_EVERY, told.recv()).await {
                Ok(Ok(()) | Err(RecvError::Lagged(_))) => {
                    // What happens within a moment is told once.
                    sleep(MOMENT).await;
                    while !matches!(told.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
                    "event: news\ndata: \n\n".to_owned()
                }
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => ": alive\n\n".to_owned(),
            },
        };
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text))), (told, None)))
    });
    let body = StreamBody::new(all).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
