//! Lists of referrers: good ones and bad ones.

use std::time::Duration;

use axum::response::Response;
use oci::referrers::Referrers;
use oci::{Credential, Digest, RegistryError};
use serde_json::json;

use crate::server::{RecordedRequest, Server, ann, answer, repository};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn subject() -> Digest {
    Digest::of(b"the image")
}

/// Returns a list of one entry; the number decides its digest.
fn page(number: usize) -> String {
    let digest = Digest::of(&number.to_be_bytes());
    json!({"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "digest": digest, "size": 5}]})
        .to_string()
}

fn listed(body: &str, link: Option<&str>) -> Response {
    let mut response = answer(200, &[("content-type", INDEX)], "");
    *response.body_mut() = body.to_owned().into();
    if let Some(link) = link {
        response.headers_mut().insert("link", link.parse().unwrap());
    }
    response
}

async fn referrers_from(
    registry: impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static,
) -> (Result<Option<Referrers>, RegistryError>, Vec<RecordedRequest>) {
    let server = Server::start(registry).await;
    // As the manager asks: a registry that refuses by count is waited for.
    let found = server
        .registry()
        .with_patience(Duration::from_secs(10))
        .referrers(&repository(), &subject(), &Credential::Anonymous)
        .await;
    (found, server.requests())
}

#[tokio::test]
async fn a_list_of_several_pages_is_read_to_its_end() {
    let (found, requests) = referrers_from(|request| match request.query.as_str() {
        "" => listed(
            &page(0),
            Some(
                "</v2/p/app/referrers/SUBJECT?n=1>; rel=\"next\""
                    .replace("SUBJECT", subject().as_str())
                    .as_str(),
            ),
        ),
        "n=1" => listed(&page(1), Some("<?n=2>; rel=\"next\"")),
        _ => listed(&page(2), None),
    })
    .await;
    assert_eq!(found.unwrap().unwrap().listed.len(), 3);
    let paths: Vec<String> = requests.into_iter().map(|one| one.path).collect();
    assert_eq!(paths, vec![format!("/v2/p/app/referrers/{}", subject()); 3]);
}

#[tokio::test]
async fn an_endless_list_is_read_up_to_a_limit() {
    let (found, requests) = referrers_from(|request| {
        let next = request.query.trim_start_matches("n=").parse().unwrap_or(0) + 1;
        listed(&page(next), Some(&format!("<?n={next}>; rel=\"next\"")))
    })
    .await;
    assert_eq!(found.unwrap().unwrap().listed.len(), requests.len());
    assert!(requests.len() <= 20, "{}", requests.len());
}

#[tokio::test]
async fn a_next_page_on_another_host_is_not_read() {
    for link in [
        "<http://169.254.169.254/latest?x=1>; rel=\"next\"",
        "<https://127.0.0.1:1/v2/p/app/referrers/x?n=1>; rel=\"next\"",
        "</v2/another/secret/referrers/x?n=1>; rel=\"next\"",
        "</admin?delete=all>; rel=\"next\"",
        "<not a link",
    ] {
        let (found, requests) = referrers_from(move |_| listed(&page(0), Some(link))).await;
        assert_eq!(
            (found.unwrap().unwrap().listed.len(), requests.len()),
            (1, 1),
            "{link}"
        );
    }
}

#[tokio::test]
async fn a_registry_without_lists_is_not_mistaken_for_a_refusal() {
    for status in [400, 404, 405, 406, 501] {
        let (found, _) = referrers_from(move |_| answer(status, &[], "404 page not found")).await;
        assert_eq!(found.unwrap(), None, "{status}");
    }
    let (found, _) = referrers_from(|_| answer(200, &[("content-type", "text/html")], "<html>")).await;
    assert_eq!(found.unwrap(), None, "a page for browsers");
    for status in [401, 403, 429, 500] {
        let (found, _) = referrers_from(move |_| answer(status, &[], "")).await;
        assert!(found.is_err(), "{status}");
    }
}

#[tokio::test]
async fn an_invalid_or_too_large_list_is_an_error() {
    for body in ["[".repeat(900), "{\"manifests\":7}".to_owned(), "x".repeat(2_000)] {
        let (found, _) = referrers_from(move |_| listed(&body, None)).await;
        let error = found.unwrap_err();
        assert!(
            !error.is_worth_retrying() && error.to_string().len() < 600,
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_credential_that_reads_the_image_reads_the_list() {
    let server = Server::start(|request| match &request.authorization {
        None => answer(401, &[("www-authenticate", "Basic realm=\"r\"")], ""),
        Some(_) => listed(&page(0), None),
    })
    .await;
    // As the manager asks: a registry that refuses by count is waited for.
    let found = server
        .registry()
        .with_patience(Duration::from_secs(10))
        .referrers(&repository(), &subject(), &ann())
        .await;
    assert_eq!(found.unwrap().unwrap().listed.len(), 1);
}

#[tokio::test]
async fn a_list_that_leads_to_web_pages_of_another_host_is_no_list() {
    for status in [400, 401, 403, 404, 406, 429, 500, 503, 200] {
        let pages = Server::start(move |_| answer(status, &[("content-type", "text/html")], "<html>")).await;
        let target = format!("http://{}/packages", pages.address);
        let (found, _) = referrers_from(move |_| answer(303, &[("location", &target)], "")).await;
        assert_eq!(found.unwrap(), None, "{status}");
        assert!(
            pages.requests().len() <= 3,
            "{status}: {}",
            pages.requests().len()
        );
    }
    let (found, _) = referrers_from(|_| answer(303, &[("location", "ftp://pages.lan/")], "")).await;
    assert_eq!(found.unwrap(), None);
}
