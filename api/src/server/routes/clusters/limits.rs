//! `GET`, `PUT` and `DELETE /api/v1/clusters/{name}/limits`: bandwidth limits of a cluster.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use preheat::{ClusterLimits, LimitsError, LimitsInForce};
use wire::Rate;

use crate::server::app::App;
use crate::server::extract::{Allowed, Body, Parts, ToAdminister, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{BadBody, Refusals, Trouble, Unknown};
use crate::types::{BandwidthLimits, ClusterLimitsBody};

#[utoipa::path(
    get, path = "/api/v1/clusters/{name}/limits", tag = "peers", operation_id = "get_limits",
    summary = "Show the bandwidth limits of a cluster",
    params(("name" = String, Path, description = "The cluster's name")),
    responses((status = 200, description = "The limits in force", body = ClusterLimitsBody), Unknown, Refusals, Trouble),
)]
pub(crate) async fn get(
    State(app): State<App>,
    _: Allowed<ToRead>,
    Parts(name): Parts<String>,
) -> Result<Json<ClusterLimitsBody>, Problem> {
    let found = preheat::cluster_limits(app.preheater(), &name).await;
    found.map(|found| Json(view(name, found))).map_err(refused)
}

#[utoipa::path(
    put, path = "/api/v1/clusters/{name}/limits", tag = "peers", operation_id = "set_limits",
    summary = "Set the bandwidth limits of a cluster",
    description = "Replaces the configured limits. Peers apply it within seconds, also to running transfers. A \
        peer's own configuration may set a lower limit. A field that is left out means no limit.",
    params(("name" = String, Path, description = "The cluster's name")),
    request_body = BandwidthLimits,
    responses((status = 200, description = "The limits in force", body = ClusterLimitsBody), Unknown, BadBody, Refusals, Trouble),
)]
pub(crate) async fn set(
    State(app): State<App>,
    _: Allowed<ToAdminister>,
    Parts(name): Parts<String>,
    Body(body): Body<BandwidthLimits>,
) -> Result<Json<ClusterLimitsBody>, Problem> {
    let limits = body.parse()?;
    let now = preheat::set_cluster_limits(app.preheater(), &name, Some(limits)).await;
    now.map(|now| Json(view(name, now))).map_err(refused)
}

#[utoipa::path(
    delete, path = "/api/v1/clusters/{name}/limits", tag = "peers", operation_id = "reset_limits",
    summary = "Reset the bandwidth limits of a cluster to the configured ones",
    params(("name" = String, Path, description = "The cluster's name")),
    responses((status = 200, description = "The limits in force", body = ClusterLimitsBody), Unknown, Refusals, Trouble),
)]
pub(crate) async fn reset(
    State(app): State<App>,
    _: Allowed<ToAdminister>,
    Parts(name): Parts<String>,
) -> Result<Json<ClusterLimitsBody>, Problem> {
    let now = preheat::set_cluster_limits(app.preheater(), &name, None).await;
    now.map(|now| Json(view(name, now))).map_err(refused)
}

impl BandwidthLimits {
    fn parse(self) -> Result<ClusterLimits, Problem> {
        let rate = |field: &str, text: Option<String>| {
            let parsed = text.map(|text| text.parse::<Rate>()).transpose();
            parsed.map_err(|fault| Problem::invalid(format!("`{field}`: {fault}.")))
        };
        let mut origins = BTreeMap::new();
        for (registry, text) in self.origins {
            let name = registry.parse();
            let name =
                name.map_err(|fault: oci::BadName| Problem::invalid(format!("`origins`: {fault}.")))?;
            if let Some(rate) = rate("origins", Some(text))? {
                origins.insert(name, rate);
            }
        }
        Ok(ClusterLimits {
            peer_incoming: rate("peer_incoming", self.peer_incoming)?,
            peer_outgoing: rate("peer_outgoing", self.peer_outgoing)?,
            origins,
        })
    }
}

fn view(cluster: String, found: LimitsInForce) -> ClusterLimitsBody {
    let LimitsInForce {
        limits,
        as_configured,
        for_peers,
    } = found;
    let text = |rate: Rate| rate.to_string();
    let shares = || for_peers.origins.iter();
    ClusterLimitsBody {
        cluster,
        as_configured,
        each_seed: shares()
            .map(|share| (share.registry.clone(), text(share.each_seed)))
            .collect(),
        each_node: shares()
            .map(|share| (share.registry.clone(), text(share.each_node)))
            .collect(),
        limits: BandwidthLimits {
            peer_incoming: limits.peer_incoming.map(text),
            peer_outgoing: limits.peer_outgoing.map(text),
            origins: limits
                .origins
                .iter()
                .map(|(name, rate)| (name.to_string(), text(*rate)))
                .collect(),
        },
    }
}

fn refused(fault: LimitsError) -> Problem {
    match fault {
        LimitsError::UnknownCluster(_) => Problem::not_found(format!("{fault}.")),
        LimitsError::Storage(cause) => Problem::storage(&cause),
    }
}
