//! The private folder of one program: its settings, catalogue and state lie in it while it runs, for nobody else to read.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process_group};

/// The file that says which process runs; it is looked for when a daemon before us was killed.
const RUNNING: &str = "running";

/// A folder that is there while it is held.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// An empty one at `path`. What a daemon that was killed has left there goes, its program too.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(left) = std::fs::read_to_string(path.join(RUNNING)).ok().and_then(|text| is_running(&text)) {
            tracing::warn!(pid = left.as_raw_nonzero(), "a program that a killed daemon has left is ended");
            // It may end in this moment.
            let _ = kill_process_group(left, Signal::KILL);
        }
        if path.exists() {
            std::fs::remove_dir_all(path)?;
        }
        if let Some(parent) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        std::fs::DirBuilder::new().mode(0o700).create(path)?;
        std::path::absolute(path).map(Self)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and says where it is.
    pub fn write(&self, name: &str, text: &str) -> io::Result<String> {
        let path = self.0.join(name);
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path.display().to_string())
    }

    /// This process runs in it, and leads a group of its own.
    pub fn runs(&self, pid: Pid) {
        let began = began(pid).unwrap_or_default();
        // It is only looked for after a crash; without it the program ends when it writes next.
        let _ = self.write(RUNNING, &format!("{} {began}", pid.as_raw_nonzero()));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(reason = %error, "the private folder of a program could not be removed");
        }
    }
}

/// The process that a file speaks of, when it is still that one.
fn is_running(text: &str) -> Option<Pid> {
    let (pid, then) = text.split_once(' ')?;
    let pid = Pid::from_raw(pid.parse().ok()?)?;
    (began(pid)? == then.trim()).then_some(pid)
}

/// When a process began, in the system's own count: its number alone may be another's by now.
fn began(pid: Pid) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // Its name, in brackets, may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    #[test]
    fn it_is_private_and_goes() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("processes/crm");
        let folder = Folder::open(&path).expect("a folder");
        let file = folder.write("config.json", "{}").expect("a file");
        let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(Path::new(&file))), (0o700, 0o600));
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_daemon_left_goes_with_its_program() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("crm");
        let mut left = std::process::Command::new("sleep").arg("60").process_group(0).spawn().expect("a program");
        let folder = Folder::open(&path).expect("a folder");
        folder.runs(Pid::from_child(&left));
        std::mem::forget(folder);
        drop(Folder::open(&path).expect("a folder"));
        assert!(!left.wait().expect("an end").success());

        // Another process of the same number is let alone.
        let mut other = std::process::Command::new("sleep").arg("60").process_group(0).spawn().expect("a program");
        let folder = Folder::open(&path).expect("a folder");
        folder.write(RUNNING, &format!("{} 1", other.id())).expect("a file");
        std::mem::forget(folder);
        drop(Folder::open(&path).expect("a folder"));
        assert!(other.try_wait().expect("a process").is_none());
        other.kill().expect("a process of ours");
        other.wait().expect("an end");
    }
}
