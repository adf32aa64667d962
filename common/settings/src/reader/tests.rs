//! Configurations are read as the programs read them.

use std::time::Duration;

use crate::{Entry, Fault, FaultKind, Faults, Given, Read, Reader, Section, SettingsFile, ValueSource};

fn read<T>(text: &str, given: Given, read: impl FnOnce(&Section<'_>) -> T) -> Result<Read<T>, Faults> {
    let file = SettingsFile::with("s.toml", text);
    let reader = Reader::new(&file, given)?;
    let value = read(&reader.top());
    reader.finish(Some(value))
}

fn faults<T>(text: &str, reading: impl FnOnce(&Section<'_>) -> T) -> Faults {
    let Err(faults) = read(text, Given::default(), reading) else {
        panic!("no fault was found in {text}");
    };
    faults
}

/// Kind, key, line and column of each fault; line 0 if it has no place in the file.
fn located(faults: &Faults) -> Vec<(FaultKind, &str, usize, usize)> {
    let position = |fault: &Fault| {
        let place = fault.source.as_ref().and_then(ValueSource::place);
        place.map_or((0, 0), |place| (place.line, place.column))
    };
    let located = faults.iter().map(|fault| {
        let (line, column) = position(fault);
        (fault.kind, fault.key.as_str(), line, column)
    });
    located.collect()
}

fn shown(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(ToString::to_string).collect()
}

#[test]
fn every_fault_is_reported_with_its_key_and_place_in_the_order_of_the_file() {
    let text = "\n  lissen = 'x'\nkeep = 'soon'\n[a]\nswitch = 'yes'\n[b.'x']\ncolour = 1\n[[t]]\n[[t]]\nn = -1\n[[t]]\n";
    let faults = faults(text, |top| {
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
        top.tables("t")[2].incomplete("m", "missing");
    });
    assert_eq!(
        located(&faults),
        [
            (FaultKind::NotGiven, "data_dir", 0, 0),
            (FaultKind::UnknownKey, "lissen", 2, 3),
            (FaultKind::BadValue, "keep", 3, 8),
            (FaultKind::WrongType, "a.switch", 5, 10),
            (FaultKind::UnknownKey, "b.\"x\".colour", 7, 1),
            (FaultKind::WrongType, "t[2].n", 10, 5),
            (FaultKind::Incomplete, "t[3].m", 11, 1),
        ]
    );
    insta::assert_snapshot!(faults, @r#"
    the configuration has 7 fault(s):
      data_dir: missing: give --data-dir, or set data_dir in the configuration file
      lissen: unknown key; did you mean `listen`? (s.toml:2:3)
      keep: `soon` is not a duration: write for example 90s, 10m, 36h or 365d (s.toml:3:8)
      a.switch: must be true or false (s.toml:5:10)
      b."x".colour: unknown key; valid keys: key (s.toml:7:1)
      t[2].n: must be a whole number, 0 or more (s.toml:10:5)
      t[3].m: missing (s.toml:11:1)
    "#);
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
fn every_syntax_error_is_reported_without_the_text() {
    let faults = faults("password = s3cret\nok = 1\n[broken\n", |_| ());
    assert!(faults.len() >= 2, "{faults}");
    assert_eq!(located(&faults)[0], (FaultKind::Syntax, "", 1, 12));
    assert!(!faults.to_string().contains("s3cret"), "{faults}");
}

#[test]
fn a_former_key_is_refused_and_never_suggested() {
    let faults = faults("token_file = 't'\ntoken_fil = 't'", |top| {
        top.refuse_former("token_file", "use a join token");
    });
    assert_eq!(
        located(&faults),
        [
            (FaultKind::FormerKey, "token_file", 1, 14),
            (FaultKind::UnknownKey, "token_fil", 2, 1),
        ]
    );
    let suggestion = &faults.iter().nth(1).expect("two").text;
    assert!(!suggestion.contains("token_file"), "{suggestion}");
}

#[test]
fn a_moved_duration_is_accepted_with_a_warning_but_not_in_both_sections() {
    let reading = |top: &Section<'_>| top.table("limits").moved_duration("keep", &top.table("timeouts"));
    let old = read("[limits]\nkeep = '7d'", Given::default(), reading).expect("accepted");
    assert_eq!(old.value, Some(Duration::from_secs(7 * 86_400)));
    insta::assert_snapshot!(old.warnings.join("\n"), @"limits.keep: moved to [timeouts]: move the line there (s.toml:2:8)");
    assert_eq!(shown(&old.entries), ["timeouts.keep = \"7days\"  # s.toml:2:8"]);
    let new = read("[timeouts]\nkeep = '7d'", Given::default(), reading).expect("accepted");
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
fn some_keys_are_read_without_a_check_of_the_others() {
    let file = SettingsFile::with("s.toml", "data_dir = 'd'\nrest = 1");
    let reader = Reader::new(&file, Given::default()).expect("TOML");
    let value = reader.top().text("data_dir");
    assert_eq!(reader.finish_part(value).expect("good").value, "d");
}

#[test]
fn a_section_that_is_read_twice_reports_each_fault_once() {
    let faults = faults("limits = 7", |top| {
        top.table("limits").text("one");
        top.table("limits").text("other");
    });
    assert_eq!(located(&faults), [(FaultKind::WrongType, "limits", 1, 10)]);
}
