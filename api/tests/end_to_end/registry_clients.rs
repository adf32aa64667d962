//! The OCI conformance suite, crane, oras and regctl through a front: what they get straight from the registry, they get
//! here. `make test-clients` builds these programs and runs these tests.

use std::collections::BTreeMap;

use world::registry::{BearerSpec, PASSWORD, USER};
use world::{Image, ImageSpec, LayerSpec, Manager, Registry, RegistryClients};

use crate::clients::{front_of, through};
use crate::up;

const REPOSITORY: &str = "lib/ro";

fn image(seed: u64) -> Image {
    ImageSpec::new(seed)
        .layers([LayerSpec::of(300_000), LayerSpec::of(1)])
        .build()
}

/// The results of the conformance suite: the number of tests by result, and the names of failed ones.
async fn conformance(host: &str, repository: &str, images: &[Image]) -> BTreeMap<String, String> {
    let joined = |digests: Vec<&str>| digests.join(" ");
    let roots: Vec<&str> = images.iter().map(|image| image.root().digest.as_str()).collect();
    let layers = images.iter().flat_map(Image::layers);
    let blobs = joined(layers.map(|layer| layer.digest.as_str()).collect());
    let (manifests, subjects) = (joined(roots.clone()), roots[0]);
    let settings = [
        ("OCI_REGISTRY", host),
        ("OCI_TLS", "disabled"),
        ("OCI_REPO1", repository),
        ("OCI_REPO2", repository),
        ("OCI_API_PUSH", "false"),
        ("OCI_API_BLOBS_DELETE", "false"),
        ("OCI_API_MANIFESTS_DELETE", "false"),
        ("OCI_API_TAGS_DELETE", "false"),
        ("OCI_API_BLOBS_MOUNT_ANONYMOUS", "false"),
        ("OCI_RO_DATA_TAGS", "v1 v2"),
        ("OCI_RO_DATA_MANIFESTS", &manifests),
        ("OCI_RO_DATA_BLOBS", &blobs),
        ("OCI_RO_DATA_REFERRERS", subjects),
    ];
    let report = RegistryClients::new().conformance(&settings).await;
    results(&report)
}

/// Reads lines such as `  Tag list: PASS`.
fn results(report: &str) -> BTreeMap<String, String> {
    let lines = report.lines().filter_map(|line| line.rsplit_once(':'));
    let results = lines.map(|(name, result)| (name.trim().to_owned(), result.trim().to_owned()));
    let known = ["Pass", "FAIL", "Skip", "Disabled", "Error"];
    results
        .filter(|(_, result)| known.iter().any(|known| known.eq_ignore_ascii_case(result)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the conformance suite: make test-clients"]
async fn the_conformance_suite_finds_no_fault_that_the_registry_alone_does_not_have() {
    let registry = Registry::distribution_3().await;
    let images = [image(91), image(92)];
    for (image, tag) in images.iter().zip(["v1", "v2"]) {
        registry.push(image, REPOSITORY, tag).await;
    }
    let manager = up(&registry).await;
    let direct = conformance(&registry.host(), REPOSITORY, &images).await;
    let (front, path) = front_of(&manager, &registry);
    let through = conformance(&front, &format!("{path}/{REPOSITORY}"), &images).await;
    assert!(direct.len() >= 10, "{direct:#?}");
    let worse = |name: &&String| direct.get(*name) != through.get(*name);
    let worse: Vec<_> = direct.keys().filter(worse).collect();
    assert!(
        worse.is_empty(),
        "{worse:#?}\ndirect: {direct:#?}\nthrough the front: {through:#?}"
    );
}

/// Reads the manifest and the tags of the image, as each client does.
async fn read_by_all(clients: &RegistryClients, name: &str) -> Vec<(&'static str, Result<String, String>)> {
    let (repository, host) = (
        name.rsplit_once(':').expect("a tag").0,
        name.split('/').next().expect("a host"),
    );
    let plain = ["registry", "set", "--tls", "disabled", host];
    clients.built("regctl", &plain).await.expect("regctl's settings");
    let commands: [(&str, &[&str]); 6] = [
        ("crane", &["manifest", "--insecure", name]),
        ("crane", &["ls", "--insecure", repository]),
        ("oras", &["manifest", "fetch", "--plain-http", name]),
        ("oras", &["repo", "tags", "--plain-http", repository]),
        ("regctl", &["manifest", "get", "--format", "raw-body", name]),
        ("regctl", &["tag", "ls", repository]),
    ];
    let mut read = Vec::new();
    for (program, arguments) in commands {
        read.push((program, clients.built(program, arguments).await));
    }
    read
}

async fn assert_reads(clients: &RegistryClients, name: &str, image: &Image) {
    for (program, read) in read_by_all(clients, name).await {
        let read = read.unwrap_or_else(|error| panic!("{program}: {error}"));
        let is_it = read.contains(&image.layers()[0].digest) || read.lines().any(|tag| tag == "v1");
        assert!(is_it, "{program} printed {read}");
    }
}

async fn site(registry: &Registry) -> (Manager, Image) {
    let image = image(93);
    registry.push(&image, "team/app", "v1").await;
    (up(registry).await, image)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs crane, oras and regctl: make test-clients"]
async fn every_client_reads_manifests_and_tags_with_its_credential_or_without_one() {
    for registry in [
        Registry::plain().await,
        Registry::basic().await,
        Registry::bearer(BearerSpec::default()).await,
    ] {
        let (manager, image) = site(&registry).await;
        let name = through(&manager, &registry, "team/app:v1");
        let front = name.split('/').next().expect("a host");
        assert_reads(&RegistryClients::signed_in(front, USER, PASSWORD), &name, &image).await;
    }
    let open = Registry::plain().await;
    let (manager, image) = site(&open).await;
    let name = through(&manager, &open, "team/app:v1");
    assert_reads(&RegistryClients::new(), &name, &image).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs crane, oras and regctl: make test-clients"]
async fn no_client_reads_a_private_image_without_a_credential() {
    let registry = Registry::basic().await;
    let (manager, _) = site(&registry).await;
    let name = through(&manager, &registry, "team/app:v1");
    for (program, read) in read_by_all(&RegistryClients::new(), &name).await {
        assert!(read.is_err(), "{program}: {read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs oras and regctl: make test-clients"]
async fn no_client_takes_an_unreachable_registry_for_one_without_referrers() {
    let mut registry = Registry::plain().await;
    let (manager, _) = site(&registry).await;
    let name = through(&manager, &registry, "team/app:v1");
    registry.stop();
    let clients = RegistryClients::new();
    let host = name.split('/').next().expect("a host");
    let plain = ["registry", "set", "--tls", "disabled", host];
    clients.built("regctl", &plain).await.expect("regctl's settings");
    for (program, arguments) in [
        ("oras", ["discover", "--plain-http", "--format=json", &name]),
        ("regctl", ["artifact", "list", "--format=raw-body", &name]),
    ] {
        let found = clients.built(program, &arguments).await;
        assert!(found.is_err(), "{program}: {found:?}");
    }
}
