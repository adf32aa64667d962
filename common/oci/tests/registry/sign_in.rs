//! Challenges, token exchanges and expired credentials.

use axum::response::Response;
use oci::{Credential, RegistryError, RegistrySettings, Secret};
use tokio::task::JoinSet;

use crate::server::{ANN, RecordedRequest, Server, ann, answer, manifest, reach, repository, tag};

/// A challenge whose realm is on this host.
fn challenge(host: &str) -> Response {
    let value =
        format!("Bearer realm=\"http://{host}/token\",service=\"s 1\",scope=\"repository:p/app:pull\"");
    answer(
        401,
        &[("www-authenticate", &value)],
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"sign in"}]}"#,
    )
}

const BASIC: &[(&str, &str)] = &[("www-authenticate", "Basic realm=\"harbor\"")];

/// A registry that answers `/token` with `token`, and requires `Bearer good` for everything else.
async fn bearer_registry(
    token: impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static,
) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Server::on(listener, address, move |request| {
        match request.authorization.as_deref() {
            _ if request.path == "/token" => token(request),
            Some("Bearer good") => manifest(),
            // Harbor answers this to an unknown token.
            Some(header) if header.starts_with("Bearer") => answer(401, BASIC, "UNAUTHORIZED"),
            _ => challenge(&address.to_string()),
        }
    })
}

fn good_token() -> Response {
    answer(200, &[], r#"{"token":"good","expires_in":300}"#)
}

fn for_ann(request: &RecordedRequest) -> Response {
    if request.authorization.as_deref() == Some(ANN) {
        good_token()
    } else {
        answer(401, &[], "who are you")
    }
}

fn token_requests(server: &Server) -> usize {
    server
        .requests()
        .iter()
        .filter(|request| request.path == "/token")
        .count()
}

#[tokio::test]
async fn a_token_for_user_and_password_is_kept() {
    let server = bearer_registry(for_ann).await;
    let registry = server.registry();
    for _ in 0..3 {
        registry.manifest(&repository(), &tag("1"), &ann()).await.unwrap();
    }
    let exchange = server
        .requests()
        .into_iter()
        .find(|request| request.path == "/token")
        .unwrap();
    assert_eq!(exchange.query, "service=s+1&scope=repository%3Ap%2Fapp%3Apull");
    let sent: Vec<String> = server
        .request_log()
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
    assert_eq!(token_requests(&server), 3);
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
    assert_eq!(token_requests(&server), 1);
}

#[tokio::test]
async fn a_public_project_needs_an_anonymous_token() {
    let server = bearer_registry(|request| {
        assert_eq!(request.authorization, None);
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
async fn a_token_server_without_get_gets_a_post() {
    for status in [404, 405] {
        let server = bearer_registry(move |request| match request.method.as_str() {
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
            .requests()
            .into_iter()
            .find(|request| request.method == "POST")
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

/// Returns the request for a token after a challenge with this scope.
async fn exchange_for_scope(scope: &str, credential: &Credential) -> RecordedRequest {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let challenge = format!("Bearer realm=\"http://{address}/token\",service=\"s\",scope=\"{scope}\"");
    let server = Server::on(listener, address, move |request: &RecordedRequest| match request
        .authorization
        .as_deref()
    {
        _ if request.path == "/token" => good_token(),
        Some("Bearer good") => manifest(),
        _ => answer(401, &[("www-authenticate", &challenge)], ""),
    });
    let registry = server.registry();
    registry
        .manifest(&repository(), &tag("1"), credential)
        .await
        .unwrap();
    let mut requests = server.requests().into_iter();
    requests.find(|request| request.path == "/token").unwrap()
}

#[tokio::test]
async fn several_scopes_are_one_parameter_of_a_form_and_one_each_of_a_query() {
    let scope = "repository:p/app:pull repository:p/base:pull";
    let token = Credential::IdentityToken(Secret::new("idt"));
    let form = exchange_for_scope(scope, &token).await;
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(form.body.as_bytes())
        .into_owned()
        .collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        fields,
        [
            pair("grant_type", "refresh_token"),
            pair("refresh_token", "idt"),
            pair("service", "s"),
            pair("scope", scope),
            pair("client_id", "stoker"),
        ]
    );
    let query = exchange_for_scope(scope, &ann()).await.query;
    assert_eq!(
        query,
        "service=s&scope=repository%3Ap%2Fapp%3Apull&scope=repository%3Ap%2Fbase%3Apull"
    );
}

#[tokio::test]
async fn a_token_is_kept_whatever_its_lifetime_says() {
    for expires_in in [
        "\"300\"", "299.5", "-1", "0", "1", "null", "\"soon\"", "1e3", "1e999",
    ] {
        let body = format!(r#"{{"token":"","access_token":"good","expires_in":{expires_in}}}"#);
        let server = bearer_registry(move |_| answer(200, &[], body.clone())).await;
        let registry = server.registry();
        for _ in 0..3 {
            registry.manifest(&repository(), &tag("1"), &ann()).await.unwrap();
        }
        assert_eq!(token_requests(&server), 1, "{expires_in}");
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
    let forgetful = Server::on(listener, address, move |request| {
        if request.path == "/token" {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            return answer(
                200,
                &[],
                format!("{{\"token\":\"t{number}\",\"expires_in\":300}}"),
            );
        }
        // Each token is good for the tag of its own number.
        let good = request
            .path
            .rsplit('/')
            .next()
            .map(|tag| format!("Bearer t{tag}"));
        if request.authorization == good {
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
    let RegistryError::WrongCredential { response, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        response.words, "incorrect username or password",
        "not of the token server"
    );
}

#[tokio::test]
async fn a_token_server_that_is_down_is_an_outage() {
    let server = bearer_registry(|_| answer(503, &[], "")).await;
    let error = server
        .registry()
        .manifest(&repository(), &tag("1"), &ann())
        .await
        .unwrap_err();
    assert!(error.is_outage(), "{error}");
}

#[tokio::test]
async fn an_unusable_token_response_is_refused() {
    for body in ["", "{}", "<html>", r#"{"token":""}"#, "{\"token\":\"a\\nb\"}"] {
        let server = bearer_registry(move |_| answer(200, &[], body)).await;
        let error = server
            .registry()
            .manifest(&repository(), &tag("1"), &ann())
            .await
            .unwrap_err();
        assert!(matches!(error, RegistryError::BadToken { .. }), "{body}: {error}");
    }
}

#[tokio::test]
async fn no_credential_goes_to_a_foreign_realm() {
    let thief = Server::start(|_| good_token()).await;
    let realm = format!("Bearer realm=\"http://localhost:{}/token\"", thief.address.port());
    let server = Server::start(move |request| match request.authorization.as_deref() {
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
    assert!(thief.requests().is_empty());

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
async fn a_ready_made_token_is_used_at_once_and_unchanged() {
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
    assert_eq!(server.request_log(), once);
}

#[tokio::test]
async fn an_expired_token_still_opens_a_public_project() {
    let server = bearer_registry(|_| good_token()).await;
    let dead = Credential::from_authorization("Bearer dead");
    server
        .registry()
        .manifest(&repository(), &tag("1"), &dead)
        .await
        .unwrap();
    let sent: Vec<String> = server
        .request_log()
        .into_iter()
        .map(|(_, _, authorization)| authorization)
        .collect();
    assert_eq!(sent, ["Bearer dead", "", "", "Bearer good"]);
}

#[tokio::test]
async fn an_expired_token_on_a_private_project_is_reported_as_expired() {
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
    let direct = Server::start(|request| match request.authorization.as_deref() {
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
    assert_eq!(direct.requests().len(), 1);

    let exchanged = bearer_registry(for_ann).await;
    exchanged
        .registry()
        .manifest(&repository(), &tag("1"), &header)
        .await
        .unwrap();
    assert_eq!(token_requests(&exchanged), 1);
}

#[tokio::test]
async fn a_pull_shows_the_credential_of_its_own_namespace() {
    let server = Server::start(|request| match request.authorization.as_deref() {
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
    let kept = Credential::Kept(oci::KeptCredential::in_docker_config(
        file.path(),
        host,
        oci::Scheme::Http,
    ));
    let registry = server.registry();
    for (name, shown) in [("team-b/app", "Basic YjpwYg=="), ("team-a/app", "Basic YTpwYQ==")] {
        let repository = name.parse().unwrap();
        registry.manifest(&repository, &tag("1"), &kept).await.unwrap();
        let requests = server.requests();
        let of_it = requests.iter().filter(|request| request.path.contains(name));
        let values: Vec<&str> = of_it
            .filter_map(|request| request.authorization.as_deref())
            .collect();
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
    let requests = server.requests();
    let of_it = requests.iter().filter(|request| request.path.contains("team-c"));
    assert!(of_it.into_iter().all(|request| request.authorization.is_none()));
}
