//! The URL at which Harbor reaches the manager. Harbor appends its own paths to this text, so a wrong form fails only
//! later, in a job.

use url::{Host, Url};

/// The length of Harbor's database column.
const LONGEST: usize = 255;

/// `http://manager.example.com:8080`, with or without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadEndpoint {
    #[error(
        "{0:?} is not an http or https URL: Harbor accepts an endpoint without a scheme, but each job then fails"
    )]
    NoUrl(String),
    #[error("{0} has a query or a user: Harbor drops them; remove them")]
    Extras(String),
    #[error(
        "{0} is a loopback address, which Harbor's containers cannot reach: give --endpoint with the address at which \
         Harbor reaches the manager (give this one again if Harbor runs on this machine without containers)"
    )]
    Loopback(String),
    #[error("the endpoint is longer than {LONGEST} characters, the most that Harbor stores")]
    TooLong,
}

impl Endpoint {
    /// Returns the given endpoint, or else the URL of `--server`. Only a given one may be a loopback address.
    pub(super) fn choose(given: Option<&str>, server: &str) -> Result<Self, BadEndpoint> {
        let url = Self::parse(given.unwrap_or(server))?;
        if given.is_none() && is_loopback(&url) {
            return Err(BadEndpoint::Loopback(url.to_string()));
        }
        Self::of(url.as_str())
    }

    /// Returns this endpoint with a token in its path, for a Harbor that sends no credential.
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
    fn an_endpoint_that_harbor_cannot_use_is_refused() {
        let refused = |given: Option<&str>, server: &str| Endpoint::choose(given, server).unwrap_err();
        for server in ["http://127.0.0.1:8080", "http://localhost:8080"] {
            assert!(
                matches!(refused(None, server), BadEndpoint::Loopback(_)),
                "{server}"
            );
        }
        assert!(matches!(refused(Some("manager:8080"), ""), BadEndpoint::NoUrl(_)));
        let with_user = refused(Some("http://ann:s3cret@manager:8080"), "");
        assert!(matches!(with_user, BadEndpoint::Extras(_)), "{with_user:?}");
        assert!(!with_user.to_string().contains("s3cret"), "{with_user}");
        assert_eq!(
            Endpoint::choose(Some(&format!("http://m/{}", "a".repeat(300))), ""),
            Err(BadEndpoint::TooLong)
        );
    }

    #[test]
    fn an_endpoint_loses_its_last_slash() {
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
