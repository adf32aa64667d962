//! The command line of `stoker-peer`: flags and subcommands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use oci::Digest;
use settings::Flags;

/// Caches container images on a node and shares them with the other nodes of its cluster.
///
/// Only the peer opens connections to the manager, so the peer needs no port that the manager can reach.
#[derive(Parser)]
#[command(
    name = "stoker-peer",
    version,
    after_help = "Examples:\n  \
    stoker-peer --data-dir /var/lib/stoker --manager https://manager:8443 --join-token-file join.token\n  \
    stoker-peer --data-dir /var/lib/stoker --manager https://manager:8443       (every later start)\n\n\
    Create a join token with: stoker token create --scope node (or seed) --cluster NAME\n\
    Then point containerd at http://127.0.0.1:65001 (certs.d/_default/hosts.toml)."
)]
pub struct Arguments {
    /// Without a command, the peer runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub flags: PeerFlags,
}

/// The settings from the command line and the environment.
pub type PeerFlags = Flags<PeerArguments>;

/// The settings that have a flag.
#[derive(Debug, Clone, Default, Args)]
pub struct PeerArguments {
    /// Folder for the peer's key, certificate and store.
    #[arg(long, env = "STOKER_DATA_DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// URL of the manager's peer port: `https://host:8443`.
    #[arg(long, env = "STOKER_MANAGER")]
    pub manager: Option<String>,
    /// File with a join token; only the first start needs it.
    #[arg(long, env = "STOKER_JOIN_TOKEN_FILE")]
    pub join_token_file: Option<PathBuf>,
    /// Replaced by `join_token_file`; an error names the replacement. Has no variable: `STOKER_TOKEN_FILE` is the
    /// `stoker` command's.
    #[arg(long, hide = true)]
    pub token_file: Option<PathBuf>,
    /// Configuration file (TOML). Flags and environment variables override it.
    #[arg(long, env = "STOKER_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// Require the role seed: the start fails if the join token gave the peer another role.
    #[arg(long, env = "STOKER_SEED")]
    pub seed: bool,
    /// Require this cluster: the start fails if the join token put the peer into another one.
    #[arg(long, env = "STOKER_CLUSTER")]
    pub cluster: Option<String>,
    /// Name of the peer in logs and lists. [default: the host's name]
    #[arg(long, env = "STOKER_NAME")]
    pub name: Option<String>,
    /// Listen address for container runtimes. [default: 127.0.0.1:65001]
    #[arg(long, env = "STOKER_FRONT")]
    pub front: Option<String>,
    /// Listen address for other peers. [default: 0.0.0.0:65002]
    #[arg(long, env = "STOKER_SHARE")]
    pub share: Option<String>,
    /// Host or host:port at which other peers reach this one. [default: the address that the manager sees]
    #[arg(long, env = "STOKER_ADVERTISE")]
    pub advertise: Option<String>,
    /// Listen address for probes and metrics. [default: 127.0.0.1:40901]
    #[arg(long, env = "STOKER_ADMIN", global = true)]
    pub admin: Option<String>,
    /// The join token itself. Set it in the environment only: the process list shows flags.
    #[arg(
        id = "join_token",
        long = "join-token-from-environment",
        env = "STOKER_JOIN_TOKEN",
        hide = true,
        hide_env_values = true
    )]
    pub join_token: Option<String>,
}

/// The commands besides running the peer.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List the objects in the store of this machine's peer, or remove one.
    #[command(
        subcommand,
        after_help = "Examples:\n  \
        stoker-peer store list --data-dir /var/lib/stoker\n  \
        stoker-peer store remove sha256:… --data-dir /var/lib/stoker"
    )]
    Store(StoreCommand),
    /// Show the configuration in force, or check a configuration file.
    #[command(
        subcommand,
        after_help = "Examples:\n  \
        stoker-peer config check /etc/stoker/peer.toml\n  \
        stoker-peer --config /etc/stoker/peer.toml config show"
    )]
    Config(ConfigCommand),
}

/// `stoker-peer config`.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Show each value in force and its source: default, file, variable or flag. Secrets are masked.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check a file: show every fault with its key and its line. Exit code 1 if there is a fault.
    Check {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `stoker-peer store`.
#[derive(Debug, Clone, Subcommand)]
pub enum StoreCommand {
    /// List all sealed objects: digest, bytes, kind.
    List,
    /// Remove an object from the store. The next pull or preheat fetches it again.
    Remove {
        /// The object: sha256:… or sha512:…
        digest: Digest,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// `stoker` uses these variables, so they are often set in a shell that starts a peer.
    #[test]
    fn the_variables_of_the_stoker_command_are_not_read() {
        let command = Arguments::command();
        let mut variables = command.get_arguments().filter_map(clap::Arg::get_env);
        assert!(variables.all(|name| name != "STOKER_TOKEN_FILE" && name != "STOKER_TOKEN"));
    }
}
