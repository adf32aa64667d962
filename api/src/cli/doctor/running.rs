//! Checks a running manager: its version, the token and the connected peers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use api::types::{PeerBody, Peers};
use process::clock::unix_ms;
use reqwest::Client;
use serde::Deserialize;
use url::Url;

use super::call::{LIMIT, date_of};
use super::clock;
use super::clock::DatedResponse;
use super::finding::Finding;
use crate::cli::client::{Api, AskError, ServerFlags};

const WHAT: &str = "manager";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The fields of the OpenAPI document that identify the server.
#[derive(Deserialize)]
struct Description {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    version: String,
}

pub(super) async fn check(url: &Url, token_file: Option<PathBuf>, curious: &Client) -> Vec<Finding> {
    let server = url.as_str().trim_end_matches('/').to_owned();
    let mut findings: Vec<Finding> = clock_of(&server, curious).await.into_iter().collect();
    let api = match Api::new(&ServerFlags { server, token_file }) {
        Ok(api) => api,
        Err(error) => return vec![request_failed(&error)],
    };
    match api.get::<Description>("/openapi.json").await {
        Ok(Description { info }) => findings.push(version(url, &info.version)),
        Err(error) => return vec![request_failed(&error)],
    }
    match api.get::<Peers>("/api/v1/peers").await {
        Ok(Peers { peers }) => findings.extend(by_cluster(&peers)),
        Err(error) => findings.push(request_failed(&error)),
    }
    findings
}

async fn clock_of(server: &str, curious: &Client) -> Option<Finding> {
    let sent_ms = unix_ms();
    let answer = curious
        .get(format!("{server}/healthy"))
        .timeout(LIMIT)
        .send()
        .await
        .ok()?;
    let response = DatedResponse {
        date: date_of(&answer),
        sent_ms,
        received_ms: unix_ms(),
    };
    clock::check("the manager", &response)
}

fn request_failed(error: &AskError) -> Finding {
    let to_do = match error {
        AskError::NoToken { .. } | AskError::Token { .. } | AskError::TokenFile { .. } => {
            "give --token-file FILE with a token of scope read"
        }
        AskError::Refused { .. } => {
            "create a token with scope read: stoker token create --name doctor --scope read"
        }
        _ => "start it, or give its address with --manager URL",
    };
    Finding::fail(WHAT, error.to_string(), to_do)
}

fn version(url: &Url, version: &str) -> Finding {
    if version == VERSION {
        return Finding::ok(WHAT, format!("the manager at {url} has version {version}"));
    }
    Finding::warn(
        WHAT,
        format!("the manager at {url} has version {version}, this program has {VERSION}"),
        "use the same version for both",
    )
}

/// Connected and known peers, by role.
#[derive(Default)]
struct Cluster {
    seeds: (usize, usize),
    nodes: (usize, usize),
}

fn by_cluster(peers: &[PeerBody]) -> Vec<Finding> {
    let mut clusters: BTreeMap<&str, Cluster> = BTreeMap::new();
    for peer in peers {
        let cluster = clusters.entry(&peer.cluster).or_default();
        let counted = if peer.role == "seed" {
            &mut cluster.seeds
        } else {
            &mut cluster.nodes
        };
        counted.0 += usize::from(peer.alive);
        counted.1 += 1;
    }
    if clusters.is_empty() {
        return vec![Finding::warn(
            "peers",
            "none has registered",
            "create a join token: stoker token create --scope seed; it prints how to start a seed",
        )];
    }
    clusters
        .into_iter()
        .map(|(name, cluster)| peers_of(name, &cluster))
        .collect()
}

fn peers_of(name: &str, cluster: &Cluster) -> Finding {
    let what = format!("peers of cluster {name}");
    let ((seeds, known_seeds), (nodes, known_nodes)) = (cluster.seeds, cluster.nodes);
    let found = format!("{seeds} of {known_seeds} seeds and {nodes} of {known_nodes} nodes are connected");
    if seeds == 0 {
        return Finding::fail(
            what,
            found,
            "start a seed there: without one, preheats for it wait and then fail",
        );
    }
    if seeds < known_seeds || nodes < known_nodes {
        return Finding::warn(what, found, "list them: stoker peers");
    }
    Finding::ok(what, found)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn cluster(seeds: (usize, usize), nodes: (usize, usize)) -> Verdict {
        peers_of("edge", &Cluster { seeds, nodes }).verdict
    }

    #[test]
    fn a_cluster_without_a_seed_fails_and_one_that_lacks_peers_warns() {
        assert_eq!(cluster((2, 2), (5, 5)), Verdict::Ok);
        assert_eq!(cluster((2, 2), (4, 5)), Verdict::Warn);
        assert_eq!(cluster((0, 2), (5, 5)), Verdict::Fail);
        assert_eq!(by_cluster(&[])[0].verdict, Verdict::Warn);
    }

    #[test]
    fn another_version_is_a_warning() {
        let url: Url = "http://m.lan:8080".parse().expect("a URL");
        assert_eq!(version(&url, VERSION).verdict, Verdict::Ok);
        assert_eq!(version(&url, "99.0.0").verdict, Verdict::Warn);
    }

    #[tokio::test]
    async fn an_unreachable_manager_is_a_failure_that_names_the_flag() {
        process::install_tls_provider();
        let listener = process::bind("127.0.0.1:0").await.expect("a port");
        let url: Url = format!("http://{}", listener.local_addr().expect("an address"))
            .parse()
            .expect("a URL");
        drop(listener);
        let curious = process::http::curious_client().expect("a client");
        let findings = check(&url, None, &curious).await;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].line().contains("--manager"), "{findings:?}");
    }
}
