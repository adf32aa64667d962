use std::path::{Path, PathBuf};

use preheat::ClusterLimits;

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

fn flags(config: &Path) -> ManagerFlags {
    ManagerFlags {
        config: Some(config.to_owned()),
        ..ManagerFlags::default()
    }
}

fn addresses() -> Addresses {
    Addresses {
        listen: None,
        peer_listen: None,
        admin: None,
        front: None,
        share: None,
        database_url: None,
        listen_default: "0.0.0.0:8080",
        peer_listen_default: "0.0.0.0:8443",
        admin_default: "127.0.0.1:40902",
        is_laptop: false,
        service: "stoker-manager",
    }
}

fn faults_of(text: &str) -> String {
    let file = file(text);
    ManagerConfig::read(flags(&file.path), addresses())
        .expect_err("a faulty configuration")
        .to_string()
}

#[test]
fn every_fault_of_a_configuration_is_told_at_once_with_its_key() {
    let told = faults_of(
        r#"
        listen = "8080"
        auth = "non"
        public_url = "stoker.example.com"
        database_url = "oracle://x:s3cret@y"
        tls_cert = "/nowhere/cert.pem"
        lissen = "0.0.0.0:80"
        [limits]
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
    let wanted = [
        "data_dir: is needed: give --data-dir DIR, or data_dir in the configuration file",
        "listen: `8080` is no host:port; write for example 0.0.0.0:8080",
        "auth: must be \"tokens\"",
        "public_url: `stoker.example.com` is no http or https URL",
        "database_url: must begin with sqlite:, postgres:// or mysql://",
        "tls_cert: /nowhere/cert.pem: ",
        "tls_key: is needed beside tls_cert",
        "lissen: unknown key; did you mean `listen`?",
        "limits.preheat_limit: `soon`",
        "limits.absent_limt: unknown key; did you mean `absent_limit`?",
        "telemetry.otlp_protocol: must be \"grpc\" or \"http/protobuf\"",
        "telemetry.sample_ratio: must be a number from 0 to 1",
        "telemetry.jaeger_ui: `jaeger:16686` is no http or https URL; write for example http://jaeger:16686",
        "registry.\"registry.lan:5000\".plain-http: unknown key; did you mean `plain_http`?",
        "registry.\"registry.lan:5000\".insecure_skip_verify: must be true or false",
        "registry.\"registry.lan:5000\".password: is needed beside username",
        "registry.\"no name\": ",
        "cluster.\"edge-7\".platform: unknown key; did you mean `platforms`?",
        "cluster.\"edge-7\".platforms: \"linux\" is not a platform",
        "cluster.\"edge-7\".tolerated_absent: must be a whole number, 0 or more",
        "cluster.\"edge-7\".peer_incoming: `fast` is not a rate: write for example 100MiB/s",
        "cluster.\"edge-7\".origin.\"no name\": ",
        "cluster.\"edge-7\".origin.\"no name\".bandwidth: `1B/s` is too little",
    ];
    for fault in wanted {
        assert!(
            told.contains(&format!("\n  {fault}")),
            "`{fault}` is missing in:\n{told}"
        );
    }
    assert_eq!(told.lines().count(), wanted.len() + 1, "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_what_is_built_in() {
    let file = file(
        r#"
        data_dir = "/from/file"
        listen = "127.0.0.1:1"
        admin = "127.0.0.1:2"
        [limits]
        absent_limit = "10m"
        session_lease = 20
        "#,
    );
    let given = Addresses {
        listen: Some("127.0.0.1:3".to_owned()),
        ..addresses()
    };
    let config = ManagerConfig::read(flags(&file.path), given).expect("a good configuration");
    assert_eq!(
        (config.listen.as_str(), config.admin.as_str()),
        ("127.0.0.1:3", "127.0.0.1:2")
    );
    assert_eq!(config.beside.front, "127.0.0.1:65001");
    assert_eq!(config.database_url, "sqlite:/from/file/stoker.db");
    assert_eq!(config.limits.absent_limit, Some(Duration::from_secs(600)));
    assert_eq!(config.limits.session_lease, Some(Duration::from_secs(20)));
    assert_eq!(config.limits.preheat_limit, None);
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
    let config = ManagerConfig::read(flags(&file.path), addresses()).expect("a good configuration");
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
    let flags = ManagerFlags {
        jaeger_ui: Some("https://other.lan".to_owned()),
        ..flags(&file.path)
    };
    let config = ManagerConfig::read(flags, addresses()).expect("a good configuration");
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
    let config = ManagerConfig::read(flags(&file.path), addresses()).expect("a good configuration");
    let registry = config.registries.0.first().expect("one registry");
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
    let config = ManagerConfig::read(flags(&file.path), addresses()).expect("a good configuration");
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
    let config = ManagerConfig::read(flags(&file.path), addresses()).expect("a good configuration");
    let settings = &config.registries.0.first().expect("one registry").settings;
    let oci::Credential::Basic { username, password } = &settings.credential else {
        panic!("no credential was read");
    };
    assert_eq!((username.as_str(), password.expose()), ("ci", "from-a-file"));
    drop(secret.folder);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = flags(Path::new("/nowhere/stoker.toml"));
    let told = ManagerConfig::read(missing, addresses())
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
    let config = ManagerConfig::read(flags(&file.path), addresses()).expect("a good configuration");
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
        "data_dir = \"d\"\n[limits]\nkeep_preheats = \"7d\"\nspot_check_every = \"0\"\n[webhook.\"ci\"]\nurl = \"https://ci.lan/hook\"\n\
         secret_file = {:?}\nevents = [\"ended\"]\n",
        secret.path.display().to_string()
    );
    let file = file(&text);
    let config = ManagerConfig::read(flags(&file.path), addresses()).expect("a good configuration");
    let hook = config.webhooks.first().expect("one webhook");
    assert_eq!(
        (hook.name.as_str(), hook.url.expose()),
        ("ci", "https://ci.lan/hook")
    );
    assert_eq!(hook.secret.expose(), "a-long-enough-secret");
    assert_eq!(hook.events, [preheat::WebhookEvent::Ended]);
    let keep = config.limits.keep_preheats.expect("a time");
    assert_eq!(keep.as_secs(), 7 * 24 * 3_600);
    assert!(
        config
            .limits
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
    let file = file(&text);
    let told = ManagerConfig::read(flags(&file.path), addresses())
        .expect_err("faults")
        .to_string();
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
        let given = Addresses {
            is_laptop,
            ..addresses()
        };
        let config = ManagerConfig::read(flags(&file.path), given).expect("a configuration");
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
