//! Follows redirects.
//!
//! **Invariant:** neither `Authorization` nor our client certificate goes to another scheme, host or port than the one
//! it is for, except from plain HTTP to HTTPS on the same host and path: the registry itself, moved. Another host's
//! response is never taken for the registry's own. An unconfigured public registry leads to no private address, however
//! many redirects it uses.

use http::header;
use url::Url;

use super::client::Registry;
use super::exchange::error_response;
use super::request::{REDIRECTED, Request};
use super::response::RegistryResponse;
use crate::challenge::is_loopback;
use crate::clients::DialMode;
use crate::{ConnectFault, RegistryError, RequestedObject, Secret};

/// How often the registry is asked for a new URL if the target refuses the given one.
const RENEWALS: usize = 2;

impl Registry {
    /// Sends with exactly this `Authorization` and follows redirects. A signed URL may have expired on arrival; then
    /// the registry is asked for a new one.
    pub(super) async fn send(
        &self,
        request: &Request,
        authorization: Option<&Secret>,
    ) -> Result<RegistryResponse, RegistryError> {
        let mut renewals = 0;
        loop {
            let (answer, place) = self.follow(request, authorization).await?;
            if self.is_own(&place) || !matches!(answer.status().as_u16(), 400 | 401 | 403) {
                return Ok(answer);
            }
            if renewals >= RENEWALS {
                let error = RegistryError::StorageRefused {
                    requested: request.requested.clone(),
                    host: place.host_str().unwrap_or_default().to_owned(),
                    response: error_response(answer).await,
                };
                return Err(error);
            }
            renewals += 1;
        }
    }

    /// Returns the last response and its URL.
    async fn follow(
        &self,
        request: &Request,
        authorization: Option<&Secret>,
    ) -> Result<(RegistryResponse, Url), RegistryError> {
        let mut url = self.url_of(request)?;
        let mut template = request.template;
        let mut authorization = authorization;
        let mut may_lead_inside = true;
        for _ in 0..=self.inner.limits.redirects {
            let headers = request.headers(authorization)?;
            let mut prepared = reqwest::Request::new(request.method.clone(), url.clone());
            *prepared.headers_mut() = headers;
            let way = self.way_to(&url, may_lead_inside);
            let sent = self.send_once(request, template, &url, (way, prepared)).await;
            let answer = sent.map_err(|error| self.after_move(&url, error))?;
            may_lead_inside = may_lead_inside && self.may_lead_inside(answer.is_from_inside());
            let next = self.redirect_of(&request.requested, &url, &answer);
            let Some(next) = next.inspect_err(|error| answer.failed(error))? else {
                return Ok((answer, url));
            };
            if self.moves_to_https(&url, &next) {
                url = next;
                continue;
            }
            if next.origin() != url.origin() {
                authorization = None;
            }
            (url, template) = (next, REDIRECTED);
        }
        let what = format!("more than {} redirects", self.inner.limits.redirects);
        Err(RegistryError::BadRedirect {
            requested: request.requested.clone(),
            what,
        })
    }

    /// Returns the error for a registry on plain HTTP that moved to HTTPS and cannot be reached there. The next request
    /// starts at the configured URL again.
    fn after_move(&self, url: &Url, error: RegistryError) -> RegistryError {
        let is_moved = url.origin() != self.inner.base.origin() && self.is_own(url);
        match error {
            RegistryError::Unreachable { requested, cause } if is_moved => {
                self.moves_back();
                match cause {
                    ConnectFault::Certificate(_)
                    | ConnectFault::NeedsOurCertificate
                    | ConnectFault::OtherTls => RegistryError::SpeaksHttps { requested, cause },
                    cause => RegistryError::Unreachable { requested, cause },
                }
            }
            other => other,
        }
    }

    /// The registry itself may have any address, and only it receives our client certificate.
    fn way_to(&self, url: &Url, may_lead_inside: bool) -> DialMode {
        let is_own = self.is_own(url);
        DialMode {
            shows_identity: is_own,
            outside_only: !is_own && !may_lead_inside,
            fresh: false,
        }
    }

    fn url_of(&self, request: &Request) -> Result<Url, RegistryError> {
        let unusable = |cause: url::ParseError| RegistryError::Setup {
            registry: self.name().clone(),
            cause: format!("the URL of {} is unusable: {cause}", request.requested.object),
        };
        Url::parse(&format!("{}{}", self.base(), request.path)).map_err(unusable)
    }

    /// Returns the target of a redirect, or the error that it must not be followed.
    fn redirect_of(
        &self,
        requested: &RequestedObject,
        from: &Url,
        response: &RegistryResponse,
    ) -> Result<Option<Url>, RegistryError> {
        if !response.is_redirect() {
            return Ok(None);
        }
        let refuse = |what: &str| {
            Err(RegistryError::BadRedirect {
                requested: requested.clone(),
                what: what.to_owned(),
            })
        };
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let Some(next) = location.and_then(|location| from.join(location).ok()) else {
            return refuse("it has no usable Location");
        };
        if !matches!(next.scheme(), "http" | "https") || !next.username().is_empty() {
            return refuse("its target is not a plain http or https URL");
        }
        if from.scheme() == "https" && next.scheme() == "http" && !self.inner.settings.insecure_skip_verify {
            return refuse("it goes from https to plain http");
        }
        let is_listed = self.inner.dial.lists(&next);
        if leads_inside(&next) && !is_listed && !self.name().is_loopback() && next.host() != from.host() {
            return refuse("it goes to a loopback or link-local address");
        }
        Ok(Some(next))
    }
}

/// Whether a URL has a loopback or link-local address, which a registry must not make us call.
fn leads_inside(url: &Url) -> bool {
    let Some(host) = url.host() else { return true };
    let is_link_local = match host {
        url::Host::Ipv4(address) => address.is_link_local() || address.is_unspecified(),
        url::Host::Ipv6(address) => address.is_unicast_link_local() || address.is_unspecified(),
        url::Host::Domain(_) => false,
    };
    is_link_local || is_loopback(&host)
}
