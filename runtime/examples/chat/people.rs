//! Who may do what in the chat.

use std::ops::Deref;

use syncline::guard::{Guard, NamedRole};
use syncline::prelude::*;
use syncline::users::{self, User};

/// Somebody signed in whose row is there. It stands for the row.
pub struct Person(Doc<User>);

impl Guard for Person {
    async fn check(ctx: &QueryCtx) -> Result<Self> {
        let user = ctx.require::<SignedIn>().await?;
        let row = users::find(ctx, &user).await?;
        Ok(Person(row.ok_or(AppError::new("call users:store before this").code("UNKNOWN_USER"))?))
    }
}

impl Deref for Person {
    type Target = Doc<User>;

    fn deref(&self) -> &Doc<User> {
        &self.0
    }
}

/// May delete what others wrote. Whoever holds the admin key says who it is, with `users:setRoles`.
pub struct Moderator;

impl NamedRole for Moderator {
    const NAMES: &'static [&'static str] = &["moderator"];
    type Source = users::Roles;
}
