//! Who calls, as a function sees it.

use std::collections::BTreeMap;

/// The attributes of a signed-in user, as `ctx.auth` shows them.
///
/// Standard claims under the names that clients know; everything else in `custom`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserIdentity {
    /// `issuer|subject`, both exactly as the token has them: the key of a user over all providers.
    pub token_identifier: String,
    /// The user's id at the issuer.
    pub subject: String,
    /// Who issued the token.
    pub issuer: String,
    /// Full name.
    pub name: Option<String>,
    /// Given name.
    pub given_name: Option<String>,
    /// Family name.
    pub family_name: Option<String>,
    /// Nickname.
    pub nickname: Option<String>,
    /// Preferred user name.
    pub preferred_username: Option<String>,
    /// Address of the profile page.
    pub profile_url: Option<String>,
    /// Address of a picture.
    pub picture_url: Option<String>,
    /// Address of the user's own site.
    pub website_url: Option<String>,
    /// Email address.
    pub email: Option<String>,
    /// Whether the issuer verified the email address.
    pub email_verified: Option<bool>,
    /// Gender.
    pub gender: Option<String>,
    /// Birthday.
    pub birthday: Option<String>,
    /// Time zone name.
    pub timezone: Option<String>,
    /// Locale.
    pub language: Option<String>,
    /// Telephone number.
    pub phone_number: Option<String>,
    /// Whether the issuer verified the telephone number.
    pub phone_number_verified: Option<bool>,
    /// Postal address, formatted.
    pub address: Option<String>,
    /// When the profile changed last, RFC 3339.
    pub updated_at: Option<String>,
    /// All other claims: name to the JSON text of the value.
    pub custom: BTreeMap<String, String>,
}
