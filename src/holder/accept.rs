//! Accepts connections, even while the process is out of descriptors.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// Pause before accepting again: other connections must end first.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(20);

/// The next connection.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    retry(|| listener.accept()).await.0
}

/// Retries until it succeeds. Errors of one connection affect nobody else; after any other error (no descriptors, no
/// memory) the connection is still pending, and an immediate retry would spin.
async fn retry<T, F: Future<Output = io::Result<T>>>(mut accept: impl FnMut() -> F) -> T {
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_connection(&error) => {}
            Err(_) => tokio::time::sleep(RETRY_AFTER).await,
        }
    }
}

/// Whether the error belongs to the accepted connection, which is gone (accept(2), "Error handling").
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) || is_of_protocol(error)
}

/// An error that has no kind of its own.
#[cfg(target_os = "linux")]
fn is_of_protocol(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::EPROTO)
}

#[cfg(not(target_os = "linux"))]
fn is_of_protocol(_: &io::Error) -> bool {
    false
}

// The numbers of errors are Linux'.
#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use nix::libc;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn accept_waits_instead_of_spinning_without_descriptors() {
        for (error, wait) in [
            (libc::EMFILE, RETRY_AFTER),
            (libc::ENOBUFS, RETRY_AFTER),
            (libc::ECONNABORTED, Duration::ZERO),
            (libc::EPROTO, Duration::ZERO),
        ] {
            let (begun, mut tries) = (Instant::now(), 0);
            let accepted = retry(|| {
                tries += 1;
                let tried = if tries <= 5 { Err(io::Error::from_raw_os_error(error)) } else { Ok("accepted") };
                std::future::ready(tried)
            });
            assert_eq!(accepted.await, "accepted");
            // tokio's clock moves in milliseconds.
            let waited = begun.elapsed();
            assert!(waited >= wait * 5 && waited < wait * 5 + Duration::from_millis(10), "{error}: {waited:?}");
        }
    }
}
