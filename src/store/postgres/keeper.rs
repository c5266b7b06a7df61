//! What goes on beside the steps: leases are renewed, what others wrote is read, what is too old goes. Each ends with the
//! store.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Inner, cut, lease, members, shelf, weeks};
use crate::store::StoreError;

/// What others wrote is known after so long.
const READ: Duration = Duration::from_secs(1);
/// What is too old goes so often.
const CUT: Duration = Duration::from_secs(60);
/// Weeks to come are looked for so often.
const PARTED: Duration = Duration::from_secs(600);
/// A bounded part of it at a time, and so many of those.
const MOST_CUTS: usize = 50;

/// Begins all of it.
pub fn begin(inner: &Arc<Inner>, stop: &CancellationToken) {
    tokio::spawn(each(lease::RENEWED, Arc::downgrade(inner), stop.clone(), async |inner| {
        let address = inner.address.lock().map_err(|_| super::poisoned())?.clone();
        inner.leases.renew(&inner.pool).await?;
        members::beat(&inner.pool, inner.leases.me(), &inner.name, address.as_deref()).await
    }));
    tokio::spawn(each(lease::TOLD, Arc::downgrade(inner), stop.clone(), async |inner| inner.leases.expire()));
    tokio::spawn(each(lease::LOOKED, Arc::downgrade(inner), stop.clone(), async |inner| {
        let wanted = inner.leases.wanted();
        if !wanted.is_empty() && inner.leases.any_free(&inner.pool, &wanted).await? {
            // Whoever wants one asks again.
            inner.mirror.tell();
        }
        Ok(())
    }));
    tokio::spawn(each(READ, Arc::downgrade(inner), stop.clone(), async |inner| read(inner).await));
    tokio::spawn(each(CUT, Arc::downgrade(inner), stop.clone(), async |inner| {
        // One daemon is enough for it.
        if inner.leases.epoch(lease::ENGINE).is_none() {
            return Ok(());
        }
        members::cut(&inner.pool).await?;
        let now = inner.mirror.engine()?.reached;
        for _ in 0..MOST_CUTS {
            if !cut::some(inner, now).await? {
                break;
            }
        }
        Ok(())
    }));
    tokio::spawn(each(PARTED, Arc::downgrade(inner), stop.clone(), async |inner| weeks::ahead(&inner.pool).await));
}

/// What others wrote.
pub async fn read(inner: &Inner) -> Result<(), StoreError> {
    if let Err(refused) = inner.mirror.refresh(&inner.pool, inner.leases.me()).await {
        inner.mirror.failed(&refused);
        return Err(refused);
    }
    shelf::refresh(inner).await
}

async fn each(
    often: Duration,
    of: Weak<Inner>,
    stop: CancellationToken,
    make: impl AsyncFn(&Inner) -> Result<(), StoreError>,
) {
    let mut ticks = interval(often);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is at once.
    ticks.tick().await;
    let mut refused = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(inner) = of.upgrade() else { return };
        let made = tokio::select! {
            () = stop.cancelled() => return,
            made = make(&inner) => made,
        };
        match made {
            Ok(()) => refused = false,
            // Said once, however long it lasts.
            Err(error) if !std::mem::replace(&mut refused, true) => {
                tracing::warn!(reason = %error, "the database does not answer what is asked now and then");
            }
            Err(_) => {}
        }
    }
}
