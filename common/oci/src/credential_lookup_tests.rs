//! Several namespaces in one file, and helpers that fail.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::Secret;

fn basic(username: &str, password: &str) -> Credential {
    Credential::Basic {
        username: username.to_owned(),
        password: Secret::new(password),
    }
}

fn repository(text: &str) -> Repository {
    text.parse().unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, config: &str) -> KeptCredential {
        let path = self.0.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        KeptCredential::in_docker_config(&path, "r.lan".parse().unwrap(), Scheme::Https)
    }

    /// Writes a helper that records each requested server and then runs these lines.
    fn helper(&self, lines: &str) -> String {
        let path = self.0.path().join("helper");
        let text = format!("#!/bin/sh\nread server\necho \"$server\" >> \"$0.requested\"\n{lines}\n");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn requested(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.path().join("helper.requested")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn each_namespace_has_its_own_credential_also_in_the_cache() {
    let folder = Folder::new();
    let kept = folder.write(
        r#"{"auths":{"r.lan/team-a":{"username":"a","password":"pa"},"r.lan/team-b":{"username":"b","password":"pb"}}}"#,
    );
    for _ in 0..2 {
        assert_eq!(
            kept.of(Some(&repository("team-b/app"))).await.unwrap(),
            basic("b", "pb")
        );
        assert_eq!(
            kept.of(Some(&repository("team-a/app"))).await.unwrap(),
            basic("a", "pa")
        );
        assert_eq!(
            kept.of(Some(&repository("team-c/app"))).await.unwrap(),
            Credential::Anonymous
        );
        assert_eq!(kept.of(None).await.unwrap(), Credential::Anonymous);
    }
}

#[tokio::test]
async fn a_changed_file_is_read_when_the_cached_credential_is_refused() {
    let folder = Folder::new();
    let of =
        |password: &str| format!(r#"{{"auths":{{"r.lan":{{"username":"a","password":"{password}"}}}}}}"#);
    let kept = folder.write(&of("old"));
    let app = repository("team-a/app");
    assert_eq!(kept.of(Some(&app)).await.unwrap(), basic("a", "old"));
    folder.write(&of("new"));
    assert_eq!(
        kept.of(Some(&app)).await.unwrap(),
        basic("a", "old"),
        "still cached"
    );
    let newer = kept.other_than(Some(&basic("a", "old")), Some(&app)).await;
    assert_eq!(newer.unwrap(), basic("a", "new"));
}

#[tokio::test]
async fn a_helper_runs_once_for_many_repositories() {
    let folder = Folder::new();
    let helper = folder.helper(r#"echo '{"Username":"h","Secret":"s"}'"#);
    let kept = folder.write(&format!(r#"{{"credHelpers":{{"r.lan":"{helper}"}}}}"#));
    for name in ["team-a/app", "team-b/app"] {
        assert_eq!(kept.of(Some(&repository(name))).await.unwrap(), basic("h", "s"));
    }
    assert_eq!(folder.requested(), ["r.lan"]);
    kept.other_than(Some(&basic("h", "s")), Some(&repository("team-a/app")))
        .await
        .unwrap();
    assert_eq!(folder.requested(), ["r.lan", "r.lan"]);
}

#[tokio::test]
async fn the_entry_of_the_file_replaces_a_failing_store_which_runs_once() {
    let folder = Folder::new();
    let helper = folder.helper("exit 1");
    let with = |auths: &str| format!(r#"{{"credsStore":"{helper}","auths":{auths}}}"#);
    let kept = folder.write(&with(r#"{"r.lan":{"username":"u","password":"p"}}"#));
    for _ in 0..3 {
        assert_eq!(
            kept.of(Some(&repository("team-a/app"))).await.unwrap(),
            basic("u", "p")
        );
    }
    assert_eq!(folder.requested().len(), 1);
    let kept = folder.write(&with(r#"{"r.lan":{}}"#));
    let fault = kept.of(Some(&repository("team-a/app"))).await.unwrap_err();
    assert!(matches!(fault, LookupError::Helper { .. }), "{fault}");
}

/// Runs `count` requests whose credential the registry always refuses.
async fn refused_requests(kept: &KeptCredential, app: &Repository, count: usize) {
    for _ in 0..count {
        let shown = kept.of(Some(app)).await.unwrap();
        let newer = kept.other_than(Some(&shown), Some(app)).await.unwrap();
        if newer != shown {
            kept.is_refused(&newer).await;
        }
    }
}

#[tokio::test]
async fn a_registry_that_always_refuses_does_not_run_the_helper_for_each_request() {
    let app = repository("team-a/app");
    for lines in [
        // The same credential each time, another one each time, and none.
        r#"echo '{"Username":"h","Secret":"s"}'"#,
        r#"echo '{"Username":"h","Secret":"'$(wc -l < "$0.requested")'"}'"#,
        "echo credentials not found; exit 1",
    ] {
        let folder = Folder::new();
        let kept = folder.write(&format!(
            r#"{{"credHelpers":{{"r.lan":"{}"}}}}"#,
            folder.helper(lines)
        ));
        refused_requests(&kept, &app, 5).await;
        assert_eq!(folder.requested().len(), 2, "{lines}");
    }
}

#[test]
fn a_refusal_that_counts_does_so_for_a_while() {
    let now = Instant::now();
    let just_now = Standing::RefusedSince(now);
    assert!(just_now.after_refusal() == just_now);
    let Some(earlier) = now.checked_sub(STANDS) else {
        panic!("the machine started less than {STANDS:?} ago")
    };
    assert!(Standing::RefusedSince(earlier).after_refusal() == Standing::Refused);
    assert!(Standing::NotRefused.after_refusal() == Standing::Refused);
}

#[tokio::test]
async fn a_credential_that_the_registry_accepted_is_renewed_as_often_as_it_ends() {
    let folder = Folder::new();
    let helper = folder.helper(r#"echo '{"Username":"h","Secret":"'$(wc -l < "$0.requested")'"}'"#);
    let kept = folder.write(&format!(r#"{{"credHelpers":{{"r.lan":"{helper}"}}}}"#));
    let app = repository("team-a/app");
    let mut shown = kept.of(Some(&app)).await.unwrap();
    for _ in 0..4 {
        let newer = kept.other_than(Some(&shown), Some(&app)).await.unwrap();
        assert_ne!(newer, shown);
        // A request that was under way with the old one.
        assert_eq!(kept.other_than(Some(&shown), Some(&app)).await.unwrap(), newer);
        shown = newer;
    }
    assert_eq!(folder.requested().len(), 5);
}

#[tokio::test]
async fn a_helper_that_fails_is_not_run_for_each_request() {
    let folder = Folder::new();
    let kept = folder.write(&format!(r#"{{"credsStore":"{}"}}"#, folder.helper("exit 1")));
    for _ in 0..3 {
        let fault = kept.of(Some(&repository("team-a/app"))).await.unwrap_err();
        assert!(matches!(fault, LookupError::Helper { .. }), "{fault}");
    }
    assert_eq!(folder.requested().len(), 1);
}
