//! A lease keeps a healthy candidate running, for whoever sends requests to it.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncRead;
use tokio::sync::watch;
use tokio_util::io::StreamReader;

use super::RunError;
use super::program::PROGRAM;
use crate::engine::{Engine, Output};
use crate::holder::protocol::{RELAY_STREAM_WINDOW, RELAY_WINDOW, Sent};
use crate::model::Redactor;
use crate::model::redact::REDACTED;

/// Longest line of output in bytes; the rest of a longer one is the next line.
const LONGEST_LINE: usize = 64 << 10;

/// What a lease tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A line of the candidate's output, without secrets.
    Line(String),
    /// It sent a request to a host of the simulated internet; without secrets.
    Sent(Sent),
    /// It is healthy and takes requests by way of this holder's container; see [`open`].
    Serving(String),
}

/// Keeps a candidate running.
#[derive(Clone)]
pub(crate) struct Lease {
    released: watch::Receiver<bool>,
    tell: Arc<dyn Fn(Told) + Send + Sync>,
}

impl Lease {
    /// A lease that ends when the sender of `released` sends true, or is dropped. `tell` is called with all there is to tell.
    #[must_use]
    pub(crate) fn new(released: watch::Receiver<bool>, tell: impl Fn(Told) + Send + Sync + 'static) -> Self {
        Self { released, tell: Arc::new(tell) }
    }

    /// Whether the candidate is no longer needed.
    #[must_use]
    pub(crate) fn is_released(&self) -> bool {
        *self.released.borrow() || self.released.has_changed().is_err()
    }

    /// Resolves when the candidate is no longer needed.
    pub(crate) async fn released(&self) {
        // The end of the sender is a release, too.
        drop(self.released.clone().wait_for(|released| *released).await);
    }

    /// Tells that the candidate takes requests by way of a holder.
    pub(crate) fn serve(&self, holder: &str) {
        (self.tell)(Told::Serving(holder.to_owned()));
    }

    /// Tells a request of the candidate. What it sends to others is as private as its log; passwords that are good once are
    /// secrets, too.
    pub(crate) fn send(&self, request: Sent, redactor: &Redactor) {
        let clean = |text: &str| without_codes(&redactor.clean(text));
        (self.tell)(Told::Sent(Sent { path: redactor.clean(&request.path), body: clean(&request.body), ..request }));
    }

    /// Tells the lines that a piece of output completes; `line` keeps the rest.
    pub(crate) fn write(&self, line: &mut Vec<u8>, piece: &[u8], redactor: &Redactor) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") || line.len() >= LONGEST_LINE {
                self.write_rest(line, redactor);
            }
        }
    }

    /// Tells the last line, which may have no end.
    pub(crate) fn write_rest(&self, line: &mut Vec<u8>, redactor: &Redactor) {
        let whole = std::mem::take(line);
        if !whole.is_empty() {
            let text = String::from_utf8_lossy(&whole);
            (self.tell)(Told::Line(redactor.clean(text.trim_end_matches(['\n', '\r']))));
        }
    }
}

/// A body without numbers of four to eight digits: the codes that are sent to people. A telephone number is longer, or has a
/// plus before it, which a form writes as `%2B`: its own plus is a space.
fn without_codes(body: &str) -> String {
    let is_json = body.trim_start().starts_with(['{', '[']);
    let is_word = |c: char| c.is_ascii_alphanumeric() || (is_json && c == '+');
    let mut clean = String::new();
    let mut rest = body;
    while let Some(at) = rest.find(is_word) {
        let (before, from) = rest.split_at(at);
        let (word, after) = from.split_at(from.find(|c| !is_word(c)).unwrap_or(from.len()));
        let is_code = (4..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
        clean.push_str(before);
        clean.push_str(if is_code { REDACTED } else { word });
        rest = after;
    }
    clean + rest
}

/// Opens a way for requests to the candidate of a holder: HTTP/2 over the streams of a command in the holder's container,
/// so that it works on a remote engine. Any number of requests go over it side by side; it ends with its last sender.
///
/// # Errors
/// The engine's, and when nothing is relayed there.
pub(crate) async fn open(engine: &dyn Engine, holder: &str) -> Result<SendRequest<Incoming>, RunError> {
    let attached = engine.exec(holder, &[PROGRAM, "relay"]).await?;
    let output = attached.output.filter_map(async |piece| match piece {
        Ok(Output::Stdout(bytes)) => Some(Ok(bytes)),
        Ok(Output::Stderr(bytes)) => {
            tracing::warn!("relay: {}", String::from_utf8_lossy(&bytes).trim_end());
            None
        }
        Err(e) => Some(Err(std::io::Error::other(e.to_string()))),
    });
    let reader: Pin<Box<dyn AsyncRead + Send>> = Box::pin(StreamReader::<_, Bytes>::new(Box::pin(output)));
    let stream = TokioIo::new(tokio::io::join(reader, attached.input));
    let opened = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(RELAY_STREAM_WINDOW)
        .initial_connection_window_size(RELAY_WINDOW)
        .handshake(stream)
        .await;
    let (sender, connection) = opened.map_err(|e| RunError::Holder(format!("opening a way to it: {e}")))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the way to a candidate ended");
        }
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lines_are_whole_and_without_secrets() {
        let (told, lines) = std::sync::mpsc::channel();
        let (_release, released) = watch::channel(false);
        let lease = Lease::new(released, move |news| told.send(news).expect("heard"));
        let redactor = Redactor::new([("KEY", "s3cret-value")], &BTreeSet::from(["KEY".to_owned()]));
        let mut line = Vec::new();
        for piece in ["one\ntw", "o s3cr", "et-value\r\nth"] {
            lease.write(&mut line, piece.as_bytes(), &redactor);
        }
        lease.write_rest(&mut line, &redactor);
        drop(lease);
        let mut seen = Vec::new();
        while let Ok(Told::Line(line)) = lines.try_recv() {
            seen.push(line);
        }
        assert_eq!(seen, ["one", "two ‹redacted›", "th"]);
    }

    #[test]
    fn codes_are_redacted_and_telephone_numbers_are_not() {
        for (text, clean) in [
            ("To=%2B15550100&Body=Your+code+is+482913", "To=%2B15550100&Body=Your+code+is+‹redacted›"),
            (
                r#"{"to":"+15550100","text":"Your code is 482913."}"#,
                r#"{"to":"+15550100","text":"Your code is ‹redacted›."}"#,
            ),
            ("VA0123 has 12 and 1234567", "VA0123 has 12 and ‹redacted›"),
        ] {
            assert_eq!(without_codes(text), clean);
        }
    }

    #[tokio::test]
    async fn dropped_sender_is_a_release() {
        let (release, released) = watch::channel(false);
        let lease = Lease::new(released, |_| {});
        assert!(!lease.is_released());
        drop(release);
        lease.released().await;
        assert!(lease.is_released());
    }
}
