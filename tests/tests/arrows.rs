//! Dependencies run one way: between crates, between the engine's layers, and between files, of
//! which none stand in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates of the server, each with those that it may use.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("protocol", "protocol", &[]),
    ("storage", "storage", &["protocol"]),
    ("config", "shard/config", &["protocol", "storage"]),
    ("lua", "shard/lua", &["protocol"]),
    (
        "engine",
        "shard/engine",
        &["protocol", "storage", "config", "lua"],
    ),
    (
        "persistence",
        "shard/persistence",
        &["protocol", "storage", "config"],
    ),
    (
        "shard",
        "shard",
        &[
            "protocol",
            "storage",
            "config",
            "lua",
            "engine",
            "persistence",
        ],
    ),
    (
        "percore",
        "server",
        &["protocol", "storage", "config", "persistence", "shard"],
    ),
];

/// How many files of a crate may stand in one circle. A hash is a keyspace of entries, and an entry
/// may hold a hash: that is the one circle that stays. The runtime's goes as it is taken apart; a
/// number here may only fall.
const CIRCLES: &[(&str, usize)] = &[
    ("protocol", 2),
    ("storage", 11),
    ("persistence", 2),
    ("shard", 54),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A crate's files with what they contain but comments and unit tests, by their module's path.
fn modules(folder: &Path) -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(&inner).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("it is in there");
            let name = name.with_extension("").to_string_lossy().replace('/', "::");
            let is_test = name.ends_with("tests") || name.contains("tests::");
            if is_test || path.extension().is_none_or(|it| it != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a file of sources");
            let text = text.split("#[cfg(test)]\nmod tests {").next();
            let lines = text.unwrap_or_default().lines();
            let code: Vec<&str> = lines
                .map(|line| line.split("//").next().unwrap_or_default())
                .collect();
            modules.insert(name, code.join("\n"));
        }
    }
    modules
}

/// The module that a path behind `crate::` names, or is something of.
fn module_of(path: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let mut path = path;
    loop {
        if known.contains_key(path) {
            return Some(path.to_owned());
        }
        path = path.rsplit_once("::")?.0;
    }
}

/// What a file uses of its own crate.
fn uses(text: &str, known: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for part in text.split("crate::").skip(1) {
        let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let end = part.find(|c| !is_path(c)).unwrap_or(part.len());
        let base = part[..end].trim_end_matches(':');
        used.extend(module_of(base, known));
        if let Some(list) = part[end..].strip_prefix('{') {
            let list = list.split('}').next().unwrap_or_default();
            let names = list.split([',', '{']).map(str::trim);
            used.extend(names.filter_map(|name| module_of(&format!("{base}::{name}"), known)));
        }
    }
    used
}

/// The largest set of files each of which uses each other, by whatever way.
fn largest_circle(arrows: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let reached_from = |from: &String| {
        let mut reached = BTreeSet::new();
        let mut next = vec![from.clone()];
        while let Some(module) = next.pop() {
            for used in &arrows[&module] {
                if reached.insert(used.clone()) {
                    next.push(used.clone());
                }
            }
        }
        reached
    };
    let reached: BTreeMap<_, _> = arrows.keys().map(|it| (it, reached_from(it))).collect();
    let circle = |of: &String| -> BTreeSet<String> {
        let there = reached[of].iter();
        let back = there.filter(|it| *it != of && reached[*it].contains(of));
        back.cloned().collect()
    };
    let circles = arrows.keys().map(|module| {
        let mut circle = circle(module);
        if !circle.is_empty() {
            circle.insert(module.clone());
        }
        circle
    });
    circles.max_by_key(BTreeSet::len).unwrap_or_default()
}

#[test]
fn crates_use_those_below_them() {
    for (name, folder, may_use) in CRATES {
        let manifest = root().join(folder).join("Cargo.toml");
        let Ok(manifest) = fs::read_to_string(manifest) else {
            continue;
        };
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let used = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let is_ours = CRATES.iter().any(|it| it.0 == used);
            assert!(
                !is_ours || may_use.contains(&used),
                "{name} uses {used}, which is not below it"
            );
        }
    }
}

#[test]
fn no_files_stand_in_a_circle() {
    for (name, folder, _) in CRATES {
        let sources = root().join(folder).join("src");
        if !sources.exists() {
            continue;
        }
        let modules = modules(&sources);
        let arrows = modules.iter().map(|(module, text)| {
            let mut used = uses(text, &modules);
            used.remove(module);
            (module.clone(), used)
        });
        let circle = largest_circle(&arrows.collect());
        let allowed = CIRCLES.iter().find(|it| it.0 == *name).map_or(0, |it| it.1);
        assert!(
            circle.len() <= allowed,
            "{} files of {name} stand in one circle, {allowed} may: {circle:?}",
            circle.len()
        );
        assert!(
            circle.len() == allowed,
            "{name}: a circle of {allowed} is gone, of which {} files are left: say so here",
            circle.len()
        );
    }
}

#[test]
fn the_engines_layers_use_those_below_them() {
    let modules = modules(&root().join("shard/engine/src"));
    let layer = |module: &str| match module.split("::").next().unwrap_or_default() {
        "lib" => 4,
        "steps" => 3,
        "engine" => 2,
        "handler" | "commands" => 1,
        _ => 0,
    };
    for (module, text) in &modules {
        // What a transaction runs, and what a command's keys are, is known by the commands.
        let knows_commands = ["keys", "transaction::coordinator", "transaction::workspace"];
        for used in uses(text, &modules) {
            let may = layer(module) >= layer(&used)
                || (layer(&used) == 1 && knows_commands.contains(&module.as_str()));
            assert!(may, "{module} uses {used}, which is above it");
        }
    }
}

#[test]
fn the_engine_knows_no_outside() {
    const OUTSIDE: &[&str] = &[
        "std::fs",
        "std::net",
        "std::thread",
        "std::time::SystemTime",
        "Instant::now",
        "SystemTime::now",
        "monoio",
        "Mutex",
        "Atomic",
        "OnceLock",
        "thread_local",
    ];
    for (module, text) in modules(&root().join("shard/engine/src")) {
        // What shards say to one another of memory is the one thing that they share.
        let allowed: &[&str] = if module == "ledger" { &["Atomic"] } else { &[] };
        for word in OUTSIDE {
            let found = text.contains(word) && !allowed.contains(word);
            assert!(!found, "the engine's {module} names {word}");
        }
    }
}
