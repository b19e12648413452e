//! The server that is measured: the example `bench`, as its own process on loopback, with a data folder that goes with it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::child::Child;
use super::clock::bounded;
use super::failure::Failure;
use super::http::HttpClient;
use super::machine::cpu_time;
use super::workload::{ACCOUNTS, INITIAL_BALANCE};

/// Names another executable than the one beside this program.
const SERVER_VARIABLE: &str = "SYNCLINE_BENCH_SERVER";

/// The server's standard error, in its data folder.
const LOG: &str = "server.log";

/// How the names of the store's files begin: the database, its journal and its lock.
pub const STORE: &str = "syncline.sqlite";

/// Who does next to nothing for so long is at rest.
const REST: Duration = Duration::from_millis(300);

/// Accounts a call makes: well under the documents one mutation may write.
const ACCOUNTS_A_CALL: u32 = 4000;

/// A running server.
pub struct ServerProcess {
    // Declared first: the process ends before its folder is removed.
    child: Child,
    data: TempDir,
}

impl ServerProcess {
    /// Starts it in a new folder below `parent`.
    pub fn start(parent: &Path) -> Result<Self, Failure> {
        ServerProcess::start_with(parent, None)
    }

    /// The same, with a variable in its environment.
    pub fn start_with(parent: &Path, variable: Option<(&str, String)>) -> Result<Self, Failure> {
        ServerProcess::start_in(TempDir::with_prefix_in("syncline-load-", parent)?, variable)
    }

    /// Starts it in a folder that may hold a store already.
    pub fn start_in(data: TempDir, variable: Option<(&str, String)>) -> Result<Self, Failure> {
        let executable = executable()?;
        let child = Child::start(
            Command::new(&executable)
                .envs(variable)
                .args(["serve", "--host", "127.0.0.1", "--port", "0", "--log", "warn", "--data"])
                .arg(data.path())
                .stderr(fs::File::create(data.path().join(LOG))?),
        );
        match child {
            Ok(child) => Ok(ServerProcess { child, data }),
            Err(failure) => Err(Failure::new(format!("{failure}\nits log:\n{}", read_log(&data)))),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.child.address()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// What it had to warn of so far.
    pub fn log(&self) -> String {
        read_log(&self.data)
    }

    /// Stops it in order; what is left is its folder.
    pub async fn stop(self) -> Result<TempDir, Failure> {
        self.child.stop().await?;
        Ok(self.data)
    }

    /// Ends it at once, as a crash does; what is left is its folder.
    pub fn kill(self) -> TempDir {
        drop(self.child);
        self.data
    }

    /// Waits until it has done what it does by itself: what was written a moment ago is still being moved to the base.
    pub async fn rest(&self) -> Result<(), Failure> {
        bounded("waiting until the server has nothing to do", async {
            let mut before = cpu_time(self.pid())?;
            loop {
                tokio::time::sleep(REST).await;
                let now = cpu_time(self.pid())?;
                if now.saturating_sub(before) < REST / 10 {
                    return Ok(());
                }
                before = now;
            }
        })
        .await
    }

    /// Bytes of the store's files.
    pub fn file_bytes(&self) -> Result<u64, Failure> {
        let mut bytes = 0;
        for entry in fs::read_dir(self.data.path())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(STORE) {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes)
    }

    /// Makes the accounts; each is acknowledged when this returns.
    pub async fn seed(&self) -> Result<(), Failure> {
        self.seed_accounts(ACCOUNTS).await
    }

    /// Makes `n` accounts.
    pub async fn seed_accounts(&self, n: u32) -> Result<(), Failure> {
        let mut http = HttpClient::open(self.address()).await?;
        for start in (0..n).step_by(ACCOUNTS_A_CALL as usize) {
            let count = ACCOUNTS_A_CALL.min(n - start);
            let body = format!(
                r#"{{"path":"seed:seed_range","args":{{"start":{start},"count":{count},"initial":{INITIAL_BALANCE}}}}}"#
            );
            bounded("making accounts", async {
                let answer = http.post("/api/mutation?format=json", body.as_bytes()).await?;
                if answer.starts_with(br#"{"status":"success""#) {
                    Ok(())
                } else {
                    Err(Failure::new(String::from_utf8_lossy(answer)))
                }
            })
            .await?;
        }
        Ok(())
    }
}

/// Another folder below `parent` with the same files.
pub fn copy(folder: &TempDir, parent: &Path) -> Result<TempDir, Failure> {
    let copy = TempDir::with_prefix_in("syncline-load-", parent)?;
    for entry in fs::read_dir(folder.path())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
        }
    }
    Ok(copy)
}

fn read_log(data: &TempDir) -> String {
    fs::read_to_string(data.path().join(LOG)).unwrap_or_else(|error| error.to_string())
}

/// `target/<profile>/examples/bench`, seen from `target/<profile>/deps/load-<hash>`.
fn executable() -> Result<PathBuf, Failure> {
    let path = match std::env::var_os(SERVER_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => {
            let own = std::env::current_exe()?;
            let profile = own.parent().and_then(Path::parent).unwrap_or(Path::new("."));
            profile.join("examples").join("bench")
        }
    };
    if path.is_file() {
        Ok(path)
    } else {
        Err(Failure::new(format!(
            "there is no server at {}.\nBuild it:  cargo build --release -p syncline --example bench\n\
             or name another one in {SERVER_VARIABLE}",
            path.display()
        )))
    }
}
