//! Who calls, as a function sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_schema::{FieldType, Value, decode_json};

use crate::error::{AppError, Error, Result};
use crate::run::Run;

/// `ctx.auth`: who calls.
///
/// Looking here makes the result of a query the caller's own: it is not shared with others.
#[derive(Clone)]
pub struct Auth {
    run: Arc<Run>,
}

impl Auth {
    pub(crate) fn new(run: Arc<Run>) -> Self {
        Auth { run }
    }

    /// The signed-in user, or `None`.
    pub fn user(&self) -> Option<&UserIdentity> {
        self.run.identity()
    }

    /// The signed-in user, or the error `UNAUTHENTICATED` for the client.
    ///
    /// A function that always needs one says so in its signature: [`SignedIn`](crate::guard::SignedIn).
    pub fn require(&self) -> Result<&UserIdentity> {
        self.user().ok_or_else(|| AppError::unauthenticated().into())
    }

    /// The same, to keep.
    pub(crate) fn require_shared(&self) -> Result<Arc<UserIdentity>> {
        self.run.shared_identity().ok_or_else(|| AppError::unauthenticated().into())
    }

    /// Makes the result the caller's own.
    pub(crate) fn observe(&self) {
        self.run.identity();
    }
}

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

impl UserIdentity {
    /// The claim `name` that is none of the standard ones, as a type of your choice: `Value` takes any. `None` when
    /// the token does not have it. Fails when it is there with another type.
    pub fn claim<T: FieldType>(&self, name: &str) -> Result<Option<T>> {
        let Some(json) = self.custom.get(name) else { return Ok(None) };
        match decode_json(json) {
            Ok(claim) => Ok(Some(claim)),
            Err(error) => {
                let expected = T::validator();
                Err(Error::new(format!("the claim `{name}` is {json}, expected {expected}: {error}")))
            }
        }
    }

    /// All attributes as clients see them: absent ones left out, custom claims beside the standard ones. Fails when a
    /// custom claim cannot be a value, for example because its name starts with `$`.
    pub fn to_value(&self) -> Result<Value> {
        let mut attributes: BTreeMap<String, Value> = BTreeMap::new();
        for (name, json) in &self.custom {
            let claim = Value::from_json(json)
                .map_err(|error| Error::new(format!("the claim `{name}` is {json}, which is no value: {error}")))?;
            attributes.insert(name.clone(), claim);
        }
        let standard = [
            ("name", &self.name),
            ("givenName", &self.given_name),
            ("familyName", &self.family_name),
            ("nickname", &self.nickname),
            ("preferredUsername", &self.preferred_username),
            ("profileUrl", &self.profile_url),
            ("pictureUrl", &self.picture_url),
            ("websiteUrl", &self.website_url),
            ("email", &self.email),
            ("gender", &self.gender),
            ("birthday", &self.birthday),
            ("timezone", &self.timezone),
            ("language", &self.language),
            ("phoneNumber", &self.phone_number),
            ("address", &self.address),
            ("updatedAt", &self.updated_at),
        ];
        let texts = standard.into_iter().filter_map(|(name, text)| Some((name, text.clone()?.into())));
        let flags = [("emailVerified", self.email_verified), ("phoneNumberVerified", self.phone_number_verified)];
        let flags = flags.into_iter().filter_map(|(name, flag)| Some((name, flag?.into())));
        let computed = [
            ("tokenIdentifier", self.token_identifier.clone().into()),
            ("subject", self.subject.clone().into()),
            ("issuer", self.issuer.clone().into()),
        ];
        attributes
            .extend(texts.chain(flags).chain(computed).map(|(name, value): (&str, Value)| (name.to_owned(), value)));
        Ok(Value::Object(attributes))
    }
}
