//! The token server of a registry with Bearer sign-in: GET with Basic or anonymously, POST with a form, as the
//! distribution specification describes it. It runs on a thread of its own and can be stopped apart from the registry.

mod answer;
mod sign;
mod spec;

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

pub use spec::BearerSpec;

use crate::Port;
use sign::Signer;

/// One request for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// GET or POST.
    pub method: String,
    /// None: anonymous.
    pub user: Option<String>,
    pub scopes: Vec<String>,
    /// 200, or 401 for a wrong password.
    pub status: u16,
}

pub(crate) struct TokenServerState {
    spec: Mutex<BearerSpec>,
    signer: Signer,
    exchanges: Mutex<Vec<Exchange>>,
    /// By identity token.
    identities: Mutex<HashMap<String, String>>,
}

impl TokenServerState {
    fn spec(&self) -> MutexGuard<'_, BearerSpec> {
        self.spec.lock()
    }

    fn identities(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.identities.lock()
    }

    fn note(&self, exchange: Exchange) {
        self.exchanges.lock().push(exchange);
    }
}

/// Issues tokens that the registry accepts.
pub struct TokenServer {
    port: Port,
    desk: Arc<TokenServerState>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl TokenServer {
    pub(crate) const SERVICE: &'static str = "world-registry";
    pub(crate) const ISSUER: &'static str = "world-token-issuer";

    pub(crate) fn start(spec: BearerSpec) -> Self {
        let desk = TokenServerState {
            spec: Mutex::new(spec),
            signer: Signer::new(),
            exchanges: Mutex::default(),
            identities: Mutex::default(),
        };
        let mut server = Self {
            port: Port::free(),
            desk: Arc::new(desk),
            running: None,
        };
        server.start_again();
        server
    }

    pub(crate) fn certificate_pem(&self) -> &str {
        self.desk.signer.certificate_pem()
    }

    pub fn realm(&self) -> String {
        format!("http://{}/token", self.port)
    }

    /// Closes its port; issued tokens stay valid.
    pub fn stop(&mut self) {
        let Some((token, thread)) = self.running.take() else {
            return;
        };
        token.cancel();
        // A panic of the thread was shown by itself.
        let _ = thread.join();
    }

    pub fn start_again(&mut self) {
        if self.running.is_some() {
            return;
        }
        let listener = TcpListener::bind(self.port.address()).expect("the token server's port");
        let token = CancellationToken::new();
        let router = Router::new()
            .route("/token", get(answer::get).post(answer::post))
            .with_state(self.desk.clone());
        let until = token.clone();
        let thread = std::thread::spawn(move || serve(listener, router, &until));
        self.running = Some((token, thread));
    }

    /// Returns the requests for tokens, in order.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.desk.exchanges.lock().clone()
    }

    pub fn forget_exchanges(&self) {
        self.desk.exchanges.lock().clear();
    }

    /// Returns the identity token that `docker login` would store for this user.
    pub fn identity_token(&self, user: &str) -> String {
        let token = uuid::Uuid::new_v4().to_string();
        let mut identities = self.desk.identities();
        identities.insert(token.clone(), user.to_owned());
        token
    }

    /// A ready-made pull token as Harbor puts it into a preheat request: good for 30 minutes, without any exchange.
    pub fn jwt_for(&self, user: &str, repository: &str) -> String {
        self.jwt_lasting(user, repository, Duration::from_secs(1800))
    }

    pub(crate) fn jwt_to_push(&self, repository: &str) -> String {
        let access = sign::Access::new(repository, vec!["pull".to_owned(), "push".to_owned()]);
        self.desk
            .signer
            .sign(super::USER, vec![access], Duration::from_secs(300))
    }

    /// Makes a repository private: only users with a grant for it may pull.
    pub fn make_private(&self, repository: &str) {
        self.desk.spec().make_private(repository);
    }

    pub fn jwt_lasting(&self, user: &str, repository: &str, lifetime: Duration) -> String {
        let access = sign::Access::new(repository, vec!["pull".to_owned()]);
        self.desk.signer.sign(user, vec![access], lifetime)
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Dropping the runtime at the end closes every connection.
pub(super) fn serve(listener: TcpListener, router: Router, until: &CancellationToken) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        listener
            .set_nonblocking(true)
            .expect("a listener for the runtime");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener for the runtime");
        tokio::select! {
            ended = axum::serve(listener, router) => ended.expect("serving"),
            () = until.cancelled() => {}
        }
    });
}
