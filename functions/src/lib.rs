//! What an application is written with: contexts, typed database calls, and the registry of functions.
//!
//! In the order to read it: [`context`] (what a function gets), [`db`] (what it reads and writes), [`guard`] (who may
//! call it), [`error`], [`registry`] (how it is found), and the ports that the rest of the system implements or drives: [`tx`] (a
//! transaction) and [`run`] (one run of one function).

// Generated code names everything by `::syncline`, in this crate as in an application.
extern crate self as syncline;

#[doc(hidden)]
pub mod __macro;
mod args;
pub mod auth;
mod call;
pub mod context;
pub mod db;
pub mod env;
pub mod error;
pub mod guard;
pub mod limits;
pub mod log;
mod macros;
mod outgoing;
pub mod registry;
pub mod run;
pub mod tx;
pub mod typescript;
pub mod users;

pub use args::Arguments;
pub use auth::UserIdentity;
pub use context::{ActionCtx, MutationCtx, QueryCtx};
pub use error::{AppError, Error, Result};
pub use syncline_schema::{Bytes, Doc, FieldType, Id, Nullable, Value};

/// Makes an `async fn` a query: it reads, and clients that watch it get its new result when that changes.
///
/// The first parameter is `&QueryCtx`; the others are the arguments by name, in camelCase on the wire. It returns a
/// `Result`. It stays an ordinary function for other functions and tests.
///
/// Options: `internal` (not for clients), `name = "..."`, `rename_all = "snake_case"` (or `"PascalCase"`).
///
/// ```
/// # extern crate syncline_functions as syncline;
/// use syncline::{Doc, QueryCtx, Result, functions, query, users::User};
///
/// mod people {
///     use super::*;
///
///     /// People called so, the newest first.
///     #[query]
///     pub async fn named(ctx: &QueryCtx, full_name: String) -> Result<Vec<Doc<User>>> {
///         ctx.db.query(User::all()).filter(move |user| user.name == full_name).newest().take(10).await
///     }
/// }
///
/// fn main() {
///     let registry = functions![people::named];
///     let named = registry.iter().next().unwrap();
///     assert_eq!(named.path.short(), "people:named");
///     assert_eq!(named.args.to_string(), "v.object({fullName: v.string()})");
/// }
/// ```
pub use syncline_macros::query;

/// Makes an `async fn` a mutation: it reads and writes in one transaction. When it fails, nothing was written; when
/// another transaction got in between, it runs again.
///
/// The first parameter is `&MutationCtx`; all else is as with [`query`].
///
/// ```
/// # extern crate syncline_functions as syncline;
/// use syncline::{AppError, MutationCtx, Result, mutation, users::User};
///
/// /// Changes the name of the signed-in user.
/// #[mutation]
/// pub async fn rename(ctx: &MutationCtx, name: String) -> Result<()> {
///     let me = ctx.auth.require()?;
///     let user = ctx.db.query(User::by_token().eq(&me.token_identifier)).unique().await?;
///     let user = user.ok_or(AppError::new("call users:store first"))?;
///     ctx.db.patch(user.id, User::patch().name(name)).await
/// }
/// ```
pub use syncline_macros::mutation;

/// Makes an `async fn` an action: it may do anything, and calls queries and mutations, each in a transaction of its
/// own. Nothing of it is ever repeated.
///
/// The first parameter is `&ActionCtx`; all else is as with [`query`].
///
/// ```
/// # extern crate syncline_functions as syncline;
/// use syncline::{ActionCtx, Result, action, users};
///
/// #[action]
/// pub async fn count(ctx: &ActionCtx) -> Result<f64> {
///     Ok(ctx.run_query(users::list, ()).await?.len() as f64)
/// }
/// ```
pub use syncline_macros::action;

/// A table: a struct whose fields are those of the documents. `_id` and `_creationTime` come with each [`Doc`].
///
/// `#[table(name = "...")]` names it, `index(by_author = [author], by_author_day = [author, day])` its indexes. For
/// each there is a function that begins a range, with equalities in the order of the fields and then bounds on the
/// next one; `all`, `by_creation_time` and `by_id` are always there. `patch` begins a patch. Fields are in camelCase
/// on the wire; `rename_all = "snake_case"` and `#[field(name = "...")]` change that. `ruled` closes the table to
/// everything but row rules ([`db::Rules`]).
///
/// ```
/// # extern crate syncline_functions as syncline;
/// use syncline::{Doc, MutationCtx, Result, Table};
///
/// #[derive(Table)]
/// #[table(name = "posts", index(by_author_day = [author, day]))]
/// struct Post { author: String, day: f64, title: Option<String> }
///
/// async fn untitle(ctx: &MutationCtx, author: &str) -> Result<()> {
///     let old = ctx.db.query(Post::by_author_day().eq(author).gte(1.0).lt(30.0)).collect().await?;
///     for post in old {
///         ctx.db.patch(post.id, Post::patch().clear_title()).await?;
///     }
///     Ok(())
/// }
/// ```
///
/// The trait of the same name is what the macro implements.
pub use syncline_macros::Table;

/// A struct or an enum as a field, an argument or a result.
///
/// A struct is an object. An enum of plain variants is a union of texts. An enum whose variants have fields is a
/// union of objects that are told apart by the field `type`, or another with `#[object(tag = "...")]`. Names are in
/// camelCase on the wire; `#[object(rename_all = "...")]`, `#[field(name = "...")]` and `#[variant(name = "...")]`
/// change that.
///
/// ```
/// # extern crate syncline_functions as syncline;
/// use syncline::{FieldType, Object};
///
/// #[derive(Object)]
/// enum Status { Open, InProgress }
///
/// #[derive(Object)]
/// #[object(tag = "kind")]
/// enum Event { Moved { status: Status }, Closed }
///
/// assert_eq!(Status::validator().to_string(), r#"v.union(v.literal("open"), v.literal("inProgress"))"#);
/// assert!(Event::validator().to_string().contains(r#"v.object({kind: v.literal("closed")})"#));
/// ```
pub use syncline_macros::Object;

#[doc(no_inline)]
pub use syncline_schema::Table;
