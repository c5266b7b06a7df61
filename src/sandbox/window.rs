//! The two ways in which vendors count calls: windows that begin anew at fixed instants, and windows that roll.

use std::collections::VecDeque;

/// Begins anew at each multiple of its length, as Klaviyo's windows and everybody's day do.
pub(super) struct Fixed {
    limit: u32,
    span: i64,
    window: i64,
    used: u32,
}

impl Fixed {
    /// `limit` calls in each `span` milliseconds.
    pub fn new(limit: u32, span: i64) -> Self {
        Self { limit, span: span.max(1), window: i64::MIN, used: 0 }
    }

    /// Whether one more call fits. Does not take it.
    pub fn has_room(&mut self, now: i64) -> bool {
        let window = now.div_euclid(self.span);
        if window != self.window {
            self.window = window;
            self.used = 0;
        }
        self.used < self.limit
    }

    /// Counts one call, whether or not it fits.
    pub fn count(&mut self, now: i64) {
        self.has_room(now);
        self.used = self.used.saturating_add(1);
    }

    /// Calls in each window.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Calls counted in this window.
    pub fn used(&mut self, now: i64) -> u32 {
        self.has_room(now);
        self.used
    }

    /// Calls that still fit into this window.
    pub fn left(&mut self, now: i64) -> u32 {
        self.limit.saturating_sub(self.used(now))
    }

    /// Whole seconds until the next window, at least 1.
    pub fn seconds_left(&self, now: i64) -> i64 {
        let left = self.span - now.rem_euclid(self.span);
        (left + 999).div_euclid(1_000).max(1)
    }
}

/// Looks back over its length from each call, as HubSpot's ten and Marketo's twenty seconds do.
pub(super) struct Rolling {
    limit: usize,
    span: i64,
    calls: VecDeque<i64>,
}

impl Rolling {
    /// `limit` calls in any `span` milliseconds.
    pub fn new(limit: usize, span: i64) -> Self {
        Self { limit, span, calls: VecDeque::new() }
    }

    /// Takes one call if it fits. A refused call does not count.
    pub fn take(&mut self, now: i64) -> bool {
        while self.calls.front().is_some_and(|at| now.saturating_sub(*at) >= self.span) {
            self.calls.pop_front();
        }
        if self.calls.len() >= self.limit {
            return false;
        }
        self.calls.push_back(now);
        true
    }

    /// Calls in any window.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Calls that fitted when it was last asked.
    pub fn left(&self) -> usize {
        self.limit.saturating_sub(self.calls.len())
    }
}
