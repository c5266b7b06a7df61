//! A daemon in this process, the vendors beside it, and the clock of both.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use espalier::cli::{Daemon, Running};
use espalier::clock::{Clock, VirtualClock};
use espalier::model::{Span, Timestamp};
use espalier::sandbox::{Options, Sandbox};
use espalier::store::settings::Kind;
use serde_json::{Value, json};

use super::shop::track;
use super::{WRITE_KEY, client, eventually, pause, stores};

/// A daemon in this process, the vendors, and the clock of both.
pub struct World {
    pub clock: VirtualClock,
    pub sandbox: Sandbox,
    pub vendors: String,
    pub daemon: Running,
    sent: u32,
    _folder: tempfile::TempDir,
}

impl World {
    /// `destinations` are given the vendors' address; `SECRET` in what they say is a file that has one.
    pub async fn begin(triggers: &[(&str, String)], destinations: impl Fn(&str) -> String) -> Self {
        Self::on(Kind::Embedded, triggers, destinations).await
    }

    /// The same, with everything in a store of this kind.
    pub async fn on(kind: Kind, triggers: &[(&str, String)], destinations: impl Fn(&str) -> String) -> Self {
        let clock = VirtualClock::new(Timestamp::parse("2026-11-27T18:00:00Z").expect("an instant"));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let (sandbox, at) = super::vendors_at(shared.clone(), Options::default()).await;
        let vendors = format!("http://{at}");
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
        let secret = |path: &Path| path.join("token").display().to_string();
        let text = format!(
            "[store]\n{}path = \"{}\"\n[intake]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
             [delivery]\nlinger = \"0ms\"\n[gates.guard]\nleast = 1000000\n[source.web]\nkind = \"tracking\"\nwrite_key = \"${{file:{}}}\"\n{}",
            stores::lines(kind, folder.path()).await,
            folder.path().join("store").display(),
            folder.path().join("key").display(),
            destinations(&vendors).replace("SECRET", &secret(folder.path())),
        );
        std::fs::create_dir_all(folder.path().join("triggers")).expect("a folder");
        write("key", WRITE_KEY);
        write("token", "sandbox");
        write("espalier.toml", &text);
        for (name, text) in triggers {
            write(&format!("triggers/{name}.toml"), text);
        }
        let configured = espalier::settings::Settings::load(&folder.path().join("espalier.toml"));
        let configured = configured.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let daemon = Daemon::new(configured, shared).begin().await.expect("a daemon");
        Self { clock, sandbox, vendors, daemon, sent: 0, _folder: folder }
    }

    /// So many forms of somebody each, and all of them decided.
    pub async fn does(&mut self, event: &str, times: u32) {
        let forms = (0..times).map(|n| {
            let n = self.sent + n;
            let mut form = track(&format!("m{n}"), event, json!({ "form": format!("{n}") }));
            form["timestamp"] = json!(self.clock.now().to_string());
            form["userId"] = json!(format!("u{n}"));
            form["context"] = json!({ "traits": { "email": format!("p{n}@example.com") } });
            form
        });
        let forms = forms.collect();
        self.sent += times;
        self.tells(forms).await;
    }

    /// These messages, and all of them decided.
    pub async fn tells(&self, messages: Vec<Value>) {
        let body = json!({ "batch": messages }).to_string();
        let url = format!("http://{}/v1/batch", self.daemon.intake);
        let answer = client().post(url).basic_auth(WRITE_KEY, Some("")).body(body).send().await.expect("an answer");
        assert!(answer.status().is_success());
        self.decided().await;
    }

    /// Everything that was accepted is decided.
    pub async fn decided(&self) {
        eventually("all decided", Duration::from_secs(30), || async {
            let counts = self.daemon.watched.store.counts();
            counts.decided == counts.journaled
        })
        .await;
    }

    pub async fn fault(&self, fault: Value) {
        super::fault(&self.vendors, fault).await;
    }

    pub async fn heal(&self) {
        client().delete(format!("{}/_sandbox/faults", self.vendors)).send().await.expect("an answer");
    }

    /// Turns the clock on in steps; after each, what became due has a moment.
    pub async fn turn(&self, span: Span, step: Span) {
        let end = self.clock.now() + span;
        while self.clock.now() < end {
            self.clock.set((self.clock.now() + step).min(end));
            pause(4).await;
        }
    }

    /// Turns the clock on until it is so.
    pub async fn until(&self, what: &str, step: Span, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..5_000 {
            if is_so(self) {
                return;
            }
            self.clock.set(self.clock.now() + step);
            pause(4).await;
        }
        panic!("never: {what}; {:#?}", self.daemon.watched.health().lanes);
    }

    pub fn queued(&self, lane: &str) -> u64 {
        self.daemon.watched.store.lane_count(lane).queued
    }

    /// Nothing waits, and what was under way is told of.
    pub fn is_through(&self, lane: &str) -> bool {
        let lanes = &self.daemon.watched.lanes;
        let state = &lanes.iter().find(|(name, _)| &**name == lane).expect("a lane").1;
        self.queued(lane) == 0 && state.borrow().in_flight == 0
    }

    /// The lane holds back, and nothing is under way.
    pub fn is_at_rest(&self, lane: &str) -> bool {
        let lanes = &self.daemon.watched.lanes;
        let state = &lanes.iter().find(|(name, _)| &**name == lane).expect("a lane").1;
        let state = state.borrow();
        state.held.is_some() && state.in_flight == 0
    }

    pub fn outcomes(&self, lane: &str) -> BTreeMap<&'static str, u64> {
        let lanes = &self.daemon.watched.lanes;
        let state = &lanes.iter().find(|(name, _)| &**name == lane).expect("a lane").1;
        state.borrow().outcomes.clone()
    }

    pub fn events(&self, vendor: &str) -> Vec<String> {
        self.sandbox.effects(vendor).into_iter().map(|effect| effect.event).collect()
    }
}
