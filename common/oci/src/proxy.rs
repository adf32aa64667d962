//! An HTTP proxy on the way to a registry.
//!
//! **Invariant:** `Debug` and `Display` show no user name and no password, and errors do not repeat the address.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::Secret;

/// `http://proxy.lan:3128`, with or without `user:password@`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// Scheme, host and port.
    shown: String,
    full: Secret,
}

/// Why an address is not usable as a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadProxy {
    #[error(
        "not a URL: write http://proxy.example.com:3128, or http://user:password@… for a proxy with sign-in"
    )]
    NotAUrl,
    #[error("not an HTTP proxy: only http:// and https:// are supported")]
    Scheme,
    #[error("a proxy has no path, query or fragment: write scheme, host and port only")]
    Path,
    #[error("a password needs a user name: write http://user@proxy.example.com:3128")]
    NoUser,
}

impl Proxy {
    /// Adds a password that is stored elsewhere.
    pub fn with_password(&self, password: &Secret) -> Result<Self, BadProxy> {
        let mut url = Url::parse(self.full.expose()).map_err(|_| BadProxy::NotAUrl)?;
        if url.username().is_empty() {
            return Err(BadProxy::NoUser);
        }
        url.set_password(Some(password.expose()))
            .map_err(|()| BadProxy::NotAUrl)?;
        Ok(Self {
            shown: self.shown.clone(),
            full: Secret::new(String::from(url)),
        })
    }

    /// Returns the address with its credential, for the code that builds clients.
    pub fn expose(&self) -> &str {
        self.full.expose()
    }
}

impl FromStr for Proxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let url = Url::parse(text.trim()).map_err(|_| BadProxy::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BadProxy::Scheme);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(BadProxy::Path);
        }
        if url.username().is_empty() && url.password().is_some() {
            return Err(BadProxy::NoUser);
        }
        Ok(Self {
            shown: url.origin().ascii_serialization(),
            full: Secret::new(String::from(url)),
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Proxy({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_its_credential() {
        let proxy: Proxy = "http://ann:s3cret@proxy.lan:3128/".parse().unwrap();
        assert_eq!(proxy.to_string(), "http://proxy.lan:3128");
        assert_eq!(format!("{proxy:?}"), "Proxy(http://proxy.lan:3128)");
        assert_eq!(proxy.expose(), "http://ann:s3cret@proxy.lan:3128/");
    }

    #[test]
    fn a_password_from_a_file_is_added() {
        let proxy: Proxy = "http://ann@proxy.lan:3128".parse().unwrap();
        let full = proxy.with_password(&Secret::new("p@ss/word")).unwrap();
        assert_eq!(full.expose(), "http://ann:p%40ss%2Fword@proxy.lan:3128/");
        let without_user: Proxy = "http://proxy.lan".parse().unwrap();
        assert_eq!(
            without_user.with_password(&Secret::new("x")),
            Err(BadProxy::NoUser)
        );
    }

    #[test]
    fn a_bad_proxy_address_is_refused_without_repeating_it() {
        for bad in [
            "proxy.lan:3128",
            "socks5://h:1",
            "http://h/path",
            "http://:s3cret@h",
            "http://ann:s3cret@h:1/?x=s3cret",
            "http://[::s3cret",
        ] {
            let fault = bad.parse::<Proxy>().unwrap_err();
            assert!(!format!("{fault} {fault:?}").contains("s3cret"), "{bad}");
        }
    }
}
