//! How long to wait after a failure: the one module that knows `backoff`'s policy. What is sent waits
//! as a durable time in the store, never in a loop.

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

use crate::model::Span;

/// The wait after the `tries`-th failure in a row: doubling from the `first`, up to the `longest`, with jitter of a
/// tenth.
pub fn wait((first, longest): (Span, Span), tries: u32) -> Span {
    let mut policy = ExponentialBackoff {
        initial_interval: first.to_std(),
        max_interval: longest.to_std(),
        multiplier: 2.0,
        randomization_factor: 0.1,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    // `default` starts at its own first interval: begin with ours.
    policy.reset();
    let mut wait = first.to_std();
    for _ in 0..tries.clamp(1, 64) {
        wait = policy.next_backoff().unwrap_or(longest.to_std());
    }
    Span::from_millis(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let bounds = (Span::from_secs(1), Span::from_minutes(15));
        let seconds = |tries| wait(bounds, tries).as_millis() as f64 / 1_000.0;
        for (tries, about) in [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (40, 900.0)] {
            assert!((seconds(tries) / about - 1.0).abs() < 0.11, "try {tries}: {}", seconds(tries));
        }
    }
}
