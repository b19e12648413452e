//! Who may call a function: guards stand in its signature, borrowed, between the context and the arguments.
//!
//! ```
//! # extern crate syncline_functions as syncline;
//! use syncline::guard::{Claims, NamedRole, Role, SignedIn};
//! use syncline::{QueryCtx, Result, query};
//!
//! struct Admin;
//! impl NamedRole for Admin {
//!     const NAMES: &'static [&'static str] = &["admin"];
//!     type Source = Claims;
//! }
//!
//! #[query]
//! pub async fn me(ctx: &QueryCtx, user: &SignedIn) -> Result<String> {
//!     Ok(user.subject.clone())
//! }
//!
//! #[query]
//! pub async fn audit(ctx: &QueryCtx, admin: &Role<Admin>, day: String) -> Result<String> {
//!     // A function with a guard is called as a Rust function by whoever holds the proof.
//!     me(ctx, admin.user()).await
//! }
//! ```
//!
//! What is borrowed comes from the server, what is owned comes from the client: clients see `audit({day})` and can
//! neither send a guard nor leave it out. Before the function runs, each guard is checked, in order; the first that
//! refuses ends the call.
//!
//! Why types, and not an attribute `#[query(auth)]`: an attribute guards the way in from the wire only, and a call
//! from another function goes past it. A value of a guard's type exists only after its check, so the precondition
//! follows the function wherever it is called, helpers can ask for it, and what the check found (the user, their row,
//! their roles) needs no second look-up.
//!
//! Whatever a guard looks at, the run counts as having looked at the identity, before the guard answers: neither a
//! refusal nor a result is ever shared with somebody else.
//!
//! | refused because | `errorData` for the client |
//! |---|---|
//! | nobody is signed in | `{code: "UNAUTHENTICATED", message}` |
//! | no organisation is chosen | `{code: "FORBIDDEN", message}` |
//! | the role is missing | `{code: "FORBIDDEN", message, needed: [role...], found: [role...]}`: one of `needed` would do |
//! | a row rule ([`crate::db::Rules`]) says no | `{code: "FORBIDDEN", message, table, access}`, `access` being `insert`, `patch`, `replace` or `delete` |
//! | a guard of the application's own | what its [`AppError`](crate::AppError) says |

mod claims;
mod role;

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use crate::auth::{Auth, UserIdentity};
use crate::call::{Context, Failure};
use crate::context::{ActionCtx, MutationCtx, QueryCtx};
use crate::error::Result;

pub use claims::{Claims, Organisation};
pub use role::{NamedRole, Role, RoleSource};

/// A check before a function runs, and the proof that it was passed: a value of the type.
///
/// An application writes its own, on top of those that there are; they read the database, so a change of what they
/// read runs a guarded query again:
///
/// ```
/// # extern crate syncline_functions as syncline;
/// use syncline::guard::{Guard, SignedIn};
/// use syncline::users::{self, User};
/// use syncline::{AppError, Doc, QueryCtx, Result};
///
/// /// A signed-in person whose row is in the database.
/// pub struct Member(pub Doc<User>);
///
/// impl Guard for Member {
///     async fn check(ctx: &QueryCtx) -> Result<Self> {
///         let user = ctx.require::<SignedIn>().await?;
///         let row = users::find(ctx, &user).await?;
///         Ok(Member(row.ok_or(AppError::forbidden("call users:store first"))?))
///     }
/// }
/// ```
///
/// Keep its fields private where nobody else should make one. A tuple of guards checks one after the other,
/// `Option<G>` gives `None` where `G` refuses, and `ctx.require::<G>()` checks in the middle of a function. A mutation
/// is guarded by what guards a query, so that no guard can write. An action has no database: `impl Guard<ActionCtx>`
/// for what should guard actions.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot guard this function",
    label = "a borrowed parameter is a guard, and this type is none for `{C}`",
    note = "an argument is owned: write `{Self}` without the `&`",
    note = "guards are `SignedIn`, `Role<R>`, `Organisation`, tuples and `Option`s of guards, and types of your own with \
            `impl Guard for {Self}` (for actions `impl Guard<ActionCtx> for {Self}`)"
)]
pub trait Guard<C: CallerCtx = QueryCtx>: Send + Sync + Sized + 'static {
    /// Checks, and gives the proof.
    ///
    /// # Errors
    /// An [`AppError`](crate::AppError) when it refuses; its data is what the client can branch on.
    fn check(ctx: &C) -> impl Future<Output = Result<Self>> + Send;
}

/// A context that guards check: that of queries, which mutations have too, or that of actions.
pub trait CallerCtx: Send + Sync {
    /// Who calls.
    fn auth(&self) -> &Auth;
}

impl CallerCtx for QueryCtx {
    fn auth(&self) -> &Auth {
        &self.auth
    }
}

impl CallerCtx for ActionCtx {
    fn auth(&self) -> &Auth {
        &self.auth
    }
}

/// Somebody with a verified token. It stands for their [`UserIdentity`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn(Arc<UserIdentity>);

impl Deref for SignedIn {
    type Target = UserIdentity;

    fn deref(&self) -> &UserIdentity {
        &self.0
    }
}

impl<C: CallerCtx> Guard<C> for SignedIn {
    async fn check(ctx: &C) -> Result<Self> {
        ctx.auth().require_shared().map(SignedIn)
    }
}

/// The guard's proof where it gives one, `None` where it refuses. Failures that are no refusal stay failures.
impl<C: CallerCtx, G: Guard<C>> Guard<C> for Option<G> {
    async fn check(ctx: &C) -> Result<Self> {
        match G::check(ctx).await {
            Ok(proof) => Ok(Some(proof)),
            Err(error) if error.is_refusal() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<C: CallerCtx, A: Guard<C>, B: Guard<C>> Guard<C> for (A, B) {
    async fn check(ctx: &C) -> Result<Self> {
        Ok((A::check(ctx).await?, B::check(ctx).await?))
    }
}

impl<C: CallerCtx, A: Guard<C>, B: Guard<C>, D: Guard<C>> Guard<C> for (A, B, D) {
    async fn check(ctx: &C) -> Result<Self> {
        Ok((A::check(ctx).await?, B::check(ctx).await?, D::check(ctx).await?))
    }
}

/// Checks a guard. From now on the run is the caller's own, whatever the guard looks at.
pub(crate) async fn require<C: CallerCtx, G: Guard<C>>(ctx: &C) -> Result<G> {
    ctx.auth().observe();
    G::check(ctx).await
}

/// The context of a function, and the one that its guards check. Not for applications: the macros name it.
#[doc(hidden)]
pub trait Guarded: Context + Sync {
    /// The latter.
    type Ctx: CallerCtx;

    /// Gives it.
    fn ctx(&self) -> &Self::Ctx;
}

impl Guarded for QueryCtx {
    type Ctx = QueryCtx;

    fn ctx(&self) -> &QueryCtx {
        self
    }
}

impl Guarded for MutationCtx {
    type Ctx = QueryCtx;

    fn ctx(&self) -> &QueryCtx {
        self
    }
}

impl Guarded for ActionCtx {
    type Ctx = ActionCtx;

    fn ctx(&self) -> &ActionCtx {
        self
    }
}

/// Checks a guard of a function before it runs. Not for applications: the macros name it.
#[doc(hidden)]
pub async fn passed<C: Guarded, G: Guard<C::Ctx>>(ctx: &C) -> Result<G, Failure> {
    require::<C::Ctx, G>(ctx.ctx()).await.map_err(Failure::Failed)
}
