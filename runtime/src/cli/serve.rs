//! `serve`: the server itself.

use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;

use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::config::Mode;
use crate::{Server, ServerError, Sqlite};

#[derive(Args)]
#[group(id = "serve")]
pub(super) struct Arguments {
    /// Port of the API and its WebSockets.
    #[arg(long, env = "SYNCLINE_PORT", default_value_t = 3210)]
    port: u16,
    /// Address to listen on. The development issuer works on loopback only.
    #[arg(long, env = "SYNCLINE_HOST", default_value = "127.0.0.1")]
    host: String,
    /// Folder of the database; made when it is missing.
    #[arg(long, env = "SYNCLINE_DATA", default_value = "data")]
    data: PathBuf,
    /// Redacts errors and logs for clients, and switches the development issuer off.
    #[arg(long, env = "SYNCLINE_PRODUCTION")]
    production: bool,
    /// Name of this deployment, as tools show it.
    #[arg(long, env = "INSTANCE_NAME", default_value = "syncline")]
    instance_name: String,
    /// What is logged, for example `info` or `syncline=debug`.
    #[arg(long, env = "SYNCLINE_LOG", default_value = "info")]
    log: String,
}

pub(super) async fn run(server: Server, arguments: Arguments) -> Result<(), ServerError> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&arguments.log))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    std::fs::create_dir_all(&arguments.data)?;
    let mode = if arguments.production { Mode::Production } else { Mode::Development };
    let storage = Sqlite::open(arguments.data.join("syncline.sqlite"))?;
    let server = server
        .storage(storage)
        .data(&arguments.data)
        .instance_name(arguments.instance_name)
        .change_config(|config| config.mode = mode);
    let running = server.start(&format!("{}:{}", arguments.host, arguments.port)).await?;
    announce(&running, &arguments.data);
    running.until_stopped().await
}

/// Tells a person where to go; on standard output, beside the log. Whoever closed it does not want to know.
fn announce(running: &crate::Running, data: &std::path::Path) {
    let text = format!(
        "\n  Syncline is running:  http://{}\n  Data:                 {}\n  Stop with Ctrl-C; everything that was acknowledged is there next time.\n\n",
        running.address(),
        data.display()
    );
    let mut output = std::io::stdout();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}
