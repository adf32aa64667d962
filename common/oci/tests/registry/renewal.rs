//! Expired credentials and tokens that a registry refuses with 400, 401 or 403.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::Response;
use oci::{Credential, CredentialHelper, KeptCredential, Registry, RegistryError};
use parking_lot::Mutex;

use crate::server::{RecordedRequest, Server, ann, answer, manifest, repository, tag};

const BASIC: &[(&str, &str)] = &[("www-authenticate", "Basic realm=r")];
const EXPIRED: &str = r#"{"errors":[{"code":"DENIED","message":"the token has expired"}]}"#;

fn refusal(status: u16) -> Response {
    let headers = if status == 401 { BASIC } else { &[] };
    answer(status, headers, EXPIRED)
}

async fn pull(registry: &Registry, credential: &Credential) -> Result<(), RegistryError> {
    let pulled = registry.manifest(&repository(), &tag("1"), credential).await;
    pulled.map(|_| ())
}

/// A helper whose secret is in the file `secret`. It records each run.
fn helper(folder: &Path) -> CredentialHelper {
    let path = folder.join("helper");
    let text = "#!/bin/sh\nread server\necho x >> \"$0.runs\"\n\
        printf '{\"Username\":\"u\",\"Secret\":\"%s\"}' \"$(cat \"$(dirname \"$0\")/secret\")\"\n";
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    CredentialHelper::named(path.to_str().unwrap()).unwrap()
}

fn runs(folder: &Path) -> usize {
    let text = std::fs::read_to_string(folder.join("helper.runs")).unwrap_or_default();
    text.lines().count()
}

fn basic(password: &str) -> String {
    let credential = Credential::Basic {
        username: "u".into(),
        password: oci::Secret::new(password),
    };
    credential.authorization().unwrap().expose().to_owned()
}

/// A registry that accepts one password and refuses others with `status`.
async fn with_password(status: u16) -> (Server, Arc<Mutex<String>>) {
    let good = Arc::new(Mutex::new("one".to_owned()));
    let accepted = Arc::clone(&good);
    let server = Server::start(move |request| match request.authorization.as_deref() {
        None => answer(401, BASIC, ""),
        Some(shown) if shown == basic(&accepted.lock()) => manifest(),
        Some(_) => refusal(status),
    })
    .await;
    (server, good)
}

#[tokio::test]
async fn a_helpers_credential_that_ended_is_looked_up_again_whatever_the_status() {
    for status in [400, 401, 403] {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "one").unwrap();
        let (server, good) = with_password(status).await;
        let kept = Credential::Kept(KeptCredential::by_helper(helper(folder.path()), server.name()));
        let registry = server.registry();
        pull(&registry, &kept).await.unwrap();
        for next in ["two", "three"] {
            *good.lock() = next.to_owned();
            std::fs::write(&secret, next).unwrap();
            pull(&registry, &kept).await.unwrap();
        }
        assert_eq!(runs(folder.path()), 3, "{status}");
    }
}

#[tokio::test]
async fn a_refusal_of_a_new_credential_counts_and_runs_no_helper_for_each_request() {
    for status in [400, 401, 403] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "wrong").unwrap();
        let (server, _) = with_password(status).await;
        let kept = Credential::Kept(KeptCredential::by_helper(helper(folder.path()), server.name()));
        let registry = server.registry();
        for _ in 0..4 {
            let error = pull(&registry, &kept).await.unwrap_err();
            assert_eq!(error.status(), Some(status), "{error}");
        }
        assert_eq!(runs(folder.path()), 2, "{status}");
    }
}

#[tokio::test]
async fn a_public_image_needs_no_working_helper() {
    let folder = tempfile::tempdir().unwrap();
    let missing = CredentialHelper::named(folder.path().join("none").to_str().unwrap()).unwrap();
    let kept = |server: &Server| Credential::Kept(KeptCredential::by_helper(missing.clone(), server.name()));
    let open = Server::start(|_| manifest()).await;
    pull(&open.registry(), &kept(&open)).await.unwrap();
    for status in [401, 403, 404] {
        let closed = Server::start(move |_| refusal(status)).await;
        let error = pull(&closed.registry(), &kept(&closed)).await.unwrap_err();
        assert!(matches!(error, RegistryError::NoLookup { .. }), "{error}");
    }
}

/// A registry whose tokens are `t0`, `t1` and so on. `accepts` decides on the number of a token.
async fn with_tokens(
    accepts: impl Fn(usize) -> Result<(), u16> + Clone + Send + Sync + 'static,
) -> (Server, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let issued = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&issued);
    let server = Server::on(listener, address, move |request: &RecordedRequest| {
        if request.path == "/token" {
            let number = count.fetch_add(1, Ordering::SeqCst);
            return answer(200, &[], format!(r#"{{"token":"t{number}","expires_in":300}}"#));
        }
        let shown = request.authorization.as_deref();
        match shown.and_then(|shown| shown.strip_prefix("Bearer t")?.parse().ok()) {
            Some(number) => accepts(number).map_or_else(refusal, |()| manifest()),
            None => {
                let realm = format!("Bearer realm=\"http://{address}/token\",service=\"s\"");
                answer(401, &[("www-authenticate", &realm)], "")
            }
        }
    });
    (server, issued)
}

#[tokio::test]
async fn a_token_of_ours_that_ended_is_exchanged_again_whatever_the_status() {
    for status in [400, 401, 403] {
        let oldest = Arc::new(AtomicUsize::new(0));
        let good = Arc::clone(&oldest);
        let is_good = move |number| {
            if number < good.load(Ordering::SeqCst) {
                Err(status)
            } else {
                Ok(())
            }
        };
        let (server, issued) = with_tokens(is_good).await;
        let registry = server.registry();
        for ended in 0..3 {
            oldest.store(ended, Ordering::SeqCst);
            pull(&registry, &ann()).await.unwrap();
            pull(&registry, &ann()).await.unwrap();
        }
        assert_eq!(issued.load(Ordering::SeqCst), 3, "{status}");
    }
}

#[tokio::test]
async fn a_refusal_of_a_new_token_counts_and_costs_no_exchange_for_each_request() {
    for status in [400, 403] {
        // The first token is accepted once.
        let pulls = Arc::new(AtomicUsize::new(0));
        let accepts = move |_| {
            if pulls.fetch_add(1, Ordering::SeqCst) == 0 {
                Ok(())
            } else {
                Err(status)
            }
        };
        let (server, issued) = with_tokens(accepts).await;
        let registry = server.registry();
        pull(&registry, &ann()).await.unwrap();
        for _ in 0..4 {
            let error = pull(&registry, &ann()).await.unwrap_err();
            assert_eq!(error.status(), Some(status), "{error}");
        }
        assert_eq!(issued.load(Ordering::SeqCst), 2, "{status}");
    }
}

#[tokio::test]
async fn a_callers_own_token_is_not_renewed() {
    for status in [400, 403] {
        let (server, issued) = with_tokens(move |_| Err(status)).await;
        let own = Credential::from_authorization("Bearer t9");
        let error = pull(&server.registry(), &own).await.unwrap_err();
        assert_eq!(error.status(), Some(status), "{error}");
        assert_eq!((server.requests().len(), issued.load(Ordering::SeqCst)), (1, 0));
    }
}
