//! Valid and hostile challenges.

use proptest::prelude::*;

use super::*;

fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Challenge::Bearer {
        realm: realm.to_owned(),
        service: owned(service),
        scope: owned(scope),
    }
}

#[test]
fn harbors_challenge_is_read() {
    let header = r#"Bearer realm="http://10.88.0.2:8080/service/token",service="harbor-registry",scope="repository:p/app:pull""#;
    let expected = bearer(
        "http://10.88.0.2:8080/service/token",
        Some("harbor-registry"),
        Some("repository:p/app:pull"),
    );
    assert_eq!(parse(header), [expected]);
    assert_eq!(
        parse(r#"Basic realm="harbor""#),
        [Challenge::Basic {
            realm: "harbor".into()
        }]
    );
}

#[test]
fn several_challenges_in_one_header_are_separated() {
    let found = parse(
        r#"Basic realm="a, b=\"c\"", Negotiate, bearer Realm = "https://t" , scope="x,y", Digest qop=auth"#,
    );
    assert_eq!(
        found,
        [
            Challenge::Basic {
                realm: "a, b=\"c\"".into()
            },
            bearer("https://t", None, Some("x,y"))
        ]
    );
}

#[test]
fn junk_is_no_challenge() {
    for junk in [
        "",
        ",,,",
        "=",
        "Bearer",
        "Bearer realm",
        "Bearer =x",
        "\"",
        "Bearer service=\"x\"",
        &"a,".repeat(9_000),
    ] {
        assert_eq!(parse(junk), [], "{junk:.20}");
    }
    assert!(parse(&"Basic realm=x,".repeat(500)).len() <= CHALLENGES_LIMIT);
    assert_eq!(parse(r#"Bearer realm="open"#), [bearer("open", None, None)]);
}

fn realm(realm: &str, registry: &str, plain: bool, listed: &[&str]) -> Result<String, BadRealm> {
    let listed: Vec<String> = listed.iter().map(|&name| name.to_owned()).collect();
    let registry = RegistryName::parse(registry, plain).unwrap();
    check_realm(realm, &registry, plain, &listed).map(|url| url.to_string())
}

#[test]
fn a_realm_of_the_registrys_own_domain_is_accepted() {
    for (url, registry, plain) in [
        ("https://auth.docker.io/token", "docker.io", false),
        ("https://gitlab.com/jwt/auth", "registry.gitlab.com", false),
        ("https://harbor.lan:8443/service/token", "harbor.lan", false),
        ("http://10.0.0.1:8080/service/token", "10.0.0.1:8080", true),
        ("http://127.0.0.1:9/t", "127.0.0.1:8", false),
        ("https://auth.example.co/t", "r.example.co", false),
    ] {
        assert!(realm(url, registry, plain, &[]).is_ok(), "{url} for {registry}");
    }
}

#[test]
fn a_realm_elsewhere_is_refused() {
    for (url, registry) in [
        ("https://evil.example/token", "harbor.lan"),
        ("https://auth.docker.io.evil.example/t", "docker.io"),
        ("https://evil.docker.io/t", "docker.io"),
        ("https://evil.co.uk/t", "registry.co.uk"),
        ("https://evil.azurecr.io/t", "mine.azurecr.io"),
        ("https://10.0.0.2/t", "10.0.0.1"),
        ("https://169.254.169.254/t", "harbor.lan"),
        ("https://evil/t", "harbor"),
    ] {
        assert!(
            matches!(
                realm(url, registry, false, &[]),
                Err(BadRealm::ForeignHost { .. })
            ),
            "{url} for {registry}"
        );
    }
    assert!(
        realm(
            "https://evil.example:8443/t",
            "harbor.lan",
            false,
            &["Evil.example"]
        )
        .is_ok()
    );
}

#[test]
fn a_credential_does_not_leave_https() {
    for (named, registry, asked) in [
        ("http://harbor.lan/t", "harbor.lan", "https://harbor.lan/t"),
        ("http://harbor.lan:80/t", "harbor.lan", "https://harbor.lan/t"),
        ("http://harbor.lan:8080/t", "harbor.lan", "https://harbor.lan/t"),
        (
            "http://harbor.lan/t",
            "harbor.lan:8443",
            "https://harbor.lan:8443/t",
        ),
        ("http://10.0.0.1/t", "10.0.0.1:5000", "https://10.0.0.1:5000/t"),
        (
            "http://auth.example.com/t",
            "r.example.com:5000",
            "https://auth.example.com/t",
        ),
    ] {
        assert_eq!(
            realm(named, registry, false, &[]).as_deref(),
            Ok(asked),
            "{named}"
        );
    }
    for (named, registry, listed) in [
        ("http://auth.example.com:5001/t", "r.example.com", ""),
        ("http://auth.lan:5001/t", "r.lan", "auth.lan"),
    ] {
        let refused = realm(named, registry, false, &[listed]);
        assert!(matches!(refused, Err(BadRealm::PlainHttp { .. })), "{named}");
    }
    let foreign = realm("http://evil.example/t", "harbor.lan", false, &[]);
    assert!(matches!(foreign, Err(BadRealm::ForeignHost { .. })));
    for odd in [
        "",
        "harbor",
        "file:///etc/passwd",
        "https://ann:pw@harbor.lan/t",
        "ftp://harbor.lan/t",
    ] {
        assert!(
            matches!(
                realm(odd, "harbor.lan", false, &["harbor.lan"]),
                Err(BadRealm::NotAUrl { .. })
            ),
            "{odd}"
        );
    }
}

proptest! {
    #[test]
    fn parsing_any_header_ends(header in "([a-zA-Z]{1,6}|[ ,=\"\\\\]|\\PC){0,60}") {
        prop_assert!(parse(&header).len() <= CHALLENGES_LIMIT);
    }

    #[test]
    fn quoted_values_are_read_back(value in "[ -~]{0,40}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        let found = parse(&format!("Bearer realm=\"{quoted}\",service=s"));
        prop_assert_eq!(found, [bearer(&value, Some("s"), None)]);
    }
}
