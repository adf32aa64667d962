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
        let Manifest::Index { entries } = read(&document, media_type).unwrap() else {
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
    let Manifest::Index { entries } = read(&document, OCI_IMAGE_INDEX_MEDIA_TYPE).unwrap() else {
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
    let Manifest::Index { entries } = read(&document, OCI_IMAGE_INDEX_MEDIA_TYPE).unwrap() else {
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
    assert!(!config.is_image_config() && config.size == 2);
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
fn wrong_sizes_digests_and_counts_are_refused() {
    let negative = read(&image_of(&[object("x/y", -1)]), "");
    assert!(
        matches!(negative, Err(BadManifest::BadEntry { number: 1, .. })),
        "{negative:?}"
    );
    let mut climbing = object("x/y", 1);
    climbing["digest"] = "sha256:../../etc/passwd".into();
    assert!(matches!(
        read(&image_of(&[climbing]), ""),
        Err(BadManifest::BadEntry { .. })
    ));
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
    let missing = parse(br#"{"schemaVersion":2,"layers":[]}"#, "").unwrap_err();
    assert!(missing.to_string().contains("config"), "{missing}");
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
