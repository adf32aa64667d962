//! `stoker-peer`: runs a seed or node peer, and the commands for its store and configuration.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use peer::store_command;
use peer::{
    Arguments, Command, ConfigCommand, Peer, PeerArguments, PeerConfig, PeerFlags, StoreCommand, StorePlace,
};
use process::Vitals;
use process::telemetry;
use settings::{Flags, Given, Report};
use tracing::{error, info};

/// Limit for running transfers after the signal to stop.
const GRACE: Duration = Duration::from_secs(20);
/// As in `sysexits.h`: the command line or the configuration is wrong.
const USAGE: u8 = 64;
/// The running peer, which has the store open, does not answer.
const UNREACHABLE: u8 = 2;
const FAILED: u8 = 1;

#[tokio::main]
async fn main() -> ExitCode {
    process::install_tls_provider();
    let mut arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return print_help_or_error(&error),
    };
    match arguments.command.take() {
        Some(Command::Store(command)) => run_store_command(arguments.flags, command).await,
        Some(Command::Config(command)) => run_config_command(arguments.flags, command),
        None => run_peer(arguments.flags).await,
    }
}

async fn run_peer(flags: PeerFlags) -> ExitCode {
    let config = match PeerConfig::read(flags) {
        Ok(read) => read.value,
        Err(faults) => return refuse(USAGE, &faults),
    };
    let telemetry = telemetry::init(&config.telemetry);
    process::begin();
    let ended = run(config, telemetry.vitals()).await;
    if let Err(error) = &ended {
        error!(stoker.side = "peer", "{error:#}");
    }
    telemetry.flush().await;
    if ended.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[expect(clippy::print_stdout, reason = "the result of a command goes to stdout")]
async fn run_store_command(flags: PeerFlags, command: StoreCommand) -> ExitCode {
    let place = match StorePlace::read(flags) {
        Ok(place) => place,
        Err(faults) => return refuse(USAGE, &faults),
    };
    match store_command::run(&place, command).await {
        Ok(lines) => {
            for line in lines {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) if error.is_unreachable() => refuse(UNREACHABLE, &error),
        Err(error) => refuse(FAILED, &error),
    }
}

#[expect(clippy::print_stdout, reason = "the result of a command goes to stdout")]
fn run_config_command(flags: PeerFlags, command: ConfigCommand) -> ExitCode {
    let report = match command {
        ConfigCommand::Show { json } => Report::show(&PeerConfig::read(flags), json),
        ConfigCommand::Check { file, json } => {
            let read = PeerConfig::read(file_alone(file.clone()));
            Report::check(&file, read, json)
        }
    };
    println!("{}", report.text);
    if report.is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}

fn file_alone(file: PathBuf) -> PeerFlags {
    Flags {
        arguments: PeerArguments {
            config: Some(file),
            ..PeerArguments::default()
        },
        given: Given::default(),
    }
}

async fn run(config: PeerConfig, vitals: Vitals) -> anyhow::Result<()> {
    let running = vitals.running.clone();
    let name = config.name.clone();
    let peer = Peer::build(config, vitals).await?;
    info!(
        stoker.peer = %name,
        front.addr = %peer.front_address()?,
        share.addr = %peer.share_address()?,
        "peer built"
    );
    peer.spawn()?;
    process::stop_signal().await;
    info!("stopping");
    running.drain(GRACE).await;
    Ok(())
}

fn print_help_or_error(error: &clap::Error) -> ExitCode {
    // A closed terminal is no error.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

#[expect(
    clippy::print_stderr,
    reason = "logging starts after the configuration is read"
)]
fn refuse(code: u8, why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(code)
}
