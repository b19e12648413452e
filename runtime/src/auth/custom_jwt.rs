//! The rules of a token of a customJwt provider, in the order of the reference (`spec/auth.md` 2.3), with the
//! deviations D6, D7 and D11. Issuer and audience need no second look (J5, J6): the provider was chosen by both.

use super::UserIdentity;
use super::identity;
use super::jwk::{Key, NoKey, Signing};
use super::jwt::{Claims, Header, Parts};
use super::keys::ProviderKeys;
use super::oidc::{About, bad_signature, check_critical, claim_missing, expired, no_key, optional, too_early};
use super::reason::{Check, Reason, Trail};
use super::rejection::{Rejection, shown};

/// How far `exp`, `nbf` and `iat` may be on the wrong side of now, in seconds.
///
/// Source: `spec/auth.md` J7. It helps over HTTP only: a session checks `exp` again without it.
pub(super) const LEEWAY_S: f64 = 5.0;

/// The one sentence for every token with a key id that no key verifies: production tells no more.
pub(super) fn not_verified(reason: Reason) -> Rejection {
    Rejection::invalid_header(reason, "No key of the provider verifies the token.")
}

fn outside_its_time(reason: Reason) -> Rejection {
    let sentence = match reason {
        Reason::Expired => "The token has expired.",
        _ => "The token is not valid yet.",
    };
    Rejection::invalid_header(reason, sentence)
}

/// J4, but for the key.
pub(super) fn check_header<'h>(header: &'h Header, about: &About<'_>) -> Result<&'h str, Rejection> {
    check_critical(header, about.refuse)?;
    header.kid.as_deref().ok_or_else(|| {
        let sentence = "The header of the token has no \"kid\", which a customJwt provider needs to choose the key.";
        Rejection::invalid_header(Reason::KeyIdMissing, sentence)
            .with_expected("a header with a \"kid\"")
            .with_found("none")
            .with_remedy("Let the issuer write the id of its key into the header.")
    })
}

/// J4: the key by its id, then its algorithm, then the signature.
pub(super) fn check_signature(
    parts: &Parts<'_>,
    keys: &ProviderKeys,
    signing: Signing,
    about: &About<'_>,
    trail: &mut impl Trail,
) -> Result<(), Rejection> {
    let kid = check_header(&parts.header, about)?;
    let key = choose(keys, kid, signing, about)?;
    trail.passed(Check::Key, || (format!("kid {}", shown(kid)), keys.set.describe()));
    if Signing::parse(&parts.header.alg) != Some(signing) {
        return Err((about.refuse)(Reason::AlgorithmRefused)
            .with_detail(format!(
                "Algorithm {} is not allowed for this provider (allowed: {}).",
                shown(&parts.header.alg),
                signing.as_str()
            ))
            .with_expected(signing.as_str())
            .with_found(shown(&parts.header.alg))
            .with_remedy("The algorithm of the auth config has to be the one the issuer signs with."));
    }
    trail.passed(Check::Algorithm, || (signing.as_str().into(), parts.header.alg.clone()));
    if !key.verifies(parts.signed.as_bytes(), &parts.signature) {
        return Err(bad_signature(Some(kid), signing, about.refuse));
    }
    trail.passed(Check::Signature, || (signing.as_str().into(), "verifies".into()));
    Ok(())
}

fn choose<'k>(keys: &'k ProviderKeys, kid: &str, signing: Signing, about: &About<'_>) -> Result<&'k Key, Rejection> {
    keys.set.choose(Some(kid), signing).map_err(|why: NoKey| no_key(&why, Some(kid), keys, signing, about))
}

/// J7.
pub(super) fn check_times(claims: &Claims<'_>, now_s: u64, trail: &mut impl Trail) -> Result<(), Rejection> {
    let now = now_s as f64;
    match claims.exp {
        Some(exp) if now - exp > LEEWAY_S => return Err(expired(claims, exp, now_s, outside_its_time)),
        exp => trail.passed(Check::Expiry, || (format!("exp at least {now_s} - 5"), optional(exp))),
    }
    for (date, check, reason) in
        [(claims.nbf, Check::NotBefore, Reason::NotYetValid), (claims.iat, Check::IssuedAt, Reason::IssuedInFuture)]
    {
        match date {
            Some(from) if from - now > LEEWAY_S => return Err(too_early(reason, from, now_s, outside_its_time)),
            date => trail.passed(check, || (format!("at most {now_s} + 5"), optional(date))),
        }
    }
    Ok(())
}

/// J8, and the identity.
pub(super) fn check_claims(claims: &Claims<'_>, trail: &mut impl Trail) -> Result<UserIdentity, Rejection> {
    for (name, present) in [("sub", claims.sub.is_some()), ("exp", claims.exp.is_some())] {
        if !present {
            return Err(claim_missing(name, "a token of a customJwt provider"));
        }
    }
    trail.passed(Check::KindClaims, || ("iss, sub, exp".into(), "all".into()));
    let identity = identity::of_custom_jwt(claims)?;
    trail.passed(Check::Identity, || ("claims of bounded size".into(), identity.token_identifier.clone()));
    Ok(identity)
}
