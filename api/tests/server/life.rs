//! A preheat is cancelled, tried again, found in lists and watched.

use api::tokens::Scope;
use serde_json::{Value, json};

use crate::world::World;

async fn ask(world: &World, token: &str, image: &str) -> i64 {
    let answer = world
        .post("/api/v1/preheats", token, &json!({ "image": image }))
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["id"].as_i64().expect("an id")
}

#[tokio::test]
async fn a_preheat_is_cancelled_by_who_asked_for_it_and_by_an_administrator_and_by_no_stranger() {
    let world = World::start().await;
    let maker = world.token([Scope::Preheat]).await.text;
    let stranger = world.token([Scope::Preheat, Scope::Read]).await.text;
    let admin = world.token([Scope::Admin]).await.text;
    let first = ask(&world, &maker, "h.example/a:1").await;
    let second = ask(&world, &maker, "h.example/a:2").await;
    let path = |id: i64| format!("/api/v1/preheats/{id}/cancel");

    for id in [first, 999] {
        let refused = world.post(&path(id), &stranger, &json!({})).await;
        assert_eq!(refused.status, 403, "{}", refused.text);
        assert!(refused.text.contains("admin"), "{}", refused.text);
    }
    let cancelled = world.post(&path(first), &maker, &json!({})).await;
    assert_eq!(
        (cancelled.status.as_u16(), &cancelled.json()["state"]),
        (200, &json!("cancelled"))
    );
    let by_admin = world.post(&path(second), &admin, &json!({})).await;
    assert_eq!(
        (by_admin.status.as_u16(), &by_admin.json()["state"]),
        (200, &json!("cancelled"))
    );
    assert!(
        by_admin.json()["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("cancelled"))
    );

    let again = world.post(&path(first), &maker, &json!({})).await;
    assert_eq!(again.status, 409, "{}", again.text);
    assert_eq!(world.post(&path(999), &admin, &json!({})).await.status, 404);
}

#[tokio::test]
async fn harbor_is_told_that_its_job_was_cancelled() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat]).await.text;
    let body = json!({"args": {"url": "https://h.example/v2/a/b/manifests/1"}});
    let job = world.post("/oapi/v1/jobs", &token, &body).await.json();
    let id = job["id"].as_i64().expect("an id");
    world
        .post(&format!("/api/v1/preheats/{id}/cancel"), &token, &json!({}))
        .await;
    let polled = world.get(&format!("/oapi/v1/jobs/{id}"), &token).await.json();
    assert_eq!(polled["state"], "FAILURE");
    let error = &polled["result"]["job_states"][0]["error"];
    assert!(
        error.as_str().is_some_and(|error| error.contains("cancelled")),
        "{error}"
    );
}

#[tokio::test]
async fn a_retry_wants_an_ended_preheat_and_a_credential_where_there_was_one() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let secret = json!({"username": "ann", "password": "s3cret"});
    let body = json!({"image": "h.example/a:1", "credential": secret});
    let id = world.post("/api/v1/preheats", &token, &body).await.json()["id"]
        .as_i64()
        .expect("an id");
    let path = format!("/api/v1/preheats/{id}/retry");

    let open = world.post(&path, &token, &json!({})).await;
    assert_eq!(open.status, 409, "{}", open.text);
    world
        .post(&format!("/api/v1/preheats/{id}/cancel"), &token, &json!({}))
        .await;
    let without = world.post(&path, &token, &json!({})).await;
    assert_eq!(without.status, 409, "{}", without.text);
    assert!(without.text.contains("h.example"), "{}", without.text);
    let with = world.post(&path, &token, &json!({ "credential": secret })).await;
    assert_eq!(with.status, 202, "{}", with.text);
    let view = with.json();
    assert_eq!(
        (&view["state"], &view["attempt"], &view["id"]),
        (&json!("waiting"), &json!(2), &json!(id))
    );
    assert!(!with.text.contains("s3cret"));
}

#[tokio::test]
async fn a_list_shows_what_was_asked_for_and_says_what_it_does_not_understand() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let nginx = ask(
        &world,
        &token,
        "h.example/library/Nginx-is-no-name".to_lowercase().as_str(),
    )
    .await;
    let other = ask(&world, &token, "other.example/app:1").await;
    world
        .post(&format!("/api/v1/preheats/{other}/cancel"), &token, &json!({}))
        .await;
    let ids = async |query: &str| -> Vec<i64> {
        let answer = world.get(&format!("/api/v1/preheats?{query}"), &token).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        let Value::Array(all) = answer.json()["preheats"].clone() else {
            panic!("{}", answer.text)
        };
        all.iter().filter_map(|one| one["id"].as_i64()).collect()
    };
    assert_eq!(ids("state=open").await, [nginx]);
    assert_eq!(ids("state=cancelled,failed").await, [other]);
    assert_eq!(ids("image=NGINX").await, [nginx]);
    assert_eq!(ids("registry=other.example").await, [other]);
    assert_eq!(ids("asked_by=harbor").await, Vec::<i64>::new());
    assert_eq!(ids("since=2026-11-21T10:18:08Z").await, [other, nginx]);
    assert_eq!(ids("since=2030-01-01T00:00:00Z").await, Vec::<i64>::new());
    for wrong in ["state=done", "asked_by=me", "since=yesterday", "limit=0"] {
        let answer = world.get(&format!("/api/v1/preheats?{wrong}"), &token).await;
        assert_eq!(answer.status, 422, "{wrong}: {}", answer.text);
        let field = wrong.split('=').next().expect("a name");
        assert!(answer.text.contains(field), "{wrong}: {}", answer.text);
    }
}

#[tokio::test]
async fn whoever_watches_sees_the_beginning_and_the_end_and_the_stream_ends_with_it() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let id = ask(&world, &token, "h.example/a:1").await;
    let path = format!("/api/v1/preheats/{id}/events");
    let cancel = format!("/api/v1/preheats/{id}/cancel");
    let body = json!({});
    let (watched, _) = tokio::join!(world.get(&path, &token), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        world.post(&cancel, &token, &body).await
    });
    assert_eq!(watched.header("content-type"), "text/event-stream");
    let events: Vec<&str> = watched
        .text
        .split("\n\n")
        .filter(|event| !event.is_empty())
        .collect();
    assert!(
        events[0].contains("event: preheat") && events[0].contains("\"waiting\""),
        "{}",
        watched.text
    );
    let last = events.last().expect("an end");
    assert!(
        last.contains("event: end") && last.contains("\"cancelled\""),
        "{}",
        watched.text
    );
    let stranger = world.token([Scope::Preheat]).await.text;
    assert_eq!(world.get(&path, &stranger).await.status, 403);
}

#[tokio::test]
async fn how_and_where_is_shown_as_it_was_asked_for() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat]).await.text;
    let body = json!({
        "image": "h.example/a:1", "scope": "all_peers", "peers": {"percent": 20},
        "priority": "high", "time_limit": "10m", "referrers": true,
    });
    let view = world.post("/api/v1/preheats", &token, &body).await.json();
    assert_eq!(
        (
            &view["peers"],
            &view["priority"],
            &view["referrers"],
            &view["asked_by"]
        ),
        (
            &json!({"percent": 20}),
            &json!("high"),
            &json!(true),
            &json!("api")
        )
    );
    let wrong = [
        (json!({"peers": {"percent": 0}}), "peers"),
        (json!({"peers": {"count": 1, "percent": 5}}), "peers"),
        (json!({"priority": "urgent"}), "priority"),
        (json!({"time_limit": "soon"}), "time_limit"),
    ];
    for (extra, field) in wrong {
        let mut body = json!({"image": "h.example/a:1", "scope": "all_peers"});
        for (key, value) in extra.as_object().expect("fields") {
            body[key] = value.clone();
        }
        let answer = world.post("/api/v1/preheats", &token, &body).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        assert!(answer.text.contains(field), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_job_may_name_its_peers_in_dragonflys_words() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let job = async |args: Value| {
        let mut body = json!({"args": {"url": "https://h.example/v2/a/manifests/1", "scope": "all_peers"}});
        for (key, value) in args.as_object().expect("fields") {
            body["args"][key] = value.clone();
        }
        world.post("/oapi/v1/jobs", &token, &body).await
    };
    let cases = [
        (json!({"percentage": 20}), json!({"percent": 20})),
        (
            json!({"count": 3, "ips": [], "percentage": 0}),
            json!({"count": 3}),
        ),
        (json!({"ips": ["10.0.0.7"]}), json!({"addresses": ["10.0.0.7"]})),
        (json!({"count": 0, "timeout": 600_000_000_000_u64}), json!(null)),
    ];
    for (args, peers) in cases {
        let id = job(args.clone()).await.json()["id"].as_i64().expect("an id");
        let view = world.get(&format!("/api/v1/preheats/{id}"), &token).await.json();
        assert_eq!(view["peers"], peers, "{args}");
    }
    for wrong in [
        json!({"percentage": 101}),
        json!({"count": 1, "percentage": 1}),
        json!({"ips": ["x"]}),
    ] {
        let answer = job(wrong).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
    }
}
