//! The flags, defaults and environment variables of the command line.

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

/// Flags that scripts use.
#[test]
fn the_help_names_every_flag() {
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
                "the help of {command:?} lacks {flag}:\n{help}"
            );
        }
    }
}

#[test]
fn the_help_names_the_defaults() {
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

/// Flags that describe one request, not an installation.
const OF_ONE_REQUEST: [&str; 7] = ["limit", "state", "image", "registry", "since", "label", "before"];

/// Every flag except those of one request can be set in the environment.
#[test]
fn every_flag_of_an_installation_has_an_environment_variable() {
    for command in Arguments::command()
        .get_subcommands()
        .filter(|command| command.get_name() != "demo")
    {
        for argument in command.get_arguments() {
            let (Some(flag), false) = (argument.get_long(), argument.get_id() == "help") else {
                continue;
            };
            if OF_ONE_REQUEST.contains(&flag) {
                continue;
            }
            let variable = format!("STOKER_{}", flag.replace('-', "_").to_uppercase());
            let env = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            assert_eq!(env, Some(variable), "{} --{flag}", command.get_name());
        }
    }
}

#[test]
fn a_token_has_no_flag() {
    assert!(parsed("stoker preheat --token abc nginx").is_err());
}

#[test]
fn images_platforms_and_clusters_may_be_repeated() {
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
