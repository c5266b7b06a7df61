//! How much room the disk has.

use std::path::Path;

/// Bytes that this process may still write where `folder` is; none where the disk does not tell.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let told = rustix::fs::statvfs(folder).ok()?;
    Some(told.f_bavail.saturating_mul(told.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_tells_its_room_and_nothing_tells_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let free = free_bytes(folder.path()).expect("a disk that tells");
        assert!(free > 0 && free < 1 << 60, "{free}");
        assert_eq!(free_bytes(&folder.path().join("nothing")), None);
    }
}
