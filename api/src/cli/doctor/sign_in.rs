//! Signs in at a registry with its configured credential, as its challenge demands, and stops there.

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use oci::challenge::{Challenge, check_realm, parse};
use oci::{Credential, RegistrySettings};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use url::Url;

use super::call::{LIMIT, cause};
use super::finding::Finding;

/// Sends the credential only to the registry and to an allowed token server. `client` must verify certificates as the
/// manager's client does.
pub(super) async fn check(client: &Client, settings: &RegistrySettings, base: &str) -> Finding {
    let what = format!("sign-in to {}", settings.name);
    let answer = match client.get(base).timeout(LIMIT).send().await {
        Ok(answer) => answer,
        Err(error) => return unanswered(what, &cause(&error)),
    };
    if answer.status() != StatusCode::UNAUTHORIZED {
        return Finding::ok(what, "the registry demands none at /v2/");
    }
    let credential = match settings.credential.looked_up(None).await {
        Ok(credential) => credential,
        Err(cause) => return not_looked_up(what, &cause),
    };
    if credential.is_anonymous() {
        return Finding::ok(
            what,
            "no credential is configured: requests must have their own, as Harbor's have",
        );
    }
    let challenges = challenges(&answer);
    let bearer = challenges.iter().find_map(|challenge| match challenge {
        Challenge::Bearer { realm, service, .. } => Some((realm, service)),
        Challenge::Basic { .. } => None,
    });
    let request = match bearer {
        Some((realm, service)) => match token_url(settings, realm, service.as_deref()) {
            Ok(url) => for_token(client, url, &credential),
            Err(finding) => return finding,
        },
        None => client.get(base).headers(shown(&credential)),
    };
    verdict(what, send(request).await)
}

/// Requests a token as the manager does.
fn for_token(client: &Client, url: Url, credential: &Credential) -> RequestBuilder {
    match credential {
        Credential::IdentityToken(token) => client.post(url).form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", token.expose()),
            ("client_id", "stoker"),
        ]),
        other => client.get(url).headers(shown(other)),
    }
}

/// The headers of a request with this credential. An identity token goes only to token servers.
fn shown(credential: &Credential) -> HeaderMap {
    let authorization = match credential {
        Credential::IdentityToken(_) => None,
        other => other.authorization(),
    };
    let value = authorization.and_then(|value| HeaderValue::from_str(value.expose()).ok());
    value
        .map(|mut value| {
            value.set_sensitive(true);
            (AUTHORIZATION, value)
        })
        .into_iter()
        .collect()
}

fn not_looked_up(what: String, cause: &oci::LookupError) -> Finding {
    Finding::fail(
        what,
        cause.to_string(),
        "check docker_config or credential_helper in the registry's section; the manager's user must be able to read \
         the file and run the helper",
    )
}

fn challenges(answer: &Response) -> Vec<Challenge> {
    let headers = answer.headers().get_all(WWW_AUTHENTICATE);
    headers
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(parse)
        .collect()
}

fn token_url(settings: &RegistrySettings, realm: &str, service: Option<&str>) -> Result<Url, Finding> {
    let RegistrySettings {
        name,
        plain_http,
        token_realms,
        ..
    } = settings;
    let mut url = check_realm(realm, name, *plain_http, token_realms)
        .map_err(|bad| Finding::fail(format!("sign-in to {name}"), bad.to_string(), bad.what_to_do()))?;
    if let Some(service) = service {
        url.query_pairs_mut().append_pair("service", service);
    }
    Ok(url)
}

async fn send(request: RequestBuilder) -> Result<StatusCode, String> {
    let answer = request
        .timeout(LIMIT)
        .send()
        .await
        .map_err(|error| cause(&error))?;
    Ok(answer.status())
}

fn verdict(what: String, answer: Result<StatusCode, String>) -> Finding {
    match answer {
        Ok(status) if status.is_success() => {
            Finding::ok(what, "the registry accepts the configured credential")
        }
        Ok(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => Finding::fail(
            what,
            format!("the registry refuses the configured credential ({status})"),
            "check username and password (or password_file) in the registry's section; check that a Harbor robot \
             account is enabled and not expired",
        ),
        Ok(status) => Finding::warn(
            what,
            format!("the registry answered {status} to the credential"),
            "check the registry's log; it may be overloaded",
        ),
        Err(cause) => unanswered(what, &cause),
    }
}

fn unanswered(what: String, cause: &str) -> Finding {
    Finding::fail(
        what,
        format!("no answer: {cause}"),
        "check that this machine reaches the registry's token server too",
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn of(status: u16) -> Finding {
        let status = StatusCode::from_u16(status).expect("a status");
        verdict("sign-in".to_owned(), Ok(status))
    }

    #[test]
    fn accepted_refused_and_undecided_have_their_verdicts() {
        let verdicts = [200, 401, 403, 500].map(|status| of(status).verdict);
        assert_eq!(
            verdicts,
            [Verdict::Ok, Verdict::Fail, Verdict::Fail, Verdict::Warn]
        );
        assert!(of(401).line().contains("password"), "{:?}", of(401));
        let unanswered = verdict("sign-in".to_owned(), Err("refused".to_owned()));
        assert_eq!(unanswered.verdict, Verdict::Fail);
    }

    #[test]
    fn an_identity_token_goes_only_to_the_token_server() {
        let client = process::http::client(&process::http::ClientOptions::default()).expect("a client");
        let url: Url = "https://registry.lan/token".parse().expect("a URL");
        let token = Credential::IdentityToken(oci::Secret::new("t0ken"));
        let request = for_token(&client, url, &token).build().expect("a request");
        assert_eq!(
            (request.method().as_str(), request.headers().get(AUTHORIZATION)),
            ("POST", None)
        );
        let form = request.body().and_then(|body| body.as_bytes()).expect("a form");
        assert!(String::from_utf8_lossy(form).contains("grant_type=refresh_token&refresh_token=t0ken"));
        assert!(shown(&token).is_empty());
    }

    #[test]
    fn an_unlisted_token_server_gets_no_credential() {
        let settings = RegistrySettings::new("registry.lan".parse().expect("a name"));
        let finding = token_url(&settings, "https://evil.example/token", None).expect_err("refused");
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.line().contains("token_realms"), "{finding:?}");
        let own = token_url(&settings, "https://registry.lan/token", Some("a b")).expect("taken");
        assert_eq!(own.as_str(), "https://registry.lan/token?service=a+b");
    }
}
