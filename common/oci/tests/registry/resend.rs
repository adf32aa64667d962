//! Connections that break before an answer's head: once is nobody's trouble, twice is the network's.

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

/// What becomes of one request.
#[derive(Debug, Clone)]
enum Fate {
    Answered(String),
    /// The connection ends after this.
    Cut(String),
    /// The connection ends in good order, without an answer.
    Closed,
    /// The connection is reset.
    Reset,
    /// Nothing comes.
    Held,
}

/// A server of raw sockets. It knows its requests by number, each with the number of its connection.
struct Sockets {
    registry: Registry,
    heard: Arc<Mutex<Vec<(usize, String)>>>,
    _serving: JoinSet<()>,
}

impl Sockets {
    async fn start(fate: impl Fn(usize, &str) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = RegistrySettings {
            plain_http: true,
            ..RegistrySettings::new(listener.local_addr().unwrap().to_string().parse().unwrap())
        };
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (seen, fate) = (Arc::clone(&heard), Arc::new(fate));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut speaking = JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                speaking.spawn(speak(stream, connection, Arc::clone(&seen), Arc::clone(&fate)));
            }
        });
        Self {
            registry: reach(settings.clone()),
            heard,
            _serving: serving,
        }
    }

    fn heard(&self) -> Vec<(usize, String)> {
        self.heard.lock().clone()
    }

    /// The connections of all requests whose first line holds this.
    fn connections(&self, part: &str) -> Vec<usize> {
        let heard = self.heard();
        let chosen = heard.iter().filter(|(_, line)| line.contains(part));
        chosen.map(|(connection, _)| *connection).collect()
    }

    async fn pull(&self, wanted: &str) -> Result<(), RegistryError> {
        let (repository, wanted) = (repository(), tag(wanted));
        let pulled = self.registry.manifest(&repository, &wanted, &ann()).await;
        pulled.map(|_| ())
    }
}

async fn speak<F: Fn(usize, &str) -> Fate>(
    mut stream: TcpStream,
    connection: usize,
    seen: Arc<Mutex<Vec<(usize, String)>>>,
    fate: Arc<F>,
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
        match fate(number, &line) {
            // What was sent is not read: the kernel answers the end of such a connection with a reset.
            Fate::Reset => return,
            Fate::Closed => return drop(stream.read(&mut buffer).await),
            Fate::Held => std::future::pending().await,
            Fate::Cut(start) => {
                let _ = stream.read(&mut buffer).await;
                return stream.write_all(start.as_bytes()).await.unwrap();
            }
            Fate::Answered(answer) => {
                let _ = stream.read(&mut buffer).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }
}

fn answered(status: &str, headers: &str, body: &str) -> Fate {
    let length = body.len();
    Fate::Answered(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    ))
}

fn manifest() -> Fate {
    let body = String::from_utf8(crate::server::MANIFEST.to_vec()).unwrap();
    answered(
        "200 OK",
        &format!("content-type: {}\r\n", crate::server::OCI_MANIFEST),
        &body,
    )
}

#[tokio::test]
async fn a_kept_connection_that_breaks_is_replaced_and_nobody_notices() {
    for broken in [Fate::Closed, Fate::Reset] {
        let fate = broken.clone();
        let server =
            Sockets::start(move |number, _| if number == 1 { fate.clone() } else { manifest() }).await;
        server.pull("1").await.unwrap();
        server
            .pull("2")
            .await
            .unwrap_or_else(|error| panic!("{broken:?}: {error}"));
        let [first, second] = server.connections("manifests/2")[..] else {
            panic!("{broken:?}: {:?}", server.heard())
        };
        assert_ne!(first, second, "{broken:?}");
    }
}

#[tokio::test]
async fn a_head_and_a_callers_own_question_are_asked_once_more_too() {
    let server = Sockets::start(|number, _| if number % 2 == 0 { Fate::Reset } else { manifest() }).await;
    server
        .registry
        .blob_head(&repository(), &Digest::of(b"x"), &Credential::Anonymous)
        .await
        .unwrap();
    let question = ForwardedRequest {
        method: http::Method::GET,
        repository: repository(),
        kind: ForwardedObject::Manifest { wanted: tag("1") },
        authorization: None,
        accept: vec![],
        limit: std::time::Duration::from_secs(20),
    };
    assert_eq!(server.registry.forward(question).await.unwrap().status(), 200);
    assert_eq!(
        (
            server.connections("HEAD ").len(),
            server.connections("GET ").len()
        ),
        (2, 2)
    );
}

#[tokio::test]
async fn connections_that_always_break_are_the_networks_fault_after_two_tries() {
    for broken in [Fate::Closed, Fate::Reset] {
        let fate = broken.clone();
        let server = Sockets::start(move |_, _| fate.clone()).await;
        let error = server.pull("1").await.unwrap_err();
        assert!(
            matches!(error, RegistryError::Unreachable { .. }),
            "{broken:?}: {error}"
        );
        assert_eq!(error.side(), Side::Network);
        assert_eq!(server.heard().len(), 2, "{broken:?}");
    }
}

#[tokio::test]
async fn a_token_is_asked_for_once_more_by_get_and_by_post() {
    for (credential, method) in [
        (ann(), "GET /token"),
        (Credential::IdentityToken(Secret::new("refresh")), "POST /token"),
    ] {
        let broken = Mutex::new(false);
        let server = Sockets::start(move |_, line| {
            if line.contains("/token") {
                let was_broken = std::mem::replace(&mut *broken.lock(), true);
                return if was_broken {
                    answered("200 OK", "", r#"{"token":"good","expires_in":300}"#)
                } else {
                    Fate::Reset
                };
            }
            manifest()
        })
        .await;
        // Only a refusal makes it sign in.
        let realm = server.registry.name().to_string();
        let refusing = {
            let answered_once = Mutex::new(0);
            Sockets::start(move |_, line| {
                let mut times = answered_once.lock();
                *times += 1;
                match *times {
                    1 => answered(
                        "401 Unauthorized",
                        &format!("www-authenticate: Bearer realm=\"http://{realm}/token\"\r\n"),
                        "",
                    ),
                    _ if line.contains("manifests") => manifest(),
                    _ => Fate::Closed,
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
            server.heard()
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_in_its_body_is_not_asked_for_again() {
    let server = Sockets::start(|number, _| match number {
        0 => Fate::Cut("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"half\":".to_owned()),
        _ => manifest(),
    })
    .await;
    let error = server.pull("1").await.unwrap_err();
    assert!(matches!(error, RegistryError::CutShort { .. }), "{error}");
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_server_that_holds_its_answer_back_is_asked_once() {
    let server = Sockets::start(|_, _| Fate::Held).await;
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
    assert_eq!(server.heard().len(), 1);
}
