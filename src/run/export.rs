//! Feeds an archive that the engine streams to blocking code.

use std::io::{self, Read};
use std::pin::Pin;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::engine::{EngineError, EngineResult};

/// An archive, as the engine streams it.
pub(crate) type Export = Pin<Box<dyn Stream<Item = EngineResult<Bytes>> + Send>>;

/// Number of pieces buffered for the reader.
const WAITING: usize = 16;

/// A blocking reader of the stream.
pub(crate) struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let size = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..size]);
        Ok(size)
    }
}

/// Passes an archive to `work`, which runs on a thread for blocking code and sees the end of the stream even when this
/// future is dropped.
///
/// # Errors
/// The engine's, or those of `work`.
pub(crate) async fn read_to_end<T: Send + 'static>(
    mut stream: Export,
    work: impl FnOnce(Pieces) -> io::Result<T> + Send + 'static,
) -> EngineResult<T> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let work = tokio::task::spawn_blocking(move || work(Pieces { receiver, current: Bytes::new() }));
    let mut failed = None;
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => {
                // The reader is done: an archive may have trailing bytes.
                if sender.send(piece).await.is_err() {
                    break;
                }
            }
            Err(e) => {
                failed = Some(e);
                break;
            }
        }
    }
    drop(sender);
    let done = work.await.map_err(|e| broken(&e))?;
    match failed {
        Some(e) => Err(e),
        None => done.map_err(|e| broken(&e)),
    }
}

fn broken(error: &dyn std::error::Error) -> EngineError {
    EngineError::Broken { action: "reading an image's files".to_owned(), message: error.to_string() }
}
