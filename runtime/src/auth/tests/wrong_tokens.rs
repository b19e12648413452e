//! Wrong tokens, each by a name: `auth explain` names the reason, shows the check that found it, and says what was
//! expected and found. The others of this folder test rules; this is what people are told of them.

use serde_json::{Value, json};

use super::support::*;
use crate::auth::{Check, Outcome, Reason, Redaction, explain};

/// What the server is configured with.
#[derive(Clone, Copy)]
enum Configured {
    /// Provider P of section 10.
    Oidc,
    /// The same issuer as customJwt, RS256.
    CustomJwt,
    /// A Clerk production instance.
    Production,
    /// Nothing.
    Nobody,
}

/// A token and what has to be said of it.
pub struct Wrong {
    pub name: &'static str,
    pub token: String,
    configured: Configured,
    reason: Reason,
    check: Check,
    code: &'static str,
    says: &'static str,
}

macro_rules! wrong_tokens {
    ($($name:ident: $configured:ident, $token:expr => $reason:ident at $check:ident, $code:ident, $says:literal;)*) => {
        /// All of them.
        pub fn all() -> Vec<Wrong> {
            vec![$(Wrong {
                name: stringify!($name),
                token: $token,
                configured: Configured::$configured,
                reason: Reason::$reason,
                check: Check::$check,
                code: stringify!($code),
                says: $says,
            }),*]
        }
    };
}

wrong_tokens! {
    // The mistakes of people who set it up.
    iss_is_the_organisations_slug: Oidc, u1().with("iss", "acme").text()
        => IssuerMismatch at Issuer, NoAuthProvider, r#"Remove "iss" and "sub" from the claims of the template"#;
    iss_is_null_without_an_organisation: Oidc, u1().with("iss", Value::Null).text()
        => IssuerMissing at Issuer, InvalidAuthHeader, r#"do not set "iss" in a Clerk JWT template"#;
    iss_is_not_there: Oidc, u1().without("iss").text()
        => IssuerMissing at Issuer, InvalidAuthHeader, "https://quiet-ox-46.clerk.accounts.dev";
    plain_session_token: Oidc, u1().without("aud").text()
        => AudienceMissing at Audience, NoAuthProvider, r#"create a JWT template named "convex""#;
    aud_of_another_application: Oidc, u1().with("aud", "api").text()
        => AudienceMismatch at Audience, NoAuthProvider, r#"token aud: ["api"]; expected "convex"."#;
    aud_in_capitals: Oidc, u1().with("aud", "Convex").text()
        => AudienceMismatch at Audience, NoAuthProvider, r#"token aud: ["Convex"]; expected "convex"."#;
    aud_is_an_empty_list: Oidc, u1().with("aud", json!([])).text()
        => AudienceMismatch at Audience, NoAuthProvider, r#"expected "convex""#;
    aud_with_a_second_value: Oidc, u1().with("aud", json!(["convex", "x"])).text()
        => ExtraAudience at OnlyAudience, Unauthenticated, r#""x""#;
    development_token_for_a_production_config: Production, u1().text()
        => IssuerMismatch at Issuer, NoAuthProvider, "Clerk development instance but the config names a production";
    production_token_for_a_development_config: Oidc, u1().with("iss", "https://clerk.acme.dev").text()
        => IssuerMismatch at Issuer, NoAuthProvider, "Clerk production instance but the config names a development";
    another_development_instance: Oidc, u1().with("iss", "https://calm-owl-9.clerk.accounts.dev").text()
        => IssuerMismatch at Issuer, NoAuthProvider, r#""https://calm-owl-9.clerk.accounts.dev" (expected"#;
    nobody_is_configured: Nobody, u1().text()
        => NoProviders at Issuer, NoAuthProvider, "the list of providers is empty";
    http_instead_of_https: Oidc, u1().with("iss", ISS.replace("https", "http")).text()
        => IssuerMismatch at Issuer, NoAuthProvider, "Issuers differ only by the scheme";
    iss_without_scheme: Oidc, u1().with("iss", "quiet-ox-46.clerk.accounts.dev").text()
        => IssuerNotAbsolute at IssuerForm, InvalidAuthHeader, "absolute URL";
    iss_with_a_slash_at_its_end: Oidc, u1().with("iss", format!("{ISS}/")).text()
        => DocumentIssuerMismatch at DocumentIssuer, AuthProviderDiscoveryFailed, "differ only by a trailing slash";
    interpolated_boolean: Oidc, u1().with("email_verified", "true").text()
        => ClaimMistyped at KindClaims, InvalidAuthHeader, r#"Claim "email_verified" must be a boolean, got string."#;
    updated_at_is_no_date: Oidc, u1().with("updated_at", "yesterday").text()
        => ClaimMistyped at KindClaims, InvalidAuthHeader, r#""updated_at""#;
    address_is_a_text: Oidc, u1().with("address", "1 Main St").text()
        => ClaimMistyped at KindClaims, InvalidAuthHeader, r#"Claim "address" must be an object"#;
    expired: Oidc, u1().with("exp", T - 37).text()
        => Expired at Expiry, Unauthenticated, "Token expired 37 seconds ago (exp 1755799963";
    expires_this_second: Oidc, u1().with("exp", T).text()
        => Expired at Expiry, Unauthenticated, "Token expired 0 seconds ago";
    valid_only_later: Oidc, u1().with("nbf", T + 103).with("exp", T + 999).text()
        => NotYetValid at NotBefore, Unauthenticated, "103 seconds from now; check the server clock";
    milliseconds_instead_of_seconds: Oidc, u1().with("exp", (T + 60) * 1000).text()
        => DateOutOfRange at Claims, InvalidAuthHeader, r#""exp""#;
    key_of_another_instance: Oidc, u1().header("kid", "ins_A").text()
        => KeyIdUnknown at Key, Unauthenticated, r#"kid "ins_A" not in JWKS"#;
    access_token_instead_of_id_token: Oidc, u1().header("typ", "at+jwt").text()
        => TypeRefused at Type, Unauthenticated, "at+jwt";
    signed_with_a_shared_secret: Oidc, u1().header("alg", "HS256").text()
        => AlgorithmRefused at Algorithm, Unauthenticated, r#"Algorithm "HS256" is not allowed for this provider"#;
    // The mistakes of copying and pasting.
    nothing_at_all: Oidc, String::new()
        => PayloadUnreadable at Payload, InvalidAuthHeader, "no point in it";
    not_a_token: Oidc, "sk_test_a1b2c3".to_owned()
        => PayloadUnreadable at Payload, InvalidAuthHeader, "no point in it";
    only_the_payload_of_one: Oidc, u1().unsigned().split('.').nth(1).unwrap().to_owned()
        => PayloadUnreadable at Payload, InvalidAuthHeader, "no point in it";
    payload_is_no_json: Oidc, format!("{}.{}.c2ln", b64("{}"), b64("hello"))
        => PayloadUnreadable at Payload, InvalidAuthHeader, "not a JSON object";
    payload_in_standard_base64: Oidc, format!("{}.eyJ+/w==.c2ln", b64("{}"))
        => PayloadUnreadable at Payload, InvalidAuthHeader, "not base64url";
    signature_cut_off: Oidc, u1().unsigned()
        => PartsNotThree at Header, InvalidAuthHeader, "2 parts";
    encrypted: Oidc, format!("{}.{}.a.b.c", b64(r#"{"alg":"dir"}"#), u1().unsigned().split('.').nth(1).unwrap())
        => PartsNotThree at Header, InvalidAuthHeader, "5 parts";
    padded_with_equals_signs: Oidc, format!("{}=", u1().text())
        => SignatureUnreadable at Header, InvalidAuthHeader, "not base64url";
    too_long: Oidc, u1().with("x", "y".repeat(20_000)).text()
        => TokenTooLarge at Size, InvalidAuthHeader, "16384 bytes";
    // What an issuer does wrong.
    sub_is_not_there: Oidc, u1().without("sub").text()
        => ClaimMissing at KindClaims, InvalidAuthHeader, r#""sub""#;
    sub_is_empty: Oidc, u1().with("sub", "").text()
        => SubjectEmpty at Claims, InvalidAuthHeader, "names nobody";
    exp_is_not_there: Oidc, u1().without("exp").text()
        => ClaimMissing at KindClaims, InvalidAuthHeader, r#""exp""#;
    iat_is_not_there: Oidc, u1().without("iat").text()
        => ClaimMissing at KindClaims, InvalidAuthHeader, r#""iat""#;
    exp_is_a_text: Oidc, u1().with("exp", "soon").text()
        => ClaimMistyped at Claims, InvalidAuthHeader, r#""exp""#;
    nbf_is_negative: Oidc, u1().with("nbf", -1).text()
        => DateOutOfRange at Claims, InvalidAuthHeader, r#""nbf""#;
    aud_is_a_number: Oidc, u1().with("aud", 5).text()
        => ClaimMistyped at Claims, InvalidAuthHeader, r#""aud""#;
    iss_is_a_number: Oidc, u1().with("iss", 5).text()
        => ClaimMistyped at Claims, InvalidAuthHeader, r#""iss""#;
    iss_stands_twice: Oidc, format!("{}.{}.c2ln", b64(r#"{"alg":"RS256"}"#), b64(r#"{"iss":"a","iss":"b"}"#))
        => ClaimRepeated at Payload, InvalidAuthHeader, r#""iss" stands more than once"#;
    algorithm_of_another_family: Oidc, u1().header("alg", "EdDSA").text()
        => KeyUnfit at Key, Unauthenticated, "EdDSA";
    algorithm_in_small_letters: Oidc, u1().header("alg", "rs256").text()
        => HeaderUnreadable at Header, InvalidAuthHeader, r#""rs256" is not known"#;
    no_algorithm: Oidc, u1().without_header("alg").text()
        => HeaderUnreadable at Header, InvalidAuthHeader, r#"no "alg""#;
    another_token_inside: Oidc, u1().header("cty", "JWT").text()
        => ContentTypeRefused at Type, Unauthenticated, "JWT";
    unknown_extension: Oidc, u1().header("crit", json!(["b64"])).text()
        => CriticalRefused at Type, Unauthenticated, "crit";
    // What somebody else made.
    unsigned: Oidc, format!("{}.", u1().header("alg", "none").unsigned())
        => AlgorithmRefused at Algorithm, Unauthenticated, r#"Algorithm "none" is not allowed"#;
    signed_by_an_attacker: Oidc, u1().signed_by(&X).text()
        => SignatureInvalid at Signature, Unauthenticated, r#"Signature does not verify with key "ins_1" (RS256)."#;
    payload_exchanged: Oidc, {
        let (good, other) = (u1().text(), u1().with("sub", "admin").text());
        let parts: Vec<&str> = good.split('.').collect();
        format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2])
    } => SignatureInvalid at Signature, Unauthenticated, "Signature does not verify";
    look_alike_issuer: Oidc, u1().with("iss", format!("{ISS}@evil.dev")).text()
        => IssuerMismatch at Issuer, NoAuthProvider, "@evil.dev";
    // The other kind of provider.
    custom_without_kid: CustomJwt, u1().without_header("kid").text()
        => KeyIdMissing at Key, InvalidAuthHeader, r#"no "kid""#;
    custom_with_unknown_kid: CustomJwt, u1().header("kid", "zzz").text()
        => KeyIdUnknown at Key, InvalidAuthHeader, r#""zzz""#;
    custom_with_another_algorithm: CustomJwt, u1().header("alg", "PS256").text()
        => AlgorithmRefused at Algorithm, InvalidAuthHeader, r#""PS256""#;
    custom_expired: CustomJwt, u1().with("exp", T - 6).text()
        => Expired at Expiry, InvalidAuthHeader, "6 seconds ago";
    custom_issued_in_the_future: CustomJwt, u1().with("iat", T + 60).text()
        => IssuedInFuture at IssuedAt, InvalidAuthHeader, "60 seconds";
    custom_without_exp: CustomJwt, u1().without("exp").text()
        => ClaimMissing at KindClaims, InvalidAuthHeader, r#""exp""#;
    custom_signed_by_an_attacker: CustomJwt, u1().signed_by(&X).text()
        => SignatureInvalid at Signature, InvalidAuthHeader, "Signature does not verify";
}

impl Configured {
    fn world(self) -> World {
        match self {
            Configured::Oidc => World::oidc(),
            Configured::CustomJwt => World::custom("RS256"),
            Configured::Production => {
                World::new(&json!({"providers": [{"domain": "https://clerk.acme.dev", "applicationID": "convex"}]}))
            }
            Configured::Nobody => World::new(&json!({"providers": []})),
        }
    }
}

impl Wrong {
    /// What the command makes of it, where that is not what it has to be.
    async fn faults(&self) -> Vec<String> {
        let explanation = explain(&self.configured.world().verifier, &self.token).await;
        let Err(rejection) = &explanation.outcome else { return vec!["it is accepted".to_owned()] };
        let (text, rows) = (explanation.to_string(), &explanation.rows);
        let failed = rows.iter().position(|row| row.outcome == Outcome::Failed);
        let check = failed.map(|failed| rows[failed].check);
        let is_in_order = failed.is_some_and(|failed| {
            rows[..failed].iter().all(|row| row.outcome == Outcome::Passed)
                && rows[failed + 1..].iter().all(|row| row.outcome == Outcome::NotReached)
        });
        let head = format!("{} ({})", self.code, self.reason);
        let is_well = [
            (rejection.reason() == self.reason, format!("the reason is {}, not {}", rejection.reason(), self.reason)),
            (check == Some(self.check), format!("found by {check:?}, not {:?}", self.check)),
            (is_in_order, "passed before and not reached behind the one that fails".to_owned()),
            (text.contains(&head), format!("{head:?} is not said")),
            (text.contains(self.says), format!("{:?} is not said", self.says)),
            (text.matches('✗').count() == 1, "one ✗".to_owned()),
        ];
        is_well.into_iter().filter(|(is_well, _)| !is_well).map(|(_, fault)| format!("{fault}, in\n{text}")).collect()
    }
}

#[tokio::test]
async fn an_explanation_names_the_reason_of_every_wrong_token() {
    let wrong = all();
    assert!(wrong.len() >= 30);
    let mut faults = Vec::new();
    for wrong in wrong {
        let found = wrong.faults().await;
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", wrong.name)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What a client is told begins with the code, and in production holds nothing that the token does not.
///
/// spec: A24
#[tokio::test]
async fn every_wrong_token_has_its_code_for_clients() {
    for Wrong { name, token, configured, code, says, .. } in all() {
        let rejection = configured.world().refused_text(&token).await;
        let (full, redacted) =
            (rejection.client_text(Redaction::Development), rejection.client_text(Redaction::Redacted));
        assert!(full.starts_with(&redacted) && redacted.starts_with(&format!("{code}: ")), "{name}: {full}");
        assert!(full.contains(says), "{name}: {full}");
        assert!(!redacted.contains(ISS), "{name}: {redacted}");
    }
}
