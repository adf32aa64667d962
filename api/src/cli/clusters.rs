//! `stoker clusters`: groups of peers that share.

use api::types::Clusters;
use clap::Args;

use super::output;
use super::output::Table;
use super::stop::Stop;
use crate::cli::client::{Api, ServerFlags};

/// List the clusters: peers that share with each other.
#[derive(Debug, Args)]
#[command(
    after_help = "The first join token that names a cluster creates it: stoker token create --scope node --cluster \
        edge-7"
)]
pub(crate) struct ClustersArguments {
    #[command(flatten)]
    server: ServerFlags,
}

pub(crate) async fn run(arguments: ClustersArguments) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    let Clusters { clusters } = api.get("/api/v1/clusters").await?;
    if clusters.is_empty() {
        output::remark("There is no cluster yet: the first peer that registers creates one.");
        return Ok(());
    }
    let mut table = Table::new(["ID", "NAME", "SEEDS", "NODES"]);
    for cluster in clusters {
        table.row([
            cluster.id.to_string(),
            cluster.name,
            cluster.seeds.to_string(),
            cluster.nodes.to_string(),
        ]);
    }
    table.say();
    Ok(())
}
