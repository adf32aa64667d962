//! Which texts are image references, and which are refused.

use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn reference(text: &str) -> ImageReference {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    text.parse::<ImageReference>()
        .map(|found| format!("accepted as {found}"))
        .unwrap_err()
        .to_string()
}

#[test]
fn short_names_mean_docker_hub() {
    for (short, long) in [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("bitnami/redis", "docker.io/bitnami/redis:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("localhost/web", "localhost/web:latest"),
        ("harbor.lan:5000/a/b:1", "harbor.lan:5000/a/b:1"),
        ("[::1]:5000/a:1", "[::1]:5000/a:1"),
        ("https://harbor.lan/library/nginx:1", "harbor.lan/library/nginx:1"),
    ] {
        assert_eq!(reference(short).to_string(), long);
    }
}

#[test]
fn a_digest_wins_over_a_tag() {
    let both = reference(&format!("harbor.lan/a:1@{DIGEST}"));
    assert_eq!(both.wanted.to_string(), DIGEST);
    assert_eq!(both.tag.as_ref().map(Tag::as_str), Some("1"));
    assert_eq!(both.to_string(), format!("harbor.lan/a:1@{DIGEST}"));
    assert_eq!(reference(&format!("nginx@{DIGEST}")).tag, None);
}

#[test]
fn harbors_manifest_url_is_read() {
    let plain = ImageReference::from_manifest_url("http://10.0.0.1:5000/v2/p/app/manifests/1.0").unwrap();
    assert!(plain.plain_http);
    assert_eq!(plain.to_string(), "10.0.0.1:5000/p/app:1.0");
    let below = reference(&format!(
        "https://Harbor.lan:443/path/v2/p/app/manifests/{DIGEST}"
    ));
    assert_eq!(
        (below.base_path.as_str(), below.registry.as_str()),
        ("/path", "harbor.lan")
    );
    assert_eq!(below.wanted.to_string(), DIGEST);
    assert!(!below.plain_http);
}

#[test]
fn folders_named_like_the_api_stay_in_the_repository() {
    let odd = reference("https://h.lan/v2/a/v2/manifests/manifests/1");
    assert_eq!(
        (odd.base_path.as_str(), odd.repository.as_str()),
        ("", "a/v2/manifests")
    );
}

#[test]
fn a_refusal_says_what_to_write() {
    let refusals = [
        "",
        "https://h.lan/v2/a/blobs/1",
        "https://h.lan",
        "h.lan/Upper/case:1",
        "h.lan/a b",
        "https://h.lan/v2/a/manifests/1?x=y",
        "https://ann:pw@h.lan/v2/a/manifests/1",
        "ftp://h.lan/a:1",
        "nginx@sha512:00",
    ]
    .map(refusal);
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    an image reference is needed, for example harbor.example.com/library/nginx:1.27
    "https://h.lan/v2/a/blobs/1" is not a manifest URL: write https://harbor.example.com/v2/library/nginx/manifests/1.27 (with a tag or a digest at the end)
    "h.lan" has no repository: write h.lan/library/nginx:1.27
    "Upper/case" is not a repository: write repositories in lower case
    "h.lan/a b" contains a space or control character: write only host, path and tag, for example https://harbor.example.com/v2/library/nginx/manifests/1.27
    "https://h.lan/v2/a/manifests/1?x=y" contains a query or fragment: write only host, path and tag, for example https://harbor.example.com/v2/library/nginx/manifests/1.27
    "https://ann:pw@h.lan/v2/a/manifests/1" contains a user name or password: write only host, path and tag, for example https://harbor.example.com/v2/library/nginx/manifests/1.27
    "ftp://h.lan/a:1" contains a scheme that is neither https:// nor http://: write only host, path and tag, for example https://harbor.example.com/v2/library/nginx/manifests/1.27
    "sha512:00" is not a digest: write sha256: and 64 digits from 0-9a-f, or sha512: and 128 of them
    "#);
}

#[test]
fn a_path_cannot_climb() {
    for bad in [
        "https://h.lan/v2/../manifests/1",
        "https://h.lan/v2/a/../b/manifests/1",
        "https://h.lan/v2/a/%2e%2e/b/manifests/1",
        "https://h.lan/v2/a//b/manifests/1",
        "https://h.lan/v2//manifests/1",
        "https://h.lan/../v2/a/manifests/1",
        "https://h.lan//v2/a/manifests/1",
        "https://h.lan/x/./v2/a/manifests/1",
        "https://h.lan/v2/a/manifests/..",
        "https://h.lan/v2/a/manifests/",
        "https://h.lan/v2/a\\..\\b/manifests/1",
        "https:///v2/a/manifests/1",
        "h.lan/a/../b:1",
        "../../etc/passwd",
    ] {
        assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
    }
    let long = format!("https://h.lan/v2/{}/manifests/1", "a/".repeat(3_000));
    assert!(long.parse::<ImageReference>().is_err());
}

#[test]
fn a_registry_of_one_word_is_shown_with_its_scheme() {
    for text in ["http://registry/team/app:1", "https://registry/app:1"] {
        let found: ImageReference = text.parse().unwrap();
        assert_eq!(found.to_string(), text);
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_or_read_back_unchanged(text in "(https?://)?[a-zA-Z0-9.:/@%_\\\\? -]{0,60}") {
        if let Ok(found) = text.parse::<ImageReference>() {
            prop_assert_eq!(ImageReference::from_manifest_url(&found.manifest_url()).unwrap().wanted, found.wanted.clone());
            prop_assert_eq!(reference(&found.to_string()).repository, found.repository);
        }
    }

    #[test]
    fn an_accepted_url_is_requested_unchanged(
        path in "(/[a-z.%]{1,4}){0,2}", repository in "[a-zA-Z0-9./%_-]{1,20}", tag in "[a-z0-9./%_-]{1,8}"
    ) {
        let text = format!("https://h.lan{path}/v2/{repository}/manifests/{tag}");
        if let Ok(found) = ImageReference::from_manifest_url(&text) {
            let url = url::Url::parse(&found.manifest_url()).unwrap();
            prop_assert_eq!(url.as_str(), text);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,80}") {
        let _ = text.parse::<ImageReference>();
        let _ = ImageReference::from_manifest_url(&text);
    }
}

#[test]
fn a_digest_pins_a_tag_and_contradicts_another_digest() {
    let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
    let mut image: ImageReference = "h.example/app:v1".parse().unwrap();
    assert_eq!(image.pin(one.clone()), Ok(()));
    assert_eq!(image.wanted.digest(), Some(&one));
    assert_eq!(image.tag.as_ref().map(ToString::to_string).as_deref(), Some("v1"));
    assert_eq!(image.pin(one.clone()), Ok(()));
    assert_eq!(image.pin(other), Err(DigestConflict));
    assert_eq!(image.wanted.digest(), Some(&one));
}
