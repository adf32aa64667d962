//! Which documents are accepted and which are refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn object(media_type: &str, size: i64) -> Value {
    json!({"mediaType": media_type, "digest": DIGEST, "size": size})
}

fn image_of(layers: &[Value]) -> Value {
    let config = object("application/vnd.oci.image.config.v1+json", 2);
    json!({"schemaVersion": 2, "mediaType": OCI_IMAGE_MEDIA_TYPE, "config": config, "layers": layers})
}

fn read(document: &Value, media_type: &str) -> Result<Manifest, BadManifest> {
    parse(document.to_string().as_bytes(), media_type)
}

#[test]
fn an_image_of_either_kind_lists_config_and_layers() {
    for media_type in [OCI_IMAGE_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE] {
        let mut document = image_of(&[object("application/vnd.oci.image.layer.v1.tar+gzip", 7)]);
        document["mediaType"] = media_type.into();
        let manifest = read(&document, &format!("{media_type}; charset=utf-8")).unwrap();
        let sizes: Vec<u64> = manifest
            .descriptors()
            .iter()
            .map(|descriptor| descriptor.size)
            .collect();
        assert_eq!(sizes, [2, 7]);
    }
}

#[test]
fn an_index_lists_platforms() {
    let mut entry = object(OCI_IMAGE_MEDIA_TYPE, 9);
    entry["platform"] = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
    let document = json!({"schemaVersion": 2, "manifests": [entry, object(OCI_IMAGE_INDEX_MEDIA_TYPE, 3)]});
    for media_type in [
        OCI_IMAGE_INDEX_MEDIA_TYPE,
        IMAGE_MANIFEST_LIST_MEDIA_TYPE,
        "application/json",
        "",
    ] {
        let Manifest::Index { entries, .. } = read(&document, media_type).unwrap() else {
            panic!("no index")
        };
        let platforms: Vec<String> = entries
            .iter()
            .flat_map(|entry| &entry.platform)
            .map(ToString::to_string)
            .collect();
        assert_eq!(platforms, ["linux/arm64/v8"]);
        assert!(entries.iter().all(|entry| entry.descriptor.is_manifest()));
    }
}

#[test]
fn an_attestation_names_its_manifest() {
    let mut entry = object(OCI_IMAGE_MEDIA_TYPE, 9);
    entry["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    entry["annotations"] =
        json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": DIGEST});
    let document = json!({"schemaVersion": 2, "manifests": [entry, object(OCI_IMAGE_MEDIA_TYPE, 9)]});
    let Manifest::Index { entries, .. } = read(&document, OCI_IMAGE_INDEX_MEDIA_TYPE).unwrap() else {
        panic!("no index")
    };
    let attests: Vec<bool> = entries.iter().map(|entry| entry.attests_to.is_some()).collect();
    assert_eq!(attests, [true, false]);
}

#[test]
fn a_platform_of_an_index_is_read_as_builders_spell_it() {
    let mut entry = object(OCI_IMAGE_MEDIA_TYPE, 9);
    entry["platform"] = json!({
        "os": "windows", "architecture": "x86_64", "os.version": "10.0.20348.2031", "os.features": ["win32k"]
    });
    let document = json!({"schemaVersion": 2, "manifests": [entry]});
    let Manifest::Index { entries, .. } = read(&document, OCI_IMAGE_INDEX_MEDIA_TYPE).unwrap() else {
        panic!("no index")
    };
    assert_eq!(entries[0].platform.as_ref().unwrap().to_string(), "windows/amd64");
}

#[test]
fn an_artifact_has_its_subject_and_an_embedded_config() {
    let mut document = image_of(&[object("application/spdx+json", 7)]);
    document["artifactType"] = "application/spdx+json".into();
    document["config"] = json!({
        "mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "data": "e30=",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    });
    document["subject"] = object(OCI_IMAGE_MEDIA_TYPE, 7);
    let Manifest::Image { config, subject, .. } = read(&document, "").unwrap() else {
        panic!("no image")
    };
    assert_eq!(subject.unwrap().to_string(), DIGEST);
    let config = config.unwrap();
    assert!(!config.is_image_config() && config.size == 2);
    assert_eq!(config.data.unwrap(), "{}");
}

/// The manifest of these bytes, or a panic that names the fault.
fn image_in(document: &Value) -> (Option<Descriptor>, Vec<Descriptor>, Vec<UnusableEntry>) {
    match read(document, "").unwrap() {
        Manifest::Image {
            config,
            layers,
            unusable,
            ..
        } => (config, layers, unusable),
        Manifest::Index { .. } => panic!("an index"),
    }
}

fn index_in(document: &Value) -> (Vec<IndexEntry>, Vec<UnusableEntry>) {
    match read(document, "").unwrap() {
        Manifest::Index { entries, unusable } => (entries, unusable),
        Manifest::Image { .. } => panic!("an image"),
    }
}

#[test]
fn null_and_absent_lists_are_empty() {
    for list in [json!(null), json!([])] {
        let mut document = image_of(&[]);
        document["layers"] = list.clone();
        assert!(image_in(&document).1.is_empty());
        document.as_object_mut().unwrap().remove("layers");
        assert!(image_in(&document).1.is_empty());
        let mut index = json!({"mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE, "manifests": list});
        assert_eq!(index_in(&index), (Vec::new(), Vec::new()));
        index.as_object_mut().unwrap().remove("manifests");
        assert_eq!(index_in(&index), (Vec::new(), Vec::new()));
    }
    let mut with_null = object("x/y", 1);
    for key in ["urls", "annotations", "platform", "data", "artifactType"] {
        with_null[key] = json!(null);
    }
    assert_eq!(image_in(&image_of(&[with_null])).1.len(), 1);
}

#[test]
fn a_manifest_without_a_config_is_read() {
    for config in [
        json!(null),
        json!({}),
        json!({"mediaType": "", "digest": "", "size": 0}),
    ] {
        let mut document = image_of(&[object("x/y", 1)]);
        document["config"] = config;
        let (config, layers, unusable) = image_in(&document);
        assert_eq!((config, layers.len(), unusable), (None, 1, Vec::new()));
    }
}

#[test]
fn an_artifact_manifest_lists_its_blobs() {
    let mut document =
        json!({"mediaType": ARTIFACT_MEDIA_TYPE, "blobs": [object("x/y", 1)], "subject": object("x/y", 2)});
    let (config, layers, _) = image_in(&document);
    assert_eq!((config, layers.len()), (None, 1));
    document["layers"] = json!([]);
    assert_eq!(read(&document, ""), Err(BadManifest::TwoMeanings));
    document["layers"] = json!(null);
    assert!(read(&document, "").is_ok());
}

#[test]
fn no_value_of_an_entry_makes_an_index_unreadable() {
    let odd = [
        json!(null),
        json!("text"),
        json!({}),
        json!({"digest": 5}),
        json!({"digest": "sha256:../../etc/passwd", "size": 1}),
        json!({"digest": format!("whirlpool:{}", "0".repeat(128)), "size": 1}),
        json!({"digest": "blake3:abc", "size": 1, "platform": {"os": "linux", "architecture": "s390x"}}),
        json!({"digest": DIGEST, "size": -1}),
        json!({"digest": DIGEST, "size": 1.5}),
        json!({"digest": DIGEST, "size": "1"}),
        json!({"digest": DIGEST, "size": 1e30}),
    ];
    let good = json!({
        "digest": DIGEST, "size": 1, "platform": "linux/amd64", "annotations": ["x"], "urls": 5, "data": {},
        "mediaType": null,
    });
    let mut entries = odd.to_vec();
    entries.push(good);
    let document = json!({"schemaVersion": 2, "manifests": entries});
    let (entries, unusable) = index_in(&document);
    assert_eq!((entries.len(), unusable.len()), (1, odd.len()));
    assert!(entries[0].may_be_manifest() && entries[0].platform.is_none());
    let platforms: Vec<_> = unusable
        .iter()
        .filter_map(|entry| entry.platform.clone())
        .collect();
    assert_eq!(platforms, ["linux/s390x".parse().unwrap()]);
    assert_eq!(
        unusable[5].fault,
        EntryFault::Algorithm {
            algorithm: "whirlpool".to_owned()
        }
    );
    for entry in unusable {
        let text = entry.fault.to_string();
        assert!(!text.contains("passwd") && !text.contains("1.5"), "{text}");
    }
}

#[test]
fn an_index_may_leave_out_sizes_and_halves_of_platforms() {
    let entry =
        |platform: Value| json!({"mediaType": OCI_IMAGE_MEDIA_TYPE, "digest": DIGEST, "platform": platform});
    let platforms = [
        json!({"architecture": "arm64"}),
        json!({"os": "linux"}),
        json!({"os": "", "architecture": ""}),
        json!({"os": 5}),
    ];
    let entries: Vec<Value> = platforms.into_iter().map(entry).collect();
    let (entries, _) = index_in(&json!({"schemaVersion": 2, "manifests": entries}));
    let found: Vec<Option<String>> = entries
        .iter()
        .map(|entry| entry.platform.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(
        found,
        [Some("*/arm64".to_owned()), Some("linux/*".to_owned()), None, None]
    );
    assert!(entries.iter().all(|entry| entry.descriptor.size == 0));
}

#[test]
fn an_attestation_that_cannot_be_fetched_is_marked() {
    let mut entry = object(OCI_IMAGE_MEDIA_TYPE, 9);
    entry["digest"] = "blake3:abc".into();
    for platform in [json!({"os": "unknown", "architecture": "unknown"}), json!(null)] {
        let mut entry = entry.clone();
        if platform.is_null() {
            entry["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
        }
        entry["platform"] = platform;
        let (_, unusable) = index_in(&json!({"schemaVersion": 2, "manifests": [entry]}));
        assert!(unusable[0].is_attestation);
    }
}

#[test]
fn data_counts_only_if_it_is_the_object() {
    let data_of = |digest: &Digest, size: usize, data: &str| {
        let layer = json!({"mediaType": "x/y", "digest": digest, "size": size, "data": data});
        image_in(&image_of(&[layer])).1.remove(0).data
    };
    let digest = Digest::of(b"hello");
    assert_eq!(data_of(&digest, 5, "aGVsbG8=").unwrap(), "hello");
    assert_eq!(data_of(&digest, 4, "aGVsbG8="), None);
    assert_eq!(data_of(&digest, 5, "aGVsbG9="), None);
    assert_eq!(data_of(&digest, 5, "hello"), None);
    assert_eq!(data_of(&Digest::of(b"other"), 5, "aGVsbG8="), None);
    let large = vec![0; 100_000];
    let text = BASE64_STANDARD.encode(&large);
    assert_eq!(data_of(&Digest::of(&large), large.len(), &text), None);
}

#[test]
fn a_layer_with_invalid_urls_is_unusable() {
    for urls in [json!("https://x"), json!({}), json!([5]), json!(7)] {
        let mut layer = object("x/y", 1);
        layer["urls"] = urls;
        assert_eq!(image_in(&image_of(&[layer])).2[0].fault, EntryFault::BadUrls);
    }
}

#[test]
fn foreign_layers_are_marked() {
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let manifest = read(&image_of(&[object(foreign, 1)]), "").unwrap();
    let flags: Vec<bool> = manifest
        .descriptors()
        .iter()
        .map(|descriptor| descriptor.is_foreign())
        .collect();
    assert_eq!(flags, [false, true]);
}

#[test]
fn schema_one_is_refused_by_name() {
    let old = json!({"schemaVersion": 1, "fsLayers": []});
    assert_eq!(read(&old, ""), Err(BadManifest::SchemaOne));
    let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    assert_eq!(parse(b"{}", signed), Err(BadManifest::SchemaOne));
}

#[test]
fn a_document_with_two_meanings_is_refused() {
    let mut both = image_of(&[]);
    both["manifests"] = json!([]);
    assert_eq!(read(&both, OCI_IMAGE_MEDIA_TYPE), Err(BadManifest::TwoMeanings));
    let contradiction = read(&image_of(&[]), OCI_IMAGE_INDEX_MEDIA_TYPE);
    assert!(matches!(contradiction, Err(BadManifest::TwoTypes { .. })));
}

#[test]
fn wrong_sizes_and_digests_are_unusable_and_wrong_counts_refused() {
    let mut climbing = object("x/y", 1);
    climbing["digest"] = "sha256:../../etc/passwd".into();
    let without_size = json!({"mediaType": "x/y", "digest": DIGEST});
    let (_, layers, unusable) = image_in(&image_of(&[
        object("x/y", -1),
        climbing,
        without_size,
        object("x/y", 1),
    ]));
    let faults: Vec<_> = unusable
        .into_iter()
        .map(|entry| (entry.number, entry.fault))
        .collect();
    let expected = [
        (1, EntryFault::BadSize),
        (2, EntryFault::BadDigest),
        (3, EntryFault::NoSize),
    ];
    assert_eq!((layers.len(), faults), (1, expected.to_vec()));
    let many = vec![object("x/y", 1); ENTRIES_LIMIT + 1];
    assert!(matches!(
        read(&image_of(&many), ""),
        Err(BadManifest::TooMany { .. })
    ));
    assert!(matches!(
        parse(&vec![b' '; BYTES_LIMIT + 1], ""),
        Err(BadManifest::TooLarge { .. })
    ));
}

#[test]
fn a_document_that_is_not_a_manifest_is_refused() {
    assert!(matches!(
        parse(b"<html>", ""),
        Err(BadManifest::Unreadable { .. })
    ));
    assert!(matches!(
        parse(b"{}", "text/html"),
        Err(BadManifest::UnknownType { .. })
    ));
    assert!(matches!(
        parse("[".repeat(100_000).as_bytes(), ""),
        Err(BadManifest::ListForObject)
    ));
}

#[test]
fn a_value_of_a_wrong_type_is_not_repeated() {
    let wrong_type = parse(br#"{"schemaVersion":"s3cret","layers":[]}"#, "").unwrap_err();
    assert!(
        matches!(wrong_type, BadManifest::Unreadable { .. }),
        "{wrong_type}"
    );
    assert!(!wrong_type.to_string().contains("s3cret"), "{wrong_type}");
}

#[test]
fn a_manifest_has_one_media_type_or_is_refused() {
    let inside = |text: &str| media_type_inside(text.as_bytes());
    assert_eq!(inside(r#"{"mediaType":"x/y","layers":[]}"#).unwrap(), "x/y");
    assert_eq!(inside(r#"{"manifests":[]}"#).unwrap(), OCI_IMAGE_INDEX_MEDIA_TYPE);
    assert_eq!(inside(r#"{"layers":[]}"#).unwrap(), OCI_IMAGE_MEDIA_TYPE);
    assert!(inside(r#"{"mediaType":"x/y","MediaType":"x/z"}"#).is_err());
}

#[test]
fn a_config_has_one_platform_or_none() {
    let platform = |text: &str| platform_of_config(text.as_bytes()).map(|platform| platform.to_string());
    assert_eq!(
        platform(r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#).as_deref(),
        Some("linux/arm64/v8")
    );
    assert_eq!(
        platform(r#"{"os":"linux","architecture":"amd64","variant":""}"#).as_deref(),
        Some("linux/amd64")
    );
    assert_eq!(platform(r#"{"os":"","architecture":""}"#), None);
    assert_eq!(platform(r#"["linux","amd64",null]"#), None);
    assert_eq!(
        platform(r#"{"os":"linux","architecture":"amd64","OS":"windows"}"#),
        None
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes: Vec<u8>, outside in "[a-z/+.;]{0,40}") {
        let _ = parse(&bytes, &outside);
    }
}
