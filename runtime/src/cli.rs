//! The command line of an application: `serve`, and what helps with it.
//!
//! An application's `main` hands its [`Server`] over; everything a person can set is a flag or a variable.

mod auth;
mod codegen;
mod keygen;
mod replay;
mod serve;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::Server;

#[derive(Parser)]
#[command(about = "A reactive function runtime server that works with Convex clients.", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the application until it is stopped (the default).
    Serve(serve::Arguments),
    /// Prints an admin key of the instance whose data is in a folder, alone, on standard output.
    Keygen(keygen::Arguments),
    /// What is wrong with a token, or with an identity provider.
    Auth(auth::Arguments),
    /// Writes the functions and tables as types for clients in TypeScript.
    Codegen(codegen::Arguments),
    /// Records what clients and servers say to each other, and plays it again as a test.
    Replay(replay::Arguments),
}

/// Runs the command that the process was started with.
pub async fn run(server: Server) -> ExitCode {
    let arguments = CommandLine::parse();
    let well = |()| true;
    let ended = match arguments.command {
        Some(Command::Serve(serve)) => serve::run(server, serve).await.map(well),
        Some(Command::Keygen(keygen)) => keygen::run(&keygen).map(well),
        Some(Command::Auth(arguments)) => auth::run(&server, arguments).await,
        Some(Command::Codegen(arguments)) => codegen::run(&server, &arguments),
        Some(Command::Replay(arguments)) => replay::run(server, arguments).await,
        None => serve::run(server, arguments.serve).await.map(well),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        // The command has said what is not well.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
