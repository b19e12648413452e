//! Several providers, and configurations that change.

use std::sync::Arc;

use serde_json::{Value, json};

use super::support::*;
use crate::auth::{LocalIssuer, Reason, Verifier};

fn oidc(domain: &str, audience: &str) -> Value {
    json!({"domain": domain, "applicationID": audience})
}

fn providers(list: &[Value]) -> Value {
    json!({"providers": list})
}

/// spec: A1
#[tokio::test]
async fn the_first_provider_that_fits_issuer_and_audience_decides() {
    let custom = json!({"type": "customJwt", "issuer": ISS, "applicationID": "third", "algorithm": "ES256",
                        "jwks": data_url(&jwks(&[&E1]))});
    let any = json!({"type": "customJwt", "issuer": ISS, "algorithm": "RS256", "jwks": data_url(&jwks(&[&K2]))});
    let world = World::new(&providers(&[
        oidc("https://other.dev", "first"),
        oidc(ISS, "second"),
        custom,
        any,
        oidc(ISS, "never reached"),
    ]));
    for (token, provider) in [
        (u1().with("aud", "second"), 1),
        (u1().with("aud", "third").key(&E1), 2),
        (u1().with("aud", json!(["third", "second"])).key(&E1), 1),
        (u1().with("aud", "never reached").key(&K2), 3),
        (u1().without("aud").key(&K2), 3),
    ] {
        match world.verify(&token).await {
            Ok(verified) => assert_eq!(verified.provider, provider),
            Err(rejection) => assert_eq!((rejection.reason(), provider), (Reason::ExtraAudience, 1), "{rejection}"),
        }
    }
}

/// spec: A6
#[tokio::test]
async fn a_new_configuration_holds_for_the_next_token() {
    let world = World::oidc();
    let token = u1();
    world.accepted(&token).await;
    world.issuer.asked();
    world.verifier.set_config(auth_config(&providers(&[oidc("https://other.dev", "convex")])));
    world.check(&token, "NoAuthProvider", Reason::IssuerMismatch).await;
    world.verifier.set_config(auth_config(&providers(&[])));
    world.check(&token, "NoAuthProvider", Reason::NoProviders).await;
    world.verifier.set_config(auth_config(&providers(&[oidc(ISS, "convex")])));
    world.accepted(&token).await;
}

/// A change of a variable that auth does not read.
#[tokio::test]
async fn a_configuration_that_stays_the_same_forgets_nothing() {
    let world = World::oidc();
    let before = world.accepted(&u1()).await;
    world.verifier.set_config(auth_config(&providers(&[oidc(ISS, "convex")])));
    assert!(Arc::ptr_eq(&before, &world.accepted(&u1()).await), "the token is remembered");
    world.verifier.set_config(auth_config(&providers(&[oidc(ISS, "convex"), oidc("https://other.dev", "x")])));
    assert!(!Arc::ptr_eq(&before, &world.accepted(&u1()).await), "and verified again by another one");
}

#[tokio::test]
async fn providers_that_stay_keep_their_keys() {
    let world = World::oidc();
    world.accepted(&u1()).await;
    world.issuer.asked();
    world.verifier.set_config(auth_config(&providers(&[oidc("https://other.dev", "x"), oidc(ISS, "convex")])));
    assert_eq!(world.verify(&u1()).await.unwrap().provider, 1);
    assert_eq!(world.issuer.asked(), [""; 0]);
    let mut insecure = auth_config(&providers(&[oidc(ISS, "convex")]));
    insecure.allow_insecure_issuers = true;
    world.verifier.set_config(insecure);
    world.accepted(&u1()).await;
    assert_eq!(world.issuer.asked(), [DISCOVERY, JWKS], "fetched under the other rule");
}

#[tokio::test]
async fn a_verification_under_way_does_not_outlive_its_configuration() {
    let world = World::oidc();
    let gate = world.issuer.hold();
    let text = u1().text();
    let first = world.verifier.verify(&text);
    let change = async {
        tokio::task::yield_now().await;
        world.verifier.set_config(auth_config(&providers(&[])));
        gate.add_permits(10);
    };
    let (outcome, ()) = tokio::join!(first, change);
    assert!(outcome.is_ok(), "it was asked under the old configuration");
    world.check(&u1(), "NoAuthProvider", Reason::NoProviders).await;
}

#[tokio::test]
async fn issuers_of_this_process_stay_whatever_is_configured() {
    let local = LocalIssuer {
        provider: auth_config(&providers(&[oidc(ISS, "convex")])).providers.remove(0),
        keys: crate::auth::KeySet::parse(&jwks(&[&K1]).to_string()).unwrap(),
    };
    let clock = HandClock::new();
    let config = auth_config(&providers(&[oidc("https://other.dev", "convex")]));
    let verifier = Verifier::with_local(config, vec![local], Arc::new(NoFetch), clock);
    assert_eq!(verifier.verify(&u1().text()).await.unwrap().provider, 1);
    verifier.set_config(auth_config(&providers(&[])));
    assert_eq!(verifier.verify(&u1().text()).await.unwrap().provider, 0);
    let rejection = verifier.verify(&u1().with("iss", "https://x.dev").text()).await.unwrap_err();
    assert_eq!(rejection.reason(), Reason::IssuerMismatch);
}
