//! The guides as a book: every page is in its list, every link leads somewhere, the guides' configurations are right, the
//! reference is what the program says, and the book builds. `UPDATE=1` writes the reference.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn espalier(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_espalier")).args(args).output().expect("the program");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&out.stderr));
    said
}

/// Every Markdown file under a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A page with what it includes put in, as mdBook does.
fn whole(path: &Path) -> String {
    let text = read(path);
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("{{#include ") {
        let (file, after) = after.split_once("}}").expect("an end of the include");
        out.push_str(before);
        out.push_str(&read(&path.parent().expect("a folder").join(file.trim())));
        rest = after;
    }
    out + rest
}

/// The text without its fenced blocks and code.
fn prose(text: &str) -> String {
    let mut out = String::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            // Code within a line: what is in backticks is no link.
            out.extend(line.split('`').step_by(2));
            out.push('\n');
        }
    }
    out
}

/// Where the links of a text lead.
fn links(text: &str) -> Vec<String> {
    let text = prose(text);
    let ends = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    ends.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a page's headings, as mdBook and forges make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let headings = text.lines().filter(move |line| {
        is_code ^= line.trim_start().starts_with("```");
        !is_code && line.starts_with('#')
    });
    let anchor = |heading: &str| -> String {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        words
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut files = pages(&root().join("docs"));
    files.extend(["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(|name| root().join(name)));
    files.extend(pages(&root().join("connectors")));
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for file in &files {
        let folder = file.parent().expect("a folder");
        for link in links(&read(file)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { file.clone() } else { folder.join(path) };
            if !target.exists() {
                wrong.push(format!("{}: {link} is not there", file.display()));
            } else if !anchor.is_empty() && !anchors(&whole(&target)).contains(anchor) {
                wrong.push(format!("{}: {link} has no such heading", file.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(checked > 60, "links are read: {checked}");
}

#[test]
fn every_page_is_in_the_list_and_every_connector_has_one() {
    let docs = root().join("docs");
    let listed: BTreeSet<PathBuf> = links(&read(&docs.join("SUMMARY.md"))).iter().map(|link| docs.join(link)).collect();
    let there: BTreeSet<PathBuf> = pages(&docs).into_iter().filter(|path| !path.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed, there);
    for folder in std::fs::read_dir(root().join("connectors")).expect("connectors").flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        let page = docs.join(format!("reference/connectors/{name}.md"));
        assert!(page.exists() || !folder.path().join("README.md").exists(), "{name} has a page in the book");
    }
}

/// Names of the references to the environment in a configuration.
fn references(text: &str) -> BTreeSet<&str> {
    text.split("${env:").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
}

#[test]
fn the_configurations_of_the_guides_are_right() {
    let guides = root().join("docs/guides");
    let scratch = tempfile::tempdir().expect("a folder");
    let start = read(&root().join("docs/start.md"));
    let of_start = start.split("```toml check\n").nth(1).and_then(|rest| rest.split_once("   ```")).expect("a block").0;
    std::fs::write(scratch.path().join("espalier.toml"), of_start).expect("a file");
    std::fs::create_dir(scratch.path().join("triggers")).expect("a folder");
    let shipped = root().join("config/triggers/cart-abandoned.toml");
    std::fs::copy(&shipped, scratch.path().join("triggers/cart-abandoned.toml")).expect("a copy");
    let mut folders = vec![scratch.path().to_owned()];
    for guide in ["shopify-klaviyo", "woocommerce-hubspot", "salesforce-marketo"] {
        folders.push(guides.join(guide));
        let page = read(&root().join(format!("docs/{guide}.md")));
        assert!(
            page.contains(&format!("{{{{#include guides/{guide}/espalier.toml}}}}")),
            "{guide} shows what is checked"
        );
    }
    for folder in folders {
        let file = folder.join("espalier.toml");
        let text = read(&file);
        let mut check = Command::new(env!("CARGO_BIN_EXE_espalier"));
        check.args(["check", "--config"]).arg(&file).envs(references(&text).into_iter().map(|name| (name, "secret")));
        let out = check.output().expect("the program");
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && said.contains("1 destinations, 1 triggers"), "{}: {said}", file.display());
    }
    assert_eq!(
        read(&shipped),
        read(&guides.join("shopify-klaviyo/triggers/cart-abandoned.toml")),
        "the one that ships"
    );
    let first = read(&root().join("docs/write-a-trigger.md"));
    let trigger = first.split("```toml trigger\n").nth(1).and_then(|rest| rest.split_once("```")).expect("a trigger").0;
    std::fs::remove_file(scratch.path().join("triggers/cart-abandoned.toml")).expect("a file");
    std::fs::write(scratch.path().join("triggers/looked-thrice.toml"), trigger).expect("a trigger");
    let mut check = Command::new(env!("CARGO_BIN_EXE_espalier"));
    check.args(["check", "--config"]).arg(scratch.path().join("espalier.toml"));
    let out = check.env("ESPALIER_WRITE_KEY", "secret").env("KLAVIYO_API_KEY", "secret").output().expect("the program");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn every_trouble_has_its_way_out() {
    let kinds: BTreeSet<String> = espalier::alerts::Kind::ALL.into_iter().map(|kind| kind.word().to_owned()).collect();
    let page = read(&root().join("docs/troubleshoot.md"));
    let rows =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|(name, _)| name.to_owned());
    assert_eq!(rows.collect::<BTreeSet<_>>(), kinds);
}

#[test]
fn the_reference_is_what_the_program_says() {
    let schema: Value = serde_json::from_str(&espalier(&["schema"])).expect("JSON");
    for (file, said) in
        [("commands.md", espalier(&["manual", "--markdown"])), ("configuration.md", configuration(&schema))]
    {
        let path = root().join("docs/reference").join(file);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &said).expect("a page");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == said,
            "{file} is not what the program says: UPDATE=1 cargo test --test book, and read the difference"
        );
    }
}

/// The configuration's keys, from its schema.
fn configuration(schema: &Value) -> String {
    let mut out = String::from(
        "# Configuration\n\nMade of `espalier schema`. `config/espalier.toml` has every key, commented, at its default; \
         [ops] drain is ESPALIER__OPS__DRAIN in the environment.\n",
    );
    out = out.replace("[ops] drain", "`drain` of `[ops]`").replace("ESPALIER__OPS__DRAIN", "`ESPALIER__OPS__DRAIN`");
    let properties = schema["properties"].as_object().expect("keys");
    let (tables, keys): (Vec<_>, Vec<_>) = properties.iter().partition(|(_, of)| !tables_of(schema, of).is_empty());
    out.push_str("\n## At the top\n");
    rows(&mut out, schema, keys.into_iter());
    for (name, of) in tables {
        let of_each = resolved(schema, of).get("additionalProperties").is_some_and(Value::is_object);
        let heading = if of_each { format!("[{name}.NAME]") } else { format!("[{name}]") };
        let _ = write!(out, "\n## `{heading}`\n\n{}\n", words(of));
        for table in tables_of(schema, of) {
            let fields = table["properties"].as_object().expect("keys");
            if let Some(kind) = fields.get("kind").and_then(|kind| kind["const"].as_str()) {
                let _ = write!(out, "\n### `kind = \"{kind}\"`\n\n{}\n", words(table));
            }
            rows(&mut out, schema, fields.iter());
        }
    }
    out
}

/// What a reference stands for.
fn resolved<'a>(schema: &'a Value, of: &'a Value) -> &'a Value {
    match of["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        Some(name) => resolved(schema, &schema["$defs"][name]),
        None => of,
    }
}

/// The tables that a key may hold: itself, each of a choice, or that of each name.
fn tables_of<'a>(schema: &'a Value, of: &'a Value) -> Vec<&'a Value> {
    let of = resolved(schema, of);
    if of["properties"].is_object() {
        return vec![of];
    }
    if of["additionalProperties"].is_object() {
        return tables_of(schema, &of["additionalProperties"]);
    }
    let choices = of["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    choices.iter().flat_map(|one| tables_of(schema, one)).collect()
}

fn words(of: &Value) -> String {
    of["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

fn rows<'a>(out: &mut String, schema: &Value, fields: impl Iterator<Item = (&'a String, &'a Value)>) {
    out.push_str("\n| key | form | default | meaning |\n| --- | --- | --- | --- |\n");
    // What tells one table of a choice from another is its heading.
    for (name, of) in fields.filter(|(name, of)| *name != "kind" || of["const"].is_null()) {
        let default = match &of["default"] {
            Value::Null => String::new(),
            value => format!("`{}`", value.to_string().replace('|', "\\|")),
        };
        let _ = writeln!(out, "| `{name}` | {} | {default} | {} |", form(schema, of), words(of));
    }
}

fn form(schema: &Value, of: &Value) -> String {
    let of = resolved(schema, of);
    if let Some(choices) = of["oneOf"].as_array().or(of["anyOf"].as_array()).or(of["enum"].as_array()) {
        let of_each = choices.iter().filter_map(|one| match one {
            Value::String(word) => Some(format!("`\"{word}\"`")),
            one if one["type"] == "null" => None,
            one => match one["const"].as_str() {
                Some(word) => Some(format!("`\"{word}\"`")),
                None => Some(form(schema, one)),
            },
        });
        let mut of_each: Vec<String> = of_each.collect();
        of_each.dedup();
        return of_each.join(" or ");
    }
    match of["format"].as_str() {
        Some(size) if size.starts_with("uint") || size.starts_with("int") => return "whole number".into(),
        Some("double" | "float") => return "number".into(),
        Some(word) => return word.to_owned(),
        None => {}
    }
    match &of["type"] {
        Value::String(kind) => match kind.as_str() {
            "array" => format!("list of {}", form(schema, &of["items"])),
            "object" => "table".into(),
            "string" => "text".into(),
            other => other.into(),
        },
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            kinds
                .map(|kind| {
                    if kind == "string" {
                        "text"
                    } else if kind == "integer" {
                        "whole number"
                    } else {
                        kind
                    }
                })
                .collect::<Vec<_>>()
                .join(" or ")
        }
        _ => "any".into(),
    }
}

/// By mdBook itself, which `scripts/test` installs.
#[test]
fn the_book_builds() {
    let folder = tempfile::tempdir().expect("a folder");
    let mdbook = root().join("target/mdbook/bin/mdbook");
    let out = Command::new(&mdbook).arg("build").arg(root().join("docs")).arg("--dest-dir").arg(folder.path()).output();
    let out = out.unwrap_or_else(|e| panic!("{}: {e}; `scripts/test` installs it", mdbook.display()));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    assert!(!said.contains("ERROR") && !said.contains("WARN"), "{said}");
    for link in links(&read(&root().join("docs/SUMMARY.md"))) {
        let page = folder.path().join(link.replace(".md", ".html"));
        let text = read(&page);
        assert!(!text.contains("{{#include"), "{link}: what it includes is in it");
        assert!(text.contains("<main>"), "{link}");
    }
}
