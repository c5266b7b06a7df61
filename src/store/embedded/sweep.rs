//! Nothing is kept for ever: with each commit a little of the tree is looked at, and what is too old goes.

use sled::Batch;

use super::state::State;
use super::tree::refused;
use super::{Inner, keys, timed};
use crate::model::{Span, Timestamp};
use crate::store::StoreError;

/// What ages, and by which setting.
const AGEING: [u8; 7] =
    [keys::SEEN, keys::ACTIVATION, keys::ENDED, keys::DECISION, keys::JOIN, keys::DEAD, keys::ASIDE];
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
        for entry in inner.disk()?.tree.range(from..vec![prefix + 1]) {
            let (key, value) = entry.map_err(refused)?;
            if left == 0 {
                round.next = key.to_vec();
                is_through = false;
                break;
            }
            left -= 1;
            if is_old(inner, prefix, &value, now) && may_go(inner, state, prefix, &key)? {
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
    let (written, age): (_, Span) = match prefix {
        keys::SEEN => (timed::written(value), inner.settings.dedupe),
        // Behind the byte that counts the parts.
        _ => (value.get(1..).and_then(timed::written), inner.settings.records),
    };
    written.is_some_and(|at| at + age < now)
}

/// What is still queued stays, however old; counts follow what goes.
fn may_go(inner: &Inner, state: &mut State, prefix: u8, key: &[u8]) -> Result<bool, StoreError> {
    match prefix {
        keys::ACTIVATION => {
            let mut ended = key.to_vec();
            ended[0] = keys::ENDED;
            inner.disk()?.tree.contains_key(ended).map_err(refused)
        }
        // An end goes only after its activation: it keeps what was settled from being queued again.
        keys::ENDED => {
            let mut activation = key.to_vec();
            activation[0] = keys::ACTIVATION;
            Ok(!inner.disk()?.tree.contains_key(activation).map_err(refused)?)
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
