//! `include`: the files that a path or a pattern names.
//!
//! A pattern stands for what matches it now, in the order of the names: `*`, `?` and `[...]` in any
//! part of the path, as in a shell. One that matches nothing includes nothing; a path without a
//! pattern must be there.

use std::path::{Component, Path, PathBuf};

use protocol::glob;

/// Files that a pattern may name: more is surely a mistake.
const FILES_MAX: usize = 4096;

/// The files to read, in order.
pub(super) fn files(path: &str) -> Vec<PathBuf> {
    if !is_pattern(path) {
        return vec![path.into()];
    }
    let mut found = vec![PathBuf::new()];
    for part in Path::new(path).components() {
        found = match part.as_os_str().to_str() {
            Some(pattern) if matches!(part, Component::Normal(_)) && is_pattern(pattern) => {
                matching(&found, pattern)
            }
            _ => found
                .into_iter()
                .map(|path| path.join(part))
                .filter(|path| path.exists())
                .collect(),
        };
    }
    found.sort();
    found.truncate(FILES_MAX);
    found
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// What lies in these directories under names that match.
fn matching(directories: &[PathBuf], pattern: &str) -> Vec<PathBuf> {
    // A shell's way to say "none of these" is `!`.
    let pattern = pattern.replace("[!", "[^");
    let mut found = Vec::new();
    for directory in directories {
        let place = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let names = std::fs::read_dir(place)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            // Hidden files are only meant where the pattern says so.
            .filter(|name| !name.starts_with('.') || pattern.starts_with('.'))
            .filter(|name| glob::matches(pattern.as_bytes(), name.as_bytes(), false));
        found.extend(names.map(|name| directory.join(name)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_what_is_there_in_order() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["b/x.conf", "a/x.conf", "a/y.conf", "a/.z.conf", "a/x.conf~"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        let found = |pattern: &str| -> Vec<String> {
            let pattern = format!("{}/{pattern}", dir.path().display());
            let short = |path: &PathBuf| {
                let short = path.strip_prefix(dir.path()).unwrap_or(path);
                short.display().to_string()
            };
            files(&pattern).iter().map(short).collect()
        };
        assert_eq!(found("a/*.conf"), ["a/x.conf", "a/y.conf"]);
        assert_eq!(found("*/x.conf"), ["a/x.conf", "b/x.conf"]);
        assert_eq!(found("[!a]/?.conf"), ["b/x.conf"]);
        assert_eq!(found("a/.*"), ["a/.z.conf"]);
        assert!(found("c/*").is_empty());
        assert!(found("*/nothing").is_empty());
        assert_eq!(found("nothing"), ["nothing"]);
    }
}
