//! `GET /v2/<repository>/tags/list` and `GET /v2/<repository>/referrers/<digest>`.
//!
//! **Invariant:** a page leads to the next one through this front, or the response is an error. A list is never cut off
//! without a word.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, LINK, WARNING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use process::telemetry::RouteTemplate;
use wire::Side;

use super::if_it_reads;
use super::path::ListPath;
use super::state::Front;
use crate::access::{ListAnswer, Refusal};

const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

/// The next page of a list, as its registry names it.
#[derive(Debug, PartialEq, Eq)]
enum NextPage {
    None,
    /// Its query, decoded.
    Query(Vec<(String, String)>),
    Unreadable,
}

impl Front {
    pub(super) async fn list(&self, request: &Parts, asked: ListPath) -> Response {
        let template = asked.list.as_ref().map(|list| RouteTemplate(list.template()));
        let answered = self.answer_list(request, asked).await;
        let mut response = answered.unwrap_or_else(Refusal::into_response);
        if let Some(template) = template {
            response.extensions_mut().insert(template);
        }
        response
    }

    async fn answer_list(&self, request: &Parts, asked: ListPath) -> Result<Response, Refusal> {
        if_it_reads(&request.method)?;
        let busy = "this peer answers too many lists: ask the registry itself";
        let _room = self
            .room_for_lists
            .try_acquire()
            .map_err(|_| Refusal::unavailable(busy))?;
        let list = asked.list.ok_or_else(bad_subject)?;
        let (query, headers) = (request.uri.query(), &request.headers);
        let allowed = self
            .access
            .allowed()
            .choose(asked.registry, asked.repository, query, headers)
            .map_err(|why| Refusal::not_found("NAME_UNKNOWN", why.to_string()))?;
        let caller = self.access.caller(allowed, headers);
        let answer = self.access.list(&caller, list, forwarded(query)).await?;
        passed_on(answer, &request.uri)
    }
}

fn bad_subject() -> Refusal {
    Refusal::Status(
        StatusCode::BAD_REQUEST,
        "DIGEST_INVALID",
        oci::BadSubject.to_string(),
        Side::Caller,
    )
}

/// Returns the query for the registry: without our own `ns`.
fn forwarded(query: Option<&str>) -> String {
    encoded(pairs(query.unwrap_or_default()).filter(|(name, _)| name != "ns"))
}

fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned()
}

fn encoded(pairs: impl Iterator<Item = (String, String)>) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

fn passed_on(answer: ListAnswer, uri: &Uri) -> Result<Response, Refusal> {
    let next = match next_page(&answer.headers) {
        NextPage::None => None,
        NextPage::Query(query) => link(uri, query),
        NextPage::Unreadable => {
            let text = "the registry's link to the next page cannot be read: ask the registry itself";
            return Err(Refusal::bad_gateway(Side::Registry, "UNAVAILABLE", text));
        }
    };
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    for name in [CONTENT_TYPE, FILTERS, WARNING] {
        for value in answer.headers.get_all(&name) {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    if let Some(next) = next {
        response.headers_mut().insert(LINK, next);
    }
    Ok(response)
}

/// Returns the link to the next page at the path of this request.
fn link(uri: &Uri, next: Vec<(String, String)>) -> Option<HeaderValue> {
    let own = pairs(uri.query().unwrap_or_default()).filter(|(name, _)| name == "ns");
    let query = encoded(next.into_iter().filter(|(name, _)| name != "ns").chain(own));
    HeaderValue::from_str(&format!("<{}?{query}>; rel=\"next\"", uri.path())).ok()
}

/// Returns the next page in `Link`. Only the query of its target is used: host and path stay those of this request.
fn next_page(headers: &HeaderMap) -> NextPage {
    for value in headers.get_all(LINK) {
        let Ok(text) = value.to_str() else {
            return NextPage::Unreadable;
        };
        for link in text.split('<').skip(1) {
            let Some((target, parameters)) = link.split_once('>') else {
                return NextPage::Unreadable;
            };
            if is_next(parameters) {
                return query_of(target);
            }
        }
    }
    NextPage::None
}

fn is_next(parameters: &str) -> bool {
    let mut parameters = parameters.split([';', ',']);
    parameters.any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
        name.trim().eq_ignore_ascii_case("rel")
            && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
    })
}

fn query_of(target: &str) -> NextPage {
    let target = target.split('#').next().unwrap_or_default();
    match target.split_once('?') {
        Some((_, query)) if !query.is_empty() => NextPage::Query(pairs(query).collect()),
        _ => NextPage::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link_of(uri: &str, link: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(LINK, link.parse().expect("a header"))]);
        let NextPage::Query(query) = next_page(&headers) else {
            return None;
        };
        let uri = uri.parse().expect("a URI");
        Some(super::link(&uri, query)?.to_str().expect("text").to_owned())
    }

    #[test]
    fn the_next_page_stays_at_this_front() {
        for (uri, link, next) in [
            (
                "/v2/a/tags/list?n=2&ns=reg.lan%3A5000",
                "</v2/a/tags/list?last=v2&n=2>; rel=\"next\"",
                "</v2/a/tags/list?last=v2&n=2&ns=reg.lan%3A5000>; rel=\"next\"",
            ),
            (
                "/v2/reg__5000/a/tags/list",
                "<https://reg.lan/v2/a/tags/list?next_page=x%2By>; rel=next",
                "</v2/reg__5000/a/tags/list?next_page=x%2By>; rel=\"next\"",
            ),
            (
                "/v2/a/tags/list",
                "</first?a=b>; rel=\"first\", <?last=v9>; title=x; REL=\"last next\"",
                "</v2/a/tags/list?last=v9>; rel=\"next\"",
            ),
        ] {
            assert_eq!(link_of(uri, link).as_deref(), Some(next));
        }
    }

    #[test]
    fn a_link_that_cannot_be_followed_is_an_error_and_no_end() {
        let found = |link: &str| {
            let headers = HeaderMap::from_iter([(LINK, link.parse().expect("a header"))]);
            next_page(&headers)
        };
        assert_eq!(found("</v2/a/tags/list>; rel=\"next\""), NextPage::Unreadable);
        assert_eq!(found("<broken; rel=\"next\""), NextPage::Unreadable);
        assert_eq!(found("</x?a=b>; rel=\"prev\""), NextPage::None);
        assert_eq!(next_page(&HeaderMap::new()), NextPage::None);
    }

    #[test]
    fn our_own_parameter_does_not_reach_the_registry() {
        assert_eq!(
            forwarded(Some("n=2&ns=reg.lan&artifactType=a%2Fb")),
            "n=2&artifactType=a%2Fb"
        );
        assert_eq!(forwarded(Some("ns=reg.lan")), "");
        assert_eq!(forwarded(None), "");
    }
}
