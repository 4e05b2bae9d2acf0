//! The report for people: a page of text, or Markdown for an issue.

use std::fmt::Write as _;

use super::report::{Figures, GapRow, OperationRow, Report, ServiceRow};
use crate::tools::escape::escape_for_terminal;

/// How many rows a table for people has; JSON has all.
const MAX_ROWS: usize = 50;

/// The heads of the columns behind the names.
const HEADS: [&str; 5] = ["spans", "errors", "p50", "p95", "p99"];

/// One table: heads, and rows of the same width.
struct Table {
    title: String,
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// How many first columns hold names and are aligned to the left.
    n_names: usize,
    /// How many rows are not shown.
    n_more: usize,
}

/// Writes the report for a terminal.
pub(super) fn plain(report: &Report) -> String {
    let mut out = headline(report);
    for table in tables(report) {
        let _ = writeln!(out, "\n{}", table.title);
        let widths: Vec<usize> = (0..table.heads.len())
            .map(|column| {
                let cells = table.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
                cells.chain(table.heads.get(column).map(|head| head.len())).max().unwrap_or(0)
            })
            .collect();
        let heads: Vec<String> = table.heads.iter().map(ToString::to_string).collect();
        for row in std::iter::once(&heads).chain(&table.rows) {
            let mut line = String::from(" ");
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let _ = if column < table.n_names {
                    write!(line, " {cell:<width$} ")
                } else {
                    write!(line, " {cell:>width$} ")
                };
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
        if table.n_more > 0 {
            let _ = writeln!(out, "  and {} more; `-o json` has all", table.n_more);
        }
    }
    for note in &report.notes {
        let _ = writeln!(out, "\nnote: {note}");
    }
    out
}

/// Writes the report as GitHub Markdown.
pub(super) fn markdown(report: &Report) -> String {
    let mut out = headline(report);
    for table in tables(report) {
        let _ = writeln!(out, "\n## {}\n\n| {} |", table.title, table.heads.join(" | "));
        let rules: Vec<&str> =
            (0..table.heads.len()).map(|column| if column < table.n_names { "---" } else { "---:" }).collect();
        let _ = writeln!(out, "| {} |", rules.join(" | "));
        for row in &table.rows {
            let cells: Vec<String> = row.iter().map(|cell| escape_for_markdown(cell)).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        if table.n_more > 0 {
            let _ = writeln!(out, "\nand {} more; `-o json` has all", table.n_more);
        }
    }
    for note in &report.notes {
        let _ = writeln!(out, "\n{note}");
    }
    out
}

fn headline(report: &Report) -> String {
    let Report { spans, start, end, services, operations, .. } = report;
    let mut line = format!("{spans} spans, {} services, {} operations", services.len(), operations.len());
    if let (Some(start), Some(end)) = (start, end) {
        let _ = write!(line, ", {start} to {end} ({})", duration(end.as_unix_nanos() - start.as_unix_nanos()));
    }
    line.push('\n');
    line
}

fn tables(report: &Report) -> Vec<Table> {
    let Report { services, operations, gaps, min_gap_seconds, .. } = report;
    let mut tables = vec![
        Table {
            title: "Services".to_owned(),
            heads: [["service"].as_slice(), &HEADS].concat(),
            rows: services.iter().take(MAX_ROWS).map(service_row).collect(),
            n_names: 1,
            n_more: services.len().saturating_sub(MAX_ROWS),
        },
        Table {
            title: "Operations".to_owned(),
            heads: [["service", "operation"].as_slice(), &HEADS].concat(),
            rows: operations.iter().take(MAX_ROWS).map(operation_row).collect(),
            n_names: 2,
            n_more: operations.len().saturating_sub(MAX_ROWS),
        },
    ];
    if !gaps.is_empty() {
        tables.push(Table {
            title: format!("Gaps of {min_gap_seconds} s and more without a span"),
            heads: vec!["from", "to", "length"],
            rows: gaps.iter().take(MAX_ROWS).map(gap_row).collect(),
            n_names: 2,
            n_more: gaps.len().saturating_sub(MAX_ROWS),
        });
    }
    tables
}

fn service_row(ServiceRow { service, figures }: &ServiceRow) -> Vec<String> {
    [vec![name(service)], cells(figures)].concat()
}

fn operation_row(OperationRow { service, operation, figures }: &OperationRow) -> Vec<String> {
    [vec![name(service), name(operation)], cells(figures)].concat()
}

fn gap_row(GapRow { start, end, .. }: &GapRow) -> Vec<String> {
    let length = end.as_unix_nanos() - start.as_unix_nanos();
    vec![start.to_string(), end.to_string(), duration(length)]
}

fn cells(figures: &Figures) -> Vec<String> {
    let Figures { spans, errors: _, error_percent, p50_nanos, p95_nanos, p99_nanos } = figures;
    let time = |nanos: &Option<u64>| nanos.map_or_else(|| "-".to_owned(), duration);
    vec![spans.to_string(), format!("{error_percent:.2}%"), time(p50_nanos), time(p95_nanos), time(p99_nanos)]
}

/// A name as a terminal may see it; those without one are told so.
fn name(name: &str) -> String {
    if name.is_empty() { "(none)".to_owned() } else { escape_for_terminal(name).into_owned() }
}

/// Writes a duration with three digits, such as `1.23ms`.
fn duration(nanos: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(3_600_000_000_000, "h"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    let Some((unit, suffix)) = UNITS.into_iter().find(|&(unit, _)| nanos >= unit) else { return format!("{nanos}ns") };
    let (whole, rest) = (nanos / unit, nanos % unit);
    // Times a thousand first: nothing below an hour overflows, and an hour has no nanoseconds worth telling.
    let thousandths = u128::from(rest) * 1_000 / u128::from(unit);
    match whole {
        0..10 => format!("{whole}.{:02}{suffix}", thousandths / 10),
        10..100 => format!("{whole}.{}{suffix}", thousandths / 100),
        _ => format!("{whole}{suffix}"),
    }
}

/// Keeps text from being more than text in Markdown and in the HTML made of it.
fn escape_for_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '#' | '~' | '@' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let table = [
            (0, "0ns"),
            (999, "999ns"),
            (1_234, "1.23µs"),
            (12_345_678, "12.3ms"),
            (999_999_999, "999ms"),
            (59_940_000_000, "59.9s"),
            (7_200_000_000_000, "2.00h"),
            (u64::MAX, "5124095h"),
        ];
        for (nanos, text) in table {
            assert_eq!(duration(nanos), text);
        }
    }

    #[test]
    fn markdown_cannot_be_broken_out_of() {
        assert_eq!(escape_for_markdown("a|b<img src=x>`![](u)"), "a\\|b&lt;img src=x&gt;\\`\\!\\[\\](u)");
    }
}
