//! A full disk, a failing one, a power cut: refused with 503 while it lasts, nothing acknowledged is lost, and a full
//! disk is got over without help. The tests mount small filesystems of their own, which needs root.
//! `ESPALIER_CUTS` sets how often the power is cut (2 unless told otherwise).

#![expect(clippy::disallowed_methods, reason = "real disks live in the machine's time")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use support::load::{LEFT, PING, Told, configuration, vendors};
use support::{Daemon, WRITE_KEY, client, espalier, eventually, pause};

/// A small filesystem, unmounted at the end.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` only outside of CI, for somebody who may not mount.
    fn new(at: PathBuf, arguments: &[&str]) -> Option<Self> {
        fs::create_dir_all(&at).expect("a folder");
        let ended = Command::new("mount").args(arguments).arg(&at).output().expect("the mount command");
        if ended.status.success() {
            return Some(Self(at));
        }
        let words = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(std::env::var_os("CI").is_none(), "a small filesystem could not be mounted: {words}");
        eprintln!("NOT TESTED: a small filesystem could not be mounted: {words}");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Nothing can be done about it at the end of a test.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn run(command: &str, arguments: &[&str]) {
    let ended = Command::new(command).args(arguments).output().unwrap_or_else(|e| panic!("{command}: {e}"));
    assert!(ended.status.success(), "{command}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// One message of no consequence: its status and `Retry-After`.
async fn offer(daemon: &Daemon, id: &str) -> Option<(u16, Option<u64>)> {
    let body = format!("{{\"event\":\"Looked\",\"userId\":\"looker\",\"messageId\":\"{id}\"}}");
    let sent = client().post(format!("http://{}/v1/track", daemon.intake)).basic_auth(WRITE_KEY, Some(""));
    let answer = sent.body(body).send().await.ok()?;
    let after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
    Some((answer.status().as_u16(), after))
}

/// Waits until intake refuses, and looks how.
async fn refuses(daemon: &Daemon) {
    eventually("intake refuses with 503 and Retry-After", Duration::from_secs(20), || async {
        matches!(offer(daemon, "refused").await, Some((503, Some(_))))
    })
    .await;
    let health = client().get(format!("http://{}/healthz", daemon.ops)).send().await.expect("health");
    assert_eq!(health.status(), 200, "the process is alive");
}

fn verify(folder: &Path) {
    let (is_well, text) = espalier(folder, &["store", "verify"]);
    assert!(is_well, "{text}");
}

/// Takes all the room there is.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file");
    let mut size = 1 << 20;
    while size > 0 {
        match file.write(&vec![1; size]) {
            Ok(0) | Err(_) => size /= 2,
            Ok(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_got_over_without_help() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = folder.path().join("disk");
    let Some(_mounted) = Mounted::new(disk.clone(), &["-t", "tmpfs", "-o", "size=64m", "tmpfs"]) else { return };
    let (sandbox, address) = vendors().await;
    let triggers = [("ping", PING), ("left", LEFT)];
    let mut daemon = Daemon::new(folder.path(), &disk.join("store"), &configuration(address), &triggers);
    daemon.start_ready().await;
    let told = Arc::new(Told::default());
    let loads = told.begin(daemon.intake);
    for _ in 0..3 {
        let before = told.acknowledged_so_far();
        eventually("messages are taken", Duration::from_secs(20), || async {
            told.acknowledged_so_far() > before + 100
        })
        .await;
        fill(&disk.join("filler"));
        refuses(&daemon).await;
        pause(500).await;
        fs::remove_file(disk.join("filler")).expect("the filler");
        eventually("messages are taken again", Duration::from_secs(30), || async {
            matches!(offer(&daemon, "again").await, Some((200, _)))
        })
        .await;
    }
    told.all_is_taken_once(loads, &sandbox, &daemon).await;
    daemon.ready().await;
    assert!(daemon.terminate().success(), "a daemon that is told to stop ends well");
    verify(folder.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_turns_read_only_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, disk) = (folder.path().join("image"), folder.path().join("disk"));
    File::create(&image).and_then(|file| file.set_len(96 << 20)).expect("an image");
    let image = image.display().to_string();
    run("mkfs.ext4", &["-q", "-F", &image]);
    let Some(mounted) = Mounted::new(disk.clone(), &["-o", "loop", &image]) else { return };
    let (sandbox, address) = vendors().await;
    let triggers = [("ping", PING), ("left", LEFT)];
    let mut daemon = Daemon::new(folder.path(), &disk.join("store"), &configuration(address), &triggers);
    daemon.start_ready().await;
    let told = Arc::new(Told::default());
    let loads = told.begin(daemon.intake);
    eventually("messages are taken", Duration::from_secs(20), || async { told.acknowledged_so_far() > 300 }).await;
    // What the kernel does when a filesystem finds itself damaged: from here on nothing can be written.
    run("mount", &["-o", "remount,abort", &disk.display().to_string()]);
    refuses(&daemon).await;
    let refused = told.acknowledged_so_far();
    pause(500).await;
    assert_eq!(told.acknowledged_so_far(), refused, "nothing is acknowledged that cannot be kept");

    // The repair of such a disk needs it unmounted, so the daemon is stopped meanwhile, however it takes it.
    daemon.kill();
    run("umount", &[&disk.display().to_string()]);
    let ended = Command::new("e2fsck").args(["-p", &image]).status().expect("e2fsck");
    assert!(ended.code().is_some_and(|code| code <= 1), "e2fsck repairs the image: {ended}");
    run("mount", &["-o", "loop", &image, &disk.display().to_string()]);
    daemon.start_ready().await;
    eventually("messages are taken again", Duration::from_secs(20), || async {
        told.acknowledged_so_far() > refused + 100
    })
    .await;
    told.all_is_taken_once(loads, &sandbox, &daemon).await;
    assert!(daemon.terminate().success(), "a daemon that is told to stop ends well");
    verify(folder.path());
    drop(mounted);
}

/// The image as the device has it: what the filesystem holds back in memory is not in it. The daemon stands still
/// meanwhile, and so does the device once two copies in a row agree.
fn copied(image: &Path) -> PathBuf {
    let (first, second) = (image.with_extension("first"), image.with_extension("second"));
    for _ in 0..50 {
        for copy in [&first, &second] {
            fs::copy(image, copy).expect("room for a copy");
        }
        let agree = Command::new("cmp").arg("--silent").args([&first, &second]).status().expect("cmp");
        if agree.success() {
            fs::remove_file(&second).expect("a copy");
            return first;
        }
    }
    panic!("the device does not come to rest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_power_cut() {
    let cuts: u64 = std::env::var("ESPALIER_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let folder = tempfile::tempdir().expect("a folder");
    let (ram, disk) = (folder.path().join("ram"), folder.path().join("disk"));
    let Some(_ram) = Mounted::new(ram.clone(), &["-t", "tmpfs", "-o", "size=640m", "tmpfs"]) else { return };
    let image = ram.join("image");
    File::create(&image).and_then(|file| file.set_len(192 << 20)).expect("an image");
    run("mkfs.ext4", &["-q", "-F", &image.display().to_string()]);
    let mount = || Mounted::new(disk.clone(), &["-o", "loop", &image.display().to_string()]);
    let Some(mut mounted) = mount() else { return };
    let (sandbox, address) = vendors().await;
    let triggers = [("ping", PING), ("left", LEFT)];
    let mut daemon = Daemon::new(folder.path(), &disk.join("store"), &configuration(address), &triggers);
    daemon.start_ready().await;
    let told = Arc::new(Told::default());
    let loads = told.begin(daemon.intake);
    let mut random = fastrand::Rng::with_seed(cuts);
    for _ in 0..cuts {
        let before = told.acknowledged_so_far();
        pause(random.u64(100..1_500)).await;
        eventually("messages are taken", Duration::from_secs(20), || async {
            told.acknowledged_so_far() > before + 20
        })
        .await;
        daemon.stand_still();
        let copy = copied(&image);
        daemon.kill();
        run("umount", &[&disk.display().to_string()]);
        std::mem::forget(mounted);
        fs::rename(copy, &image).expect("the copy");
        mounted = mount().expect("it was mounted before");
        daemon.start_ready().await;
    }
    told.all_is_taken_once(loads, &sandbox, &daemon).await;
    assert!(daemon.terminate().success(), "a daemon that is told to stop ends well");
    verify(folder.path());
    drop(mounted);
}
