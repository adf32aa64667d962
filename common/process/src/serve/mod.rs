//! Listeners: accept within limits, serve HTTP/1.1 (or 2 if the client starts it), close idle connections, drain.
//!
//! **Invariant:** an inactive client holds no resource for long: each wait for a client has a limit ([`ListenerLimits`]),
//! and clients can never use the descriptors that probes need.

mod activity;
mod admission;
mod certificates;
mod connection;
mod limits;
#[cfg(test)]
mod tests;
mod upload;
mod watched;
mod watched_body;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use self::admission::{Admission, AdmissionSlot, Full};
use self::connection::Listener;
use crate::Running;
use crate::mutual::{ClientCertificate, MutualAcceptor};

pub use self::certificates::Certificates;
pub use self::limits::ListenerLimits;

/// The pause after a failed accept (too many open files), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The interval for logging refused connections.
const REFUSALS_LOGGED_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}: {error}; stop the program that uses it, or choose another address")]
    Bind { address: String, error: io::Error },
    #[error("{file}: {reason}")]
    Tls { file: PathBuf, reason: String },
}

/// Certificate chain and key, PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Names the client of a certificate, whose connections are counted together. `None`: they are not counted.
pub type Identify = Arc<dyn Fn(&ClientCertificate) -> Option<Arc<str>> + Send + Sync>;

pub async fn bind(address: &str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| ServeError::Bind {
            address: address.to_owned(),
            error,
        })
}

/// Serves `router` with the default limits until the process stops; connections are tasks of `running`. Certificates are
/// reloaded when their files change.
pub fn serve(
    listener: TcpListener,
    router: Router,
    running: &Running,
    tls: Option<&TlsFiles>,
) -> Result<(), ServeError> {
    let mut serving = Serving::new(listener, router);
    if let Some(files) = tls {
        let certificates = Certificates::open(files)?;
        serving = serving.acceptor(certificates.acceptor());
        running.spawn(certificates.follow(running.stopping().clone()));
    }
    serving.spawn(running);
    Ok(())
}

/// Serves `router` to callers whose certificates the acceptor verifies; each request has a [`ClientCertificate`]
/// extension.
pub fn serve_mutual(listener: TcpListener, router: Router, running: &Running, acceptor: &MutualAcceptor) {
    Serving::new(listener, router)
        .acceptor(acceptor.tls())
        .spawn(running);
}

/// A listener and its options.
pub struct Serving {
    listener: TcpListener,
    router: Router,
    limits: ListenerLimits,
    acceptor: Option<TlsAcceptor>,
    identify: Option<Identify>,
}

impl Serving {
    pub fn new(listener: TcpListener, router: Router) -> Self {
        Self {
            listener,
            router,
            limits: ListenerLimits::default(),
            acceptor: None,
            identify: None,
        }
    }

    #[must_use]
    pub fn limits(self, limits: ListenerLimits) -> Self {
        Self { limits, ..self }
    }

    /// Serves TLS; without this, plain HTTP.
    #[must_use]
    pub fn acceptor(self, acceptor: TlsAcceptor) -> Self {
        let acceptor = Some(acceptor);
        Self { acceptor, ..self }
    }

    /// Sets how connections are counted per client; by default per certificate.
    #[must_use]
    pub fn identify(self, identify: Identify) -> Self {
        let identify = Some(identify);
        Self { identify, ..self }
    }

    /// Serves until the process stops; connections are tasks of `running`.
    pub fn spawn(self, running: &Running) {
        let tasks = running.clone();
        running.spawn(accept_until_stopped(self, tasks));
    }
}

async fn accept_until_stopped(serving: Serving, running: Running) {
    let shared = Listener {
        router: serving.router,
        limits: serving.limits,
        acceptor: serving.acceptor,
        identify: serving.identify,
        stopping: running.stopping().clone(),
    };
    let (shared, admission) = (Arc::new(shared), Admission::default());
    let mut refusals = Refusals::default();
    loop {
        let accepted = tokio::select! {
            accepted = serving.listener.accept() => accepted,
            () = running.stopping().cancelled() => return,
        };
        match accepted {
            Ok((stream, from)) => match admitted(&admission, &stream, from, &shared.limits) {
                Ok(place) => {
                    running.spawn(Arc::clone(&shared).speak_on(stream, from, place));
                }
                Err(why) => refusals.one_more(from, why),
            },
            Err(error) => {
                warn!(%error, "connection not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admitted(
    admission: &Admission,
    stream: &TcpStream,
    from: SocketAddr,
    limits: &ListenerLimits,
) -> Result<AdmissionSlot, Full> {
    let descriptor = u64::try_from(stream.as_raw_fd()).unwrap_or(u64::MAX);
    admission.admit(from.ip(), descriptor, limits)
}

/// Counts refused connections and logs them at an interval, so that a flood of them does not flood the log.
#[derive(Default)]
struct Refusals {
    count: u64,
    logged: Option<Instant>,
}

impl Refusals {
    fn one_more(&mut self, from: SocketAddr, why: Full) {
        self.count += 1;
        if self.logged.is_some_and(|at| at.elapsed() < REFUSALS_LOGGED_EVERY) {
            return;
        }
        warn!(%from, refused = self.count, "connection refused: {why}");
        *self = Self {
            count: 0,
            logged: Some(Instant::now()),
        };
    }
}
