//! Nothing is kept for ever: with each commit a little of the tree is looked at, and what is too old goes.

use super::overlay::Batch;
use super::state::State;
use super::{Inner, keys, timed};
use crate::model::{Span, Timestamp};
use crate::store::StoreError;
use crate::store::record::StoredDecision;

/// What ages.
const AGEING: [u8; 10] = [
    keys::ENDED,
    keys::DECISION,
    keys::ORPHAN,
    keys::JOIN,
    keys::DEAD,
    keys::ASIDE,
    keys::GIVEN,
    keys::ERASURE,
    keys::ERASED,
    keys::ANSWERED,
];
/// Receipts have to be shown for longer than anything else that is told: three years.
const RECEIPTS: Span = Span::from_days(1_096);
/// Entries looked at for each entry written: more than one, so that the round is made however fast we write.
const PACE: usize = 2;

/// Where the round is: the next key to look at.
#[derive(Debug, Default)]
pub struct Round {
    next: Vec<u8>,
}

/// Looks at a few entries more than were written.
pub fn some(
    inner: &Inner,
    batch: &mut Batch,
    state: &mut State,
    now: Timestamp,
    written: usize,
) -> Result<(), StoreError> {
    let Ok(mut round) = inner.round.lock() else { return Ok(()) };
    let mut left = written * PACE + 8;
    let mut turns = 0;
    while left > 0 && turns <= AGEING.len() {
        let prefix = match round.next.first() {
            Some(first) if AGEING.contains(first) => *first,
            _ => AGEING[0],
        };
        let from = if round.next.first() == Some(&prefix) { round.next.clone() } else { vec![prefix] };
        let mut is_through = true;
        for entry in inner.disk()?.range(from, vec![prefix + 1]) {
            let (key, value) = entry?;
            if left == 0 {
                round.next = key.to_vec();
                is_through = false;
                break;
            }
            left -= 1;
            if is_old(inner, prefix, &value, now) && may_go(inner, state, prefix, &key, &value)? {
                batch.remove(key);
            }
        }
        if is_through {
            let place = AGEING.iter().position(|p| *p == prefix).unwrap_or(0);
            round.next = vec![AGEING[(place + 1) % AGEING.len()]];
            turns += 1;
        }
    }
    Ok(())
}

fn is_old(inner: &Inner, prefix: u8, value: &[u8], now: Timestamp) -> bool {
    let kept = match prefix {
        keys::ERASURE | keys::ERASED | keys::ANSWERED => RECEIPTS,
        _ => inner.settings.records,
    };
    // Behind the byte that counts the parts.
    let written = value.get(1..).and_then(timed::written);
    written.is_some_and(|at| at + kept < now)
}

/// What is still queued stays, however old; counts follow what goes.
fn may_go(inner: &Inner, state: &mut State, prefix: u8, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
    match prefix {
        // It keeps what waits from being queued again.
        keys::DECISION => {
            let disk = inner.disk()?;
            let stored: StoredDecision = timed::decode(&disk.whole(key, value)?)?.1;
            for place in &stored.places {
                if disk.has(&keys::place(place))? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        keys::ORPHAN => {
            state.orphans = state.orphans.saturating_sub(1);
            Ok(true)
        }
        keys::DEAD => {
            if let Some(name) = super::delivery::lane_of_dead(inner, key)? {
                let counts = state.lane(&name);
                counts.dead = counts.dead.saturating_sub(1);
            }
            Ok(true)
        }
        keys::ASIDE => {
            state.aside = state.aside.saturating_sub(1);
            Ok(true)
        }
        _ => Ok(true),
    }
}
