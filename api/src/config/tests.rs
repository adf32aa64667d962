use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

fn faults_of(text: &str) -> String {
    all_faults(text).to_string()
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
    let found: Vec<_> = faults
        .iter()
        .map(|fault| (fault.key.as_str(), fault.kind))
        .collect();
    assert_eq!(found, expected);
    let told = faults.to_string();
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_what_is_built_in() {
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
fn preheats_are_traced_whatever_the_ratio_and_polls_are_not() {
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
fn a_cluster_that_is_not_described_has_what_is_built_in() {
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
fn a_password_may_stand_in_a_file_of_its_own() {
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
fn a_file_that_is_not_there_is_named() {
    let missing = Path::new("/nowhere/stoker.toml");
    let told = read(missing, Given::default(), &Program::MANAGER)
        .expect_err("no such file")
        .to_string();
    assert!(told.contains("/nowhere/stoker.toml"), "{told}");
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
    let told = format!("{:?}", config.triggers);
    let (first, second) = (told.find("Percent(50)"), told.find("SingleSeedPeer"));
    assert!(first.is_some() && first < second, "{told}");
}

#[test]
fn every_fault_of_a_trigger_is_told_with_its_place() {
    let told = faults_of(
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
    for place in [
        "trigger[1].registry: is needed",
        "trigger[1].repository",
        "trigger[1].scope",
        "trigger[2].count: must be 1 or more",
        "trigger[2].percent: must be from 1 to 100",
        "trigger[2].platfroms: unknown key; did you mean `platforms`",
        "trigger[3].registry",
        "trigger[3].count: only one of",
        "trigger[3].scope: count, percent and addresses narrow",
        "trigger[3].priority",
    ] {
        assert!(told.contains(place), "{place} is not told: {told}");
    }
    assert!(faults_of("data_dir = \"/x\"\ntrigger = 7").contains("trigger: must be tables"));
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
fn every_fault_of_a_webhook_is_told_and_its_address_is_not() {
    let secret = file("short");
    let text = format!(
        "data_dir = \"d\"\n[webhook.\"a\"]\nurl = \"ftp://token-in-it.lan\"\nsecret_file = {:?}\nevents = [\"finished\"]\n\
         [webhook.\"b\"]\nsecret = \"inline\"\n",
        secret.path.display().to_string()
    );
    let told = faults_of(&text);
    for part in [
        "webhook.\"a\".url: is no http or https URL",
        "fewer than 16 letters",
        "\"finished\" is no event",
        "webhook.\"b\".url: is needed",
        "webhook.\"b\".secret_file: is needed",
        "webhook.\"b\".secret: unknown key",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("token-in-it"), "{told}");
    drop(secret.folder);
}

#[test]
fn loopback_is_listed_for_a_laptop_only_and_only_unless_the_file_speaks() {
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
    let said = read(
        "[dial]\naddresses = []\nopen_by_preheat = false\nallow = [\"*.x.lan\"]",
        true,
    );
    assert!(said.addresses.is_empty() && !said.open_by_preheat);
    assert_eq!(said.allow, ["*.x.lan"]);
    let told = faults_of("data_dir = \"d\"\n[dial]\naddresses = [\"localhost\"]\nalow = []");
    assert!(
        told.contains("dial.addresses: ") && told.contains("did you mean `allow`?"),
        "{told}"
    );
}

/// All keys that a reading knows where one registry is described.
fn known_keys(read: impl FnOnce(&Section<'_>)) -> BTreeSet<String> {
    let file = SettingsFile::with("s.toml", "[registry.\"r.lan\"]\n");
    let reader = Reader::new(&file, Given::default()).expect("TOML");
    read(&reader.top());
    reader.known_keys()
}

#[test]
fn up_can_set_everything_that_a_peer_can() {
    // `up` decides these itself: it knows its manager, joins without a token, and its peer is a seed.
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
fn a_time_below_limits_is_still_understood_with_a_warning() {
    let file = file("data_dir = \"d\"\n[limits]\nabsent_limit = \"10m\"\nincoming = \"1MiB/s\"\n");
    let read = ManagerConfig::read(Some(&file.path), Given::default(), &Program::UP).expect("understood");
    assert_eq!(read.value.timeouts.absent_limit, Some(Duration::from_secs(600)));
    assert_eq!(read.warnings.len(), 1);
    assert!(read.warnings[0].contains("[timeouts]"), "{:?}", read.warnings);
}

/// The samples in the pages that people read, each with its page.
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

/// Of containerd and podman, not ours.
fn is_of_a_runtime(sample: &str) -> bool {
    sample.contains("[host.") || sample.contains("[[registry")
}

/// A sample names files that are not on this machine, and leaves out what flags give.
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
fn every_sample_of_the_pages_is_read_without_a_fault() {
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
        let told = format!("{of_manager:?}");
        assert!(
            is_good(of_manager) || is_good(of_peer),
            "{}: {told}\n{sample}",
            page.display()
        );
    }
}
