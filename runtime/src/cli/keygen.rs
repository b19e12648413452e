//! `keygen`: an admin key for tools.

use std::path::PathBuf;

use clap::Args;

use crate::ServerError;
use crate::admin::AdminKeys;
use crate::clock::{Clock, SystemClock};

#[derive(Args)]
#[group(id = "keygen")]
pub(super) struct Arguments {
    /// Folder of the database; its secret is made when there is none.
    #[arg(long, env = "SYNCLINE_DATA", default_value = "data")]
    data: PathBuf,
    /// Name of the deployment; must be the one that it is served under.
    #[arg(long, env = "INSTANCE_NAME", default_value = "syncline")]
    instance_name: String,
}

#[expect(clippy::print_stdout, reason = "the key is the output")]
pub(super) fn run(arguments: &Arguments) -> Result<(), ServerError> {
    let keys = AdminKeys::open(arguments.instance_name.clone(), &arguments.data)?;
    println!("{}", keys.issue(SystemClock::new().wall_ns() / 1_000_000_000));
    Ok(())
}
