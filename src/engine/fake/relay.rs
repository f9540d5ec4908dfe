//! The relay of a scripted holder: answers requests as its candidate does.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;

use super::FakeEngine;
use crate::engine::{Attached, Output};
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
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
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

    /// The candidate's answer: the image's name and the request's body; 503 if nothing listens.
    async fn respond(&self, holder: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let (status, text) = match self.tenant_answer(holder) {
            Some((image, ProbeResult::Status(status))) => {
                (status, format!("{image} {path} {}", String::from_utf8_lossy(&body)))
            }
            _ => (503, String::new()),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        response
    }
}
