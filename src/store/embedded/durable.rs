//! What is on disk, and what only seems to be.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// A file that is made and removed again after a refusal.
const PROBE: &str = "probe";

/// On disk. A filesystem that gives up in that moment may say so of what it then drops: the data goes where it should,
/// and only the file's new length does not. So it is asked afterwards for something that changes nothing but needs its
/// own journal, which refuses from the first moment on; that it is read-only, it says later.
pub fn synced(file: &File) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, StatVfsMountFlags, fallocate, fstatvfs};
    use rustix::io::Errno;
    file.sync_data()?;
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, 1) {
        // Not every filesystem can, and a full one need not.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOSPC | Errno::DQUOT) => {}
        Err(refused) => return Err(refused.into()),
    }
    if fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(std::io::ErrorKind::ReadOnlyFilesystem.into());
    }
    Ok(())
}

/// After a refusal: true of a disk that keeps new files. In the moment in which a filesystem gives up, a write into a
/// block that it has already can seem to succeed, while the file's new length is lost; a file that is made cannot.
pub fn probe(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(PROBE);
    let mut file = File::create(&path)?;
    file.write_all(b"?")?;
    file.sync_all()?;
    synced(&file)?;
    std::fs::remove_file(&path)?;
    // That it is gone again has to be written, too.
    File::open(folder)?.sync_all()
}
