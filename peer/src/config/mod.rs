//! The peer's configuration. An environment variable overrides the file, and a flag overrides both.
//!
//! **Invariant:** all faults are reported together.

mod front;
mod front_address;
mod manager_url;
mod own;
mod store_limits;

use std::path::{Path, PathBuf};

use oci::DialRules;
use process::telemetry::TelemetryOptions;
use settings::{Faults, OwnRegistry, Read, Reader, Section, SettingsFile};
use store::StoreLimits;
use wire::{ClusterName, JoinToken, Role};

pub use self::front::{FrontLimits, UnprovenRanges};
use self::manager_url::manager_url;
pub use self::own::PeerSettings;
use crate::arguments::PeerFlags;
use crate::joining::Joining;
use crate::limits::LimitSettings;

/// The default of `share`.
const SHARE: &str = "0.0.0.0:65002";
/// The default of `admin`.
const ADMIN: &str = "127.0.0.1:40901";

/// Everything that a peer is built from, parsed and checked.
pub struct PeerConfig {
    pub data_dir: PathBuf,
    /// Base URL of the manager's peer port.
    pub manager: String,
    /// How the peer joins the manager at its first start.
    pub joining: Joining,
    /// The role that the certificate must have. None accepts both.
    pub role: Option<Role>,
    /// The cluster that the certificate must have. None accepts each.
    pub cluster: Option<ClusterName>,
    /// The rack or site. Peers of one zone exchange chunks, so that each chunk is sent into the zone once.
    pub zone: Option<String>,
    pub name: String,
    /// Listen address for container runtimes.
    pub front: String,
    /// Listen address for other peers.
    pub share: String,
    pub advertise: Option<String>,
    /// Listen address for probes and metrics. None inside `stoker up`, which has an admin port of its own.
    pub admin: Option<String>,
    pub registries: Vec<OwnRegistry>,
    pub front_limits: FrontLimits,
    pub dial: DialRules,
    pub store: StoreLimits,
    pub telemetry: TelemetryOptions,
    pub limits: LimitSettings,
}

/// The data folder of a store, and the admin address of its peer.
pub struct StorePlace {
    pub data_dir: PathBuf,
    pub admin: String,
}

impl StorePlace {
    /// Reads only these two settings. The token and the manager may be missing.
    pub fn read(flags: PeerFlags) -> Result<Self, Faults> {
        let file = SettingsFile::open(flags.arguments.config.as_deref())?;
        let reader = Reader::new(&file, flags.given)?;
        let top = reader.top();
        let data_dir = top.needed("data_dir", top.path("data_dir"));
        let admin = top.address_or("admin", ADMIN);
        let place = data_dir.map(|data_dir| Self { data_dir, admin });
        Ok(reader.finish_part(place)?.value)
    }
}

impl PeerConfig {
    /// Reads the configuration file, the environment and the flags.
    pub fn read(flags: PeerFlags) -> Result<Read<Self>, Faults> {
        let file = SettingsFile::open(flags.arguments.config.as_deref())?;
        let reader = Reader::new(&file, flags.given)?;
        let config = Self::from_section(&reader.top());
        reader.finish(config)
    }

    /// Returns `None` only after it has noted a fault.
    pub fn from_section(top: &Section<'_>) -> Option<Self> {
        refuse_former(top);
        let data_dir = top.needed("data_dir", top.path("data_dir"));
        let manager = top.needed("manager", top.text("manager"));
        let manager = manager.and_then(|url| top.check("manager", manager_url(&url)));
        let joining = joining(top, data_dir.as_deref());
        let cluster = top.parsed("cluster");
        let registries = settings::registry::read(top);
        let own = PeerSettings::read(top, &registries, SHARE);
        let role = top.switch_or("seed", false).then_some(Role::Seed);
        let telemetry = telemetry(role.unwrap_or(Role::Node), top);
        let dial = settings::dial::read(top, Vec::new());
        let admin = top.address_or("admin", ADMIN);
        Some(Self {
            data_dir: data_dir?,
            manager: manager?,
            joining: joining?,
            role,
            cluster,
            zone: own.zone,
            name: own.name,
            front: own.front,
            share: own.share,
            advertise: own.advertise,
            admin: Some(admin),
            registries,
            front_limits: own.front_limits,
            dial,
            store: own.store,
            telemetry,
            limits: own.limits,
        })
    }
}

fn telemetry(role: Role, top: &Section<'_>) -> TelemetryOptions {
    let service = match role {
        Role::Seed => "stoker-seed",
        Role::Node => "stoker-peer",
    };
    let mut options = settings::telemetry::read(&top.table("telemetry"), service);
    options.trace_never = crate::share::UNTRACED.map(str::to_owned).to_vec();
    options
}

/// Reads the join token. It may be missing: the start of the peer checks whether the peer has joined before.
fn joining(top: &Section<'_>, data_dir: Option<&Path>) -> Option<Joining> {
    let file = top.path("join_token_file");
    let (key, text) = match (top.given_secret("join_token"), file) {
        (Some(itself), _) => ("join_token", itself),
        (None, None) => return Some(Joining::Token(None)),
        // The file may be deleted after the first start.
        (None, Some(file)) if !file.exists() && data_dir.is_some_and(crate::membership::is_in) => {
            return Some(Joining::Token(None));
        }
        (None, Some(file)) => ("join_token_file", top.readable("join_token_file", &file)?),
    };
    let token = top.check(key, text.parse::<JoinToken>())?;
    Some(Joining::Token(Some(token)))
}

fn refuse_former(top: &Section<'_>) {
    const JOIN: &str = "was replaced by join tokens: create one with `stoker token create --scope node` (or seed), and set \
         --join-token-file, or join_token_file in the configuration file";
    const CERTIFICATES: &str =
        "is no longer used, because the manager issues the certificates: remove this key";
    top.refuse_former("token_file", JOIN);
    for key in ["manager_ca_file", "tls_cert", "tls_key"] {
        top.refuse_former(key, CERTIFICATES);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use settings::FaultKind;

    use super::*;
    use crate::arguments::Arguments;

    fn flags(given: &[&str]) -> PeerFlags {
        Arguments::parse_from([&["stoker-peer"], given].concat()).flags
    }

    #[test]
    fn all_faults_are_reported_together() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("peer.toml");
        std::fs::write(
            &file,
            "manager = \"manager:8080\"\ncluster = \"a/b\"\njoin_token_file = \"/nowhere/t\"\ntoken_file = \"t\"\nyes_kept = \"soon\"\nyes_kept_on_error = \"later\"\nunproven_ranges = \"fast\"\ntls_cert = \"cert.pem\"\n[limits]\nincoming = \"fast\"\n[registry.\"no name\"]\nca_file = \"/nowhere/ca.pem\"\n",
        )
        .expect("written");
        let Err(faults) = PeerConfig::read(flags(&["--config", file.to_str().expect("text")])) else {
            panic!("a configuration full of faults was accepted");
        };
        let mut found: Vec<_> = faults
            .iter()
            .map(|fault| (fault.key.as_str(), fault.kind))
            .collect();
        found.sort_by_key(|(key, _)| *key);
        assert_eq!(
            found,
            [
                ("cluster", FaultKind::BadValue),
                ("data_dir", FaultKind::NotGiven),
                ("join_token_file", FaultKind::UnreadableFile),
                ("limits.incoming", FaultKind::BadValue),
                ("manager", FaultKind::BadValue),
                ("registry.\"no name\"", FaultKind::BadValue),
                ("registry.\"no name\".ca_file", FaultKind::UnreadableFile),
                ("tls_cert", FaultKind::FormerKey),
                ("token_file", FaultKind::FormerKey),
                ("unproven_ranges", FaultKind::BadValue),
                ("yes_kept", FaultKind::BadValue),
                ("yes_kept_on_error", FaultKind::BadValue),
            ]
        );
    }

    #[test]
    fn a_flag_overrides_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("peer.toml");
        let token = folder.path().join("token");
        let text = format!("stoker-join.abc.s3cret.{}\n", "0".repeat(64));
        std::fs::write(&token, text).expect("written");
        std::fs::write(
            &file,
            "cluster = \"edge\"\nname = \"from-file\"\nmanager = \"https://m:8443\"\n",
        )
        .expect("written");
        let config = PeerConfig::read(flags(&[
            "--config",
            file.to_str().expect("text"),
            "--name",
            "from-flag",
            "--data-dir",
            "d",
            "--join-token-file",
            token.to_str().expect("text"),
        ]))
        .unwrap_or_else(|faults| panic!("{faults}"))
        .value;
        assert_eq!(config.name, "from-flag");
        assert_eq!(config.cluster.expect("given").as_str(), "edge");
        let Joining::Token(Some(token)) = config.joining else {
            panic!("no join token");
        };
        assert_eq!(token.id, "abc");
    }
}
