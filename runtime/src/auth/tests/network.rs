//! Threats of `spec/auth.md` 9.3, and the life of keys (2.5), with an issuer that counts requests.

use futures::future::join_all;
use serde_json::json;

use super::support::*;
use crate::auth::{AddressRefusal, Class, FetchError, Reason, Rejection, Response};

const FAILED: &str = "AuthProviderDiscoveryFailed";

/// spec: A29
#[tokio::test]
async fn fresh_keys_need_no_request() {
    let world = World::oidc();
    for subject in 0..50 {
        world.accepted(&u1().with("sub", format!("user_{subject}"))).await;
    }
    assert_eq!(world.issuer.asked(), [DISCOVERY, JWKS]);
}

/// spec: A30
#[tokio::test]
async fn a_thousand_sockets_at_a_cold_start_make_one_request_each() {
    let world = World::oidc();
    let gate = world.issuer.hold();
    let texts: Vec<String> =
        (0..1_000).map(|n| if n < 20 { u1().with("sub", format!("u{n}")).text() } else { u1().text() }).collect();
    let all = join_all(texts.iter().map(|text| world.verifier.verify(text)));
    let release = async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(1_000);
    };
    let (outcomes, ()) = tokio::join!(all, release);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(world.issuer.asked(), [DISCOVERY, JWKS]);
}

#[tokio::test]
async fn a_fetch_that_nobody_waits_for_any_more_holds_up_no_other() {
    let world = World::oidc();
    let gate = world.issuer.hold();
    let text = u1().text();
    {
        let mut first = std::pin::pin!(world.verifier.verify(&text));
        assert!(futures::poll!(first.as_mut()).is_pending());
    }
    gate.add_permits(10);
    world.verifier.verify(&text).await.unwrap();
    assert_eq!(world.issuer.asked(), [DISCOVERY, DISCOVERY, JWKS]);
}

/// spec: A31
#[tokio::test]
async fn a_new_key_is_found_by_one_request_and_a_removed_one_is_refused() {
    let world = World::oidc();
    world.accepted(&u1()).await;
    world.issuer.asked();
    world.issuer.serve_keys(&[&K1, &K2], None);
    world.accepted(&u1().key(&K2)).await;
    assert_eq!(world.issuer.asked(), [JWKS]);
    world.accepted(&u1()).await;
    world.issuer.serve_keys(&[&K2], None);
    world.accepted(&u1()).await;
    world.clock.advance_s(600);
    let token = u1().with("exp", T + 3600);
    assert_eq!(world.refused(&token).await.reason(), Reason::KeyIdUnknown);
    world.accepted(&token.key(&K2)).await;
}

/// spec: A31
#[tokio::test]
async fn a_flood_of_unknown_key_ids_makes_one_request_each_half_minute() {
    let world = World::oidc();
    world.accepted(&u1()).await;
    world.issuer.asked();
    for period in 0..3 {
        for n in 0..200 {
            let token = u1().with("exp", T + 3600).header("kid", format!("{period}-{n}"));
            assert_eq!(world.refused(&token).await.reason(), Reason::KeyIdUnknown);
        }
        world.accepted(&u1().with("exp", T + 3600)).await;
        assert_eq!(world.issuer.asked(), [JWKS], "in period {period}");
        world.clock.advance_s(29);
        world.refused(&u1().with("exp", T + 3600).header("kid", "early")).await;
        assert_eq!(world.issuer.asked(), [""; 0]);
        world.clock.advance_s(1);
    }
}

#[tokio::test]
async fn the_only_key_of_tokens_without_key_id_may_change() {
    let world = World::oidc();
    let token = u1().without_header("kid");
    world.accepted(&token).await;
    world.issuer.asked();
    world.issuer.serve_keys(&[&K2], None);
    world.accepted(&token.clone().with("jti", "2").signed_by(&K2)).await;
    assert_eq!(world.issuer.asked(), [JWKS]);
    for n in 0..10 {
        world.refused(&token.clone().with("jti", n).with("jti", format!("{n}")).signed_by(&X)).await;
    }
    assert_eq!(world.issuer.asked(), [""; 0]);
}

/// spec: A32
#[tokio::test]
async fn keys_are_fresh_for_as_long_as_the_issuer_says_within_bounds() {
    for (cache_control, fresh_s) in [
        (None, 600),
        (Some("public"), 600),
        (Some("max-age=1"), 60),
        (Some("public, max-age=15, stale-while-revalidate=15, stale-if-error=86400"), 60),
        (Some("max-age=120"), 120),
        (Some("Max-Age=\"120\""), 120),
        (Some("max-age=86400"), 3600),
        (Some("max-age=99999999999999999999"), 600),
        (Some("no-store"), 60),
        (Some("max-age=3600, no-cache"), 60),
    ] {
        let world = World::oidc();
        world.issuer.serve_keys(&[&K1], cache_control);
        let token = u1().with("exp", T + 100_000);
        world.accepted(&token).await;
        world.issuer.asked();
        world.clock.advance_ms(fresh_s * 1000 - 1);
        world.accepted(&token).await;
        assert_eq!(world.issuer.asked(), [""; 0], "{cache_control:?}");
        world.clock.advance_ms(1);
        world.accepted(&token).await;
        assert_eq!(world.issuer.asked(), [DISCOVERY, JWKS], "{cache_control:?}");
    }
}

/// spec: A33
#[tokio::test]
async fn keys_outlive_an_outage_of_a_day() {
    let world = World::oidc();
    let token = u1().with("exp", T + 1_000_000);
    world.accepted(&token).await;
    world.issuer.serve(DISCOVERY, status(503));
    world.issuer.serve(JWKS, Err(FetchError::Transport("connection refused".to_owned())));
    for _ in 0..23 {
        world.clock.advance_s(3600);
        world.accepted(&token).await;
    }
    world.clock.advance_s(3599);
    world.accepted(&token).await;
    world.clock.advance_s(1);
    let rejection = world.refused(&token).await;
    assert_eq!((rejection.code(), rejection.class()), (FAILED, Class::Unavailable));
    world.issuer.serve(DISCOVERY, ok(&json!({"issuer": ISS, "jwks_uri": JWKS})));
    world.issuer.serve_keys(&[&K1], None);
    world.clock.advance_s(5);
    world.accepted(&token).await;
}

#[tokio::test]
async fn nobody_waits_twice_for_an_issuer_that_hangs() {
    let world = World::oidc();
    let token = u1().with("exp", T + 1_000_000);
    world.accepted(&token).await;
    world.issuer.serve(DISCOVERY, status(500));
    world.clock.advance_s(600);
    world.accepted(&token).await;
    world.clock.advance_s(5);
    let gate = world.issuer.hold();
    let text = token.text();
    let mut again = std::pin::pin!(world.verifier.verify(&text));
    assert!(futures::poll!(again.as_mut()).is_ready(), "the request goes on by itself");
    world.issuer.asked();
    world.issuer.serve(DISCOVERY, ok(&json!({"issuer": ISS, "jwks_uri": JWKS})));
    gate.add_permits(10);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    world.clock.advance_s(5);
    world.accepted(&token).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.issuer.asked(), [DISCOVERY, JWKS]);
    world.accepted(&token).await;
    assert_eq!(world.issuer.asked(), [""; 0], "fresh again");
}

/// spec: A36, A37
#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_signs_nobody_out() {
    let world = World::oidc();
    for failure in [
        Err(FetchError::Transport("connection refused".to_owned())),
        Err(FetchError::TimedOut),
        Err(FetchError::TooLarge(5)),
        Err(FetchError::TooManyRedirects(3)),
        Err(FetchError::Resolved(AddressRefusal::NotPublic("10.0.0.1".to_owned()))),
        status(500),
        status(503),
    ] {
        world.issuer.serve(DISCOVERY, failure);
        let rejection = world.refused(&u1()).await;
        assert_eq!((rejection.code(), rejection.class()), (FAILED, Class::Unavailable), "{rejection}");
        assert_eq!((rejection.http_status(), rejection.close_code()), (503, 1013));
        world.clock.advance_s(5);
    }
    world.issuer.serve(DISCOVERY, ok(&json!({"issuer": ISS, "jwks_uri": JWKS})));
    world.accepted(&u1()).await;
}

#[tokio::test]
async fn a_failure_is_remembered_for_five_seconds() {
    let world = World::oidc();
    world.issuer.serve(JWKS, status(503));
    for _ in 0..10 {
        world.refused(&u1()).await;
    }
    assert_eq!(world.issuer.asked(), [DISCOVERY, JWKS]);
    world.clock.advance_ms(4_999);
    world.refused(&u1()).await;
    assert_eq!(world.issuer.asked(), [""; 0]);
    world.clock.advance_ms(1);
    world.refused(&u1()).await;
    assert_eq!(world.issuer.asked(), [DISCOVERY, JWKS]);
}

/// spec: A37
#[tokio::test]
async fn a_token_with_a_new_key_is_not_refused_while_the_issuer_is_down() {
    let world = World::oidc();
    world.accepted(&u1()).await;
    world.issuer.serve(JWKS, Err(FetchError::TimedOut));
    for _ in 0..3 {
        let rejection = world.refused(&u1().key(&K2)).await;
        assert_eq!((rejection.code(), rejection.class()), (FAILED, Class::Unavailable));
        world.accepted(&u1()).await;
        world.clock.advance_s(6);
    }
    world.issuer.serve_keys(&[&K1, &K2], None);
    world.clock.advance_s(12);
    world.accepted(&u1().key(&K2)).await;
}

#[tokio::test]
async fn answers_that_cannot_be_used_have_the_classes_of_the_reference() {
    let text = |body: &str| Ok(Response { status: 200, body: body.as_bytes().to_vec(), ..Response::default() });
    let html = Response { content_type: Some("text/html".to_owned()), ..ok(&json!({})).unwrap() };
    let other = ok(&json!({"issuer": "https://other.dev", "jwks_uri": JWKS}));
    let plain = |url: &str| ok(&json!({"issuer": ISS, "jwks_uri": url}));
    for (answer, http_status, class, close_code) in [
        (text("no json"), 400, Class::Rejected, 1005),
        (text("[]"), 400, Class::Rejected, 1005),
        (ok(&json!({"issuer": ISS})), 400, Class::Rejected, 1005),
        (ok(&json!({"issuer": 5, "jwks_uri": JWKS})), 400, Class::Rejected, 1005),
        (other, 400, Class::Rejected, 1005),
        (plain("not a url"), 400, Class::Rejected, 1005),
        (Ok(html), 400, Class::Rejected, 1005),
        (status(400), 400, Class::Rejected, 1005),
        (status(410), 400, Class::Rejected, 1005),
        (status(201), 400, Class::Rejected, 1005),
        (status(401), 401, Class::Rejected, 1005),
        (status(403), 403, Class::Rejected, 1005),
        (status(404), 404, Class::Unavailable, 1000),
        (status(429), 429, Class::Unavailable, 1013),
        (status(500), 503, Class::Unavailable, 1013),
    ] {
        let world = World::oidc();
        world.issuer.serve(DISCOVERY, answer);
        let rejection = world.refused(&u1()).await;
        let found = (rejection.code(), rejection.http_status(), rejection.class(), rejection.close_code());
        assert_eq!(found, (FAILED, http_status, class, close_code), "{rejection}");
        assert!(rejection.to_string().contains(DISCOVERY) && rejection.to_string().contains(ISS), "{rejection}");
    }
}

#[tokio::test]
async fn a_message_repeats_only_the_beginning_of_an_answer() {
    let world = World::oidc();
    let body = vec![b'x'; 100_000];
    world.issuer.serve(DISCOVERY, Ok(Response { status: 500, body, ..Response::default() }));
    let text = world.refused(&u1()).await.to_string();
    assert!(
        text.contains("status 500") && text.contains(&"x".repeat(200)) && !text.contains(&"x".repeat(201)),
        "{text}"
    );
}

#[tokio::test]
async fn media_types_of_oidc_documents_may_be_absent() {
    let world = World::oidc();
    for (url, content_type, accepted) in [
        (DISCOVERY, None, true),
        (DISCOVERY, Some("application/json; charset=utf-8"), true),
        (DISCOVERY, Some("application/jwk-set+json"), false),
        (JWKS, None, true),
        (JWKS, Some("application/jwk-set+json"), true),
        (JWKS, Some("text/plain"), false),
    ] {
        let fresh = World::oidc();
        let good = if url == DISCOVERY { json!({"issuer": ISS, "jwks_uri": JWKS}) } else { jwks(&[&K1]) };
        let answer = Response { content_type: content_type.map(str::to_owned), ..ok(&good).unwrap() };
        fresh.issuer.serve(url, Ok(answer));
        assert_eq!(fresh.verify(&u1()).await.is_ok(), accepted, "{url} {content_type:?}");
    }
    drop(world);
}

/// spec: A79
#[tokio::test]
async fn a_thousand_sessions_that_renew_each_minute_ask_the_issuer_for_refreshes_only() {
    let world = World::oidc();
    world.issuer.serve_keys(&[&D1], None);
    for minute in 0..21 {
        let now = world.clock.now_s();
        let renewed = u1().key(&D1).with("iat", now).with("nbf", now - 5).with("exp", now + 60);
        for session in 0..1_000 {
            world.accepted(&renewed.clone().with("sub", format!("user_{session}"))).await;
        }
        let expected: &[&str] = if minute % 10 == 0 { &[DISCOVERY, JWKS] } else { &[] };
        assert_eq!(world.issuer.asked(), expected, "in minute {minute}: one refresh each ten minutes");
        world.clock.advance_s(60);
    }
}

#[tokio::test]
async fn providers_can_be_checked_without_a_token() {
    let world = World::new(&json!({"providers": [
        {"domain": ISS, "applicationID": "convex"},
        {"domain": "https://other.dev", "applicationID": "convex"},
        {"type": "customJwt", "issuer": ISS, "algorithm": "RS256", "jwks": data_url(&jwks(&[&K1, &K2]))},
    ]}));
    let date = Some("Thu, 21 Aug 2025 18:12:20 GMT".to_owned());
    world.issuer.serve(JWKS, Ok(Response { date, ..ok(&jwks(&[&K1])).unwrap() }));
    let [first, second, third] = &world.verifier.check_providers().await[..] else { panic!("three were configured") };
    assert_eq!((first.keys.as_deref(), first.clock_ahead_s), (Ok("\"ins_1\""), Some(T as i64 - 1_755_799_940)));
    assert_eq!(second.keys.as_ref().unwrap_err().http_status(), 404);
    assert_eq!((third.keys.as_deref(), third.clock_ahead_s), (Ok("\"ins_1\", \"ins_2\""), None));
    world.accepted(&u1()).await;
    assert_eq!(world.issuer.asked().iter().filter(|url| *url == JWKS).count(), 1, "what was fetched is used");
}

/// The real fetch: addresses are checked before anything is sent.
mod addresses {
    use std::sync::Arc;

    use super::*;
    use crate::auth::{HttpFetch, Verifier};

    async fn refused_by_http(domain: &str, insecure: bool) -> Rejection {
        let mut config = auth_config(&json!({"providers": [{"domain": domain, "applicationID": "convex"}]}));
        config.allow_insecure_issuers = insecure;
        let verifier = Verifier::new(config, Arc::new(HttpFetch::default()), HandClock::new());
        verifier.verify(&u1().with("iss", domain).text()).await.unwrap_err()
    }

    /// spec: A3, A35
    #[tokio::test]
    async fn private_addresses_and_plain_http_are_not_asked() {
        for domain in ["http://id.acme.dev", "https://10.0.0.1", "http://169.254.169.254", "https://[::ffff:10.0.0.1]"]
        {
            let rejection = refused_by_http(domain, false).await;
            assert_eq!(rejection.reason(), Reason::AddressRefused, "{rejection}");
            assert_eq!((rejection.class(), rejection.http_status()), (Class::Rejected, 400));
        }
        for (domain, insecure) in
            [("http://127.0.0.1:1", false), ("http://[::1]:1", true), ("http://localhost:1", false)]
        {
            let rejection = refused_by_http(domain, insecure).await;
            assert_eq!(rejection.reason(), Reason::ProviderUnreachable, "asked, and nobody there: {rejection}");
        }
    }
}
