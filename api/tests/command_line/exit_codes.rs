//! Exit codes and outputs that scripts rely on.

use super::{stoker, transcript};

#[test]
fn help_is_0_and_wrong_use_is_64() {
    let help = stoker(&["--help"]).output().expect("run");
    assert_eq!(help.status.code(), Some(0), "{}", transcript(&help));
    assert!(String::from_utf8_lossy(&help.stdout).contains("demo"));
    for wrong in [
        &["preheat"][..],
        &["nonsense"],
        &["demo", "--size", "tiny"],
        &["up"],
    ] {
        let output = stoker(wrong).output().expect("run");
        assert_eq!(
            output.status.code(),
            Some(64),
            "{wrong:?}: {}",
            transcript(&output)
        );
    }
}

#[test]
fn an_unreachable_manager_is_2() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    for command in [
        &["preheat", "nginx:1.27"][..],
        &["preheats"],
        &["peers"],
        &["token", "list"],
    ] {
        let output = stoker(command).args(["--server", &server]).output().expect("run");
        assert_eq!(
            output.status.code(),
            Some(2),
            "{command:?}: {}",
            transcript(&output)
        );
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("--server"),
            "{}",
            transcript(&output)
        );
    }
}

#[test]
fn a_faulty_configuration_is_refused_before_anything_is_created() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("stoker.toml");
    std::fs::write(&file, "lissen = \"x\"\nadmin = \"y\"\n").expect("written");
    let data = folder.path().join("data");
    let output = stoker(&["manager", "--config"])
        .arg(&file)
        .arg("--data-dir")
        .arg(&data)
        .output()
        .expect("run");
    assert_eq!(output.status.code(), Some(64), "{}", transcript(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("lissen: ") && stderr.contains("`listen`") && stderr.contains("admin: "),
        "{stderr}"
    );
    assert!(!data.exists(), "a faulty configuration created a data folder");
}

#[test]
fn a_flag_overrides_the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = stoker(&["manager", "--listen", "of-flag"])
        .env("STOKER_LISTEN", "of-environment")
        .env("STOKER_ADMIN", "of-environment")
        .env("STOKER_DATA_DIR", folder.path())
        .output()
        .expect("run");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("listen: `of-flag`"), "{stderr}");
    assert!(stderr.contains("admin: `of-environment`"), "{stderr}");
    assert!(!stderr.contains("data_dir"), "{stderr}");
}

#[test]
fn migrate_creates_the_tables_without_a_manager() {
    let folder = tempfile::tempdir().expect("a folder");
    for _ in 0..2 {
        let output = stoker(&["migrate", "--data-dir"])
            .arg(folder.path())
            .output()
            .expect("run");
        assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    }
    assert!(folder.path().join("stoker.db").exists());
}
