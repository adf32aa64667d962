//! Runs file work on threads that may block.

use std::io;

/// Runs `work` on a blocking thread.
pub async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|cut| Err(io::Error::other(cut)))
}
