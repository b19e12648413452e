//! A point in the history of a store.

use std::fmt;

/// The time of a commit: nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Before every commit.
    pub const ZERO: Timestamp = Timestamp(0);

    /// The `_creationTime` that the first insert of a transaction begun at this time gets:
    /// milliseconds since the epoch, with a fraction.
    ///
    /// Source: `tests/spec/data-and-functions.md` 2.5. The whole milliseconds and the rest are converted
    /// apart, because nanoseconds since the epoch do not fit the 53 bits of a double.
    #[must_use]
    pub fn creation_time(self) -> f64 {
        (self.0 / 1_000_000) as f64 + (self.0 % 1_000_000) as f64 / 1_000_000.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creation_time_keeps_the_fraction_of_the_millisecond() {
        assert_eq!(Timestamp(1_699_931_054_642_111_000).creation_time(), 1_699_931_054_642.111);
        assert_eq!(Timestamp::ZERO.creation_time(), 0.0);
    }
}
