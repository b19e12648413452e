//! What happened, a line for each thing, for a person who reads a failing seed.

use std::fmt::Write as _;
use std::sync::Arc;

use syncline::clock::{Clock as _, ManualClock};

/// See the module.
pub struct Story {
    lines: Option<Vec<String>>,
    clock: Arc<ManualClock>,
    step: u64,
}

impl Story {
    /// One that is kept or, because telling takes longer than happening, is not.
    pub fn new(is_kept: bool, clock: Arc<ManualClock>) -> Self {
        Story { lines: is_kept.then(Vec::new), clock, step: 0 }
    }

    /// What is told from now on happens in this step.
    pub fn begin_step(&mut self, step: u64) {
        self.step = step;
    }

    /// Tells a line.
    pub fn tell(&mut self, what: impl FnOnce() -> String) {
        let Some(lines) = &mut self.lines else { return };
        let ms = self.clock.monotonic_ms();
        let mut line = format!("{:>6} {:>5}.{:03} s  ", self.step, ms / 1000, ms % 1000);
        write!(line, "{}", what()).expect("a String takes all");
        lines.push(line);
    }

    /// The lines so far.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
