//! `stoker preheat`: creates preheats and, with `--wait`, waits for their end.

mod follow;

use api::types::{ClusterNameOrId, CreatePreheat, PeerSelection, PreheatBody};
use clap::Args;
use preheat::{Label, Labels};

use self::follow::trace_words;
use super::output;
use super::stop::{FAILED, NO_RESPONSE, Stop};
use crate::cli::client::{Api, ServerFlags};

/// Preheat images: peers fetch them before the first pull.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --wait, prints the id of each preheat and ends when the manager has stored them.
With --wait, waits for their end: exit code 0 if all succeeded, 1 if one failed (the reason is printed),
2 if the manager gave no usable response. Interrupting the command cancels no preheat.

Examples:
  stoker preheat nginx:1.27
  stoker preheat --wait --platform linux/arm64 harbor.example.com/team/app:1.4
  stoker preheat --wait --scope all_peers http://registry.lan:5000/app@sha256:9f86d0…
  stoker preheat --cluster edge-7 --cluster edge-8 registry.example.com/app:2
  stoker preheat --label team=payments --label stage=prod registry.example.com/app:2
  stoker preheat --scope all_peers --percent 20 --priority high registry.example.com/app:2

Scopes: single_seed_peer (each object on one seed of each cluster; the default),
all_seed_peers (on every seed), all_peers (on every seed and node).")]
pub(crate) struct PreheatArguments {
    /// Image references: registry.example.com/app:1.4, nginx, app@sha256:…; the prefix http:// means plain HTTP.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    #[command(flatten)]
    server: ServerFlags,
    /// Only this platform, os/arch[/variant]; repeatable. [default: all platforms of the image]
    #[arg(
        long = "platform",
        env = "STOKER_PLATFORM",
        value_name = "PLATFORM",
        value_delimiter = ','
    )]
    platforms: Vec<String>,
    /// `single_seed_peer`, `all_seed_peers` or `all_peers`. [default: `single_seed_peer`]
    #[arg(long, env = "STOKER_SCOPE")]
    scope: Option<String>,
    /// Only this cluster; repeatable. [default: every cluster that has a seed]
    #[arg(
        long = "cluster",
        env = "STOKER_CLUSTER",
        value_name = "NAME",
        value_delimiter = ','
    )]
    clusters: Vec<String>,
    /// Number of peers of each cluster, among those of the scope.
    #[arg(long, env = "STOKER_COUNT", group = "peers", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Share of each cluster's peers in percent, rounded up.
    #[arg(long, env = "STOKER_PERCENT", group = "peers", value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: Option<u8>,
    /// Only the peer that registers from this address; repeatable.
    #[arg(
        long = "address",
        env = "STOKER_ADDRESS",
        group = "peers",
        value_name = "IP",
        value_delimiter = ','
    )]
    addresses: Vec<String>,
    /// Order in the queue: `low`, `normal` or `high`. [default: normal]
    #[arg(long, env = "STOKER_PRIORITY")]
    priority: Option<String>,
    /// Fail the preheat if it has not ended after this time: 90s, 10m. [default: the manager's limit]
    #[arg(long, env = "STOKER_TIME_LIMIT", value_name = "TIME")]
    time_limit: Option<String>,
    /// Also preheat signatures and SBOMs that refer to the image. [default: as the cluster is configured]
    #[arg(long, env = "STOKER_REFERRERS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    referrers: Option<bool>,
    /// Label of the preheats, to filter by; repeatable.
    #[arg(long = "label", env = "STOKER_LABEL", value_name = "KEY=VALUE")]
    labels: Vec<Label>,
    /// Wait until the preheats have ended.
    #[arg(long, env = "STOKER_WAIT")]
    wait: bool,
}

pub(crate) async fn run(arguments: PreheatArguments) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    let labels = Labels::new(arguments.labels.iter().cloned()).map_err(Stop::usage)?;
    let mut asked = Vec::new();
    let mut not_asked = Vec::new();
    for image in &arguments.images {
        match api
            .post("/api/v1/preheats", &body(image, &labels, &arguments))
            .await
        {
            Ok(preheat) => asked.push(preheat),
            Err(error) => not_asked.push((image, error)),
        }
    }
    for (image, error) in &not_asked {
        output::remark(format!("stoker: {image}: {error}"));
    }
    let any_failed = if arguments.wait {
        follow::to_the_end(&api, asked).await?
    } else {
        tell(&asked);
        false
    };
    match (not_asked.is_empty(), any_failed) {
        (false, _) => Err(Stop::silent(NO_RESPONSE)),
        (true, true) => Err(Stop::silent(FAILED)),
        (true, false) => Ok(()),
    }
}

fn body(image: &str, labels: &Labels, arguments: &PreheatArguments) -> CreatePreheat {
    let unless_empty = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
    let clusters = unless_empty(&arguments.clusters);
    CreatePreheat {
        image: image.to_owned(),
        scope: arguments.scope.clone(),
        clusters: clusters.map(|names| names.into_iter().map(ClusterNameOrId::Name).collect()),
        platforms: unless_empty(&arguments.platforms),
        peers: peers(arguments),
        referrers: arguments.referrers,
        priority: arguments.priority.clone(),
        time_limit: arguments.time_limit.clone(),
        credential: None,
        labels: labels.clone().into_map(),
    }
}

fn peers(arguments: &PreheatArguments) -> Option<PeerSelection> {
    let addresses = &arguments.addresses;
    let selection = PeerSelection {
        count: arguments.count,
        percent: arguments.percent,
        addresses: (!addresses.is_empty()).then(|| addresses.clone()),
    };
    (selection != PeerSelection::default()).then_some(selection)
}

fn tell(asked: &[PreheatBody]) {
    for preheat in asked {
        output::say(format!(
            "{}  {}  {}{}",
            preheat.id,
            preheat.state.word(),
            preheat.image,
            trace_words(preheat)
        ));
    }
    if let Some(first) = asked.first() {
        output::remark(format!("Show its progress: stoker preheats {}", first.id));
    }
}
