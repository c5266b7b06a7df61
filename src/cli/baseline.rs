//! `espalier baseline`: how what people did is distributed, to choose a threshold by.

use std::process::ExitCode;

use super::local::Local;
use super::{Configured, Ended, Failed, load, show};
use crate::model::{Person, Span, Timestamp};
use crate::replay::{AtLeast, Baseline, Metric, QUANTILES};
use crate::store::each_person;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what was done so long before the newest event: `90d`.
    #[arg(long)]
    since: Option<Span>,
    /// What share of people and cases a threshold would hit: `views-per-session=5`. As often as wanted.
    #[arg(long, value_name = "METRIC=N", value_parser = at_least)]
    threshold: Vec<AtLeast>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    configured: Configured,
}

fn at_least(text: &str) -> Result<AtLeast, String> {
    let (name, least) = text.split_once('=').ok_or("write it like `views-per-session=5`")?;
    let (name, least) = (name.trim(), least.trim());
    let metric = Metric::ALL
        .into_iter()
        .find(|metric| metric.name() == name)
        .ok_or_else(|| format!("`{name}` is not measured; there are: {}", Metric::ALL.map(Metric::name).join(", ")))?;
    let number = least.parse().ok().filter(|number: &f64| number.is_finite());
    let least = number.ok_or_else(|| format!("`{least}` is not a number"))?;
    Ok(AtLeast { metric, least })
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let Local::Store(store) = Local::of(&configured).await? else {
        return Err(Failed("a daemon runs on this store: stop it, or measure a copy of the store".into()));
    };
    let mut end = Timestamp::MIN;
    let newest = |person: &Person| end = person.history.entries().last().map_or(end, |last| end.max(last.at));
    each_person(&*store, newest).await.map_err(Failed::new)?;
    let since = args.since.map_or(Timestamp::MIN, |since| end - since);
    let mut baseline = Baseline::new(&configured.program, args.threshold.clone());
    let add = |person: &Person| baseline.add(&configured.program, person, since, end);
    each_person(&*store, add).await.map_err(Failed::new)?;
    store.close().await.map_err(Failed::new)?;
    if args.json {
        let shown = serde_json::json!({
            "until": end,
            "quantiles": QUANTILES,
            "distributions": baseline.distributions(),
            "thresholds": baseline.hits(),
        });
        show::json(&shown)?;
    } else {
        print(&baseline);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(baseline: &Baseline) {
    let heads = QUANTILES.map(|percent| match percent {
        0 => "min".to_owned(),
        100 => "max".to_owned(),
        percent => format!("{percent} %"),
    });
    let first = ["metric", "cohort", "people", "cases"].map(str::to_owned);
    let mut shown = show::table(first.into_iter().chain(heads).collect::<Vec<_>>());
    for found in baseline.distributions() {
        let first = [found.metric.name().to_owned(), found.cohort, found.people.to_string(), found.cases.to_string()];
        shown.add_row(first.into_iter().chain(found.quantiles.into_iter().map(number)));
    }
    println!("{shown}");
    let hits = baseline.hits();
    if hits.is_empty() {
        return;
    }
    let mut shown = show::table(["at least", "cohort", "people", "share", "cases", "share"]);
    for hit in hits {
        shown.add_row([
            format!("{} = {}", hit.threshold.metric.name(), number(hit.threshold.least)),
            hit.cohort,
            hit.people.to_string(),
            show::percent(hit.share_of_people),
            hit.cases.to_string(),
            show::percent(hit.share_of_cases),
        ]);
    }
    println!("{shown}");
}

/// To two decimals, without those that say nothing.
fn number(number: f64) -> String {
    ((number * 100.0).round() / 100.0).to_string()
}
