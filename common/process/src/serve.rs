//! Listeners: accept, speak HTTP/1.1 (or 2 where the client asks for it), drain.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::Running;
use crate::mutual::{ClientCertificate, MutualAcceptor};

/// A client that does not finish its request head in this time is let go.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// After a failed accept (too many open files): wait, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

pub async fn bind(address: &str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| ServeError::Bind {
            address: address.to_owned(),
            error,
        })
}

/// Serves `router` until the process stops; connections are tasks of `running`.
pub fn serve(
    listener: TcpListener,
    router: Router,
    running: &Running,
    tls: Option<&TlsFiles>,
) -> Result<(), ServeError> {
    let acceptor = tls.map(acceptor).transpose()?;
    let tasks = running.clone();
    running.spawn(async move { accept_until_stopped(listener, router, tasks, acceptor).await });
    Ok(())
}

/// Serves `router` to callers whose certificates the acceptor verifies; each request carries the shown certificate as
/// [`ClientCertificate`].
pub fn serve_mutual(listener: TcpListener, router: Router, running: &Running, acceptor: &MutualAcceptor) {
    let (tasks, acceptor) = (running.clone(), Some(acceptor.tls()));
    running.spawn(async move { accept_until_stopped(listener, router, tasks, acceptor).await });
}

async fn accept_until_stopped(
    listener: TcpListener,
    router: Router,
    running: Running,
    acceptor: Option<TlsAcceptor>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = running.stopping().cancelled() => return,
        };
        match accepted {
            Ok((stream, from)) => {
                let connection = speak_on(
                    stream,
                    from,
                    router.clone(),
                    acceptor.clone(),
                    running.stopping().clone(),
                );
                running.spawn(connection);
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn speak_on(
    stream: TcpStream,
    from: SocketAddr,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    stopping: CancellationToken,
) {
    // Small answers must not wait for the client's acknowledgement of the previous one.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else {
        return speak(stream, from, None, router, stopping).await;
    };
    match timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = ClientCertificate::shown_on(&stream);
            speak(stream, from, shown, router, stopping).await;
        }
        Ok(Err(error)) => debug!(%from, %error, "TLS handshake failed"),
        Err(_) => debug!(%from, "TLS handshake took too long"),
    }
}

async fn speak<S>(
    stream: S,
    from: SocketAddr,
    shown: Option<ClientCertificate>,
    router: Router,
    stopping: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(from));
        if let Some(shown) = &shown {
            request.extensions_mut().insert(shown.clone());
        }
        request.map(axum::body::Body::new)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%from, %error, "connection ended early");
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, ServeError> {
    let fault = |file: &PathBuf, reason: String| ServeError::Tls {
        file: file.clone(),
        reason,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| fault(&files.certificate, format!("no PEM certificates: {error}")))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| fault(&files.key, format!("no PEM private key: {error}")))?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| fault(&files.key, format!("certificate and key do not fit: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
