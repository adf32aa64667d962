use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::triggers::HookKind;
use preheat::ClusterLimits;
use settings::FaultKind;

use super::*;

struct File {
    folder: tempfile::TempDir,
    path: PathBuf,
}

fn file(text: &str) -> File {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stoker.toml");
    std::fs::write(&path, text).expect("written");
    File { folder, path }
}

fn read(path: &Path, given: Given, program: &Program) -> Result<ManagerConfig, Faults> {
    ManagerConfig::read(Some(path), given, program).map(|read| read.value)
}

fn of_manager(file: &File) -> ManagerConfig {
    read(&file.path, Given::default(), &Program::MANAGER).expect("a good configuration")
}

fn all_faults(text: &str) -> Faults {
    let file = file(text);
    read(&file.path, Given::default(), &Program::MANAGER).expect_err("a faulty configuration")
}

fn kinds_of(faults: &Faults) -> Vec<(&str, FaultKind)> {
    faults
        .iter()
        .map(|fault| (fault.key.as_str(), fault.kind))
        .collect()
}

#[test]
fn every_fault_of_a_configuration_is_reported_at_once_with_its_key() {
    let faults = all_faults(
        r#"
        listen = "8080"
        auth = "non"
        public_url = "stoker.example.com"
        database_url = "oracle://x:s3cret@y"
        tls_cert = "/nowhere/cert.pem"
        lissen = "0.0.0.0:80"
        [timeouts]
        preheat_limit = "soon"
        absent_limt = "5m"
        [telemetry]
        otlp_protocol = "carrier pigeon"
        sample_ratio = 10
        jaeger_ui = "jaeger:16686"
        [registry."registry.lan:5000"]
        plain-http = true
        insecure_skip_verify = "yes"
        username = "u"
        [registry."no name"]
        [cluster."edge-7"]
        platform = ["linux/amd64"]
        platforms = ["linux"]
        tolerated_absent = -1
        peer_incoming = "fast"
        [cluster."edge-7".origin."no name"]
        bandwidth = "1B/s"
        "#,
    );
    let expected = [
        ("data_dir", FaultKind::NotGiven),
        ("tls_key", FaultKind::Incomplete),
        ("listen", FaultKind::BadValue),
        ("auth", FaultKind::BadValue),
        ("public_url", FaultKind::BadValue),
        ("database_url", FaultKind::BadValue),
        ("tls_cert", FaultKind::UnreadableFile),
        ("lissen", FaultKind::UnknownKey),
        ("timeouts.preheat_limit", FaultKind::BadValue),
        ("timeouts.absent_limt", FaultKind::UnknownKey),
        ("telemetry.otlp_protocol", FaultKind::BadValue),
        ("telemetry.sample_ratio", FaultKind::BadValue),
        ("telemetry.jaeger_ui", FaultKind::BadValue),
        ("registry.\"registry.lan:5000\".password", FaultKind::Incomplete),
        ("registry.\"registry.lan:5000\".plain-http", FaultKind::UnknownKey),
        (
            "registry.\"registry.lan:5000\".insecure_skip_verify",
            FaultKind::WrongType,
        ),
        ("registry.\"no name\"", FaultKind::BadValue),
        ("cluster.\"edge-7\".platform", FaultKind::UnknownKey),
        ("cluster.\"edge-7\".platforms", FaultKind::BadValue),
        ("cluster.\"edge-7\".tolerated_absent", FaultKind::WrongType),
        ("cluster.\"edge-7\".peer_incoming", FaultKind::BadValue),
        ("cluster.\"edge-7\".origin.\"no name\"", FaultKind::BadValue),
        (
            "cluster.\"edge-7\".origin.\"no name\".bandwidth",
            FaultKind::BadValue,
        ),
    ];
    assert_eq!(kinds_of(&faults), expected);
    let text = faults.to_string();
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn a_flag_overrides_the_file_and_the_file_overrides_the_default() {
    let file = file(
        r#"
        data_dir = "/from/file"
        listen = "127.0.0.1:1"
        admin = "127.0.0.1:2"
        [timeouts]
        absent_limit = "10m"
        session_lease = 20
        "#,
    );
    let given = Given::default().flag("listen", "127.0.0.1:3");
    let config = read(&file.path, given, &Program::MANAGER).expect("a good configuration");
    assert_eq!(
        (config.listen.as_str(), config.admin.as_str()),
        ("127.0.0.1:3", "127.0.0.1:2")
    );
    assert_eq!(config.beside.settings.front, "127.0.0.1:65001");
    assert_eq!(config.database_url, "sqlite:/from/file/stoker.db");
    assert_eq!(config.timeouts.absent_limit, Some(Duration::from_secs(600)));
    assert_eq!(config.timeouts.session_lease, Some(Duration::from_secs(20)));
    assert_eq!(config.timeouts.preheat_limit, None);
    assert_eq!(config.auth, AuthMode::Tokens);
}

#[test]
fn preheats_are_always_traced_and_polls_never() {
    let file = file(
        r#"
        data_dir = "d"
        [telemetry]
        sample_ratio = 0.1
        jaeger_ui = "http://jaeger.lan:16686"
        "#,
    );
    let config = of_manager(&file);
    let telemetry = &config.telemetry;
    assert_eq!(telemetry.sample_ratio, Some(0.1));
    assert!(telemetry.trace_always.contains(&"POST /oapi/v1/jobs".to_owned()));
    let polls = [
        "POST /peer/v1/sessions/{session}/work",
        "GET /oapi/v1/jobs/{id}",
        "GET /metrics",
    ];
    for poll in polls {
        assert!(telemetry.trace_never.iter().any(|never| never == poll), "{poll}");
    }
    let of_file = config.jaeger_ui.expect("an address");
    assert_eq!(of_file.as_str(), "http://jaeger.lan:16686/");
    let given = Given::default().flag("telemetry.jaeger_ui", "https://other.lan");
    let config = read(&file.path, given, &Program::MANAGER).expect("a good configuration");
    assert_eq!(
        config.jaeger_ui.expect("an address").as_str(),
        "https://other.lan/"
    );
}

#[test]
fn a_registry_is_described_in_full_and_its_password_is_not_printed() {
    let file = file(
        r#"
        data_dir = "d"
        auth = "none"
        [registry."registry.lan:5000"]
        plain_http = true
        username = "ci"
        password = "s3cret"
        aliases = ["mirror.lan:5000"]
        token_realms = ["auth.lan"]
        offline_access = "node_credential"
        "#,
    );
    let config = of_manager(&file);
    let registry = config.registries.first().expect("one registry");
    assert_eq!(registry.settings.name.as_str(), "registry.lan:5000");
    assert!(registry.settings.plain_http);
    assert_eq!(registry.settings.aliases.len(), 1);
    assert_eq!(registry.offline_access, wire::OfflineAccess::NodeCredential);
    let printed = format!("{config:?} {:?}", registry.settings);
    assert!(!printed.contains("s3cret"), "{printed}");
    assert_eq!(config.auth, AuthMode::None);
}

#[test]
fn a_cluster_has_defaults_for_what_is_not_given() {
    let file = file(
        r#"
        data_dir = "d"
        [cluster."edge-7"]
        platforms = ["linux/amd64", "linux/arm64/v8"]
        [cluster.core]
        tolerated_absent = 2
        peer_outgoing = "200MiB/s"
        [cluster.core.origin."registry.lan:5000"]
        bandwidth = "50MB/s"
        "#,
    );
    let config = of_manager(&file);
    let (edge, core) = (&config.clusters["edge-7"], &config.clusters["core"]);
    assert_eq!((edge.platforms.len(), edge.tolerated_absent), (2, 0));
    assert_eq!((core.platforms.len(), core.tolerated_absent), (0, 2));
    assert_eq!(config.clusters.len(), 2);
    assert_eq!(edge.limits, ClusterLimits::default());
    let registry = "registry.lan:5000".parse().expect("a name");
    assert_eq!(core.limits.origins[&registry].bytes_per_second(), 50_000_000);
    assert_eq!(
        core.limits.peer_outgoing.map(wire::Rate::bytes_per_second),
        Some(200 << 20)
    );
}

#[test]
fn a_password_may_be_in_its_own_file() {
    let secret = file("from-a-file\n");
    let text = format!(
        "data_dir = \"d\"\n[registry.\"r.lan\"]\nusername = \"ci\"\npassword_file = {:?}\n",
        secret.path.display().to_string()
    );
    let file = file(&text);
    let config = of_manager(&file);
    let settings = &config.registries.first().expect("one registry").settings;
    let oci::Credential::Basic { username, password } = &settings.credential else {
        panic!("no credential was read");
    };
    assert_eq!((username.as_str(), password.expose()), ("ci", "from-a-file"));
    drop(secret.folder);
}

#[test]
fn a_missing_file_is_a_fault_with_its_path() {
    let missing = Path::new("/nowhere/stoker.toml");
    let faults = read(missing, Given::default(), &Program::MANAGER).expect_err("no such file");
    assert!(faults.to_string().contains("/nowhere/stoker.toml"), "{faults}");
}

#[test]
fn triggers_are_read_in_their_order() {
    let file = file(
        r#"
        data_dir = "/var/lib/stoker"
        [[trigger]]
        registry = "harbor.example.com"
        repository = "team/**"
        tag = "v*"
        scope = "all_peers"
        percent = 50
        clusters = ["north"]
        platforms = ["linux/amd64"]
        priority = "high"
        referrers = true
        [[trigger]]
        registry = "*"
        "#,
    );
    let config = of_manager(&file);
    let rules = format!("{:?}", config.triggers);
    let (first, second) = (rules.find("Percent(50)"), rules.find("SingleSeedPeer"));
    assert!(first.is_some() && first < second, "{rules}");
}

#[test]
fn every_fault_of_a_trigger_is_reported_with_its_key() {
    let faults = all_faults(
        r#"
        data_dir = "/var/lib/stoker"
        [[trigger]]
        repository = "a b"
        scope = "everywhere"
        [[trigger]]
        registry = "h"
        count = 0
        percent = 101
        platfroms = ["linux/amd64"]
        [[trigger]]
        registry = 7
        count = 2
        addresses = ["10.0.0.1"]
        priority = "urgent"
        "#,
    );
    for expected in [
        ("trigger[1].registry", FaultKind::Incomplete),
        ("trigger[1].repository", FaultKind::BadValue),
        ("trigger[1].scope", FaultKind::BadValue),
        ("trigger[2].count", FaultKind::BadValue),
        ("trigger[2].percent", FaultKind::BadValue),
        ("trigger[2].platfroms", FaultKind::UnknownKey),
        ("trigger[3].registry", FaultKind::WrongType),
        ("trigger[3].count", FaultKind::BadValue),
        ("trigger[3].scope", FaultKind::BadValue),
        ("trigger[3].priority", FaultKind::BadValue),
    ] {
        assert!(kinds_of(&faults).contains(&expected), "{expected:?}: {faults:#?}");
    }
    let not_tables = all_faults("data_dir = \"/x\"\ntrigger = 7");
    assert_eq!(kinds_of(&not_tables), [("trigger", FaultKind::WrongType)]);
}

#[test]
fn webhooks_are_read_with_their_secret_from_a_file() {
    let secret = file("a-long-enough-secret\n");
    let text = format!(
        "data_dir = \"d\"\n[timeouts]\nkeep_preheats = \"7d\"\nspot_check_every = \"0\"\n[webhook.\"ci\"]\nurl = \"https://ci.lan/hook\"\n\
         secret_file = {:?}\nevents = [\"ended\"]\n",
        secret.path.display().to_string()
    );
    let file = file(&text);
    let config = of_manager(&file);
    let hook = config.webhooks.first().expect("one webhook");
    assert_eq!(
        (hook.name.as_str(), hook.url.expose()),
        ("ci", "https://ci.lan/hook")
    );
    assert_eq!(hook.secret.expose(), "a-long-enough-secret");
    assert_eq!(hook.events, [preheat::WebhookEvent::Ended]);
    let keep = config.timeouts.keep_preheats.expect("a time");
    assert_eq!(keep.as_secs(), 7 * 24 * 3_600);
    assert!(
        config
            .timeouts
            .spot_check_every
            .is_some_and(|every| every.is_zero())
    );
    drop(secret.folder);
}

#[test]
fn every_fault_of_a_webhook_is_reported_without_its_url() {
    let secret = file("short");
    let text = format!(
        "data_dir = \"d\"\n[webhook.\"a\"]\nurl = \"ftp://token-in-it.lan\"\nsecret_file = {:?}\nevents = [\"finished\"]\n\
         [webhook.\"b\"]\nsecret = \"inline\"\n",
        secret.path.display().to_string()
    );
    let faults = all_faults(&text);
    for expected in [
        ("webhook.\"a\".url", FaultKind::BadValue),
        ("webhook.\"a\".secret_file", FaultKind::BadValue),
        ("webhook.\"a\".events", FaultKind::BadValue),
        ("webhook.\"b\".url", FaultKind::Incomplete),
        ("webhook.\"b\".secret_file", FaultKind::Incomplete),
        ("webhook.\"b\".secret", FaultKind::UnknownKey),
    ] {
        assert!(kinds_of(&faults).contains(&expected), "{expected:?}: {faults:#?}");
    }
    assert!(!faults.to_string().contains("token-in-it"), "{faults}");
    drop(secret.folder);
}

#[test]
fn hooks_are_read_with_their_secret_from_a_file() {
    let secret = file("a-long-enough-secret\n");
    let text = format!(
        "data_dir = \"d\"\n[hooks.github]\nsecret_file = {:?}\n[hooks.nexus]\nregistry = \"docker.nexus.lan\"\npath = \"a\"\n",
        secret.path.display().to_string()
    );
    let file = file(&text);
    let hooks = of_manager(&file).hooks;
    let github = hooks.get(&HookKind::GitHub).expect("settings");
    let read = github.secret.as_ref().map(wire::SecretText::expose);
    assert_eq!(read, Some("a-long-enough-secret"));
    let nexus = hooks.get(&HookKind::Nexus).expect("settings");
    let registry = nexus.registry.as_ref().map(ToString::to_string);
    assert_eq!(
        (registry.as_deref(), nexus.path.as_deref()),
        (Some("docker.nexus.lan"), Some("a"))
    );
    assert!(!format!("{hooks:?}").contains("long-enough"));
    drop(secret.folder);
}

#[test]
fn every_fault_of_a_hook_is_reported_with_its_key() {
    let secret = file("short");
    let text = format!(
        "data_dir = \"d\"\n[hooks.github]\nsecret_file = {path:?}\nregistry = \"no name\"\npath = \"x\"\n\
         [hooks.quay]\nsecret_file = {path:?}\n[hooks.zot]\nsecret = \"inline\"\n[hooks.bitbucket]\nregistry = \"r.lan\"\n",
        path = secret.path.display().to_string()
    );
    let faults = all_faults(&text);
    for expected in [
        ("hooks.\"github\".secret_file", FaultKind::BadValue),
        ("hooks.\"github\".registry", FaultKind::BadValue),
        ("hooks.\"github\".path", FaultKind::BadValue),
        ("hooks.\"quay\".secret_file", FaultKind::BadValue),
        ("hooks.\"zot\".registry", FaultKind::Incomplete),
        ("hooks.\"zot\".secret", FaultKind::UnknownKey),
        ("hooks.\"bitbucket\"", FaultKind::BadValue),
    ] {
        assert!(kinds_of(&faults).contains(&expected), "{expected:?}: {faults:#?}");
    }
    drop(secret.folder);
}

#[test]
fn loopback_is_the_default_of_dial_addresses_for_up_only() {
    let read = |text: &str, is_laptop: bool| {
        let file = file(&format!("data_dir = \"d\"\n{text}"));
        let program = if is_laptop {
            &Program::UP
        } else {
            &Program::MANAGER
        };
        let config = read(&file.path, Given::default(), program).expect("a configuration");
        config.dial
    };
    assert_eq!(read("", false), oci::DialRules::default());
    assert_eq!(read("", true).addresses.len(), 2);
    let given = read(
        "[dial]\naddresses = []\nopen_by_preheat = false\nallow = [\"*.x.lan\"]",
        true,
    );
    assert!(given.addresses.is_empty() && !given.open_by_preheat);
    assert_eq!(given.allow, ["*.x.lan"]);
    let faults = all_faults("data_dir = \"d\"\n[dial]\naddresses = [\"localhost\"]\nalow = []");
    assert_eq!(
        kinds_of(&faults),
        [
            ("dial.addresses", FaultKind::BadValue),
            ("dial.alow", FaultKind::UnknownKey)
        ]
    );
}

/// All keys that a reader knows, with one configured registry.
fn known_keys(read: impl FnOnce(&Section<'_>)) -> BTreeSet<String> {
    let file = SettingsFile::with("s.toml", "[registry.\"r.lan\"]\n");
    let reader = Reader::new(&file, Given::default()).expect("TOML");
    read(&reader.top());
    reader.known_keys()
}

#[test]
fn up_has_every_key_of_a_peer() {
    // `up` sets these itself: it knows its manager, joins without a token, and its peer is a seed.
    const OF_UP: [&str; 3] = ["manager", "join_token_file", "seed"];
    let of_peer = known_keys(|top| drop(peer::PeerConfig::from_section(top)));
    let of_up = known_keys(|top| drop(ManagerConfig::from_section(top, &Program::UP)));
    assert!(of_up.contains("peer_cluster"));
    let missing: Vec<_> = of_peer
        .difference(&of_up)
        .filter(|key| !OF_UP.contains(&key.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_reference_names_every_key_and_section() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let of_peer = known_keys(|top| drop(peer::PeerConfig::from_section(top)));
    let of_up = known_keys(|top| drop(ManagerConfig::from_section(top, &Program::UP)));
    let first = |key: &String| key.split('.').next().unwrap_or_default().to_owned();
    let names: BTreeSet<String> = of_peer.union(&of_up).map(first).collect();
    let in_page = |name: &&String| page.contains(&format!("`{name}`")) || page.contains(&format!("[{name}"));
    let missing: Vec<_> = names.iter().filter(|name| !in_page(name)).collect();
    assert!(names.len() > 30 && missing.is_empty(), "{missing:?}");
    let times = of_up.iter().filter_map(|key| key.strip_prefix("timeouts."));
    let missing: Vec<_> = times.filter(|key| !page.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_peer_beside_the_manager_is_described_in_full() {
    let file = file(
        r#"
        data_dir = "d"
        zone = "rack-1"
        name = "here"
        advertise = "10.0.0.1"
        peer_cluster = "edge"
        [limits]
        incoming = "100MiB/s"
        [store]
        quota = "1GiB"
        [registry."r.lan"]
        bandwidth = "1MiB/s"
        "#,
    );
    let PeerBeside { settings, cluster } = of_manager(&file).beside;
    assert_eq!(
        (settings.zone.as_deref(), settings.name.as_str()),
        (Some("rack-1"), "here")
    );
    assert_eq!(
        (settings.advertise.as_deref(), cluster.as_str()),
        (Some("10.0.0.1"), "edge")
    );
    assert!(settings.limits.incoming.is_some() && settings.limits.registries.len() == 1);
    assert_eq!(settings.store.quota, Some(1 << 30));
}

#[test]
fn a_time_in_limits_still_works_with_a_warning() {
    let file = file("data_dir = \"d\"\n[limits]\nabsent_limit = \"10m\"\nincoming = \"1MiB/s\"\n");
    let read = ManagerConfig::read(Some(&file.path), Given::default(), &Program::UP).expect("understood");
    assert_eq!(read.value.timeouts.absent_limit, Some(Duration::from_secs(600)));
    assert_eq!(read.warnings.len(), 1);
    assert!(read.warnings[0].contains("[timeouts]"), "{:?}", read.warnings);
}

/// The samples in the documentation, each with its page.
fn samples() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut left = vec![root.join("README.md"), root.join("docs"), root.join("deploy")];
    let mut samples = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            left.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|ending| ending == "md") {
            let page = std::fs::read_to_string(&path).expect("text");
            let blocks = page.split("```toml\n").skip(1);
            let blocks = blocks.filter_map(|rest| rest.split("```").next());
            samples.extend(blocks.map(|block| (path.clone(), block.to_owned())));
        }
    }
    samples
}

/// Whether the sample configures containerd or podman.
fn is_of_a_runtime(sample: &str) -> bool {
    sample.contains("[host.") || sample.contains("[[registry")
}

/// Samples name files that do not exist here, and omit what flags give.
fn is_the_samples_fault(fault: &settings::Fault) -> bool {
    !matches!(fault.kind, FaultKind::UnreadableFile | FaultKind::NotGiven)
}

fn is_good<T>(read: Result<settings::Read<T>, Faults>) -> bool {
    match read {
        Ok(read) => read.warnings.is_empty(),
        Err(faults) => !faults.iter().any(is_the_samples_fault),
    }
}

#[test]
fn every_sample_in_the_documentation_has_no_fault() {
    let samples: Vec<_> = samples()
        .into_iter()
        .filter(|(_, sample)| !is_of_a_runtime(sample))
        .collect();
    assert!(samples.len() > 15, "{} samples", samples.len());
    for (page, sample) in samples {
        let file = file(&sample);
        let of_manager = ManagerConfig::read(Some(&file.path), Given::default(), &Program::UP);
        let of_peer = peer::PeerConfig::read(settings::Flags {
            arguments: peer::PeerArguments {
                config: Some(file.path.clone()),
                ..peer::PeerArguments::default()
            },
            given: Given::default(),
        });
        let faults = format!("{of_manager:?}");
        assert!(
            is_good(of_manager) || is_good(of_peer),
            "{}: {faults}\n{sample}",
            page.display()
        );
    }
}
