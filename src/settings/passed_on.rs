//! Which destinations are told what no trigger says.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::destination;
use crate::model::{ActionKind, ConsentLane, LaneName, PassedOn};
use crate::source::manifest::Connected;
use crate::source::stream::Account;

/// Of these destinations, as far as they run; with the sources that read the same account.
pub fn of(
    destinations: &BTreeMap<String, destination::Settings>,
    sources: &BTreeMap<String, Connected>,
    running: Option<&[LaneName]>,
) -> PassedOn {
    let keys = || {
        sources.iter().filter_map(|(name, source)| Some((name, Account::of(&source.manifest, &source.given).ok()?.key)))
    };
    let mut passed_on = PassedOn::default();
    for (name, settings) in destinations {
        let lane: LaneName = name.as_str().into();
        if running.is_some_and(|running| !running.contains(&lane)) {
            continue;
        }
        if settings.can().contains(&ActionKind::Erase) {
            passed_on.erasure.push(lane.clone());
        }
        let channels = settings.consent();
        if channels.is_empty() {
            continue;
        }
        let ours = settings.clone().build(name).account();
        let same = keys().filter(|(_, key)| ours.as_ref() == Some(key));
        let except = same.map(|(name, _)| Arc::from(name.as_str())).collect();
        passed_on.consent.push(ConsentLane { lane, channels, except });
    }
    passed_on
}
