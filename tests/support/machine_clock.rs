//! The wall clock of one daemon's machine, which the test sets: the daemon is loaded with a few lines of C that stand between
//! it and the real one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Daemon;

/// What stands in between, ready to be loaded.
pub struct Between(PathBuf);

/// One machine's clock.
pub struct MachineClock {
    file: File,
}

impl Between {
    /// Compiled into this folder.
    pub fn made(folder: &Path) -> Self {
        let made = folder.join("set_clock.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/set_clock.c");
        let out = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&made).arg(source).output();
        let out = out.expect("a C compiler");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Self(made)
    }

    /// From its next start on this daemon's machine has a clock of its own, right until it is set.
    pub fn before(&self, daemon: &mut Daemon, folder: &Path) -> MachineClock {
        let path = folder.join("machine.clock");
        std::fs::write(&path, [0; 16]).expect("a file");
        daemon.env("LD_PRELOAD", &self.0);
        daemon.env("TEST_CLOCK", &path);
        MachineClock { file: File::options().read(true).write(true).open(path).expect("a file") }
    }
}

impl MachineClock {
    /// Ahead of the real time by so much, or behind it.
    pub fn set(&self, ahead: bool, by: Duration) {
        let ms = i64::try_from(by.as_millis()).expect("a clock that is not that far off");
        let off = if ahead { ms } else { -ms };
        self.file.write_all_at(&off.to_ne_bytes(), 0).expect("a write");
    }

    /// How often it was asked.
    pub fn asked(&self) -> u64 {
        let mut count = [0; 8];
        self.file.read_exact_at(&mut count, 8).expect("a count");
        u64::from_ne_bytes(count)
    }
}
