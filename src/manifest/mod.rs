//! What the manifests of connectors are made of, those of sources and those of destinations: TOML whose every key is read
//! once and with its place, settings that a user has to say, how requests are let in, and texts with expressions in them.

pub mod access;
pub mod answer;
mod expression;
mod path;
pub mod setting;
mod text;
pub(crate) mod written;

pub use expression::{Expression, Seen};
pub use path::{Path, Paths, text};
pub use text::{Body, Text};

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::Value;

    /// Checks that a manifest's schema has every key that this code, and what all manifests share, asks for, and that
    /// these texts fit it.
    #[track_caller]
    pub fn schema_fits<'t>(schema: &Value, code: &[&str], but: &[&str], texts: impl Iterator<Item = &'t str>) {
        let known = schema.to_string();
        let shared = [include_str!("setting.rs"), include_str!("access.rs"), include_str!("answer.rs")];
        for source in code.iter().chain(&shared) {
            let code = source.split("#[cfg(test)]").next().unwrap_or_default();
            for word in ["get(\"", "need(\""] {
                let keys = code.split(word).skip(1).filter_map(|rest| rest.split('"').next());
                for key in keys.filter(|key| !but.contains(key)) {
                    assert!(known.contains(&format!("\"{key}\":")), "the schema does not know `{key}`");
                }
            }
        }
        let validator = jsonschema::validator_for(schema).expect("a schema");
        for text in texts {
            let manifest: Value = toml::from_str(text).expect("TOML");
            let wrong: Vec<String> =
                validator.iter_errors(&manifest).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(wrong.is_empty(), "{}: {wrong:#?}", manifest["name"]);
        }
    }
}
