use preheat::tokens::{NewToken, Standing, any_tokens_exist, create, list, revoke, standing};

use crate::support::{START_MS, World};

#[tokio::test]
async fn a_revoked_token_says_since_when() {
    let world = World::start().await;
    let preheater = &world.preheater;
    assert!(!any_tokens_exist(preheater).await.unwrap());
    let token = NewToken {
        id: "t1".into(),
        name: "harbor".into(),
        scopes: vec!["preheat".into(), "read".into()],
        path_hash: None,
        expires_ms: None,
    };
    create(preheater, token).await.unwrap();
    assert!(any_tokens_exist(preheater).await.unwrap());
    assert_eq!(standing(preheater, "t1").await.unwrap(), Standing::Good);
    assert_eq!(standing(preheater, "t2").await.unwrap(), Standing::Unknown);
    world.clock.advance(5);
    assert!(revoke(preheater, "t1").await.unwrap());
    assert!(
        !revoke(preheater, "t1").await.unwrap(),
        "the first revocation holds"
    );
    assert_eq!(
        standing(preheater, "t1").await.unwrap(),
        Standing::Revoked { at_ms: START_MS + 5 }
    );
    let listed = list(preheater).await.unwrap();
    assert_eq!(
        (listed[0].scopes.len(), listed[0].revoked_ms),
        (2, Some(START_MS + 5))
    );
}
