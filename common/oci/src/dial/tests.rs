use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

fn settings(name: &str) -> RegistrySettings {
    RegistrySettings::new(name.parse().expect("a registry"))
}

async fn goes(dial: &Dial, text: &str) -> bool {
    dial.check(&url(text)).await.is_ok()
}

#[tokio::test]
async fn addresses_inside_are_not_dialled() {
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
    ] {
        assert!(!goes(&dial, inside).await, "{inside}");
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
    ] {
        assert!(goes(&dial, outside).await, "{outside}");
    }
}

#[tokio::test]
async fn listed_addresses_are_dialled_and_no_others() {
    let ranges = ["127.0.0.0/16", "::1"].map(|range| range.parse().expect("a range"));
    let dial = Dial::guarded(ranges.to_vec());
    assert!(goes(&dial, "http://127.0.3.4:5000/").await);
    assert!(goes(&dial, "http://[::ffff:127.0.0.1]/").await);
    assert!(goes(&dial, "http://[::1]:1/").await);
    assert!(!goes(&dial, "http://127.1.0.1/").await);
    assert!(!goes(&dial, "http://169.254.169.254/").await);
}

#[tokio::test]
async fn a_configured_registry_is_listed_with_its_port_only() {
    let dial = Dial::guarded(Vec::new());
    dial.list_hosts(&[settings("127.0.0.1:5000"), settings("localhost:5001")]);
    assert!(goes(&dial, "http://127.0.0.1:5000/v2/").await);
    assert!(!goes(&dial, "http://127.0.0.1:6379/").await);
    assert!(goes(&dial, "http://localhost:5001/").await);
    assert!(!goes(&dial, "http://localhost:6379/").await);
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
        assert!(goes(&dial, listed).await, "{listed}");
    }
    for not_listed in ["http://127.0.0.2:5000/", "http://127.0.0.4/"] {
        assert!(!goes(&dial, not_listed).await, "{not_listed}");
    }
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
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
    assert_eq!(
        refused.to_string(),
        "meta.example.com:81 is at 169.254.169.254, where clouds keep what a machine must not tell, which is dialled only if it is listed"
    );
    let advice = refused.what_to_do();
    assert!(advice.contains("[registry.\"meta.example.com:81\"]"), "{advice}");
    assert!(advice.contains("addresses = [\"169.254.169.254\"]"), "{advice}");
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
    assert!(goes(&Dial::open(), "http://127.0.0.1:5000/").await);
}
