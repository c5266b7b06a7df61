//! Files: CSV and JSON lines, mapped row by row, with a position that a second run goes on from.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::settings::{FileFormat, FileMapping};
use crate::identity;
use crate::model::{Event, EventKind, IdentifierKind, Origin, RawJson, Timestamp};
use crate::store::{AppendError, Store};

/// Rows given to the journal at once.
const BATCH: usize = 1_000;
/// The longest line.
const LONGEST: u64 = 1 << 20;

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// The mapping does not make sense, in words.
    #[error("the mapping: {0}")]
    Mapping(String),
    /// The store refuses; a second run goes on where this one stopped.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file read.
    pub bytes: u64,
    /// Rows taken, this run.
    pub rows: u64,
    /// Rows that could not be read, this run.
    pub rejected: u64,
    /// Lines of the file read.
    pub lines: u64,
}

/// An import of one file by one mapping.
pub struct Import<'a> {
    /// The mapping, by its name in the configuration.
    pub source: Arc<str>,
    /// Itself.
    pub mapping: &'a FileMapping,
    /// What counts as a name.
    pub names: &'a identity::Settings,
    /// Told of a row that could not be read: line number and reason.
    pub rejected: &'a mut dyn FnMut(u64, &str),
}

impl Import<'_> {
    /// Reads `path` from where the last run stopped, and gives every row to the journal, each batch with its place in one
    /// step. `progress` is told after each batch.
    pub async fn run(
        &mut self,
        path: &Path,
        store: &dyn Store,
        now: &dyn Fn() -> Timestamp,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Progress, ImportError> {
        let columns = Mapped::new(self.mapping)?;
        let mut file = std::fs::File::open(path)?;
        let cursor = format!("import:{}:{}", self.source, fingerprint(&mut file, path)?);
        let mut done = Progress::default();
        if let Some(place) = store.cursor(&cursor).await? {
            let number = |at: usize| Some(u64::from_le_bytes(place.get(at..at + 8)?.try_into().ok()?));
            (done.bytes, done.lines) = (number(0).unwrap_or(0), number(8).unwrap_or(0));
        }
        let mut names = self.mapping.columns.clone();
        let mut reader = BufReader::new(file);
        if self.mapping.format == FileFormat::Csv && names.is_empty() {
            reader.seek(SeekFrom::Start(0))?;
            let (line, read) = line(&mut reader)?;
            names = columns.split(line.as_deref().unwrap_or_default())?;
            if done.bytes == 0 {
                (done.bytes, done.lines) = (read, 1);
            }
        }
        reader.seek(SeekFrom::Start(done.bytes))?;
        loop {
            let mut events = Vec::new();
            let mut is_end = false;
            while events.len() < BATCH {
                let (text, read) = line(&mut reader)?;
                if read == 0 {
                    is_end = true;
                    break;
                }
                done.bytes += read;
                done.lines += 1;
                let Some(text) = text else {
                    done.rejected += 1;
                    (self.rejected)(done.lines, "is longer than 1 MB or not UTF-8");
                    continue;
                };
                if text.trim().is_empty() {
                    continue;
                }
                match columns.event(&text, &names, done.lines, self, now()) {
                    Ok(event) => events.push(event),
                    Err(words) => {
                        done.rejected += 1;
                        (self.rejected)(done.lines, &words);
                    }
                }
            }
            let mut place = done.bytes.to_le_bytes().to_vec();
            place.extend_from_slice(&done.lines.to_le_bytes());
            done.rows += events.len() as u64;
            store.append(events, Some((&cursor, &place))).await?;
            progress(done);
            if is_end {
                return Ok(done);
            }
        }
    }
}

/// What makes a file the same file: its name and the hash of its beginning.
fn fingerprint(file: &mut std::fs::File, path: &Path) -> Result<String, ImportError> {
    let mut start = Vec::new();
    Read::by_ref(file).take(4_096).read_to_end(&mut start)?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(format!("{name}:{}", &blake3::hash(&start).to_hex()[..16]))
}

/// The next line and its bytes with the line end; no text when it cannot be one.
fn line(reader: &mut impl BufRead) -> Result<(Option<String>, u64), ImportError> {
    let mut bytes = Vec::new();
    let mut read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut bytes)? as u64;
    if read == LONGEST && bytes.last() != Some(&b'\n') {
        // The rest of an endless line is passed over without being kept.
        loop {
            let mut rest = Vec::new();
            let more = reader.by_ref().take(LONGEST).read_until(b'\n', &mut rest)? as u64;
            read += more;
            if more == 0 || rest.last() == Some(&b'\n') {
                return Ok((None, read));
            }
        }
    }
    let text = String::from_utf8(bytes).ok().map(|text| text.trim_end_matches(['\n', '\r']).to_owned());
    Ok((text, read))
}

/// A mapping made ready.
struct Mapped {
    delimiter: Option<u8>,
    identify: Vec<(IdentifierKind, String)>,
    properties: BTreeMap<String, String>,
}

impl Mapped {
    fn new(mapping: &FileMapping) -> Result<Self, ImportError> {
        let delimiter = match mapping.delimiter.as_str() {
            "spaces" => None,
            one if one.len() == 1 => one.bytes().next(),
            other => return Err(ImportError::Mapping(format!("`{other}` is not one character, nor \"spaces\""))),
        };
        let mut identify = Vec::new();
        for (kind, column) in &mapping.identify {
            let known = IdentifierKind::parse(kind);
            let known = known.ok_or_else(|| ImportError::Mapping(format!("`{kind}` is not a kind of identifier")))?;
            identify.push((known, column.clone()));
        }
        Ok(Self { delimiter, identify, properties: mapping.properties.clone() })
    }

    fn split(&self, text: &str) -> Result<Vec<String>, ImportError> {
        let Some(delimiter) = self.delimiter else { return Ok(text.split_whitespace().map(str::to_owned).collect()) };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        match reader.records().next() {
            Some(Ok(record)) => Ok(record.iter().map(|field| field.trim().to_owned()).collect()),
            Some(Err(error)) => Err(ImportError::Mapping(error.to_string())),
            None => Ok(Vec::new()),
        }
    }

    /// The row as an object: column name to text, or the JSON itself.
    fn row(&self, text: &str, names: &[String], format: FileFormat) -> Result<Value, String> {
        match format {
            FileFormat::Jsonl => serde_json::from_str(text).map_err(|_| "is not JSON".to_owned()),
            FileFormat::Csv => {
                let fields = self.split(text).map_err(|e| e.to_string())?;
                if fields.len() < names.len() {
                    return Err(format!("has {} columns instead of {}", fields.len(), names.len()));
                }
                let fields = names.iter().cloned().zip(fields.into_iter().map(Value::from));
                Ok(Value::Object(fields.collect::<Map<_, _>>()))
            }
        }
    }

    fn event(
        &self,
        text: &str,
        names: &[String],
        number: u64,
        import: &Import<'_>,
        now: Timestamp,
    ) -> Result<Event, String> {
        let mapping = import.mapping;
        let row = self.row(text, names, mapping.format)?;
        let claimed = field(&row, &mapping.at).ok_or_else(|| format!("has no `{}`", mapping.at))?;
        let at =
            instant(&claimed, mapping.at_format.as_deref()).ok_or_else(|| format!("`{}` is not a time", mapping.at))?;
        let mut identifiers = Vec::new();
        for (kind, column) in &self.identify {
            let value = field(&row, column).unwrap_or_default();
            identifiers.extend(identity::normalise(kind.clone(), &value, import.names));
        }
        if identifiers.is_empty() {
            return Err("names nobody".into());
        }
        let mut properties = Map::new();
        for (name, column) in &self.properties {
            if let Some(value) = field(&row, column) {
                let number = serde_json::from_str::<serde_json::Number>(&value).ok().map(Value::Number);
                properties.insert(name.clone(), number.unwrap_or(Value::String(value)));
            }
        }
        let id = mapping
            .message_id
            .as_ref()
            .and_then(|column| field(&row, column))
            .unwrap_or_else(|| format!("line {number}"));
        let is_ahead = at > now;
        Ok(Event {
            kind: EventKind::Did,
            name: mapping.event.as_str().into(),
            at: if is_ahead { now } else { at },
            claimed_at: is_ahead.then_some(at),
            arrived: now,
            source: import.source.clone(),
            origin: Origin::System,
            // The content is part of it: another file's line of the same number is another row.
            dedupe: vec![Event::dedupe_key(&[
                &import.source,
                &id,
                if mapping.message_id.is_some() { "" } else { text },
            ])],
            identifiers,
            session: None,
            properties: RawJson::from_value(&Value::Object(properties)),
            traits: RawJson::empty(),
        })
    }
}

/// A dotted path's scalar as text.
fn field(row: &Value, path: &str) -> Option<String> {
    let found = path.split('.').try_fold(row, |value, part| value.get(part)).or_else(|| row.get(path))?;
    match found {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

/// RFC 3339, or whatever the format says; without an offset it is UTC, without a time midnight.
fn instant(text: &str, format: Option<&str>) -> Option<Timestamp> {
    let Some(format) = format else { return Timestamp::parse(text) };
    let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
    if let Ok(at) = parsed.to_timestamp() {
        return Some(Timestamp::from_millis(at.as_millisecond()));
    }
    let date = parsed.to_date().ok()?;
    let time = parsed.to_time().unwrap_or(jiff::civil::Time::midnight());
    let zoned = date.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_format_says() {
        assert_eq!(
            instant("19970118", Some("%Y%m%d")).map(|t| t.to_string()).as_deref(),
            Some("1997-01-18T00:00:00.000Z")
        );
        assert_eq!(
            instant("18/01/1997 10:30", Some("%d/%m/%Y %H:%M")).map(|t| t.to_string()).as_deref(),
            Some("1997-01-18T10:30:00.000Z")
        );
        assert_eq!(instant("yesterday", Some("%Y%m%d")), None);
    }
}
