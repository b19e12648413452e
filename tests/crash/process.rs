//! The test application as a process that can be killed.

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// See the module. Killed when dropped.
pub struct Process {
    /// The operating system's own.
    pub child: Child,
    address: SocketAddr,
    /// Kept open: a process whose output nobody takes is another test.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts it on a free port with its data in a folder, and waits until it says where it listens.
    pub fn start(data: &Path) -> Self {
        Self::start_on(data, 0)
    }

    /// The same on a port; 0 for a free one.
    pub fn start_on(data: &Path, port: u16) -> Self {
        Self::spawn(&mut Self::command(data, port))
    }

    /// The command that starts it.
    pub fn command(data: &Path, port: u16) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_test-app"));
        command.args(["serve", "--port", &port.to_string(), "--data"]).arg(data).env("SYNCLINE_LOG", "warn");
        command
    }

    /// Runs such a command, and waits until it says where it listens.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the test application starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is a pipe")).lines();
        let address = output
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("http://")?.1.trim().parse().ok())
            .expect("it says where it listens");
        Process { child, address, _output: output }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
