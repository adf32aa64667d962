//! Documents that two parsers read differently are refused; real documents are accepted.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::*;
use crate::Digest;
use crate::manifest::parse;
use crate::referrers::Referrers;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn descriptor(media_type: &str, text: &str) -> Value {
    json!({
        "mediaType": media_type, "digest": Digest::of(text.as_bytes()), "size": 3,
        "urls": ["https://mirror.example.com/x"], "data": "e30=", "artifactType": "application/x",
        "annotations": {"org.example.key": "1", "ORG.example.key": "2"},
    })
}

fn image() -> Value {
    json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/x",
        "config": descriptor("application/vnd.oci.image.config.v1+json", "config"),
        "layers": [descriptor(LAYER, "one"), descriptor(LAYER, "two")],
        "subject": descriptor(OCI_MANIFEST, "subject"),
        "annotations": {"size": "free", "Size": "free too"},
        "somethingNew": {"digest": "x", "Digest": "y"},
    })
}

fn index() -> Value {
    let mut entry = descriptor(OCI_MANIFEST, "one");
    entry["platform"] = json!({
        "architecture": "amd64", "os": "windows", "os.version": "10.0", "os.features": ["win32k"],
        "variant": "v1", "features": ["sse4"],
    });
    json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry.clone(), entry], "subject": descriptor(OCI_MANIFEST, "subject"),
        "annotations": {"a": "b"},
    })
}

/// All kinds of manifest: OCI image and index, Docker schema 2 and list, and the former artifact manifest.
fn documents() -> Vec<Value> {
    let (mut schema_two, mut list) = (image(), index());
    schema_two["mediaType"] = json!("application/vnd.docker.distribution.manifest.v2+json");
    list["mediaType"] = json!("application/vnd.docker.distribution.manifest.list.v2+json");
    let artifact = json!({
        "mediaType": "application/vnd.oci.artifact.manifest.v1+json",
        "blobs": [descriptor(LAYER, "one")], "subject": descriptor(OCI_MANIFEST, "subject"),
    });
    vec![image(), index(), schema_two, list, artifact]
}

/// Writes JSON with one more key: `again` makes it from key number `at` of the objects with fixed fields.
struct Writer<'again> {
    at: usize,
    keys: usize,
    again: &'again dyn Fn(&str) -> String,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> String {
        match value {
            Value::Object(map) => {
                let pairs: Vec<String> = map.iter().map(|(key, value)| self.pair(key, value)).collect();
                format!("{{{}}}", pairs.join(","))
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.value(item)).collect();
                format!("[{}]", items.join(","))
            }
            leaf => leaf.to_string(),
        }
    }

    fn pair(&mut self, key: &str, value: &Value) -> String {
        let is_chosen = self.keys == self.at;
        self.keys += 1;
        let text = match key {
            "annotations" | "somethingNew" => value.to_string(),
            _ => self.value(value),
        };
        let pair = format!("{}:{text}", json!(key));
        if is_chosen {
            return format!("{pair},{}:{text}", json!((self.again)(key)));
        }
        pair
    }
}

fn written(document: &Value, at: usize, again: &dyn Fn(&str) -> String) -> (String, usize) {
    let mut writer = Writer { at, keys: 0, again };
    let text = writer.value(document);
    (text, writer.keys)
}

/// Returns the document with one key of one of its objects repeated.
fn tampered(document: &Value, which: Index, again: &dyn Fn(&str) -> String) -> String {
    let (_, keys) = written(document, usize::MAX, again);
    written(document, which.index(keys), again).0
}

/// Returns another spelling that Go reads as the same key.
fn respelled(key: &str, which: Index) -> String {
    let letters: Vec<usize> = (0..key.len())
        .filter(|at| key.as_bytes()[*at].is_ascii_alphabetic())
        .collect();
    let at = letters[which.index(letters.len())];
    let other = match &key[at..=at] {
        "s" => "\u{17f}".to_owned(),
        "k" => "\u{212a}".to_owned(),
        letter if letter.to_uppercase() == letter => letter.to_lowercase(),
        letter => letter.to_uppercase(),
    };
    format!("{}{other}{}", &key[..at], &key[at + 1..])
}

fn refused(text: &str) -> Vec<BadManifest> {
    [
        parse(text.as_bytes(), "").unwrap_err(),
        Referrers::parse(text.as_bytes()).unwrap_err(),
        check(text.as_bytes(), MANIFEST).unwrap_err(),
    ]
    .to_vec()
}

proptest! {
    #[test]
    fn a_document_with_any_repeated_key_is_refused(document in 0..5_usize, which: Index) {
        let text = tampered(&documents()[document], which, &str::to_owned);
        for fault in refused(&text) {
            prop_assert!(matches!(fault, BadManifest::KeyTwice { .. }), "{fault} {text}");
        }
    }

    #[test]
    fn a_document_with_any_key_in_two_spellings_is_refused(
        document in 0..5_usize, which: Index, letter: Index,
    ) {
        let mut document = documents()[document].clone();
        // An unknown key may have any spelling.
        document.as_object_mut().unwrap().remove("somethingNew");
        let text = tampered(&document, which, &|key| respelled(key, letter));
        for fault in refused(&text) {
            prop_assert!(matches!(fault, BadManifest::FoldedKey { .. }), "{fault} {text}");
        }
    }

    #[test]
    fn no_bytes_make_the_check_panic(bytes: Vec<u8>) {
        let _ = check(&bytes, MANIFEST);
    }
}

#[test]
fn documents_whose_free_maps_and_unknown_objects_repeat_themselves_are_accepted() {
    for document in documents() {
        check(document.to_string().as_bytes(), MANIFEST).unwrap();
    }
}

#[test]
fn a_private_layer_hidden_by_a_second_spelling_is_refused() {
    let (private, own) = (descriptor(LAYER, "private"), descriptor(LAYER, "own"));
    let config = descriptor("application/vnd.oci.image.config.v1+json", "config");
    for (known, other) in [
        ("layers", "Layers"),
        ("layers", "LAYER\u{17f}"),
        ("layers", "la\\u0079er\\u017f"),
        ("manifests", "Manifests"),
        ("manifests", "manife\u{17f}ts"),
    ] {
        let rest = format!(r#""schemaVersion":2,"config":{config}"#);
        let text = format!(r#"{{{rest},"{known}":[{private}],"{other}":[{own}]}}"#);
        let fault = parse(text.as_bytes(), "").unwrap_err();
        assert!(
            matches!(&fault, BadManifest::FoldedKey { known: reported, .. } if *reported == known),
            "{fault}"
        );
    }
}

#[test]
fn a_repeated_unknown_key_of_a_known_object_is_refused_too() {
    let text = r#"{"schemaVersion":2,"layers":[],"x":1,"x":2}"#;
    assert_eq!(
        check(text.as_bytes(), MANIFEST),
        Err(BadManifest::KeyTwice { key: "x".into() })
    );
}

#[test]
fn a_list_instead_of_an_object_is_refused() {
    let digest = Digest::of(b"x");
    for text in [
        format!(r#"{{"schemaVersion":2,"config":["{LAYER}","{digest}",3],"layers":[]}}"#),
        format!(r#"{{"schemaVersion":2,"layers":[["{LAYER}","{digest}",3]]}}"#),
        r#"[2,"x",null]"#.to_owned(),
    ] {
        assert_eq!(
            check(text.as_bytes(), MANIFEST),
            Err(BadManifest::ListForObject),
            "{text}"
        );
    }
}

#[test]
fn depth_is_bounded_and_trailing_text_is_refused() {
    let deep = format!(r#"{{"x":{}"#, "[".repeat(1_000_000));
    assert!(matches!(
        check(deep.as_bytes(), MANIFEST),
        Err(BadManifest::Unreadable { .. })
    ));
    let two = format!("{}{}", image(), index());
    assert!(matches!(
        check(two.as_bytes(), MANIFEST),
        Err(BadManifest::Unreadable { .. })
    ));
}

#[test]
fn only_two_letters_beside_ascii_fold_to_ascii() {
    assert!(folds_to("\u{212a}EY\u{17f}", "keys"));
    // The dotted and the dotless i fold to no ASCII letter, nor do letters that only look alike.
    for other in ["m\u{131}me", "m\u{130}me", "m\u{456}me", "mime\u{0}", "mim"] {
        assert!(!folds_to(other, "mime"), "{other}");
    }
}
