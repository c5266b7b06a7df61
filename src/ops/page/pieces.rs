//! The small pieces that all views are made of: numbers, instants, states, tables.

use maud::{Markup, PreEscaped, html};

use crate::model::{Span, Timestamp};

/// How a state is meant. Its words say the same: colour alone says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Well,
    /// Nothing is wrong, and something is awaited.
    Waits,
    /// Somebody should look.
    Bad,
    /// Neither.
    Plain,
}

/// A state in words.
pub fn chip(tone: Tone, words: &str) -> Markup {
    let class = match tone {
        Tone::Well => "chip well",
        Tone::Waits => "chip waits",
        Tone::Bad => "chip bad",
        Tone::Plain => "chip",
    };
    // Few words stay together.
    html! { span class={ (class) @if words.len() > 28 { " long" } } { (words) } }
}

/// `2026-11-23 16:05:12`
pub fn short(at: Timestamp) -> String {
    at.to_string().replace('T', " ").chars().take(19).collect()
}

/// An instant, with how long ago it is.
pub fn when(at: Timestamp, now: Timestamp) -> Markup {
    let away = match (at > now, now.since(at).as_millis().max(at.since(now).as_millis())) {
        (_, ms) if ms < 1_000 => "now".to_owned(),
        (true, ms) => format!("in {}", age(ms)),
        (false, ms) => format!("{} ago", age(ms)),
    };
    // Of today the time is enough.
    let full = short(at);
    let is_near = at.whole(Span::DAY) == now.whole(Span::DAY);
    let shown = if is_near { full.get(11..) } else { full.get(..16) }.unwrap_or(&full);
    html! { time.at datetime=(at) title=(format!("{full} UTC")) { (shown) span.muted { " " (away) } } }
}

/// The same, where there is one.
pub fn when_or(at: Option<Timestamp>, now: Timestamp, otherwise: &str) -> Markup {
    match at {
        Some(at) => when(at, now),
        None => html! { span.muted { (otherwise) } },
    }
}

/// The largest unit: people read this, not machines.
pub fn age(ms: i64) -> String {
    match Span::from_millis(ms).as_millis() {
        0 => "none".into(),
        ms if ms < 1_000 => format!("{ms} ms"),
        ms if ms < 120_000 => format!("{} s", ms / 1_000),
        ms if ms < 7_200_000 => format!("{} min", ms / 60_000),
        ms if ms < 172_800_000 => format!("{} h", ms / 3_600_000),
        ms => format!("{} d", ms / 86_400_000),
    }
}

/// How far behind; unknown before the first page.
pub fn behind(ms: i64, now: Timestamp) -> String {
    if ms >= now.as_millis() { "-".into() } else { age(ms) }
}

/// `1 list`, `3 lists`
pub fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// 1,234,567
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `3.4`, `120`: with a decimal while it is small.
pub fn rate(n: Option<f64>) -> String {
    match n {
        None => "-".into(),
        Some(n) if n > 0.0 && n < 10.0 => format!("{n:.1}"),
        Some(n) => number(n.max(0.0).round() as u64),
    }
}

/// A number that leads to what it counts.
pub fn linked(n: u64, path: &str) -> Markup {
    html! { a.n href=(path) { (number(n)) } }
}

/// One figure with its name and a note.
pub fn figure(name: &str, value: Markup, note: &str) -> Markup {
    html! { div { dt { (name) } dd { strong { (value) } span.muted { (note) } } } }
}

/// A table that may be wider than its place.
pub fn wide(label: &str, table: Markup) -> Markup {
    html! { div.wide tabindex="0" role="region" aria-label=(label) { (table) } }
}

/// Heads of columns; those that begin with `#` are of numbers.
pub fn heads(names: &[&str]) -> Markup {
    html! {
        thead { tr { @for name in names {
            @match name.strip_prefix('#') {
                Some(name) => th.n scope="col" { (name) },
                None => th scope="col" { (name) },
            }
        } } }
    }
}

/// What stands where nothing is.
pub fn nothing(words: &str) -> Markup {
    html! { p.nothing { (words) } }
}

/// Words in which commands stand in backticks.
pub fn words(text: &str) -> Markup {
    let mut parts = text.split('`');
    html! {
        @if let Some(first) = parts.next() { (first) }
        @for (n, part) in parts.enumerate() { @if n % 2 == 0 { code { (part) } } @else { (part) } }
    }
}

/// A part that is fetched anew when something has changed. `id` is its own on the page.
pub fn live(id: &str, path: &str, inner: Markup) -> Markup {
    html! {
        div id=(id) data-live hx-get=(path) hx-trigger="live" hx-select=(format!("#{id}")) hx-swap="outerMorph" { (inner) }
    }
}

/// JSON for people.
pub fn json(value: &serde_json::Value) -> Markup {
    html! { pre.json tabindex="0" { code { (format!("{value:#}")) } } }
}

/// Words beside a control that this caller may not use.
pub fn not_for(role: &str) -> Markup {
    html! { p.muted { "This asks for the role " strong { (role) } "." } }
}

/// What just became of something, from the address: one of a few fixed words, never what somebody wrote.
pub fn notice(tone: Tone, words: &str) -> Markup {
    let class = if tone == Tone::Bad { "notice bad" } else { "notice" };
    html! { p class=(class) role="status" { (words) } }
}

/// An ellipsis of the page's own, for what is hidden.
pub const HIDDEN: PreEscaped<&str> = PreEscaped("&#8226;&#8226;&#8226;");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_are_for_people() {
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!((rate(None), rate(Some(3.44)), rate(Some(1_200.4))), ("-".into(), "3.4".into(), "1,200".into()));
        assert_eq!(age(7_199_999), "119 min");
        assert_eq!(words("run `a <b>`, then `c`").into_string(), "run <code>a &lt;b&gt;</code>, then <code>c</code>");
    }
}
