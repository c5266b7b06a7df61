//! A leaky bucket of points, as Shopify's GraphQL has: it fills again at a steady rate.

/// Counted in thousandths of a point, so that nothing is lost to rounding.
pub(super) struct Bucket {
    size: i64,
    /// Points in a second, which is thousandths in a millisecond.
    rate: i64,
    level: i64,
    at: i64,
}

impl Bucket {
    /// Full, with `size` points, and `rate` more each second.
    pub fn new(size: i64, rate: i64) -> Self {
        Self { size: size * 1_000, rate, level: size * 1_000, at: i64::MIN }
    }
    /// Points in it when it is full.
    pub fn size(&self) -> i64 {
        self.size / 1_000
    }
    /// Points that come back each second.
    pub fn rate(&self) -> i64 {
        self.rate
    }
    /// Whole points in it now.
    pub fn level(&mut self, now: i64) -> i64 {
        let gone = if self.at == i64::MIN { 0 } else { now.saturating_sub(self.at).max(0) };
        self.level = self.level.saturating_add(gone.saturating_mul(self.rate)).min(self.size);
        self.at = self.at.max(now);
        self.level.div_euclid(1_000)
    }
    /// Takes points if there are as many.
    pub fn take(&mut self, points: i64, now: i64) -> bool {
        let has_room = self.level(now) >= points;
        if has_room {
            self.level -= points * 1_000;
        }
        has_room
    }
    /// Gives points back that were not used.
    pub fn give(&mut self, points: i64) {
        self.level = self.level.saturating_add(points.max(0) * 1_000).min(self.size);
    }
}
