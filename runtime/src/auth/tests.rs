//! The verifier against tokens, issuers and a clock made by hand.

mod claims;
mod custom;
mod feedback;
mod forgery;
mod http;
mod network;
mod providers;
mod remembering;
pub(super) mod support;
mod wrong_tokens;
