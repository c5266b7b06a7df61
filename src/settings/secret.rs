//! References to secrets: `${env:NAME}` and `${file:/path}`. The one place that reads the environment.

/// True when the variable is there.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok()
}

/// A variable whose name begins so.
pub fn begins_with(start: &str) -> Option<String> {
    std::env::vars_os().find_map(|(name, _)| name.into_string().ok().filter(|name| name.starts_with(start)))
}

/// What a reference stands for; `None` when `text` is none. Errors never hold a value.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn resolve(text: &str) -> Option<Result<String, String>> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    Some(match inner.split_once(':') {
        Some(("env", name)) => match std::env::var(name) {
            Ok(value) if !value.is_empty() => Ok(value),
            Ok(_) => Err(format!("the environment variable {name} is empty")),
            Err(_) => Err(format!("the environment variable {name} is not set")),
        },
        Some(("file", path)) => match std::fs::read_to_string(path) {
            Ok(value) if !value.trim().is_empty() => Ok(value.trim_end_matches(['\n', '\r']).to_owned()),
            Ok(_) => Err(format!("the file {path} is empty")),
            Err(error) => Err(format!("the file {path} cannot be read: {error}")),
        },
        _ => Err("a reference is written ${env:NAME} or ${file:/path}".into()),
    })
}

/// True for a text that is a reference.
pub fn is_reference(text: &str) -> bool {
    (text.starts_with("${env:") || text.starts_with("${file:")) && text.ends_with('}')
}

/// The value of a variable that is handed on.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
