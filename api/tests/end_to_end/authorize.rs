//! Harbor counts each pull through a peer, and a peer does not serve an image that Harbor bars.

use reqwest::{Client, StatusCode};
use world::harbor::Wish;
use world::registry::{HarborEndpoint, PASSWORD, USER};
use world::{Image, ImageSpec, Manager, ManagerSpec};

use crate::{assert_lists, preheat_well};

const REPOSITORY: &str = "p/app";
/// The log message of a peer for an image that Harbor bars.
const BARRED: &str = "bars this image";

async fn preheated(seed: u64) -> (HarborEndpoint, Image, Manager) {
    let harbor = HarborEndpoint::start();
    let image = ImageSpec::small(seed).build();
    harbor.put(&image, REPOSITORY, "v1");
    let section = format!("[registry.\"{}\"]\nplain_http = true\n", harbor.host());
    let manager = ManagerSpec::new().config(&section).start_up().await;
    let authorization = harbor.preheat_authorization(REPOSITORY);
    let jwt = authorization.trim_start_matches("Bearer ");
    let wish = Wish::new(harbor.manifest_url(REPOSITORY, "v1")).jwt(jwt);
    assert_lists(&preheat_well(&manager, &wish).await, &image);
    (harbor, image, manager)
}

/// As a runtime with the right account asks the front.
async fn get(harbor: &HarborEndpoint, manager: &Manager, path: &str) -> (StatusCode, String) {
    let url = format!(
        "{}/v2/{REPOSITORY}/{path}?ns={}",
        manager.front_url(),
        harbor.host().replace(':', "%3A")
    );
    let http: Client = world::http::client(None);
    let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
    let request = http.get(url).header("accept", accept);
    let request = request.basic_auth(USER, Some(PASSWORD));
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let body = answer.bytes().await.unwrap_or_default();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn pulls(harbor: &HarborEndpoint) -> usize {
    let pulls = harbor.pulls();
    pulls.iter().filter(|pull| pull.user == USER).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harbor_counts_each_pull_through_a_peer() {
    let (harbor, image, manager) = preheated(81).await;
    let manifest = format!("manifests/{}", image.root().digest);
    harbor.forget_requests();
    for times in 1..=3 {
        let (status, _) = get(&harbor, &manager, &manifest).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(pulls(&harbor), times);
    }
    let layer = format!("blobs/{}", image.layers()[0].digest);
    assert_eq!(get(&harbor, &manager, &layer).await.0, StatusCode::OK);
    let blob_gets = harbor
        .requests()
        .into_iter()
        .filter(|one| one.method == "GET" && one.path.contains("/blobs/"));
    assert_eq!(blob_gets.count(), 0, "layers come from the cache");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_harbor_bars_is_not_given_from_the_cache() {
    let (harbor, image, manager) = preheated(82).await;
    let manifest = format!("manifests/{}", image.root().digest);
    assert_eq!(get(&harbor, &manager, &manifest).await.0, StatusCode::OK);
    harbor.bar(REPOSITORY);
    for path in [manifest.as_str(), "manifests/v1"] {
        let (status, body) = get(&harbor, &manager, path).await;
        assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{path}");
        assert!(body.contains("PROJECTPOLICYVIOLATION"), "{body}");
    }
    assert!(manager.log().contains(BARRED), "the node's own log says so");
}
