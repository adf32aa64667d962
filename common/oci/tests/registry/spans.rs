//! What a trace shows of each request, and what it must not show.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use oci::{Credential, Digest};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::server::{Server, ann, answer, manifest, repository, tag};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_request_is_a_span_without_secrets() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process: one for this thread alone is overlooked by spans that other tests have met before.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::on(listener, address, move |heard| {
        match (heard.path.as_str(), &heard.authorization) {
            ("/token", _) => answer(200, &[], r#"{"token":"t0ken-s3cret"}"#),
            (_, None) => {
                let realm = format!("Bearer realm=\"http://{address}/token?key=query-s3cret\"");
                answer(401, &[("www-authenticate", &realm)], "")
            }
            (path, _) if path.contains("/blobs/") => {
                answer(307, &[("location", "/cdn?signature=query-s3cret")], "")
            }
            _ => manifest(),
        }
    });
    let registry = server.registry();
    registry.manifest(&repository(), &tag("1"), &ann()).await.unwrap();
    registry
        .blob(&repository(), &Digest::of(b""), 0, &ann())
        .await
        .map(|_| ())
        .unwrap();
    let ready_made = Credential::from_authorization("Bearer header-s3cret");
    registry
        .manifest_head(&repository(), &tag("1"), &ready_made)
        .await
        .unwrap();

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    // Libraries below us log too; what they say must not hold secrets either, but these lines are ours.
    let ours: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("registry.request{"))
        .collect();
    for part in [
        "otel.name=\"GET manifest\"",
        "otel.name=\"HEAD manifest\"",
        "otel.name=\"GET token\"",
        "otel.name=\"GET blob\"",
        "otel.kind=\"client\"",
        "http.request.method=GET",
        "server.address=\"127.0.0.1\"",
        "url.template=\"/v2/{repository}/manifests/{reference}\"",
        "http.response.status_code=401",
        "http.response.status_code=200",
        &format!("stoker.image={}/p/app:1", server.name()),
    ] {
        assert!(
            ours.iter().any(|line| line.contains(part)),
            "{part} is missing in {ours:#?}"
        );
    }
    let fields = ours
        .iter()
        .filter_map(|line| line.split_once("registry.request{")?.1.split_once("}: "));
    for (fields, _) in fields {
        assert!(!fields.contains("s3cret") && !fields.contains("YW5u"), "{fields}");
    }
}
