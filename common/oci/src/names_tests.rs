//! Which names are accepted, normalized and refused.

use proptest::prelude::*;

use super::*;

#[test]
fn a_registry_has_one_name() {
    for (given, name) in [
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("Index.Docker.io:443", "docker.io"),
        ("registry.docker.io", "docker.io"),
        ("Registry.Hub.Docker.com", "docker.io"),
        ("registry.hub.docker.com:443", "docker.io"),
        ("hub.docker.com", "docker.io"),
        ("registry.hub.docker.com:8443", "registry.hub.docker.com:8443"),
        ("hub.docker.com.example.com", "hub.docker.com.example.com"),
        ("Harbor.Example.com:443", "harbor.example.com"),
        ("harbor.example.com:8443", "harbor.example.com:8443"),
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("[::1]:5000", "[::1]:5000"),
        ("[::1]", "[::1]"),
    ] {
        assert_eq!(given.parse::<RegistryName>().unwrap().as_str(), name);
    }
    assert_eq!(
        RegistryName::parse("10.0.0.1:80", true).unwrap().as_str(),
        "10.0.0.1"
    );
    assert_eq!(
        "docker.io".parse::<RegistryName>().unwrap().api_host(),
        "registry-1.docker.io"
    );
}

#[test]
fn hosts_that_hide_another_one_are_refused() {
    for bad in [
        "",
        "a b",
        "user@host",
        "host:0",
        "host:99999",
        "host:+80",
        "host:",
        "a..b",
        "-a.b",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "[::1",
        "[x]:1",
        "host/..",
        "ho%73t",
        "host\\x",
        "höst",
        "a_b",
    ] {
        assert!(bad.parse::<RegistryName>().is_err(), "{bad}");
    }
}

#[test]
fn loopback_is_known() {
    for (name, expected) in [
        ("localhost:5000", true),
        ("127.0.0.2", true),
        ("[::1]:5", true),
        ("10.0.0.1", false),
    ] {
        assert_eq!(
            name.parse::<RegistryName>().unwrap().is_loopback(),
            expected,
            "{name}"
        );
    }
}

#[test]
fn repositories_follow_the_distribution_grammar() {
    for good in [
        "nginx",
        "library/nginx",
        "a/b__c/d-e.f_g",
        "a--b",
        "0/v2/manifests",
    ] {
        assert_eq!(good.parse::<Repository>().unwrap().as_str(), good);
    }
    let long = "a/".repeat(200) + "a";
    for bad in [
        "", "/", "a//b", "a/", "/a", "..", "a/../b", "A", "a/%2e%2e", "a___b", "a..b", "-a", "a b", "a?b",
        &long,
    ] {
        assert!(bad.parse::<Repository>().is_err(), "{bad}");
    }
}

#[test]
fn an_upper_case_repository_is_refused_with_advice() {
    let error = "library/Nginx".parse::<Repository>().unwrap_err();
    assert_eq!(
        (error.given.as_str(), error.advice),
        ("library/Nginx", LOWER_CASE)
    );
}

#[test]
fn tags_follow_the_distribution_grammar() {
    for good in ["latest", "1.27", "_x", "V1-beta.2"] {
        assert!(good.parse::<Tag>().is_ok(), "{good}");
    }
    for bad in ["", ".", "..", "-a", "a/b", "a:b", "a%2f", &"x".repeat(129)] {
        assert!(bad.parse::<Tag>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_repository_that_climbs(text in "[a-zA-Z0-9/._%\\\\?#@: -]{0,40}") {
        if let Ok(repository) = text.parse::<Repository>() {
            let url = url::Url::parse(&format!("https://h/v2/{repository}/x")).unwrap();
            prop_assert_eq!(url.path(), format!("/v2/{text}/x"));
        }
    }

    #[test]
    fn no_text_makes_a_registry_with_another_host(text in "\\PC{0,40}") {
        if let Ok(name) = text.parse::<RegistryName>() {
            let url = url::Url::parse(&format!("https://{name}/")).unwrap();
            prop_assert_eq!(url.path(), "/");
            prop_assert_eq!(url.username(), "");
            prop_assert_eq!(name.as_str().parse::<RegistryName>().unwrap(), name);
        }
    }
}
