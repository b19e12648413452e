//! How fast a server is, beside what the machine can do at all.
//!
//! `cargo bench -p syncline-tests --bench load` starts the transfer workload (`runtime/examples/bench.rs`) as its own
//! process, drives it from this one over loopback, measures the bare limits with the same libraries in the same run,
//! and prints a table. `-- --help` lists the measures and options. It builds nothing and fails when a mutation failed,
//! an answer was missing or out of order, or a balance is not what the acknowledged transfers make it.
//!
//! Figures of others on this kind of machine (2 cores, client and server together), for comparison: the strongest peer,
//! an in-memory WebAssembly database server with a binary protocol, does 77,000 durable transfers/s at 64 x 40 with
//! 21.5 us of server CPU each, 17,000/s at 64 x 1 (p50 3.4 ms), 1.5 ms for one call of one client, 40,000 deliveries/s
//! to 1,000 subscribers at 21 us each, 10,000 subscribers within 233 ms, and 188 KB a subscribed connection; 5,000
//! point subscriptions of others cost it 34 % of its transfers.

/// The program's parts.
mod load {
    pub mod arguments;
    pub mod child;
    pub mod client;
    pub mod clock;
    pub mod closed_loop;
    pub mod failure;
    pub mod frames;
    pub mod http;
    pub mod ledger;
    pub mod limits;
    pub mod machine;
    pub mod measures;
    pub mod observers;
    pub mod server_process;
    pub mod sessions;
    pub mod table;
    pub mod window;
    pub mod workload;
}

use std::process::ExitCode;

use load::arguments::{Arguments, Command};
use load::failure::Failure;
use load::{limits, machine, measures};

fn main() -> ExitCode {
    let done = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Command::Measure(arguments)) => measure(&arguments),
        Ok(Command::Limit(limit)) => limits::serve(limit),
        Ok(Command::Explain(text)) => {
            eprintln!("{text}");
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// One thread for the whole load: the other core is the server's. Ctrl-C ends it in order, children included.
fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let n_files = machine::raise_file_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            done = measures::run(arguments, n_files) => done,
            _ = tokio::signal::ctrl_c() => Err(Failure::new("interrupted")),
        }
    })
}
