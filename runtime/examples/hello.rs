//! The smallest application: one table, one query, one mutation.

use syncline::prelude::*;

#[derive(Table)]
#[table(name = "messages", index(by_channel = [channel]))]
struct Message {
    channel: String,
    author: String,
    body: String,
}

mod messages {
    use super::*;

    /// The newest fifty messages of a channel.
    #[query]
    pub async fn list(ctx: &QueryCtx, channel: String) -> Result<Vec<Doc<Message>>> {
        ctx.db.query(Message::by_channel().eq(channel)).newest().take(50).await
    }

    /// Posts as the signed-in user.
    #[mutation]
    pub async fn send(ctx: &MutationCtx, user: &SignedIn, channel: String, body: String) -> Result<Id<Message>> {
        ctx.db.insert(Message { channel, author: user.subject.clone(), body }).await
    }
}

#[tokio::main]
async fn main() -> Result<(), ServerError> {
    Server::new(schema![Message], functions![messages::list, messages::send])
        .storage(Sqlite::open("hello.db")?)
        .serve("127.0.0.1:3210")
        .await
}
