//! `stoker config`: shows the values in force, and checks a file. Nothing is opened or changed.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use settings::{Flags, Given, Report};

use super::output;
use super::stop::{FAILED, Stop};
use super::up::UpFlags;
use crate::config::{ManagerConfig, ManagerFlags, Program};

/// Show the configuration in force, or check a configuration file.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 the configuration is good · 1 it has faults, each is printed.

Examples:
  stoker config check /etc/stoker/stoker.toml
  stoker config show --config /etc/stoker/stoker.toml
  stoker config show --up --data-dir ./data")]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Show(Box<Show>),
    Check(Check),
}

/// Show each value in force and where it comes from: the default, the file, a variable or a flag. Secrets are masked.
#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    flags: Flags<ManagerFlags>,
    #[command(flatten)]
    up_flags: Flags<UpFlags>,
    /// With the defaults of `stoker up`; else with those of `stoker manager`, which ignores the keys of the peer.
    #[arg(long)]
    up: bool,
    /// For programs.
    #[arg(long, env = "STOKER_JSON")]
    json: bool,
}

/// Check a file of `stoker manager` or `stoker up`: every fault, with its key and its place.
#[derive(Debug, Args)]
struct Check {
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// For programs.
    #[arg(long, env = "STOKER_JSON")]
    json: bool,
}

pub(crate) fn run(arguments: ConfigArguments) -> Result<(), Stop> {
    let report = match arguments.command {
        ConfigCommand::Show(show) => shown(*show),
        ConfigCommand::Check(Check { file, json }) => {
            let read = ManagerConfig::read(Some(&file), Given::default(), &Program::UP);
            Report::check(&file, read, json)
        }
    };
    output::say(&report.text);
    if report.is_good {
        Ok(())
    } else {
        Err(Stop::silent(FAILED))
    }
}

fn shown(show: Show) -> Report {
    let program = if show.up { Program::UP } else { Program::MANAGER };
    let flags = show.flags;
    let given = flags.given.and(show.up_flags.given);
    let read = ManagerConfig::read(flags.arguments.config.as_deref(), given, &program);
    Report::show(&read, show.json)
}
