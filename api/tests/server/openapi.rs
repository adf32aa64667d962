//! The committed description is the one that the program would write, and it is true.

use std::collections::BTreeSet;
use std::path::Path;

use api::openapi::document;
use reqwest::Method;
use serde_json::Value;

use crate::world::{Answer, World};

fn described() -> Value {
    serde_json::from_str(&document()).expect("JSON")
}

#[test]
fn the_committed_description_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/stoker.json");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == document(),
        "openapi/stoker.json is stale: run `make generate` (stoker openapi > openapi/stoker.json) and commit it"
    );
}

#[test]
fn it_is_openapi_3_1_and_ends_in_a_newline() {
    assert_eq!(described()["openapi"], "3.1.0");
    assert!(document().ends_with("}\n"));
}

#[test]
fn every_operation_tells_its_errors_and_who_may() {
    let document = described();
    let names: BTreeSet<String> = operations(&document)
        .iter()
        .map(|(_, _, operation)| operation["operationId"].to_string())
        .collect();
    assert_eq!(
        names.len(),
        operations(&document).len(),
        "two operations have one name"
    );
    for (method, path, operation) in operations(&document) {
        let answers: BTreeSet<&String> = operation["responses"]
            .as_object()
            .expect("answers")
            .keys()
            .collect();
        assert!(operation["summary"].is_string(), "{method} {path}");
        if path == "/openapi.json" {
            continue;
        }
        assert!(answers.contains(&"401".to_owned()), "{method} {path}");
        for (status, answer) in operation["responses"].as_object().expect("answers") {
            let is_problem = answer["content"]["application/problem+json"].is_object();
            assert_eq!(
                is_problem,
                status.starts_with(['4', '5']),
                "{method} {path} {status}"
            );
        }
        let has_body = operation["requestBody"].is_object();
        assert_eq!(has_body, answers.contains(&"415".to_owned()), "{method} {path}");
    }
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(
        (&schemes["bearer"]["scheme"], &schemes["basic"]["scheme"]),
        (&"bearer".into(), &"basic".into())
    );
}

#[tokio::test]
async fn what_is_described_is_there_and_what_peers_call_is_not_described() {
    let world = World::start().await;
    let document = described();
    let operations = operations(&document);
    for (method, path, _) in &operations {
        let method: Method = method.to_uppercase().parse().expect("a method");
        let status = Answer::of(world.ask(
            method.clone(),
            &path.replace("{id}", "1").replace("{kind}", "harbor"),
            "wrong",
        ))
        .await
        .status;
        let expected = if path == "/openapi.json" { 200 } else { 401 };
        assert_eq!(status, expected, "{method} {path}");
    }
    let routes = include_str!("../../src/server/router.rs");
    let described: BTreeSet<&str> = operations.iter().map(|(_, path, _)| path.as_str()).collect();
    let literal = routes
        .split(".route(")
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    assert_eq!(
        literal.collect::<BTreeSet<_>>(),
        described,
        "a route is not described, or the other way round"
    );
    assert!(!document.to_string().contains("/peer/v1"));
}

#[tokio::test]
async fn the_running_manager_serves_it() {
    let world = World::start().await;
    let answer = Answer::of(world.http.get(world.url("/openapi.json"))).await;
    assert_eq!(
        (answer.header("content-type"), &answer.text),
        ("application/json", &document())
    );
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods").clone();
        let path = path.clone();
        methods
            .into_iter()
            .map(move |(method, operation)| (method, path.clone(), operation))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}
