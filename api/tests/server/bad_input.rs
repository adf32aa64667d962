//! Whatever is wrong with a request is said as a problem, and nothing of it is stored.

use api::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, World};

const URL: &str = "https://harbor.example.com/v2/library/nginx/manifests/1.27";

#[tokio::test]
async fn bodies_that_cannot_be_read_are_problems() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Admin]).await.text;
    let large = format!(r#"{{"image":"{}"}}"#, "x".repeat(300 * 1024));
    let cases = [
        ("", "application/json", 400),
        ("{", "application/json", 400),
        ("{{}", "application/json", 400),
        ("\u{0}\u{1}", "application/json", 400),
        ("[]", "application/json", 422),
        ("null", "application/json", 422),
        ("7", "application/json", 422),
        ("{}", "text/plain", 415),
        ("{}", "application/x-www-form-urlencoded", 415),
        (&large, "application/json", 413),
    ];
    for path in [
        "/oapi/v1/jobs",
        "/api/v1/preheats",
        "/api/v1/tokens",
        "/api/v1/join-tokens",
    ] {
        for (body, kind, status) in cases {
            let request = world
                .ask(Method::POST, path, &token)
                .header("content-type", kind)
                .body(body.to_owned());
            let answer = Answer::of(request).await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{path} {:?}: {}",
                body.get(..20),
                answer.text
            );
            answer.problem(status);
        }
    }
    let no_type = world.ask(Method::POST, "/oapi/v1/jobs", &token).body("{}");
    Answer::of(no_type).await.problem(415);
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn harbors_door_says_what_it_cannot_do() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat]).await.text;
    let deep = format!("https://harbor.example.com/v2/{}/manifests/1", "a/".repeat(2000));
    let cases = [
        (json!({}), "args.url"),
        (json!({"args": null}), "args.url"),
        (json!({"args": {"url": ""}}), "args.url"),
        (json!({"type": "pull", "args": {"url": URL}}), "`type`"),
        (
            json!({"type": "preheat", "args": {"type": "file", "url": URL}}),
            "`args.type`",
        ),
        (
            json!({"args": {"url": URL, "scope": "everywhere"}}),
            "all_seed_peers",
        ),
        (
            json!({"args": {"url": "harbor.example.com/library/nginx:1.27"}}),
            "manifest URL",
        ),
        (
            json!({"args": {"url": "https://harbor.example.com/library/nginx"}}),
            "manifest URL",
        ),
        (json!({"args": {"url": "ftp://h/v2/a/manifests/1"}}), "args.url"),
        (
            json!({"args": {"url": "https://h/v2/../../etc/manifests/1"}}),
            "args.url",
        ),
        (
            json!({"args": {"url": "https://h/v2/a%2f..%2fb/manifests/1"}}),
            "args.url",
        ),
        (
            json!({"args": {"url": "https://h/v2/a/manifests/sha256:12"}}),
            "args.url",
        ),
        (
            json!({"args": {"url": "https://h/v2/a/manifests/1\r\nX: y"}}),
            "args.url",
        ),
        (json!({"args": {"url": deep}}), "args.url"),
        (
            json!({"args": {"url": URL, "platform": "linux"}}),
            "args.platform",
        ),
        (
            json!({"args": {"url": URL, "headers": {"Authorization": "a\nb"}}}),
            "Authorization",
        ),
        (
            json!({"args": {"url": URL, "username": "a:b", "password": "c"}}),
            "args.username",
        ),
        (json!({"args": {"url": URL, "headers": "x"}}), "args.headers"),
        (json!({"args": {"url": 7}}), "expected a string"),
        (
            json!({"args": {"url": URL}, "scheduler_cluster_ids": ["1"]}),
            "scheduler_cluster_ids[0]",
        ),
        (
            json!({"args": {"url": URL}, "scheduler_cluster_ids": [7]}),
            "no cluster 7",
        ),
    ];
    refused(&world, "/oapi/v1/jobs", &token, &cases).await;
}

#[tokio::test]
async fn our_door_says_what_it_cannot_do() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat]).await.text;
    let image = "harbor.example.com/library/nginx:1.27";
    let many: Vec<String> = (0..100).map(|n| format!("linux/a{n}")).collect();
    let cases = [
        (json!({}), "missing field `image`"),
        (json!({"image": image, "force": true}), "unknown field `force`"),
        (json!({"image": ""}), "image"),
        (json!({"image": "http://"}), "image"),
        (json!({"image": "a//b"}), "image"),
        (json!({"image": "../../etc/passwd"}), "image"),
        (json!({"image": "nginx:@"}), "image"),
        (json!({"image": format!("{image}@sha256:00")}), "image"),
        (json!({"image": image, "scope": "some"}), "all_peers"),
        (json!({"image": image, "platforms": ["linux"]}), "platforms"),
        (json!({"image": image, "platforms": many}), "more than 64"),
        (json!({"image": image, "clusters": ["nowhere"]}), "nowhere"),
        (json!({"image": image, "clusters": [4711]}), "4711"),
        (
            json!({"image": image, "clusters": [1, "default"]}),
            "all by name or all by id",
        ),
        (json!({"image": image, "clusters": [1.5]}), "its name or its id"),
        (
            json!({"image": image, "credential": {"username": "ann"}}),
            "password",
        ),
        (
            json!({"image": image, "credential": {"username": "", "password": "x"}}),
            "credential.username",
        ),
    ];
    refused(&world, "/api/v1/preheats", &token, &cases).await;
}

async fn refused(world: &World, path: &str, token: &str, cases: &[(Value, &str)]) {
    for (body, told) in cases {
        let answer = world.post(path, token, body).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.text);
        let detail = answer.problem(422);
        assert!(detail.contains(told), "{body}: {detail}");
        assert!(detail.len() < 1000, "Harbor logs all of it: {detail}");
    }
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn a_list_is_asked_for_within_its_bounds() {
    let world = World::start().await;
    let token = world.token([Scope::Read]).await.text;
    for (query, status) in [
        ("limit=0", 422),
        ("limit=201", 422),
        ("limit=x", 400),
        ("limit=-1", 400),
        ("page=2", 400),
        ("before=x", 400),
    ] {
        world
            .get(&format!("/api/v1/preheats?{query}"), &token)
            .await
            .problem(status);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let world = World::start().await;
    let token = world.token([Scope::Read, Scope::Admin]).await.text;
    for path in [
        "/",
        "/api",
        "/api/v2/preheats",
        "/oapi/v1/jobs/1/2",
        "/healthz",
        "/peer/v1",
        "/%2e%2e/x",
        "//healthy",
    ] {
        world.get(path, &token).await.problem(404);
    }
    for path in [
        "/api/v1/preheats/x",
        "/api/v1/preheats/1/objects",
        "/api/v1/preheats/99999999999999999999",
    ] {
        world.get(path, &token).await.problem(404);
    }
    Answer::of(world.ask(Method::DELETE, "/api/v1/tokens/nobody", &token))
        .await
        .problem(404);
    for (method, path) in [
        (Method::POST, "/healthy"),
        (Method::DELETE, "/api/v1/preheats/1"),
        (Method::PUT, "/oapi/v1/jobs"),
    ] {
        let answer = Answer::of(world.ask(method, path, &token)).await;
        assert_ne!(answer.header("allow"), "", "{path}");
        answer.problem(405);
    }
}

#[tokio::test]
async fn a_peer_that_says_nonsense_is_told_so() {
    let world = World::start().await;
    let member = crate::seed::Member::of(&world, wire::Role::Seed, "default").await;
    let url = |path: &str| format!("{}{path}", world.peer_url());
    let hello = |change: &dyn Fn(&mut wire::Hello)| {
        let mut hello = crate::seed::hello_of("seed");
        change(&mut hello);
        hello
    };
    let cases = [
        hello(&|hello| hello.wire_version = 99),
        hello(&|hello| hello.name = "a\u{1b}[2J".to_owned()),
        hello(&|hello| hello.advertise = Some("a/b".to_owned())),
    ];
    for body in cases {
        let request = member.http.post(url(wire::paths::SESSIONS)).json(&body);
        Answer::of(request).await.problem(422);
    }
    let gone = "/peer/v1/sessions/4f3c1c2e-7f5b-4c8e-9f0a-0d6f2f1f2a3b";
    let nothing = json!({"placements": [], "working_on": []});
    let progress = member.http.post(url(&format!("{gone}/progress"))).json(&nothing);
    Answer::of(progress).await.problem(410);
    let settle = member.http.post(url(&format!("{gone}/settle")));
    Answer::of(settle.json(&json!({"settled": []})))
        .await
        .problem(410);
    let get = async |path: String| Answer::of(member.http.get(url(&path))).await;
    get(format!("{gone}/credentials/c")).await.problem(410);
    get(format!("{gone}/parents/../../x")).await.problem(404);
    get("/peer/v1/sessions/me/credentials/c".to_owned())
        .await
        .problem(400);
    let session = member.hello("seed").await.session;
    get(format!("/peer/v1/sessions/{session}/parents/sha256:12"))
        .await
        .problem(422);
}

/// Row by row: what is wrong with a field of Harbor's request is said with the field's name.
#[tokio::test]
async fn a_value_of_the_wrong_type_or_range_is_named_by_its_field() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Admin]).await.text;
    for (field, value) in [
        ("percentage", json!(300)),
        ("percentage", json!(-1)),
        ("count", json!(-1)),
        ("count", json!("three")),
        ("headers", json!(["Authorization"])),
        ("headers", json!({"Authorization": ["a", "b"]})),
        ("ips", json!("10.0.0.1")),
        ("ips", json!([1])),
    ] {
        let mut args = json!({"type": "image", "url": URL});
        args[field] = value.clone();
        let body = json!({"type": "preheat", "args": args});
        let answer = world.post("/oapi/v1/jobs", &token, &body).await;
        let detail = answer.problem(422);
        assert!(
            detail.contains(&format!("`args.{field}")),
            "{field} {value}: {detail}"
        );
    }
    for (path, body, field) in [
        ("/api/v1/preheats", json!({"image": 7}), "`image`"),
        (
            "/api/v1/preheats",
            json!({"image": "h.lan/a:1", "priority": 3}),
            "`priority`",
        ),
        (
            "/api/v1/preheats",
            json!({"image": "h.lan/a:1", "platforms": ["linux/amd64", 7]}),
            "`platforms[1]`",
        ),
        ("/preheats", json!({"type": "image", "url": 7}), "`url`"),
        ("/api/v1/tokens", json!({"name": 7}), "`name`"),
        ("/api/v1/join-tokens", json!({"scope": 7}), "`scope`"),
    ] {
        let detail = world.post(path, &token, &body).await.problem(422);
        assert!(detail.contains(field), "{path} {body}: {detail}");
    }
    assert_eq!(world.stored().await, 0);
}
