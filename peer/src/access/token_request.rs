//! A token request as a caller sent it, and what of it goes to a token server.
//!
//! **Invariant:** an empty credential and a token of our own are removed at the start, and are sent nowhere.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use http::{Method, StatusCode};
use oci::{Credential, Secret};
use tokio::time::timeout;
use wire::Side;

use super::caller_key::{Keyring, shown};
use super::issuer::Issuer;
use super::refusal::Refusal;

const FORM_LIMIT: usize = 64 * 1024;
const FORM_WAIT: Duration = Duration::from_secs(10);

pub(super) struct TokenRequest {
    pub(super) method: Method,
    query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    form: Bytes,
}

impl TokenRequest {
    /// Reads query, headers and form.
    pub(super) async fn read(request: axum::extract::Request, keyring: &Keyring) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let form = match parts.method {
            Method::GET => Bytes::new(),
            Method::POST => read_form(body).await?,
            _ => {
                return Err(refuse(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "UNSUPPORTED",
                    "the method is not allowed: use GET or POST",
                ));
            }
        };
        if shown(&parts.headers, keyring).1.is_none() {
            parts.headers.remove(AUTHORIZATION);
        }
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self {
            method: parts.method,
            query: url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            headers: parts.headers,
            form,
        })
    }

    pub(super) fn names(&self, wanted: &str) -> bool {
        self.query.iter().any(|(name, _)| name == wanted)
    }

    /// Removes a field from the query and returns it.
    pub(super) fn take(&mut self, wanted: &str) -> Option<String> {
        let at = self.query.iter().position(|(name, _)| name == wanted)?;
        Some(self.query.remove(at).1)
    }

    pub(super) fn form_fields(&self) -> HashMap<String, String> {
        self.form_pairs().collect()
    }

    fn form_pairs(&self) -> impl Iterator<Item = (String, String)> {
        url::form_urlencoded::parse(&self.form).into_owned()
    }

    /// Returns the `scope` values. One value may hold several scopes.
    pub(super) fn scopes(&self) -> Vec<String> {
        let fields = self.query.iter().cloned().chain(self.form_pairs());
        let values = fields.filter(|(name, _)| name == "scope");
        let values: Vec<String> = values.map(|(_, value)| value).collect();
        let each = values.iter().flat_map(|value| value.split_ascii_whitespace());
        each.map(str::to_owned).collect()
    }

    /// Returns the `Basic` value of the caller's user name and password, from the header or the form.
    pub(super) fn basic(&self) -> Option<Secret> {
        let form = self.form_fields();
        let posted = form.get("username").zip(form.get("password"));
        let posted = posted.map(|(username, password)| Credential::Basic {
            username: username.clone(),
            password: Secret::new(password.clone()),
        });
        let header = self
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let credential = posted.or_else(|| header.map(Credential::from_authorization))?;
        match credential {
            Credential::Basic { .. } => credential.authorization(),
            _ => None,
        }
    }

    /// Returns whether the caller showed any credential.
    pub(super) fn shows_a_credential(&self) -> bool {
        let form = self.form_fields();
        let fields = ["password", "refresh_token"];
        self.headers.contains_key(AUTHORIZATION) || fields.iter().any(|name| form.contains_key(*name))
    }

    /// Makes this the request of an anonymous caller.
    pub(super) fn drop_credential(&mut self) {
        self.headers.remove(AUTHORIZATION);
        self.form = Bytes::new();
        self.method = Method::GET;
        self.query.retain(|(name, _)| name != "account");
    }

    /// Replaces service and scopes by those of a registry's token server.
    pub(super) fn address_to(&mut self, issuer: &Issuer, scopes: Vec<String>) {
        let stays = |(name, _): &(String, String)| name != "service" && name != "scope";
        let mut added: Vec<(String, String)> = Vec::new();
        added.extend(
            issuer
                .service
                .iter()
                .map(|service| ("service".to_owned(), service.clone())),
        );
        self.query.retain(stays);
        if self.method == Method::POST {
            // RFC 6749, 3.3: one field with all scopes.
            added.push(("scope".to_owned(), scopes.join(" ")));
            let fields: Vec<_> = self.form_pairs().filter(stays).chain(added).collect();
            let form = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish();
            self.form = form.into();
        } else {
            added.extend(scopes.into_iter().map(|scope| ("scope".to_owned(), scope)));
            self.query.extend(added);
        }
    }

    /// Returns whether the token is for the service that the registry named.
    pub(super) fn is_for(&self, issuer: &Issuer) -> bool {
        let sent = self.query.iter().cloned().chain(self.form_pairs());
        // Clients send an empty service where none was named.
        let services: Vec<String> = sent
            .filter(|(name, value)| name == "service" && !value.is_empty())
            .map(|(_, value)| value)
            .collect();
        match issuer.service.as_deref().filter(|service| !service.is_empty()) {
            Some(wanted) => !services.is_empty() && services.iter().all(|service| service == wanted),
            None => services.is_empty(),
        }
    }

    /// Returns the request for the token server, with only these headers of the caller.
    pub(super) fn request(&self, mut url: url::Url) -> reqwest::Request {
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut request = reqwest::Request::new(self.method.clone(), url);
        for name in [ACCEPT, AUTHORIZATION, CONTENT_TYPE] {
            if let Some(value) = self.headers.get(&name) {
                let mut value = value.clone();
                value.set_sensitive(name == AUTHORIZATION);
                request.headers_mut().insert(name, value);
            }
        }
        if self.method == Method::POST {
            *request.body_mut() = Some(self.form.clone().into());
        }
        request
    }
}

pub(super) fn refuse(status: StatusCode, code: &'static str, text: &str) -> Refusal {
    Refusal::Status(status, code, text.to_owned(), Side::Caller)
}

async fn read_form(body: Body) -> Result<Bytes, Refusal> {
    let read = timeout(FORM_WAIT, to_bytes(body, FORM_LIMIT)).await;
    let bad = || {
        refuse(
            StatusCode::BAD_REQUEST,
            "UNSUPPORTED",
            "the form could not be read (too long, too slow or cut off): send it again",
        )
    };
    read.map_err(|_| bad())?.map_err(|_| bad())
}
