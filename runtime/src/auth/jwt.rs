//! Takes a token apart: size, parts, header and the registered claims, without looking at any key
//! (`spec/auth.md` R1 to R3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::json::{DEPTH_MAX, Members, ObjectError};
use super::reason::{Check, Reason, Trail};
use super::rejection::{Rejection, TokenFacts, shown};

/// The longest token that is looked at, in bytes.
///
/// Source: `spec/auth.md` D9. Clerk's tokens have about one KiB; HTTP servers limit a header to 8 or 16 KiB.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The latest date a token may name, in seconds: the end of the year 9999.
///
/// Source: `spec/auth.md` D1.
const DATE_MAX_S: f64 = 253_402_300_799.0;

/// The claims that may stand only once.
const REGISTERED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// The header members that may stand only once.
const HEADER: [&str; 5] = ["alg", "kid", "typ", "cty", "crit"];

/// A token whose payload is decoded, but not yet read.
pub(super) struct Token<'a> {
    text: &'a str,
    payload: String,
}

impl<'a> Token<'a> {
    /// Decodes the part between the first two points. Whether there are three parts is asked later.
    ///
    /// # Errors
    /// `InvalidAuthHeader`, at size or payload.
    pub(super) fn decode(text: &'a str, trail: &mut impl Trail) -> Result<Self, Rejection> {
        if text.len() > TOKEN_BYTES_MAX {
            let sentence = format!("The token is longer than {TOKEN_BYTES_MAX} bytes.");
            return Err(Rejection::invalid_header(Reason::TokenTooLarge, sentence)
                .with_expected(format!("at most {TOKEN_BYTES_MAX} bytes"))
                .with_found(format!("{} bytes", text.len())));
        }
        trail.passed(Check::Size, || (format!("at most {TOKEN_BYTES_MAX} bytes"), format!("{} bytes", text.len())));
        let Some(part) = text.split('.').nth(1) else {
            return Err(payload_unreadable("it has no payload, because there is no point in it", "1 part"));
        };
        let bytes = decode_base64(part)
            .map_err(|_| payload_unreadable("its payload is not base64url without padding", "other characters"))?;
        let payload = String::from_utf8(bytes)
            .map_err(|_| payload_unreadable("its payload is not UTF-8", "bytes that are no text"))?;
        Ok(Self { text, payload })
    }

    /// The decoded payload.
    pub(super) fn payload(&self) -> &str {
        &self.payload
    }

    /// The decoded header, when it is text at all.
    pub(super) fn header(&self) -> Option<String> {
        let bytes = decode_base64(self.text.split('.').next()?).ok()?;
        String::from_utf8(bytes).ok()
    }

    /// Reads the claims; `now_s` only serves the facts for the log.
    ///
    /// # Errors
    /// `InvalidAuthHeader`: the payload is no object, or a registered claim has another type than it must have.
    pub(super) fn claims(&self, trail: &mut impl Trail) -> Result<Claims<'_>, Rejection> {
        let members = Members::parse(&self.payload, &REGISTERED).map_err(|error| match error {
            ObjectError::TooDeep => {
                payload_unreadable(&format!("its payload is nested deeper than {DEPTH_MAX} levels"), "deeper nesting")
            }
            ObjectError::Malformed(why) => {
                payload_unreadable(&format!("its payload is not a JSON object ({why})"), &why)
            }
            ObjectError::Repeated(name) => {
                let sentence = format!("The token cannot be read: the claim \"{name}\" stands more than once.");
                Rejection::invalid_header(Reason::ClaimRepeated, sentence)
                    .with_expected(format!("one \"{name}\""))
                    .with_found("several")
            }
        })?;
        trail.passed(Check::Payload, || ("a JSON object".into(), format!("{} bytes", self.payload.len())));
        Claims::new(members, trail)
    }

    /// Splits the token into its three parts.
    ///
    /// # Errors
    /// `InvalidAuthHeader` when there are fewer or more.
    pub(super) fn parts(&self) -> Result<Parts<'a>, Rejection> {
        let error = || {
            let found = self.text.split('.').count();
            Rejection::invalid_header(
                Reason::PartsNotThree,
                format!("The token has {found} parts between points instead of three."),
            )
            .with_expected("3 parts")
            .with_found(format!("{found} parts"))
        };
        let (signed, signature) = self.text.rsplit_once('.').ok_or_else(error)?;
        let (header, payload) = signed.split_once('.').ok_or_else(error)?;
        if payload.contains('.') {
            return Err(error());
        }
        let signature = decode_base64(signature).map_err(|_| {
            Rejection::invalid_header(
                Reason::SignatureUnreadable,
                "The token's signature is not base64url without padding.",
            )
        })?;
        Ok(Parts { header: Header::decode(header)?, signed, signature })
    }
}

/// The parts of a token that its signature concerns.
pub(super) struct Parts<'a> {
    pub header: Header,
    /// What is signed: header and payload as they were sent, with the point between them.
    pub signed: &'a str,
    pub signature: Vec<u8>,
}

/// The header members that mean something here. All others are ignored, of whatever type they are:
/// `jku`, `x5u`, `x5c` and `jwk` are never used, and Clerk adds members of its own.
pub(super) struct Header {
    pub alg: String,
    pub kid: Option<String>,
    pub typ: Option<String>,
    pub cty: Option<String>,
    pub has_crit: bool,
}

impl Header {
    fn decode(part: &str) -> Result<Self, Rejection> {
        let bytes = decode_base64(part).map_err(|_| header_unreadable("it is not base64url without padding"))?;
        let text = String::from_utf8(bytes).map_err(|_| header_unreadable("it is not UTF-8"))?;
        let members = Members::parse(&text, &HEADER).map_err(|error| match error {
            ObjectError::TooDeep => header_unreadable("it is nested too deep"),
            ObjectError::Malformed(why) => header_unreadable(&format!("it is not a JSON object ({why})")),
            ObjectError::Repeated(name) => header_unreadable(&format!("\"{name}\" stands more than once")),
        })?;
        let string = |name: &str| {
            members
                .text(name)
                .map_err(|found| header_unreadable(&format!("\"{name}\" has to be a string and is {}", article(found))))
        };
        let alg = string("alg")?.ok_or_else(|| header_unreadable("it has no \"alg\""))?;
        if !is_known_algorithm(&alg) {
            return Err(header_unreadable(&format!("its \"alg\" {} is not known", shown(&alg))).with_found(shown(&alg)));
        }
        Ok(Self {
            alg,
            kid: string("kid")?,
            typ: string("typ")?,
            cty: string("cty")?,
            has_crit: members.get("crit").is_some(),
        })
    }
}

/// The claims of a token. Only the registered ones are read; the others keep their text.
pub(super) struct Claims<'a> {
    pub iss: String,
    pub sub: Option<String>,
    /// Absent is not the same as empty for messages, but is for every rule.
    pub aud: Option<Vec<String>>,
    /// In seconds; a fraction is kept.
    pub exp: Option<f64>,
    pub nbf: Option<f64>,
    pub iat: Option<f64>,
    pub members: Members<'a>,
}

impl<'a> Claims<'a> {
    fn new(members: Members<'a>, trail: &mut impl Trail) -> Result<Self, Rejection> {
        let text = |name| members.text(name).map_err(|found| mistyped(name, "a string", found));
        text("jti")?;
        let sub = text("sub")?;
        let iss = text("iss")?;
        let aud = members.texts("aud").map_err(|found| mistyped("aud", "a string or an array of strings", found))?;
        let (exp, nbf, iat) = (date(&members, "exp")?, date(&members, "nbf")?, date(&members, "iat")?);
        if sub.as_deref() == Some("") {
            return Err(Rejection::invalid_header(
                Reason::SubjectEmpty,
                "The claim \"sub\" of the token is empty, so it names nobody.",
            )
            .with_expected("a \"sub\" that is not empty")
            .with_found("\"\""));
        }
        trail.passed(Check::Claims, || ("strings and dates".into(), "strings and dates".into()));
        let Some(iss) = iss else {
            return Err(Rejection::invalid_header(
                Reason::IssuerMissing,
                "The token has no \"iss\" claim, so there is no provider to ask.",
            )
            .with_found("no \"iss\""));
        };
        Ok(Self { iss, sub, aud, exp, nbf, iat, members })
    }

    /// The audience, an absent one as an empty list.
    pub(super) fn audience(&self) -> &[String] {
        self.aud.as_deref().unwrap_or_default()
    }

    /// What the log may say of this token.
    pub(super) fn facts(&self, now_s: u64) -> TokenFacts {
        TokenFacts {
            issuer: Some(self.iss.chars().take(200).collect()),
            audience: self.aud.as_ref().map(|aud| aud.join(",").chars().take(200).collect()),
            subject_tail: self.sub.as_deref().map(tail),
            expires_in_s: self.exp.map(|exp| exp.floor() as i64 - now_s as i64),
        }
    }
}

/// The last four characters of a subject: enough to recognise one's own, too few to go by.
fn tail(subject: &str) -> String {
    let skipped = subject.chars().count().saturating_sub(4);
    subject.chars().skip(skipped).collect()
}

fn date(members: &Members<'_>, name: &str) -> Result<Option<f64>, Rejection> {
    let number = members.number(name).map_err(|found| mistyped(name, "a number", found))?;
    match number {
        Some(seconds) if !(0.0..=DATE_MAX_S).contains(&seconds) => {
            let hint = if seconds > DATE_MAX_S { " (dates are in seconds, not milliseconds)" } else { "" };
            let sentence =
                format!("The claim \"{name}\" of the token is no date between the years 1970 and 9999{hint}.");
            Err(Rejection::invalid_header(Reason::DateOutOfRange, sentence)
                .with_expected(format!("0 to {DATE_MAX_S}"))
                .with_found(seconds.to_string()))
        }
        other => Ok(other),
    }
}

/// The refusal of a claim of the wrong type.
pub(super) fn mistyped(name: &str, expected: &str, found: &str) -> Rejection {
    let sentence = format!("Claim \"{name}\" must be {expected}, got {found}.");
    Rejection::invalid_header(Reason::ClaimMistyped, sentence).with_expected(expected).with_found(found)
}

fn payload_unreadable(why: &str, found: &str) -> Rejection {
    Rejection::invalid_header(Reason::PayloadUnreadable, format!("The token cannot be read: {why}."))
        .with_expected("a payload that is a JSON object in base64url")
        .with_found(found)
        .with_remedy("Send the token exactly as its issuer gave it, without quotation marks or line breaks.")
}

fn header_unreadable(why: &str) -> Rejection {
    Rejection::invalid_header(Reason::HeaderUnreadable, format!("The header of the token cannot be used: {why}."))
        .with_expected("a JSON object with a known \"alg\"")
        .with_found(why)
}

fn article(kind: &'static str) -> String {
    match kind {
        "null" => kind.to_owned(),
        "array" | "object" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

fn decode_base64(part: &str) -> Result<Vec<u8>, base64::DecodeError> {
    URL_SAFE_NO_PAD.decode(part)
}

/// Whether a name is one of RFC 7518 or RFC 8037, in exactly that spelling. `none` is one of them,
/// so that the message for it can be about what it means.
fn is_known_algorithm(name: &str) -> bool {
    const SIGNATURES: [&str; 14] = [
        "none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384",
        "PS512", "EdDSA",
    ];
    SIGNATURES.contains(&name) || is_encryption(name)
}

/// Whether an algorithm is one of encrypted tokens.
pub(super) fn is_encryption(name: &str) -> bool {
    const KEY_MANAGEMENT: [&str; 4] = ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256", "dir"];
    const FAMILIES: [&str; 3] = ["ECDH-ES", "PBES2-", "A"];
    KEY_MANAGEMENT.contains(&name)
        || FAMILIES.iter().any(|family| name.starts_with(family) && (*family != "A" || name.ends_with("KW")))
}

#[cfg(test)]
mod tests {
    use super::super::reason::NoTrail;
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    }

    fn claims_reason(text: &str) -> Option<Reason> {
        let decoded = match Token::decode(text, &mut NoTrail) {
            Ok(decoded) => decoded,
            Err(rejection) => return Some(check_code(rejection)),
        };
        decoded.claims(&mut NoTrail).err().map(check_code)
    }

    fn check_code(rejection: Rejection) -> Reason {
        assert_eq!((rejection.code(), rejection.http_status()), ("InvalidAuthHeader", 401), "{rejection}");
        rejection.reason()
    }

    fn with_claims(payload: &str) -> Option<Reason> {
        claims_reason(&token("{}", payload))
    }

    /// spec: A9
    #[test]
    fn payloads_that_cannot_be_read_are_refused() {
        let good = URL_SAFE_NO_PAD.encode(r#"{"iss":"https://a"}"#);
        assert_eq!(claims_reason(&format!("x.{good}")), None, "the number of parts is asked later");
        for text in [
            String::new(),
            "abc".to_owned(),
            ".".to_owned(),
            format!("x.{good}="),
            format!("x.{good} "),
            format!("x.{good}\n"),
            format!("x.{}", base64::engine::general_purpose::STANDARD_NO_PAD.encode(r#"{"iss":"??>>"}"#)),
            format!("x.{}", URL_SAFE_NO_PAD.encode([0xff, 0xfe])),
            token("{}", "[1]"),
            token("{}", "{\"iss\":\"https://a\""),
            token("{}", &format!("{{\"a\":{}{}}}", "[".repeat(128), "]".repeat(128))),
        ] {
            assert_eq!(claims_reason(&text), Some(Reason::PayloadUnreadable), "{text}");
        }
        assert_eq!(with_claims("{}"), Some(Reason::IssuerMissing));
        assert_eq!(with_claims(r#"{"iss":null}"#), Some(Reason::IssuerMissing));
    }

    /// spec: A26
    #[test]
    fn tokens_over_16_kib_are_refused_before_they_are_decoded() {
        for size in [TOKEN_BYTES_MAX + 1, 10 * 1024 * 1024] {
            assert_eq!(claims_reason(&"a".repeat(size)), Some(Reason::TokenTooLarge));
        }
        assert_eq!(claims_reason(&".".repeat(TOKEN_BYTES_MAX)), Some(Reason::PayloadUnreadable));
    }

    #[test]
    fn registered_claims_have_their_types() {
        let iss = |rest: &str| with_claims(&format!(r#"{{"iss":"https://a",{rest}}}"#));
        for fine in [
            r#""sub":"x","jti":"y","aud":"z","exp":1,"nbf":1.5,"iat":0"#,
            r#""aud":[],"exp":253402300799"#,
            r#""sub":null,"jti":null,"aud":null,"exp":null,"nbf":null,"iat":null"#,
            r#""x":1,"x":2"#,
            r#""__proto__":{},"constructor":1"#,
        ] {
            assert_eq!(iss(fine), None, "{fine}");
        }
        for mistyped in [
            r#""sub":5"#,
            r#""jti":{}"#,
            r#""aud":5"#,
            r#""aud":{"a":"b"}"#,
            r#""aud":["a",5]"#,
            r#""exp":"1""#,
            r#""nbf":true"#,
            r#""iat":[1]"#,
        ] {
            assert_eq!(iss(mistyped), Some(Reason::ClaimMistyped), "{mistyped}");
        }
        assert_eq!(with_claims(r#"{"iss":5}"#), Some(Reason::ClaimMistyped));
        assert_eq!(with_claims(r#"{"iss":["https://a"]}"#), Some(Reason::ClaimMistyped));
        for far in ["1e15", "1e308", "18446744073709551615", "-1", "253402300800", "1755800000000"] {
            for claim in ["exp", "nbf", "iat"] {
                assert_eq!(iss(&format!("\"{claim}\":{far}")), Some(Reason::DateOutOfRange), "{claim} {far}");
            }
        }
        assert_eq!(iss(r#""iss":"https://b""#), Some(Reason::ClaimRepeated));
        assert_eq!(iss(r#""exp":1,"exp":2"#), Some(Reason::ClaimRepeated));
        assert_eq!(iss(r#""sub":"""#), Some(Reason::SubjectEmpty));
    }

    fn header_reason(header: &str) -> Option<Reason> {
        parts_reason(&token(header, r#"{"iss":"https://a"}"#))
    }

    fn parts_reason(text: &str) -> Option<Reason> {
        Token::decode(text, &mut NoTrail).unwrap().parts().err().map(check_code)
    }

    #[test]
    fn a_token_has_three_parts() {
        let good = token(r#"{"alg":"RS256"}"#, r#"{"iss":"https://a"}"#);
        assert_eq!(parts_reason(&good), None);
        assert_eq!(parts_reason(good.rsplit_once('.').unwrap().0), Some(Reason::PartsNotThree));
        assert_eq!(parts_reason(&format!("{good}.")), Some(Reason::PartsNotThree));
        assert_eq!(parts_reason(&format!("{good}.x.y")), Some(Reason::PartsNotThree));
        for end in ["=", " ", "\n", "+", "A"] {
            assert_eq!(parts_reason(&format!("{good}{end}")), Some(Reason::SignatureUnreadable), "{end:?}");
        }
    }

    /// spec: A15
    #[test]
    fn unknown_header_members_may_be_of_any_type() {
        for rest in
            ["", r#","oiat":1713158400,"cat":"cl_B7d4PD222AAA""#, r#","jwk":5,"x5c":{},"jku":[null],"x":{"y":[1]}"#]
        {
            assert_eq!(header_reason(&format!(r#"{{"alg":"RS256"{rest}}}"#)), None, "{rest}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_used_is_refused() {
        for header in [
            "",
            "[]",
            "{}",
            r#"{"alg":5}"#,
            r#"{"alg":"RS256","alg":"none"}"#,
            r#"{"alg":"NONE"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"nOnE"}"#,
            r#"{"alg":"rs256"}"#,
            r#"{"alg":""}"#,
            r#"{"alg":"RS256","kid":5}"#,
            r#"{"alg":"RS256","typ":5}"#,
            r#"{"alg":"RS256","cty":{}}"#,
        ] {
            assert_eq!(header_reason(header), Some(Reason::HeaderUnreadable), "{header}");
        }
    }

    #[test]
    fn the_log_gets_four_characters_of_the_subject() {
        for (subject, expected) in [("user_2abc", "2abc"), ("ab", "ab"), ("größe", "röße")] {
            assert_eq!(tail(subject), expected);
        }
    }
}
