//! One connection, from the handshake to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_nodelay,
};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::debug;

use super::activity::ConnectionActivity;
use super::admission::{AdmissionSlot, Full};
use super::upload::Upload;
use super::watched::Watched;
use super::watched_body::WatchedBody;
use super::{Identify, ListenerLimits};
use crate::mutual::ClientCertificate;

/// TCP keepalive: below the five minutes after which common NATs forget a connection.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// What all connections of one listener share.
pub(super) struct Listener {
    pub(super) router: Router,
    pub(super) limits: ListenerLimits,
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) identify: Option<Identify>,
    pub(super) stopping: CancellationToken,
}

/// The client of a connection.
#[derive(Clone)]
struct Client {
    from: SocketAddr,
    certificate: Option<ClientCertificate>,
}

impl Listener {
    /// Serves one connection; its slot is freed at the end.
    pub(super) async fn speak_on(
        self: Arc<Self>,
        stream: TcpStream,
        from: SocketAddr,
        mut place: AdmissionSlot,
    ) {
        if let Err(error) = tune(&stream) {
            debug!(%from, %error, "socket option not set");
        }
        let Some(acceptor) = &self.acceptor else {
            let certificate = None;
            return self.speak(stream, Client { from, certificate }).await;
        };
        let stream = match timeout(self.limits.handshake, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return debug!(%from, %error, "TLS handshake failed"),
            Err(_) => return debug!(%from, "TLS handshake timed out"),
        };
        let certificate = ClientCertificate::shown_on(&stream);
        if let Err(why) = self.count(&mut place, certificate.as_ref()) {
            return debug!(%from, "connection refused: {why}");
        }
        self.speak(stream, Client { from, certificate }).await;
    }

    fn count(&self, place: &mut AdmissionSlot, certificate: Option<&ClientCertificate>) -> Result<(), Full> {
        let Some(certificate) = certificate else {
            return Ok(());
        };
        let identity = match &self.identify {
            Some(identify) => identify(certificate),
            None => Some(fingerprint(certificate.der())),
        };
        identity.map_or(Ok(()), |identity| place.identified(identity, &self.limits))
    }

    async fn speak<S>(&self, stream: S, client: Client)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = ConnectionActivity::new(self.limits.clone());
        let from = client.from;
        let builder = builder(&self.limits);
        let service = service_fn(|request| self.answer(&activity, &client, request));
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
        let mut connection = std::pin::pin!(builder.serve_connection(stream, service));
        let served = async {
            tokio::select! {
                ended = connection.as_mut() => return ended,
                () = self.stopping.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            connection.await
        };
        tokio::select! {
            ended = served => if let Err(error) = ended {
                debug!(%from, %error, "connection ended early");
            },
            why = activity.overdue() => debug!(%from, "connection closed: {why}"),
        }
    }

    fn answer(
        &self,
        activity: &Arc<ConnectionActivity>,
        client: &Client,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<WatchedBody>, Infallible>> + Send + 'static {
        let in_progress = activity.begin(request.version());
        let mut request = request.map(|body| axum::body::Body::new(Upload::new(body, &self.limits)));
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(client.from));
        if let Some(certificate) = &client.certificate {
            extensions.insert(certificate.clone());
        }
        let answered = self.router.clone().oneshot(request);
        async move {
            let response = answered.await?;
            Ok(response.map(|body| WatchedBody::new(body, in_progress)))
        }
    }
}

fn builder(limits: &ListenerLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // hyper's own head timeout also runs on idle connections, and not before the version is known: see `activity`.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_answer)
        .max_concurrent_streams(limits.streams);
    builder
}

fn tune(stream: &TcpStream) -> rustix::io::Result<()> {
    // A small response must not wait for the acknowledgement of the previous one.
    set_tcp_nodelay(stream, true)?;
    // Detects a client that vanished, even while nothing is sent.
    set_socket_keepalive(stream, true)?;
    set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    set_tcp_keepcnt(stream, KEEPALIVE_PROBES)
}

fn fingerprint(certificate: &[u8]) -> Arc<str> {
    hex::encode(Sha256::digest(certificate)).into()
}
