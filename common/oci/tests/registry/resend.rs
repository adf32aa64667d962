//! Connections that break before the head of a response: the request is sent once more, then it is a network failure.

use std::sync::Arc;

use oci::{
    Credential, Digest, ForwardedObject, ForwardedRequest, Registry, RegistryError, RegistrySettings, Secret,
    Side,
};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::server::{ann, reach, reach_within, repository, short_limits, tag};

/// What the server does with one request.
#[derive(Debug, Clone)]
enum ServerAction {
    Respond(String),
    /// Sends this and closes the connection.
    CutAfter(String),
    /// Closes the connection in good order, without a response.
    Closed,
    /// Resets the connection.
    Reset,
    /// Sends nothing.
    Hang,
}

/// A server of raw sockets. It records the first line of each request, with the number of its connection.
struct RawServer {
    registry: Registry,
    requests: Arc<Mutex<Vec<(usize, String)>>>,
    _serving: JoinSet<()>,
}

impl RawServer {
    async fn start(action: impl Fn(usize, &str) -> ServerAction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = RegistrySettings {
            plain_http: true,
            ..RegistrySettings::new(listener.local_addr().unwrap().to_string().parse().unwrap())
        };
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, action) = (Arc::clone(&requests), Arc::new(action));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve_connection(
                    stream,
                    connection,
                    Arc::clone(&seen),
                    Arc::clone(&action),
                ));
            }
        });
        Self {
            registry: reach(settings.clone()),
            requests,
            _serving: serving,
        }
    }

    fn requests(&self) -> Vec<(usize, String)> {
        self.requests.lock().clone()
    }

    /// Returns the connections of all requests whose first line contains `part`.
    fn connections(&self, part: &str) -> Vec<usize> {
        let requests = self.requests();
        let chosen = requests.iter().filter(|(_, line)| line.contains(part));
        chosen.map(|(connection, _)| *connection).collect()
    }

    async fn pull(&self, wanted: &str) -> Result<(), RegistryError> {
        let (repository, wanted) = (repository(), tag(wanted));
        let pulled = self.registry.manifest(&repository, &wanted, &ann()).await;
        pulled.map(|_| ())
    }
}

async fn serve_connection<F: Fn(usize, &str) -> ServerAction>(
    mut stream: TcpStream,
    connection: usize,
    seen: Arc<Mutex<Vec<(usize, String)>>>,
    action: Arc<F>,
) {
    let mut buffer = [0; 8192];
    loop {
        stream.readable().await.unwrap();
        let length = stream.peek(&mut buffer).await.unwrap_or(0);
        if length == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if !text.contains("\r\n\r\n") {
            continue;
        }
        let line = text.lines().next().unwrap_or_default().to_owned();
        let number = {
            let mut seen = seen.lock();
            seen.push((connection, line.clone()));
            seen.len() - 1
        };
        match action(number, &line) {
            // The request is not read, so the kernel resets the connection.
            ServerAction::Reset => return,
            ServerAction::Closed => return drop(stream.read(&mut buffer).await),
            ServerAction::Hang => std::future::pending().await,
            ServerAction::CutAfter(start) => {
                let _ = stream.read(&mut buffer).await;
                return stream.write_all(start.as_bytes()).await.unwrap();
            }
            ServerAction::Respond(answer) => {
                let _ = stream.read(&mut buffer).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }
}

fn answered(status: &str, headers: &str, body: &str) -> ServerAction {
    let length = body.len();
    ServerAction::Respond(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    ))
}

fn manifest() -> ServerAction {
    let body = String::from_utf8(crate::server::MANIFEST.to_vec()).unwrap();
    answered(
        "200 OK",
        &format!("content-type: {}\r\n", crate::server::OCI_MANIFEST),
        &body,
    )
}

#[tokio::test]
async fn a_broken_kept_connection_is_replaced_without_an_error() {
    for broken in [ServerAction::Closed, ServerAction::Reset] {
        let action = broken.clone();
        let server =
            RawServer::start(move |number, _| if number == 1 { action.clone() } else { manifest() }).await;
        server.pull("1").await.unwrap();
        server
            .pull("2")
            .await
            .unwrap_or_else(|error| panic!("{broken:?}: {error}"));
        let [first, second] = server.connections("manifests/2")[..] else {
            panic!("{broken:?}: {:?}", server.requests())
        };
        assert_ne!(first, second, "{broken:?}");
    }
}

#[tokio::test]
async fn a_head_and_a_forwarded_request_are_sent_again_too() {
    let server = RawServer::start(|number, _| {
        if number % 2 == 0 {
            ServerAction::Reset
        } else {
            manifest()
        }
    })
    .await;
    server
        .registry
        .blob_head(&repository(), &Digest::of(b"x"), &Credential::Anonymous)
        .await
        .unwrap();
    let forwarded = ForwardedRequest {
        method: http::Method::GET,
        repository: repository(),
        kind: ForwardedObject::Manifest { wanted: tag("1") },
        authorization: None,
        accept: vec![],
        limit: std::time::Duration::from_secs(20),
    };
    assert_eq!(server.registry.forward(forwarded).await.unwrap().status(), 200);
    assert_eq!(
        (
            server.connections("HEAD ").len(),
            server.connections("GET ").len()
        ),
        (2, 2)
    );
}

#[tokio::test]
async fn connections_that_always_break_are_a_network_failure_after_two_tries() {
    for broken in [ServerAction::Closed, ServerAction::Reset] {
        let action = broken.clone();
        let server = RawServer::start(move |_, _| action.clone()).await;
        let error = server.pull("1").await.unwrap_err();
        assert!(
            matches!(error, RegistryError::Unreachable { .. }),
            "{broken:?}: {error}"
        );
        assert_eq!(error.side(), Side::Network);
        assert_eq!(server.requests().len(), 2, "{broken:?}");
    }
}

#[tokio::test]
async fn a_token_request_is_sent_again_by_get_and_by_post() {
    for (credential, method) in [
        (ann(), "GET /token"),
        (Credential::IdentityToken(Secret::new("refresh")), "POST /token"),
    ] {
        let broken = Mutex::new(false);
        let server = RawServer::start(move |_, line| {
            if line.contains("/token") {
                let was_broken = std::mem::replace(&mut *broken.lock(), true);
                return if was_broken {
                    answered("200 OK", "", r#"{"token":"good","expires_in":300}"#)
                } else {
                    ServerAction::Reset
                };
            }
            manifest()
        })
        .await;
        // The client signs in only after a refusal.
        let realm = server.registry.name().to_string();
        let refusing = {
            let answered_once = Mutex::new(0);
            RawServer::start(move |_, line| {
                let mut times = answered_once.lock();
                *times += 1;
                match *times {
                    1 => answered(
                        "401 Unauthorized",
                        &format!("www-authenticate: Bearer realm=\"http://{realm}/token\"\r\n"),
                        "",
                    ),
                    _ if line.contains("manifests") => manifest(),
                    _ => ServerAction::Closed,
                }
            })
            .await
        };
        let pulled = refusing
            .registry
            .manifest(&repository(), &tag("1"), &credential)
            .await;
        pulled.unwrap_or_else(|error| panic!("{method}: {error}"));
        assert_eq!(
            server.connections(method).len(),
            2,
            "{method}: {:?}",
            server.requests()
        );
    }
}

#[tokio::test]
async fn a_response_that_breaks_in_its_body_is_not_requested_again() {
    let server = RawServer::start(|number, _| match number {
        0 => ServerAction::CutAfter("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"half\":".to_owned()),
        _ => manifest(),
    })
    .await;
    let error = server.pull("1").await.unwrap_err();
    assert!(matches!(error, RegistryError::CutShort { .. }), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_server_that_hangs_gets_one_request() {
    let server = RawServer::start(|_, _| ServerAction::Hang).await;
    let settings = RegistrySettings {
        plain_http: true,
        ..RegistrySettings::new(server.registry.name().clone())
    };
    let registry = reach_within(settings, short_limits());
    let error = registry
        .manifest(&repository(), &tag("1"), &ann())
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::TimedOut { .. }), "{error}");
    assert_eq!(server.requests().len(), 1);
}
