//! What commands print: tables for people, JSON for programs, and what of a file could not be read.

use std::ops::Range;
use std::path::Path;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Row, Table};
use serde::Serialize;
use serde_json::Value;

use super::Failed;

/// Rows that could not be read are told one by one up to here.
const TOLD: u64 = 20;

/// A table with these heads.
pub fn table(heads: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(heads);
    table
}

/// Columns of numbers.
pub fn to_the_right(table: &mut Table, columns: Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Prints it for programs.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), Failed> {
    println!("{}", serde_json::to_string_pretty(value).map_err(Failed::new)?);
    Ok(())
}

/// A value of JSON in a table: text as it is, nothing as a dash.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

/// A share from 0 to 1: `12.5 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Rows of a file that could not be read.
pub struct Unread<'f> {
    file: &'f Path,
    /// How many.
    pub count: u64,
}

impl<'f> Unread<'f> {
    /// None yet.
    pub fn of(file: &'f Path) -> Self {
        Self { file, count: 0 }
    }

    /// One more; the first ones are told with their line.
    pub fn tell(&mut self, line: u64, words: &str) {
        self.count += 1;
        if self.count <= TOLD {
            eprintln!("{}:{line}: {words}", self.file.display());
        }
    }
}
