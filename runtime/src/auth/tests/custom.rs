//! customJwt providers whose keys are fetched, or whose configuration is wrong.

use serde_json::json;

use super::support::*;
use crate::auth::{Class, Reason, Redaction, Response};

const KEYS: &str = "https://id.acme.dev/keys";
const INVALID: &str = "InvalidAuthHeader";

fn world() -> World {
    let world = World::new(&custom_config("RS256", KEYS));
    world.issuer.serve(KEYS, ok(&jwks(&[&K1])));
    world
}

#[tokio::test]
async fn keys_come_from_the_configured_address() {
    let world = world();
    world.accepted(&u1()).await;
    assert_eq!(world.issuer.asked(), [KEYS]);
}

/// spec: A8
#[tokio::test]
async fn keys_may_stand_in_the_configuration() {
    let set = jwks(&[&K1]).to_string();
    let percent: String = set.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for jwks in [data_url(&jwks(&[&K1])), format!("data:text/plain,{percent}"), format!("data:,{set}")] {
        let world = World::new(&custom_config("RS256", &jwks));
        world.accepted(&u1()).await;
        assert_eq!(world.issuer.asked(), [""; 0]);
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_work_says_so() {
    for jwks in ["data:application/json", "data:;base64,@@", "data:,{}", "data:,%ff"] {
        let rejection = World::new(&custom_config("RS256", jwks)).refused(&u1()).await;
        assert_eq!((rejection.code(), rejection.reason()), (INVALID, Reason::KeySourceInvalid), "{jwks}");
    }
    let rejection = World::new(&custom_config("RS256", "not a url")).refused(&u1()).await;
    assert_eq!((rejection.code(), rejection.http_status()), ("InternalServerError", 500));
    assert_eq!((rejection.class(), rejection.close_code()), (Class::Unavailable, 1011));
    assert!(!rejection.client_text(Redaction::Redacted).contains("url"));
}

#[tokio::test]
async fn the_media_type_of_keys_has_to_be_right() {
    for (content_type, accepted) in [
        (Some("application/json"), true),
        (Some("application/jwk-set+json"), true),
        (Some("Application/JSON; charset=UTF-8"), true),
        (Some("application/json; charset=\"utf-8\""), true),
        (Some("application/json; charset=latin1"), false),
        (Some("text/plain"), false),
        (None, false),
    ] {
        let world = world();
        let answer = Response { content_type: content_type.map(str::to_owned), ..ok(&jwks(&[&K1])).unwrap() };
        world.issuer.serve(KEYS, Ok(answer));
        let outcome = world.verify(&u1()).await;
        assert_eq!(outcome.is_ok(), accepted, "{content_type:?}");
        if let Err(rejection) = outcome {
            assert_eq!(rejection.reason(), Reason::ProviderAnswerUnusable);
            assert!(rejection.to_string().contains("application/jwk-set+json"), "{rejection}");
        }
    }
}

#[tokio::test]
async fn an_application_id_is_optional() {
    let mut config = custom_config("RS256", &data_url(&jwks(&[&K1])));
    config["providers"][0]["applicationID"] = json!(null);
    let world = World::new(&config);
    for aud in [json!(null), json!("any"), json!(["x", "y"])] {
        world.accepted(&u1().with("aud", aud)).await;
    }
}

#[tokio::test]
async fn the_redacted_text_with_a_key_id_is_one_and_does_not_name_it() {
    let world = World::custom("RS256");
    let mut texts = Vec::new();
    for token in [u1().signed_by(&X), u1().header("kid", "zzz"), u1().header("alg", "HS256"), u1().header("crit", "x")]
    {
        let rejection = world.refused(&token).await;
        assert_eq!(rejection.code(), INVALID);
        texts.push(rejection.client_text(Redaction::Redacted));
    }
    texts.dedup();
    assert_eq!(texts, ["InvalidAuthHeader: No key of the provider verifies the token."]);
    let missing = world.refused(&u1().without_header("kid")).await;
    let (full, redacted) = (missing.message(Redaction::Development), missing.message(Redaction::Redacted));
    assert!(full.starts_with(&redacted) && redacted.contains("has no \"kid\""), "{full}");
}
