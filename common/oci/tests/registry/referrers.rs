//! Registries that keep lists of what refers to a manifest, well or badly.

use axum::response::Response;
use oci::referrers::Referrers;
use oci::{Credential, Digest, RegistryError};
use serde_json::json;

use crate::server::{Heard, Server, ann, answer, repository};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn subject() -> Digest {
    Digest::of(b"the image")
}

/// A list of one entry, named by a number.
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

async fn asked(
    registry: impl Fn(&Heard) -> Response + Clone + Send + Sync + 'static,
) -> (Result<Option<Referrers>, RegistryError>, Vec<Heard>) {
    let server = Server::start(registry).await;
    let found = server
        .registry()
        .referrers(&repository(), &subject(), &Credential::Anonymous)
        .await;
    (found, server.heard())
}

#[tokio::test]
async fn a_list_in_parts_is_read_to_its_end() {
    let (found, heard) = asked(|heard| match heard.query.as_str() {
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
    let paths: Vec<String> = heard.into_iter().map(|one| one.path).collect();
    assert_eq!(paths, vec![format!("/v2/p/app/referrers/{}", subject()); 3]);
}

#[tokio::test]
async fn a_list_without_end_is_read_for_a_while() {
    let (found, heard) = asked(|heard| {
        let next = heard.query.trim_start_matches("n=").parse().unwrap_or(0) + 1;
        listed(&page(next), Some(&format!("<?n={next}>; rel=\"next\"")))
    })
    .await;
    assert_eq!(found.unwrap().unwrap().listed.len(), heard.len());
    assert!(heard.len() <= 20, "{}", heard.len());
}

#[tokio::test]
async fn a_list_that_goes_on_elsewhere_ends_there() {
    for link in [
        "<http://169.254.169.254/latest?x=1>; rel=\"next\"",
        "<https://127.0.0.1:1/v2/p/app/referrers/x?n=1>; rel=\"next\"",
        "</v2/another/secret/referrers/x?n=1>; rel=\"next\"",
        "</admin?delete=all>; rel=\"next\"",
        "<not a link",
    ] {
        let (found, heard) = asked(move |_| listed(&page(0), Some(link))).await;
        assert_eq!(
            (found.unwrap().unwrap().listed.len(), heard.len()),
            (1, 1),
            "{link}"
        );
    }
}

#[tokio::test]
async fn who_keeps_no_lists_is_told_from_who_refuses() {
    for status in [400, 404, 405, 406, 501] {
        let (found, _) = asked(move |_| answer(status, &[], "404 page not found")).await;
        assert_eq!(found.unwrap(), None, "{status}");
    }
    let (found, _) = asked(|_| answer(200, &[("content-type", "text/html")], "<html>")).await;
    assert_eq!(found.unwrap(), None, "a page for browsers");
    for status in [401, 403, 500] {
        let (found, _) = asked(move |_| answer(status, &[], "")).await;
        assert!(found.is_err(), "{status}");
    }
}

#[tokio::test]
async fn a_list_that_is_none_or_too_large_is_an_error() {
    for body in ["[".repeat(900), "{\"manifests\":7}".to_owned(), "x".repeat(2_000)] {
        let (found, _) = asked(move |_| listed(&body, None)).await;
        let error = found.unwrap_err();
        assert!(
            !error.is_worth_retrying() && error.to_string().len() < 600,
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_credential_that_reads_the_image_reads_the_list() {
    let server = Server::start(|heard| match &heard.authorization {
        None => answer(401, &[("www-authenticate", "Basic realm=\"r\"")], ""),
        Some(_) => listed(&page(0), None),
    })
    .await;
    let found = server
        .registry()
        .referrers(&repository(), &subject(), &ann())
        .await;
    assert_eq!(found.unwrap().unwrap().listed.len(), 1);
}
