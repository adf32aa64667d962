//! The metrics of each registry, and what their labels must not contain.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use oci::{Credential, Digest, Registries};
use prometheus_client::encoding::text::encode;

use crate::server::{Server, ann, answer, client, manifest, repository, tag};

const LAYER: &[u8] = b"these are the bytes of a layer";

fn text(registries: &Registries) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    registries.metrics().register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

fn registries(server: &Server) -> Registries {
    let registries = Registries::new(Arc::new(client));
    registries.configure(vec![server.settings()]);
    registries
}

/// Returns the lines of one metric that are not 0, without `server_address`.
fn counted(text: &str, name: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| line.starts_with(name) && !line.ends_with(" 0"));
    lines
        .map(|line| {
            line.replace("server_address=\"127.0.0.1\",", "")
                .replace(name, "")
        })
        .collect()
}

/// A registry that accepts only `Bearer good`, a token for the account ann.
async fn with_tokens() -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Server::on(listener, address, move |request| {
        let is_ann = request.authorization.as_deref() == Some(crate::server::ANN);
        match (request.path.as_str(), request.authorization.as_deref()) {
            ("/token", _) if is_ann => answer(200, &[], r#"{"token":"good"}"#),
            ("/token", _) => answer(401, &[], ""),
            (path, Some("Bearer good")) if path.contains("/blobs/") => answer(200, &[], LAYER),
            (_, Some("Bearer good")) => manifest(),
            _ => {
                let realm = format!("Bearer realm=\"http://{address}/token?key=query-s3cret\"");
                answer(401, &[("www-authenticate", &realm)], "")
            }
        }
    })
}

#[tokio::test]
async fn requests_bytes_and_sign_ins_are_counted_by_host() {
    let server = with_tokens().await;
    let registries = registries(&server);
    let registry = registries
        .registry(&oci::Origin::of(server.name().clone(), oci::Scheme::Https))
        .unwrap();
    registry.manifest(&repository(), &tag("1"), &ann()).await.unwrap();
    let digest = Digest::of(LAYER);
    let blob = registry.blob(&repository(), &digest, 0, &ann()).await.unwrap();
    blob.stream.try_collect::<Vec<_>>().await.unwrap();

    let text = text(&registries);
    let mut requests = counted(&text, "stoker_registry_requests_total");
    requests.sort();
    let line = |object: &str, status: u16| {
        format!(
            "{{http_request_method=\"GET\",stoker_object=\"{object}\",http_response_status_code=\"{status}\"}} 1"
        )
    };
    assert_eq!(
        requests,
        [
            line("blob", 200),
            line("manifest", 200),
            line("manifest", 401),
            line("token", 200)
        ]
    );
    assert_eq!(
        counted(&text, "stoker_registry_sign_ins_total"),
        ["{outcome=\"ok\"} 1"]
    );
    let bytes = LAYER.len() + crate::server::MANIFEST.len() + "{\"token\":\"good\"}".len();
    let line = format!("stoker_registry_bytes_total{{server_address=\"127.0.0.1\"}} {bytes}");
    assert!(text.contains(&line), "{line}\n{text}");
    assert!(
        text.contains("stoker_registry_request_duration_seconds_count{server_address=\"127.0.0.1\"} 4"),
        "{text}"
    );
    assert!(!text.contains("s3cret") && !text.contains("good") && !text.contains("p/app"));
}

#[tokio::test]
async fn only_a_credential_can_be_refused() {
    let server = with_tokens().await;
    let registries = registries(&server);
    let registry = registries
        .registry(&oci::Origin::of(server.name().clone(), oci::Scheme::Https))
        .unwrap();
    let anonymous = Credential::Anonymous;
    registry
        .manifest(&repository(), &tag("1"), &anonymous)
        .await
        .unwrap_err();
    assert_eq!(
        counted(&text(&registries), "stoker_registry_sign_ins_total"),
        Vec::<String>::new()
    );

    let stranger = Credential::Basic {
        username: "bob".into(),
        password: oci::Secret::new("pw"),
    };
    registry
        .manifest(&repository(), &tag("1"), &stranger)
        .await
        .unwrap_err();
    assert_eq!(
        counted(&text(&registries), "stoker_registry_sign_ins_total"),
        ["{outcome=\"refused\"} 1"]
    );
}

#[tokio::test]
async fn a_request_without_a_response_is_counted() {
    let server = Server::start(|_| answer(200, &[], "")).await;
    let registries = registries(&server);
    let name = server.name();
    drop(server);
    let registry = registries
        .registry(&oci::Origin::of(name.clone(), oci::Scheme::Https))
        .unwrap();
    registry
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .unwrap_err();
    assert_eq!(
        counted(&text(&registries), "stoker_registry_requests_total"),
        ["{http_request_method=\"GET\",stoker_object=\"manifest\",http_response_status_code=\"none\"} 1"]
    );
}
