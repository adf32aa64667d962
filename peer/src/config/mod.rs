//! The peer's configuration: file, environment and flag, rising in rank; every fault is reported at once.

mod front;
mod own;
mod store_limits;

use std::path::{Path, PathBuf};

use oci::DialRules;
use process::telemetry::TelemetryOptions;
use settings::{Faults, OwnRegistry, Read, Reader, Section, SettingsFile};
use store::StoreLimits;
use wire::{ClusterName, JoinToken, Role};

pub use self::front::{FrontLimits, UnprovenRanges};
pub use self::own::PeerSettings;
use crate::arguments::PeerFlags;
use crate::joining::Joining;
use crate::limits::LimitSettings;

/// Where `share` listens unless the configuration says otherwise.
const SHARE: &str = "0.0.0.0:65002";
const ADMIN: &str = "127.0.0.1:40901";

/// Everything that a peer is built from; nothing in here is text that still has to be understood.
pub struct PeerConfig {
    pub data_dir: PathBuf,
    /// Base URL of the manager's peer port.
    pub manager: String,
    /// For the first start.
    pub joining: Joining,
    /// What the certificate has to say; nothing: whatever it says.
    pub role: Option<Role>,
    /// What the certificate has to say; nothing: whatever it says.
    pub cluster: Option<ClusterName>,
    /// The rack or site: peers of one zone take pieces from each other, so that each comes into the zone once.
    pub zone: Option<String>,
    pub name: String,
    /// Where container runtimes ask.
    pub front: String,
    /// Where other peers ask.
    pub share: String,
    pub advertise: Option<String>,
    /// Probes and metrics; none when the program around the peer has an admin port already.
    pub admin: Option<String>,
    pub registries: Vec<OwnRegistry>,
    pub front_limits: FrontLimits,
    pub dial: DialRules,
    pub store: StoreLimits,
    pub telemetry: TelemetryOptions,
    pub limits: LimitSettings,
}

/// Where a store lies, and where its peer can be asked while it runs.
pub struct StorePlace {
    pub data_dir: PathBuf,
    pub admin: String,
}

impl StorePlace {
    /// Reads no more than it needs: a token and a manager are not.
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
    /// Reads the file that the flags name, and what goes before it.
    pub fn read(flags: PeerFlags) -> Result<Read<Self>, Faults> {
        let file = SettingsFile::open(flags.arguments.config.as_deref())?;
        let reader = Reader::new(&file, flags.given)?;
        let config = Self::from_section(&reader.top());
        reader.finish(config)
    }

    /// Returns nothing only where a fault was noted.
    pub fn from_section(top: &Section<'_>) -> Option<Self> {
        refuse_former(top);
        let data_dir = top.needed("data_dir", top.path("data_dir"));
        let manager = top.needed("manager", top.text("manager"));
        let manager = manager.and_then(|url| top.check("manager", url_of_manager(&url)));
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

fn url_of_manager(url: &str) -> Result<String, String> {
    let parsed = url::Url::parse(url)
        .map_err(|error| format!("`{url}` is no URL ({error}); write https://host:8443"))?;
    match parsed.scheme() {
        "https" if parsed.has_host() => Ok(url.to_owned()),
        "http" => Err(format!(
            "`{url}` is plain HTTP: peers call the manager's peer port over TLS; write https://host:8443"
        )),
        _ => Err(format!("`{url}` is no https URL; write https://host:8443")),
    }
}

/// Without a token a peer can start that has joined before; whether it has is found out when it starts.
fn joining(top: &Section<'_>, data_dir: Option<&Path>) -> Option<Joining> {
    let file = top.path("join_token_file");
    let (key, text) = match (top.given_secret("join_token"), file) {
        (Some(itself), _) => ("join_token", itself),
        (None, None) => return Some(Joining::Token(None)),
        // Once used, the file may go.
        (None, Some(file)) if !file.exists() && data_dir.is_some_and(crate::membership::is_in) => {
            return Some(Joining::Token(None));
        }
        (None, Some(file)) => ("join_token_file", top.readable("join_token_file", &file)?),
    };
    let token = top.check(key, text.parse::<JoinToken>())?;
    Some(Joining::Token(Some(token)))
}

fn refuse_former(top: &Section<'_>) {
    const JOIN: &str = "is from before join tokens: make one with `stoker token create --scope node` (or seed) and give \
         --join-token-file, or join_token_file in the configuration file";
    const CERTIFICATES: &str = "is not needed any more, remove it: peers and the manager show certificates of the manager's \
         own authority, which the join token names";
    top.refuse_former("token_file", JOIN);
    for key in ["manager_ca_file", "tls_cert", "tls_key"] {
        top.refuse_former(key, CERTIFICATES);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::Arguments;

    fn flags(given: &[&str]) -> PeerFlags {
        Arguments::parse_from([&["stoker-peer"], given].concat()).flags
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("peer.toml");
        std::fs::write(
            &file,
            "manager = \"manager:8080\"\ncluster = \"a/b\"\njoin_token_file = \"/nowhere/t\"\ntoken_file = \"t\"\nyes_kept = \"soon\"\nyes_kept_on_error = \"later\"\nunproven_ranges = \"fast\"\ntls_cert = \"cert.pem\"\n[limits]\nincoming = \"fast\"\n[registry.\"no name\"]\nca_file = \"/nowhere/ca.pem\"\n",
        )
        .expect("written");
        let Err(faults) = PeerConfig::read(flags(&["--config", file.to_str().expect("text")])) else {
            panic!("a configuration full of faults was taken");
        };
        let told = faults.to_string();
        for key in [
            "data_dir: ",
            "manager: ",
            "token_file: ",
            "cluster: ",
            "join_token_file: ",
            "yes_kept: ",
            "tls_cert: ",
            "yes_kept_on_error: ",
            "unproven_ranges: ",
            "limits.incoming: ",
            "registry.\"no name\"",
        ] {
            assert!(told.contains(key), "{key} is missing in {told}");
        }
    }

    #[test]
    fn a_manager_is_never_called_over_plain_http() {
        let refused = url_of_manager("http://manager:8080").expect_err("refused");
        assert!(refused.contains("https://host:8443"), "{refused}");
        assert!(url_of_manager("https://manager:8443").is_ok());
    }

    #[test]
    fn a_flag_wins_over_the_file() {
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
