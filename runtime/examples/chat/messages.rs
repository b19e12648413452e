//! The messages of the chat.

use syncline::prelude::*;
use syncline::users::{self, User};

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

/// Posts as the signed-in user, who has to be stored before (`users:store`).
#[mutation]
pub async fn send(ctx: &MutationCtx, body: String) -> Result<Id<Message>> {
    let identity = ctx.auth.require()?;
    let body = body.trim().to_owned();
    if body.is_empty() {
        return Err(AppError::new("a message needs some text").code("INVALID").into());
    }
    if body.chars().count() > BODY_MAX {
        return Err(AppError::new(format!("a message has at most {BODY_MAX} characters")).code("INVALID").into());
    }
    let author = users::find(ctx, identity).await?;
    let author = author.ok_or(AppError::new("call users:store before sending").code("UNKNOWN_USER"))?;
    ctx.db.insert(Message { body, author: author.id, author_name: author.name.clone() }).await
}
