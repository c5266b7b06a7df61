//! What can be seen of files without reading them: names, sizes and times. Where it differs, somebody wrote.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The files of a program as they lay on disk at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Files, and folders of which every `*.toml` counts.
    places: Vec<PathBuf>,
    /// Size and time of the last change; none for what cannot be looked at.
    files: Vec<(PathBuf, Option<(u64, SystemTime)>)>,
}

impl Stamp {
    /// Of these files and folders, now. What is not there is no mistake here.
    pub fn of(places: Vec<PathBuf>) -> Self {
        let mut files = Vec::new();
        for place in &places {
            let mut found = match std::fs::read_dir(place) {
                Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| is_toml(p)).collect(),
                Err(_) => vec![place.clone()],
            };
            found.sort();
            files.extend(found.into_iter().map(|path| {
                let seen = std::fs::metadata(&path).and_then(|m| Ok((m.len(), m.modified()?))).ok();
                (path, seen)
            }));
        }
        Self { places, files }
    }

    /// Of the same places, now.
    pub fn again(&self) -> Self {
        Self::of(self.places.clone())
    }

    /// Of other places, with what was seen of these: it differs from what lies there.
    pub fn moved_to(self, other: &Self) -> Self {
        Self { places: other.places.clone(), ..self }
    }
}

/// True for a file that is read: editors leave others beside it.
pub(super) fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_differs_when_a_toml_file_comes_changes_or_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = folder.path().join("one.toml");
        let mut last = Stamp::of(vec![folder.path().to_owned(), folder.path().join("nothing")]);
        let mut check = |is_other: bool| {
            let now = last.again();
            assert_eq!(now != last, is_other);
            last = now;
        };
        check(false);
        std::fs::write(&one, "a = 1").expect("a file");
        check(true);
        std::fs::write(&one, "a = 10").expect("a file");
        check(true);
        std::fs::write(folder.path().join("one.toml~"), "a = 1").expect("a file");
        check(false);
        std::fs::remove_file(&one).expect("a file");
        check(true);
    }
}
