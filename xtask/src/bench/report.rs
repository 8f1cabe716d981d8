//! What was measured, as Markdown and as JSON.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::cells::{RAW, RAW_ISOLATED};
use super::rounds::Row;
use crate::Outcome;

/// One cell.
pub(super) struct Table {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
    /// What was left out, and what is not a time.
    pub(super) notes: Vec<String>,
}

/// All cells.
pub(super) struct Report {
    program_bytes: u64,
    tables: Vec<Table>,
}

impl Report {
    pub(super) fn new(program: &Path) -> Outcome<Report> {
        Ok(Report { program_bytes: fs::metadata(program)?.len(), tables: Vec::new() })
    }

    pub(super) fn add(&mut self, table: Table) {
        self.tables.push(table);
    }

    pub(super) fn print(&self, as_json: bool) -> Outcome {
        if as_json {
            println!("{:#}", self.json());
        } else {
            print!("{}", self.markdown());
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        let tables: Vec<Value> = self.tables.iter().map(Table::json).collect();
        json!({ "kernel": kernel, "program_bytes": self.program_bytes, "cells": tables })
    }

    fn markdown(&self) -> String {
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        let mib = self.program_bytes as f64 / f64::from(1 << 20);
        let mut text = format!("Linux {kernel}; subhostctl has {mib:.2} MiB.\n");
        for table in &self.tables {
            text.push_str(&table.markdown());
        }
        text
    }
}

impl Table {
    /// How many times the median and the processor time of a row are those of the row called `name`, where both were measured.
    fn times(&self, row: &Row, name: &str) -> Option<[f64; 2]> {
        let base = self.rows.iter().find(|row| row.name == name && row.failure.is_none())?;
        let times = [row.median_ms / base.median_ms, row.cpu_ms / base.cpu_ms];
        (row.failure.is_none() && times.iter().all(|times| times.is_finite())).then_some(times)
    }

    /// What the rows are compared with: the raw calls, and else the first row.
    fn bases(&self) -> Vec<&str> {
        let raw: Vec<&str> = [RAW, RAW_ISOLATED]
            .into_iter()
            .filter(|name| self.rows.iter().any(|row| row.name == *name))
            .collect();
        if raw.is_empty() {
            self.rows.first().map(|row| row.name.as_str()).into_iter().collect()
        } else {
            raw
        }
    }

    fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| match &row.failure {
                Some(failure) => json!({ "name": row.name, "failure": failure }),
                None => {
                    let times: serde_json::Map<String, Value> = self
                        .bases()
                        .into_iter()
                        .filter_map(|base| {
                            let [wall, cpu] = self.times(row, base)?;
                            Some((base.to_owned(), json!({ "median": wall, "cpu": cpu })))
                        })
                        .collect();
                    json!({
                        "name": row.name, "median_ms": row.median_ms, "min_ms": row.min_ms, "cpu_ms": row.cpu_ms,
                        "times": times,
                    })
                }
            })
            .collect();
        json!({ "cell": self.title, "rows": rows, "notes": self.notes })
    }

    fn markdown(&self) -> String {
        let mut text = format!("\n### {}\n\n", self.title);
        if !self.rows.is_empty() {
            let bases = self.bases();
            let heads: Vec<&str> = match bases.len() {
                2 => vec![" × raw | its CPU |", " × isolated | its CPU |"],
                _ => vec![" × first | its CPU |"],
            };
            text.push_str(&format!("| what | median ms | least ms | CPU ms |{}\n", heads.concat()));
            text.push_str(&format!("| --- | --- | --- | --- |{}\n", " --- | --- |".repeat(heads.len())));
            for row in &self.rows {
                let figures = match &row.failure {
                    Some(failure) => format!(" failed: {failure} | | |{}", " | |".repeat(heads.len())),
                    None => {
                        let times = bases.iter().map(|base| match self.times(row, base) {
                            Some([wall, cpu]) => format!(" {wall:.2} | {cpu:.2} |"),
                            None => " | |".to_owned(),
                        });
                        let times: String = times.collect();
                        format!(" {:.2} | {:.2} | {:.2} |{times}", row.median_ms, row.min_ms, row.cpu_ms)
                    }
                };
                text.push_str(&format!("| {} |{figures}\n", row.name));
            }
        }
        for note in &self.notes {
            text.push_str(&format!("\n- {note}"));
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, median_ms: f64) -> Row {
        Row { name: name.to_owned(), median_ms, min_ms: 1.0, cpu_ms: 0.5, failure: None }
    }

    #[test]
    fn rows_are_compared_with_both_kinds_of_raw_calls() {
        let failed = Row { failure: Some("no".to_owned()), ..row("peer", 0.0) };
        let rows = vec![row(RAW, 2.0), row(RAW_ISOLATED, 4.0), row("it", 6.0), failed];
        let table = Table { title: "a".to_owned(), rows, notes: vec!["SKIP that".to_owned()] };
        let text = table.markdown();
        assert!(text.contains("| it | 6.00 | 1.00 | 0.50 | 3.00 | 1.00 | 1.50 | 1.00 |\n"), "{text}");
        assert!(text.contains("| peer | failed: no | | | | | | |\n"), "{text}");
        assert!(text.ends_with("\n- SKIP that\n"), "{text}");
        let json = table.json();
        assert_eq!(json["rows"][2]["times"][RAW]["median"], 3.0);
        assert_eq!(json["rows"][3]["failure"], "no");
    }
}
