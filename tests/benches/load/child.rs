//! A process that this one starts, waits for, and ends.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::clock::bounded;
use super::failure::Failure;

/// How long a process may take until it listens; one that builds an index of a large table first takes some seconds.
const START_MAX: Duration = Duration::from_secs(120);

/// How often it is looked at whether a process has stopped.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A process that listens on loopback. It is killed when this is dropped.
pub struct Child {
    process: std::process::Child,
    address: SocketAddr,
}

impl Child {
    /// Starts a process and waits until it prints the `http://` address where it listens. Its standard input is a pipe
    /// that closes with this process, however that ends.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::new(format!("{name} cannot be started: {error}")))?;
        let (said, heard) = mpsc::channel();
        if let Some(stdout) = process.stdout.take() {
            // Reads on to the end, so that the process never waits for a full pipe.
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if let Some(address) = line.split_once("http://").and_then(|(_, rest)| rest.trim().parse().ok()) {
                        // Whoever waited may be gone already.
                        let _ = said.send(address);
                    }
                }
            });
        }
        match heard.recv_timeout(START_MAX) {
            Ok(address) => Ok(Child { process, address }),
            Err(_) => {
                end(&mut process);
                Err(Failure::new(format!("{name} did not say where it listens within {} s", START_MAX.as_secs())))
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(mut self) -> Result<(), Failure> {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        if !asked.success() {
            return Err(Failure::new("a process could not be asked to stop"));
        }
        bounded("waiting until a process has stopped", async {
            loop {
                match self.process.try_wait()? {
                    Some(status) if status.success() => return Ok(()),
                    Some(status) => return Err(Failure::new(format!("a process ended with {status}"))),
                    None => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        })
        .await
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// Both fail only when it has ended already.
fn end(process: &mut std::process::Child) {
    let _ = process.kill();
    let _ = process.wait();
}
