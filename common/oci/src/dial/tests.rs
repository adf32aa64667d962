use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

fn settings(name: &str) -> RegistrySettings {
    RegistrySettings::new(name.parse().expect("a registry"))
}

async fn is_allowed(dial: &Dial, text: &str) -> bool {
    dial.check(&url(text)).await.is_ok()
}

#[tokio::test]
async fn special_addresses_are_not_dialled() {
    let dial = Dial::guarded(Vec::new());
    for inside in [
        "http://127.0.0.1:5000/v2/",
        "http://127.8.9.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0.0.0.0:5000/",
        "http://0.1.2.3/",
        "http://169.254.169.254/latest/meta-data/",
        "http://169.254.0.7/",
        "http://100.100.100.200/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::1]:5000/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[ff02::1]/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::169.254.169.254]/",
        // Metadata and similar services of Azure, Oracle, AWS, Google, Scaleway, Linode.
        "http://168.63.129.16/",
        "http://192.0.0.192/opc/v1/",
        "http://[fd00:ec2::23]/v1/credentials",
        "http://[fd20:ce::254]/",
        "http://[fd00:c1::a9fe:a9fe]/",
        "http://[fd00:42::42]/",
        "http://[fd00:a9fe:a9fe::1]/",
        // 6to4, Teredo (server, client), ISATAP, and NAT64 with a local prefix.
        "http://[2002:7f00:1::]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[2002:a83f:8110::1]/",
        "http://[2001:0:7f00:1::1]/",
        "http://[2001:0:5db8:d70e:0:0:5601:5601]/",
        "http://[2001:db8::5efe:169.254.169.254]/",
        "http://[2001:db8::200:5efe:127.0.0.1]/",
        "http://[::ffff:0:127.0.0.1]/",
        "http://[64:ff9b:1::169.254.169.254]/",
        "http://[64:ff9b:1:a9fe:a9:fe00::]/",
        "http://[64:ff9b:1:a9:fe:a9fe::]/",
        "http://[64:ff9b:1:0:a9:fea9:fe00:0]/",
    ] {
        assert!(!is_allowed(&dial, inside).await, "{inside}");
    }
}

#[tokio::test]
async fn other_machines_are_dialled() {
    let dial = Dial::guarded(Vec::new());
    for outside in [
        "https://10.0.0.7/",
        "https://172.16.3.4:5000/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://93.184.215.14/",
        "https://[fd00::1]/",
        "https://[2606:2800:21f::1]/",
        "https://registry.example.com/",
        "https://168.63.129.17/",
        "https://[2002:5db8:d70e::1]/",
        "https://[64:ff9b::93.184.215.14]/",
        "https://[64:ff9b:1::93.184.215.14]/",
        "https://[2001:db8::5efe:93.184.215.14]/",
    ] {
        assert!(is_allowed(&dial, outside).await, "{outside}");
    }
}

#[tokio::test]
async fn a_public_registry_leads_to_no_private_network() {
    let dial = Dial::guarded(Vec::new()).outside_only();
    for inside in [
        "http://10.0.0.7/",
        "http://172.31.3.4:5000/",
        "http://192.168.1.1/",
        "http://100.127.0.1/",
        "http://[fd12::1]/",
        "http://[fec0::1]/",
        "http://[::ffff:10.0.0.7]/",
        "http://[64:ff9b::10.0.0.7]/",
        "http://[64:ff9b:1::10.0.0.7]/",
        "http://[2002:a00:7::]/",
        "http://127.0.0.1/",
        "http://169.254.169.254/",
    ] {
        assert!(!is_allowed(&dial, inside).await, "{inside}");
    }
    for outside in [
        "http://93.184.215.14/",
        "http://[2606:2800:21f::1]/",
        "http://100.128.0.1/",
    ] {
        assert!(is_allowed(&dial, outside).await, "{outside}");
    }
}

#[tokio::test]
async fn a_listed_private_address_is_allowed_as_a_target() {
    let dial = Dial::guarded(vec!["10.1.0.0/16".parse().expect("a range")]);
    dial.list_hosts(&[settings("10.2.0.1:9000"), settings("storage.lan")]);
    let dial = dial.outside_only();
    for listed in [
        "http://10.1.2.3/",
        "http://10.2.0.1:9000/",
        "https://storage.lan/",
    ] {
        assert!(is_allowed(&dial, listed).await, "{listed}");
    }
    assert!(!is_allowed(&dial, "http://10.2.0.1:9001/").await);
    assert!(!is_allowed(&dial, "http://10.3.0.1/").await);
}

#[test]
fn a_target_name_is_judged_by_its_addresses() {
    let dial = Dial::guarded(Vec::new());
    dial.list_hosts(&[settings("storage.lan")]);
    let found = ["10.0.0.7:0", "93.184.215.14:0"].map(|one| one.parse().expect("an address"));
    let outside = dial.for_client(&TlsOptions {
        outside_only: true,
        ..TlsOptions::default()
    });
    assert_eq!(
        outside.sieve("both.example.com", found.to_vec()).expect("one"),
        [found[1]]
    );
    let refused = outside
        .sieve("evil.example.com", vec![found[0]])
        .expect_err("inside");
    assert_eq!(refused.address, found[0].ip());
    assert!(outside.sieve("storage.lan", vec![found[0]]).is_ok());
    let anywhere = dial.for_client(&TlsOptions::default());
    assert!(anywhere.sieve("harbor.lan", vec![found[0]]).is_ok());
}

#[tokio::test]
async fn listed_addresses_are_dialled_and_no_others() {
    let ranges = ["127.0.0.0/16", "::1"].map(|range| range.parse().expect("a range"));
    let dial = Dial::guarded(ranges.to_vec());
    assert!(is_allowed(&dial, "http://127.0.3.4:5000/").await);
    assert!(is_allowed(&dial, "http://[::ffff:127.0.0.1]/").await);
    assert!(is_allowed(&dial, "http://[::1]:1/").await);
    assert!(!is_allowed(&dial, "http://127.1.0.1/").await);
    assert!(!is_allowed(&dial, "http://169.254.169.254/").await);
}

#[tokio::test]
async fn a_configured_registry_is_listed_with_its_port_only() {
    let dial = Dial::guarded(Vec::new());
    dial.list_hosts(&[settings("127.0.0.1:5000"), settings("localhost:5001")]);
    assert!(is_allowed(&dial, "http://127.0.0.1:5000/v2/").await);
    assert!(!is_allowed(&dial, "http://127.0.0.1:6379/").await);
    assert!(is_allowed(&dial, "http://localhost:5001/").await);
    assert!(!is_allowed(&dial, "http://localhost:6379/").await);
}

#[tokio::test]
async fn aliases_and_token_realms_are_listed_too() {
    let dial = Dial::guarded(Vec::new());
    let mut one = settings("registry.lan");
    one.aliases = vec!["127.0.0.2".parse().expect("a registry")];
    one.token_realms = vec!["127.0.0.3".to_owned(), "127.0.0.4:99".to_owned()];
    dial.list_hosts(&[one]);
    for listed in [
        "https://127.0.0.2/",
        "http://127.0.0.2/",
        "http://127.0.0.3:77/token",
        "http://127.0.0.4:99/",
    ] {
        assert!(is_allowed(&dial, listed).await, "{listed}");
    }
    for not_listed in ["http://127.0.0.2:5000/", "http://127.0.0.4/"] {
        assert!(!is_allowed(&dial, not_listed).await, "{not_listed}");
    }
}

#[tokio::test]
async fn a_name_is_judged_by_its_addresses() {
    let dial = Dial::guarded(Vec::new());
    let inside = dial.resolve("localhost".parse().expect("a name")).await;
    let refused = inside.err().expect("refused");
    assert!(refused.downcast_ref::<NotAllowed>().is_some(), "{refused}");
    dial.list_hosts(&[settings("localhost:5000")]);
    let listed = dial.resolve("localhost".parse().expect("a name")).await;
    assert!(listed.expect("resolved").next().is_some());
}

#[test]
fn a_name_with_addresses_inside_and_outside_is_dialled_outside() {
    let dial = Dial::guarded(Vec::new());
    let found = ["127.0.0.1:0", "10.0.0.7:0"].map(|one| one.parse().expect("an address"));
    let allowed = dial.sieve("both.example.com", found.to_vec()).expect("allowed");
    assert_eq!(allowed, [found[1]]);
}

#[test]
fn a_refusal_says_what_to_write() {
    let dial = Dial::guarded(Vec::new());
    let address = "169.254.169.254".parse().expect("an address");
    let refused = dial
        .allow(address, &url("http://meta.example.com:81/x?secret"))
        .expect_err("refused");
    insta::assert_snapshot!(
        refused,
        @"meta.example.com:81 is at 169.254.169.254, an address of a cloud's metadata service, which must be listed to be dialled"
    );
    insta::assert_snapshot!(
        refused.what_to_do(),
        @r#"to allow it, add [registry."meta.example.com:81"], or addresses = ["169.254.169.254"] in [dial], to the configuration of the manager (peers receive it) or of this peer"#
    );
}

#[test]
fn a_range_is_read_or_refused() {
    for good in ["127.0.0.0/8", "::1/128", "fe80::/10", "0.0.0.0/0"] {
        assert_eq!(good.parse::<AddressRange>().expect("a range").to_string(), good);
    }
    for bad in [
        "",
        "localhost",
        "127.0.0.1/33",
        "::1/129",
        "1.2.3.4/x",
        "1.2.3.4/",
    ] {
        assert!(bad.parse::<AddressRange>().is_err(), "{bad}");
    }
}

#[tokio::test]
async fn an_open_rule_refuses_nothing() {
    assert!(is_allowed(&Dial::open(), "http://127.0.0.1:5000/").await);
}
