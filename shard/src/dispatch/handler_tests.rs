//! The sources ask a command's row what they must know of it, and never compare its name: a new
//! command would be forgotten there.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use protocol::table::CommandId;

/// Files that may name commands, and why.
const MAY_NAME: [(&str, &str); 10] = [
    ("aof/import.rs", "MULTI and EXEC mark groups in the log"),
    (
        "aof/player.rs",
        "MULTI, EXEC and SELECT are marks in the log",
    ),
    ("commands/debug_protocol.rs", "SET is a type of RESP3"),
    ("commands/info.rs", "a figure counts RESTOREs"),
    ("commands/wait.rs", "WAIT and WAITAOF name themselves"),
    ("metrics/plain.rs", "INFO is a kind of metric"),
    (
        "src/redis_log.rs",
        "MULTI and EXEC mark groups in Redis's log",
    ),
    ("script/outline_library.rs", "`function` is a word of Lua"),
    ("transaction/exec.rs", "EXEC names itself"),
    (
        "lua/src/sandbox.rs",
        "functions of Lua have names of commands",
    ),
];

/// What compares what stands before it, or a word behind it, with text.
const COMPARES_BEFORE: [&str; 7] = [
    "== ",
    "!= ",
    "| ",
    "matches!(name, ",
    "starts_with(",
    "ends_with(",
    "eq_ignore_ascii_case(",
];
const COMPARES_AFTER: [&str; 4] = [" ==", " !=", " |", " =>"];

/// What compares a command's name with whatever.
const COMPARES_A_NAME: [&str; 9] = [
    "command.name ==",
    "command.name !=",
    "command().name ==",
    "command().name !=",
    ".name.starts_with(",
    ".name.ends_with(",
    "match command.name",
    "match command().name",
    "CommandId::named(",
];

fn compares_a_name(line: &str, names: &HashSet<&str>) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    if COMPARES_A_NAME.iter().any(|text| code.contains(text)) {
        return true;
    }
    let mut parts: Vec<&str> = code.split('"').collect();
    // What stands behind the last quote of a line is compared with nothing there.
    parts.push("");
    (1..parts.len() - 1).step_by(2).any(|at| {
        let before = parts[at - 1].trim_end_matches('b');
        let is_compared = COMPARES_BEFORE.iter().any(|text| before.ends_with(text))
            || COMPARES_AFTER
                .iter()
                .any(|text| parts[at + 1].starts_with(text));
        is_compared && names.contains(parts[at])
    })
}

/// All sources of this crate, and of those that lie in its folder; but not of the configuration,
/// whose parameters have names of their own.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with("config") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_source_compares_a_commands_name() {
    let names: HashSet<&str> = CommandId::all().map(|id| id.command().name).collect();
    let mut files = Vec::new();
    sources(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
    assert!(files.len() > 100, "{} sources", files.len());
    let mut compared = Vec::new();
    for file in files {
        let inner = file.strip_prefix(env!("CARGO_MANIFEST_DIR"));
        let inner = inner.expect("a source of this crate or within it");
        let is_of_tests = inner.to_string_lossy().ends_with("_tests.rs")
            || inner.iter().any(|folder| folder == "tests");
        if is_of_tests || MAY_NAME.iter().any(|(path, _)| file.ends_with(path)) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source");
        let lines = text.lines().enumerate();
        let code = lines.take_while(|(_, line)| line.trim() != "#[cfg(test)]");
        for (number, line) in code.filter(|(_, line)| compares_a_name(line, &names)) {
            compared.push(format!("{}:{}: {line}", file.display(), number + 1));
        }
    }
    assert!(
        compared.is_empty(),
        "a fact about a command belongs in its row (protocol/src/facts.rs):\n{}",
        compared.join("\n")
    );
}

#[test]
fn a_comparison_is_seen() {
    let names = HashSet::from(["exec", "publish", "client", "set"]);
    for line in [
        r#"if command.name == "exec" {"#,
        r#"if id.command().name != EXEC {"#,
        r#"|| name.starts_with("client")"#,
        r#"|| command.name.ends_with(suffix)"#,
        r#"    "exec" => 1,"#,
        r#"    | "publish""#,
        r#"    "publish" | "pub" => true,"#,
        r#"verb.eq_ignore_ascii_case(b"exec")"#,
        r#"matches!(name, "set")"#,
        r#"match command.name {"#,
        r#"const EXEC: CommandId = CommandId::named("exec");"#,
    ] {
        assert!(compares_a_name(line, &names), "{line}");
    }
    for line in [
        r#"Error::arity("set")"#,
        r#"// "exec" => 1"#,
        r#"section.name == "keyspace""#,
        r#"is(word, "set")"#,
        r#"reply.bulk(command.name.as_bytes());"#,
    ] {
        assert!(!compares_a_name(line, &names), "{line}");
    }
}
