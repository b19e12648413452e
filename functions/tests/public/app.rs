//! The application under test, and the harness that calls it as an executor does.

use std::sync::Arc;

use futures::executor::block_on;
use syncline::auth::UserIdentity;
use syncline::registry::{FunctionError, Registry};
use syncline::run::{Run, RunInputs, RunReport, Seeds, Surroundings};
use syncline::{Error, MutationCtx, QueryCtx, Result, Table, functions, schema};
use syncline_schema::{Doc, FunctionPath, Id, Schema};

use crate::memory::MemoryTx;

/// A message with fields of several types in its indexes.
#[derive(Clone, Debug, PartialEq, Table)]
#[table(name = "messages", index(
    by_channel = [channel],
    by_channel_score = [channel, score],
    by_author = [author],
    by_nested = ["place.city"],
))]
pub struct Message {
    pub channel: String,
    pub score: f64,
    pub author: Option<String>,
    pub place: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, syncline::Object)]
pub struct Place {
    pub city: String,
}

/// A message of a channel.
pub fn message(channel: &str, score: f64) -> Message {
    Message { channel: channel.into(), score, author: None, place: None }
}

pub mod messages {
    use super::*;
    use syncline::db::{PaginationOptions, PaginationResult};

    /// The newest messages of a channel.
    #[syncline::query]
    pub async fn list(ctx: &QueryCtx, channel: String, n: Option<f64>) -> Result<Vec<Doc<Message>>> {
        let n = n.unwrap_or(50.0) as usize;
        ctx.db.query(Message::by_channel().eq(channel)).newest().take(n).await
    }

    /// A page of a channel.
    #[syncline::query]
    pub async fn page(
        ctx: &QueryCtx,
        channel: String,
        pagination_opts: PaginationOptions,
    ) -> Result<PaginationResult<Doc<Message>>> {
        ctx.db.query(Message::by_channel().eq(channel)).paginate(pagination_opts).await
    }

    #[syncline::mutation]
    pub async fn send(ctx: &MutationCtx, channel: String, score: f64) -> Result<Id<Message>> {
        ctx.db.insert(message(&channel, score)).await
    }

    /// Removes a message.
    #[syncline::mutation(internal)]
    pub async fn remove(ctx: &MutationCtx, message_id: Id<Message>) -> Result<()> {
        ctx.db.delete(message_id).await
    }
}

/// All tables of the application.
pub fn tables() -> Schema {
    schema![Message, crate::outgoing::Bag, crate::rules::Note, crate::rules::Friend, syncline::users::User]
}

/// All functions of the application.
pub fn registry() -> Registry {
    use syncline::users;
    functions![
        messages::list,
        messages::page,
        messages::send,
        messages::remove,
        crate::args::arguments::everything,
        crate::args::arguments::nothing,
        crate::args::arguments::by_id,
        crate::args::arguments::snake,
        crate::calls::nesting::send_and_fail,
        crate::calls::nesting::catches,
        crate::calls::nesting::counts,
        crate::calls::nesting::deep,
        crate::calls::nesting::wrong_arguments,
        crate::calls::nesting::asks_who,
        crate::calls::nesting::mixes,
        crate::calls::nesting::returns_nonsense,
        crate::calls::nesting::survives_nonsense,
        crate::calls::nesting::gives_up,
        crate::calls::acting::relays,
        crate::context::looks::clock,
        crate::context::looks::identity,
        crate::context::looks::random,
        crate::context::looks::environment,
        crate::context::looks::logs,
        crate::errors::failing::plain,
        crate::errors::failing::text,
        crate::errors::failing::data,
        crate::errors::failing::coded,
        crate::errors::failing::other,
        crate::errors::failing::relays,
        crate::errors::failing::long,
        crate::guards::guarded::me,
        crate::guards::guarded::send,
        crate::guards::guarded::administer,
        crate::guards::guarded::both,
        crate::guards::guarded::open,
        crate::guards::guarded::perhaps,
        crate::guards::guarded::in_the_middle,
        crate::guards::guarded::act,
        crate::outgoing::giving::record,
        crate::outgoing::giving::anything,
        crate::outgoing::giving::many,
        crate::outgoing::giving::long,
        crate::outgoing::giving::passes_on,
        crate::pages::paging::twice,
        crate::pages::paging::filtered,
        crate::pages::paging::other_filter,
        crate::pages::paging::scored,
        crate::pages::paging::descending,
        users::store,
        users::current,
        users::list,
        users::me,
        users::set_roles,
    ]
}

/// An application with its data.
pub struct App {
    pub tx: Arc<MemoryTx>,
    pub registry: Arc<Registry>,
    pub identity: Option<Arc<UserIdentity>>,
    pub journal: Option<Arc<str>>,
    pub seed: u64,
}

/// Nothing but functions, and seeds that are all the same.
pub fn surroundings(registry: &Arc<Registry>, seed: u64) -> Arc<Surroundings> {
    let seeds: Seeds = Arc::new(move || seed);
    Arc::new(Surroundings { registry: registry.clone(), seeds, built_ins: Arc::default(), host: None })
}

impl App {
    /// Without documents, nobody signed in.
    pub fn new() -> Self {
        let registry = Arc::new(registry());
        App { tx: MemoryTx::new(tables()), registry, identity: None, journal: None, seed: 1 }
    }

    /// The same with messages of channel `a` with the scores 0, 1, 2...
    pub fn with_messages(n: usize) -> Self {
        let app = App::new();
        let ctx = app.mutation();
        for i in 0..n {
            block_on(ctx.db.insert(message("a", i as f64))).unwrap();
        }
        app
    }

    /// A new run.
    pub fn run(&self) -> Arc<Run> {
        Run::new(RunInputs {
            tx: Some(self.tx.clone()),
            caller: None,
            surroundings: surroundings(&self.registry, self.seed),
            identity: self.identity.clone(),
            now_ms: 1_700_000_000_123,
            journal: self.journal.clone(),
            on_log: None,
        })
    }

    /// A context outside of any function.
    pub fn query(&self) -> QueryCtx {
        QueryCtx::new(self.run())
    }

    /// A context outside of any function.
    pub fn mutation(&self) -> MutationCtx {
        MutationCtx::new(self.run())
    }

    /// Calls a function with arguments as the wire has them.
    pub fn call(&self, path: &str, arguments: &str) -> Result<String, FunctionError> {
        self.call_reporting(path, arguments).0
    }

    /// The same, with what the run leaves behind.
    pub fn call_reporting(&self, path: &str, arguments: &str) -> (Result<String, FunctionError>, RunReport) {
        let run = self.run();
        let function = self.registry.find(&FunctionPath::parse(path).unwrap()).expect(path);
        let result = block_on((function.handler)(run.clone(), arguments.into()));
        assert_eq!(self.tx.open_brackets(), 0, "every nested transaction is closed");
        (result, run.report())
    }
}

/// The text of a failure.
pub fn failure(result: Result<String, FunctionError>) -> String {
    result.expect_err("the call fails").message
}

/// The code of a refusal.
pub fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.expect_err("the call fails").code().expect("the refusal has a code")
}
