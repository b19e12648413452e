//! `keygen`: an admin key for tools.

use clap::Args;

use super::settings::PlaceFlags;
use crate::ServerError;
use crate::clock::{Clock, SystemClock};

#[derive(Args)]
#[group(id = "keygen")]
pub(super) struct Arguments {
    #[command(flatten)]
    place: PlaceFlags,
}

#[expect(clippy::print_stdout, reason = "the key is the output")]
pub(super) fn run(arguments: &Arguments) -> Result<(), ServerError> {
    let place = arguments.place.open(&arguments.place.file()?)?;
    println!("{}", place.keys.issue(SystemClock::new().wall_ns() / 1_000_000_000));
    Ok(())
}
