//! The attributes of a user whom an administrator acts as (`spec/auth.md` 4.2).

use std::fmt;

use super::UserIdentity;
use super::json::{Members, ObjectError};

/// Why the attributes cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActingAsError {
    /// They are no JSON object; why not.
    NotAnObject(String),
    /// Neither `tokenIdentifier` nor both `issuer` and `subject` are there.
    Nobody,
    /// A member has another type than it must have.
    Mistyped {
        /// The member.
        member: &'static str,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
}

impl fmt::Display for ActingAsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject(why) => write!(f, "the user to act as has to be a JSON object ({why})"),
            Self::Nobody => {
                f.write_str("the user to act as needs \"tokenIdentifier\", or both \"issuer\" and \"subject\"")
            }
            Self::Mistyped { member, expected, found } => {
                write!(f, "\"{member}\" of the user to act as has to be {expected}, found {found}")
            }
        }
    }
}

impl std::error::Error for ActingAsError {}

/// Reads the attributes. Members have the names that functions see; unknown ones become custom claims.
///
/// # Errors
/// What is missing or mistyped.
pub fn acting_as(text: &str) -> Result<UserIdentity, ActingAsError> {
    let members = Members::parse(text, &[]).map_err(|error| match error {
        ObjectError::TooDeep => ActingAsError::NotAnObject("nested too deep".to_owned()),
        ObjectError::Malformed(why) | ObjectError::Repeated(why) => ActingAsError::NotAnObject(why),
    })?;
    let mut user = UserIdentity::default();
    let (mut issuer, mut subject, mut token_identifier) = (None, None, None);
    let mut known = Vec::new();
    for (name, field) in texts(&mut user, &mut token_identifier, &mut issuer, &mut subject) {
        let mistyped = |found| ActingAsError::Mistyped { member: name, expected: "a string", found };
        *field = members.text(name).map_err(mistyped)?;
        known.push(name);
    }
    for (name, field) in
        [("emailVerified", &mut user.email_verified), ("phoneNumberVerified", &mut user.phone_number_verified)]
    {
        let mistyped = |found| ActingAsError::Mistyped { member: name, expected: "a boolean", found };
        *field = members.boolean(name).map_err(mistyped)?;
        known.push(name);
    }
    name_user(&mut user, token_identifier, issuer, subject)?;
    let unknown = members.iter().filter(|(name, _)| !known.contains(name));
    user.custom = unknown.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(user)
}

/// The members that are texts, with their places.
fn texts<'a>(
    user: &'a mut UserIdentity,
    token_identifier: &'a mut Option<String>,
    issuer: &'a mut Option<String>,
    subject: &'a mut Option<String>,
) -> [(&'static str, &'a mut Option<String>); 19] {
    [
        ("tokenIdentifier", token_identifier),
        ("issuer", issuer),
        ("subject", subject),
        ("name", &mut user.name),
        ("givenName", &mut user.given_name),
        ("familyName", &mut user.family_name),
        ("nickname", &mut user.nickname),
        ("preferredUsername", &mut user.preferred_username),
        ("profileUrl", &mut user.profile_url),
        ("pictureUrl", &mut user.picture_url),
        ("websiteUrl", &mut user.website_url),
        ("email", &mut user.email),
        ("gender", &mut user.gender),
        ("birthday", &mut user.birthday),
        ("timezone", &mut user.timezone),
        ("language", &mut user.language),
        ("phoneNumber", &mut user.phone_number),
        ("address", &mut user.address),
        ("updatedAt", &mut user.updated_at),
    ]
}

fn name_user(
    user: &mut UserIdentity,
    token_identifier: Option<String>,
    issuer: Option<String>,
    subject: Option<String>,
) -> Result<(), ActingAsError> {
    let token_identifier = match (token_identifier, &issuer, &subject) {
        (Some(given), ..) => given,
        (None, Some(issuer), Some(subject)) => format!("{issuer}|{subject}"),
        _ => return Err(ActingAsError::Nobody),
    };
    // No issuer has a bar in it; a subject may.
    let (before, after) = token_identifier.split_once('|').unwrap_or(("", &token_identifier));
    user.issuer = issuer.unwrap_or_else(|| before.to_owned());
    user.subject = subject.unwrap_or_else(|| after.to_owned());
    user.token_identifier = token_identifier;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// spec: A53
    #[test]
    fn a_user_is_named_by_token_identifier_or_by_issuer_and_subject() {
        for (text, expected) in [
            (r#"{"issuer":"https://i","subject":"u1","name":"Ann"}"#, ("https://i|u1", "https://i", "u1")),
            (r#"{"tokenIdentifier":"https://i|u1|s2"}"#, ("https://i|u1|s2", "https://i", "u1|s2")),
            (r#"{"tokenIdentifier":"x","issuer":"https://i","subject":"u1"}"#, ("x", "https://i", "u1")),
        ] {
            let user = acting_as(text).unwrap();
            assert_eq!((&*user.token_identifier, &*user.issuer, &*user.subject), expected);
        }
        for text in ["{}", r#"{"issuer":"https://i"}"#, r#"{"subject":"u1"}"#, r#"{"tokenIdentifier":null,"name":"x"}"#]
        {
            assert_eq!(acting_as(text), Err(ActingAsError::Nobody), "{text}");
        }
        for text in ["", "[]", "\"x\"", "{"] {
            assert!(matches!(acting_as(text), Err(ActingAsError::NotAnObject(_))), "{text}");
        }
    }

    #[test]
    fn members_have_the_names_functions_see_and_others_are_custom() {
        let user = acting_as(
            r#"{"tokenIdentifier":"i|s","givenName":"Ada","emailVerified":true,"org_role":"admin","n":1.50,"none":null}"#,
        )
        .unwrap();
        assert_eq!((user.given_name.as_deref(), user.email_verified), (Some("Ada"), Some(true)));
        let custom: Vec<_> = user.custom.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(custom, [("n", "1.50"), ("none", "null"), ("org_role", "\"admin\"")]);
        let error = acting_as(r#"{"tokenIdentifier":"i|s","emailVerified":"yes"}"#).unwrap_err();
        assert_eq!(error.to_string(), "\"emailVerified\" of the user to act as has to be a boolean, found string");
        assert!(acting_as(r#"{"tokenIdentifier":5}"#).is_err());
    }
}
