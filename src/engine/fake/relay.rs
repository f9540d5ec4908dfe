//! The relay of a scripted holder: answers requests as its candidate does.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

use super::FakeEngine;
use crate::engine::{Attached, Output};
use crate::holder::protocol::{RELAY_STREAM_WINDOW, RELAY_WINDOW};
use crate::model::observation::ProbeResult;

impl FakeEngine {
    /// The streams of a command that relays to the candidate of a holder.
    pub(super) fn relay(&self, holder: &str) -> Attached {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (engine, holder) = (self.clone(), holder.to_owned());
        let answer = service_fn(move |request: Request<Incoming>| {
            let (engine, holder) = (engine.clone(), holder.clone());
            async move { Ok::<_, Infallible>(engine.respond(&holder, request).await) }
        });
        tokio::spawn(async move {
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(RELAY_STREAM_WINDOW).initial_connection_window_size(RELAY_WINDOW);
            drop(builder.serve_connection(TokioIo::new(theirs), answer).await);
        });
        let (reader, writer) = tokio::io::split(ours);
        let output = stream::unfold(reader, |mut reader| async {
            let mut piece = vec![0; 16 << 10];
            let length = reader.read(&mut piece).await.ok().filter(|length| *length > 0)?;
            piece.truncate(length);
            Some((Ok(Output::Stdout(Bytes::from(piece))), reader))
        });
        Attached { output: Box::pin(output), input: Box::pin(writer) }
    }

    /// Requests to candidates that are under way.
    #[must_use]
    pub fn requests(&self) -> usize {
        // One copy is the engine's own.
        Arc::strong_count(&self.lock().requests) - 1
    }

    /// The candidate's answer: the image's name, and the request's body as it comes; 503 if nothing listens.
    async fn respond(&self, holder: &str, request: Request<Incoming>) -> Response<UnsyncBoxBody<Bytes, hyper::Error>> {
        let under_way = self.lock().requests.clone();
        let (status, text) = match self.tenant_answer(holder) {
            Some((image, takes, ProbeResult::Status(status))) => {
                sleep(takes).await;
                (status, format!("{image} {} ", request.uri().path()))
            }
            _ => (503, String::new()),
        };
        let first = stream::iter([Ok(Frame::data(Bytes::from(text)))]);
        let all = first.chain(BodyStream::new(request.into_body())).inspect(move |_| _ = &under_way);
        let mut response = Response::new(StreamBody::new(all).boxed_unsync());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        response
    }
}
