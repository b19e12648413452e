//! `replay run` and `replay record`: handshakes of clients, kept as tests.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::replay::{Failure, Handshake, Outcome, Place, Player, Recorder, RunningServer, Summary};
use crate::{Server, ServerError};

#[derive(Args)]
#[group(id = "replay")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays handshakes, and says where the server differs from what it has to say; ends with 1 when it does.
    Run(Run),
    /// Stands in front of a server and writes down what clients and it say to each other, until it is stopped. Tokens
    /// are kept as claims, never as they are.
    Record(Record),
}

#[derive(Args)]
struct Record {
    /// The server, which may be any.
    #[arg(long, default_value = "http://127.0.0.1:3210")]
    url: String,
    /// Where clients are to connect instead.
    #[arg(long, default_value = "127.0.0.1:3211")]
    listen: String,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// What the handshake is called; the name of the file when it is left out.
    #[arg(long)]
    name: Option<String>,
}

#[derive(Args)]
struct Run {
    /// Files of handshakes, or folders of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// A running server to play against, in real time. Without it each handshake has this application for itself, in
    /// process, with a clock that is moved by hand and issuers made of fixtures.
    #[arg(long, conflicts_with = "socket")]
    url: Option<String>,
    /// As without --url, but over a real socket, on a port of this machine.
    #[arg(long)]
    socket: bool,
    /// Admin key of the running server, for handshakes that need one.
    #[arg(long, env = "CONVEX_SELF_HOSTED_ADMIN_KEY", hide_env_values = true)]
    admin_key: Option<String>,
    /// Longest time to wait for in one handshake against a running server, in seconds.
    #[arg(long, default_value_t = 5)]
    wait: u64,
}

/// Answers whether all is well.
pub(super) async fn run(application: Server, arguments: Arguments) -> Result<bool, ServerError> {
    match arguments.command {
        Command::Run(arguments) => play(application, arguments).await,
        Command::Record(arguments) => record(arguments).await.map(|()| true),
    }
}

/// How often a recording is saved while it grows.
const SAVE_EVERY: Duration = Duration::from_secs(1);

#[expect(clippy::print_stdout, reason = "a person has to know where to go")]
async fn record(arguments: Record) -> Result<(), ServerError> {
    let Record { url, listen, out, name } = arguments;
    let name = name.unwrap_or_else(|| out.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    let recorder = Recorder::start(&url, &listen).await.map_err(std::io::Error::other)?;
    let save = || {
        std::fs::write(&out, recorder.text(&name))
            .map_err(|error| std::io::Error::other(format!("{} cannot be written: {error}", out.display())))
    };
    save()?;
    println!("Recording: clients connect to http://{}, which stands in front of {url}.", recorder.address());
    println!("Writing {}; stop with Ctrl-C.", out.display());
    let mut ticks = tokio::time::interval(SAVE_EVERY);
    let mut saved = recorder.counts();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            stopped = tokio::signal::ctrl_c() => {
                stopped?;
                save()?;
                break;
            }
        }
        if recorder.counts() != saved {
            saved = recorder.counts();
            save()?;
        }
    }
    let (sockets, lines, tokens) = recorder.counts();
    println!("\nrecorded: {sockets} sockets, {lines} lines, {tokens} tokens in {}", out.display());
    if recorder.is_full() {
        println!("It is not complete: the recording became too long.");
    }
    Ok(())
}

async fn play(application: Server, run: Run) -> Result<bool, ServerError> {
    let place = match &run.url {
        Some(url) => {
            let server = RunningServer::new(url, run.admin_key.clone(), Duration::from_secs(run.wait));
            Place::Url(server.map_err(std::io::Error::other)?)
        }
        None if run.socket => Place::Loopback,
        None => Place::InProcess,
    };
    let files = files(&run.files)?;
    let player = Player::new(application, place);
    let mut progress = Progress::new(files.len());
    let mut summary = Summary::default();
    for file in &files {
        let shown = file.display().to_string();
        progress.begin(&shown);
        let outcome = match Handshake::parse(&shown, &std::fs::read_to_string(file)?) {
            Ok(handshake) => player.play(&handshake).await,
            Err(error) => {
                let what = format!("this is no handshake: {}", error.message);
                Outcome::Failed(Failure { line: error.line, what, differences: Vec::new(), said: None })
            }
        };
        summary.add(&outcome);
        progress.end(&shown, &outcome);
    }
    progress.close(&summary);
    Ok(summary.failed == 0)
}

/// The files, and those in the folders, in the order of the numbers in their names.
fn files(given: &[PathBuf]) -> Result<Vec<PathBuf>, ServerError> {
    let mut files = Vec::new();
    for path in given {
        let named = |error| std::io::Error::other(format!("{}: {error}", path.display()));
        if !std::fs::metadata(path).map_err(named)?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(named)?.collect::<Result<Vec<_>, _>>()?;
        let mut inside: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        inside.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        inside.sort_by_key(|path| order(path));
        if inside.is_empty() {
            return Err(named(std::io::Error::other("there is no *.jsonl in this folder")).into());
        }
        files.extend(inside);
    }
    Ok(files)
}

/// The first number in a name, then the name: HS2 comes before HS10.
fn order(path: &Path) -> (u64, String) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let digits: String =
        name.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).take(18).collect();
    (digits.parse().unwrap_or(0), name)
}

/// Cells of the bar.
const BAR_CELLS: usize = 30;

/// What a person sees: a bar on a terminal, and a line for each handshake that did not pass.
struct Progress {
    total: usize,
    done: usize,
    is_terminal: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        Progress { total, done: 0, is_terminal: std::io::stderr().is_terminal() }
    }

    fn begin(&self, file: &str) {
        if self.is_terminal {
            let full = self.done * BAR_CELLS / self.total.max(1);
            let (bar, rest) = ("█".repeat(full), "░".repeat(BAR_CELLS - full));
            eprint!("\r\x1b[2K{bar}{rest} {}/{} {file}", self.done, self.total);
            drop(std::io::stderr().flush());
        }
    }

    fn clear(&self) {
        if self.is_terminal {
            eprint!("\r\x1b[2K");
        }
    }

    #[expect(clippy::print_stdout, reason = "the outcome is the output")]
    fn end(&mut self, file: &str, outcome: &Outcome) {
        self.done += 1;
        self.clear();
        match outcome {
            Outcome::Passed if self.is_terminal => {}
            Outcome::Passed => println!("pass  {file}"),
            Outcome::Failed(failure) => println!("FAIL  {file}:{}: {failure}", failure.line),
            Outcome::Skipped(why) => println!("skip  {file}: {why}"),
        }
    }

    #[expect(clippy::print_stdout, reason = "the outcome is the output")]
    fn close(&self, summary: &Summary) {
        self.clear();
        println!("{summary}");
    }
}
