//! Passes challenges from a registry to a caller. The token realm is replaced by our own token path, so that we learn the
//! account of each token. The last challenge of each registry is kept.
//!
//! **Invariant:** a realm is relayed only if an allowed registry named it and `oci` lets credentials go there. Challenges
//! hold no secrets, so the last ones are kept as notes over a restart.

use std::collections::HashMap;

use http::{HeaderMap, HeaderValue, header};
use oci::challenge::{Challenge, check_realm, parse};
use oci::{Location, Origin, Registries};
use parking_lot::{Mutex, MutexGuard};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use url::Url;

use super::issuer::Issuer;
use super::notes::Notes;

pub(crate) const TOKEN_PATH: &str = "/stoker/token";
/// The service in our own challenge. Registries name others.
pub(crate) const OWN_SERVICE: &str = "stoker";
/// The most registries whose challenges are kept.
const KEPT: usize = 1_000;

/// A registry's last challenge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastChallenge {
    basic: Option<String>,
    bearer: Option<Bearer>,
    /// It came from a private address.
    #[serde(default)]
    is_inside: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Bearer {
    realm: String,
    service: Option<String>,
}

/// A registry's 401.
pub(crate) struct ReceivedChallenge<'answer> {
    pub(crate) headers: &'answer HeaderMap,
    /// It came from a private address.
    pub(crate) is_inside: bool,
}

/// How a registry wants callers to sign in.
pub(crate) enum RegistrySignIn {
    Basic,
    Bearer(KnownRealm),
}

/// The token server that one registry named.
pub(crate) struct KnownRealm {
    pub(crate) url: Url,
    pub(crate) issuer: Issuer,
    /// Its address may be private: its registry is configured or private too, or is the same server.
    pub(crate) may_be_inside: bool,
}

pub(crate) struct ChallengeRelay {
    notes: Box<dyn Notes>,
    last: Mutex<HashMap<String, LastChallenge>>,
}

impl ChallengeRelay {
    pub(crate) fn open(notes: impl Notes + 'static) -> Self {
        let read = |(name, value): (String, Vec<u8>)| Some((name, serde_json::from_slice(&value).ok()?));
        let last = notes.all().into_iter().filter_map(read).collect();
        Self {
            notes: Box::new(notes),
            last: Mutex::new(last),
        }
    }

    /// Keeps the registry's challenge, and returns the `WWW-Authenticate` values for the caller.
    pub(crate) fn pass(
        &self,
        origin: &Origin,
        registries: &Registries,
        received: &ReceivedChallenge<'_>,
        us: &str,
    ) -> Vec<HeaderValue> {
        let headers = received.headers;
        let texts = || {
            headers
                .get_all(header::WWW_AUTHENTICATE)
                .iter()
                .filter_map(|value| value.to_str().ok())
        };
        let challenges: Vec<Challenge> = texts()
            .flat_map(parse)
            .filter(|challenge| may_be_passed(challenge, origin, registries))
            .collect();
        let error = texts().find_map(error_of);
        self.keep(origin, &challenges, received.is_inside);
        challenges
            .iter()
            .filter_map(|challenge| rewritten(challenge, origin, error, us))
            .collect()
    }

    /// Returns the last challenge, for the repository of this request.
    pub(crate) fn repeat(&self, location: &Location, us: &str) -> Vec<HeaderValue> {
        let Location { origin, repository } = location;
        let last = self.last().get(&origin.to_string()).cloned().unwrap_or_default();
        let bearer = last.bearer.map(|bearer| Challenge::Bearer {
            realm: bearer.realm,
            service: bearer.service,
            scope: Some(format!("repository:{repository}:pull")),
        });
        let basic = last.basic.map(|realm| Challenge::Basic { realm });
        bearer
            .iter()
            .chain(&basic)
            .filter_map(|challenge| rewritten(challenge, origin, None, us))
            .collect()
    }

    pub(crate) fn is_known(&self, origin: &Origin) -> bool {
        self.last().contains_key(&origin.to_string())
    }

    /// Returns whether the last challenge was a Harbor's.
    pub(crate) fn is_harbors(&self, origin: &Origin) -> bool {
        let last = self.last();
        let Some(last) = last.get(&origin.to_string()) else {
            return false;
        };
        let by_service = |bearer: &Bearer| bearer.service.as_deref() == Some("harbor-registry");
        last.bearer.as_ref().is_some_and(by_service) || last.basic.as_deref() == Some("harbor")
    }

    /// Returns the token server of a realm, if this registry named it last.
    pub(crate) fn realm(&self, realm: &str, origin: &Origin, registries: &Registries) -> Option<KnownRealm> {
        let last = self.last().get(&origin.to_string())?.clone();
        let is_named = last.bearer.as_ref().is_some_and(|bearer| bearer.realm == realm);
        is_named.then(|| known_realm(last, origin, registries))?
    }

    /// Returns the token server that this registry named last.
    pub(crate) fn realm_of(&self, origin: &Origin, registries: &Registries) -> Option<KnownRealm> {
        let last = self.last().get(&origin.to_string())?.clone();
        known_realm(last, origin, registries)
    }

    /// Returns how this registry wanted callers to sign in last.
    pub(crate) fn sign_in(&self, origin: &Origin, registries: &Registries) -> Option<RegistrySignIn> {
        let last = self.last().get(&origin.to_string())?.clone();
        let has_basic = last.basic.is_some();
        let bearer = known_realm(last, origin, registries).map(RegistrySignIn::Bearer);
        bearer.or_else(|| has_basic.then_some(RegistrySignIn::Basic))
    }

    /// Returns the issuer of this registry's tokens.
    pub(crate) fn issuer(&self, origin: &Origin, registries: &Registries) -> Option<Issuer> {
        self.realm_of(origin, registries).map(|known| known.issuer)
    }

    /// Returns the registries whose last challenge names this token server.
    pub(crate) fn named_by(&self, realm: &Url) -> Vec<Origin> {
        let names_it = |last: &LastChallenge| {
            let named = last.bearer.as_ref().map(|bearer| Url::parse(&bearer.realm));
            named.is_some_and(|named| named.is_ok_and(|named| is_same_server(&named, realm)))
        };
        let last = self.last();
        let naming = last.iter().filter(|(_, last)| names_it(last));
        naming.filter_map(|(origin, _)| origin.parse().ok()).collect()
    }

    fn keep(&self, origin: &Origin, challenges: &[Challenge], is_inside: bool) {
        let mut latest = LastChallenge {
            is_inside,
            ..LastChallenge::default()
        };
        for challenge in challenges {
            match challenge {
                Challenge::Basic { realm } => latest.basic = Some(realm.clone()),
                Challenge::Bearer { realm, service, .. } => {
                    latest.bearer = Some(Bearer {
                        realm: realm.clone(),
                        service: service.clone(),
                    });
                }
            }
        }
        let name = origin.to_string();
        let mut last = self.last();
        if challenges.is_empty() || last.get(&name) == Some(&latest) {
            return;
        }
        if last.len() >= KEPT {
            for gone in std::mem::take(&mut *last).into_keys() {
                self.notes.remove(&gone);
            }
        }
        if let Ok(value) = serde_json::to_vec(&latest) {
            self.notes.put(&name, &value);
        }
        last.insert(name, latest);
    }

    fn last(&self) -> MutexGuard<'_, HashMap<String, LastChallenge>> {
        self.last.lock()
    }
}

fn known_realm(last: LastChallenge, origin: &Origin, registries: &Registries) -> Option<KnownRealm> {
    let bearer = last.bearer?;
    let url = checked(&bearer.realm, origin, registries)?;
    Some(KnownRealm {
        may_be_inside: last.is_inside
            || registries.knows(&origin.registry)
            || is_own(&url, origin, registries),
        issuer: Issuer {
            origin: origin.clone(),
            realm: url.as_str().to_owned(),
            service: bearer.service,
        },
        url,
    })
}

/// Returns whether a named realm is this one. A realm that is named with `http` may be asked over HTTPS (`check_realm`).
fn is_same_server(named: &Url, asked: &Url) -> bool {
    let is_upgraded = named.scheme() == "http" && asked.scheme() == "https";
    let same_path = (named.host(), named.path()) == (asked.host(), asked.path());
    named == asked || (is_upgraded && same_path)
}

/// Returns whether the challenge's token server may get credentials.
fn may_be_passed(challenge: &Challenge, origin: &Origin, registries: &Registries) -> bool {
    match challenge {
        Challenge::Basic { .. } => true,
        Challenge::Bearer { realm, .. } => checked(realm, origin, registries).is_some(),
    }
}

fn checked(realm: &str, origin: &Origin, registries: &Registries) -> Option<Url> {
    let settings = registries.settings(&origin.registry);
    let listed = settings.map(|settings| settings.token_realms).unwrap_or_default();
    check_realm(realm, &origin.registry, origin.scheme.is_plain(), &listed).ok()
}

/// Returns whether the token server is the registry's own server.
fn is_own(realm: &Url, origin: &Origin, registries: &Registries) -> bool {
    let registry = registries.registry(origin);
    registry.is_ok_and(|registry| registry.server() == realm.origin().ascii_serialization())
}

/// Returns why a token was refused. With it, containerd stops retrying.
fn error_of(header: &str) -> Option<&'static str> {
    ["insufficient_scope", "invalid_token"]
        .into_iter()
        .find(|word| header.contains(word))
}

/// Returns the challenge for the caller, who reached us at the base URL `us`. The token path names the registry,
/// because two registries may name one token server.
fn rewritten(challenge: &Challenge, origin: &Origin, error: Option<&str>, us: &str) -> Option<HeaderValue> {
    let mut text = match challenge {
        Challenge::Basic { realm } => format!("Basic realm={}", quoted(realm)),
        Challenge::Bearer {
            realm,
            service,
            scope,
        } => {
            let origin = origin.to_string();
            let [realm, origin] = [realm, &origin].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
            let mut text = format!("Bearer realm=\"{us}{TOKEN_PATH}?registry={origin}&realm={realm}\"");
            for (name, value) in [("service", service), ("scope", scope)] {
                if let Some(value) = value {
                    text.extend([",", name, "=", &quoted(value)]);
                }
            }
            text
        }
    };
    if let (Challenge::Bearer { .. }, Some(error)) = (challenge, error) {
        text.extend([",error=", &quoted(error)]);
    }
    HeaderValue::from_str(&text).ok()
}

/// Returns the challenge of `/v2/`: our own token path, which finds the registry in the scope of the token request.
/// `named` is the query for a registry that the request names.
pub(crate) fn own_challenge(us: &str, named: Option<String>) -> Option<HeaderValue> {
    let query = named.map(|named| format!("?{named}")).unwrap_or_default();
    let text = format!("Bearer realm=\"{us}{TOKEN_PATH}{query}\",service=\"{OWN_SERVICE}\"");
    HeaderValue::from_str(&text).ok()
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::access::notes::tests::InMemory;

    fn registries() -> Registries {
        Registries::new(Arc::new(|_: &oci::TlsOptions| {
            Err(oci::BuildError::new("no network in this test"))
        }))
    }

    fn origin() -> Origin {
        "https://reg.example.com".parse().expect("an origin")
    }

    fn outside(headers: &HeaderMap) -> ReceivedChallenge<'_> {
        ReceivedChallenge {
            headers,
            is_inside: false,
        }
    }

    fn challenge_headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, value.parse().expect("a header"));
        }
        headers
    }

    const BEARER: &str = r#"Bearer realm="https://auth.example.com/token",service="reg",scope="repository:a/b:pull",error="invalid_token""#;

    #[test]
    fn a_token_realm_becomes_ours_and_the_rest_stays() {
        let relay = ChallengeRelay::open(InMemory::default());
        let passed = relay.pass(
            &origin(),
            &registries(),
            &outside(&challenge_headers(&[BEARER])),
            "http://127.0.0.1:65001",
        );
        assert_eq!(
            passed,
            [
                r#"Bearer realm="http://127.0.0.1:65001/stoker/token?registry=https%3A%2F%2Freg%2Eexample%2Ecom&realm=https%3A%2F%2Fauth%2Eexample%2Ecom%2Ftoken",service="reg",scope="repository:a/b:pull",error="invalid_token""#
            ]
        );
        let realm = relay
            .realm("https://auth.example.com/token", &origin(), &registries())
            .expect("a known realm");
        assert_eq!(realm.url.as_str(), "https://auth.example.com/token");
        assert_eq!(realm.issuer.origin, origin());
        assert_eq!(realm.issuer.service.as_deref(), Some("reg"));
    }

    #[test]
    fn a_token_server_may_be_inside_only_if_its_registry_is_configured_or_inside() {
        let (realm, registries) = ("https://auth.example.com/token", registries());
        let relay = ChallengeRelay::open(InMemory::default());
        let known = |relay: &ChallengeRelay| {
            let known = relay.realm(realm, &origin(), &registries).expect("a known realm");
            known.may_be_inside
        };
        let headers = challenge_headers(&[BEARER]);
        relay.pass(&origin(), &registries, &outside(&headers), "http://us");
        assert!(!known(&relay));
        let inside = ReceivedChallenge {
            headers: &headers,
            is_inside: true,
        };
        relay.pass(&origin(), &registries, &inside, "http://us");
        assert!(known(&relay));
        relay.pass(&origin(), &registries, &outside(&headers), "http://us");
        assert!(!known(&relay), "as it is now");
        registries.configure(vec![oci::RegistrySettings::new(origin().registry)]);
        assert!(known(&relay));
    }

    /// An attacker's registry below the same domain may name the token server of another registry.
    #[test]
    fn a_token_server_is_known_only_as_the_one_of_the_registry_that_named_it() {
        let relay = ChallengeRelay::open(InMemory::default());
        relay.pass(
            &origin(),
            &registries(),
            &outside(&challenge_headers(&[BEARER])),
            "http://us",
        );
        let (realm, other) = ("https://auth.example.com/token", "https://evil.example.com");
        let other: Origin = other.parse().expect("an origin");
        assert!(relay.realm(realm, &other, &registries()).is_none());
        let its_own = r#"Bearer realm="https://evil.example.com/token",service="reg""#;
        relay.pass(
            &other,
            &registries(),
            &outside(&challenge_headers(&[its_own])),
            "http://us",
        );
        assert!(relay.realm(realm, &other, &registries()).is_none());
        let theirs = relay.realm("https://evil.example.com/token", &other, &registries());
        assert_ne!(
            theirs.expect("its own").issuer,
            relay.issuer(&origin(), &registries()).expect("known")
        );
    }

    #[test]
    fn a_basic_challenge_is_passed_as_it_is() {
        let relay = ChallengeRelay::open(InMemory::default());
        let passed = relay.pass(
            &origin(),
            &registries(),
            &outside(&challenge_headers(&[r#"Basic realm="a \"b\"""#])),
            "http://us",
        );
        assert_eq!(passed, [r#"Basic realm="a \"b\"""#]);
    }

    #[test]
    fn a_foreign_token_server_is_never_used() {
        let relay = ChallengeRelay::open(InMemory::default());
        let foreign = r#"Bearer realm="https://evil.example.net/token",service="reg""#;
        assert!(
            relay
                .pass(
                    &origin(),
                    &registries(),
                    &outside(&challenge_headers(&[foreign])),
                    "http://us"
                )
                .is_empty()
        );
        assert!(
            relay
                .realm("https://evil.example.net/token", &origin(), &registries())
                .is_none()
        );
        assert!(
            relay
                .realm("https://auth.example.com/token", &origin(), &registries())
                .is_none(),
            "never seen"
        );
    }

    #[test]
    fn the_last_challenge_is_repeated_for_the_repository_that_is_asked_for_even_after_a_restart() {
        let notes = InMemory::default();
        ChallengeRelay::open(notes.clone()).pass(
            &origin(),
            &registries(),
            &outside(&challenge_headers(&[BEARER])),
            "http://us",
        );
        let relay = ChallengeRelay::open(notes);
        let at = |origin: Origin| origin.at("c/d".parse().expect("a repository"));
        let repeated = relay.repeat(&at(origin()), "http://us");
        assert_eq!(
            repeated,
            [
                r#"Bearer realm="http://us/stoker/token?registry=https%3A%2F%2Freg%2Eexample%2Ecom&realm=https%3A%2F%2Fauth%2Eexample%2Ecom%2Ftoken",service="reg",scope="repository:c/d:pull""#
            ]
        );
        let other = Origin {
            scheme: oci::Scheme::Http,
            ..origin()
        };
        assert!(!relay.is_known(&other));
        assert!(relay.repeat(&at(other), "http://us").is_empty());
    }

    proptest! {
        #[test]
        fn a_rewritten_challenge_parses_to_the_same_values(service in "\\PC{0,30}", scope in "[ -~]{0,40}") {
            let challenge = Challenge::Bearer {
                realm: "https://auth.example.com/token?x=1&y=\"2\"".to_owned(),
                service: Some(service.clone()),
                scope: Some(scope.clone()),
            };
            if let Some(value) = rewritten(&challenge, &origin(), None, "http://us:1") {
                let text = value.to_str().unwrap_or_default().to_owned();
                if let [Challenge::Bearer { realm, service: read, scope: read_scope }] = parse(&text).as_slice() {
                    prop_assert!(realm.starts_with("http://us:1/stoker/token?registry=https%3A%2F%2Freg%2Eexample%2Ecom&realm=https%3A"));
                    prop_assert_eq!(read.as_deref(), Some(service.as_str()));
                    prop_assert_eq!(read_scope.as_deref(), Some(scope.as_str()));
                } else {
                    prop_assert!(text.is_empty(), "{} does not read back", text);
                }
            }
        }

        #[test]
        fn no_challenge_panics(header in "\\PC{0,80}") {
            let relay = ChallengeRelay::open(InMemory::default());
            if let Ok(value) = HeaderValue::from_str(&header) {
                let mut headers = HeaderMap::new();
                headers.append(header::WWW_AUTHENTICATE, value);
                relay.pass(&origin(), &registries(), &outside(&headers), "http://us");
            }
        }
    }
}
