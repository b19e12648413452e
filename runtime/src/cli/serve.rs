//! `serve`: the server itself.

use std::io::{IsTerminal, Write as _};

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::settings::{Place, PlaceFlags};
use crate::config::Mode;
use crate::{Server, ServerError, Sqlite};

#[derive(Args)]
#[group(id = "serve")]
pub(super) struct Arguments {
    #[command(flatten)]
    place: PlaceFlags,
    /// Port of the API and its WebSockets. [default: 3210]
    #[arg(long, env = "SYNCLINE_PORT")]
    port: Option<u16>,
    /// Address to listen on. The development issuer works on loopback only. [default: 127.0.0.1]
    #[arg(long, env = "SYNCLINE_HOST", value_name = "ADDRESS")]
    host: Option<String>,
    /// Redacts errors and logs for clients, and switches the development issuer off.
    #[arg(long, env = "SYNCLINE_PRODUCTION")]
    production: bool,
    /// Where clients find this server: https://chat.example.com. Functions read it as CONVEX_CLOUD_URL. [default: where it
    /// listens]
    #[arg(long, env = "CONVEX_CLOUD_ORIGIN", value_name = "URL")]
    cloud_origin: Option<String>,
    /// Where HTTP actions are found, read as CONVEX_SITE_URL. [default: /http behind the other]
    #[arg(long, env = "CONVEX_SITE_ORIGIN", value_name = "URL")]
    site_origin: Option<String>,
    /// Answers /metrics with 404.
    #[arg(long, env = "DISABLE_METRICS_ENDPOINT")]
    disable_metrics_endpoint: bool,
    /// What is logged: info, debug, or by module, syncline=debug. [default: info]
    #[arg(long, env = "SYNCLINE_LOG", value_name = "FILTER")]
    log: Option<String>,
}

pub(super) async fn run(server: Server, arguments: Arguments) -> Result<(), ServerError> {
    let file = arguments.place.file()?;
    let log = arguments.log.or(file.log.clone()).unwrap_or_else(|| "info".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(log))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let Place { data, instance_name, keys } = arguments.place.open(&file)?;
    let production = arguments.production || file.production.unwrap_or(false);
    let mode = if production { Mode::Production } else { Mode::Development };
    let mut server = server
        .storage(Sqlite::open(data.join("syncline.sqlite"))?)
        .data(&data)
        .instance_name(instance_name)
        .admin_keys(keys)
        .change_config(|config| config.mode = mode);
    if let Some(origin) = arguments.cloud_origin.or(file.cloud_origin) {
        server = server.cloud_origin(origin);
    }
    if let Some(origin) = arguments.site_origin.or(file.site_origin) {
        server = server.site_origin(origin);
    }
    if arguments.disable_metrics_endpoint || file.disable_metrics_endpoint.unwrap_or(false) {
        server = server.without_metrics();
    }
    let host = arguments.host.or(file.host).unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = arguments.port.or(file.port).unwrap_or(3210);
    let running = server.start(&format!("{host}:{port}")).await?;
    announce(&running, &data);
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
