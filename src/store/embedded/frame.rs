//! One record of the journal on disk: a fixed head, then the payload, both under one CRC-32C.
//!
//! Head, little endian: magic u16, kind u8, version u8, length u32, crc u32, group u32, first u64, count u32. The crc is
//! over everything after itself. `group` numbers the syncs: all records of one group are synced before the next group
//! begins, so a broken record with a later group behind it was once whole and synced. A record that was written without
//! a sync of its own has the group of the sync that follows it.

/// Bytes before the payload.
pub const HEAD: usize = 28;
/// The largest payload.
pub const LARGEST: usize = 64 << 20;
const MAGIC: u16 = 0xE5_9A;
/// Where the checked part begins.
const CHECKED: usize = 12;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Accepted events, with the caller's cursor: `first` is the first one's position.
    Events,
    /// Outcomes settled at a vendor: `first` is the record's ordinal.
    Settled,
    /// A step of the engine: `first` is the step's ordinal, counted apart from the outcomes'.
    Step,
}

/// A record's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub kind: Kind,
    /// Version of the payload's form.
    pub version: u8,
    /// Bytes of payload.
    pub length: usize,
    /// Which sync.
    pub group: u32,
    /// First position, or ordinal.
    pub first: u64,
    /// Events in it, or 1.
    pub count: u32,
}

/// What lies at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A whole record, and where the next begins.
    Record(Head, &'a [u8], usize),
    /// Nothing more.
    End,
    /// Something that is not a whole record.
    Broken,
}

/// Puts a record at the end of `out`.
pub fn write(out: &mut Vec<u8>, head: Head, payload: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.push(match head.kind {
        Kind::Events => 1,
        Kind::Settled => 2,
        Kind::Step => 3,
    });
    out.push(head.version);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&head.group.to_le_bytes());
    out.extend_from_slice(&head.first.to_le_bytes());
    out.extend_from_slice(&head.count.to_le_bytes());
    out.extend_from_slice(payload);
    let crc = crc(&out[start..]);
    out[start + 8..start + CHECKED].copy_from_slice(&crc.to_le_bytes());
}

/// Over everything but the crc itself.
fn crc(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..8]), &record[CHECKED..])
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Reads a head without its payload.
pub fn head(bytes: &[u8]) -> Option<Head> {
    if bytes.get(..2)? != MAGIC.to_le_bytes() {
        return None;
    }
    let kind = match bytes.get(2)? {
        1 => Kind::Events,
        2 => Kind::Settled,
        3 => Kind::Step,
        _ => return None,
    };
    let length = u32_at(bytes, 4)? as usize;
    (length <= LARGEST).then_some(())?;
    Some(Head {
        kind,
        version: *bytes.get(3)?,
        length,
        group: u32_at(bytes, 12)?,
        first: u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?),
        count: u32_at(bytes, 24)?,
    })
}

/// Looks at `at`.
pub fn read(bytes: &[u8], at: usize) -> Found<'_> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return Found::End;
    }
    let Some(head) = head(rest) else { return Found::Broken };
    let Some(record) = rest.get(..HEAD + head.length) else { return Found::Broken };
    if u32_at(record, 8) != Some(crc(record)) {
        return Found::Broken;
    }
    Found::Record(head, &record[HEAD..], at + record.len())
}

/// Groups of the first and the last whole record after a broken place.
fn groups_after(bytes: &[u8], at: usize) -> Option<(u32, u32)> {
    let magic = MAGIC.to_le_bytes();
    let mut found: Option<(u32, u32)> = None;
    let mut from = at + 1;
    while let Some(next) = bytes.get(from..).and_then(|rest| rest.windows(2).position(|w| w == magic)) {
        from += next;
        match read(bytes, from) {
            Found::Record(head, _, behind) => {
                found = Some((found.map_or(head.group, |(first, _)| first), head.group));
                from = behind;
            }
            _ => from += 1,
        }
    }
    found
}

/// Whether what is broken at `at` was whole and synced before: damage, and no write that was cut. `before` is the group
/// of the whole record before it, if there is one.
pub fn was_synced(bytes: &[u8], at: usize, before: Option<u32>) -> bool {
    let Some((first, last)) = groups_after(bytes, at) else { return false };
    // The newest group it can be of: its neighbours bound it, and it may still say so itself.
    let newest = before.map_or(first, |group| first.min(group.wrapping_add(1)));
    let own = bytes.get(at..).and_then(head).map(|head| head.group);
    let group = own.filter(|own| before.is_none_or(|group| *own >= group) && *own <= newest).unwrap_or(newest);
    last > group
}
