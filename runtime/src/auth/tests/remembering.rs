//! Tokens that were accepted are remembered, but for no longer than they would be accepted.

use std::sync::Arc;

use super::support::*;
use crate::auth::Reason;

#[tokio::test]
async fn the_same_token_gives_the_very_same_identity() {
    let world = World::oidc();
    let (first, second) = (world.accepted(&u1()).await, world.accepted(&u1()).await);
    assert!(Arc::ptr_eq(&first, &second));
    let other = world.accepted(&u1().with("jti", "other")).await;
    assert!(!Arc::ptr_eq(&first, &other) && first == other);
}

#[tokio::test]
async fn a_remembered_token_expires_when_it_would_have_anyway() {
    for (world, last) in [(World::oidc(), 59), (World::custom("RS256"), 65)] {
        world.accepted(&u1()).await;
        world.clock.advance_s(last);
        world.accepted(&u1()).await;
        world.clock.advance_s(1);
        assert_eq!(world.refused(&u1()).await.reason(), Reason::Expired);
    }
}

#[tokio::test]
async fn a_remembered_token_tells_the_time_it_has_left() {
    let world = World::oidc();
    for left in [60, 20] {
        assert_eq!(world.verify(&u1()).await.unwrap().expires_in_s(), left);
        world.clock.advance_s(40);
    }
}

#[tokio::test]
async fn a_remembered_token_does_not_outlive_its_key() {
    let world = World::oidc();
    world.accepted(&u1()).await;
    world.issuer.serve_keys(&[&K2], None);
    world.accepted(&u1().key(&K2)).await;
    assert_eq!(world.refused(&u1()).await.reason(), Reason::KeyIdUnknown);
}

#[tokio::test]
async fn a_token_that_differs_in_one_character_is_another_token() {
    let world = World::oidc();
    let text = u1().text();
    world.verifier.verify(&text).await.unwrap();
    for at in [0, text.len() / 2, text.len() - 10] {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(world.verifier.verify(&String::from_utf8(bytes).unwrap()).await.is_err());
    }
}
