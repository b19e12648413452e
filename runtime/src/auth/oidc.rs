//! The rules of an OIDC ID token, in the order of the reference (`spec/auth.md` 2.2), with the deviations
//! D3, D4 and D5.

use super::UserIdentity;
use super::identity;
use super::jwk::{NoKey, Signing};
use super::jwt::{Claims, Header, Parts, is_encryption};
use super::keys::ProviderKeys;
use super::reason::{Check, Reason, Trail};
use super::rejection::{Rejection, shown};
use super::routing::found_audience;

/// How far in the future `nbf` may be, in seconds.
///
/// Source: `spec/auth.md` D3. The reference does not look at `nbf`; clocks differ by less than this.
const NOT_BEFORE_LEEWAY_S: f64 = 60.0;

/// D4: a schemeless issuer fits a provider, but is no issuer of an ID token.
pub(super) fn check_issuer_form(claims: &Claims<'_>, trail: &mut impl Trail) -> Result<(), Rejection> {
    if let Err(error) = url::Url::parse(&claims.iss) {
        let sentence = format!("The issuer {} of the token is not an absolute URL ({error}).", shown(&claims.iss));
        return Err(Rejection::invalid_header(Reason::IssuerNotAbsolute, sentence)
            .with_expected("an absolute URL")
            .with_found(shown(&claims.iss))
            .with_remedy("Let the issuer write its whole address into \"iss\", with https://."));
    }
    trail.passed(Check::IssuerForm, || ("an absolute URL".into(), shown(&claims.iss)));
    Ok(())
}

/// O3, second half: the token has to name its issuer exactly as the discovery document does.
pub(super) fn check_document_issuer(
    claims: &Claims<'_>,
    keys: &ProviderKeys,
    trail: &mut impl Trail,
) -> Result<(), Rejection> {
    let Some(issuer) = keys.issuer.as_deref() else { return Ok(()) };
    if issuer != claims.iss {
        return Err(Rejection::discovery_failed(Reason::DocumentIssuerMismatch, 400)
            .with_detail(format!(
                "Token issuer: {}, its discovery document says {}. Issuers differ only by a trailing slash.",
                shown(&claims.iss),
                shown(issuer)
            ))
            .with_expected(shown(issuer))
            .with_found(shown(&claims.iss))
            .with_remedy("The issuer has to use one spelling in its tokens and in its discovery document."));
    }
    trail.passed(Check::DocumentIssuer, || (shown(issuer), shown(&claims.iss)));
    Ok(())
}

/// O5: the claims every ID token has, and the types of those that OIDC defines.
pub(super) fn check_claims(claims: &Claims<'_>, trail: &mut impl Trail) -> Result<UserIdentity, Rejection> {
    for (name, present) in [("sub", claims.sub.is_some()), ("exp", claims.exp.is_some()), ("iat", claims.iat.is_some())]
    {
        if !present {
            return Err(claim_missing(name, "an OIDC ID token"));
        }
    }
    let identity = identity::of_oidc(claims)?;
    trail.passed(Check::KindClaims, || ("iss, sub, exp, iat".into(), "all".into()));
    Ok(identity)
}

/// O6 to O9: what can be said against a token before a key is looked for.
pub(super) fn check_rules(
    claims: &Claims<'_>,
    header: &Header,
    application_id: &str,
    trail: &mut impl Trail,
) -> Result<Signing, Rejection> {
    check_type(header, trail)?;
    if is_encryption(&header.alg) {
        return Err(algorithm_refused(header, "The token is encrypted"));
    }
    if let Some(other) = claims.audience().iter().find(|aud| *aud != application_id) {
        return Err(Rejection::unauthenticated(Reason::ExtraAudience)
            .with_detail(format!(
                "Token aud: {} holds {} besides {}.",
                found_audience(claims),
                shown(other),
                shown(application_id)
            ))
            .with_expected(format!("only {}", shown(application_id)))
            .with_found(found_audience(claims))
            .with_remedy("Let the issuer make tokens for this application alone."));
    }
    trail.passed(Check::OnlyAudience, || (format!("only {}", shown(application_id)), found_audience(claims)));
    match Signing::parse(&header.alg) {
        Some(signing @ (Signing::Rs256 | Signing::EdDsa)) => {
            trail.passed(Check::Algorithm, || ("RS256, EdDSA".into(), header.alg.clone()));
            Ok(signing)
        }
        Some(Signing::Es256) | None => Err(algorithm_refused(
            header,
            &format!("Algorithm {} is not allowed for this provider", shown(&header.alg)),
        )),
    }
}

fn algorithm_refused(header: &Header, what: &str) -> Rejection {
    Rejection::unauthenticated(Reason::AlgorithmRefused)
        .with_detail(format!("{what} (allowed: RS256, EdDSA)."))
        .with_expected("RS256 or EdDSA")
        .with_found(shown(&header.alg))
        .with_remedy("Let the issuer sign with RS256; for ES256, configure it as a customJwt provider.")
}

/// O6.
fn check_type(header: &Header, trail: &mut impl Trail) -> Result<(), Rejection> {
    if let Some(typ) = &header.typ {
        let name = typ.to_ascii_lowercase();
        let name = name.strip_prefix("application/").unwrap_or(&name);
        if !matches!(name, "jwt" | "jose") {
            return Err(Rejection::unauthenticated(Reason::TypeRefused)
                .with_detail(format!("The header's \"typ\" is {}, so this is another kind of token.", shown(typ)))
                .with_expected("JWT")
                .with_found(shown(typ))
                .with_remedy("Send the ID token, not the access token."));
        }
    }
    if let Some(cty) = &header.cty {
        return Err(Rejection::unauthenticated(Reason::ContentTypeRefused)
            .with_detail(format!("The header has \"cty\" {}: tokens inside tokens are not accepted.", shown(cty)))
            .with_expected("no \"cty\"")
            .with_found(shown(cty)));
    }
    check_critical(header, Rejection::unauthenticated)?;
    trail.passed(Check::Type, || ("JWT".into(), header.typ.as_deref().map_or_else(|| "no typ".into(), shown)));
    Ok(())
}

/// `crit` names extensions that must be understood; none is.
pub(super) fn check_critical(header: &Header, refuse: fn(Reason) -> Rejection) -> Result<(), Rejection> {
    if header.has_crit {
        return Err(refuse(Reason::CriticalRefused)
            .with_detail("The header has \"crit\", but no extension of tokens is known here.")
            .with_expected("no \"crit\"")
            .with_found("\"crit\""));
    }
    Ok(())
}

/// O10 and O11.
pub(super) fn check_signature(
    parts: &Parts<'_>,
    keys: &ProviderKeys,
    signing: Signing,
    about: &About<'_>,
    trail: &mut impl Trail,
) -> Result<(), Rejection> {
    let kid = parts.header.kid.as_deref();
    let key = keys.set.choose(kid, signing).map_err(|why| no_key(&why, kid, keys, signing, about))?;
    trail.passed(Check::Key, || (about.asked_for(kid), keys.set.describe()));
    if !key.verifies(parts.signed.as_bytes(), &parts.signature) {
        return Err(bad_signature(key.kid(), signing, Rejection::unauthenticated));
    }
    trail.passed(Check::Signature, || (signing.as_str().into(), "verifies".into()));
    Ok(())
}

/// What messages about keys need to know.
pub(super) struct About<'a> {
    pub issuer: &'a str,
    /// Seconds since the keys were fetched.
    pub keys_age_s: Option<u64>,
    pub refuse: fn(Reason) -> Rejection,
}

impl About<'_> {
    fn asked_for(&self, kid: Option<&str>) -> String {
        kid.map_or_else(|| "the only key".into(), |kid| format!("kid {}", shown(kid)))
    }
}

/// The refusal of a token that no key, or more than one, is for.
pub(super) fn no_key(
    why: &NoKey,
    kid: Option<&str>,
    keys: &ProviderKeys,
    signing: Signing,
    about: &About<'_>,
) -> Rejection {
    let has = keys.set.describe();
    let age = about.keys_age_s.map_or_else(String::new, |seconds| format!("; refetched {seconds} s ago"));
    let named = kid.map_or_else(|| "without a kid".to_owned(), |kid| format!("with kid {}", shown(kid)));
    let (reason, detail) = match (why, kid) {
        (NoKey::UnknownId, Some(kid)) => {
            (Reason::KeyIdUnknown, format!("kid {} not in JWKS of {} (has: {has}){age}.", shown(kid), about.issuer))
        }
        (NoKey::UnknownId, None) => (
            Reason::KeyUnfit,
            format!("JWKS of {} has no key for a token without kid (has: {has}){age}.", about.issuer),
        ),
        (NoKey::Unfit, _) => (
            Reason::KeyUnfit,
            format!("No key for a token {named} in JWKS of {} is one for {}.", about.issuer, signing.as_str()),
        ),
        (NoKey::Ambiguous(count), _) => (
            Reason::KeyAmbiguous,
            format!("{count} keys in JWKS of {} fit a token {named}, so none is chosen.", about.issuer),
        ),
    };
    (about.refuse)(reason)
        .with_detail(detail)
        .with_expected(has)
        .with_found(about.asked_for(kid))
        .with_remedy("The token may come from another instance of the issuer, or its keys have changed: sign in again.")
}

/// The refusal of a signature.
pub(super) fn bad_signature(kid: Option<&str>, signing: Signing, refuse: fn(Reason) -> Rejection) -> Rejection {
    let key = kid.map_or_else(|| "the only key".to_owned(), shown);
    let key = if kid.is_some() { format!("key {key}") } else { key };
    refuse(Reason::SignatureInvalid)
        .with_detail(format!("Signature does not verify with {key} ({}).", signing.as_str()))
        .with_expected(format!("a signature by {key}"))
        .with_found("another signature")
        .with_remedy("The token was changed on its way, or signed by somebody else.")
}

/// O12 and D3.
pub(super) fn check_times(claims: &Claims<'_>, now_s: u64, trail: &mut impl Trail) -> Result<(), Rejection> {
    let now = now_s as f64;
    if let Some(exp) = claims.exp {
        if now >= exp {
            return Err(expired(claims, exp, now_s, Rejection::unauthenticated));
        }
        trail.passed(Check::Expiry, || (format!("exp after {now_s}"), format!("exp {exp}")));
    }
    match claims.nbf {
        Some(nbf) if nbf > now + NOT_BEFORE_LEEWAY_S => {
            Err(too_early(Reason::NotYetValid, nbf, now_s, Rejection::unauthenticated))
        }
        nbf => {
            trail.passed(Check::NotBefore, || (format!("nbf at most {now_s} + 60"), optional(nbf)));
            Ok(())
        }
    }
}

/// A date that may be absent, for a table.
pub(super) fn optional(date: Option<f64>) -> String {
    date.map_or_else(|| "absent".to_owned(), |date| date.to_string())
}

/// The refusal of a token whose time is over.
pub(super) fn expired(claims: &Claims<'_>, exp: f64, now_s: u64, refuse: fn(Reason) -> Rejection) -> Rejection {
    let ago = (now_s as f64 - exp).ceil();
    let iat = claims.iat.map_or_else(String::new, |iat| format!(", iat {iat}"));
    refuse(Reason::Expired)
        .with_detail(format!("Token expired {ago} seconds ago (exp {exp}, server time {now_s}{iat})."))
        .with_expected(format!("exp after {now_s}"))
        .with_found(format!("exp {exp}"))
        .with_remedy(
            "Get a fresh token; if every token is expired on arrival, compare the clocks of issuer and server.",
        )
}

/// The refusal of a token whose time is still to come.
pub(super) fn too_early(reason: Reason, from: f64, now_s: u64, refuse: fn(Reason) -> Rejection) -> Rejection {
    let ahead = (from - now_s as f64).ceil();
    let detail = match reason {
        Reason::IssuedInFuture => {
            format!("Token is issued at {from}, {ahead} seconds from now; check the server clock.")
        }
        _ => format!("Token is valid from {from}, {ahead} seconds from now; check the server clock."),
    };
    refuse(reason).with_detail(detail).with_expected(format!("at most about {now_s}")).with_found(from.to_string())
}

/// The refusal of a token that lacks a claim.
pub(super) fn claim_missing(name: &str, kind: &str) -> Rejection {
    let sentence = format!("The token has no \"{name}\" claim, which {kind} needs.");
    Rejection::invalid_header(Reason::ClaimMissing, sentence).with_expected(format!("\"{name}\"")).with_found("none")
}
