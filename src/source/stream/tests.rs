//! Lists of a simulated vendor, read to their end through every kind of paging, and what it may answer wrongly.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::identity;
use crate::manifest::setting::{Given, Written};
use crate::source::manifest::Manifest;
use crate::source::{Arrival, Limits};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const PAGE: u64 = 3;

fn manifest(stream: &str) -> Manifest {
    let text = format!(
        "name = \"x\"\nfacts = \"none\"\n[settings]\nkey = {{ kind = \"secret\", help = \"a key\" }}\n[api]\n\
         base_url = \"https://api.example/v1\"\nauth = {{ kind = \"bearer\", secret = \"key\" }}\n\
         [api.limits]\nleft = {{ header = \"X-Left\", reset = \"X-Reset\", unit = \"ms\" }}\n\
         [[api.answer]]\npath = \"errors\"\ndo = \"retry\"\n[[api.answer]]\nstatus = 410\ndo = \"restart\"\n\
         [stream.things]\npath = \"/things\"\nrecords = \"items\"\nfield = \"changed\"\n{stream}\n\
         [stream.things.emit.0]\n"
    );
    let text = text.replace(
        "[stream.things.emit.0]\n",
        "[[stream.things.emit]]\nevent = \"Thing\"\nid = \"id\"\nversion = \"changed\"\nat = \"changed\"\nidentify = { user_id = \"who\" }\n",
    );
    Manifest::read("x.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

fn stream(lines: &str) -> Stream {
    let manifest = manifest(lines);
    let written: Written = serde_json::from_value(json!({ "key": "k" })).expect("settings");
    let given = Given::read(&manifest.settings, &written).expect("fits");
    let account = Arc::new(Account::of(&manifest, &given).expect("an account"));
    Stream::new("things", account, manifest.streams["things"].clone())
}

const WINDOW: &str = "query.from = \"{{ window.from }}\"\nquery.until = \"{{ window.until }}\"\n\
                      window = { time = \"epoch_millis\", overlap = \"10s\", margin = \"5s\", slice = \"1h\" }\n";

/// Every kind of paging, and the words for it in a manifest.
const PAGINGS: [(&str, &str); 6] = [
    ("cursor", "query.after = \"{{ page.token }}\"\npaging = { kind = \"cursor\", next = \"next\" }\n"),
    ("more", "query.after = \"{{ page.token }}\"\npaging = { kind = \"cursor\", next = \"next\", more = \"more\" }\n"),
    ("page", "query.page = \"{{ page.number }}\"\npaging = { kind = \"page\", total = \"total\" }\n"),
    ("offset", "query.offset = \"{{ page.offset }}\"\npaging = { kind = \"offset\" }\n"),
    ("link", "paging = { kind = \"link\" }\n"),
    ("next_url", "paging = { kind = \"next_url\", next = \"url\" }\n"),
];

/// Things by id, each with the instant of its last change.
type World = BTreeMap<u64, i64>;

/// What a vendor answers: those in the window, in order of id.
fn answer(world: &World, request: &Request) -> Response {
    let mut asked: BTreeMap<String, String> = request.query.iter().map(|(k, v)| (k.to_string(), v.clone())).collect();
    let path = request.path.split_once('?');
    for pair in path.map_or("", |(_, query)| query).split('&') {
        asked.extend(pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
    let number = |name: &str| asked.get(name).and_then(|text| text.parse::<i64>().ok());
    let (from, until) = (number("from").unwrap_or(0), number("until").unwrap_or(i64::MAX));
    let found: Vec<(&u64, &i64)> = world.iter().filter(|(_, at)| (from..until).contains(*at)).collect();
    let offset = match (number("page"), number("offset"), number("after")) {
        (Some(page), _, _) => (page as u64 - 1) * PAGE,
        (_, Some(offset), _) => offset as u64,
        (_, _, after) => after.unwrap_or(0) as u64,
    };
    let total = found.len();
    let page: Vec<Value> = found
        .into_iter()
        .skip(offset as usize)
        .take(PAGE as usize)
        .map(|(id, at)| json!({ "id": id, "changed": at, "who": format!("u{id}") }))
        .collect();
    let next = offset + page.len() as u64;
    let more = (next as usize) < total;
    let url = more.then(|| format!("https://api.example/v1/things?from={from}&until={until}&after={next}"));
    let link = url.iter().map(|url| ("link".to_owned(), format!("<{url}>; rel=\"next\""))).collect();
    let body = json!({ "items": page, "total": total, "next": more.then_some(next), "more": more, "url": url });
    Response { status: 200, headers: link, body: body.to_string().into_bytes() }
}

/// Reads until there is nothing new; each record's id and instant of change, in the order in which they came.
fn read_all(
    stream: &Stream,
    place: &mut Place,
    now: Timestamp,
    world: &mut dyn FnMut(&Request) -> Response,
) -> Vec<(u64, i64)> {
    let mut seen = Vec::new();
    for _ in 0..10_000 {
        if stream.open(place, now, None).is_err() {
            return seen;
        }
        let request = stream.ask(place).expect("a window is open");
        match stream.read(place, &world(&request), now) {
            Turn::Page(page) => {
                let of = |record: &Value| Some((record["id"].as_u64()?, record["changed"].as_i64()?));
                seen.extend(page.records.iter().filter_map(of));
                // What is kept is what a restart finds.
                let kept = serde_json::to_vec(&page.next).expect("a place");
                *place = serde_json::from_slice(&kept).expect("a place");
            }
            Turn::Again(next) => *place = next,
            Turn::Stop(stop) | Turn::Broken(_, stop) => panic!("{stop}"),
        }
    }
    panic!("it never ends");
}

proptest! {
    /// However things change while they are read: in the end, each has been seen as it is.
    #[test]
    fn nothing_is_left_out(
        paging in 0..PAGINGS.len(),
        lives in prop::collection::vec(prop::collection::vec((0_u64..12, 0_i64..60_000), 0..20), 1..5),
    ) {
        let stream = stream(&format!("{WINDOW}{}", PAGINGS[paging].1));
        let mut place = Place::at(NOW);
        let (mut world, mut seen) = (World::new(), World::new());
        let mut now = NOW;
        for life in &lives {
            let began = now;
            now = now + Span::from_minutes(1);
            for (id, at) in life {
                let at = began.as_millis() + at;
                let newest = world.entry(*id).or_insert(at);
                *newest = (*newest).max(at);
            }
            for (id, at) in read_all(&stream, &mut place, now, &mut |request| answer(&world, request)) {
                seen.insert(id, at);
            }
        }
        now = now + Span::from_minutes(1);
        seen.extend(read_all(&stream, &mut place, now, &mut |request| answer(&world, request)));
        prop_assert_eq!(&seen, &world, "{}", PAGINGS[paging].0);
        prop_assert!(place.read <= now - Span::from_secs(5), "never beyond now less the margin");
    }
}

fn opened(stream: &Stream) -> Place {
    let mut place = Place::at(NOW - Span::from_minutes(10));
    stream.open(&mut place, NOW, None).expect("a window");
    place
}

fn came(status: u16, body: &str) -> Response {
    Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

/// What a wrong answer leads to, in words; the place is not moved by it.
#[track_caller]
fn check(response: &Response, wanted: &str) {
    let stream = stream(&format!("{WINDOW}{}", PAGINGS[0].1));
    let place = opened(&stream);
    let said = match stream.read(&place, response, NOW) {
        Turn::Stop(stop) | Turn::Broken(_, stop) => stop.to_string(),
        Turn::Again(_) => "again".into(),
        Turn::Page(page) => format!("{} records", page.records.len()),
    };
    assert_eq!(said, wanted);
}

#[test]
fn what_is_wrong_with_an_answer_is_said() {
    check(&came(200, "{\"items\": [{\"id\": 1"), "HTTP 200 is not JSON");
    check(&came(200, "<html>Sign in</html>"), "HTTP 200 is not JSON, and a web page: of a proxy, or of a sign-in");
    check(&came(403, "<html>Blocked</html>"), "HTTP 403, and a web page: of a proxy, or of a sign-in");
    check(&came(200, "{\"data\": []}"), "the answer is not what we know: `items` is no list");
    check(&came(200, "{\"items\": {}}"), "the answer is not what we know: `items` is no list");
    check(&came(200, "{\"items\": null}"), "0 records");
    check(&came(204, ""), "0 records");
    check(&came(200, "{\"items\": [], \"errors\": [{\"message\": \"no\"}]}"), "HTTP 200: no");
    check(
        &came(401, "{\"message\": \"who are you, a@b.example?\"}"),
        "the access token is refused: HTTP 401: who are you, …",
    );
    check(&came(403, "{\"message\": \"scope orders\"}"), "the account may not read this: HTTP 403: scope orders");
    check(&came(404, "{}"), "what is asked does not fit the account: HTTP 404");
    check(&came(429, "{}"), "the vendor's limit is reached: HTTP 429");
    check(&came(503, "gone"), "HTTP 503");
    check(&came(410, "{}"), "again");
}

#[test]
fn a_list_that_turns_in_circles_is_met() {
    for length in [1_u64, 2, 5] {
        let stream = stream(&format!("{WINDOW}{}", PAGINGS[0].1));
        let mut place = opened(&stream);
        let mut n = 0_u64;
        let stop = loop {
            n += 1;
            assert!(n < 100, "a circle of {length} is not met");
            let body = json!({ "items": [{ "id": n }], "next": format!("t{}", n % length) }).to_string();
            match stream.read(&place, &came(200, &body), NOW) {
                Turn::Page(page) => place = page.next,
                Turn::Stop(stop) => break stop,
                Turn::Again(_) | Turn::Broken(..) => panic!("again"),
            }
        };
        assert_eq!(stop.to_string(), "the vendor gives the same place in the list again and again");
    }
}

#[test]
fn the_last_page_given_again_is_the_end() {
    let stream = stream(&format!("{WINDOW}{}", PAGINGS[3].1));
    let place = opened(&stream);
    let last = came(200, "{\"items\": [{\"id\": 1}]}");
    let Turn::Page(first) = stream.read(&place, &last, NOW) else { panic!("a page") };
    let Turn::Page(second) = stream.read(&first.next, &last, NOW) else { panic!("a page") };
    assert_eq!((first.is_end, second.is_end, second.records.len()), (false, true, 0));
}

#[test]
fn credentials_do_not_leave_the_account() {
    for (url, goes) in [
        ("https://api.example/v1/things?a=1", true),
        ("/v1/things?a=1", true),
        ("https://api.example.evil.example/v1/things", false),
        ("https://evil.example/v1/things", false),
        ("//evil.example/v1/things", false),
        ("https://api.example/other", false),
        ("https://api.example/v1.evil.example/", false),
    ] {
        let stream = stream(&format!("{WINDOW}{}", PAGINGS[5].1));
        let body = json!({ "items": [], "url": url }).to_string();
        let went = matches!(stream.read(&opened(&stream), &came(200, &body), NOW), Turn::Page(page) if !page.is_end);
        assert_eq!(went, goes, "{url}");
    }
}

#[test]
fn a_window_that_holds_too_much_is_halved() {
    let cap = WINDOW.replace("slice = \"1h\"", "slice = \"1h\", cap = { total = \"total\", most = 4 }");
    let stream = stream(&format!("{cap}{}", PAGINGS[0].1));
    let world: World = (0..40).map(|id| (id, NOW.as_millis() - 600_000 + id as i64 * 10_000)).collect();
    let mut place = Place::at(NOW - Span::from_minutes(10));
    let mut most = 0;
    let mut seen = read_all(&stream, &mut place, NOW, &mut |request| {
        let answer = answer(&world, request);
        most = most.max(answer.json()["items"].as_array().map_or(0, Vec::len));
        answer
    });
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), world.len());
}

#[test]
fn a_window_comes_forward_though_its_overlap_holds_too_much() {
    let cap = WINDOW.replace("slice = \"1h\"", "slice = \"1h\", cap = { total = \"total\", most = 4 }");
    let stream = stream(&format!("{cap}{}", PAGINGS[0].1));
    // All of it within the ten seconds of the overlap.
    let world: World = (0..40).map(|id| (id, NOW.as_millis() - 14_000 + id as i64 * 200)).collect();
    let mut place = Place::at(NOW - Span::from_secs(6));
    let mut calls = 0;
    let mut seen = read_all(&stream, &mut place, NOW, &mut |request| {
        calls += 1;
        answer(&world, request)
    });
    assert!(calls < 100, "{calls} calls");
    seen.sort_unstable();
    seen.dedup();
    let end = NOW.as_millis() - 5_000;
    assert_eq!(seen.len(), world.values().filter(|at| **at >= NOW.as_millis() - 16_000 && **at < end).count());
    assert_eq!(place.read.as_millis(), end);
}

#[test]
fn what_is_refused_in_the_middle_of_a_list_begins_it_again() {
    let stream = stream(&format!("{WINDOW}{}", PAGINGS[0].1));
    let mut place = opened(&stream);
    let body = json!({ "items": [{ "id": 1 }], "next": "t" }).to_string();
    let Turn::Page(page) = stream.read(&place, &came(200, &body), NOW) else { panic!("a page") };
    for _ in 0..3 {
        place = page.next.clone();
        let Turn::Again(next) = stream.read(&place, &came(400, "{}"), NOW) else { panic!("again") };
        assert_eq!((next.open.as_ref().map(|open| open.pages), next.restarts), (Some(0), 1));
    }
    place = page.next;
    place.restarts = 3;
    // After that it goes on from the beginning, and not from the place that is lost.
    let Turn::Broken(next, Stop::Retry(_)) = stream.read(&place, &came(400, "{}"), NOW) else { panic!("a rest") };
    assert_eq!(next.open.as_ref().map(|open| (open.pages, open.token.clone())), Some((0, None)));
    assert!(matches!(stream.read(&next, &came(200, &body), NOW), Turn::Page(_)));
}

#[test]
fn an_empty_list_may_be_left_out_where_that_is_said() {
    let empty = came(200, "{\"next\": null}");
    let strict = stream(&format!("{WINDOW}{}", PAGINGS[0].1));
    assert!(matches!(strict.read(&opened(&strict), &empty, NOW), Turn::Stop(_)));
    let lax = stream(&format!("empty_is_absent = true\n{WINDOW}{}", PAGINGS[0].1));
    let Turn::Page(page) = lax.read(&opened(&lax), &empty, NOW) else { panic!("a page") };
    assert_eq!((page.records.len(), page.is_end), (0, true));
    assert!(matches!(lax.read(&opened(&lax), &came(200, "[]"), NOW), Turn::Stop(_)));
}

#[test]
fn a_lookup_may_ask_for_what_another_found() {
    let lookup = |name: &str, id: &str, key: &str| {
        format!(
            "[[stream.things.lookup]]\nname = \"{name}\"\nid = \"{id}\"\npath = \"/{name}\"\nmost = 2\n\
             query = {{ ids = \"{{{{ ids }}}}\" }}\nrecords = \"items\"\nkey = \"{key}\"\n"
        )
    };
    let stream = stream(&format!("{WINDOW}{}{}", lookup("owner", "id", "of"), lookup("person", "owner.who", "id")));
    let mut records = vec![json!({ "id": 1 }), json!({ "id": 2 }), json!({ "id": 3 })];
    assert_eq!(stream.lookups(1, &records).len(), 0);
    let asked: Vec<String> = stream.lookups(0, &records).iter().map(|(_, call)| call.query[0].1.clone()).collect();
    assert_eq!(asked, ["1,2", "3"]);
    let owners = came(200, "{\"items\": [{\"of\": 1, \"who\": \"a\"}, {\"of\": 3, \"who\": \"a\"}]}");
    let of = |number| Asked { number, ids: Vec::new() };
    stream.look_up(&of(0), &owners, &mut records, NOW).expect("found");
    let asked: Vec<String> = stream.lookups(1, &records).iter().map(|(_, call)| call.query[0].1.clone()).collect();
    assert_eq!(asked, ["a"]);
    stream
        .look_up(&of(1), &came(200, "{\"items\": [{\"id\": \"a\", \"email\": \"e\"}]}"), &mut records, NOW)
        .expect("found");
    assert_eq!(records[2]["person"]["email"], "e");
    assert_eq!(records[1].get("person"), None);
}

#[test]
fn a_clock_that_is_far_off_is_not_believed() {
    for (off, believed) in [(Span::from_days(3), 60), (Span::from_days(-3), -60)] {
        let place = Place { skew: off.as_millis(), ..Place::default() };
        assert_eq!(place.behind(), Span::from_minutes(believed));
    }
}

#[test]
fn a_vendor_whose_clock_is_behind_is_waited_for() {
    let stream = stream(&format!("{WINDOW}{}", PAGINGS[0].1));
    let mut place = opened(&stream);
    let mut response = came(200, "{\"items\": []}");
    let behind = (NOW - Span::from_minutes(2)).as_millis().div_euclid(1_000);
    let date = jiff::Timestamp::from_second(behind).expect("an instant");
    response
        .headers
        .push(("date".into(), jiff::fmt::rfc2822::to_string(&date.to_zoned(jiff::tz::TimeZone::UTC)).expect("a date")));
    let Turn::Page(page) = stream.read(&place, &response, NOW) else { panic!("a page") };
    place = page.next;
    assert_eq!(place.behind(), Span::from_minutes(2));
    let later = NOW + Span::from_minutes(10);
    stream.open(&mut place, later, None).expect("a window");
    let until = place.open.as_ref().map(|open| open.until);
    assert_eq!(until, Some(later - Span::from_secs(5) - Span::from_minutes(2)));
}

#[test]
fn figures_of_what_is_left_hold_the_next_call_back() {
    let stream = stream(WINDOW);
    let mut response = came(200, "{\"items\": []}");
    response.headers = vec![("x-left".into(), "1".into()), ("x-reset".into(), "2500".into())];
    assert_eq!(stream.account.heed(&response, NOW), Some(NOW + Span::from_millis(2_500)));
    response.headers[0].1 = "2".into();
    assert_eq!(stream.account.heed(&response, NOW), None);
}

#[test]
fn a_broken_record_is_set_aside_and_the_page_goes_on() {
    let stream = stream(WINDOW);
    let records = [
        json!({ "id": 1, "changed": 1_799_999_999_000_i64, "who": "u1" }),
        json!(7),
        json!({ "id": 2, "changed": "yesterday", "who": "u2" }),
        json!({ "id": 3, "changed": 1_799_999_999_000_i64 }),
        json!({ "id": 4, "changed": 4_000_000_000_000_i64, "who": "u4" }),
    ];
    let (names, source) = (identity::Settings::default(), Arc::from("shop"));
    let limits = Limits { message: 10, messages: 1 };
    let arrival = Arrival { source: &source, at: NOW, names: &names, limits: &limits };
    let mapped = stream.map(Records { records: &records, fresh: None }, &arrival);
    let reasons: Vec<&str> = mapped.read.rejected.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(reasons, ["is no record", "changed is not a time", "names nobody"]);
    let at: Vec<Timestamp> = mapped.read.events.iter().map(|event| event.at).collect();
    assert_eq!(at, [NOW - Span::from_secs(1), NOW], "what claims to be of the future is of now");
}

#[test]
fn what_records_refer_to_is_put_into_them() {
    let lookups = "[[stream.things.lookup]]\nname = \"lines\"\nwhen = \"record.lines > 0\"\nid = \"id\"\nlist = true\n\
                   path = \"/things/{{ ids }}/lines\"\nmost = 1\nrecords = \"items\"\n\
                   [[stream.things.lookup]]\nname = \"of\"\nid = \"who\"\npath = \"/people\"\nquery.ids = \"{{ ids }}\"\n\
                   most = 2\nkey = \"id\"\n";
    let stream = stream(&format!("{WINDOW}{lookups}"));
    let mut records = vec![
        json!({ "id": 1, "lines": 2, "who": "a" }),
        json!({ "id": 2, "lines": 0, "who": "b" }),
        json!({ "id": 3, "lines": 1, "who": "c" }),
    ];
    let calls: Vec<_> = (0..2).flat_map(|number| stream.lookups(number, &records)).collect();
    let asked: Vec<&str> = calls.iter().map(|(_, call)| call.path.as_str()).collect();
    assert_eq!(asked, ["/things/1/lines", "/things/3/lines", "/people", "/people"]);
    let answers = [
        came(200, "{\"items\": [{\"sku\": \"x\"}, {\"sku\": \"y\"}]}"),
        came(204, ""),
        came(200, "[{\"id\": \"b\", \"n\": 7}, {\"id\": \"z\"}]"),
        came(200, "[]"),
    ];
    for ((asked, _), answer) in calls.iter().zip(&answers) {
        stream.look_up(asked, answer, &mut records, NOW).expect("read");
    }
    assert_eq!(
        records,
        [
            json!({ "id": 1, "lines": [{ "sku": "x" }, { "sku": "y" }], "who": "a" }),
            json!({ "id": 2, "lines": 0, "who": "b", "of": { "id": "b", "n": 7 } }),
            json!({ "id": 3, "lines": 1, "who": "c" }),
        ]
    );
}

#[test]
fn what_no_path_reaches_is_worked_out() {
    let stream = stream(&format!("{WINDOW}derive.id = \"record.url | split('/') | list | last\"\n"));
    let record = json!({ "url": "https://x.example/things/7", "changed": 1_799_999_999_000_i64, "who": "u1" });
    let (names, source) = (identity::Settings::default(), Arc::from("shop"));
    let limits = Limits { message: 10, messages: 1 };
    let arrival = Arrival { source: &source, at: NOW, names: &names, limits: &limits };
    let keys = |record: Value| {
        let mapped = stream.map(Records { records: &[record], fresh: None }, &arrival);
        mapped.read.events.into_iter().map(|event| event.dedupe).collect::<Vec<_>>()
    };
    let known = json!({ "id": 7, "changed": 1_799_999_999_000_i64, "who": "u1" });
    assert_eq!(keys(record), keys(known));
}

/// What lies within the margin of a stretch of the past is waited for, not asked for bit by bit.
#[test]
fn the_end_of_a_stretch_is_read_at_once() {
    let stream = stream(WINDOW);
    let mut place = Place::at(NOW - Span::from_minutes(10));
    stream.open(&mut place, NOW, Some(NOW)).expect("a window");
    let seen = NOW - Span::from_secs(5);
    assert_eq!(place.open.take().map(|open| open.until), Some(seen));
    (place.read, place.pages) = (seen, 1);
    for ms in [0, 1, 1_000, 4_999] {
        let rest = stream.open(&mut place, NOW + Span::from_millis(ms), Some(NOW));
        assert_eq!(rest, Err(NOW + Span::from_secs(5)), "after {ms} ms");
    }
    stream.open(&mut place, NOW + Span::from_secs(5), Some(NOW)).expect("a window");
    assert_eq!(place.open.map(|open| open.until), Some(NOW));
}
