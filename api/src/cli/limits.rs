//! `stoker limits`: bandwidth limits of a cluster.

use api::types::{BandwidthLimits, ClusterLimitsBody};
use clap::{Args, Subcommand};
use oci::RegistryName;
use wire::Rate;

use super::output;
use super::output::Table;
use super::stop::Stop;
use crate::cli::client::{Api, ServerFlags};

/// Show and change the bandwidth limits of a cluster.
#[derive(Debug, Args)]
#[command(after_help = "\
A limit that is set here replaces the configured one at once, also for running transfers, until
`stoker limits reset`. A peer's own configuration may set a lower limit, never a higher one.

Examples:
  stoker limits show edge-7
  stoker limits set edge-7 --peer-incoming 50MiB/s --origin registry.example.com=100MiB/s
  stoker limits set edge-7 --peer-incoming none")]
pub(crate) struct LimitsArguments {
    #[command(subcommand)]
    wanted: LimitsAction,
}

#[derive(Debug, Subcommand)]
enum LimitsAction {
    /// Show the limits, and the share of each peer.
    Show {
        /// Name of the cluster.
        #[arg(default_value = "default")]
        cluster: String,
        #[command(flatten)]
        server: ServerFlags,
    },
    /// Change the given limits; others stay.
    Set {
        /// Name of the cluster.
        cluster: String,
        /// Limit of each peer for reading from registries and other peers: `50MiB/s`, or `none`.
        #[arg(long, value_name = "RATE", value_parser = rate)]
        peer_incoming: Option<RateChange>,
        /// Limit of each peer for sending to other peers.
        #[arg(long, value_name = "RATE", value_parser = rate)]
        peer_outgoing: Option<RateChange>,
        /// Limit of all peers together for reading from a registry; repeatable.
        #[arg(long, value_name = "REGISTRY=RATE", value_parser = origin)]
        origin: Vec<(RegistryName, RateChange)>,
        #[command(flatten)]
        server: ServerFlags,
    },
    /// Reset the limits to the configured ones.
    Reset {
        /// Name of the cluster.
        cluster: String,
        #[command(flatten)]
        server: ServerFlags,
    },
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RateChange(Option<Rate>);

fn rate(text: &str) -> Result<RateChange, String> {
    if text == "none" {
        return Ok(RateChange(None));
    }
    text.parse()
        .map(|rate| RateChange(Some(rate)))
        .map_err(|fault: wire::BadRate| fault.to_string())
}

fn origin(text: &str) -> Result<(RegistryName, RateChange), String> {
    let (registry, limit) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` has no `=`: write for example registry.example.com=50MiB/s"))?;
    let registry = registry
        .parse()
        .map_err(|fault: oci::BadName| fault.to_string())?;
    Ok((registry, rate(limit)?))
}

pub(crate) async fn run(arguments: LimitsArguments) -> Result<(), Stop> {
    let now: ClusterLimitsBody = match arguments.wanted {
        LimitsAction::Show { cluster, server } => Api::new(&server)?.get(&path(&cluster)).await?,
        LimitsAction::Set {
            cluster,
            peer_incoming,
            peer_outgoing,
            origin,
            server,
        } => {
            let api = Api::new(&server)?;
            let before: ClusterLimitsBody = api.get(&path(&cluster)).await?;
            let wanted = changed(before.limits, peer_incoming, peer_outgoing, origin);
            api.put(&path(&cluster), &wanted).await?
        }
        LimitsAction::Reset { cluster, server } => Api::new(&server)?.delete_for(&path(&cluster)).await?,
    };
    show(&now);
    Ok(())
}

fn changed(
    mut limits: BandwidthLimits,
    incoming: Option<RateChange>,
    outgoing: Option<RateChange>,
    origins: Vec<(RegistryName, RateChange)>,
) -> BandwidthLimits {
    let text = |RateChange(rate): RateChange| rate.map(|rate| rate.to_string());
    if let Some(wish) = incoming {
        limits.peer_incoming = text(wish);
    }
    if let Some(wish) = outgoing {
        limits.peer_outgoing = text(wish);
    }
    for (registry, wish) in origins {
        match text(wish) {
            Some(rate) => limits.origins.insert(registry.to_string(), rate),
            None => limits.origins.remove(registry.as_str()),
        };
    }
    limits
}

fn path(cluster: &str) -> String {
    let cluster: String = url::form_urlencoded::byte_serialize(cluster.as_bytes()).collect();
    format!("/api/v1/clusters/{}/limits", cluster.replace('+', "%20"))
}

fn show(now: &ClusterLimitsBody) {
    let source = if now.as_configured {
        "as configured"
    } else {
        "set by stoker limits"
    };
    output::remark(format!("Cluster {}, {source}:", now.cluster));
    let mut table = Table::new(["LIMIT", "RATE", "EACH SEED", "EACH NODE"]);
    let text = |rate: Option<&String>| rate.cloned().unwrap_or_else(|| "none".to_owned());
    for (name, rate) in [
        ("peer_incoming", &now.limits.peer_incoming),
        ("peer_outgoing", &now.limits.peer_outgoing),
    ] {
        let each = text(rate.as_ref());
        table.row([name.to_owned(), String::new(), each.clone(), each]);
    }
    for (registry, rate) in &now.limits.origins {
        let (seed, node) = (now.each_seed.get(registry), now.each_node.get(registry));
        table.row([format!("origin {registry}"), rate.clone(), text(seed), text(node)]);
    }
    table.say();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let before = BandwidthLimits {
            peer_incoming: Some("1MiB/s".to_owned()),
            peer_outgoing: Some("2MiB/s".to_owned()),
            origins: [
                ("a.lan".to_owned(), "3MiB/s".to_owned()),
                ("b.lan".to_owned(), "4MiB/s".to_owned()),
            ]
            .into(),
        };
        let origins = vec![
            origin("a.lan=none").expect("a wish"),
            origin("c.lan=5MB/s").expect("a wish"),
        ];
        let after = changed(before, Some(rate("none").expect("a wish")), None, origins);
        assert_eq!(after.peer_incoming, None);
        assert_eq!(after.peer_outgoing.as_deref(), Some("2MiB/s"));
        let named: Vec<(&str, &str)> = after
            .origins
            .iter()
            .map(|(name, rate)| (name.as_str(), rate.as_str()))
            .collect();
        assert_eq!(named, [("b.lan", "4MiB/s"), ("c.lan", "5MB/s")]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_an_example() {
        for wrong in ["a.lan", "a.lan=fast", "=5MB/s", "a b=5MB/s"] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
        assert!(rate("1kB/s").is_err_and(|error| error.contains("64KiB/s")));
    }

    #[test]
    fn a_cluster_s_name_is_one_part_of_the_path() {
        assert_eq!(path("edge 7/x"), "/api/v1/clusters/edge%207%2Fx/limits");
    }
}
