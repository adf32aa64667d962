//! Challenges, token exchanges and credentials that end.

use axum::response::Response;
use oci::{Credential, RegistryError, RegistrySettings, Secret};
use tokio::task::JoinSet;

use crate::server::{ANN, Heard, Server, ann, answer, manifest, reach, repository, tag};

/// A challenge whose realm is on the host that was asked.
fn challenge(heard_host: &str) -> Response {
    let value =
        format!("Bearer realm=\"http://{heard_host}/token\",service=\"s 1\",scope=\"repository:p/app:pull\"");
    answer(
        401,
        &[("www-authenticate", &value)],
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"sign in"}]}"#,
    )
}

const BASIC: &[(&str, &str)] = &[("www-authenticate", "Basic realm=\"harbor\"")];

/// A registry whose `/token` answers by `token` and whose rest wants `Bearer good`.
async fn bearer_registry(token: impl Fn(&Heard) -> Response + Clone + Send + Sync + 'static) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Server::on(listener, address, move |heard| {
        match heard.authorization.as_deref() {
            _ if heard.path == "/token" => token(heard),
            Some("Bearer good") => manifest(),
            // Harbor, after a token that it does not know.
            Some(header) if header.starts_with("Bearer") => answer(401, BASIC, "UNAUTHORIZED"),
            _ => challenge(&address.to_string()),
        }
    })
}

fn good_token() -> Response {
    answer(200, &[], r#"{"token":"good","expires_in":300}"#)
}

fn for_ann(heard: &Heard) -> Response {
    if heard.authorization.as_deref() == Some(ANN) {
        good_token()
    } else {
        answer(401, &[], "who are you")
    }
}

fn tokens_asked(server: &Server) -> usize {
    server
        .heard()
        .iter()
        .filter(|heard| heard.path == "/token")
        .count()
}

#[tokio::test]
async fn a_token_is_had_for_user_and_password_and_kept() {
    let server = bearer_registry(for_ann).await;
    let registry = server.registry();
    for _ in 0..3 {
        registry.manifest(&repository(), &tag("1"), &ann()).await.unwrap();
    }
    let exchange = server
        .heard()
        .into_iter()
        .find(|heard| heard.path == "/token")
        .unwrap();
    assert_eq!(exchange.query, "service=s+1&scope=repository%3Ap%2Fapp%3Apull");
    let sent: Vec<String> = server
        .story()
        .into_iter()
        .map(|(_, _, authorization)| authorization)
        .collect();
    assert_eq!(sent, ["", ANN, "Bearer good", "Bearer good", "Bearer good"]);
}

#[tokio::test]
async fn a_token_is_not_used_for_another_credential_or_repository() {
    let server = bearer_registry(for_ann).await;
    let registry = server.registry();
    registry.manifest(&repository(), &tag("1"), &ann()).await.unwrap();
    let error = registry
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            RegistryError::NoCredential { .. } | RegistryError::WrongCredential { .. }
        ),
        "{error}"
    );
    registry
        .manifest(&"p/other".parse().unwrap(), &tag("1"), &ann())
        .await
        .unwrap();
    assert_eq!(tokens_asked(&server), 3);
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_exchange() {
    let server = bearer_registry(for_ann).await;
    let registry = server.registry();
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let registry = registry.clone();
        callers.spawn(async move {
            registry
                .manifest(&repository(), &tag("1"), &ann())
                .await
                .map(|_| ())
        });
    }
    assert!(callers.join_all().await.into_iter().all(|result| result.is_ok()));
    assert_eq!(tokens_asked(&server), 1);
}

#[tokio::test]
async fn a_public_project_wants_an_anonymous_token() {
    let server = bearer_registry(|heard| {
        assert_eq!(heard.authorization, None);
        good_token()
    })
    .await;
    server
        .registry()
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_token_server_that_knows_only_post_is_posted_to() {
    for status in [404, 405] {
        let server = bearer_registry(move |heard| match heard.method.as_str() {
            "POST" => answer(200, &[], r#"{"access_token":"good"}"#),
            _ => answer(status, &[], ""),
        })
        .await;
        server
            .registry()
            .manifest(&repository(), &tag("1"), &ann())
            .await
            .unwrap();
        let post = server
            .heard()
            .into_iter()
            .find(|heard| heard.method == "POST")
            .unwrap();
        for part in [
            "grant_type=password",
            "username=ann",
            "password=pw",
            "scope=repository%3Ap%2Fapp%3Apull",
        ] {
            assert!(post.body.contains(part), "{}", post.body);
        }
        assert_eq!(post.query, "");
    }
}

#[tokio::test]
async fn a_token_that_the_registry_forgot_is_renewed_once() {
    let server = bearer_registry(|_| good_token()).await;
    let registry = server.registry();
    registry.manifest(&repository(), &tag("1"), &ann()).await.unwrap();

    let revoked = std::sync::atomic::AtomicUsize::new(0);
    let revoked = std::sync::Arc::new(revoked);
    let count = std::sync::Arc::clone(&revoked);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let forgetful = Server::on(listener, address, move |heard| {
        if heard.path == "/token" {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            return answer(
                200,
                &[],
                format!("{{\"token\":\"t{number}\",\"expires_in\":300}}"),
            );
        }
        // Each token is good for the tag of its own number.
        let good = heard.path.rsplit('/').next().map(|tag| format!("Bearer t{tag}"));
        if heard.authorization == good {
            manifest()
        } else {
            challenge(&address.to_string())
        }
    });
    let registry = forgetful.registry();
    registry.manifest(&repository(), &tag("0"), &ann()).await.unwrap();
    registry.manifest(&repository(), &tag("1"), &ann()).await.unwrap();
    let error = registry
        .manifest(&repository(), &tag("9"), &ann())
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::WrongCredential { .. }), "{error}");
    assert_eq!(revoked.load(std::sync::atomic::Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_token_server_that_refuses_is_a_wrong_credential() {
    let server =
        bearer_registry(|_| answer(401, &[], r#"{"details":"incorrect username or password"}"#)).await;
    let error = server
        .registry()
        .manifest(&repository(), &tag("1"), &ann())
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::WrongCredential { .. }), "{error}");
    assert!(
        error.to_string().contains("token for p/app from 127.0.0.1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_server_that_is_down_is_a_silent_registry() {
    let server = bearer_registry(|_| answer(503, &[], "")).await;
    let error = server
        .registry()
        .manifest(&repository(), &tag("1"), &ann())
        .await
        .unwrap_err();
    assert!(error.is_outage(), "{error}");
}

#[tokio::test]
async fn a_token_answer_that_cannot_be_used_is_said_to_be_one() {
    for body in ["", "{}", "<html>", r#"{"token":""}"#, "{\"token\":\"a\\nb\"}"] {
        let server = bearer_registry(move |_| answer(200, &[], body)).await;
        let error = server
            .registry()
            .manifest(&repository(), &tag("1"), &ann())
            .await
            .unwrap_err();
        assert!(
            matches!(error, RegistryError::BadAnswer { .. }),
            "{body}: {error}"
        );
    }
}

#[tokio::test]
async fn no_credential_goes_to_a_foreign_realm() {
    let thief = Server::start(|_| good_token()).await;
    let realm = format!("Bearer realm=\"http://localhost:{}/token\"", thief.address.port());
    let server = Server::start(move |heard| match heard.authorization.as_deref() {
        Some("Bearer good") => manifest(),
        _ => answer(401, &[("www-authenticate", &realm)], ""),
    })
    .await;
    for credential in [ann(), Credential::Anonymous] {
        let error = server
            .registry()
            .manifest(&repository(), &tag("1"), &credential)
            .await
            .unwrap_err();
        assert!(matches!(error, RegistryError::UnsafeRealm { .. }), "{error}");
        assert!(error.what_to_do().contains("token_realms"));
    }
    assert!(thief.heard().is_empty());

    let settings = RegistrySettings {
        token_realms: vec!["localhost".into()],
        ..server.settings()
    };
    reach(settings)
        .manifest(&repository(), &tag("1"), &ann())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_ready_made_token_is_used_at_once_and_as_it_is() {
    let server = bearer_registry(|_| good_token()).await;
    let ready_made = Credential::from_authorization("Bearer good");
    server
        .registry()
        .manifest(&repository(), &tag("1"), &ready_made)
        .await
        .unwrap();
    let once = [(
        "GET".to_owned(),
        "/v2/p/app/manifests/1".to_owned(),
        "Bearer good".to_owned(),
    )];
    assert_eq!(server.story(), once);
}

#[tokio::test]
async fn a_dead_token_still_opens_a_public_project() {
    let server = bearer_registry(|_| good_token()).await;
    let dead = Credential::from_authorization("Bearer dead");
    server
        .registry()
        .manifest(&repository(), &tag("1"), &dead)
        .await
        .unwrap();
    let sent: Vec<String> = server
        .story()
        .into_iter()
        .map(|(_, _, authorization)| authorization)
        .collect();
    assert_eq!(sent, ["Bearer dead", "", "", "Bearer good"]);
}

#[tokio::test]
async fn a_dead_token_on_a_private_project_has_ended() {
    for refusal in [401, 403] {
        let server = bearer_registry(move |_| answer(refusal, &[], "")).await;
        let dead = Credential::from_authorization("Bearer dead-s3cret");
        let error = server
            .registry()
            .manifest(&repository(), &tag("1"), &dead)
            .await
            .unwrap_err();
        assert!(matches!(error, RegistryError::CredentialEnded { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
    let useless = bearer_registry(|_| answer(200, &[], r#"{"token":"not enough"}"#)).await;
    let dead = Credential::from_authorization("Bearer dead");
    let error = useless
        .registry()
        .manifest(&repository(), &tag("1"), &dead)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::CredentialEnded { .. }), "{error}");
}

#[tokio::test]
async fn basic_from_a_request_is_served_directly_or_exchanged() {
    let direct = Server::start(|heard| match heard.authorization.as_deref() {
        Some(ANN) => manifest(),
        _ => answer(401, BASIC, ""),
    })
    .await;
    let header = Credential::Header(Secret::new(ANN));
    direct
        .registry()
        .manifest(&repository(), &tag("1"), &header)
        .await
        .unwrap();
    assert_eq!(direct.heard().len(), 1);

    let exchanged = bearer_registry(for_ann).await;
    exchanged
        .registry()
        .manifest(&repository(), &tag("1"), &header)
        .await
        .unwrap();
    assert_eq!(tokens_asked(&exchanged), 1);
}

#[tokio::test]
async fn a_pull_shows_the_credential_of_its_own_namespace() {
    let server = Server::start(|heard| match heard.authorization.as_deref() {
        None => answer(401, &[("www-authenticate", "Basic realm=r")], ""),
        Some(_) => manifest(),
    })
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let host = server.name();
    let text = format!(
        r#"{{"auths":{{"{host}/team-a":{{"username":"a","password":"pa"}},"{host}/team-b":{{"username":"b","password":"pb"}}}}}}"#
    );
    std::fs::write(file.path(), text).unwrap();
    let kept = Credential::Kept(oci::KeptCredential::in_docker_config(file.path(), host));
    let registry = server.registry();
    for (name, shown) in [("team-b/app", "Basic YjpwYg=="), ("team-a/app", "Basic YTpwYQ==")] {
        let repository = name.parse().unwrap();
        registry.manifest(&repository, &tag("1"), &kept).await.unwrap();
        let heard = server.heard();
        let of_it = heard.iter().filter(|heard| heard.path.contains(name));
        let values: Vec<&str> = of_it.filter_map(|heard| heard.authorization.as_deref()).collect();
        assert_eq!(values, [shown], "{name}");
    }
    let error = registry
        .manifest(&"team-c/app".parse().unwrap(), &tag("1"), &kept)
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        oci::RegistryError::WrongCredential { .. } | oci::RegistryError::NoCredential { .. }
    ));
    let heard = server.heard();
    let of_it = heard.iter().filter(|heard| heard.path.contains("team-c"));
    assert!(of_it.into_iter().all(|heard| heard.authorization.is_none()));
}
