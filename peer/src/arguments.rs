//! The command line of `stoker-peer`: what it can be told, and what else it can do than run the peer.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::store_command::StoreCommand;

/// Caches container images on a node and shares them with the other nodes of its cluster.
///
/// A peer calls the manager, never the other way: it needs no port that the manager can reach.
#[derive(Parser)]
#[command(
    name = "stoker-peer",
    version,
    after_help = "Examples:\n  \
    stoker-peer --data-dir /var/lib/stoker --manager http://manager:8080 --token-file /etc/stoker/peer.token\n  \
    stoker-peer --seed --cluster edge-7 --data-dir /var/lib/stoker --manager https://stoker.example.com --token-file t\n\n\
    Make a token for peers with: stoker token create --name peers --scope peer\n\
    Then point containerd at http://127.0.0.1:65001 (certs.d/_default/hosts.toml)."
)]
pub struct Arguments {
    /// Something else than to run the peer.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Folder for the peer's id, its store and what it knows of its surroundings.
    #[arg(long, env = "STOKER_DATA_DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// URL of the manager.
    #[arg(long, env = "STOKER_MANAGER")]
    pub manager: Option<String>,
    /// File with a token of scope `peer`.
    #[arg(long, env = "STOKER_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Configuration file (TOML); flags and environment win over it.
    #[arg(long, env = "STOKER_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// Be a seed: fetch from registries what preheats name, and serve it to the nodes.
    #[arg(long, env = "STOKER_SEED")]
    pub seed: bool,
    /// The group of peers that share; made by its first peer. [default: default]
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
    /// The token itself; for the environment only, as a flag would stand in the process list.
    #[arg(
        long = "token-from-environment",
        env = "STOKER_TOKEN",
        hide = true,
        hide_env_values = true
    )]
    pub token: Option<String>,
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
}
