//! Who is calling: from a token to an identity that functions can trust, or to a refusal that says why.
//!
//! [`AuthSettings`] are what an author writes; [`AuthConfig`] is what they come to with the variables of the
//! deployment; a [`Verifier`] checks tokens against it. The rules and their order are those of
//! `spec/auth.md`; numbers like R4, O11, J7 and D3 in the comments are its steps and deviations.
//!
//! To read: `verifier` for the way of a token, `jwt` and `routing` for what is decided without keys, `oidc` and
//! `custom_jwt` for the rules of the two kinds, `keys` for where keys come from and how long they last.

mod acting_as;
mod address;
mod check;
mod config;
mod config_json;
mod custom_jwt;
mod data_url;
pub(crate) mod dev_issuer;
mod dev_key;
mod dev_request;
mod documents;
mod explain;
pub(crate) mod explain_page;
mod fetch;
mod handshakes;
mod identity;
mod issuer_url;
mod json;
mod jwk;
mod jwt;
mod keys;
mod memory;
mod oidc;
mod reason;
mod record;
mod rejection;
mod routing;
#[cfg(test)]
mod tests;
mod verifier;

pub use acting_as::{ActingAsError, acting_as};
pub use address::{AddressRefusal, Reach};
pub use check::ProviderCheck;
pub use config::{
    Algorithm, Auth0, AuthConfig, AuthSettings, Clerk, ConfigError, CustomJwt, JwksSource, Oidc, Provider,
    ProviderSettings, Setting, env,
};
pub use dev_issuer::{DevIssuer, DevIssuerError};
pub use explain::{Explanation, Outcome, Row, explain};
pub use fetch::{Fetch, FetchError, FetchLimits, HttpFetch, Response};
pub use handshakes::{Handshake, Handshakes};
pub use identity::UserIdentity;
pub use issuer_url::{IssuerRule, IssuerUrl, IssuerUrlError};
pub use jwk::KeySet;
pub use reason::{Check, Reason};
pub use record::{record, record_admin_key};
pub use rejection::{Class, Redaction, Rejection, TokenFacts};
pub use verifier::{LocalIssuer, Verified, Verifier};
