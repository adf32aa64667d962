//! Files as Docker writes them, and broken files.

use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn sources(text: &str, registry: &str, repository: Option<&str>) -> Result<Vec<Source>, LookupError> {
    let file = file(text);
    let (registry, scheme) = match registry.strip_prefix("http://") {
        Some(plain) => (plain, Scheme::Http),
        None => (registry, Scheme::Https),
    };
    let registry = KeyedRegistry::new(&registry.parse().unwrap(), scheme);
    let repository = repository.map(|one| one.parse().unwrap());
    let config = DockerConfig::read(file.path())?;
    config.check(file.path(), &registry)?;
    config.sources(file.path(), &registry, repository.as_ref())
}

/// Returns the first credential; panics for a helper.
fn credential_for(text: &str, registry: &str, repository: Option<&str>) -> Credential {
    match sources(text, registry, repository).unwrap().into_iter().next() {
        None => Credential::Anonymous,
        Some(Source::Entry(credential)) => credential,
        Some(Source::Helper { helper, .. }) => panic!("{helper:?}"),
    }
}

fn credential(text: &str, registry: &str) -> Credential {
    credential_for(text, registry, Some("team-a/app"))
}

/// Returns a file with these keys; the user name of each entry is its key.
fn keyed(keys: &[&str]) -> String {
    let entries = keys.iter().map(|key| {
        let entry = serde_json::json!({"username": *key, "password": "pw"});
        ((*key).to_owned(), entry)
    });
    serde_json::json!({"auths": entries.collect::<serde_json::Map<_, _>>()}).to_string()
}

/// Returns the key whose entry is used for a repository of a registry.
fn chosen(keys: &[&str], registry: &str, repository: Option<&str>) -> Option<String> {
    match credential_for(&keyed(keys), registry, repository) {
        Credential::Basic { username, .. } => Some(username),
        _ => None,
    }
}

#[test]
fn the_longest_matching_key_is_used_and_never_that_of_another_namespace() {
    let keys = [
        "r.lan",
        "r.lan/team-a",
        "r.lan/team-b",
        "r.lan/team-b/deep/er",
        "*.lan",
        "r.lan:5000/team-b",
    ];
    for (repository, key) in [
        ("team-b/app", "r.lan/team-b"),
        ("team-b/deep/er", "r.lan/team-b/deep/er"),
        ("team-b/deep/er/app", "r.lan/team-b/deep/er"),
        ("team-b/deep/erer", "r.lan/team-b"),
        ("team-ab/app", "r.lan"),
        ("app", "r.lan"),
    ] {
        let found = chosen(&keys, "r.lan", Some(repository));
        assert_eq!(found.as_deref(), Some(key), "{repository}");
    }
    assert_eq!(chosen(&keys, "r.lan", None).as_deref(), Some("r.lan"));
    let with_port = chosen(&keys, "r.lan:5000", Some("team-b/app"));
    assert_eq!(with_port.as_deref(), Some("r.lan:5000/team-b"));
    assert_eq!(
        chosen(&keys, "s.lan", Some("team-b/app")).as_deref(),
        Some("*.lan")
    );
    let only = ["r.lan/team-a", "r.lan/team-b"];
    for repository in [Some("team-c/app"), Some("team"), Some("team-ab/app"), None] {
        assert_eq!(chosen(&only, "r.lan", repository), None, "{repository:?}");
    }
}

#[test]
fn keys_of_all_spellings_match_what_they_mean_and_nothing_else() {
    let repository = Some("team-a/app");
    for (key, registry) in [
        ("https://r.lan/team-a", "r.lan"),
        ("https://r.lan/v2/team-a/", "r.lan"),
        ("r.lan:443/team-a", "r.lan"),
        ("docker.io/team-a", "docker.io"),
        ("https://index.docker.io/v1/team-a", "docker.io"),
        ("*.docker.io", "docker.io"),
        ("*.example.com", "r.example.com"),
        ("*.Example.com:5000/team-a", "r.example.com:5000"),
        ("https://*.example.com:443", "r.example.com"),
        ("reg*.*.com", "registry.example.com"),
        (
            "*.dkr.ecr.*.amazonaws.com",
            "1234.dkr.ecr.eu-west-1.amazonaws.com",
        ),
        ("*.0.0.1:*", "127.0.0.1:5000"),
        ("127.*.0.1:*/team-a", "127.0.0.1"),
        ("r.lan:80", "http://r.lan"),
        ("r.lan", "http://r.lan:80"),
        ("http://r.lan:80/v2/", "http://r.lan"),
        ("https://r.lan", "http://r.lan"),
        ("*.lan:80", "http://r.lan"),
        ("*.lan", "http://r.lan:80"),
    ] {
        let found = chosen(&[key], registry, repository);
        assert_eq!(found.as_deref(), Some(key), "{registry}");
    }
    for (key, registry) in [
        ("*.example.com", "example.com"),
        ("*.example.com", "a.b.example.com"),
        ("*.example.com", "r.example.com:5000"),
        ("*.example.com:5000", "r.example.com"),
        ("*example.com", "evilexample.com.lan"),
        ("127.*.0.1", "127.0.0.1:5000"),
        ("r.lan/team-a/app/more", "r.lan"),
        ("r.lan/TEAM-A", "r.lan"),
        ("r.lan?team-a", "r.lan"),
        ("r.lan:80", "r.lan"),
        ("r.lan:443", "http://r.lan"),
        ("", "r.lan"),
    ] {
        assert_eq!(chosen(&[key], registry, repository), None, "{key} {registry}");
    }
}

proptest::proptest! {
    #[test]
    fn no_key_makes_the_reader_panic(key in "[a-z*.:/\\[\\]0-9]{0,30}") {
        chosen(&[&key], "r.lan:5000", Some("team-a/app"));
    }

    #[test]
    fn no_path_opens_a_repository_outside_it(
        path in "[a-c]{1,2}(/[a-c]{1,2}){0,2}", repository in "[a-c]{1,2}(/[a-c]{1,2}){0,2}",
    ) {
        let key = format!("r.lan/{path}");
        let lies_below = format!("{repository}/").starts_with(&format!("{path}/"));
        let found = chosen(&[&key], "r.lan", Some(&repository));
        proptest::prop_assert_eq!(found.is_some(), lies_below);
    }
}

fn ann() -> Credential {
    Credential::from_login("ann", Secret::new("p:w"))
}

#[test]
fn an_entry_is_found_under_every_name_that_docker_gives_it() {
    for key in [
        "r.lan",
        "https://r.lan",
        "https://r.lan/v1/",
        "http://r.lan/v2/",
        "R.lan:443",
    ] {
        let text =
            format!(r#"{{"auths":{{"{key}":{{"auth":"YW5uOnA6dw=="}},"other.lan":{{"auth":"eDp5"}}}}}}"#);
        assert_eq!(credential(&text, "r.lan"), ann(), "{key}");
        assert_eq!(credential(&text, "else.lan"), Credential::Anonymous, "{key}");
    }
    for key in [
        "https://index.docker.io/v1/",
        "docker.io",
        "registry-1.docker.io",
        "registry.hub.docker.com",
        "https://hub.docker.com",
    ] {
        let text = format!(r#"{{"auths":{{"{key}":{{"auth":"YW5uOnA6dw=="}}}}}}"#);
        assert_eq!(credential(&text, "docker.io"), ann(), "{key}");
    }
}

#[test]
fn each_shape_of_an_entry_is_read() {
    let of = |entry: &str| credential(&format!(r#"{{"auths":{{"r.lan":{entry}}}}}"#), "r.lan");
    assert_eq!(of(r#"{"username":"ann","password":"p:w"}"#), ann());
    let token = Credential::IdentityToken(Secret::new("t"));
    assert_eq!(of(r#"{"auth":"PHRva2VuPjp4","identitytoken":"t"}"#), token);
    assert_eq!(of(r#"{"username":"<token>","password":"t"}"#), token);
    assert_eq!(
        of(r#"{"registrytoken":"t"}"#),
        Credential::Header(Secret::new("Bearer t"))
    );
    assert_eq!(of("{}"), Credential::Anonymous);
}

fn helper(name: &str, server: &str) -> Source {
    Source::Helper {
        helper: CredentialHelper::named(name).unwrap(),
        server: server.to_owned(),
    }
}

#[test]
fn the_registrys_helper_precedes_the_store_and_both_precede_the_entry() {
    let text = r#"{"credHelpers":{"r.lan":"one"},"credsStore":"all","auths":{"https://r.lan":{"auth":"YW5uOnA6dw=="}}}"#;
    let of = |registry: &str| sources(text, registry, Some("team-a/app")).unwrap();
    assert_eq!(of("r.lan"), [helper("one", "r.lan"), Source::Entry(ann())]);
    assert_eq!(of("other.lan"), [helper("all", "other.lan")]);
    assert_eq!(of("docker.io"), [helper("all", DOCKER_HUB)]);
}

#[test]
fn helpers_of_namespaces_look_up_their_namespace_first() {
    let text = r#"{
        "credHelpers":{"r.lan/team-a":"one","r.lan/team-b":"two"},"credsStore":"all",
        "auths":{"r.lan/team-b":{"auth":"YW5uOnA6dw=="},"r.lan":{}}
    }"#;
    let of = |repository: Option<&str>| sources(text, "r.lan", repository).unwrap();
    assert_eq!(
        of(Some("team-b/app")),
        [
            helper("two", "r.lan/team-b"),
            Source::Entry(ann()),
            helper("two", "r.lan"),
            helper("all", "r.lan")
        ]
    );
    assert_eq!(
        of(Some("team-a/app")),
        [
            helper("one", "r.lan/team-a"),
            helper("one", "r.lan"),
            helper("all", "r.lan")
        ]
    );
    assert_eq!(of(Some("team-c/app")), [helper("all", "r.lan")]);
    assert_eq!(of(None), [helper("all", "r.lan")]);
}

#[test]
fn nulls_of_gos_tools_count_as_left_out() {
    let entry = r#""r.lan":{"auth":"YW5uOnA6dw==","identitytoken":null}"#;
    for text in [
        format!(r#"{{"auths":{{{entry},"s.lan":null}},"credHelpers":null,"credsStore":null}}"#),
        format!(r#"{{"auths":{{{entry}}},"credHelpers":{{"r.lan":null}}}}"#),
        format!("\u{feff}{{\"auths\":{{{entry}}}}}"),
    ] {
        assert_eq!(credential(&text, "r.lan"), ann(), "{text}");
        assert_eq!(credential(&text, "s.lan"), Credential::Anonymous, "{text}");
    }
    assert_eq!(credential(r#"{"auths":null}"#, "r.lan"), Credential::Anonymous);
}

#[test]
fn base64_of_every_tool_is_read() {
    let with = |auth: &str| {
        credential(
            &format!(r#"{{"auths":{{"r.lan":{{"auth":"{auth}"}}}}}}"#),
            "r.lan",
        )
    };
    let of = |password: &str| Credential::from_login("u", Secret::new(password));
    assert_eq!(with("dTpwCg=="), of("p"), "a line break");
    assert_eq!(with("dTpwP35-"), of("p?~~"), "for URLs");
    assert_eq!(with("dTpwP35+"), of("p?~~"));
    assert_eq!(with("dTpw"), of("p"));
    assert_eq!(with("dTpwcA"), of("pp"), "without padding");
}

#[test]
fn a_broken_file_is_refused_without_repeating_it() {
    let of_ann = |auth: &str| format!(r#"{{"auths":{{"r.lan":{{"auth":"{auth}"}}}}}}"#);
    for text in [
        "s3cret".to_owned(),
        r#"{"auths":"s3cret"}"#.to_owned(),
        r#"{"auths":{"r.lan":{"password":["s3cret"]}}}"#.to_owned(),
        of_ann("s3cret!"),
        of_ann("czNjcmV0"),
        r#"{"credHelpers":{"r.lan":"../s3cret"}}"#.to_owned(),
        " ".repeat(1_100_000),
    ] {
        let Err(fault) = sources(&text, "r.lan", None) else {
            panic!("{text} was accepted")
        };
        assert!(!format!("{fault} {fault:?}").contains("s3cret"), "{fault}");
    }
    let missing = DockerConfig::read(Path::new("/no/such/file"));
    assert!(matches!(missing, Err(LookupError::Unreadable { .. })));
}
