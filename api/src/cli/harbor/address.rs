//! The URL under which Harbor reaches the manager. Harbor joins it with its own paths, text to text, so it has to be
//! just right.

use url::{Host, Url};

/// Harbor's column for it.
const LONGEST: usize = 255;

/// `http://manager.example.com:8080`, or with a path in front of Harbor's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadEndpoint {
    #[error(
        "{0:?} is no http or https URL; Harbor takes it for healthy without a scheme, and then fails each job"
    )]
    NoUrl(String),
    #[error("{0} has a query or a user, which Harbor drops")]
    Extras(String),
    #[error(
        "{0} is this machine only, where Harbor will not find it; give --endpoint with the address that Harbor \
         reaches the manager at (or the same again, if Harbor runs on this very machine)"
    )]
    Loopback(String),
    #[error("the endpoint is longer than the {LONGEST} characters that Harbor keeps")]
    TooLong,
}

impl Endpoint {
    /// What was given by hand is taken, loopback too; what was guessed from `--server` is not.
    pub(super) fn choose(given: Option<&str>, server: &str) -> Result<Self, BadEndpoint> {
        let url = Self::parse(given.unwrap_or(server))?;
        if given.is_none() && is_loopback(&url) {
            return Err(BadEndpoint::Loopback(url.to_string()));
        }
        Self::of(url.as_str())
    }

    /// The same below a token of its own, for a Harbor that can send none.
    pub(super) fn below(&self, token: &str) -> Result<Self, BadEndpoint> {
        Self::of(&format!("{}/t/{token}", self.0))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn of(text: &str) -> Result<Self, BadEndpoint> {
        let text = text.trim_end_matches('/');
        if text.len() > LONGEST {
            return Err(BadEndpoint::TooLong);
        }
        Ok(Self(text.to_owned()))
    }

    fn parse(text: &str) -> Result<Url, BadEndpoint> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| BadEndpoint::NoUrl(text.to_owned()))?;
        let has_extras = url.query().is_some() || !url.username().is_empty() || url.password().is_some();
        if has_extras {
            return Err(BadEndpoint::Extras(format!(
                "{:?}",
                url.host_str().unwrap_or_default()
            )));
        }
        Ok(url)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_harbor_cannot_use_is_refused_before_harbor_is_asked() {
        let told =
            |given: Option<&str>, server: &str| Endpoint::choose(given, server).unwrap_err().to_string();
        assert!(told(None, "http://127.0.0.1:8080").contains("--endpoint"));
        assert!(told(None, "http://localhost:8080").contains("--endpoint"));
        assert!(told(Some("manager:8080"), "").contains("no http or https URL"));
        let secret = told(Some("http://ann:s3cret@manager:8080"), "");
        assert!(!secret.contains("s3cret") && secret.contains("drops"), "{secret}");
        assert_eq!(
            Endpoint::choose(Some(&format!("http://m/{}", "a".repeat(300))), ""),
            Err(BadEndpoint::TooLong)
        );
    }

    #[test]
    fn what_was_given_by_hand_is_taken_without_its_last_slash() {
        let endpoint = Endpoint::choose(Some("http://127.0.0.1:8080/"), "http://x").unwrap();
        assert_eq!(endpoint.as_str(), "http://127.0.0.1:8080");
        assert_eq!(
            endpoint.below("abc").unwrap().as_str(),
            "http://127.0.0.1:8080/t/abc"
        );
        let guessed = Endpoint::choose(None, "https://stoker.example.com/p/").unwrap();
        assert_eq!(guessed.as_str(), "https://stoker.example.com/p");
    }
}
