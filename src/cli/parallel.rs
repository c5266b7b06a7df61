//! Work that falls into parts, on every core, with its parts in order.

use std::panic::resume_unwind;

/// What each part of `items` comes to; they are one part where they are no more than `few`.
pub fn parts<T: Sync, R: Send>(items: &[T], few: usize, of: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if items.len() <= few || cores == 1 {
        return vec![of(items)];
    }
    std::thread::scope(|scope| {
        let of = &of;
        let parts = items.chunks(items.len().div_ceil(cores));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || of(part))).collect();
        // A panic in one is one of the whole.
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}
