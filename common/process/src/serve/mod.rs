//! Listeners: accept within limits, speak HTTP/1.1 (or 2 where the client asks for it), close what does nothing, drain.
//!
//! **Invariant:** a client that does nothing holds nothing for long: each wait for a client has a limit ([`ListenerLimits`]), and
//! no number of clients takes the descriptors that probes need.

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

/// After a failed accept (too many open files): wait, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Refused connections are logged once in this time.
const REFUSALS_LOGGED_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}: {error} (is another program there? choose another address)")]
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

/// Names the client that a certificate belongs to: its connections are counted together. None: they are not counted.
pub type Identify = Arc<dyn Fn(&ClientCertificate) -> Option<Arc<str>> + Send + Sync>;

pub async fn bind(address: &str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| ServeError::Bind {
            address: address.to_owned(),
            error,
        })
}

/// Serves `router` until the process stops, with the default limits; connections are tasks of `running`. Certificates are
/// read again when their files change.
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

/// Serves `router` to callers whose certificates the acceptor verifies; each request carries the shown certificate as
/// [`ClientCertificate`].
pub fn serve_mutual(listener: TcpListener, router: Router, running: &Running, acceptor: &MutualAcceptor) {
    Serving::new(listener, router)
        .acceptor(acceptor.tls())
        .spawn(running);
}

/// A listener with all that can be chosen about it.
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

    /// Plain HTTP unless there is one.
    #[must_use]
    pub fn acceptor(self, acceptor: TlsAcceptor) -> Self {
        let acceptor = Some(acceptor);
        Self { acceptor, ..self }
    }

    /// Counts connections per client certificate; without this, the certificate itself is what is counted.
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
                warn!(%error, "cannot accept a connection");
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

/// Connections that were closed at once, logged now and then: a flood of them must not flood the log.
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
