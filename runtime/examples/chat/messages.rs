//! The messages of the chat.

use syncline::guard::Role;
use syncline::prelude::*;
use syncline::users::User;

use crate::people::{Moderator, Person};

/// A message, with the name its author had when it was sent.
#[derive(Table)]
#[table(name = "messages")]
pub struct Message {
    body: String,
    author: Id<User>,
    author_name: String,
}

/// The longest message, characters.
const BODY_MAX: usize = 2000;

/// All messages, newest first, a page at a time.
#[query]
pub async fn list(ctx: &QueryCtx, pagination_opts: PaginationOptions) -> Result<PaginationResult<Doc<Message>>> {
    ctx.db.query(Message::all()).newest().paginate(pagination_opts).await
}

/// Posts as the signed-in person.
#[mutation]
pub async fn send(ctx: &MutationCtx, author: &Person, body: String) -> Result<Id<Message>> {
    let body = body.trim().to_owned();
    if body.is_empty() {
        return Err(AppError::new("a message needs some text").code("INVALID").into());
    }
    if body.chars().count() > BODY_MAX {
        return Err(AppError::new(format!("a message has at most {BODY_MAX} characters")).code("INVALID").into());
    }
    ctx.db.insert(Message { body, author: author.id, author_name: author.name.clone() }).await
}

/// Deletes a message: its author may, and a moderator. One that is gone stays gone.
#[mutation]
pub async fn remove(ctx: &MutationCtx, person: &Person, message: Id<Message>) -> Result<()> {
    let Some(found) = ctx.db.get(message).await? else { return Ok(()) };
    if found.author != person.id {
        ctx.require::<Role<Moderator>>().await?;
    }
    ctx.db.delete(message).await
}
