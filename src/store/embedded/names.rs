//! Who a name belongs to. Names lie by their hash, up to sixteen in one value, a bucket, under the lowest hash that it may
//! have: each value of sled costs memory outside its cache, and there are more names than people. A bucket that is full is
//! halved; none is ever removed.

use std::collections::BTreeMap;

use super::keys;
use super::overlay::Batch;
use super::tree::{Disk, put};
use crate::model::{Identifier, PersonId};
use crate::store::StoreError;
use crate::store::forgotten::{Hash, hash};
use crate::store::record::{decode, encode};

/// Names in one bucket.
const MOST: usize = 16;

/// In order of hash.
type Bucket = Vec<(Hash, PersonId)>;

/// Who it belongs to.
pub fn owner(disk: &Disk, name: &Identifier) -> Result<Option<PersonId>, StoreError> {
    let hash = hash(name);
    let Some((_, bucket)) = read(disk, &hash)? else { return Ok(None) };
    Ok(bucket.binary_search_by_key(&hash, |(known, _)| *known).ok().and_then(|place| Some(bucket.get(place)?.1)))
}

/// The bucket that has this hash if any has, and its own lowest.
fn read(disk: &Disk, hash: &Hash) -> Result<Option<(Hash, Bucket)>, StoreError> {
    let Some((key, value)) = disk.floor(&keys::names(&[0; 16]), &keys::names(hash))? else { return Ok(None) };
    let lowest = key.get(1..).and_then(|lowest| lowest.try_into().ok());
    let lowest = lowest.ok_or_else(|| StoreError::Damaged("names lie under a key that is none".into()))?;
    Ok(Some((lowest, decode(&value)?)))
}

/// Writes a whole bucket, whose names lie at or behind `lowest`, and before that of the next one.
pub fn put_bucket(batch: &mut Batch, lowest: &Hash, names: &[(Hash, PersonId)]) {
    put(batch, keys::names(lowest), &encode(&names));
}

/// Buckets that one batch changes.
#[derive(Default)]
pub struct Changed {
    buckets: BTreeMap<Hash, Bucket>,
}

impl Changed {
    /// A name belongs to somebody, or to nobody any more.
    pub fn set(&mut self, disk: &Disk, hash: Hash, owner: Option<PersonId>) -> Result<(), StoreError> {
        let kept = read(disk, &hash)?;
        let ours = self.buckets.range(..=hash).next_back().map(|(lowest, _)| *lowest);
        let lowest = match kept {
            // One that is halved here may begin further up than the disk knows.
            Some((lowest, bucket)) if ours.is_none_or(|ours| ours < lowest) => {
                self.buckets.insert(lowest, bucket);
                lowest
            }
            _ => ours.unwrap_or_default(),
        };
        let bucket = self.buckets.entry(lowest).or_default();
        match (bucket.binary_search_by_key(&hash, |(known, _)| *known), owner) {
            (Ok(place), Some(owner)) => bucket[place].1 = owner,
            (Ok(place), None) => drop(bucket.remove(place)),
            (Err(place), Some(owner)) => bucket.insert(place, (hash, owner)),
            (Err(_), None) => {}
        }
        if bucket.len() > MOST {
            let upper = bucket.split_off(bucket.len() / 2);
            if let Some((lowest, _)) = upper.first() {
                self.buckets.insert(*lowest, upper);
            }
        }
        Ok(())
    }

    /// Writes them.
    pub fn write(self, batch: &mut Batch) {
        for (lowest, bucket) in self.buckets {
            put(batch, keys::names(&lowest), &encode(&bucket));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::IdentifierKind;

    fn name(n: u64) -> Identifier {
        Identifier::new(IdentifierKind::UserId, format!("u{n}"))
    }

    /// Whatever is set and taken away, in steps of any size, on disk and on its way there.
    #[test]
    fn everybody_is_found_by_what_was_said_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Disk::open(folder.path(), 8 << 20).expect("sled");
        assert_eq!(owner(&disk, &name(1)).expect("a read"), None);
        let mut random = fastrand::Rng::with_seed(11);
        let mut naive = BTreeMap::new();
        for round in 0..200 {
            let mut changed = Changed::default();
            for _ in 0..random.usize(0..100) {
                let n = random.u64(0..3_000);
                let owner = (random.u8(0..5) > 0).then(|| PersonId([random.u8(..); 16]));
                naive.insert(n, owner);
                changed.set(&disk, hash(&name(n)), owner).expect("a read");
            }
            let mut batch = Batch::default();
            changed.write(&mut batch);
            disk.apply(batch).expect("a batch");
            if round % 7 == 0 {
                disk.sync().expect("a sync");
            }
            let n = random.u64(0..3_000);
            assert_eq!(owner(&disk, &name(n)).expect("a read"), naive.get(&n).copied().flatten(), "round {round}");
        }
        for n in 0..3_000 {
            assert_eq!(owner(&disk, &name(n)).expect("a read"), naive.get(&n).copied().flatten(), "name {n}");
        }
        let mut buckets = 0;
        let mut last: Option<Hash> = None;
        for entry in disk.prefix(&[keys::NAMES]).whole() {
            let bucket: Bucket = decode(&entry.expect("an entry").1).expect("a bucket");
            assert!(bucket.len() <= MOST);
            for (hash, _) in bucket {
                assert!(last.is_none_or(|last| last < hash), "in order over all of them");
                last = Some(hash);
            }
            buckets += 1;
        }
        let known = naive.values().flatten().count();
        assert!(buckets * 6 < known, "{buckets} buckets for {known} names");
    }
}
