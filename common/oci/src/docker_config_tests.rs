//! Files as docker writes them, and as they are broken.

use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn found(text: &str, registry: &str) -> Result<Found, LookupError> {
    find(file(text).path(), &registry.parse().unwrap())
}

fn credential(text: &str, registry: &str) -> Credential {
    match found(text, registry).unwrap() {
        Found::Credential(credential) => credential,
        Found::Helper(helper) => panic!("{helper:?}"),
    }
}

fn ann() -> Credential {
    pair("ann", Secret::new("p:w"))
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
    for key in ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"] {
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

#[test]
fn a_helper_of_the_registry_goes_before_the_one_of_all() {
    let text =
        r#"{"credHelpers":{"r.lan":"one"},"credsStore":"all","auths":{"r.lan":{"auth":"YW5uOnA6dw=="}}}"#;
    let helper = |registry: &str| match found(text, registry).unwrap() {
        Found::Helper(helper) => helper,
        Found::Credential(_) => panic!("a helper is named"),
    };
    assert_eq!(helper("r.lan"), CredentialHelper::named("one").unwrap());
    assert_eq!(helper("other.lan"), CredentialHelper::named("all").unwrap());
}

#[test]
fn a_broken_file_is_said_to_be_one_and_not_repeated() {
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
        let Err(fault) = found(&text, "r.lan") else {
            panic!("{text} was taken")
        };
        assert!(!format!("{fault} {fault:?}").contains("s3cret"), "{fault}");
    }
    let gone = find(Path::new("/no/such/file"), &"r.lan".parse().unwrap());
    assert!(matches!(gone, Err(LookupError::Unreadable { .. })));
}
