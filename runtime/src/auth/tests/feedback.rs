//! What people are told: the diagnostics of `spec/auth.md` 5.4, the explanation of a token, and the log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use super::support::*;
use super::wrong_tokens;
use crate::auth::{Check, Outcome, Redaction, explain, record};

async fn check_text(world: &World, token: &TestToken, code: &str, parts: &[&str]) {
    let rejection = world.refused(token).await;
    let (full, redacted) = (rejection.client_text(Redaction::Development), rejection.client_text(Redaction::Redacted));
    for part in parts {
        assert!(full.contains(part), "{part}\n  is not in\n{full}");
        assert!(!redacted.contains(part), "{redacted}");
    }
    assert!(full.starts_with(&redacted) && redacted.starts_with(&format!("{code}: ")), "{redacted}");
    assert!(!full.contains(&token.text()[..40]), "the token is in {full}");
}

/// spec: A71
#[tokio::test]
async fn a_token_from_elsewhere_is_told_what_is_configured_in_development() {
    let oidc = World::oidc();
    let no_provider = "NoAuthProvider";
    check_text(&oidc, &u1().with("iss", "acme"), no_provider, &[
        "Token issuer: \"acme\" (expected \"https://quiet-ox-46.clerk.accounts.dev\"). Hint: do not set \"iss\" in a \
         Clerk JWT template; Clerk fills it in.",
        "Remove \"iss\" and \"sub\" from the claims of the template (Clerk Dashboard, Configure, JWT templates)",
        "oidc \"https://quiet-ox-46.clerk.accounts.dev\" with applicationID \"convex\"",
    ])
    .await;
    check_text(&oidc, &u1().without("iss"), "InvalidAuthHeader", &["do not set \"iss\"", ISS]).await;
    check_text(
        &oidc,
        &u1().without("aud"),
        no_provider,
        &["Issuer matched, but the token has no \"aud\" (expected \"convex\"). Hint: this looks like a plain Clerk \
         session token; create a JWT template named \"convex\" or enable the Convex integration."],
    )
    .await;
    check_text(
        &oidc,
        &u1().with("aud", json!(["https://api"])),
        no_provider,
        &["Issuer matched; token aud: [\"https://api\"]; expected \"convex\"."],
    )
    .await;
    let http = u1().with("iss", ISS.replace("https", "http"));
    check_text(&oidc, &http, no_provider, &["Issuers differ only by the scheme"]).await;
    let production =
        World::new(&json!({"providers": [{"domain": "https://clerk.acme.dev", "applicationID": "convex"}]}));
    check_text(
        &production,
        &u1(),
        no_provider,
        &["Token comes from a Clerk development instance but the config names a production instance."],
    )
    .await;
    let empty = World::new(&json!({"providers": []}));
    check_text(&empty, &u1(), no_provider, &["the list of providers is empty", "\"auth.config\""]).await;
}

/// spec: A71
#[tokio::test]
async fn a_token_that_breaks_a_rule_is_told_which_in_development() {
    let oidc = World::oidc();
    oidc.clock.advance_s(97);
    check_text(
        &oidc,
        &u1(),
        "Unauthenticated",
        &["Token expired 37 seconds ago (exp 1755800060, server time 1755800097, iat 1755800000)."],
    )
    .await;
    let later = u1().with("exp", T + 1000).with("nbf", T + 200);
    check_text(
        &oidc,
        &later,
        "Unauthenticated",
        &["Token is valid from 1755800200, 103 seconds from now; check the server clock."],
    )
    .await;
    let fresh = u1().with("exp", T + 1000);
    check_text(
        &oidc,
        &fresh.clone().signed_by(&X),
        "Unauthenticated",
        &["Signature does not verify with key \"ins_1\" (RS256)."],
    )
    .await;
    check_text(
        &oidc,
        &fresh.clone().header("alg", "HS256"),
        "Unauthenticated",
        &["Algorithm \"HS256\" is not allowed for this provider (allowed: RS256, EdDSA)."],
    )
    .await;
    oidc.clock.advance_s(2);
    check_text(
        &oidc,
        &fresh.clone().header("kid", "ins_A"),
        "Unauthenticated",
        &["kid \"ins_A\" not in JWKS of https://quiet-ox-46.clerk.accounts.dev (has: \"ins_1\"); refetched 0 s ago."],
    )
    .await;
    oidc.clock.advance_s(2);
    check_text(&oidc, &fresh.clone().header("kid", "ins_A"), "Unauthenticated", &["refetched 2 s ago."]).await;
}

/// spec: A71
#[tokio::test]
async fn a_mistyped_claim_is_named_in_production_too() {
    let rejection = World::oidc().refused(&u1().with("email_verified", "true")).await;
    assert_eq!(
        rejection.client_text(Redaction::Redacted),
        "InvalidAuthHeader: Claim \"email_verified\" must be a boolean, got string."
    );
}

#[tokio::test]
async fn an_explanation_of_the_template_with_an_organisations_slug_reads_well() {
    let world = World::oidc();
    let token = u1().with("iss", "acme");
    let text = explain(&world.verifier, &token.text()).await.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("header  {") && lines[1].starts_with("claims  {") && lines[2].is_empty(), "{text}");
    let lines = &lines[3..];
    assert_eq!(lines[3], "✗ issuer is configured          \"https://quiet-ox-46.clerk.accounts.dev\"  \"acme\"");
    assert_eq!(lines[4], "· audience is configured");
    assert!(lines.iter().any(|line| line.starts_with("NoAuthProvider (issuer_mismatch): ")), "{text}");
    assert!(text.contains("Remove \"iss\" and \"sub\""), "{text}");
}

#[tokio::test]
async fn an_explanation_of_a_good_token_has_every_check_passed() {
    for (world, checks) in [(World::oidc(), Check::OIDC), (World::custom("RS256"), Check::CUSTOM_JWT)] {
        let explanation = explain(&world.verifier, &u1().text()).await;
        assert!(explanation.rows.iter().all(|row| row.outcome == Outcome::Passed), "{explanation}");
        assert_eq!(explanation.rows.iter().map(|row| row.check).collect::<Vec<_>>(), checks);
        assert!(explanation.is_accepted() && explanation.summary().contains("|user_1"), "{explanation}");
        assert!(explanation.payload.unwrap().contains("\"user_1\""));
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Everything that is logged while `tokens` are verified and recorded, one line of JSON each.
async fn logged(world: &World, tokens: &[String]) -> String {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for token in tokens {
        record(&world.verifier.verify(token).await);
    }
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn each_authentication_has_a_log_line_with_what_matters() {
    let world = World::oidc();
    let tokens = [u1().with("sub", "user_2abc"), u1().with("sub", "user_2abc").with("iss", "acme")];
    let text = logged(&world, &tokens.map(|token| token.text())).await;
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["fields"].clone()).collect();
    let accepted = lines.iter().find(|line| line["outcome"] == "accepted").unwrap();
    for (name, value) in [("issuer", json!(ISS)), ("audience", json!("convex")), ("subject", json!("...2abc"))] {
        assert_eq!(accepted[name], value);
    }
    assert_eq!(accepted["expires_in_s"], json!(60));
    let refused = lines.iter().find(|line| line["outcome"] == "refused").unwrap();
    for (name, value) in [
        ("reason", json!("issuer_mismatch")),
        ("code", json!("NoAuthProvider")),
        ("issuer", json!("acme")),
        ("found", json!("\"acme\"")),
        ("expected", json!(format!("\"{ISS}\""))),
        ("subject", json!("...2abc")),
    ] {
        assert_eq!(refused[name], value);
    }
}

/// spec: A72
#[tokio::test]
async fn no_part_of_a_token_or_key_is_logged() {
    let world = World::oidc();
    let mut tokens: Vec<String> = wrong_tokens::all().into_iter().map(|wrong| wrong.token).collect();
    tokens.push(u1().text());
    let text = logged(&world, &tokens).await;
    assert!(text.lines().count() > tokens.len() / 2);
    for token in &tokens {
        for part in token.split('.').filter(|part| part.len() > 7 && part.is_ascii()) {
            assert!(!text.contains(&part[part.len() - 8..]), "{part}");
        }
    }
    assert!(!text.contains(K1.jwk()["n"].as_str().unwrap()));
    assert!(!text.contains("ada@example.test") && !text.contains("user_1"), "only the tail of a subject");
}

/// The seed: a template by hand, with `{"aud": "convex", "iss": "{{org.slug}}", "sub": "{{user.id}}"}`, whose log said
/// only that there is no identity. Each place that somebody looks at says what is wrong, and where to mend it.
///
/// spec: A71, HS19
#[tokio::test]
async fn a_template_that_sets_what_clerk_sets_is_explained_wherever_one_looks() {
    let world = World::oidc();
    let token = u1().with("iss", "acme").with("sub", "user_2abc").without("name").without("email");
    let log = logged(&world, &[token.text()]).await;
    let console = world.refused(&token).await.client_text(Redaction::Development);
    let explanation = explain(&world.verifier, &token.text()).await.to_string();
    for (place, text) in [("log", log.replace('\\', "")), ("console", console), ("explanation", explanation)] {
        for part in [
            "\"acme\"",
            "\"https://quiet-ox-46.clerk.accounts.dev\"",
            "Remove \"iss\" and \"sub\" from the claims of the template",
            "Clerk sets both itself",
            "(Clerk Dashboard, Configure, JWT templates)",
        ] {
            assert!(text.contains(part), "{part}\n  is not in the {place}:\n{text}");
        }
    }
    let redacted = world.refused(&token).await.client_text(Redaction::Redacted);
    assert_eq!(redacted, "NoAuthProvider: No configured provider fits the token.");
}
