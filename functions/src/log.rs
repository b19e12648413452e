//! `ctx.log`: lines that reach the client's console and the server's log.

use std::fmt;
use std::sync::Arc;

use crate::limits::{LOG_LINE_BYTES_MAX, LOG_LINES_MAX};
use crate::run::Run;

/// Writes log lines of a run.
#[derive(Clone)]
pub struct Log {
    run: Arc<Run>,
}

impl Log {
    pub(crate) fn new(run: Arc<Run>) -> Self {
        Log { run }
    }

    /// A line of level `LOG`, as `console.log` writes it.
    pub fn log(&self, text: impl fmt::Display) {
        self.run.log(Level::Log, &text);
    }

    /// A line of level `INFO`.
    pub fn info(&self, text: impl fmt::Display) {
        self.run.log(Level::Info, &text);
    }

    /// A line of level `WARN`.
    pub fn warn(&self, text: impl fmt::Display) {
        self.run.log(Level::Warn, &text);
    }

    /// A line of level `ERROR`.
    pub fn error(&self, text: impl fmt::Display) {
        self.run.log(Level::Error, &text);
    }

    /// A line of level `DEBUG`.
    pub fn debug(&self, text: impl fmt::Display) {
        self.run.log(Level::Debug, &text);
    }
}

/// How important a line is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    Log,
    Info,
    Warn,
    Error,
    Debug,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Log => "LOG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
            Level::Debug => "DEBUG",
        }
    }
}

/// Ends a line that was cut because it was too long.
pub const CUT_MARK: &str = "… (cut)'";

/// Adds a line, within the limits: `[LOG] 'text'`.
pub(crate) fn push(lines: &mut Vec<String>, level: Level, text: &dyn fmt::Display) {
    match lines.len() {
        n if n > LOG_LINES_MAX => {}
        LOG_LINES_MAX => {
            lines.push(format!("[WARN] 'a run has at most {LOG_LINES_MAX} log lines; all that followed were dropped'"))
        }
        _ => lines.push(cut(format!("[{}] '{text}'", level.name()))),
    }
}

fn cut(mut line: String) -> String {
    if line.len() > LOG_LINE_BYTES_MAX {
        let room = LOG_LINE_BYTES_MAX - CUT_MARK.len();
        let end = (0..=room).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
        line.truncate(end);
        line.push_str(CUT_MARK);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut lines = Vec::new();
        for text in texts {
            push(&mut lines, Level::Log, &text);
        }
        lines
    }

    #[test]
    fn a_line_shows_its_level_and_quotes_the_text() {
        let mut lines = Vec::new();
        for level in [Level::Log, Level::Info, Level::Warn, Level::Error, Level::Debug] {
            push(&mut lines, level, &"hi");
        }
        assert_eq!(lines, ["[LOG] 'hi'", "[INFO] 'hi'", "[WARN] 'hi'", "[ERROR] 'hi'", "[DEBUG] 'hi'"]);
    }

    #[test]
    fn after_256_lines_one_tells_that_the_rest_was_dropped() {
        assert_eq!(lines((0..256).map(|i| i.to_string())).last().unwrap(), "[LOG] '255'");
        let many = lines((0..1000).map(|i| i.to_string()));
        assert_eq!(many.len(), 257);
        assert!(many[256].contains("at most 256"), "{}", many[256]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_says_so() {
        let fits = "x".repeat(LOG_LINE_BYTES_MAX - "[LOG] ''".len());
        assert_eq!(lines([fits.clone()])[0].len(), LOG_LINE_BYTES_MAX);
        assert!(!lines([fits.clone()])[0].contains("(cut)"));
        for long in [fits + "x", "🎉".repeat(LOG_LINE_BYTES_MAX)] {
            let line = &lines([long])[0];
            assert!(line.len() <= LOG_LINE_BYTES_MAX && line.ends_with("(cut)'"), "{}", line.len());
        }
    }
}
