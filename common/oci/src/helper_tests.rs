//! Helpers that answer, fail, or hang.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// Writes a helper of these shell lines. The file is closed before it runs.
fn program(lines: &str) -> (tempfile::TempDir, CredentialHelper) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("helper");
    std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let helper = CredentialHelper::named(path.to_str().unwrap()).unwrap();
    (dir, helper)
}

async fn run(lines: &str) -> Result<Credential, LookupError> {
    let (_dir, helper) = program(lines);
    helper.ask("r.lan").await
}

#[tokio::test]
async fn a_helper_gets_the_server_on_its_input() {
    let lines = r#"read server; echo "{\"ServerURL\":\"x\",\"Username\":\"$1 $server\",\"Secret\":\"pw\"}""#;
    assert_eq!(
        run(lines).await.unwrap(),
        Credential::from_login("get r.lan", Secret::new("pw"))
    );
    let lines = r#"echo '{"Username":"<token>","Secret":"t"}'"#;
    assert_eq!(
        run(lines).await.unwrap(),
        Credential::IdentityToken(Secret::new("t"))
    );
}

#[tokio::test]
async fn a_helper_that_is_being_replaced_is_waited_for() {
    let (dir, helper) = program(r#"echo '{"Username":"h","Secret":"pw"}'"#);
    let writing = std::fs::OpenOptions::new()
        .append(true)
        .open(dir.path().join("helper"))
        .unwrap();
    let written = async {
        sleep(Duration::from_millis(100)).await;
        drop(writing);
    };
    let (answer, ()) = tokio::join!(helper.ask("r.lan"), written);
    assert_eq!(answer.unwrap(), Credential::from_login("h", Secret::new("pw")));
}

#[tokio::test]
async fn a_helper_without_a_credential_means_anonymous() {
    let lines = "echo 'credentials not found in native keychain'; exit 1";
    assert_eq!(run(lines).await.unwrap(), Credential::Anonymous);
    assert_eq!(
        run(r#"echo '{"Username":"","Secret":""}'"#).await.unwrap(),
        Credential::Anonymous
    );
}

#[tokio::test]
async fn a_failing_helper_is_named_without_its_output() {
    for lines in [
        "echo s3cret; exit 1",
        "echo s3cret",
        r#"echo '{"Username":"ann","Password":"s3cret"}'"#,
        "echo s3cret >&2; exit 3",
        "while :; do echo s3crets3crets3crets3crets3crets3cret; done",
        ":",
    ] {
        let fault = run(lines).await.unwrap_err();
        assert!(
            matches!(&fault, LookupError::Helper { program, .. } if program.ends_with("helper")),
            "{fault}"
        );
        assert!(
            !format!("{fault} {fault:?}").contains("s3cret"),
            "{lines}: {fault}"
        );
    }
}

#[tokio::test]
async fn a_helper_that_does_not_end_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let (_dir, helper) = program(&format!("echo $$ > {}; exec sleep 600", pid_file.display()));
    let fault = helper
        .ask_within("r.lan", Duration::from_secs(2))
        .await
        .unwrap_err();
    assert!(
        matches!(fault, LookupError::HelperTimeout { limit_s: 2, .. }),
        "{fault}"
    );
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let ended = async {
        // A killed child is a zombie until it is waited for: its command line is empty then.
        while std::fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|line| !line.is_empty()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), ended).await.expect("killed");
}

#[tokio::test]
async fn no_name_reaches_a_shell_or_another_folder() {
    for name in ["", "../x", "a b", "x;reboot", "$(id)", "a/b", ".", "-\n"] {
        assert_eq!(
            CredentialHelper::named(name),
            Err(LookupError::BadHelper),
            "{name}"
        );
    }
    let unknown = CredentialHelper::named("no-such-helper-here").unwrap();
    let fault = unknown.ask("r.lan").await.unwrap_err();
    let LookupError::Helper { program, .. } = fault else {
        panic!("{fault}")
    };
    assert_eq!(program.to_str(), Some("docker-credential-no-such-helper-here"));
}
