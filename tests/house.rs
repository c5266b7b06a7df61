//! Who may import whom. ARCHITECTURE.md says why; a room that is not named in a row is out of bounds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("identity", &["model"]),
    ("rules", &["model"]),
    ("decide", &["model", "identity", "rules"]),
    ("trace", &["model"]),
    ("clock", &["model"]),
    ("store", &["model"]),
    ("manifest", &["model"]),
    ("source", &["model", "identity", "manifest"]),
    ("destination", &["model", "manifest"]),
    ("wire", &["model", "clock"]),
    ("alerts", &["model", "store", "wire", "clock"]),
    ("quota", &["model", "clock", "store", "destination"]),
    ("engine", &["model", "decide", "rules", "identity", "store", "clock", "trace"]),
    ("replay", &["model", "rules", "decide", "identity"]),
    ("delivery", &["model", "store", "destination", "wire", "quota", "clock", "trace"]),
    ("pull", &["model", "store", "source", "identity", "wire", "quota", "clock"]),
    ("plan", &["model", "rules", "identity", "replay", "destination", "delivery", "wire", "quota", "clock"]),
    ("reconcile", &["model", "store", "pull", "destination", "delivery", "clock"]),
    ("intake", &["model", "store", "source", "identity", "manifest", "clock", "trace"]),
    (
        "ops",
        &[
            "model",
            "store",
            "rules",
            "replay",
            "identity",
            "engine",
            "delivery",
            "pull",
            "plan",
            "quota",
            "reconcile",
            "alerts",
            "clock",
        ],
    ),
    // Of `model` only the instants and spans of the clock: a simulator shares no code with what it tests.
    ("sandbox", &["clock", "model"]),
];

/// First names of paths that begin with `crate::`, grouped imports and all.
#[derive(Default)]
struct Imports(BTreeSet<String>);

impl<'ast> Visit<'ast> for Imports {
    fn visit_use_path(&mut self, path: &'ast syn::UsePath) {
        if path.ident == "crate" {
            self.group(&path.tree);
        }
    }
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut parts = path.segments.iter();
        if parts.next().is_some_and(|first| first.ident == "crate")
            && let Some(room) = parts.next()
        {
            self.0.insert(room.ident.to_string());
        }
        syn::visit::visit_path(self, path);
    }
    /// What only tests import is their own matter.
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.ident != "tests" {
            syn::visit::visit_item_mod(self, item);
        }
    }
}

impl Imports {
    fn group(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => drop(self.0.insert(path.ident.to_string())),
            syn::UseTree::Name(name) => drop(self.0.insert(name.ident.to_string())),
            syn::UseTree::Rename(name) => drop(self.0.insert(name.ident.to_string())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.group(item)),
            syn::UseTree::Glob(_) => {}
        }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("a file of ours").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn arrows_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    let mut wrong = Vec::new();
    let mut sizes: Vec<(usize, String)> = Vec::new();
    for path in &found {
        let name = path.strip_prefix(&src).expect("below src").display().to_string();
        let text = std::fs::read_to_string(path).expect("a file of ours");
        sizes.push((text.lines().count(), name.clone()));
        let room = name.split(['/', '.']).next().unwrap_or_default().to_owned();
        let Some((_, allowed)) = ROOMS.iter().find(|(known, _)| *known == room) else { continue };
        if name.ends_with("tests.rs") || name.ends_with("contract.rs") {
            continue;
        }
        let mut imports = Imports::default();
        imports.visit_file(&syn::parse_file(&text).expect("Rust"));
        for other in imports.0.iter().filter(|other| **other != room && !allowed.contains(&other.as_str())) {
            wrong.push(format!("{name}: {room} imports {other}"));
        }
    }
    sizes.sort();
    let at = |share: f64| sizes[((sizes.len() - 1) as f64 * share) as usize].0;
    println!("{} files, median {} lines, nine of ten under {}", sizes.len(), at(0.5), at(0.9));
    println!("longest: {:?}", sizes.iter().rev().take(5).collect::<Vec<_>>());
    assert!(wrong.is_empty(), "arrows that point up:\n{}", wrong.join("\n"));
}

#[test]
fn the_architecture_names_every_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let missing: Vec<&str> =
        ROOMS.iter().map(|(room, _)| *room).filter(|room| !text.contains(&format!("| `{room}` |"))).collect();
    assert!(missing.is_empty(), "rooms without a row in ARCHITECTURE.md: {missing:?}");
}
