//! Threats of `spec/auth.md` 9.2: claims and times of tokens that their issuer did sign.

use serde_json::{Value, json};

use super::support::*;
use crate::auth::{Reason, Redaction};

const V: &str = "Unauthenticated";
const INVALID: &str = "InvalidAuthHeader";
const NO_PROVIDER: &str = "NoAuthProvider";

/// spec: A10
#[tokio::test]
async fn tokens_of_other_applications_and_issuers_are_refused_without_a_request() {
    for world in [World::oidc(), World::custom("RS256")] {
        for aud in [json!("api"), json!(["api"]), json!([]), json!(""), json!("Convex"), json!("convex ")] {
            world.check(&u1().with("aud", aud), NO_PROVIDER, Reason::AudienceMismatch).await;
        }
        world.check(&u1().without("aud"), NO_PROVIDER, Reason::AudienceMissing).await;
        world.check(&u1().with("aud", Value::Null), NO_PROVIDER, Reason::AudienceMissing).await;
        world.check(&u1().with("aud", 5), INVALID, Reason::ClaimMistyped).await;
        for iss in [
            "acme",
            "https://quiet-ox-46.clerk.accounts.dev.evil.dev",
            "https://quiet-ox-47.clerk.accounts.dev",
            "https://QUIET-OX-46.clerk.accounts.dev",
            "HTTPS://quiet-ox-46.clerk.accounts.dev",
            "http://quiet-ox-46.clerk.accounts.dev",
            "https://quiet-ox-46.clerk.accounts.dev@evil.dev",
            "https://good@quiet-ox-46.clerk.accounts.dev",
            "https://quiet-ox-46.clerk.accounts.dev:443",
            "https://quiet-ox-46.clerk.accounts.dev/x",
            "https://169.254.169.254",
            "",
        ] {
            world.check(&u1().with("iss", iss), NO_PROVIDER, Reason::IssuerMismatch).await;
        }
        world.check(&u1().without("iss"), INVALID, Reason::IssuerMissing).await;
        assert_eq!(world.issuer.asked(), [""; 0]);
    }
}

/// spec: A11, A28
#[tokio::test]
async fn slashes_matter_only_between_token_and_discovery_document() {
    for (domain, document, iss, accepted) in [
        (format!("{ISS}/"), ISS.to_owned(), ISS.to_owned(), true),
        (ISS.to_owned(), format!("{ISS}/"), format!("{ISS}/"), true),
        (ISS.to_owned(), ISS.to_owned(), format!("{ISS}/"), false),
        (ISS.to_owned(), format!("{ISS}/"), ISS.to_owned(), false),
    ] {
        let world = World::new(&json!({"providers": [{"domain": domain, "applicationID": "convex"}]}));
        world.issuer.serve(DISCOVERY, ok(&json!({"issuer": document, "jwks_uri": JWKS})));
        let token = u1().with("iss", iss.clone());
        if accepted {
            assert_eq!(world.accepted(&token).await.token_identifier, format!("{iss}|user_1"));
        } else {
            let rejection = world.refused(&token).await;
            assert_eq!(rejection.reason(), Reason::DocumentIssuerMismatch);
            assert_eq!((rejection.code(), rejection.http_status()), ("AuthProviderDiscoveryFailed", 400));
            assert!(rejection.to_string().contains("Issuers differ only by a trailing slash."), "{rejection}");
        }
        assert_eq!(world.issuer.asked(), [DISCOVERY, JWKS], "the address never comes from the token");
    }
}

/// spec: A11
#[tokio::test]
async fn an_issuer_without_scheme_is_one_for_custom_jwt_only() {
    let schemeless = u1().with("iss", "quiet-ox-46.clerk.accounts.dev");
    let identity = World::custom("RS256").accepted(&schemeless).await;
    assert_eq!(identity.token_identifier, "quiet-ox-46.clerk.accounts.dev|user_1");
    let world = World::oidc();
    world.check(&schemeless, INVALID, Reason::IssuerNotAbsolute).await;
    assert_eq!(world.issuer.asked(), [""; 0]);
}

/// spec: A17
#[tokio::test]
async fn further_audiences_are_refused_for_oidc_and_allowed_for_custom_jwt() {
    let (oidc, custom) = (World::oidc(), World::custom("RS256"));
    for aud in [json!(["convex"]), json!(["convex", "convex"])] {
        oidc.accepted(&u1().with("aud", aud.clone())).await;
        custom.accepted(&u1().with("aud", aud)).await;
    }
    let both = u1().with("aud", json!(["convex", "x"]));
    oidc.check(&both, V, Reason::ExtraAudience).await;
    custom.accepted(&both).await;
}

/// spec: A18
#[tokio::test]
async fn required_claims_have_to_be_there() {
    let (oidc, custom) = (World::oidc(), World::custom("RS256"));
    for claim in ["sub", "exp"] {
        for token in [u1().without(claim), u1().with(claim, Value::Null)] {
            oidc.check(&token, INVALID, Reason::ClaimMissing).await;
            custom.check(&token, INVALID, Reason::ClaimMissing).await;
        }
    }
    oidc.check(&u1().without("iat"), INVALID, Reason::ClaimMissing).await;
    custom.accepted(&u1().without("iat").without("nbf")).await;
    for world in [oidc, custom] {
        world.check(&u1().with("sub", ""), INVALID, Reason::SubjectEmpty).await;
    }
}

/// spec: A19, A20, A27
#[tokio::test]
async fn times_of_an_oidc_token() {
    let world = World::oidc();
    let now = T as f64;
    for exp in [now, now - 1.0, now - 0.5, 0.0] {
        world.check(&u1().with("exp", exp), V, Reason::Expired).await;
    }
    for exp in [now + 1.0, now + 0.5, 253_402_300_799.0] {
        world.accepted(&u1().with("exp", exp)).await;
    }
    world.check(&u1().with("nbf", T + 61), V, Reason::NotYetValid).await;
    world.accepted(&u1().with("nbf", T + 60)).await;
    world.accepted(&u1().without("nbf").with("iat", T + 10_000)).await;
    world.accepted(&u1().with("iat", 0)).await;
}

/// spec: A19, A20, A27
#[tokio::test]
async fn times_of_a_custom_jwt() {
    let world = World::custom("RS256");
    for (claim, fine, refused, reason) in [
        ("exp", [T, T - 5], T - 6, Reason::Expired),
        ("nbf", [T, T + 5], T + 6, Reason::NotYetValid),
        ("iat", [0, T + 5], T + 6, Reason::IssuedInFuture),
    ] {
        for value in fine {
            world.accepted(&u1().with(claim, value)).await;
        }
        world.check(&u1().with(claim, refused), INVALID, reason).await;
    }
    let in_grace = world.verify(&u1().with("exp", T - 3)).await.unwrap();
    assert_eq!(in_grace.expires_at_ns, (T - 3) * 1_000_000_000, "a session finds it expired at once");
}

/// spec: A27
#[tokio::test]
async fn the_expiry_given_out_is_the_first_moment_at_which_the_token_is_refused() {
    let world = World::oidc();
    for (exp, expected_s) in [(json!(T + 60), T + 60), (json!(T as f64 + 30.25), T + 31)] {
        let verified = world.verify(&u1().with("exp", exp)).await.unwrap();
        assert_eq!(verified.expires_at_ns, expected_s * 1_000_000_000);
    }
    let token = u1().with("exp", T as f64 + 30.25);
    world.clock.advance_ms(30_999);
    world.accepted(&token).await;
    world.clock.advance_ms(1);
    world.check(&token, V, Reason::Expired).await;
}

#[tokio::test]
async fn absurd_numbers_are_refused_by_both_kinds() {
    for world in [World::oidc(), World::custom("RS256")] {
        for exp in [json!(1e15), json!(1e308), json!(u64::MAX), json!(-1), json!(T * 1000)] {
            world.check(&u1().with("exp", exp), INVALID, Reason::DateOutOfRange).await;
        }
        world.check(&u1().with("exp", "1755800060"), INVALID, Reason::ClaimMistyped).await;
    }
}

#[tokio::test]
async fn the_order_of_checks_is_that_of_the_reference() {
    let world = World::oidc();
    let mut token = u1().signed_by(&X).with("exp", 0).with("nbf", T + 1000).header("alg", "HS256");
    token = token.with("aud", json!(["convex", "x"])).header("cty", "x").header("typ", "x").without("iat");
    for (fixed, reason) in [
        (None, Reason::ClaimMissing),
        (Some(("iat", json!(0))), Reason::TypeRefused),
        (Some(("typ", json!("JWT"))), Reason::ContentTypeRefused),
        (Some(("cty", Value::Null)), Reason::ExtraAudience),
        (Some(("aud", json!("convex"))), Reason::AlgorithmRefused),
        (Some(("alg", json!("RS256"))), Reason::SignatureInvalid),
        (Some(("key", json!(1))), Reason::Expired),
        (Some(("exp", json!(T + 1))), Reason::NotYetValid),
    ] {
        token = match fixed {
            Some(("key", _)) => token.signed_by(&K1),
            Some((name @ ("typ" | "cty" | "alg"), value)) => token.header(name, value),
            Some((name, value)) => token.with(name, value),
            None => token,
        };
        assert_eq!(world.refused(&token).await.reason(), reason);
    }
}

#[tokio::test]
async fn no_client_in_production_learns_why_a_token_breaks_its_providers_rules() {
    let world = World::oidc();
    let tokens = [
        u1().signed_by(&X),
        u1().with("exp", T),
        u1().with("nbf", T + 1000),
        u1().header("kid", "zzz"),
        u1().header("alg", "HS256"),
        u1().header("typ", "at+jwt"),
        u1().header("crit", json!([])),
        u1().with("aud", json!(["convex", "x"])),
    ];
    let mut texts = Vec::new();
    for token in &tokens {
        texts.push(world.refused(token).await.client_text(Redaction::Redacted));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(!texts[0].contains("ins_") && !texts[0].contains(ISS));
}

/// spec: A69, A70
#[tokio::test]
async fn both_kinds_of_clerk_tokens_are_accepted_unchanged() {
    let world = World::oidc();
    let template = json!({
        "iss": ISS, "sub": "user_2abc", "aud": "convex", "azp": "http://localhost:5173", "iat": T, "nbf": T - 5,
        "exp": T + 60, "jti": "5f1e0c9d", "name": "Ada L", "given_name": "Ada", "family_name": "L", "nickname": null,
        "picture": "https://img.clerk.com/x", "email": "ada@example.test", "email_verified": true,
        "phone_number": null, "phone_number_verified": false, "updated_at": 1_755_770_400,
    });
    let session = json!({
        "iss": ISS, "sub": "user_2abc", "aud": "convex", "azp": "http://localhost:5173", "iat": T, "nbf": T - 10,
        "exp": T + 60, "jti": "5f1e0c9d", "sid": "sess_1", "v": 2, "fva": [1, -1], "sts": "active", "pla": "u:free",
        "fea": "", "o": {"id": "org_1", "slg": "acme", "rol": "admin", "per": "read", "fpm": "1"},
    });
    let of = |claims: &Value| {
        let empty = u1().claims_value().as_object().unwrap().keys().fold(u1(), |token, name| token.without(name));
        let token = empty.header("cat", "cl_B7d4PD222AAA").header("oiat", T);
        claims.as_object().unwrap().iter().fold(token, |token, (name, value)| token.with(name, value.clone()))
    };
    let identity = world.accepted(&of(&template)).await;
    assert_eq!(identity.token_identifier, format!("{ISS}|user_2abc"));
    assert_eq!((identity.name.as_deref(), &identity.nickname, &identity.phone_number), (Some("Ada L"), &None, &None));
    assert!(identity.custom.is_empty(), "{:?}", identity.custom);
    let identity = world.accepted(&of(&session)).await;
    assert_eq!(identity.name, None);
    assert_eq!(identity.custom["sid"], "\"sess_1\"");
    assert!(identity.custom["o"].contains(r#""rol":"admin""#));
}

#[tokio::test]
async fn a_renewed_token_makes_an_equal_identity() {
    for world in [World::oidc(), World::custom("RS256")] {
        let first = world.accepted(&u1()).await;
        world.clock.advance_s(50);
        let renewed = u1().with("iat", T + 50).with("nbf", T + 45).with("exp", T + 110).with("jti", "another");
        assert_eq!(world.accepted(&renewed).await, first);
    }
}

#[tokio::test]
async fn the_same_token_is_accepted_again_and_again() {
    let world = World::oidc();
    for _ in 0..3 {
        world.accepted(&u1()).await;
    }
}
