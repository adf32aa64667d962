//! A server's certificate, reloaded when its files change and on SIGHUP.
//!
//! **Invariant:** an unusable pair never replaces a usable one: the old pair stays in use, and the log says what is wrong
//! with the new one.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{ServeError, TlsFiles};

/// How often the files are compared with the pair in use. By content, to notice swapped links of Kubernetes secrets and
/// copies that keep their times.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(30);

/// The bytes of both files, to detect a change.
#[derive(Clone, PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate for new connections.
pub struct Certificates {
    files: TlsFiles,
    look_every: Duration,
    current: RwLock<Arc<CertifiedKey>>,
    /// The last content read, also if unusable, so that it is logged once.
    seen: Mutex<Content>,
}

impl Certificates {
    /// Reads the pair; an unusable one is an error here, and only logged later.
    pub fn open(files: &TlsFiles) -> Result<Arc<Self>, ServeError> {
        Self::looked_at_every(files, LOOKED_AT_EVERY)
    }

    fn looked_at_every(files: &TlsFiles, look_every: Duration) -> Result<Arc<Self>, ServeError> {
        let content = read(files)?;
        let pair = parse(files, &content)?;
        Ok(Arc::new(Self {
            files: files.clone(),
            look_every,
            current: RwLock::new(Arc::new(pair)),
            seen: Mutex::new(content),
        }))
    }

    /// Returns an acceptor that uses the current certificate and requests none from the client.
    pub fn acceptor(self: &Arc<Self>) -> TlsAcceptor {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Checks the files at an interval and on SIGHUP, until the process stops.
    pub async fn follow(self: Arc<Self>, stopping: CancellationToken) {
        // Without a handler, only the interval applies.
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut hung_up = async move || match &mut hangup {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        };
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = hung_up() => info!("SIGHUP received, reloading the certificate"),
                () = sleep(self.look_every) => {}
            }
            let this = Arc::clone(&self);
            // A hanging file system must not block connections.
            let _ = tokio::task::spawn_blocking(move || this.look()).await;
        }
    }

    /// Switches to a new pair if there is a usable one.
    fn look(&self) {
        let file = self.files.certificate.display();
        match self.take_anew() {
            Ok(false) => {}
            Ok(true) => info!(%file, "certificate replaced"),
            Err(fault) => error!(error = %fault, "new certificate unusable, keeping the old one"),
        }
    }

    /// Returns whether a new pair is in use.
    fn take_anew(&self) -> Result<bool, ServeError> {
        let content = read(&self.files)?;
        {
            let mut seen = self.seen.lock();
            if *seen == content {
                return Ok(false);
            }
            *seen = content.clone();
        }
        let pair = Arc::new(parse(&self.files, &content)?);
        *self.current.write() = pair;
        Ok(true)
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Certificates")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read();
        Some(Arc::clone(&current))
    }
}

fn fault(file: &Path, reason: String) -> ServeError {
    ServeError::Tls {
        file: file.to_owned(),
        reason,
    }
}

fn read(files: &TlsFiles) -> Result<Content, ServeError> {
    let bytes = |file: &Path| {
        fs::read(file).map_err(|error| {
            fault(
                file,
                format!("cannot be read: {error}; check its path and permissions"),
            )
        })
    };
    Ok(Content {
        certificate: bytes(&files.certificate)?,
        key: bytes(&files.key)?,
    })
}

fn parse(files: &TlsFiles, content: &Content) -> Result<CertifiedKey, ServeError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&content.certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| fault(&files.certificate, format!("not PEM certificates: {error}")))?;
    if chain.is_empty() {
        return Err(fault(&files.certificate, "it has no PEM certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&content.key)
        .map_err(|error| fault(&files.key, format!("not a PEM private key: {error}")))?;
    CertifiedKey::from_der(chain, key, &provider())
        .map_err(|error| fault(&files.key, format!("certificate and key do not match: {error}")))
}

fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().map_or_else(
        || Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        Arc::clone,
    )
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use rustix::process::{Signal, getpid, kill_process};
    use rustls::{ClientConfig, RootCertStore};
    use tempfile::TempDir;
    use tokio::net::TcpStream;
    use tokio::time::timeout;
    use tokio_rustls::TlsConnector;

    use super::super::{Serving, bind};
    use super::*;
    use crate::Running;

    const AT_MOST: Duration = Duration::from_secs(30);
    const NEVER: Duration = Duration::from_secs(3_600);

    /// A listener whose certificate is followed, and every certificate that was made for it.
    struct CertificateFixture {
        folder: TempDir,
        files: TlsFiles,
        roots: RootCertStore,
        running: Running,
    }

    impl CertificateFixture {
        fn new() -> Self {
            crate::install_tls_provider();
            let folder = tempfile::tempdir().expect("a folder");
            let files = TlsFiles {
                certificate: folder.path().join("cert.pem"),
                key: folder.path().join("key.pem"),
            };
            Self {
                folder,
                files,
                roots: RootCertStore::empty(),
                running: Running::new(),
            }
        }

        /// Writes a new pair and returns its certificate.
        fn renew(&mut self) -> CertificateDer<'static> {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
            fs::write(&self.files.key, made.signing_key.serialize_pem()).expect("written");
            fs::write(&self.files.certificate, made.cert.pem()).expect("written");
            let certificate = made.cert.der().clone();
            self.roots.add(certificate.clone()).expect("a root");
            certificate
        }

        async fn serve(&self, look_every: Duration) -> String {
            let certificates = Certificates::looked_at_every(&self.files, look_every).expect("a good pair");
            let listener = bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address").to_string();
            Serving::new(listener, Router::new())
                .acceptor(certificates.acceptor())
                .spawn(&self.running);
            let stopping = self.running.stopping().clone();
            self.running.spawn(certificates.follow(stopping));
            address
        }

        /// Returns the certificate that a new connection gets.
        async fn shown(&self, address: &str) -> CertificateDer<'static> {
            let config = ClientConfig::builder()
                .with_root_certificates(self.roots.clone())
                .with_no_client_auth();
            let stream = TcpStream::connect(address).await.expect("connected");
            let name = "localhost".try_into().expect("a name");
            let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
            let stream = connected.expect("a handshake");
            let (_, session) = stream.get_ref();
            let chain = session.peer_certificates().expect("a certificate");
            chain.first().expect("a leaf").clone().into_owned()
        }

        /// Waits until new connections get this certificate; calls `nudge` before each attempt.
        async fn until_shown(&self, address: &str, wanted: &CertificateDer<'_>, nudge: impl Fn()) {
            let shown = timeout(AT_MOST, async {
                loop {
                    nudge();
                    if self.shown(address).await == *wanted {
                        return;
                    }
                    sleep(Duration::from_millis(20)).await;
                }
            });
            assert!(shown.await.is_ok(), "the new certificate is not used");
        }
    }

    #[tokio::test]
    async fn a_client_that_never_begins_the_handshake_is_closed() {
        use tokio::io::AsyncReadExt as _;
        let mut fixture = CertificateFixture::new();
        fixture.renew();
        let certificates = Certificates::open(&fixture.files).expect("a good pair");
        let listener = bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let limits = crate::ListenerLimits {
            handshake: Duration::from_millis(100),
            ..crate::ListenerLimits::default()
        };
        Serving::new(listener, Router::new())
            .limits(limits)
            .acceptor(certificates.acceptor())
            .spawn(&fixture.running);
        let mut stalled = TcpStream::connect(address).await.expect("connected");
        let mut all = Vec::new();
        let closed = timeout(AT_MOST, stalled.read_to_end(&mut all)).await;
        assert!(closed.is_ok(), "still open after {AT_MOST:?}");
    }

    fn send_sighup() {
        kill_process(getpid(), Signal::HUP).expect("sent");
    }

    #[tokio::test]
    async fn a_new_certificate_is_used_when_the_files_change() {
        let mut fixture = CertificateFixture::new();
        let first = fixture.renew();
        let address = fixture.serve(Duration::from_millis(20)).await;
        assert_eq!(fixture.shown(&address).await, first);
        let second = fixture.renew();
        fixture.until_shown(&address, &second, || ()).await;
    }

    #[tokio::test]
    async fn sighup_reloads_the_certificate_and_does_not_end_the_process() {
        crate::survive_hangup();
        let mut fixture = CertificateFixture::new();
        fixture.renew();
        let address = fixture.serve(NEVER).await;
        let second = fixture.renew();
        fixture.until_shown(&address, &second, send_sighup).await;
    }

    #[test]
    fn an_invalid_pair_leaves_the_old_one_in_use() {
        let mut fixture = CertificateFixture::new();
        fixture.renew();
        let certificates = Certificates::open(&fixture.files).expect("a good pair");
        let in_use = || Arc::clone(&certificates.current.read());
        let old = in_use();
        let key_of_another = rcgen::KeyPair::generate().expect("a key").serialize_pem();
        let good = fs::read(&fixture.files.key).expect("a key");
        for (file, bytes) in [
            (&fixture.files.key, b"no key".to_vec()),
            (&fixture.files.key, key_of_another.into_bytes()),
            (&fixture.files.certificate, Vec::new()),
        ] {
            fs::write(file, bytes).expect("written");
            certificates.take_anew().expect_err("a broken pair was accepted");
            assert!(Arc::ptr_eq(&in_use(), &old));
            assert!(matches!(certificates.take_anew(), Ok(false)), "reported twice");
        }
        fs::remove_file(&fixture.files.certificate).expect("removed");
        let fault = certificates.take_anew().expect_err("no file");
        assert!(fault.to_string().contains("cert.pem"), "{fault}");
        fs::write(&fixture.files.key, good).expect("written");
        fixture.renew();
        assert!(matches!(certificates.take_anew(), Ok(true)));
        assert!(!Arc::ptr_eq(&in_use(), &old));
        drop(fixture.folder);
    }
}
