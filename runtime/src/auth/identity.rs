//! From the claims of a verified token to the identity that functions see (`spec/auth.md` 3.1 to 3.4).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
pub use syncline_functions::auth::UserIdentity;

use super::json::{Members, kind_of};
use super::jwt::{Claims, TOKEN_BYTES_MAX, mistyped};
use super::reason::Reason;
use super::rejection::{Rejection, shown};

/// How large the flattened claims of one token may grow, names and values together, in bytes.
///
/// Flattening repeats the names of outer objects for each value inside: without a bound, a token of 16 KiB
/// could become 50 MiB. Real tokens grow by a few percent.
const FLATTENED_BYTES_MAX: usize = 4 * TOKEN_BYTES_MAX;

/// Claims of the protocol, which are no attributes of a person: dropped for OIDC. Most of them differ with each
/// refresh and would make every refresh a new identity.
const OIDC_DROPPED: [&str; 17] = [
    "iss",
    "sub",
    "exp",
    "iat",
    "aud",
    "azp",
    "nonce",
    "acr",
    "amr",
    "auth_time",
    "at_hash",
    "c_hash",
    "jti",
    "nbf",
    "fva",
    "middle_name",
    "birthday",
];

/// The standard claims of OIDC that are texts.
const OIDC_TEXTS: [&str; 14] = [
    "name",
    "given_name",
    "family_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "email",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
];

/// The standard claims of OIDC with other types.
const OIDC_OTHERS: [&str; 4] = ["email_verified", "phone_number_verified", "address", "updated_at"];

/// What a customJwt token loses: the registered claims, and `fva`, which differs with each refresh.
const CUSTOM_DROPPED: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "fva"];

/// Names of computed fields, which no claim may take (D2).
const RESERVED: [&str; 21] = [
    "tokenIdentifier",
    "subject",
    "issuer",
    "name",
    "nickname",
    "email",
    "gender",
    "givenName",
    "familyName",
    "preferredUsername",
    "profileUrl",
    "pictureUrl",
    "websiteUrl",
    "birthday",
    "timezone",
    "language",
    "phoneNumber",
    "emailVerified",
    "phoneNumberVerified",
    "address",
    "updatedAt",
];

/// Reserved names that are legal claims of a customJwt token, because nothing is computed for them there.
const CUSTOM_LEGAL: [&str; 5] = ["name", "email", "nickname", "gender", "address"];

/// The identity of an OIDC token: standard claims under their names of 3.2, all others as they are.
///
/// # Errors
/// `InvalidAuthHeader` when a standard claim has the wrong type (O5).
pub(super) fn of_oidc(claims: &Claims<'_>) -> Result<UserIdentity, Rejection> {
    let members = &claims.members;
    let text = |name| members.text(name).map_err(|found| mistyped(name, "a string", found));
    let boolean = |name| members.boolean(name).map_err(|found| mistyped(name, "a boolean", found));
    let identity = UserIdentity {
        name: text("name")?,
        given_name: text("given_name")?,
        family_name: text("family_name")?,
        nickname: text("nickname")?,
        preferred_username: text("preferred_username")?,
        profile_url: text("profile")?,
        picture_url: text("picture")?,
        website_url: text("website")?,
        email: text("email")?,
        gender: text("gender")?,
        birthday: text("birthdate")?,
        timezone: text("zoneinfo")?,
        language: text("locale")?,
        phone_number: text("phone_number")?,
        address: address(members)?,
        updated_at: updated_at(members)?,
        email_verified: boolean("email_verified")?,
        phone_number_verified: boolean("phone_number_verified")?,
        ..nobody(claims)
    };
    let mut custom = BTreeMap::new();
    for (name, value) in members.iter() {
        if OIDC_DROPPED.contains(&name) || is_standard(name) {
            continue;
        }
        if RESERVED.contains(&name) {
            warn_of_reserved(claims, name);
            continue;
        }
        custom.insert(name.to_owned(), value.to_owned());
    }
    Ok(UserIdentity { custom, ..identity })
}

/// The identity of a customJwt token: every claim under its own name, objects flattened with points.
///
/// # Errors
/// `InvalidAuthHeader` when the flattened claims are too large.
pub(super) fn of_custom_jwt(claims: &Claims<'_>) -> Result<UserIdentity, Rejection> {
    let mut flat = Flat { custom: BTreeMap::new(), bytes: 0 };
    for (name, value) in claims.members.iter() {
        if CUSTOM_DROPPED.contains(&name) {
            continue;
        }
        if RESERVED.contains(&name) && !CUSTOM_LEGAL.contains(&name) {
            warn_of_reserved(claims, name);
            continue;
        }
        flat.add(name, value)?;
    }
    let mut identity = nobody(claims);
    // A legal text under one of these names looks the same to clients in either place, and functions in Rust
    // find it where they find that of any other user.
    for (name, field) in [
        ("name", &mut identity.name),
        ("email", &mut identity.email),
        ("nickname", &mut identity.nickname),
        ("gender", &mut identity.gender),
        ("address", &mut identity.address),
    ] {
        *field = flat.custom.get(name).and_then(|value| serde_json::from_str::<String>(value).ok());
        if field.is_some() {
            flat.custom.remove(name);
        }
    }
    Ok(UserIdentity { custom: flat.custom, ..identity })
}

/// Issuer and subject, and nothing else.
fn nobody(claims: &Claims<'_>) -> UserIdentity {
    let subject = claims.sub.clone().unwrap_or_default();
    UserIdentity {
        token_identifier: format!("{}|{subject}", claims.iss),
        subject,
        issuer: claims.iss.clone(),
        ..UserIdentity::default()
    }
}

/// Whether a claim is a standard one, language tags (`name#fr`) included.
fn is_standard(name: &str) -> bool {
    let base = name.split_once('#').map_or(name, |(base, _)| base);
    OIDC_TEXTS.contains(&base) || OIDC_OTHERS.contains(&name)
}

/// Warns once for each name: an issuer that sends such a claim sends it with every token.
fn warn_of_reserved(claims: &Claims<'_>, name: &str) {
    static WARNED: AtomicU32 = AtomicU32::new(0);
    let bit = RESERVED.iter().position(|reserved| *reserved == name).map_or(0, |position| 1 << position);
    if WARNED.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        tracing::warn!(
            issuer = %shown(&claims.iss),
            claim = name,
            "a claim is left out of identities, because a computed field has its name"
        );
    }
}

/// Only `formatted` of an address is surfaced.
fn address(members: &Members<'_>) -> Result<Option<String>, Rejection> {
    let Some(value) = members.get("address") else { return Ok(None) };
    let Ok(parts) = Members::parse(value, &[]) else {
        return Err(mistyped("address", "an object", kind_of(value)));
    };
    parts.text("formatted").map_err(|found| mistyped("address.formatted", "a string", found))
}

/// Seconds or an RFC 3339 text, always as RFC 3339 in UTC with `+00:00`.
fn updated_at(members: &Members<'_>) -> Result<Option<String>, Rejection> {
    const EXPECTED: &str = "seconds since 1970 or an RFC 3339 text";
    let Some(value) = members.get("updated_at") else { return Ok(None) };
    let instant = match kind_of(value) {
        "number" => serde_json::from_str(value).ok().and_then(from_seconds),
        "string" => serde_json::from_str::<String>(value).ok().and_then(|text| text.parse().ok()),
        other => return Err(mistyped("updated_at", EXPECTED, other)),
    };
    let instant = instant.filter(|instant: &Timestamp| *instant >= Timestamp::UNIX_EPOCH || value.starts_with('"'));
    match instant {
        Some(instant) => Ok(Some(rfc_3339(instant))),
        None => Err(mistyped("updated_at", EXPECTED, &format!("the {} {}", kind_of(value), shown(value)))),
    }
}

fn from_seconds(seconds: f64) -> Option<Timestamp> {
    // Microseconds: the fraction of a double at today's dates holds no more.
    let micros = (seconds * 1e6).round();
    if micros.abs() < 1e18 { Timestamp::from_microsecond(micros as i64).ok() } else { None }
}

/// Date and time with as many of 0, 3, 6 or 9 digits of a second as it takes.
fn rfc_3339(instant: Timestamp) -> String {
    let nanos = instant.subsec_nanosecond();
    let fraction = match nanos {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => format!(".{:06}", n / 1_000),
        n => format!(".{n:09}"),
    };
    format!("{}{fraction}+00:00", instant.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// Claims under flattened names, and how much room they take.
struct Flat {
    custom: BTreeMap<String, String>,
    bytes: usize,
}

impl Flat {
    /// Adds a claim, and of an object each member under `name.member`. Objects in arrays stay;
    /// an object without members leaves nothing. Nesting is bounded by [`super::json::DEPTH_MAX`].
    fn add(&mut self, name: &str, value: &str) -> Result<(), Rejection> {
        if kind_of(value) == "object"
            && let Ok(members) = Members::parse(value, &[])
        {
            return members.iter().try_for_each(|(inner, value)| self.add(&format!("{name}.{inner}"), value));
        }
        self.bytes += name.len() + value.len();
        if self.bytes > FLATTENED_BYTES_MAX {
            let sentence = format!(
                "The claims of the token take more than {FLATTENED_BYTES_MAX} bytes when nested objects are flattened."
            );
            return Err(Rejection::invalid_header(Reason::ClaimsTooLarge, sentence)
                .with_expected(format!("at most {FLATTENED_BYTES_MAX} bytes"))
                .with_remedy("Use shorter names for the outer objects, or fewer nested claims."));
        }
        self.custom.insert(name.to_owned(), value.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::super::jwt::Token;
    use super::super::reason::NoTrail;
    use super::*;

    const ISS: &str = "https://quiet-ox-46.clerk.accounts.dev";

    type Mapping = fn(&Claims<'_>) -> Result<UserIdentity, Rejection>;

    fn map(mapping: Mapping, claims: &str) -> Result<UserIdentity, Rejection> {
        let payload = format!(r#"{{"iss":"{ISS}","sub":"user_2abc"{claims}}}"#);
        let text = format!("e30.{}.", URL_SAFE_NO_PAD.encode(payload));
        let token = Token::decode(&text, &mut NoTrail).unwrap();
        mapping(&token.claims(&mut NoTrail).unwrap())
    }

    fn check(mapping: Mapping, claims: &str, expected: impl FnOnce(&mut UserIdentity)) {
        let mut identity = map(mapping, "").unwrap();
        expected(&mut identity);
        assert_eq!(map(mapping, claims).unwrap(), identity, "{claims}");
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn custom(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// spec: A38
    #[test]
    fn the_token_identifier_is_issuer_bar_subject_as_they_are() {
        for mapping in [of_oidc, of_custom_jwt] {
            let identity = map(mapping, "").unwrap();
            assert_eq!(identity.token_identifier, "https://quiet-ox-46.clerk.accounts.dev|user_2abc");
            assert_eq!((identity.issuer.as_str(), identity.subject.as_str()), (ISS, "user_2abc"));
        }
    }

    /// spec: A39
    #[test]
    fn standard_claims_of_oidc_have_their_fields() {
        check(
            of_oidc,
            r#","name":"Ada L","given_name":"Ada","family_name":"L","nickname":"ada","preferred_username":"al",
               "profile":"p","picture":"i","website":"w","email":"ada@example.test","gender":"f",
               "birthdate":"1815-12-10","zoneinfo":"Europe/London","locale":"en","phone_number":"+44",
               "email_verified":true,"phone_number_verified":false,
               "address":{"formatted":"12 St James's Square","country":"UK"},"updated_at":1704164645"#,
            |identity| {
                identity.name = some("Ada L");
                identity.given_name = some("Ada");
                identity.family_name = some("L");
                identity.nickname = some("ada");
                identity.preferred_username = some("al");
                identity.profile_url = some("p");
                identity.picture_url = some("i");
                identity.website_url = some("w");
                identity.email = some("ada@example.test");
                identity.gender = some("f");
                identity.birthday = some("1815-12-10");
                identity.timezone = some("Europe/London");
                identity.language = some("en");
                identity.phone_number = some("+44");
                identity.email_verified = Some(true);
                identity.phone_number_verified = Some(false);
                identity.address = some("12 St James's Square");
                identity.updated_at = some("2024-01-02T03:04:05+00:00");
            },
        );
    }

    /// spec: A39, A70
    #[test]
    fn nulls_and_language_tags_of_standard_claims_leave_nothing() {
        let nulls = r#","name":null,"nickname":null,"phone_number":null,"email_verified":null,"address":null,
                       "updated_at":null,"name#fr":"Adèle","given_name#ja-Kana-JP":"x""#;
        check(of_oidc, nulls, |_| {});
    }

    #[test]
    fn mistyped_standard_claims_fail_an_oidc_token() {
        for (claims, part) in [
            (r#","name":5"#, "Claim \"name\" must be a string, got number."),
            (r#","email_verified":"true""#, "Claim \"email_verified\" must be a boolean, got string."),
            (r#","phone_number_verified":1"#, "got number"),
            (r#","address":"x""#, "Claim \"address\" must be an object, got string."),
            (r#","address":{"formatted":5}"#, "\"address.formatted\""),
            (r#","updated_at":"yesterday""#, "seconds since 1970"),
            (r#","updated_at":true"#, "got boolean"),
            (r#","updated_at":1e300"#, "1e300"),
            (r#","updated_at":-1"#, "-1"),
            (r#","updated_at":1755770400000"#, "1755770400000"),
        ] {
            let rejection = map(of_oidc, claims).unwrap_err();
            assert_eq!(rejection.reason(), Reason::ClaimMistyped);
            assert!(rejection.to_string().contains(part), "{claims}: {rejection}");
        }
        assert!(map(of_custom_jwt, r#","name":5,"email_verified":"true","address":"x""#).is_ok());
    }

    /// spec: A40
    #[test]
    fn updated_at_comes_out_as_rfc_3339() {
        for (value, expected) in [
            ("1704164645", "2024-01-02T03:04:05+00:00"),
            ("1704164645.5", "2024-01-02T03:04:05.500+00:00"),
            ("0", "1970-01-01T00:00:00+00:00"),
            (r#""2024-01-02T03:04:05Z""#, "2024-01-02T03:04:05+00:00"),
            (r#""2024-01-02T03:04:05.123456+02:00""#, "2024-01-02T01:04:05.123456+00:00"),
            (r#""2024-01-02T03:04:05.000000001Z""#, "2024-01-02T03:04:05.000000001+00:00"),
            (r#""1969-01-02T03:04:05Z""#, "1969-01-02T03:04:05+00:00"),
        ] {
            check(of_oidc, &format!(r#","updated_at":{value}"#), |identity| identity.updated_at = some(expected));
        }
    }

    /// spec: A41
    #[test]
    fn claims_of_the_protocol_leave_no_trace() {
        let claims = r#","exp":1,"iat":1,"aud":"convex","azp":"x","nonce":"n","acr":"0","amr":["pwd"],"auth_time":1,
                        "at_hash":"h","c_hash":"h","jti":"j","nbf":1,"fva":[1,-1],"middle_name":"M","birthday":"B""#;
        check(of_oidc, claims, |_| {});
        check(of_custom_jwt, r#","exp":1,"nbf":1,"iat":1,"aud":"x","jti":"j","fva":[1]"#, |_| {});
        check(of_custom_jwt, r#","azp":"x","nonce":"n","acr":"0","auth_time":1"#, |identity| {
            identity.custom = custom(&[("acr", "\"0\""), ("auth_time", "1"), ("azp", "\"x\""), ("nonce", "\"n\"")]);
        });
    }

    /// spec: A42
    #[test]
    fn nested_claims_stay_for_oidc_and_are_flattened_for_custom_jwt() {
        let claims = r#","meta":{"a":{"b":[1,{"c":2}],"e":{}},"n":1.50},"org_role":"admin","none":null,"empty":{}"#;
        check(of_oidc, claims, |identity| {
            identity.custom = custom(&[
                ("empty", "{}"),
                ("meta", r#"{"a":{"b":[1,{"c":2}],"e":{}},"n":1.50}"#),
                ("none", "null"),
                ("org_role", "\"admin\""),
            ]);
        });
        check(of_custom_jwt, claims, |identity| {
            identity.custom = custom(&[
                ("meta.a.b", r#"[1,{"c":2}]"#),
                ("meta.n", "1.50"),
                ("none", "null"),
                ("org_role", "\"admin\""),
            ]);
        });
    }

    #[test]
    fn standard_claims_of_custom_jwt_keep_their_raw_names() {
        let claims =
            r#","given_name":"Ada","email_verified":"yes","picture":5,"name":"Ada L","email":["a"],"gender":null"#;
        check(of_custom_jwt, claims, |identity| {
            identity.name = some("Ada L");
            identity.custom = custom(&[
                ("email", r#"["a"]"#),
                ("email_verified", "\"yes\""),
                ("gender", "null"),
                ("given_name", "\"Ada\""),
                ("picture", "5"),
            ]);
        });
    }

    /// spec: A43
    #[test]
    fn no_claim_takes_the_place_of_a_computed_field() {
        let claims = r#","tokenIdentifier":"https://evil|x","subject":"x","issuer":"https://evil","givenName":"x",
                        "emailVerified":true,"updatedAt":"x","profileUrl":"x","__proto__":{"a":1},"constructor":1"#;
        check(of_oidc, claims, |identity| {
            identity.custom = custom(&[("__proto__", r#"{"a":1}"#), ("constructor", "1")]);
        });
        check(of_custom_jwt, claims, |identity| {
            identity.custom = custom(&[("__proto__.a", "1"), ("constructor", "1")]);
        });
        check(of_custom_jwt, r#","token":{"Identifier":"x"}"#, |identity| {
            identity.custom = custom(&[("token.Identifier", "\"x\"")]);
        });
    }

    #[test]
    fn flattening_is_bounded() {
        let inner: Vec<String> = (0..500).map(|n| format!("\"{n}\":1")).collect();
        let claims = format!(r#","{}":{{{}}}"#, "k".repeat(4000), inner.join(","));
        assert!(map(of_oidc, &claims).is_ok());
        assert_eq!(map(of_custom_jwt, &claims).unwrap_err().reason(), Reason::ClaimsTooLarge);
        let deep = format!(r#","a":{}1{}"#, r#"{"a":"#.repeat(120), "}".repeat(120));
        assert_eq!(map(of_custom_jwt, &deep).unwrap().custom.len(), 1);
    }
}
