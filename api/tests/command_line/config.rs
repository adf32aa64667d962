//! `config check` and `config show` of both programs.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::{stoker, transcript, unsteered};

/// Ten faults in keys and sections that both programs have.
const TEN_FAULTS: &str = r#"
front = "65001"
yes_kept = "soon"
prefetch = "yes"
unproven_ranges = "fast"

[registry."registry.lan:5000"]
plain-http = true
username = "ann"
max_connections = 0

[dial]
addresses = ["localhost"]

[store]
quota = "much"

[telemetry]
sample_ratio = 7
"#;

/// The peer's program is in the same folder as ours.
fn stoker_peer(arguments: &[&str]) -> Command {
    let ours = Path::new(env!("CARGO_BIN_EXE_stoker"));
    let mut command = Command::new(ours.with_file_name("stoker-peer"));
    command.args(arguments);
    unsteered(command)
}

fn write(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("stoker.toml");
    std::fs::write(&file, text).expect("written");
    (folder, file.display().to_string())
}

#[test]
fn both_programs_report_the_same_ten_faults() {
    let (_folder, file) = write(TEN_FAULTS);
    let lines = [stoker, stoker_peer].map(|program| {
        let output = program(&["config", "check", &file]).output().expect("run");
        assert_eq!(output.status.code(), Some(1), "{}", transcript(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(lines[0].len(), 10, "{lines:#?}");
    assert_eq!(lines[0], lines[1]);
    let places: BTreeSet<_> = lines[0].iter().filter(|line| line.contains(&file)).collect();
    assert_eq!(places.len(), 10, "a fault without file and line: {lines:#?}");
}

#[test]
fn a_good_file_is_0_in_both_programs_and_json_is_a_list() {
    let (_folder, file) = write("front = \"127.0.0.1:65001\"\n[limits]\nincoming = \"1Gbit/s\"\n");
    for program in [stoker, stoker_peer] {
        for more in [&[][..], &["--json"]] {
            let arguments = [&["config", "check", file.as_str()], more].concat();
            let output = program(&arguments).output().expect("run");
            assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
        }
    }
    let (_folder, file) = write("[limits]\nabsent_limit = \"10m\"\n");
    let output = stoker(&["config", "check", &file]).output().expect("run");
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    assert!(
        transcript(&output).contains("[timeouts]"),
        "{}",
        transcript(&output)
    );
    let (_folder, file) = write(TEN_FAULTS);
    let output = stoker(&["config", "check", &file, "--json"])
        .output()
        .expect("run");
    let faults: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(faults.as_array().map(Vec::len), Some(10));
    assert_eq!(faults[0]["key"], "front");
    assert_eq!(faults[0]["kind"], "bad_value");
}

#[test]
fn every_value_except_secrets_is_shown_with_its_source() {
    let text = "admin = \"127.0.0.1:1\"\nlimits.incoming = \"1Gbit/s\"\n[registry.\"r.lan\"]\nusername = \"ann\"\npassword = \"s3cret\"\n";
    let (_folder, file) = write(text);
    for (program, arguments) in [
        (
            stoker as fn(&[&str]) -> Command,
            vec!["config", "show", "--data-dir", "d", "--config", &file],
        ),
        (
            stoker_peer,
            vec![
                "--data-dir",
                "d",
                "--manager",
                "https://m:8443",
                "--config",
                &file,
                "config",
                "show",
            ],
        ),
    ] {
        let output = program(&arguments)
            .env("STOKER_NAME", "from-variable")
            .output()
            .expect("run");
        assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
        let shown = String::from_utf8(output.stdout).expect("text");
        for line in [
            "data_dir = \"d\"  # flag --data-dir".to_owned(),
            "name = \"from-variable\"  # environment STOKER_NAME".to_owned(),
            format!("admin = \"127.0.0.1:1\"  # {file}:1:9"),
            "yes_kept = \"10m\"  # default".to_owned(),
            format!("limits.incoming = \"125MB/s\"  # {file}:2:19"),
            format!("registry.\"r.lan\".password = \"***\"  # {file}:5:12"),
        ] {
            assert!(
                shown.lines().any(|shown| shown == line),
                "{line} is not in\n{shown}"
            );
        }
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
