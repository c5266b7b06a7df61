//! What the last whole run read, by the keys of its events. A program that cannot tell what is new says everything each
//! time; the journal knows messages again for some days only, and what stands in a table for a year would happen anew.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::model::{DedupeKey, Event};
use crate::pull::recent::Recent;

/// Keys remembered, at 8 bytes each.
const MOST: usize = 4_000_000;
const MAGIC: &[u8; 8] = b"ESPREAD1";

/// What was read.
pub struct Seen {
    recent: Recent,
    /// In the last whole run, in order.
    before: Vec<u64>,
    /// In this one.
    now: Vec<u64>,
}

impl Seen {
    /// As it was left in these bytes; nothing, where they cannot be read: the journal knows of the last days.
    pub fn of(bytes: Option<Vec<u8>>) -> Self {
        let before = bytes.and_then(|bytes| keys(&bytes)).unwrap_or_default();
        Self { recent: Recent::default(), before, now: Vec::new() }
    }

    /// A run begins.
    pub fn begin(&mut self) {
        self.now.clear();
    }

    /// Leaves those out that are known, and learns all of them.
    pub fn only_new(&mut self, events: &mut Vec<Event>) {
        if self.now.len() < MOST {
            self.now.extend(events.iter().flat_map(|event| event.dedupe.iter().map(short)));
        }
        events.retain(|event| !event.dedupe.iter().any(|key| self.before.binary_search(&short(key)).is_ok()));
        self.recent.only_new(events);
    }

    /// All that was read since the beginning of the run is in the store, and was all there is. What is to be kept of it;
    /// none where it is what is kept already.
    pub fn whole(&mut self) -> Option<Vec<u8>> {
        let mut now = std::mem::take(&mut self.now);
        if now.len() >= MOST {
            tracing::warn!(keys = MOST, "a program reads more than is remembered; what is old may be taken anew");
        }
        now.sort_unstable();
        now.dedup();
        if now == self.before {
            return None;
        }
        self.before = now;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.before.iter().flat_map(|key| key.to_le_bytes()));
        let sum = crc32c::crc32c(&bytes);
        bytes.extend(sum.to_le_bytes());
        Some(bytes)
    }
}

/// Writes them as one.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

fn short(key: &DedupeKey) -> u64 {
    key.iter().take(8).fold(0, |short, byte| short << 8 | u64::from(*byte))
}

fn keys(bytes: &[u8]) -> Option<Vec<u64>> {
    let (bytes, sum) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(bytes) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (chunks, _) = bytes.strip_prefix(MAGIC)?.as_chunks::<8>();
    Some(chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventKind, Origin, RawJson, Timestamp};

    fn events(ids: &[&str]) -> Vec<Event> {
        let event = |id: &&str| Event {
            kind: EventKind::Did,
            name: "E".into(),
            at: Timestamp::default(),
            claimed_at: None,
            arrived: Timestamp::default(),
            source: "crm".into(),
            origin: Origin::System,
            dedupe: vec![Event::dedupe_key(&[id])],
            identifiers: Vec::new(),
            session: None,
            properties: RawJson::from_value(&serde_json::json!({})),
            traits: RawJson::from_value(&serde_json::json!({})),
        };
        ids.iter().map(event).collect()
    }

    #[test]
    fn what_a_whole_run_read_is_known_in_the_next_whoever_reads_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("crm.seen");
        let run = |ids: &[&str], is_whole: bool| {
            let mut seen = Seen::of(std::fs::read(&path).ok());
            seen.begin();
            let mut events = events(ids);
            seen.only_new(&mut events);
            if is_whole {
                seen.whole().iter().for_each(|bytes| write(&path, bytes).expect("a file"));
            }
            events.len()
        };
        assert_eq!(run(&["a", "b"], true), 2);
        assert_eq!(run(&["a", "b", "c"], false), 1);
        assert_eq!(run(&["a", "b", "c"], true), 1, "what a broken run read, the journal knows");
        assert_eq!(run(&["c", "a"], true), 0);
        std::fs::write(&path, b"ESPREAD1 broken").expect("a file");
        assert_eq!(run(&["a"], true), 1);
    }
}
