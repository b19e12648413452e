//! What the development issuer is asked for.

use serde_json::{Map, Value, json};

use super::config::Clerk;

/// How long a token is valid when the request does not say, in seconds, as in Clerk's templates.
const LIFETIME_S: u64 = 60;

/// How long a token may be valid, in seconds: a year, enough for any test.
const LIFETIME_S_MAX: u64 = 31_536_000;

/// The members of a request.
const MEMBERS: [&str; 5] = ["subject", "name", "email", "lifetimeSeconds", "claims"];

/// The claims that the issuer sets itself, as Clerk does.
const ISSUERS_OWN: [&str; 7] = ["iss", "sub", "azp", "iat", "nbf", "exp", "jti"];

/// A request for a token.
pub(super) struct TokenRequest {
    subject: String,
    /// Null when the user has none.
    name: Value,
    email: Value,
    pub lifetime_s: u64,
    extra: Map<String, Value>,
}

impl TokenRequest {
    /// Reads a request; whatever is left out has a default.
    ///
    /// # Errors
    /// What is wrong, in a sentence without its full stop.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("the body is not JSON ({error})"))?;
        let Value::Object(members) = value else { return Err("the body has to be an object".to_owned()) };
        if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            return Err(format!("\"{unknown}\" is not known; known: {}", MEMBERS.join(", ")));
        }
        let subject = match members.get("subject") {
            None => "user_dev".to_owned(),
            Some(Value::String(text)) if text.is_empty() => return Err("\"subject\" is empty".to_owned()),
            Some(Value::String(text)) => text.clone(),
            Some(_) => return Err("\"subject\" has to be a string".to_owned()),
        };
        Ok(Self {
            name: text_or_null(&members, "name", &subject)?,
            email: text_or_null(&members, "email", &format!("{subject}@example.test"))?,
            subject,
            lifetime_s: lifetime_s(&members)?,
            extra: extra(&members)?,
        })
    }

    /// The claims of a token, but for those that do not depend on the request: first those of Clerk's preset, then
    /// those that were asked for.
    pub(super) fn claims(self, now_s: u64) -> impl Iterator<Item = (String, Value)> {
        let (given, family) = match self.name.as_str().map(|name| name.split_once(' ').unwrap_or((name, ""))) {
            Some((given, "")) => (json!(given), Value::Null),
            Some((given, family)) => (json!(given), json!(family)),
            None => (Value::Null, Value::Null),
        };
        let preset = [
            ("sub", json!(self.subject)),
            ("aud", json!(Clerk::AUDIENCE)),
            ("name", self.name),
            ("given_name", given),
            ("family_name", family),
            ("nickname", Value::Null),
            ("picture", Value::Null),
            ("email_verified", json!(!self.email.is_null())),
            ("email", self.email),
            ("phone_number", Value::Null),
            ("phone_number_verified", json!(false)),
            // The same all day, so that a renewed token makes the same identity.
            ("updated_at", json!(now_s / 86_400 * 86_400)),
        ];
        preset.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(self.extra)
    }
}

fn text_or_null(members: &Map<String, Value>, name: &str, default: &str) -> Result<Value, String> {
    match members.get(name) {
        None => Ok(json!(default)),
        Some(value @ (Value::String(_) | Value::Null)) => Ok(value.clone()),
        Some(_) => Err(format!("\"{name}\" has to be a string or null")),
    }
}

fn lifetime_s(members: &Map<String, Value>) -> Result<u64, String> {
    match members.get("lifetimeSeconds") {
        None => Ok(LIFETIME_S),
        Some(value) => value
            .as_u64()
            .filter(|seconds| (1..=LIFETIME_S_MAX).contains(seconds))
            .ok_or_else(|| format!("\"lifetimeSeconds\" has to be a whole number from 1 to {LIFETIME_S_MAX}")),
    }
}

fn extra(members: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    match members.get("claims") {
        None => Ok(Map::new()),
        Some(Value::Object(claims)) => match ISSUERS_OWN.iter().find(|name| claims.contains_key(**name)) {
            Some(own) => Err(format!("the claim \"{own}\" cannot be set, the issuer sets it itself, as Clerk does")),
            None => Ok(claims.clone()),
        },
        Some(_) => Err("\"claims\" has to be an object".to_owned()),
    }
}
