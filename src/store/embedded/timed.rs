//! Values that are kept for a time: eight bytes of when they were written, then the envelope.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::Timestamp;
use crate::store::StoreError;
use crate::store::record;

pub fn encode<T: Serialize>(at: Timestamp, value: &T) -> Vec<u8> {
    let mut bytes = at.as_millis().to_le_bytes().to_vec();
    bytes.extend_from_slice(&record::encode(value));
    bytes
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<(Timestamp, T), StoreError> {
    let at = written(bytes).ok_or_else(|| StoreError::Damaged("a stored value is too short".into()))?;
    Ok((at, record::decode(&bytes[8..])?))
}

/// When it was written.
pub fn written(bytes: &[u8]) -> Option<Timestamp> {
    Some(Timestamp::from_millis(i64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)))
}
