//! Roles: what someone may be, and where that is written.

use std::collections::BTreeSet;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;

use super::{CallerCtx, Guard, SignedIn};
use crate::context::QueryCtx;
use crate::error::{AppError, Result};

/// A role of an application: what it is called, and where it is written who has it.
///
/// ```
/// # extern crate syncline_functions as syncline;
/// use syncline::guard::{Claims, NamedRole};
/// use syncline::users;
///
/// /// Keeps order. Admins may do it, too. In the users table: taken away, it is gone at once.
/// pub struct Moderator;
/// impl NamedRole for Moderator {
///     const NAMES: &'static [&'static str] = &["moderator", "admin"];
///     type Source = users::Roles;
/// }
///
/// /// An admin of the organisation that the user has chosen in Clerk.
/// pub struct OrganisationAdmin;
/// impl NamedRole for OrganisationAdmin {
///     const NAMES: &'static [&'static str] = &["org:admin"];
///     type Source = Claims;
/// }
/// ```
pub trait NamedRole: Send + Sync + 'static {
    /// The names, any one of which is enough.
    const NAMES: &'static [&'static str];

    /// Where it is written who has it: [`Claims`](super::Claims), [`users::Roles`](crate::users::Roles), a tuple of
    /// both, or a source of your own.
    type Source;
}

/// Where it is written which roles someone has.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know roles in `{C}`",
    label = "not a source of roles here",
    note = "sources are `Claims`, `users::Roles` (not in actions, which have no database), a tuple of two, and types \
            of your own with `impl RoleSource for {Self}`"
)]
pub trait RoleSource<C: CallerCtx = QueryCtx>: Send + Sync + 'static {
    /// The names of the roles that `user` has; none is no error.
    fn roles(ctx: &C, user: &SignedIn) -> impl Future<Output = Result<Vec<String>>> + Send;
}

/// The roles of the first and those of the second.
impl<C: CallerCtx, A: RoleSource<C>, B: RoleSource<C>> RoleSource<C> for (A, B) {
    async fn roles(ctx: &C, user: &SignedIn) -> Result<Vec<String>> {
        let mut roles = A::roles(ctx, user).await?;
        roles.extend(B::roles(ctx, user).await?);
        Ok(roles)
    }
}

/// Somebody signed in who has the role `R`. It stands for their identity, as [`SignedIn`] does.
pub struct Role<R> {
    user: SignedIn,
    roles: Vec<String>,
    role: PhantomData<fn() -> R>,
}

impl<R> Role<R> {
    /// Who it is.
    pub fn user(&self) -> &SignedIn {
        &self.user
    }

    /// All roles that the source knows of them.
    pub fn all(&self) -> &[String] {
        &self.roles
    }
}

impl<R> Deref for Role<R> {
    type Target = SignedIn;

    fn deref(&self) -> &SignedIn {
        &self.user
    }
}

impl<C: CallerCtx, R: NamedRole> Guard<C> for Role<R>
where
    R::Source: RoleSource<C>,
{
    async fn check(ctx: &C) -> Result<Self> {
        let user = SignedIn::check(ctx).await?;
        let roles = R::Source::roles(ctx, &user).await?;
        if roles.iter().any(|role| R::NAMES.contains(&role.as_str())) {
            return Ok(Role { user, roles, role: PhantomData });
        }
        Err(missing(R::NAMES, roles)?.into())
    }
}

/// The refusal of somebody with the roles `found`, when one of `needed` would do.
fn missing(needed: &[&str], found: Vec<String>) -> Result<AppError> {
    let found: BTreeSet<String> = found.into_iter().collect();
    let found: Vec<String> = found.into_iter().collect();
    let needed: Vec<String> = needed.iter().map(|name| (*name).to_owned()).collect();
    let has = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    let message = format!("this needs the role {}; you have: {has}", needed.join(" or "));
    AppError::forbidden(message).with("needed", &needed)?.with("found", &found)
}
