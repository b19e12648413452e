//! What a token says of someone beyond who they are: their roles, and the organisation that they act for.

use syncline_schema::Value;

use super::{CallerCtx, Guard, RoleSource, SignedIn};
use crate::auth::UserIdentity;
use crate::error::{AppError, Result};

/// The roles in the caller's token.
///
/// | claim | role |
/// |---|---|
/// | `role`, `roles`, and the same in `metadata`, `public_metadata` or `publicMetadata` (Clerk's public metadata, as a session token or template carries it) | as it stands: a text, or a list of texts |
/// | `o.rol`, `org_role` (the organisation that is chosen in Clerk) | with `org:` in front: `org:admin` |
///
/// A role in an organisation never counts as one of the application, because anyone may be the admin of an organisation
/// that they founded; and nothing in `role` and `roles` that begins with `org:` counts. Metadata that users can edit
/// themselves (`unsafe_metadata`) is not looked at. Claims lag: a role that was taken away counts until the token
/// expires.
pub struct Claims;

/// Claims that hold roles of the application.
const ROLE_CLAIMS: [&str; 2] = ["role", "roles"];

/// Claims in which Clerk's public metadata arrives.
const METADATA_CLAIMS: [&str; 3] = ["metadata", "public_metadata", "publicMetadata"];

/// What the roles of an organisation begin with.
const ORGANISATION_PREFIX: &str = "org:";

impl<C: CallerCtx> RoleSource<C> for Claims {
    async fn roles(_ctx: &C, user: &SignedIn) -> Result<Vec<String>> {
        Ok(claimed_roles(user))
    }
}

/// Somebody signed in who has chosen an organisation in Clerk, and the organisation.
///
/// The role in it says nothing without it: whoever guards with `org:admin` keeps the documents of each organisation
/// apart by [`Organisation::id`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    user: SignedIn,
    id: String,
    slug: Option<String>,
    role: Option<String>,
}

impl Organisation {
    /// Who acts for it.
    pub fn user(&self) -> &SignedIn {
        &self.user
    }

    /// Its id, which never changes.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name in addresses.
    pub fn slug(&self) -> Option<&str> {
        self.slug.as_deref()
    }

    /// What the user is in it: `org:admin`, as [`Claims`] names it.
    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }
}

impl<C: CallerCtx> Guard<C> for Organisation {
    async fn check(ctx: &C) -> Result<Self> {
        let user = SignedIn::check(ctx).await?;
        let Some(id) = organisation_claim(&user, "id", "org_id") else {
            return Err(AppError::forbidden("this needs an organisation: choose one, then call again").into());
        };
        let (slug, role) = (organisation_claim(&user, "slg", "org_slug"), organisation_role(&user));
        Ok(Organisation { user, id, slug, role })
    }
}

/// A claim about the organisation: in `o`, as version 2 of Clerk's session tokens has it, or flat, as version 1 and
/// templates do.
fn organisation_claim(user: &UserIdentity, nested: &str, flat: &str) -> Option<String> {
    let claim = claim_at(user, &["o", nested]).or_else(|| claim_at(user, &[flat]));
    texts(claim).into_iter().next()
}

fn organisation_role(user: &UserIdentity) -> Option<String> {
    let role = organisation_claim(user, "rol", "org_role")?;
    Some(if role.starts_with(ORGANISATION_PREFIX) { role } else { format!("{ORGANISATION_PREFIX}{role}") })
}

fn claimed_roles(user: &UserIdentity) -> Vec<String> {
    let mut roles = Vec::new();
    for claim in ROLE_CLAIMS {
        roles.extend(texts(claim_at(user, &[claim])));
        for metadata in METADATA_CLAIMS {
            roles.extend(texts(claim_at(user, &[metadata, claim])));
        }
    }
    // What an application calls its own must not pass for the role in an organisation, nor the other way round.
    roles.retain(|role| !role.starts_with(ORGANISATION_PREFIX));
    roles.extend(organisation_role(user));
    roles
}

/// The claim at a path: inside of objects, or under the dotted name that custom JWT issuers' claims get.
fn claim_at(user: &UserIdentity, path: &[&str]) -> Option<Value> {
    if let Some(json) = user.custom.get(&path.join(".")) {
        return Value::from_json(json).ok();
    }
    let (first, rest) = path.split_first()?;
    let mut value = Value::from_json(user.custom.get(*first)?).ok()?;
    for name in rest {
        let Value::Object(mut fields) = value else { return None };
        value = fields.remove(*name)?;
    }
    Some(value)
}

/// A text or a list of texts; anything else names no role.
fn texts(claim: Option<Value>) -> Vec<String> {
    match claim {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.into_iter().flat_map(|item| texts(Some(item))).collect(),
        _ => Vec::new(),
    }
}
