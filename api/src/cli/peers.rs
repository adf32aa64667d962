//! `stoker peers`: lists and removes peers.

use api::types::{PeerBody, Peers, RemovedPeer};
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::output;
use super::output::Table;
use super::stop::Stop;
use crate::cli::client::{Api, ServerFlags};

/// List the peers (seeds and nodes that have registered), or remove one.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  stoker peers
  stoker peers remove node-17
  stoker peers remove 4f3c1c2e-7f5b-4c8e-9f0a-0d6f2f1f2a3b --with-token"
)]
pub(crate) struct PeersArguments {
    #[command(subcommand)]
    action: Option<PeersAction>,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Debug, Subcommand)]
enum PeersAction {
    Remove(RemovePeer),
}

/// Remove a peer: the manager refuses it at once, other peers within seconds.
#[derive(Debug, Args)]
struct RemovePeer {
    /// Name or id of the peer, as `stoker peers` shows them.
    peer: String,
    /// Also revoke the join token that the peer joined with.
    #[arg(long)]
    with_token: bool,
    #[command(flatten)]
    server: ServerFlags,
}

pub(crate) async fn run(arguments: PeersArguments) -> Result<(), Stop> {
    match arguments.action {
        Some(PeersAction::Remove(remove)) => self::remove(remove).await,
        None => list(&arguments.server).await,
    }
}

async fn list(server: &ServerFlags) -> Result<(), Stop> {
    let api = Api::new(server)?;
    let Peers { peers } = api.get("/api/v1/peers").await?;
    if peers.is_empty() {
        output::remark(
            "No peer has registered yet. `stoker token create --scope seed` makes a join token and prints how to use it.",
        );
        return Ok(());
    }
    let mut table = Table::new([
        "NAME", "CLUSTER", "ROLE", "STATE", "HOLDS", "BYTES", "ADDRESS", "ID",
    ]);
    let mut warnings = Vec::new();
    for peer in peers {
        if let Some(warning) = &peer.warning {
            warnings.push(format!("warning: {}: {warning}", peer.name));
        }
        let state = if peer.alive { "connected" } else { "disconnected" };
        table.row([
            peer.name,
            peer.cluster,
            peer.role,
            state.to_owned(),
            peer.holdings.to_string(),
            output::bytes(peer.held_bytes),
            peer.share_url,
            peer.id.to_string(),
        ]);
    }
    table.say();
    warnings.iter().for_each(output::remark);
    Ok(())
}

async fn remove(remove: RemovePeer) -> Result<(), Stop> {
    let api = Api::new(&remove.server)?;
    let id = if let Ok(id) = remove.peer.parse::<Uuid>() {
        id
    } else {
        let Peers { peers } = api.get("/api/v1/peers").await?;
        id_of(&remove.peer, &peers).map_err(Stop::usage)?
    };
    let with_token = remove.with_token;
    let path = format!("/api/v1/peers/{id}?with_token={with_token}");
    let removed: RemovedPeer = api.delete_for(&path).await?;
    output::say(format!("Peer {} ({id}) is removed.", remove.peer));
    match removed.revoked_token {
        Some(token) => output::say(format!("Join token {token} is revoked.")),
        None if with_token => output::remark("The peer's join token is not known: none was revoked."),
        None => {}
    }
    Ok(())
}

/// A name is only a label: several peers may have it.
fn id_of(name: &str, peers: &[PeerBody]) -> Result<Uuid, String> {
    let ids: Vec<Uuid> = peers
        .iter()
        .filter(|peer| peer.name == name)
        .map(|peer| peer.id)
        .collect();
    match ids[..] {
        [id] => Ok(id),
        [] => Err(format!("no peer is named `{name}`; see stoker peers")),
        _ => Err(format!(
            "{} peers are named `{name}`: give the id of one: {}",
            ids.len(),
            ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str, id: u128) -> PeerBody {
        PeerBody {
            id: Uuid::from_u128(id),
            name: name.to_owned(),
            cluster: String::new(),
            cluster_id: 1,
            role: String::new(),
            share_url: String::new(),
            alive: true,
            last_seen_at: api::types::Timestamp::from_ms(0),
            software: String::new(),
            holdings: 0,
            held_bytes: 0,
            warning: None,
        }
    }

    #[test]
    fn a_name_that_several_peers_have_removes_none_of_them() {
        let peers = [peer("a", 1), peer("b", 2), peer("b", 3)];
        assert_eq!(id_of("a", &peers), Ok(peers[0].id));
        assert!(id_of("b", &peers).is_err_and(|error| error.contains(&peers[2].id.to_string())));
        assert!(id_of("c", &peers).is_err());
    }
}
