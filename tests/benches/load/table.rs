//! The table of results: ours beside the limit, and which share of the limit that is.

use std::io::Write;

use super::failure::Failure;

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Rates.
    Higher,
    /// Times, costs.
    Lower,
}

/// One line.
struct Row {
    measure: String,
    quantity: &'static str,
    ours: f64,
    limit: Option<(f64, f64, &'static str)>,
}

/// All lines, and what went wrong.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    problems: Vec<String>,
}

/// What is measured, and which way is good.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// Its name with its unit.
    pub name: &'static str,
    /// Which way is good.
    pub better: Better,
}

impl Quantity {
    /// More is better.
    pub const fn rate(name: &'static str) -> Self {
        Quantity { name, better: Better::Higher }
    }

    /// Less is better.
    pub const fn cost(name: &'static str) -> Self {
        Quantity { name, better: Better::Lower }
    }
}

impl Table {
    /// Adds a line: the medians of the rounds of ours and of the limit, and what the limit is.
    pub fn add(&mut self, measure: &str, quantity: Quantity, ours: Vec<f64>, limit: Vec<f64>, limit_is: &'static str) {
        let (ours, limit) = (median(ours), median(limit));
        let reached = match quantity.better {
            Better::Higher => ours / limit,
            Better::Lower => limit / ours,
        };
        let limit = Some((limit, reached, limit_is));
        self.rows.push(Row { measure: measure.to_owned(), quantity: quantity.name, ours, limit });
    }

    /// Adds a line of a quantity that has no limit.
    pub fn add_plain(&mut self, measure: &str, quantity: &'static str, ours: Vec<f64>) {
        self.rows.push(Row { measure: measure.to_owned(), quantity, ours: median(ours), limit: None });
    }

    /// Notes something that must not be.
    pub fn add_problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Prints all lines. Fails when something was wrong: figures of wrong answers count for nothing.
    pub fn print(self) -> Result<(), Failure> {
        let mut lines = vec![["measure", "quantity", "ours", "limit", "reached", "the limit is"].map(str::to_owned)];
        let mut before = "";
        for row in &self.rows {
            let measure = if row.measure == before { String::new() } else { row.measure.clone() };
            before = &row.measure;
            let (limit, reached, limit_is) = match row.limit {
                Some((limit, reached, limit_is)) => (shown(limit), format!("{reached:.2}"), limit_is.to_owned()),
                None => Default::default(),
            };
            lines.push([measure, row.quantity.to_owned(), shown(row.ours), limit, reached, limit_is]);
        }
        print_lines(&lines)?;
        if self.problems.is_empty() { Ok(()) } else { Err(Failure::new(self.problems.join("\n"))) }
    }
}

/// As a table of Markdown that can be read as it is.
fn print_lines(lines: &[[String; 6]]) -> Result<(), Failure> {
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut stdout = std::io::stdout().lock();
    for (n, [measure, quantity, ours, limit, reached, limit_is]) in lines.iter().enumerate() {
        let [a, b, c, d, e, f] = widths;
        writeln!(
            stdout,
            "| {measure:a$} | {quantity:b$} | {ours:>c$} | {limit:>d$} | {reached:>e$} | {limit_is:f$} |"
        )?;
        if n == 0 {
            let rule = |width: usize| "-".repeat(width);
            let right = |width: usize| format!("{}:", "-".repeat(width - 1));
            let (a, b, c, d, e, f) = (rule(a), rule(b), right(c), right(d), right(e), rule(f));
            writeln!(stdout, "| {a} | {b} | {c} | {d} | {e} | {f} |")?;
        }
    }
    Ok(())
}

/// The middle one: machines are noisy, and one bad round says nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.as_slice() {
        [] => f64::NAN,
        sorted if sorted.len() % 2 == 1 => sorted[half],
        sorted => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// Three digits or all before the point.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => grouped(value.round() as i64),
        size if size >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) && digit.is_ascii_digit() && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
