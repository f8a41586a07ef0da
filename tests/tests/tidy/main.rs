//! What every source file must be: short, in short functions, with comments that are not too wide,
//! and without a few habits.
//!
//! `list.txt` lists the files that break a rule still, a rule and a path a line. It may only
//! shrink: a file that is listed and clean fails the test, too. Where files move,
//! `PERCORE_TIDY=write` writes the list anew; look at what it adds.

mod source;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const COMMENT_COLUMNS_MAX: usize = 100;

/// Names of modules that say nothing of what is in them.
const EMPTY_NAMES: [&str; 5] = ["utils", "util", "misc", "common", "helpers"];

/// The folders of crates, from the root.
const CRATES: [&str; 7] = [
    "benchmarks",
    "fuzz",
    "protocol",
    "server",
    "shard",
    "storage",
    "tests",
];

/// The numbers of the lines that break a rule.
type Breaks = fn(&Path, &Source) -> Vec<usize>;

/// The rules by name.
const RULES: [(&str, Breaks); 6] = [
    ("file-length", |_, source| {
        let lines = source.lines().len();
        Vec::from_iter((lines > FILE_LINES_MAX).then_some(lines))
    }),
    ("function-length", |_, source| {
        let long = source
            .functions()
            .into_iter()
            .filter(|lines| lines.len() > FUNCTION_LINES_MAX);
        long.map(|lines| lines.start).collect()
    }),
    ("comment-width", |_, source| {
        let wide = source.lines().iter().enumerate().filter(|(_, line)| {
            line.has_comment && line.text.chars().count() > COMMENT_COLUMNS_MAX
        });
        wide.map(|(at, _)| at + 1).collect()
    }),
    ("match-on-bool", |_, source| {
        let arms = source.lines().iter().enumerate().filter(|(_, line)| {
            let pattern = line.code.split("=>").next().unwrap_or_default().trim();
            line.code.contains("=>") && matches!(pattern, "true" | "false")
        });
        arms.map(|(at, _)| at + 1).collect()
    }),
    ("empty-name", |path, _| {
        let says_nothing = |name: &std::ffi::OsStr| EMPTY_NAMES.iter().any(|it| name == *it);
        let empty = path.components().any(|part| says_nothing(part.as_os_str()))
            || path.file_stem().is_some_and(says_nothing);
        Vec::from_iter(empty.then_some(1))
    }),
    ("the-same", |_, source| {
        let lines = source.lines();
        let starts = |at: usize| {
            let before = at.checked_sub(1).map_or("", |at| lines[at].text.trim());
            !before.starts_with("///") && !before.starts_with("//!")
        };
        let such = lines.iter().enumerate().filter(|(at, line)| {
            let doc = line.text.trim();
            let doc = doc.strip_prefix("///").or_else(|| doc.strip_prefix("//!"));
            doc.is_some_and(|doc| doc.trim_start().starts_with("The same")) && starts(*at)
        });
        such.map(|(at, _)| at + 1).collect()
    }),
];

fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the workspace")
}

/// Adds all sources below a folder.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder that can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn sources_are_tidy() {
    let mut files = Vec::new();
    for name in CRATES {
        collect(&root().join(name), &mut files);
    }
    files.sort_unstable();
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tidy/list.txt");
    let listed = fs::read_to_string(&list).unwrap_or_default();
    let listed: BTreeSet<String> = listed.lines().map(String::from).collect();
    let (mut broken, mut report) = (BTreeSet::new(), String::new());
    for file in &files {
        let text = fs::read_to_string(file).expect("a source that can be read");
        let source = Source::read(&text);
        let path = file.strip_prefix(root()).expect("a path from the root");
        for (rule, lines_that_break) in RULES {
            let lines = lines_that_break(path, &source);
            if lines.is_empty() {
                continue;
            }
            let entry = format!("{rule} {}", path.display());
            if !listed.contains(&entry) {
                let _ = writeln!(report, "{entry}: lines {lines:?}");
            }
            broken.insert(entry);
        }
    }
    if std::env::var_os("PERCORE_TIDY").is_some_and(|it| it == "write") {
        let lines: Vec<String> = broken.into_iter().collect();
        fs::write(&list, lines.join("\n") + "\n").expect("writing the list");
        return;
    }
    assert!(report.is_empty(), "not tidy:\n{report}");
    let clean: Vec<&String> = listed.difference(&broken).collect();
    assert!(
        clean.is_empty(),
        "tidy now, take them off list.txt: {clean:#?}"
    );
}
