//! Work that takes many milliseconds, on a thread of its own: health checks get their times from the main one.

/// Does some work on a thread of its own. A panic there is a panic here.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(result) => result,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime shuts down: nobody waits for the result.
        Err(Err(_)) => std::future::pending().await,
    }
}
