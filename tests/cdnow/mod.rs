//! What the tests over the CDNOW sample share: where it is, and its days.

#![expect(clippy::disallowed_methods, reason = "a test's own switch, not configuration")]

use std::path::PathBuf;

/// The sample of real purchases, where it lies beside the repository.
pub fn sample() -> Option<(PathBuf, String)> {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").to_owned();
    let root = std::env::var("ESPALIER_SHARED").unwrap_or_else(|_| beside());
    let file = PathBuf::from(root).join("data/cdnow/CDNOW_sample.txt");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: the CDNOW sample is not here");
        return None;
    };
    Some((file, text))
}

/// Days since 1970 of YYYYMMDD (the civil calendar's usual arithmetic).
pub fn day(text: &str) -> i64 {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().expect("digits");
    let (y, m, d) = (number(0, 4), number(4, 6), number(6, 8));
    let y = if m <= 2 { y - 1 } else { y };
    let (era, m) = (y.div_euclid(400), (m + 9) % 12);
    let yoe = y - era * 400;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + (153 * m + 2) / 5 + d - 1 - 719_468
}
