//! Readings as programs do them.

use std::time::Duration;

use crate::{Entry, FaultKind, Faults, Given, Read, Reader, Section, SettingsFile, ValueSource};

fn read<T>(text: &str, given: Given, read: impl FnOnce(&Section<'_>) -> T) -> Result<Read<T>, Faults> {
    let file = SettingsFile::with("s.toml", text);
    let reader = Reader::new(&file, given)?;
    let value = read(&reader.top());
    reader.finish(Some(value))
}

fn faults<T>(text: &str, reading: impl FnOnce(&Section<'_>) -> T) -> Vec<String> {
    let Err(faults) = read(text, Given::default(), reading) else {
        panic!("no fault was found in {text}");
    };
    faults.iter().map(ToString::to_string).collect()
}

fn shown(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(ToString::to_string).collect()
}

#[test]
fn every_fault_is_reported_with_its_key_and_place_in_the_order_of_the_file() {
    let text = "\n  lissen = 'x'\nkeep = 'soon'\n[a]\nswitch = 'yes'\n[b.'x']\ncolour = 1\n[[t]]\n[[t]]\nn = -1\n[[t]]\n";
    let told = faults(text, |top| {
        top.text("listen");
        top.needed("data_dir", top.text("data_dir"));
        top.duration("keep");
        top.table("a").switch("switch");
        top.named_tables("b")
            .iter()
            .for_each(|(_, b)| drop(b.text("key")));
        top.tables("t")
            .iter()
            .for_each(|t| assert!(t.count("n").is_none()));
        top.tables("t")[2].incomplete("m", "is needed");
    });
    assert_eq!(
        told,
        [
            "data_dir: is needed: give --data-dir, or data_dir in the configuration file",
            "lissen: unknown key; did you mean `listen`? (s.toml:2:3)",
            "keep: `soon` is no duration; write for example 90s, 10m, 36h or 365d (s.toml:3:8)",
            "a.switch: must be true or false (s.toml:5:10)",
            "b.\"x\".colour: unknown key; known here: key (s.toml:7:1)",
            "t[2].n: must be a whole number, 0 or more (s.toml:10:5)",
            "t[3].m: is needed (s.toml:11:1)",
        ]
    );
}

#[test]
fn a_value_of_a_flag_wins_and_its_fault_names_the_flag() {
    let given = Given::default().flag("listen", "flag").flag("keep", "never");
    let result = read("listen = 'file'\nkeep = 5\nname = 'n'", given, |top| {
        assert_eq!(top.text("listen").as_deref(), Some("flag"));
        assert_eq!(top.text("name").as_deref(), Some("n"));
        top.duration("keep");
    });
    let faults = result.expect_err("a fault");
    let fault = faults.iter().next().expect("one");
    assert_eq!((faults.len(), fault.kind), (1, FaultKind::BadValue));
    assert_eq!(fault.source, Some(ValueSource::Flag("--keep".to_owned())));
}

#[test]
fn values_are_shown_with_their_source_and_secrets_are_not() {
    let given = Given::default().flag("listen", "l").flag("join_token", "s3cret");
    let text = "password = 's3cret'\nkeep = 600\nsize = '1024MiB'\nlist = ['a']\n[t]\nx = true\n";
    let read = read(text, given, |top| {
        top.text("listen");
        top.secret("password");
        top.duration("keep");
        top.duration_or("wait", Duration::from_secs(90));
        top.bytes("size");
        top.list::<String>("list");
        top.given_secret("join_token");
        let table = top.table("t");
        (table.switch_or("x", false), table.switch_or("y", false))
    });
    let read = read.expect("no fault");
    assert_eq!(read.value, (true, false));
    assert_eq!(
        shown(&read.entries),
        [
            "join_token = \"***\"  # flag --join-token",
            "keep = \"10m\"  # s.toml:2:8",
            "list = [\"a\"]  # s.toml:4:8",
            "listen = \"l\"  # flag --listen",
            "password = \"***\"  # s.toml:1:12",
            "size = \"1.0 GiB\"  # s.toml:3:8",
            "t.x = true  # s.toml:6:5",
            "t.y = false  # default",
            "wait = \"1m 30s\"  # default",
        ]
    );
}

#[test]
fn every_error_of_the_syntax_is_reported_and_repeats_nothing() {
    let told = faults("password = s3cret\nok = 1\n[broken\n", |_| ());
    assert!(told.len() >= 2, "{told:?}");
    assert!(told[0].contains("s.toml:1:12"), "{told:?}");
    assert!(!told.concat().contains("s3cret"), "{told:?}");
}

#[test]
fn a_former_key_is_refused_and_never_suggested() {
    let told = faults("token_file = 't'\ntoken_fil = 't'", |top| {
        top.refuse_former("token_file", "use a join token");
    });
    assert_eq!(
        told,
        [
            "token_file: use a join token (s.toml:1:14)",
            "token_fil: unknown key; no key is known here (s.toml:2:1)"
        ]
    );
}

#[test]
fn a_time_that_moved_is_taken_with_a_warning_and_never_twice() {
    let reading = |top: &Section<'_>| top.table("limits").moved_duration("keep", &top.table("timeouts"));
    let old = read("[limits]\nkeep = '7d'", Given::default(), reading).expect("taken");
    assert_eq!(old.value, Some(Duration::from_secs(7 * 86_400)));
    assert_eq!(
        old.warnings,
        ["limits.keep: moved to [timeouts]: move the line there (s.toml:2:8)"]
    );
    assert_eq!(shown(&old.entries), ["timeouts.keep = \"7days\"  # s.toml:2:8"]);
    let new = read("[timeouts]\nkeep = '7d'", Given::default(), reading).expect("taken");
    assert_eq!((new.value, new.warnings.len()), (old.value, 0));
    let both = read(
        "[timeouts]\nkeep = '7d'\n[limits]\nkeep = '8d'",
        Given::default(),
        reading,
    );
    let both = both.expect_err("refused");
    assert_eq!(both.iter().next().expect("one").kind, FaultKind::FormerKey);
}

#[test]
fn a_part_is_read_whatever_the_rest_holds() {
    let file = SettingsFile::with("s.toml", "data_dir = 'd'\nrest = 1");
    let reader = Reader::new(&file, Given::default()).expect("TOML");
    let value = reader.top().text("data_dir");
    assert_eq!(reader.finish_part(value).expect("good").value, "d");
}

#[test]
fn a_section_with_two_readers_has_each_fault_once() {
    let told = faults("limits = 7", |top| {
        top.table("limits").text("one");
        top.table("limits").text("other");
    });
    assert_eq!(told, ["limits: must be a table (s.toml:1:10)"]);
}
