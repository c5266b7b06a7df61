//! SIGKILL at random moments under load: every acknowledged event is decided, every due activation reaches the vendors
//! once in effect, none twice. `ESPALIER_KILLS` sets how often it is killed (30 unless told otherwise).

#![expect(clippy::disallowed_methods, reason = "a killed process lives in the machine's time and environment")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use support::load::{COOL, LEFT, PING, Told, configuration, vendors};
use support::{Daemon, espalier, pause};

/// The next calls are taken in and then cut: the vendor has them, and we do not know.
async fn cut_after_acceptance(vendors: std::net::SocketAddr, vendor: &str) {
    let path = if vendor == "marketo" { "activities/external" } else { "" };
    let fault = serde_json::json!({ "vendor": vendor, "kind": "close_after_accept", "times": 1, "path": path });
    support::fault(vendors, fault).await;
}

/// What a crash may leave behind: nothing special, a record cut in the middle, or a state that cannot be opened.
fn harm(store: &Path, round: u64) {
    match round % 5 {
        3 => {
            let mut segments: Vec<_> =
                fs::read_dir(store.join("journal")).expect("the journal").map(|e| e.expect("a file").path()).collect();
            segments.sort();
            let mut last =
                fs::File::options().append(true).open(segments.last().expect("a segment")).expect("a segment");
            last.write_all(&[0x9A, 0xE5, 1, 1, 200, 0, 0, 0, 7, 7]).expect("a torn record");
        }
        4 => {
            for file in ["db", "conf"] {
                fs::write(store.join("state").join(file), b"broken by a test").expect("a broken state");
            }
        }
        _ => {}
    }
}

/// Puts a thousand codes more into the pool of the load, by the running daemon.
fn more_codes(folder: &Path, round: u64) {
    let codes: String = (0..1_000).map(|n| format!("R{round}-{n}\n")).collect();
    fs::write(folder.join("codes.csv"), codes).expect("a file");
    let (is_well, text) = espalier(folder, &["codes", "import", "cool", "codes.csv"]);
    assert!(is_well, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_is_sent_twice() {
    let kills: u64 = std::env::var("ESPALIER_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let (sandbox, address) = vendors().await;
    let triggers = [("ping", PING), ("left", LEFT), ("cool", COOL)];
    let mut daemon = Daemon::new(folder.path(), &store, &configuration(address), &triggers);
    daemon.start_ready().await;
    more_codes(folder.path(), kills);
    let told = Arc::new(Told::default());
    let loads = told.begin(daemon.intake);
    let mut random = fastrand::Rng::with_seed(kills);
    for round in 0..kills {
        pause(random.u64(50..600)).await;
        if round % 3 == 0 {
            cut_after_acceptance(address, if round % 2 == 0 { "marketo" } else { "klaviyo" }).await;
            pause(random.u64(0..60)).await;
        }
        daemon.kill();
        harm(&store, round);
        daemon.start_ready().await;
        if round % 10 == 9 {
            more_codes(folder.path(), round);
        }
    }
    pause(500).await;
    told.all_is_taken_once(loads, &sandbox, &daemon).await;
    let cooled: Vec<_> =
        sandbox.effects_from("klaviyo", 0).into_iter().filter(|effect| effect.event == "Cooled").collect();
    assert!(cooled.len() > 50, "cool-downs are tested too: {} fires", cooled.len());
    // Each has a code, and nobody else has it.
    let mut codes = BTreeMap::new();
    for effect in cooled.iter().filter(|effect| !effect.body.is_null()) {
        let text = effect.body.to_string();
        let code =
            text.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("none").to_owned();
        assert!(code.starts_with('R'), "a code of the pool, and not {code}");
        if let Some(other) = codes.insert(code.clone(), effect.id.clone()) {
            panic!("{code} was given to {other} and to {}", effect.id);
        }
    }
    assert!(codes.len() > 50, "codes are tested too: {}", codes.len());
    assert!(daemon.terminate().success(), "a daemon that is told to stop ends well");
}
