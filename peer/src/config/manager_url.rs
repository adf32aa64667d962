//! The URL of the manager's peer port.

use url::Url;

/// Why a URL is not the manager's peer port.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ManagerUrlError {
    #[error("`{url}` is not a URL ({cause}): write https://host:8443")]
    NotAUrl { url: String, cause: url::ParseError },
    #[error("`{0}` is plain HTTP, and the manager's peer port speaks TLS: write https://host:8443")]
    PlainHttp(String),
    #[error("`{0}` is not an https URL: write https://host:8443")]
    NotHttps(String),
}

/// Returns the URL, if it is https.
pub(super) fn manager_url(url: &str) -> Result<String, ManagerUrlError> {
    let parsed = Url::parse(url).map_err(|cause| ManagerUrlError::NotAUrl {
        url: url.to_owned(),
        cause,
    })?;
    match parsed.scheme() {
        "https" if parsed.has_host() => Ok(url.to_owned()),
        "http" => Err(ManagerUrlError::PlainHttp(url.to_owned())),
        _ => Err(ManagerUrlError::NotHttps(url.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_is_called_over_tls_only() {
        let plain = "http://manager:8080".to_owned();
        assert_eq!(manager_url(&plain), Err(ManagerUrlError::PlainHttp(plain)));
        let other = "manager:8080".to_owned();
        assert_eq!(manager_url(&other), Err(ManagerUrlError::NotHttps(other)));
        assert!(matches!(
            manager_url("manager"),
            Err(ManagerUrlError::NotAUrl { .. })
        ));
        assert!(manager_url("https://manager:8443").is_ok());
    }
}
