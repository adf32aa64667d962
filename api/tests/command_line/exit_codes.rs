//! What scripts rely on.

use super::{stoker, told};

#[test]
fn help_is_no_failure_and_wrong_use_is_64() {
    let help = stoker(&["--help"]).output().expect("run");
    assert_eq!(help.status.code(), Some(0), "{}", told(&help));
    assert!(String::from_utf8_lossy(&help.stdout).contains("stoker demo"));
    for wrong in [
        &["preheat"][..],
        &["nonsense"],
        &["demo", "--size", "tiny"],
        &["up"],
    ] {
        let output = stoker(wrong).output().expect("run");
        assert_eq!(output.status.code(), Some(64), "{wrong:?}: {}", told(&output));
    }
}

#[test]
fn a_manager_that_is_not_there_is_2() {
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
        assert_eq!(output.status.code(), Some(2), "{command:?}: {}", told(&output));
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("--server"),
            "{}",
            told(&output)
        );
    }
}

#[test]
fn a_faulty_configuration_is_refused_before_anything_is_made() {
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
    assert_eq!(output.status.code(), Some(64), "{}", told(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("did you mean `listen`?") && stderr.contains("admin: "),
        "{stderr}"
    );
    assert!(!data.exists(), "a faulty configuration made a data folder");
}

#[test]
fn the_environment_stands_in_for_flags_and_a_flag_wins() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = stoker(&["manager", "--listen", "from the flag"])
        .env("STOKER_LISTEN", "from the environment")
        .env("STOKER_ADMIN", "from the environment")
        .env("STOKER_DATA_DIR", folder.path())
        .output()
        .expect("run");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("listen: `from the flag`"), "{stderr}");
    assert!(stderr.contains("admin: `from the environment`"), "{stderr}");
    assert!(!stderr.contains("data_dir"), "{stderr}");
}

#[test]
fn the_tables_can_be_made_before_a_manager_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    for _ in 0..2 {
        let output = stoker(&["migrate", "--data-dir"])
            .arg(folder.path())
            .output()
            .expect("run");
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
    assert!(folder.path().join("stoker.db").exists());
}
