//! Threats of `spec/auth.md` 9.1: tokens that somebody else made.

use aws_lc_rs::hmac;
use base64::Engine as _;
use serde_json::{Value, json};

use super::support::*;
use crate::auth::Reason;

const V: &str = "Unauthenticated";
const INVALID: &str = "InvalidAuthHeader";

/// spec: A12
#[tokio::test]
async fn oidc_allows_rs256_and_ed_dsa_and_nothing_else() {
    let world = World::oidc();
    world.issuer.serve_keys(&[&K1, &E1, &D1], None);
    world.accepted(&u1()).await;
    world.accepted(&u1().key(&D1)).await;
    world.check(&u1().key(&E1), V, Reason::AlgorithmRefused).await;
    for alg in ["RS384", "PS256"] {
        world.check(&u1().header("alg", alg), V, Reason::AlgorithmRefused).await;
    }
    world.check(&u1().header("alg", "EdDSA"), V, Reason::KeyUnfit).await;
}

/// spec: A12
#[tokio::test]
async fn custom_jwt_allows_the_one_algorithm_of_its_configuration() {
    let (rs, es) = (World::custom("RS256"), World::custom("ES256"));
    rs.accepted(&u1()).await;
    es.accepted(&u1().key(&E1)).await;
    rs.check(&u1().key(&E1), INVALID, Reason::KeyUnfit).await;
    es.check(&u1(), INVALID, Reason::KeyUnfit).await;
    es.check(&u1().key(&D1), INVALID, Reason::KeyUnfit).await;
    rs.check(&u1().header("alg", "PS256"), INVALID, Reason::AlgorithmRefused).await;
    rs.check(&u1().header("alg", "ES256"), INVALID, Reason::AlgorithmRefused).await;
}

/// spec: A13
#[tokio::test]
async fn no_spelling_of_none_is_accepted() {
    for world in [World::oidc(), World::custom("RS256")] {
        for alg in ["none", "None", "NONE", "nOnE"] {
            for token in [u1().header("alg", alg), u1().header("alg", alg).without_header("kid")] {
                for signature in ["", "AAAA"] {
                    let rejection = world.refused_text(&format!("{}.{signature}", token.unsigned())).await;
                    assert!([V, INVALID].contains(&rejection.code()), "{rejection}");
                }
            }
        }
    }
    World::oidc().check(&u1().header("alg", "none"), V, Reason::AlgorithmRefused).await;
    World::oidc().check(&u1().header("alg", "NONE"), INVALID, Reason::HeaderUnreadable).await;
}

/// spec: A13
#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let jwk = K1.jwk();
    let modulus = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let secrets = [modulus, jwk.to_string().into_bytes(), jwks(&[&K1]).to_string().into_bytes()];
    for world in [World::oidc(), World::custom("RS256")] {
        for alg in ["HS256", "HS384", "HS512"] {
            for secret in &secrets {
                let unsigned = u1().header("alg", alg).unsigned();
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                let token = format!("{unsigned}.{}", b64(hmac::sign(&key, unsigned.as_bytes())));
                assert_eq!(world.refused_text(&token).await.reason(), Reason::AlgorithmRefused);
            }
        }
    }
}

#[tokio::test]
async fn a_key_id_is_compared_and_nothing_else_is_done_with_it() {
    for (world, code) in [(World::oidc(), V), (World::custom("RS256"), INVALID)] {
        for kid in ["../../etc/passwd", "' OR 1=1 --", "", "INS_1", "ins_1\n"] {
            world.check(&u1().header("kid", kid), code, Reason::KeyIdUnknown).await;
        }
        let rejection = world.refused(&u1().header("kid", "a\n\u{1b}[2J")).await;
        assert!(rejection.to_string().contains(r"a\n\u{1b}[2J") && !rejection.to_string().contains('\n'));
        for kid in [json!(5), json!(["ins_1"]), json!({"a": 1})] {
            world.check(&u1().header("kid", kid), INVALID, Reason::HeaderUnreadable).await;
        }
        let long = "k".repeat(100_000);
        world.check(&u1().header("kid", long), INVALID, Reason::TokenTooLarge).await;
        let long = world.refused(&u1().header("kid", "k".repeat(8_000))).await;
        assert!(long.to_string().len() < 1_000, "{long}");
    }
}

/// spec: A14
#[tokio::test]
async fn keys_that_a_token_brings_along_are_not_used() {
    for world in [World::oidc(), World::custom("RS256")] {
        world.accepted(&u1()).await;
        world.issuer.asked();
        for (name, value) in [
            ("jwk", X.jwk()),
            ("jku", json!("https://evil.example/keys")),
            ("x5u", json!("https://evil.example/cert")),
            ("x5c", json!(["MIIB"])),
        ] {
            let forged = u1().header(name, value.clone()).signed_by(&X);
            assert_eq!(world.refused(&forged).await.reason(), Reason::SignatureInvalid, "{name}");
            world.accepted(&u1().header(name, value)).await;
        }
        assert_eq!(world.issuer.asked(), [""; 0]);
    }
}

/// spec: A22
#[tokio::test]
async fn keys_under_one_id_are_ambiguous() {
    for order in [[&*K1, &*X], [&*X, &*K1]] {
        let world = World::oidc();
        world.issuer.serve_keys(&order, None);
        world.check(&u1(), V, Reason::KeyAmbiguous).await;
        let world = World::new(&custom_config("RS256", &data_url(&jwks(&order))));
        world.check(&u1(), INVALID, Reason::KeyAmbiguous).await;
    }
}

fn changed(mut jwk: Value, changes: &[(&str, Value)]) -> Value {
    for (name, value) in changes {
        jwk[*name] = value.clone();
    }
    jwk
}

/// spec: A22, A23
#[tokio::test]
async fn keys_that_cannot_be_used_are_left_out_and_spoil_no_other() {
    let weak = b64([&[0x80], &[1; 127][..]].concat());
    let unusable = [
        json!(null),
        json!(5),
        json!({}),
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "ins_1"}),
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "ins_1", "alg": "HS256"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "ins_1"}),
        json!({"kty": "unheard-of", "kid": "ins_1"}),
        changed(K1.jwk(), &[("use", json!("enc"))]),
        changed(K1.jwk(), &[("use", json!(5))]),
        changed(K1.jwk(), &[("kid", json!(5))]),
        changed(K1.jwk(), &[("alg", json!("RS512"))]),
        changed(K1.jwk(), &[("d", json!("AQAB"))]),
        changed(K1.jwk(), &[("n", json!(weak))]),
        changed(K1.jwk(), &[("n", json!("@"))]),
        changed(K1.jwk(), &[("n", json!(""))]),
        changed(K1.jwk(), &[("e", json!("AQ"))]),
        changed(K1.jwk(), &[("e", json!("Ag"))]),
        changed(K1.jwk(), &[("e", json!(""))]),
        changed(E1.jwk(), &[("kid", json!("ins_1")), ("x", json!(b64([1; 32])))]),
        changed(E1.jwk(), &[("kid", json!("ins_1")), ("x", json!(b64([1; 31])))]),
        changed(D1.jwk(), &[("kid", json!("ins_1")), ("x", json!("AAAA"))]),
    ];
    for bad in &unusable {
        let alone = json!({"keys": [bad]});
        let beside = json!({"keys": [bad, K1.jwk(), E1.jwk()]});
        for token in [u1(), u1().without_header("kid")] {
            let world = World::oidc();
            world.issuer.serve(JWKS, ok(&alone));
            let reason = world.refused(&token).await.reason();
            assert!([Reason::KeyIdUnknown, Reason::KeyUnfit].contains(&reason), "{bad}: {reason}");
            let world = World::oidc();
            world.issuer.serve(JWKS, ok(&beside));
            world.accepted(&token).await;
        }
        let world = World::new(&custom_config("RS256", &data_url(&alone)));
        world.refused(&u1()).await;
        let world = World::new(&custom_config("RS256", &data_url(&beside)));
        world.accepted(&u1()).await;
    }
}

/// spec: A21
#[tokio::test]
async fn a_token_without_key_id_needs_exactly_one_key_that_fits() {
    let world = World::oidc();
    let token = u1().without_header("kid");
    world.accepted(&token).await;
    for (keys, outcome) in [
        (&[&*K1, &*E1, &*D1][..], None),
        (&[&*K1, &*K2], Some(Reason::KeyAmbiguous)),
        (&[&*E1], Some(Reason::KeyUnfit)),
        (&[], Some(Reason::KeyUnfit)),
        (&[&*K2], Some(Reason::SignatureInvalid)),
    ] {
        let world = World::oidc();
        world.issuer.serve_keys(keys, None);
        match outcome {
            None => drop(world.accepted(&token).await),
            Some(reason) => world.check(&token, V, reason).await,
        }
    }
    World::custom("RS256").check(&token, INVALID, Reason::KeyIdMissing).await;
}

#[tokio::test]
async fn a_key_without_id_is_not_the_one_that_a_token_names() {
    let mut nameless = K1.jwk();
    nameless.as_object_mut().unwrap().remove("kid");
    let world = World::oidc();
    world.issuer.serve(JWKS, ok(&json!({"keys": [nameless]})));
    world.check(&u1(), V, Reason::KeyIdUnknown).await;
    world.accepted(&u1().without_header("kid")).await;
}

#[tokio::test]
async fn signatures_have_one_form() {
    let world = World::custom("ES256");
    let token = u1().key(&E1);
    let text = token.text();
    let (unsigned, signature) = text.rsplit_once('.').unwrap();
    let raw = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert_eq!(raw.len(), 64);
    let integer = |bytes: &[u8]| [&[2, 33, 0], bytes].concat();
    let der = [vec![0x30, 70], integer(&raw[..32]), integer(&raw[32..])].concat();
    for bad in [der, vec![0; 64], vec![], raw[..63].to_vec(), [&raw[..], &[0]].concat()] {
        world.check_text(&format!("{unsigned}.{}", b64(bad)), INVALID, Reason::SignatureInvalid).await;
    }
    world.verifier.verify(&text).await.unwrap();
}

#[tokio::test]
async fn a_changed_token_is_not_the_signed_one() {
    let world = World::oidc();
    world.check(&u1().signed_by(&X), V, Reason::SignatureInvalid).await;
    let (good, other) = (u1().text(), u1().with("sub", "user_2").text());
    let payload = other.split('.').nth(1).unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    world.check_text(&format!("{}.{payload}.{}", parts[0], parts[2]), V, Reason::SignatureInvalid).await;
    for changed in [format!("{good}="), format!("{good} "), format!("{good}\n"), format!("{good}.")] {
        assert_eq!(world.refused_text(&changed).await.code(), INVALID, "{changed:?}");
    }
    world.check_text(&format!("{}.{}", parts[0], parts[1]), INVALID, Reason::PartsNotThree).await;
}

/// spec: A16
#[tokio::test]
async fn other_kinds_of_tokens_are_refused() {
    let world = World::oidc();
    for typ in ["JWT", "jwt", "application/jwt", "JOSE", "Application/JOSE"] {
        world.accepted(&u1().header("typ", typ)).await;
    }
    world.accepted(&u1().without_header("typ")).await;
    for typ in ["at+jwt", "application/at+jwt", "logout+jwt", ""] {
        world.check(&u1().header("typ", typ), V, Reason::TypeRefused).await;
    }
    world.check(&u1().header("cty", "JWT"), V, Reason::ContentTypeRefused).await;
    world.check(&u1().header("crit", json!(["exp"])), V, Reason::CriticalRefused).await;
    for alg in ["RSA-OAEP", "dir", "A128KW", "ECDH-ES+A256KW"] {
        world.check(&u1().header("alg", alg), V, Reason::AlgorithmRefused).await;
    }
    let custom = World::custom("RS256");
    custom.accepted(&u1().header("typ", "at+jwt").header("cty", "JWT")).await;
    custom.check(&u1().header("crit", json!(["exp"])), INVALID, Reason::CriticalRefused).await;
}

/// spec: A15
#[tokio::test]
async fn header_members_of_clerk_are_ignored() {
    for world in [World::oidc(), World::custom("RS256")] {
        world
            .accepted(&u1().header("oiat", 1_713_158_400).header("cat", "cl_B7d4PD222AAA").header("new", json!([])))
            .await;
    }
}

/// Tokens of a library that nobody here wrote are accepted, and it accepts ours.
#[tokio::test]
async fn another_library_agrees() {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, encode};
    let world = World::oidc();
    world.issuer.serve_keys(&[&K1, &D1], None);
    for (alg, kid, key) in [
        (Algorithm::RS256, K1.kid, EncodingKey::from_rsa_der(&K1.private_der())),
        (Algorithm::EdDSA, D1.kid, EncodingKey::from_ed_der(&D1.private_der())),
    ] {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(alg) };
        let token = encode(&header, &u1().claims_value(), &key).unwrap();
        assert_eq!(world.verifier.verify(&token).await.unwrap().identity.subject, "user_1");
    }
    let header = Header { kid: Some(E1.kid.to_owned()), ..Header::new(Algorithm::ES256) };
    let token = encode(&header, &u1().claims_value(), &EncodingKey::from_ec_der(&E1.private_der())).unwrap();
    World::custom("ES256").verifier.verify(&token).await.unwrap();

    let jwk = K1.jwk();
    let key = DecodingKey::from_rsa_components(jwk["n"].as_str().unwrap(), jwk["e"].as_str().unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.set_audience(&["convex"]);
    jsonwebtoken::decode::<Value>(u1().text(), &key, &validation).unwrap();
}

/// spec: A25
#[tokio::test]
async fn no_mutilated_token_or_key_set_makes_the_verifier_panic() {
    let (oidc, custom) = (World::oidc(), World::custom("RS256"));
    let text = u1().text();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % bound
    };
    let pieces = [".", "=", "\"", "{", "}", "[", "null", "1e999", "-", "\\ud800", "é", "\0", "eyJ", "AAAA"];
    for _ in 0..2_000 {
        let mut token = text.clone();
        for _ in 0..=random(3) {
            let at = random(token.len() + 1);
            let at = (0..=at).rev().find(|at| token.is_char_boundary(*at)).unwrap_or(0);
            match random(3) {
                0 => token.insert_str(at, pieces[random(pieces.len())]),
                1 => token.truncate(at),
                _ => drop(token.split_off(at)),
            }
        }
        for world in [&oidc, &custom] {
            assert_eq!(world.verifier.verify(&token).await.is_ok(), token == text, "{token}");
        }
    }
    let set = jwks(&[&K1, &E1, &D1]).to_string();
    for _ in 0..2_000 {
        let mut text = set.clone();
        let at = random(text.len());
        text.replace_range(at..at + 1, pieces[random(pieces.len())]);
        drop(crate::auth::KeySet::parse(&text));
    }
}
