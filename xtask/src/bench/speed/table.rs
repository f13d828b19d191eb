//! The figures of all rounds, as a table of medians.

use std::fmt;

/// A figure of one run.
pub(super) struct Figure {
    label: String,
    value: f64,
    /// The number of decimals.
    digits: usize,
    /// The value per 1,000 bare posts in the same minute. Limits apply to it, if there is one.
    per_bare: Option<f64>,
    /// The limits on SQLite and on PostgreSQL. A peer has none.
    limits: [Option<Limit>; 2],
}

#[derive(Clone, Copy)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Figure {
    pub(super) fn new(label: impl Into<String>, digits: usize, value: f64) -> Self {
        Self { label: label.into(), value, digits, per_bare: None, limits: [None; 2] }
    }

    /// Adds the ratio to the ceiling.
    pub(super) fn beside(mut self, bare_per_s: f64) -> Self {
        self.per_bare = Some(self.value / bare_per_s * 1000.0);
        self
    }

    /// Adds the lowest values on SQLite and on PostgreSQL.
    pub(super) fn at_least(mut self, limits: [Option<f64>; 2]) -> Self {
        self.limits = limits.map(|limit| limit.map(Limit::AtLeast));
        self
    }

    /// Adds the highest values on SQLite and on PostgreSQL.
    pub(super) fn at_most(mut self, limits: [Option<f64>; 2]) -> Self {
        self.limits = limits.map(|limit| limit.map(Limit::AtMost));
        self
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label, cell(self.value, self.digits, self.per_bare))
    }
}

/// A row: the figures of each subject under one label.
struct Row {
    label: String,
    digits: usize,
    limits: [Option<Limit>; 2],
    /// For each subject, the figure and its ratio in each round.
    found: Vec<Vec<(f64, Option<f64>)>>,
}

impl Row {
    /// Returns the medians of a subject.
    fn medians(&self, subject: usize) -> Option<(f64, Option<f64>)> {
        let rounds = self.found.get(subject)?;
        let value = median(rounds.iter().map(|round| round.0).collect())?;
        Some((value, median(rounds.iter().filter_map(|round| round.1).collect())))
    }
}

/// All rows, in the order in which their first figures came.
pub(super) struct Table {
    /// The names of the subjects.
    subjects: Vec<&'static str>,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn new(subjects: Vec<&'static str>) -> Self {
        Self { subjects, rows: Vec::new() }
    }

    /// Adds the figures of a round.
    pub(super) fn add(&mut self, subject: usize, figures: Vec<Figure>) {
        for figure in figures {
            println!("    {figure}");
            let at = self.rows.iter().position(|row| row.label == figure.label).unwrap_or(self.rows.len());
            if at == self.rows.len() {
                let found = vec![Vec::new(); self.subjects.len()];
                self.rows.push(Row { label: figure.label, digits: figure.digits, limits: figure.limits, found });
            }
            self.rows[at].found[subject].push((figure.value, figure.per_bare));
        }
    }

    /// Returns a sentence for each median that breaks its limit.
    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for row in &self.rows {
            for (subject, name) in self.subjects.iter().enumerate() {
                let Some((value, per_bare)) = row.medians(subject) else { continue };
                let judged = per_bare.unwrap_or(value);
                let text = |word: &str, limit: f64| format!("{name}: {} is {judged:.2}, {word} {limit}", row.label);
                match limit_of(name, row.limits) {
                    Some(Limit::AtLeast(limit)) if judged < limit => broken.push(text("below", limit)),
                    Some(Limit::AtMost(limit)) if judged > limit => broken.push(text("above", limit)),
                    _ => {}
                }
            }
        }
        broken
    }
}

/// Returns the limit of a subject by its name.
fn limit_of(subject: &str, [sqlite, postgres]: [Option<Limit>; 2]) -> Option<Limit> {
    match subject {
        "SQLite" => sqlite,
        "PostgreSQL" => postgres,
        _ => None,
    }
}

/// A table in Markdown, as `docs/performance.md` has it.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![vec![String::new()]];
        lines[0].extend(self.subjects.iter().map(ToString::to_string));
        lines[0].push("limit".into());
        for row in &self.rows {
            let mut line = vec![row.label.clone()];
            line.extend((0..self.subjects.len()).map(|subject| {
                row.medians(subject).map_or("–".into(), |(value, per_bare)| cell(value, row.digits, per_bare))
            }));
            line.push(shown(row.limits));
            lines.push(line);
        }
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
        for (number, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(&widths) {
                write!(f, "| {cell:<width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                writeln!(f, "{}|", "| --- ".repeat(widths.len()))?;
            }
        }
        Ok(())
    }
}

/// Returns a value, and its ratio to the ceiling in parentheses.
fn cell(value: f64, digits: usize, per_bare: Option<f64>) -> String {
    let ratio = per_bare.map(|ratio| format!(" ({ratio:.1})")).unwrap_or_default();
    format!("{}{ratio}", grouped(value, digits))
}

/// Returns a number with commas between thousands.
pub(super) fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

/// Returns the limits on SQLite and PostgreSQL.
fn shown(limits: [Option<Limit>; 2]) -> String {
    if limits.iter().all(Option::is_none) {
        return String::new();
    }
    let one = |limit: Option<Limit>| match limit {
        Some(Limit::AtLeast(limit)) => format!("≥ {limit}"),
        Some(Limit::AtMost(limit)) => format!("≤ {limit}"),
        None => "–".to_owned(),
    };
    limits.map(one).join(" / ")
}

/// Returns the middle value. Of an even number of values, returns the mean of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rates: &[f64]) -> Table {
        let mut table = Table::new(vec!["SQLite", "PostgreSQL"]);
        for rate in rates {
            let figure = Figure::new("deliveries/s", 0, *rate).beside(50_000.0).at_least([Some(135.0), None]);
            table.add(0, vec![figure]);
        }
        table
    }

    #[test]
    fn table_has_the_median_with_its_ratio_and_limit() {
        let text = table(&[7000.0, 1000.0, 6000.5]).to_string();
        let row = text.lines().nth(2).unwrap_or_default();
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert_eq!(cells, ["", "deliveries/s", "6,000 (120.0)", "–", "≥ 135 / –", ""]);
    }

    #[test]
    fn median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn limit_applies_to_the_ratio_of_the_median() {
        assert_eq!(table(&[7000.0, 1000.0, 6750.0]).broken(), Vec::<String>::new());
        assert_eq!(table(&[6000.0]).broken(), ["SQLite: deliveries/s is 120.00, below 135"]);
    }
}
