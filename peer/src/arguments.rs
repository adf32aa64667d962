//! The command line of `stoker-peer`: what it can be told, and what else it can do than run the peer.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use oci::Digest;
use settings::Flags;

/// Caches container images on a node and shares them with the other nodes of its cluster.
///
/// A peer calls the manager, never the other way: it needs no port that the manager can reach.
#[derive(Parser)]
#[command(
    name = "stoker-peer",
    version,
    after_help = "Examples:\n  \
    stoker-peer --data-dir /var/lib/stoker --manager https://manager:8443 --join-token-file join.token\n  \
    stoker-peer --data-dir /var/lib/stoker --manager https://manager:8443       (every later start)\n\n\
    Make a join token with: stoker token create --scope node (or seed) --cluster NAME\n\
    Then point containerd at http://127.0.0.1:65001 (certs.d/_default/hosts.toml)."
)]
pub struct Arguments {
    /// Something else than to run the peer.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub flags: PeerFlags,
}

/// What the command line and the environment say of the settings.
pub type PeerFlags = Flags<PeerArguments>;

/// The settings that have a flag.
#[derive(Debug, Clone, Default, Args)]
pub struct PeerArguments {
    /// Folder for the peer's key and certificate, its store and what it knows of its surroundings.
    #[arg(long, env = "STOKER_DATA_DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// URL of the manager's peer port: `https://host:8443`.
    #[arg(long, env = "STOKER_MANAGER")]
    pub manager: Option<String>,
    /// File with a join token; only the first start needs it.
    #[arg(long, env = "STOKER_JOIN_TOKEN_FILE")]
    pub join_token_file: Option<PathBuf>,
    /// What peers had before join tokens: told what to use instead. Its variable is the command line's now, `stoker`.
    #[arg(long, hide = true)]
    pub token_file: Option<PathBuf>,
    /// Configuration file (TOML); flags and environment win over it.
    #[arg(long, env = "STOKER_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// Make sure to be a seed, which fetches from registries what preheats name: the join token decides.
    #[arg(long, env = "STOKER_SEED")]
    pub seed: bool,
    /// Make sure to be in this cluster, the group of peers that share: the join token decides.
    #[arg(long, env = "STOKER_CLUSTER")]
    pub cluster: Option<String>,
    /// A label for people. [default: the host's name]
    #[arg(long, env = "STOKER_NAME")]
    pub name: Option<String>,
    /// Where container runtimes ask. [default: 127.0.0.1:65001]
    #[arg(long, env = "STOKER_FRONT")]
    pub front: Option<String>,
    /// Where other peers ask. [default: 0.0.0.0:65002]
    #[arg(long, env = "STOKER_SHARE")]
    pub share: Option<String>,
    /// Host, or host:port, that other peers reach this one at. [default: the address that the manager sees]
    #[arg(long, env = "STOKER_ADVERTISE")]
    pub advertise: Option<String>,
    /// Probes and metrics. [default: 127.0.0.1:40901]
    #[arg(long, env = "STOKER_ADMIN", global = true)]
    pub admin: Option<String>,
    /// The join token itself; for the environment only, as a flag would stand in the process list.
    #[arg(
        id = "join_token",
        long = "join-token-from-environment",
        env = "STOKER_JOIN_TOKEN",
        hide = true,
        hide_env_values = true
    )]
    pub join_token: Option<String>,
}

/// What `stoker-peer` does when it is not to run the peer.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Look into the store of this machine's peer, or remove something from it.
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

/// What is wanted of the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Show each value in force and where it comes from: the default, the file, a variable or a flag. Secrets are masked.
    Show {
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Check a file: every fault, with its key and its place. Exit code 1 if there is one.
    Check {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
}

/// What is wanted of the store.
#[derive(Debug, Clone, Subcommand)]
pub enum StoreCommand {
    /// Show every object that is here whole: digest, bytes, kind.
    List,
    /// Remove an object from the store; it is fetched again when somebody wants it.
    Remove {
        /// The object: sha256: and 64 hexadecimal digits.
        digest: Digest,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Who has just made a join token has that variable set in the shell.
    #[test]
    fn the_variable_that_the_command_line_wants_stops_no_peer() {
        let command = Arguments::command();
        let mut variables = command.get_arguments().filter_map(clap::Arg::get_env);
        assert!(variables.all(|name| name != "STOKER_TOKEN_FILE" && name != "STOKER_TOKEN"));
    }
}
