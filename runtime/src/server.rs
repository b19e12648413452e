//! The server: built from tables and functions, started on an address, stopped without losing anything.

mod error;
mod metrics;
mod pages;
mod pool;
mod running;
mod threads;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use futures::FutureExt as _;
use futures::future::{AbortHandle, Abortable};
use syncline_engine::{Engine, MemoryStorage, Ports, SqliteOptions, SqliteStorage, Storage, StorageError};
use syncline_functions::registry::Registry;
use syncline_functions::typescript;
use syncline_schema::Schema;
use tokio::sync::watch;

use crate::admin::AdminKeys;
use crate::auth::{AuthConfig, AuthSettings, DevIssuer, Fetch, HttpFetch, Verifier, explain_page};
use crate::clock::{Clock, SystemClock, Timer, TokioTimer};
use crate::config::{Config, Mode, WATCHDOG_EVERY};
use crate::environment::Environment;
use crate::executor::{Executor, ExecutorPorts, guard};
use crate::live::LiveQueries;
use crate::machine::{Machine, Spawn};
use crate::net::{self, Authenticator, Host, Lanes};
use crate::system::{self, Facts};
pub use error::ServerError;
use metrics::MetricsRoute;
use running::Parts;
pub use running::{Embedded, InProcess, Running};
use threads::{FunctionThreads, NetworkTasks, SystemRandom};

/// The embedded store: an SQLite file, which the `sqlite3` shell can read while the server runs, and beside it the log of
/// what is not in it yet. A server that has stopped leaves the one file. To copy a store, stop its server or take all
/// files whose names begin with the file's, at once.
pub struct Sqlite;

impl Sqlite {
    /// Opens the file, or makes it; one server at a time. A file of an older version is brought up to date.
    ///
    /// # Errors
    /// When the file is in use, cannot be written, or is no store of this server.
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<SqliteStorage, StorageError> {
        SqliteStorage::open_and_tell(path, &SqliteOptions::default(), &*threads::progress_lines())
    }
}

/// A server that has not been started.
///
/// ```no_run
/// # use syncline::prelude::*;
/// # async fn example(schema: Schema, functions: Registry) -> std::result::Result<(), ServerError> {
/// Server::new(schema, functions).storage(Sqlite::open("chat.db")?).serve("127.0.0.1:3210").await
/// # }
/// ```
pub struct Server {
    schema: Schema,
    registry: Registry,
    auth: AuthSettings,
    storage: Option<Arc<dyn Storage>>,
    config: Config,
    clock: Arc<dyn Clock>,
    machine: Option<Machine>,
    instance_name: String,
    metrics: MetricsRoute,
    cloud_origin: Option<String>,
    site_origin: Option<String>,
    pages: Option<PathBuf>,
    data: Option<PathBuf>,
    fetch: Arc<dyn Fetch>,
    admin_keys: Option<AdminKeys>,
    variables: BTreeMap<String, Option<String>>,
}

impl Server {
    /// A server of these tables and functions: in memory, nobody can sign in, development.
    pub fn new(schema: Schema, registry: Registry) -> Self {
        Server {
            schema,
            registry,
            auth: AuthSettings::default(),
            storage: None,
            config: Config::default(),
            clock: Arc::new(SystemClock::new()),
            machine: None,
            instance_name: "syncline".to_owned(),
            metrics: MetricsRoute::Enabled,
            cloud_origin: None,
            site_origin: None,
            pages: None,
            data: None,
            fetch: Arc::new(HttpFetch::default()),
            admin_keys: None,
            variables: BTreeMap::new(),
        }
    }

    /// A server of the same tables, functions and limits, and of nothing else: for replays.
    pub(crate) fn same_application(&self) -> Self {
        Server { config: self.config.clone(), ..Server::new(self.schema.clone(), self.registry.clone()) }
    }

    /// Adds providers of identities: one, or [`AuthSettings`] with several. The first that fits a token decides.
    ///
    /// Values that name a variable follow the deployment's (`npx convex env set`) without a restart; the process's
    /// serves as long as the deployment has none.
    pub fn auth(mut self, providers: impl Into<AuthSettings>) -> Self {
        let AuthSettings { providers, allow_insecure_issuers } = providers.into();
        self.auth.providers.extend(providers);
        self.auth.allow_insecure_issuers |= allow_insecure_issuers;
        self
    }

    /// Another way to the documents of issuers than the network: for tests, and where an issuer is reached in a way of
    /// its own. What it gives is trusted: the keys of issuers come through it.
    pub fn fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.fetch = fetch;
        self
    }

    /// Variables of the deployment that are set before anything looks at them.
    pub(crate) fn variables(mut self, variables: BTreeMap<String, Option<String>>) -> Self {
        self.variables = variables;
        self
    }

    /// The providers as they were given.
    pub(crate) fn auth_settings(&self) -> AuthSettings {
        self.auth.clone()
    }

    /// The way to the documents of issuers.
    pub(crate) fn issuer_documents(&self) -> Arc<dyn Fetch> {
        self.fetch.clone()
    }

    /// The functions and tables as a module for clients in TypeScript, as the command `codegen` writes it.
    pub fn typescript(&self) -> String {
        typescript::module(&self.schema, &self.registry)
    }

    /// Where the data is kept; in memory when never called.
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.storage = Some(Arc::new(storage));
        self
    }

    /// Limits and switches.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Changes single limits and switches.
    pub fn change_config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Another clock than the machine's, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another machine than this one to wait and to run tasks on, for simulations. With it, a server without an address
    /// needs no runtime of tokio for its sockets, as long as the issuers of tokens answer; HTTP does.
    pub fn machine(mut self, machine: Machine) -> Self {
        self.machine = Some(machine);
        self
    }

    /// The name of this deployment, as tools show it.
    pub fn instance_name(mut self, name: impl Into<String>) -> Self {
        self.instance_name = name.into();
        self
    }

    /// What admin keys are checked with, instead of the secret in the data folder.
    pub fn admin_keys(mut self, keys: AdminKeys) -> Self {
        self.admin_keys = Some(keys);
        self
    }

    /// Answers `/metrics` with 404: for servers whose other routes are public.
    pub fn without_metrics(mut self) -> Self {
        self.metrics = MetricsRoute::Disabled;
        self
    }

    /// Where clients find this server, when that is not where it listens: `https://chat.example.com`.
    pub fn cloud_origin(mut self, origin: impl Into<String>) -> Self {
        self.cloud_origin = Some(origin.into());
        self
    }

    /// Where HTTP actions are found, when that is not `/http` behind the other origin.
    pub fn site_origin(mut self, origin: impl Into<String>) -> Self {
        self.site_origin = Some(origin.into());
        self
    }

    /// A folder of built pages, served at `/`.
    pub fn pages(mut self, folder: impl Into<PathBuf>) -> Self {
        self.pages = Some(folder.into());
        self
    }

    /// A folder for what the server itself keeps: the development issuer's key.
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// Serves until SIGINT or SIGTERM, then stops: accepts nothing new, answers what runs, and writes a checkpoint.
    ///
    /// # Errors
    /// When it cannot start.
    pub async fn serve(self, address: &str) -> Result<(), ServerError> {
        self.start(address).await?.until_stopped().await
    }

    /// Starts on an address and goes on in the background.
    ///
    /// # Errors
    /// When it cannot start.
    pub async fn start(self, address: &str) -> Result<Running, ServerError> {
        let listen = |cause| ServerError::Listen { address: address.to_owned(), cause };
        let listener = net::listen(address).await.map_err(listen)?;
        let bound = listener.local_addr().map_err(listen)?;
        let (router, parts) = self.build(Some(bound)).await?;
        let accepting = tokio::spawn(net::serve(listener, router, parts.host.clone()));
        tracing::info!("listening on http://{bound}");
        Ok(Running { address: bound, accepting: Some(accepting), parts })
    }

    /// The routes of the server, to be mounted in an application's own axum router; `Embedded` keeps it alive.
    ///
    /// They have no fallback and no dashboard, unless pages were given: what they do not know is the application's to
    /// answer. There is no development issuer: the application says who signs people in.
    ///
    /// # Errors
    /// When it cannot start.
    pub async fn into_router(self) -> Result<(Router, Embedded), ServerError> {
        let (router, parts) = self.build(None).await?;
        Ok((router, Embedded { parts }))
    }

    /// Starts without an address: connections are made inside the process. For tests and simulations.
    ///
    /// # Errors
    /// When it cannot start.
    pub async fn start_in_process(self) -> Result<InProcess, ServerError> {
        let (router, parts) = self.build(None).await?;
        Ok(InProcess { router, parts })
    }

    async fn build(mut self, address: Option<SocketAddr>) -> Result<(Router, Parts), ServerError> {
        let config = Arc::new(self.config.clone());
        let of_developer = address.filter(|address| self.is_for_developer(*address));
        let dev_issuer = self.dev_issuer(of_developer)?;
        let storage = self.storage.take().unwrap_or_else(|| Arc::new(MemoryStorage::default()));
        let (machine, functions) = match self.machine.take() {
            Some(given) => (given, None),
            None => this_machine(&config).map(|(machine, threads)| (machine, Some(threads)))?,
        };
        let ports = Ports {
            clock: self.clock.clone(),
            timer: machine.timer.clone(),
            random: machine.random.clone(),
            spawn: machine.network.clone(),
            progress: Some(threads::progress_lines()),
        };
        let engine = Engine::open(storage, self.schema.clone(), config.engine.clone(), ports).await?;
        set_variables(&engine, std::mem::take(&mut self.variables)).await?;
        let local = dev_issuer.as_ref().map(DevIssuer::local_issuer).into_iter().collect();
        let verifier =
            Arc::new(Verifier::with_local(AuthConfig::default(), local, self.fetch.clone(), self.clock.clone()));
        let environment = Arc::new(Environment::open(engine.clone(), self.auth.clone(), verifier.clone())?);
        let admin_keys = match (self.admin_keys.take(), &self.data) {
            (None, Some(data)) => Some(AdminKeys::open(self.instance_name.clone(), data)?),
            (given, _) => given,
        };
        let facts = self.facts(address);
        let executor =
            Executor::new(engine.clone(), facts, config.clone(), executor_ports(self.clock.clone(), &machine));
        let (clock, network) = (self.clock.clone(), machine.network.clone());
        let live = LiveQueries::new(engine.clone(), executor.clone(), clock, config.clone(), network)
            .map_err(|cause| ServerError::System(std::io::Error::other(cause)))?;
        let (stop, stopping) = watch::channel(false);
        let host = Arc::new(Host {
            connections: Arc::new(tokio::sync::Semaphore::new(config.connections_max)),
            authenticator: Arc::new(Authenticator::new(verifier.clone(), admin_keys, config.mode, self.clock.clone())),
            for_developer: of_developer.is_some(),
            started_ms: self.clock.monotonic_ms(),
            sessions: std::sync::atomic::AtomicUsize::new(0),
            environment,
            config,
            instance_name: self.instance_name,
            clock: self.clock.clone(),
            timer: machine.timer.clone(),
            tasks: machine.network.clone(),
            engine: engine.clone(),
            executor,
            live: live.clone(),
            lanes: Arc::new(Lanes::default()),
            stopping,
        });
        let background = vec![
            until_aborted(&*machine.network, "follow", live.follow()),
            until_aborted(&*machine.network, "watchdog", watchdog(self.clock, machine.timer)),
        ];
        let pages = self.pages.as_deref().map(pages::router);
        let routes = if address.is_none() && pages.is_none() { net::routes(&host) } else { net::router(&host, pages) };
        let mut router = routes.merge(metrics::router(self.metrics));
        if let Some(issuer) = dev_issuer {
            router = router.nest("/dev-issuer", issuer.router());
        }
        if let Some(address) = of_developer {
            tracing::info!("tokens are explained at http://{address}{}", explain_page::PATH);
            router = router.merge(explain_page::router(verifier));
        }
        Ok((router, Parts { host, engine, stop, background, functions }))
    }

    /// What the server's own functions tell.
    fn facts(&mut self, address: Option<SocketAddr>) -> Facts {
        let without_slash = |origin: &String| origin.trim_end_matches('/').to_owned();
        let own = || match address {
            Some(address) => format!("http://{address}"),
            None => "http://127.0.0.1:3210".to_owned(),
        };
        let cloud_origin = self.cloud_origin.as_ref().map_or_else(own, without_slash);
        let site_origin = self.site_origin.as_ref().map_or_else(|| format!("{cloud_origin}/http"), without_slash);
        Facts {
            schema: self.schema.clone(),
            functions: Arc::new(std::mem::take(&mut self.registry)),
            auth: self.auth.clone(),
            built_ins: system::built_ins(&cloud_origin, &site_origin),
            cloud_origin,
            site_origin,
        }
    }

    /// Whether what is for the developer alone may be served: nobody else reaches this address.
    fn is_for_developer(&self, address: SocketAddr) -> bool {
        self.config.mode == Mode::Development && address.ip().is_loopback()
    }

    /// The development issuer exists only where nobody else's identity could be meant by it.
    fn dev_issuer(&self, address: Option<SocketAddr>) -> Result<Option<DevIssuer>, ServerError> {
        let Some(address) = address.filter(|_| self.auth.providers.is_empty()) else { return Ok(None) };
        if let Some(folder) = &self.data {
            std::fs::create_dir_all(folder)?;
        }
        let issuer = DevIssuer::open(self.data.as_deref(), address.port(), self.clock.clone())?;
        tracing::warn!(
            issuer = issuer.issuer(),
            "no identity provider is configured: the development issuer signs in anyone, from this machine only"
        );
        Ok(Some(issuer))
    }
}

/// Sets variables of the deployment, and waits until they are there for all.
async fn set_variables(engine: &Engine, variables: BTreeMap<String, Option<String>>) -> Result<(), ServerError> {
    if variables.is_empty() {
        return Ok(());
    }
    let committed = engine.set_environment_variables(variables).await.map_err(std::io::Error::other)?;
    engine.wait_durable(committed.ts, 0).await;
    Ok(())
}

/// The machine that the process runs on, and its threads for functions.
fn this_machine(config: &Config) -> std::io::Result<(Machine, FunctionThreads)> {
    let size = pool::Size { threads: config.function_threads, spare: config.function_threads_spare };
    let functions = FunctionThreads::start(size)?;
    let machine = Machine {
        timer: Arc::new(TokioTimer),
        random: Arc::new(SystemRandom),
        network: Arc::new(NetworkTasks::current()),
        functions: functions.spawner(),
    };
    Ok((machine, functions))
}

fn executor_ports(clock: Arc<dyn Clock>, machine: &Machine) -> ExecutorPorts {
    let Machine { timer, random, functions, .. } = machine.clone();
    ExecutorPorts { clock, timer, random, functions }
}

/// Runs a future that ends when it is aborted.
fn until_aborted(
    tasks: &dyn Spawn,
    name: &'static str,
    future: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    let (handle, registration) = AbortHandle::new_pair();
    let abortable = Abortable::new(future, registration);
    tasks.spawn(name, Box::pin(abortable.map(|_| ())));
    handle
}

/// Names functions that keep a thread for long.
async fn watchdog(clock: Arc<dyn Clock>, timer: Arc<dyn Timer>) {
    loop {
        timer.sleep(WATCHDOG_EVERY).await;
        metrics::upkeep();
        for (path, kept) in guard::stuck(clock.monotonic_ms(), WATCHDOG_EVERY) {
            tracing::warn!(path = %path, kept_ms = kept.as_millis(), "a function does not yield; it keeps a thread busy");
        }
    }
}
