//! Serves each connection of a listener in a task of its own.

use std::io;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Hands each connection to `pass`. All of it ends when the set is dropped.
pub(crate) fn serve_each<F>(
    listener: TcpListener,
    pass: impl Fn(TcpStream) -> F + Send + 'static,
) -> JoinSet<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let passing = pass(client);
            connections.spawn(async move {
                // A client that disconnects early is fine.
                let _ = passing.await;
            });
        }
    });
    serving
}
