//! Files of products and of discount codes, row by row. Columns are known by the names that shops and product feeds give
//! them; what cannot be read is told, and the rest goes on.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use crate::model::codes::LONGEST_CODE;
use crate::model::{CatalogueItem, Timestamp};
use crate::source::catalogue::item;

/// The longest line of JSON.
const LONGEST_LINE: u64 = 1 << 20;

/// Told of a row that could not be read: its number and why.
pub type Rejected<'a> = &'a mut dyn FnMut(u64, &str);

/// Reads products from CSV with a line of names, or from JSON lines (`.jsonl`, `.ndjson`), and hands each on. Where a row
/// does not say when it was so, it is `now`.
///
/// # Errors
/// When the file cannot be read.
pub fn products(
    path: &Path,
    now: Timestamp,
    each: &mut dyn FnMut(CatalogueItem),
    rejected: Rejected<'_>,
) -> std::io::Result<()> {
    rows(path, &mut |number, row| match row.map_err(str::to_owned).and_then(|row| item(row, now)) {
        Ok(item) => each(item),
        Err(words) => rejected(number, &words),
    })
}

/// Reads codes from CSV: of this column, else the first of each row. A first row that says `code` names the column.
///
/// # Errors
/// When the file cannot be read.
pub fn codes(
    path: &Path,
    column: Option<&str>,
    each: &mut dyn FnMut(Box<str>),
    rejected: Rejected<'_>,
) -> std::io::Result<()> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_path(path)?;
    let mut place = 0;
    for (n, record) in reader.records().enumerate() {
        let record = record?;
        if n == 0 {
            let wanted = column.unwrap_or("code");
            let found = record.iter().position(|name| name.eq_ignore_ascii_case(wanted));
            match (found, column) {
                (Some(found), _) => {
                    place = found;
                    continue;
                }
                (None, Some(column)) => {
                    return Err(std::io::Error::other(format!("there is no column `{column}`")));
                }
                (None, None) => {}
            }
        }
        let number = n as u64 + 1;
        match record.get(place).unwrap_or_default() {
            "" => rejected(number, "has no code"),
            code if code.len() > LONGEST_CODE => rejected(number, "has a code of more than 128 bytes"),
            code if code.chars().any(|c| c.is_control() || c.is_whitespace()) => {
                rejected(number, "has a code with spaces in it");
            }
            code => each(code.into()),
        }
    }
    Ok(())
}

/// Every row as a table, with its number.
fn rows(path: &Path, each: &mut dyn FnMut(u64, Result<&Value, &str>)) -> std::io::Result<()> {
    if !path.extension().is_some_and(|e| e == "jsonl" || e == "ndjson") {
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_path(path)?;
        let names = reader.headers()?.clone();
        for (n, record) in reader.records().enumerate() {
            let record = record?;
            let fields = names.iter().zip(&record).filter(|(_, value)| !value.is_empty());
            let row =
                fields.map(|(name, value)| (name.trim_start_matches("g:").to_lowercase(), value.into())).collect();
            each(n as u64 + 2, Ok(&Value::Object(row)));
        }
        return Ok(());
    }
    let mut reader = BufReader::new(std::fs::File::open(path)?);
    let mut number = 0;
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            return Ok(());
        }
        number += 1;
        if read == LONGEST_LINE && line.last() != Some(&b'\n') {
            return Err(std::io::Error::other(format!("line {number} is longer than 1 MB")));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice::<Value>(&line) {
            Ok(row) => each(number, Ok(&row)),
            Err(_) => each(number, Err("is not JSON")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn read(name: &str, text: &str) -> (Vec<CatalogueItem>, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        let (mut items, mut told) = (Vec::new(), Vec::new());
        products(&path, NOW, &mut |item| items.push(item), &mut |n, words| told.push(format!("{n}: {words}")))
            .expect("a file");
        (items, told)
    }

    #[test]
    fn a_product_feed_is_read() {
        let (items, told) = read(
            "feed.csv",
            "g:id,title,link,g:image_link,g:price,product_type,quantity,updated\n\
             p1,\"Lamp, green\",https://s.example/p1,https://s.example/p1.jpg,39.95 EUR,Lamps,3,2026-11-01T00:00:00Z\n\
             ,Nameless,,,,,,\np2,Oar,,,free,,,\np3,,,,,,many,\np4,,,,,,,soon\np5\n",
        );
        assert_eq!(
            told,
            [
                "3: has no id: a column `product_id`, `id` or `sku`",
                "4: has a price that is no number",
                "5: has a stock that is no number",
                "6: has an `updated` that is no instant (RFC 3339)",
            ]
        );
        let lamp = &items[0];
        let said =
            [&lamp.name, &lamp.price, &lamp.currency, &lamp.category].map(|text| text.as_deref().unwrap_or_default());
        assert_eq!(said, ["Lamp, green", "39.95", "EUR", "Lamps"]);
        assert_eq!((lamp.stock, lamp.updated.to_string()), (Some(3), "2026-11-01T00:00:00.000Z".to_owned()));
        assert_eq!((&*items[1].id, items[1].stock, items[1].updated), ("p5", None, NOW));
    }

    #[test]
    fn json_lines_are_read() {
        let (items, told) = read(
            "items.jsonl",
            "{\"product_id\": 7, \"price\": 9.5, \"stock\": 2.9, \"name\": null}\n\n{\"id\": \"x\", \"name\": [1]}\nno\n{\"id\": \"y\"}\n",
        );
        assert_eq!(told, ["3: has no text as its `name`", "4: is not JSON"]);
        assert_eq!(items.iter().map(|item| &*item.id).collect::<Vec<_>>(), ["7", "y"]);
        assert_eq!((items[0].price.as_deref(), items[0].stock), (Some("9.5"), Some(2)));
    }

    #[test]
    fn codes_are_a_column() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("codes.csv");
        let read = |text: &str, column: Option<&str>| {
            std::fs::write(&path, text).expect("a file");
            let (mut found, mut told) = (Vec::new(), Vec::new());
            codes(&path, column, &mut |code| found.push(code.to_string()), &mut |n, words| {
                told.push(format!("{n}: {words}"))
            })
            .map(|()| (found, told))
            .map_err(|e| e.to_string())
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(read("A1\n A2 ,x\n", None), Ok((vec!["A1".into(), "A2".into()], none.clone())));
        assert_eq!(read("used,Code\nno,A1\n", None), Ok((vec!["A1".into()], none.clone())));
        assert_eq!(
            read("a,voucher\n1,V1\n2\n3,V 3\n", Some("voucher")),
            Ok((vec!["V1".into()], vec!["3: has no code".into(), "4: has a code with spaces in it".into()]))
        );
        assert_eq!(read("A1\n", Some("voucher")), Err("there is no column `voucher`".into()));
    }
}
