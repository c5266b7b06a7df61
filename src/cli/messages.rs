//! A file of Segment-spec messages, one JSON object a line: read in parallel, told in order.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::show::Unread;
use super::{Failed, parallel};
use crate::identity;
use crate::model::{Event, Timestamp};
use crate::source::tracking::{self, Call};
use crate::source::{Arrival, Limits};

/// So many lines are in memory at once.
const BLOCK: usize = 16_384;
/// Fewer lines are not worth a thread.
const FEW: usize = 512;

/// The times of a message, to tell when it arrived.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    timestamp: Option<serde_json::Value>,
    received_at: Option<serde_json::Value>,
    sent_at: Option<serde_json::Value>,
    original_timestamp: Option<serde_json::Value>,
}

impl Times {
    /// Arrival is event time: the instant by which the message's own rule gives its event time.
    fn arrival(&self) -> Option<Timestamp> {
        let read = |value: &Option<serde_json::Value>| Timestamp::parse(value.as_ref()?.as_str()?);
        read(&self.timestamp)
            .or_else(|| read(&self.received_at))
            .or_else(|| read(&self.sent_at))
            .or_else(|| read(&self.original_timestamp))
    }
}

/// Reads the whole file; what cannot be read is told and left out. `.gz` is unpacked.
pub fn read(path: &Path, names: &identity::Settings) -> Result<Vec<Event>, Failed> {
    let unreadable = |e: std::io::Error| Failed(format!("{}: {e}", path.display()));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let text: Box<dyn Read> = match path.extension().is_some_and(|e| e == "gz") {
        true => Box::new(flate2::read::MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    let mut lines = BufReader::with_capacity(1 << 20, text).lines().enumerate();
    let (mut events, mut unread) = (Vec::new(), Unread::of(path));
    loop {
        let block: Vec<(usize, String)> = lines
            .by_ref()
            .take(BLOCK)
            .map(|(n, line)| Ok((n, line.map_err(unreadable)?)))
            .collect::<Result<_, Failed>>()?;
        if block.is_empty() {
            break;
        }
        for (n, read) in in_order(&block, names) {
            match read {
                Ok(more) => events.extend(more),
                Err(reason) => unread.tell(n as u64 + 1, &reason),
            }
        }
    }
    if unread.count > 0 {
        eprintln!("{} messages could not be read", unread.count);
    }
    Ok(events)
}

/// What each line says, or why it says nothing.
type Said = (usize, Result<Vec<Event>, String>);

fn in_order(block: &[(usize, String)], names: &identity::Settings) -> Vec<Said> {
    let source: Arc<str> = "file".into();
    let all = |lines: &[(usize, String)]| -> Vec<Said> {
        let full = lines.iter().filter(|(_, line)| !line.trim().is_empty());
        full.map(|(n, line)| (*n, one(line, &source, names))).collect()
    };
    parallel::parts(block, FEW, all).into_iter().flatten().collect()
}

fn one(line: &str, source: &Arc<str>, names: &identity::Settings) -> Result<Vec<Event>, String> {
    let limits = Limits { message: 1 << 20, messages: 1 };
    let arrived = serde_json::from_str::<Times>(line).ok().and_then(|times| times.arrival());
    let arrival = Arrival { source, at: arrived.unwrap_or_default(), names, limits: &limits };
    let body = format!("{{\"batch\":[{line}]}}");
    match tracking::read(body.as_bytes(), Call::Batch, &arrival) {
        Err(refused) => Err(refused.to_string()),
        Ok(read) if !read.rejected.is_empty() => Err(read.rejected.into_iter().map(|r| r.reason).collect()),
        Ok(_) if arrived.is_none() => Err("has no time".into()),
        Ok(read) => Ok(read.events),
    }
}
