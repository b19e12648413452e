//! The ready-made `users` table, kept up to date from the tokens that users sign in with.
//!
//! An application adds `users::User` to its `schema![]`, and `users::store`, `users::current`, `users::list` and
//! `users::me` to its `functions![]`. Clients call `users:store` after signing in.
//!
//! A row also holds the user's roles, for guards whose roles come from [`Roles`]:
//!
//! ```
//! # extern crate syncline_functions as syncline;
//! use syncline::guard::{NamedRole, Role};
//! use syncline::{Id, MutationCtx, Result, mutation, users};
//!
//! pub struct Admin;
//! impl NamedRole for Admin {
//!     const NAMES: &'static [&'static str] = &["admin"];
//!     type Source = users::Roles;
//! }
//!
//! /// Only an admin makes moderators.
//! #[mutation]
//! pub async fn promote(ctx: &MutationCtx, admin: &Role<Admin>, user: Id<users::User>) -> Result<()> {
//!     users::set_roles(ctx, user, vec!["moderator".to_owned()]).await
//! }
//! ```
//!
//! The first admin is made from outside: an application that registers `users::set_roles` gets an internal function
//! `users:setRoles`, which only holders of the deployment's admin key can call.

use std::fmt;

use syncline_macros::{Table, mutation, query};
use syncline_schema::{Doc, Id, Value};

use crate::auth::UserIdentity;
use crate::context::{MutationCtx, QueryCtx};
use crate::error::Result;
use crate::guard::{RoleSource, SignedIn};

/// What a user is called whose token has no name.
const NAME_UNKNOWN: &str = "Anonymous";

/// Most users that `users:list` returns.
const LIST_MAX: usize = 1_000;

/// Someone who has signed in at least once.
#[derive(Clone, Debug, PartialEq, Table)]
#[table(name = "users", index(by_token = [token_identifier]))]
pub struct User {
    /// What to call the user.
    pub name: String,
    /// Issuer and subject of the user's tokens: one row for each.
    pub token_identifier: String,
    /// Email address, when a token had it.
    pub email: Option<String>,
    /// Address of a picture, when a token had it.
    pub picture_url: Option<String>,
    /// What the user may be; no token ever writes it. `users:list` shows it to everybody.
    pub roles: Option<Vec<String>>,
}

/// The roles in the users table. Whoever has no row has none.
///
/// They take effect at once: a guarded query that is open runs again when its caller's row changes.
pub struct Roles;

impl RoleSource for Roles {
    async fn roles(ctx: &QueryCtx, user: &SignedIn) -> Result<Vec<String>> {
        let row = find(ctx, user).await?;
        Ok(row.and_then(|row| row.into_inner().roles).unwrap_or_default())
    }
}

/// Creates the signed-in user's row at the first login; later brings it up to date with the token. Returns its id.
///
/// A claim that the token lacks changes nothing: a token without a profile leaves the row as it is.
#[mutation]
pub async fn store(ctx: &MutationCtx) -> Result<Id<User>> {
    ctx.log.log(Called(ctx.auth.user()));
    let me = ctx.auth.require()?;
    match find(ctx, me).await? {
        Some(user) => {
            if let Some(patch) = changes(&user, me) {
                ctx.db.patch(user.id, patch).await?;
                ctx.log.log(format_args!("✅ Updated existing user: {}", user.id));
            }
            Ok(user.id)
        }
        None => {
            let user = User {
                name: me.name.clone().unwrap_or_else(|| NAME_UNKNOWN.to_owned()),
                token_identifier: me.token_identifier.clone(),
                email: me.email.clone(),
                picture_url: me.picture_url.clone(),
                roles: None,
            };
            let id = ctx.db.insert(user).await?;
            ctx.log.log(format_args!("✅ Created new user: {id}"));
            Ok(id)
        }
    }
}

/// The signed-in user's row; null for anonymous callers, and until `users:store` has created it.
#[query]
pub async fn current(ctx: &QueryCtx) -> Result<Option<Doc<User>>> {
    match ctx.auth.user() {
        Some(me) => find(ctx, me).await,
        None => Ok(None),
    }
}

/// What the token of the caller says, whether or not they were stored; null for anonymous callers.
#[query]
pub async fn me(ctx: &QueryCtx) -> Result<Value> {
    ctx.auth.user().map_or(Ok(Value::Null), UserIdentity::to_value)
}

/// All users, in the order of their first login; at most a thousand.
#[query]
pub async fn list(ctx: &QueryCtx) -> Result<Vec<Doc<User>>> {
    ctx.db.query(User::all()).take(LIST_MAX).await
}

/// Says which roles a user has, instead of those before; none at all is an empty list.
#[mutation(internal, name = "setRoles")]
pub async fn set_roles(ctx: &MutationCtx, user: Id<User>, roles: Vec<String>) -> Result<()> {
    ctx.db.patch(user, User::patch().roles(Some(roles))).await
}

/// The row of the user with this identity, if `users:store` has created it.
pub async fn find(ctx: &QueryCtx, identity: &UserIdentity) -> Result<Option<Doc<User>>> {
    ctx.db.query(User::by_token().eq(&identity.token_identifier)).unique().await
}

/// What the token says differently from the row; `None` when it agrees.
fn changes(user: &User, identity: &UserIdentity) -> Option<UserPatch> {
    let differs = |claim: &Option<String>, stored: Option<&String>| claim.is_some() && claim.as_ref() != stored;
    let mut patch = None;
    if let (Some(name), true) = (&identity.name, differs(&identity.name, Some(&user.name))) {
        patch = Some(patch.unwrap_or_else(User::patch).name(name));
    }
    if differs(&identity.email, user.email.as_ref()) {
        patch = Some(patch.unwrap_or_else(User::patch).email(&identity.email));
    }
    if differs(&identity.picture_url, user.picture_url.as_ref()) {
        patch = Some(patch.unwrap_or_else(User::patch).picture_url(&identity.picture_url));
    }
    patch
}

/// The line that tells whether the caller was known, as JavaScript prints the object.
struct Called<'a>(Option<&'a UserIdentity>);

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("🔐 users.store called { ")?;
        write!(f, "hasIdentity: {}", self.0.is_some())?;
        if let Some(identity) = self.0 {
            write!(f, ", identitySubject: '{}'", identity.subject)?;
            if let Some(email) = &identity.email {
                write!(f, ", identityEmail: '{email}'")?;
            }
        }
        f.write_str(" }")
    }
}
