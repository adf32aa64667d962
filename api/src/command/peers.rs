//! `stoker peers`: who has called in.

use clap::Args;

use super::output::Table;
use super::{Stop, output};
use crate::client::{Api, Peers, ServerFlags};

/// List the peers: seeds and nodes that have called in.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerFlags,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    let Peers { peers } = api.get("/api/v1/peers").await?;
    if peers.is_empty() {
        output::remark(
            "No peer has called in yet. Start one: stoker-peer --seed --data-dir DIR --manager URL --token-file FILE",
        );
        return Ok(());
    }
    let mut table = Table::new([
        "NAME", "CLUSTER", "ROLE", "STATE", "HOLDS", "BYTES", "ADDRESS", "ID",
    ]);
    for peer in peers {
        let state = if peer.alive { "alive" } else { "away" };
        table.row([
            peer.name,
            peer.cluster,
            peer.role,
            state.to_owned(),
            peer.holdings.to_string(),
            output::bytes(peer.held_bytes),
            peer.share_url,
            peer.id,
        ]);
    }
    table.say();
    Ok(())
}
