//! Large and slow requests to a service.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyStream, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::{Local, arn};
use crate::engine::fake::{Act, FakeEngine, Situation, healthy};
use crate::serve::http;

/// The size of a piece of a body.
const PIECE: usize = 64 << 10;

/// A client whose request's body is sent piece by piece, over a connection that lasts as long as this.
struct Upload {
    pieces: mpsc::Sender<Frame<Bytes>>,
    answer: JoinHandle<hyper::Result<hyper::Response<Incoming>>>,
    _connection: JoinSet<hyper::Result<()>>,
}

impl Upload {
    async fn to(local: &Local, service: &Json) -> Self {
        let (ours, theirs) = tokio::io::duplex(PIECE);
        tokio::spawn(http::speak(local.front.clone(), theirs, false));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(ours)).await.expect("a connection");
        let connection = JoinSet::from_iter([connection]);
        let (pieces, body) = mpsc::channel(1);
        let body = stream::unfold(body, |mut body: mpsc::Receiver<_>| async {
            Some((Ok::<_, Infallible>(body.recv().await?), body))
        });
        let host = service["ServiceUrl"].as_str().expect("an address");
        let request = Request::post("/upload").header(HOST, host).body(StreamBody::new(body)).expect("a request");
        let answer = tokio::spawn(async move { sender.send_request(request).await });
        Self { pieces, answer, _connection: connection }
    }
}

fn piece() -> Frame<Bytes> {
    Frame::data(Bytes::from(vec![b'x'; PIECE]))
}

async fn running(act: Act) -> (Local, Json) {
    let engine = FakeEngine::new(true);
    engine.image("app:v1", &[], Arc::new(move |_: &Situation| act.clone()));
    let local = Local::on(engine, tempfile::tempdir().expect("a folder")).await;
    let arn = arn(&local.create("nerava", "app:v1").await);
    let service = local.settled(&arn).await.0;
    (local, service)
}

#[tokio::test(start_paused = true)]
async fn upload_and_answer_flow_side_by_side() {
    let (local, service) = running(healthy(8000)).await;
    let Upload { pieces, answer, _connection } = Upload::to(&local, &service).await;
    let response = answer.await.expect("ended").expect("an answer before the end of the request");
    let mut answer = BodyStream::new(response.into_body());
    let mut length = 0;
    // The candidate's own words, then the first piece before the last one is sent.
    while length < PIECE {
        if length == 0 {
            pieces.send(piece()).await.expect("sent");
        }
        let frame = answer.next().await.expect("more").expect("a frame");
        length += frame.into_data().expect("data").len();
    }
    let total = 16 << 20;
    let sent = tokio::spawn(async move {
        for _ in 1..total / PIECE {
            pieces.send(piece()).await.expect("sent");
        }
    });
    while let Some(frame) = answer.next().await {
        length += frame.expect("a frame").into_data().expect("data").len();
    }
    sent.await.expect("ended");
    assert_eq!(length, total + "sha256:app:v1 /upload ".len());
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn upload_waits_for_its_reader_and_ends_in_time() {
    let (local, service) = running(Act { takes: Duration::from_secs(3600), ..healthy(8000) }).await;
    let begun = Instant::now();
    let upload = Upload::to(&local, &service).await;
    let mut sent = 0;
    while timeout(Duration::from_secs(5), upload.pieces.send(piece())).await.is_ok() {
        sent += PIECE;
    }
    assert!(sent < 4 << 20, "{sent} bytes wait somewhere");
    assert_eq!(local.engine.requests(), 1);
    drop(upload);
    // While nothing of its body is read, nothing tells that its client is gone.
    while local.engine.requests() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(121), "a request without a client goes on");
        sleep(Duration::from_millis(10)).await;
    }
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn request_has_120_seconds() {
    let (local, service) = running(Act { takes: Duration::from_secs(3600), ..healthy(8000) }).await;
    let begun = Instant::now();
    assert_eq!(local.get(&service, "/").await.0, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(begun.elapsed().as_secs(), 120);
    local.close().await;
    let (local, service) = running(healthy(8000)).await;
    let begun = Instant::now();
    let Upload { pieces, answer, _connection } = Upload::to(&local, &service).await;
    let mut answer = BodyStream::new(answer.await.expect("ended").expect("an answer").into_body());
    answer.next().await.expect("the candidate's words").expect("a frame");
    assert!(answer.next().await.expect("an end").is_err(), "an answer that streams on is cut off");
    assert_eq!(begun.elapsed().as_secs(), 120);
    drop(pieces);
    local.close().await;
}
