//! What is measured. Each measure runs ours and its limits in turn, round by round, and adds lines to the table.

mod calls;
mod fan_out;
mod http_calls;
mod large;
mod latency;
mod live;
mod long;
mod memory;
mod observed;
mod point;
mod reruns;
mod scan;
mod start;
mod storm;

use std::path::Path;
use std::time::Duration;

use super::arguments::Arguments;
use super::failure::Failure;
use super::http::HttpClient;
use super::ledger::Ledger;
use super::machine::{self, Processors};
use super::server_process::ServerProcess;
use super::table::Table;
use super::workload::Spread;

/// Connections of the call measures.
const CONNECTIONS: usize = 64;

/// Files this process and the server need besides sockets.
const SPARE_FILES: usize = 100;

/// One measure; several lines of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Transfers over WebSocket: calls in flight on each connection, and which accounts.
    Calls(usize, Spread),
    /// Transfers over HTTP, one in flight on each connection.
    HttpCalls,
    /// One write seen by so many.
    FanOut(usize),
    /// One client alone, and one that waits for another's write.
    Latency,
    /// Memory of idle sessions.
    Memory,
    /// Transfers while the log is followed and the dashboard is open.
    Observed,
    /// Transfers while live queries on other keys are registered.
    Live,
    /// All sessions come back at once.
    Storm,
    /// One query that everybody asks.
    Point,
    /// Queries that run again because their rows were written.
    Reruns,
    /// Memory and files while one mutation follows the other for a long time.
    Long,
    /// How long a server takes until it answers.
    Start,
    /// Reads of data that is larger than the memory it may take.
    Large,
    /// Reading and indexing a whole table.
    Scan,
}

impl Measure {
    /// All, with the names that select them.
    pub const ALL: [(&'static str, Measure); 18] = [
        ("ws40", Measure::Calls(40, Spread::Uniform)),
        ("ws40-zipf", Measure::Calls(40, Spread::Zipf)),
        ("ws1", Measure::Calls(1, Spread::Uniform)),
        ("ws1-zipf", Measure::Calls(1, Spread::Zipf)),
        ("http", Measure::HttpCalls),
        ("fan-out-1000", Measure::FanOut(1000)),
        ("fan-out-10000", Measure::FanOut(10_000)),
        ("latency", Measure::Latency),
        ("memory", Measure::Memory),
        ("observed", Measure::Observed),
        ("live", Measure::Live),
        ("storm", Measure::Storm),
        ("point", Measure::Point),
        ("reruns", Measure::Reruns),
        ("long", Measure::Long),
        ("start", Measure::Start),
        ("large", Measure::Large),
        ("scan", Measure::Scan),
    ];
}

/// What the measures of one run share.
struct Bench<'a> {
    server: &'a ServerProcess,
    folder: &'a Path,
    length: Duration,
    rounds: usize,
    ledger: Ledger,
    table: Table,
    seed: u64,
}

impl Bench<'_> {
    /// Another row of transfers each time, the same in each run.
    fn next_seed(&mut self) -> u64 {
        self.seed += 1;
        self.seed
    }

    /// How long the commits of a limit are measured: their figures settle sooner than those of calls.
    fn commit_length(&self) -> Duration {
        self.length.min(Duration::from_secs(1))
    }
}

/// Runs all measures asked for, checks every balance and prints the table.
pub async fn run(arguments: &Arguments, n_files: usize) -> Result<(), Failure> {
    let sockets_max = n_files.saturating_sub(SPARE_FILES);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    eprintln!(
        "{cores} cores, load average {} before the start, SQLite {}, medians of {} rounds of {:?}",
        machine::load_average()?,
        rusqlite::version(),
        arguments.rounds,
        arguments.length
    );
    let server = ServerProcess::start(&arguments.folder)?;
    server.seed().await?;
    let mut bench = Bench {
        server: &server,
        folder: &arguments.folder,
        length: arguments.length,
        rounds: arguments.rounds,
        ledger: Ledger::new(),
        table: Table::default(),
        seed: 0,
    };
    for measure in &arguments.measures {
        let before = Processors::now()?;
        let done = match *measure {
            Measure::Calls(depth, spread) => calls::run(&mut bench, depth, spread).await,
            Measure::HttpCalls => http_calls::run(&mut bench).await,
            Measure::FanOut(n) => fan_out::run(&mut bench, n.min(sockets_max)).await,
            Measure::Latency => latency::run(&mut bench).await,
            Measure::Observed => observed::run(&mut bench).await,
            Measure::Live => live::run(&mut bench).await,
            Measure::Storm => storm::run(&mut bench, sockets_max).await,
            Measure::Point => point::run(&mut bench).await,
            Measure::Reruns => reruns::run(&mut bench).await,
            Measure::Long => long::run(&mut bench, arguments.mutations).await,
            Measure::Start => start::run(&mut bench, arguments.documents).await,
            Measure::Large => large::run(&mut bench, arguments.documents).await,
            Measure::Scan => scan::run(&mut bench, arguments.documents).await,
            Measure::Memory => memory::run(&mut bench, arguments.idle_sessions.min(sockets_max)).await,
        };
        let stolen = Processors::now()?.stolen_since(before);
        eprintln!("{measure:?}: the hypervisor took {stolen:.1} % of the processors' time");
        // The other measures are worth their time all the same.
        if let Err(failure) = done {
            bench.table.add_problem(failure.to_string());
        }
    }
    let Bench { ledger, mut table, .. } = bench;
    eprintln!("checking every balance");
    let mut http = HttpClient::open(server.address()).await?;
    if let Err(failure) = ledger.check(&mut http).await {
        table.add_problem(failure.to_string());
    }
    for line in server.log().lines().take(20) {
        eprintln!("the server's log: {line}");
    }
    table.print()
}
