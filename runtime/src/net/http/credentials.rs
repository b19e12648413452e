//! Who sends a request: the client library, and the person behind it. Source: auth 4.1, data-and-functions 8.4.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use syncline_client_protocol::{ClientVersion, Support};

use super::error::HttpError;
use crate::identity::Identity;
use crate::net::authenticate::Credential;
use crate::net::host::Host;

/// The client library; unknown when it does not say.
pub(super) fn client_of(headers: &HeaderMap) -> Result<ClientVersion, HttpError> {
    let header = headers.get("convex-client").and_then(|value| value.to_str().ok());
    ClientVersion::parse(header, None)
        .map_err(|cause| HttpError::bad_request("InvalidClientVersion", format!("{cause}.")))
}

/// The same; refuses clients that are too old.
pub(super) fn supported_client(headers: &HeaderMap) -> Result<ClientVersion, HttpError> {
    let client = client_of(headers)?;
    match client.support() {
        Support::Unsupported(advice) => Err(HttpError::bad_request("ClientVersionUnsupported", format!("{advice}."))),
        Support::UpgradeRequired(_) | Support::Supported => Ok(client),
    }
}

/// The identity that a request shows; every request is verified on its own.
pub(super) async fn identify(host: &Host, headers: &HeaderMap, query: Option<&str>) -> Result<Identity, HttpError> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return match query.and_then(admin_key_of) {
            Some(key) => host.identify(Credential::Admin { key, acting_as: None }).await,
            None => Ok(Identity::Anonymous),
        };
    };
    let text = value.to_str().map_err(|_| {
        HttpError::bad_request("HeaderParseFailure", "the header Authorization must be visible ASCII characters.")
    })?;
    host.identify(credential(text)?).await
}

fn admin_key_of(query: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "adminKey").map(|(_, value)| value.into_owned())
}

const FORMS: &str = "expected `Bearer <JWT>` or `Convex <admin key>`";

fn credential(text: &str) -> Result<Credential, HttpError> {
    if text.len() < 7 {
        let message = format!("the header Authorization has only {} characters; {FORMS}.", text.len());
        return Err(HttpError::bad_request("InvalidHeaderFailure", message));
    }
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Credential::User { token: rest.to_owned() });
    }
    if scheme.eq_ignore_ascii_case("convex") {
        return admin(rest);
    }
    let message = format!("the header Authorization has the scheme {scheme:?}; {FORMS}.");
    Err(HttpError::new(StatusCode::BAD_REQUEST, "InvalidAdminKey", message))
}

/// `KEY` or `KEY:BASE64`, the latter to act as a user; a key may begin with `type:`.
fn admin(text: &str) -> Result<Credential, HttpError> {
    let bar = text.find('|').unwrap_or(0);
    match text[bar..].split_once(':') {
        None => Ok(Credential::Admin { key: text.to_owned(), acting_as: None }),
        Some((_, acting_as)) => {
            let key = &text[..text.len() - acting_as.len() - 1];
            let attributes = acting_as_attributes(acting_as)?;
            Ok(Credential::Admin { key: key.to_owned(), acting_as: Some(attributes) })
        }
    }
}

fn acting_as_attributes(text: &str) -> Result<String, HttpError> {
    use base64::Engine as _;
    let malformed = |what: &str| {
        let message = format!("the part of the admin key behind its colon, which names a user to act as, is {what}.");
        HttpError::bad_request("HeaderParseFailure", message)
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| malformed("not standard base64"))?;
    String::from_utf8(bytes).map_err(|_| malformed("not UTF-8"))
}
