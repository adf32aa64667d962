//! The peer's configuration: file, environment and flag, rising in rank; every fault reported at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use oci::{DialRules, RegistryName};
use process::config::{Faults, duration, read_toml};
use process::telemetry::{TelemetryOptions, TelemetrySection};
use serde::Deserialize;
use store::StoreLimits;
use wire::{ClusterName, JoinToken, Rate, Role};

use crate::arguments::Arguments;
use crate::dial_section::DialSection;
use crate::joining::Joining;
use crate::limits::{LimitSettings, LimitsSection};
use crate::neighbours::OwnRegistry;
use crate::registry_section::RegistrySection;
use crate::store_section::StoreSection;

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

/// What the front may do on a client's word.
#[derive(Debug, Clone)]
pub struct FrontLimits {
    /// A registry's yes is taken for as long as this without asking again.
    pub yes_kept: Duration,
    /// … for as long as this when this one question fails, such as by a 429, 5xx or a storage's refusal …
    pub yes_kept_on_error: Duration,
    /// … and for as long as this while the registry's host is unreachable.
    pub yes_kept_offline: Duration,
    /// How long a record that anybody may read an object is taken without asking again.
    pub public_kept: Duration,
    /// Registries that may be dialled beside those that the manager names: `registry.lan:5000`, `*.example.com`.
    pub allow: Vec<String>,
    /// Of an object that somebody reads a range of, the rest is fetched too.
    pub prefetch: bool,
    pub unproven_ranges: UnprovenRanges,
}

/// What readers get of a range while the whole object is not proven here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnprovenRanges {
    /// Its chunks, each checked against the hashes of one seed. Fast; a seed that lies gives wrong bytes.
    #[default]
    VerifiedBySeed,
    /// Nothing before the sha256 of the whole object is proven.
    HeldBack,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no rule for ranges: write \"verified-by-seed\" or \"held-back\"")]
pub struct BadRangeRule(String);

impl FromStr for UnprovenRanges {
    type Err = BadRangeRule;

    fn from_str(text: &str) -> Result<Self, BadRangeRule> {
        match text {
            "verified-by-seed" => Ok(Self::VerifiedBySeed),
            "held-back" => Ok(Self::HeldBack),
            other => Err(BadRangeRule(other.chars().take(40).collect())),
        }
    }
}

impl Default for FrontLimits {
    fn default() -> Self {
        Self {
            yes_kept: Duration::from_secs(600),
            yes_kept_on_error: Duration::from_secs(3_600),
            yes_kept_offline: Duration::from_secs(7 * 86_400),
            public_kept: Duration::from_secs(6 * 3_600),
            allow: Vec::new(),
            prefetch: false,
            unproven_ranges: UnprovenRanges::default(),
        }
    }
}

/// Where a store lies, and where its peer can be asked while it runs.
pub struct StorePlace {
    pub data_dir: PathBuf,
    pub admin: String,
}

impl StorePlace {
    /// Reads no more than it needs: a token and a manager are not.
    pub fn read(arguments: Arguments) -> Result<Self, Faults> {
        let file: PeerFile = read_toml(arguments.config.as_deref())?;
        let mut faults = Faults::default();
        let data_dir = required(&mut faults, "data_dir", arguments.data_dir.or(file.data_dir));
        let admin = admin(arguments.admin, file.admin);
        faults.none()?;
        // Without a fault there is a value for everything.
        let data_dir = data_dir.ok_or_else(Faults::default)?;
        Ok(Self { data_dir, admin })
    }
}

fn admin(argument: Option<String>, file: Option<String>) -> String {
    argument.or(file).unwrap_or_else(|| "127.0.0.1:40901".to_owned())
}

/// The configuration file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PeerFile {
    data_dir: Option<PathBuf>,
    manager: Option<String>,
    join_token_file: Option<PathBuf>,
    /// These three are from before join tokens: told what to use instead.
    manager_ca_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    seed: bool,
    cluster: Option<String>,
    zone: Option<String>,
    name: Option<String>,
    front: Option<String>,
    share: Option<String>,
    advertise: Option<String>,
    admin: Option<String>,
    /// Registries that may be dialled on a client's word.
    allow: Vec<String>,
    yes_kept: Option<String>,
    yes_kept_on_error: Option<String>,
    yes_kept_offline: Option<String>,
    public_kept: Option<String>,
    prefetch: bool,
    unproven_ranges: Option<String>,
    registry: BTreeMap<String, RegistrySection>,
    dial: DialSection,
    store: StoreSection,
    telemetry: TelemetrySection,
    limits: LimitsSection,
}

impl PeerConfig {
    /// Reads the file that the arguments name and merges both.
    pub fn read(arguments: Arguments) -> Result<Self, Faults> {
        let file: PeerFile = read_toml(arguments.config.as_deref())?;
        let mut faults = Faults::default();
        let config = merge(arguments, file, &mut faults);
        faults.none()?;
        // Without a fault there is a value for everything.
        config.ok_or_else(Faults::default)
    }
}

fn merge(arguments: Arguments, file: PeerFile, faults: &mut Faults) -> Option<PeerConfig> {
    refuse_former(faults, &arguments, &file);
    let data_dir = required(faults, "data_dir", arguments.data_dir.or(file.data_dir));
    let manager = required(faults, "manager", arguments.manager.or(file.manager)).and_then(|url| {
        let checked = url_of_manager(&url);
        faults.check("manager", checked)
    });
    let joining = joining(
        faults,
        arguments.join_token,
        arguments.join_token_file.or(file.join_token_file),
        data_dir.as_deref(),
    );
    let cluster = arguments
        .cluster
        .or(file.cluster)
        .and_then(|cluster| faults.check("cluster", cluster.parse()));
    let front_limits = FrontSection {
        allow: file.allow,
        yes_kept: file.yes_kept,
        yes_kept_on_error: file.yes_kept_on_error,
        yes_kept_offline: file.yes_kept_offline,
        public_kept: file.public_kept,
        prefetch: file.prefetch,
        unproven_ranges: file.unproven_ranges,
    };
    let front_limits = front_limits.read(faults);
    let registries = registries(faults, file.registry);
    let limits = file.limits.read(bandwidths(&registries), faults);
    let dial = file.dial.read(faults);
    let store = file.store.read(faults);
    let role = (arguments.seed || file.seed).then_some(Role::Seed);
    let telemetry = telemetry(role.unwrap_or(Role::Node), file.telemetry, faults);
    Some(PeerConfig {
        data_dir: data_dir?,
        manager: manager?,
        joining: joining?,
        role,
        cluster,
        zone: file
            .zone
            .and_then(|zone| faults.check("zone", word_of_zone(zone))),
        name: arguments.name.or(file.name).unwrap_or_else(host_name),
        front: arguments
            .front
            .or(file.front)
            .unwrap_or_else(|| "127.0.0.1:65001".to_owned()),
        share: arguments
            .share
            .or(file.share)
            .unwrap_or_else(|| "0.0.0.0:65002".to_owned()),
        advertise: arguments.advertise.or(file.advertise),
        admin: Some(admin(arguments.admin, file.admin)),
        registries,
        front_limits,
        dial,
        store,
        telemetry,
        limits,
    })
}

fn telemetry(role: Role, section: TelemetrySection, faults: &mut Faults) -> TelemetryOptions {
    let service = match role {
        Role::Seed => "stoker-seed",
        Role::Node => "stoker-peer",
    };
    let mut options = TelemetryOptions::from_environment(service);
    section.add_to(&mut options, faults);
    options.trace_never = crate::share::UNTRACED.map(str::to_owned).to_vec();
    options
}

/// Goes into a header as it is.
fn word_of_zone(zone: String) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._/".contains(letter);
    if (1..=64).contains(&zone.len()) && zone.chars().all(plain) {
        Ok(zone)
    } else {
        Err(format!(
            "`{zone}` is no name of a zone: write up to 64 letters, digits, - . _ or /"
        ))
    }
}

fn required<T>(faults: &mut Faults, key: &str, value: Option<T>) -> Option<T> {
    if value.is_none() {
        let flag = key.replace('_', "-");
        faults.add(
            key,
            format!("is needed: give --{flag}, or {key} in the configuration file"),
        );
    }
    value
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
fn joining(
    faults: &mut Faults,
    itself: Option<String>,
    file: Option<PathBuf>,
    data_dir: Option<&Path>,
) -> Option<Joining> {
    let (key, text) = match (itself, file) {
        (Some(itself), _) => ("STOKER_JOIN_TOKEN", itself),
        (None, None) => return Some(Joining::Token(None)),
        (None, Some(file)) => {
            let has_joined = data_dir.is_some_and(crate::membership::is_in);
            match readable(&file) {
                Ok(text) => ("join_token_file", text),
                // Once used, the file may go.
                Err(_) if has_joined => return Some(Joining::Token(None)),
                Err(fault) => {
                    faults.add("join_token_file", fault);
                    return None;
                }
            }
        }
    };
    let token = faults.check(key, text.parse::<JoinToken>())?;
    Some(Joining::Token(Some(token)))
}

fn refuse_former(faults: &mut Faults, arguments: &Arguments, file: &PeerFile) {
    const JOIN: &str = "is from before join tokens: make one with `stoker token create --scope node` (or seed) and give \
         --join-token-file, or join_token_file in the configuration file";
    const CERTIFICATES: &str = "is not needed any more, remove it: peers and the manager show certificates of the manager's \
         own authority, which the join token names";
    for (key, is_given, advice) in [
        (
            "token_file",
            arguments.token_file.is_some() || file.token_file.is_some(),
            JOIN,
        ),
        ("manager_ca_file", file.manager_ca_file.is_some(), CERTIFICATES),
        ("tls_cert", file.tls_cert.is_some(), CERTIFICATES),
        ("tls_key", file.tls_key.is_some(), CERTIFICATES),
    ] {
        if is_given {
            faults.add(key, advice);
        }
    }
}

/// What the file says of the front.
struct FrontSection {
    allow: Vec<String>,
    yes_kept: Option<String>,
    yes_kept_on_error: Option<String>,
    yes_kept_offline: Option<String>,
    public_kept: Option<String>,
    prefetch: bool,
    unproven_ranges: Option<String>,
}

impl FrontSection {
    fn read(self, faults: &mut Faults) -> FrontLimits {
        let default = FrontLimits::default();
        let mut limit = |key: &str, text: Option<String>, default: Duration| {
            text.and_then(|text| faults.check(key, duration(&text)))
                .unwrap_or(default)
        };
        FrontLimits {
            yes_kept: limit("yes_kept", self.yes_kept, default.yes_kept),
            yes_kept_on_error: limit(
                "yes_kept_on_error",
                self.yes_kept_on_error,
                default.yes_kept_on_error,
            ),
            yes_kept_offline: limit(
                "yes_kept_offline",
                self.yes_kept_offline,
                default.yes_kept_offline,
            ),
            public_kept: limit("public_kept", self.public_kept, default.public_kept),
            allow: self.allow,
            prefetch: self.prefetch,
            unproven_ranges: self
                .unproven_ranges
                .and_then(|rule| faults.check("unproven_ranges", rule.parse()))
                .unwrap_or_default(),
        }
    }
}

fn registries(faults: &mut Faults, sections: BTreeMap<String, RegistrySection>) -> Vec<OwnRegistry> {
    let mut registries = Vec::new();
    for (name, section) in sections {
        match section.read(&name) {
            Ok(registry) => registries.push(registry),
            Err(found) => found.into_iter().for_each(|(key, fault)| faults.add(&key, fault)),
        }
    }
    registries
}

/// What of the registries' own sections limits how fast they are read.
fn bandwidths(registries: &[OwnRegistry]) -> BTreeMap<RegistryName, Rate> {
    let limited = |own: &OwnRegistry| Some((own.settings.name.clone(), own.bandwidth?));
    registries.iter().filter_map(limited).collect()
}

fn readable(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn host_name() -> String {
    hostname::get()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "peer".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn arguments(given: &[&str]) -> Arguments {
        Arguments::parse_from([&["stoker-peer"], given].concat())
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
        let Err(faults) = PeerConfig::read(arguments(&["--config", file.to_str().expect("text")])) else {
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
        let config = PeerConfig::read(arguments(&[
            "--config",
            file.to_str().expect("text"),
            "--name",
            "from-flag",
            "--data-dir",
            "d",
            "--join-token-file",
            token.to_str().expect("text"),
        ]))
        .unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(config.name, "from-flag");
        assert_eq!(config.cluster.expect("given").as_str(), "edge");
        let Joining::Token(Some(token)) = config.joining else {
            panic!("no join token");
        };
        assert_eq!(token.id, "abc");
    }
}
