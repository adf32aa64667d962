//! The command line as people type it.

use clap::CommandFactory as _;

use super::*;

fn parsed(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

fn help_of(path: &[&str]) -> String {
    let mut command = Arguments::command();
    for name in path {
        command = command.find_subcommand(name).expect(name).clone();
    }
    command.render_long_help().to_string()
}

#[test]
fn the_command_line_is_sound() {
    Arguments::command().debug_assert();
}

/// Names that people's scripts rely on.
#[test]
fn every_flag_stands_in_the_help() {
    let promised: [(&[&str], &[&str]); 12] = [
        (
            &["up"],
            &[
                "--data-dir",
                "--config",
                "--listen",
                "--front",
                "--admin",
                "--share",
            ],
        ),
        (
            &["manager"],
            &["--data-dir", "--config", "--listen", "--admin", "--database-url"],
        ),
        (&["demo"], &["--size", "--keep", "--jaeger"]),
        (
            &["doctor"],
            &[
                "--config",
                "--data-dir",
                "--harbor",
                "--manager",
                "--token-file",
                "--json",
            ],
        ),
        (
            &["preheat"],
            &[
                "--server",
                "--token-file",
                "--platform",
                "--scope",
                "--cluster",
                "--wait",
            ],
        ),
        (&["preheats"], &["--server", "--token-file", "[ID]"]),
        (
            &["explain"],
            &["<IMAGE>", "--node", "--json", "--server", "--token-file"],
        ),
        (
            &["image", "where"],
            &["<IMAGE>", "--json", "--server", "--token-file"],
        ),
        (
            &["token", "create"],
            &[
                "--name",
                "--scope",
                "--expires",
                "365d",
                "--server",
                "--token-file",
            ],
        ),
        (&["token", "revoke"], &["<ID>"]),
        (&["migrate"], &["--data-dir", "--database-url"]),
        (&["openapi"], &["--help"]),
    ];
    for (command, flags) in promised {
        let help = help_of(command);
        for flag in flags {
            assert!(
                help.contains(flag),
                "{command:?} does not tell of {flag}:\n{help}"
            );
        }
    }
}

#[test]
fn defaults_are_told_where_people_look_for_them() {
    for (command, default) in [
        ("up", "127.0.0.1:8080"),
        ("up", "127.0.0.1:65001"),
        ("up", "127.0.0.1:40901"),
        ("manager", "0.0.0.0:8080"),
        ("manager", "127.0.0.1:40902"),
    ] {
        assert!(
            help_of(&[command]).contains(&format!("[default: {default}]")),
            "{command} {default}"
        );
    }
}

/// What describes one question, and no installation.
const OF_ONE_QUESTION: [&str; 7] = ["limit", "state", "image", "registry", "since", "label", "before"];

/// Every flag but those of single questions can be set in the environment.
#[test]
fn the_environment_mirrors_the_flags_that_describe_an_installation() {
    for command in Arguments::command()
        .get_subcommands()
        .filter(|command| command.get_name() != "demo")
    {
        for argument in command.get_arguments() {
            let (Some(flag), false) = (argument.get_long(), argument.get_id() == "help") else {
                continue;
            };
            if OF_ONE_QUESTION.contains(&flag) {
                continue;
            }
            let mirror = format!("STOKER_{}", flag.replace('-', "_").to_uppercase());
            let env = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            assert_eq!(env, Some(mirror), "{} --{flag}", command.get_name());
        }
    }
}

#[test]
fn a_token_has_no_flag() {
    assert!(parsed("stoker preheat --token abc nginx").is_err());
}

#[test]
fn several_images_platforms_and_clusters_may_be_named() {
    let line =
        "stoker preheat a:1 b:2 --platform linux/amd64 --platform linux/arm64 --cluster x --cluster y --wait";
    assert!(parsed(line).is_ok());
    assert!(parsed("stoker preheat").is_err(), "an image is needed");
    assert!(
        parsed("stoker token create --name n").is_err(),
        "a scope is needed"
    );
    assert!(parsed("stoker preheats 17").is_ok());
    assert!(parsed("stoker preheats nginx").is_err());
}
