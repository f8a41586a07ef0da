//! Puts faults into the engine, one at a time, and sees that the simulator finds each within a
//! minute: `cargo run --profile simulation -p simulation --bin mutants [NAME]`, at the root.
//!
//! The sources are copied to `target/mutants` and changed there. A fault whose place in the sources
//! is no longer found is an error: this list goes with the engine.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;
use std::{fs, io};

/// One fault.
struct Fault {
    name: &'static str,
    file: &'static str,
    good: &'static str,
    bad: &'static str,
    /// So often `good` stands in the file; it is replaced everywhere.
    places: usize,
}

/// Seconds in which a fault is to be found.
const SECONDS: &str = "60";

const COORDINATOR: &str = "steps/coordination.rs";
const OWNER: &str = "steps/check_out.rs";
const LOCKS: &str = "transaction/locks.rs";
const WAITING: &str = "blocking/waiting.rs";
const BLOCKING: &str = "steps/blocking.rs";
const SCRIPT: &str = "steps/script.rs";
const SCRIPT_LOCKS: &str = "steps/script_locks.rs";
const SCRIPT_AGAIN: &str = "steps/script_again.rs";
const SCRIPT_CALLS: &str = "steps/script_calls.rs";
const SCRIPT_EXEC: &str = "steps/script_exec.rs";
const UNDO: &str = "script/undo.rs";
const UNDO_STEP: &str = "script/undo_step.rs";
const OUTLINE: &str = "script/outline.rs";
const ROUTING: &str = "steps/routing.rs";
const REQUESTS: &str = "steps/requests.rs";

const FAULTS: &[Fault] = &[
    Fault {
        name: "commands do not meet locks",
        file: LOCKS,
        good: "self.barrier.is_some() || self.queues.contains_key(&key)",
        bad: "self.barrier.is_some() && self.queues.contains_key(&key)",
        places: 1,
    },
    Fault {
        name: "what comes after a barrier does not wait for it",
        file: LOCKS,
        good: "if let Some(barrier) = self.barrier {",
        bad: "if let Some(barrier) = self.barrier.filter(|_| false) {",
        places: 1,
    },
    Fault {
        name: "a barrier does not wait for what came before",
        file: LOCKS,
        good: "let behind = self.items.len();",
        bad: "let behind = 0;",
        places: 1,
    },
    Fault {
        name: "a release lets nobody go on but the barrier",
        file: LOCKS,
        good: "self.step(next, &mut run);\n                }",
        bad: "}",
        places: 1,
    },
    Fault {
        name: "a refused transaction keeps the locks behind the missing one",
        file: COORDINATOR,
        good: "for at in first..parts.len() {",
        bad: "for at in first..first {",
        places: 1,
    },
    Fault {
        name: "EXEC runs though a watched key has changed",
        file: COORDINATOR,
        good: "transaction.unchanged &= grant.unchanged;",
        bad: "",
        places: 1,
    },
    Fault {
        name: "the last entry that was checked out is not returned",
        file: "transaction/workspace.rs",
        good: "keys.iter().filter_map(exists).collect()",
        bad: "keys.iter().rev().skip(1).filter_map(exists).collect()",
        places: 1,
    },
    Fault {
        name: "what a transaction did is told to no owner",
        file: "effects.rs",
        good: "effects.iter().for_each(|effect| self.heed(&effect));",
        bad: "let _ = effects;",
        places: 1,
    },
    Fault {
        name: "a change marks no watch",
        file: "watch.rs",
        good: "if effect.modifies() || effect.what == What::DatabaseReplaced {",
        bad: "if effect.what == What::DatabaseReplaced {",
        places: 1,
    },
    Fault {
        name: "emptying a database marks no watch",
        file: "watch.rs",
        good: "if effect.modifies() || effect.what == What::DatabaseReplaced {",
        bad: "if effect.modifies() {",
        places: 1,
    },
    Fault {
        name: "a change makes no waiter's key ready",
        file: WAITING,
        good: "if by_event || effect.what == What::DatabaseReplaced {",
        bad: "if effect.what == What::DatabaseReplaced {",
        places: 1,
    },
    Fault {
        name: "exchanged databases wake nobody",
        file: WAITING,
        good: "if !self.queues.contains_key(&db) {",
        bad: "if self.queues.contains_key(&db) {",
        places: 1,
    },
    Fault {
        name: "those behind a waiter are not tried when its turn ends",
        file: WAITING,
        good: "for key in self.keys(id) {\n            self.push_ready(key, after);\n        }",
        bad: "let _ = after;",
        places: 1,
    },
    Fault {
        name: "a command that found nothing is not enrolled",
        file: COORDINATOR,
        good: "release.enroll = Some((blocked_id, keys));",
        bad: "let _ = (blocked_id, keys);",
        places: 1,
    },
    Fault {
        name: "a blocked command that was served stays enrolled",
        file: COORDINATOR,
        good: "release.leave = Some(blocked_id);",
        bad: "let _ = blocked_id;",
        places: 1,
    },
    Fault {
        name: "a connection that went while its command met a lock is forgotten",
        file: BLOCKING,
        good: "if !ended && end == End::Gone && self.owner.locks.holds_client(origin, client) {",
        bad: "if ended && end == End::Gone && self.owner.locks.holds_client(origin, client) {",
        places: 1,
    },
    Fault {
        name: "a divided command does its last portion on locked keys",
        file: OWNER,
        good: "names.into_iter().any(|name| self.owner.locks.holds(name))",
        bad: "portion.when != When::Last && names.into_iter().any(|name| self.owner.locks.holds(name))",
        places: 1,
    },
    Fault {
        name: "a divided command that was refused keeps its locks",
        file: COORDINATOR,
        good: "if let Some(item) = part.granted {\n                self.give_back(part.shard, Release::unused(item, CheckedOut::Nothing));",
        bad: "if let Some(item) = part.granted.filter(|_| false) {\n                self.give_back(part.shard, Release::unused(item, CheckedOut::Nothing));",
        places: 1,
    },
    Fault {
        name: "a key whose time has come is checked out",
        file: OWNER,
        good: "if entry.is_expired(self.now) && !self.effects.is_paused {",
        bad: "if !entry.is_expired(self.now) && !self.effects.is_paused {",
        places: 1,
    },
    Fault {
        name: "a waiter is answered and stays",
        file: BLOCKING,
        good: "self.effects.waits.leave(id);\n        if self.tells_of_an_end(&encoded) {",
        bad: "if self.tells_of_an_end(&encoded) {",
        places: 1,
    },
    Fault {
        name: "a release comes before the transaction has run",
        file: COORDINATOR,
        good: "self.run_on(&mut workspace, header, &args.borrow(), &mut reply);",
        bad: "self.effects.wait = None;",
        places: 1,
    },
    Fault {
        name: "a script that runs again is not undone",
        file: SCRIPT_AGAIN,
        good: "undo.put_back(&mut self.databases, &mut self.effects, &limits);",
        bad: "let _ = limits;\n            undo.settle(&mut self.databases);",
        places: 1,
    },
    Fault {
        name: "an undo forgets a key",
        file: UNDO,
        good: "for (key, step) in self.steps.drain(..).rev() {",
        bad: "for (key, step) in self.steps.drain(..).rev().skip(1) {",
        places: 1,
    },
    Fault {
        name: "the first change of a script is undone first",
        file: UNDO,
        good: "for (key, step) in self.steps.drain(..).rev() {",
        bad: "for (key, step) in self.steps.drain(..) {",
        places: 1,
    },
    Fault {
        name: "elements that were pushed to a long list stay",
        file: UNDO_STEP,
        good: "list.pop(end, limits.list);",
        bad: "break;",
        places: 1,
    },
    Fault {
        name: "elements that were popped from a long list do not come back",
        file: UNDO_STEP,
        good: "list.push(end, element, limits.list);",
        bad: "let _ = element;",
        places: 1,
    },
    Fault {
        name: "members that were added to a large sorted set stay",
        file: UNDO_STEP,
        good: "None => drop(set.remove(&member)),",
        bad: "None => {}",
        places: 1,
    },
    Fault {
        name: "what changed in a long stream stays",
        file: UNDO_STEP,
        good: "stream.log.undo_changes();",
        bad: "stream.log.forget_changes();",
        places: 1,
    },
    Fault {
        name: "a stream that is kept is changed as a whole",
        file: UNDO,
        good: "return what == Changes::Entries;",
        bad: "return true;",
        places: 1,
    },
    Fault {
        name: "a value that is too large for a copy is changed",
        file: UNDO,
        good: "let Some(step) = step else {\n                    return false;",
        bad: "let Some(step) = step else {\n                    return true;",
        places: 1,
    },
    Fault {
        name: "what a script changes of another database is not put back",
        file: SCRIPT_CALLS,
        good: "fits &= undo.keep(change, &mut self.databases, limit);",
        bad: "fits &= key.db != header.db || undo.keep(change, &mut self.databases, limit);",
        places: 1,
    },
    Fault {
        name: "what was undone of a script is told",
        file: SCRIPT_AGAIN,
        good: "state.workspace.effects.clear();",
        bad: "self.effects.came_home(&mem::take(&mut state.workspace.effects));",
        places: 1,
    },
    Fault {
        name: "the log has what was undone of a script",
        file: SCRIPT_AGAIN,
        good: "state.workspace.away.clear();",
        bad: "let undone = mem::take(&mut state.workspace.away);
        let shares = crate::journal::shares(undone, self.slots).into_iter();
        for share in shares.skip(self.id.index()).take(1).filter(|it| !it.is_empty()) {
            self.log_record(&crate::journal::TransactionRecord::of_one(self.id, share));
        }",
        places: 1,
    },
    Fault {
        name: "more keys of a script are not locked where they live",
        file: OWNER,
        good: "self.owner.locks.extend(item, names);",
        bad: "let _ = (item, names);",
        places: 1,
    },
    Fault {
        name: "more keys of a script's own shard are not locked",
        file: SCRIPT_LOCKS,
        good: "self.owner.locks.extend(item, names);\n        let lent",
        bad: "let _ = names;\n        let lent",
        places: 1,
    },
    Fault {
        name: "a script takes a lock that somebody has",
        file: LOCKS,
        good: "&& !self.queues.get(&name).is_some_and(|it| runs(it.front))",
        bad: "",
        places: 1,
    },
    Fault {
        name: "who waits at a key that a script takes runs before it has ended",
        file: LOCKS,
        good: "self.items[first.0].behind += 1;",
        bad: "",
        places: 1,
    },
    Fault {
        name: "who waits at a key that a script takes goes behind all",
        file: LOCKS,
        good: "queue.rest.push_front(first);",
        bad: "queue.rest.push_back(first);",
        places: 1,
    },
    Fault {
        name: "a script goes on without the keys that it was refused",
        file: SCRIPT_LOCKS,
        good: "let how = (*refused, *anew);",
        bad: "let how = (false, *anew);",
        places: 1,
    },
    Fault {
        name: "a refused script keeps its keys",
        file: SCRIPT_AGAIN,
        good: "self.give_back(part.shard, Release::unused(item, lent));",
        bad: "if part.shard == self.id {\n                    self.give_back(part.shard, Release::unused(item, lent));\n                }",
        places: 1,
    },
    Fault {
        name: "keys of the script before count as held",
        file: SCRIPT,
        good: "held.clear();",
        bad: "held.is_empty();",
        places: 2,
    },
    Fault {
        name: "the keys of a script that is suspended are not locked",
        file: SCRIPT_LOCKS,
        good: "let names = names.chain([LockName::Client(home, client)]);",
        bad: "let names = names.take(0).chain([LockName::Client(home, client)]);",
        places: 1,
    },
    Fault {
        name: "the keys that a suspended script has found are not locked",
        file: SCRIPT_CALLS,
        good: "run.held.insert(key_name());",
        bad: "",
        places: 1,
    },
    Fault {
        name: "a suspended script forgets what it did",
        file: SCRIPT_LOCKS,
        good: "state.workspace.effects = in_place.effects;",
        bad: "",
        places: 1,
    },
    Fault {
        name: "a suspended script forgets what the log is to have",
        file: SCRIPT_LOCKS,
        good: "state.workspace.away = in_place.away;",
        bad: "",
        places: 1,
    },
    Fault {
        name: "a script under a lock frees it when it is suspended",
        file: SCRIPT_LOCKS,
        good: "self.owner.kept = Some(item);",
        bad: "",
        places: 1,
    },
    Fault {
        name: "a script in place takes keys that are locked",
        file: SCRIPT_CALLS,
        good: "self.slots.owner(key) == self.id && is_free()",
        bad: "self.slots.owner(key) == self.id",
        places: 1,
    },
    Fault {
        name: "a script in place takes keys of other shards",
        file: SCRIPT_CALLS,
        good: "self.slots.owner(key) == self.id && is_free()",
        bad: "is_free()",
        places: 1,
    },
    Fault {
        name: "a script begins in place beside a barrier",
        file: ROUTING,
        good: "(!outline.is_plain && self.owner.locks.holds_all())",
        bad: "(!outline.is_plain && false)",
        places: 1,
    },
    Fault {
        name: "a script in a batch does not meet locks",
        file: REQUESTS,
        good: "&& self.meets_lock(origin, to.client, header.command, args)",
        bad: "&& !is_script(header)\n                && self.meets_lock(origin, to.client, header.command, args)",
        places: 1,
    },
    Fault {
        name: "every script is taken for plain",
        file: OUTLINE,
        good: "self.is_plain &= names_declared && stays_in_database(command, args);",
        bad: "let _ = names_declared && stays_in_database(command, args);",
        places: 1,
    },
    Fault {
        name: "a script that copies to another database is taken for plain",
        file: OUTLINE,
        good: "names_declared && stays_in_database(command, args)",
        bad: "(names_declared || stays_in_database(command, args) && false)",
        places: 1,
    },
    Fault {
        name: "what a script did in place is told to nobody",
        file: SCRIPT,
        good: "self.effects.came_home(&run.state.workspace.effects);",
        bad: "",
        places: 1,
    },
    Fault {
        name: "a script is killed that has written",
        file: SCRIPT_EXEC,
        good: "} else if self.state.has_written {",
        bad: "} else if self.state.has_written && false {",
        places: 1,
    },
    Fault {
        name: "a script that was busy stays so",
        file: SCRIPT_LOCKS,
        good: "self.tell_busy(&mut run, false);",
        bad: "",
        places: 1,
    },
    Fault {
        name: "a script of everything finds no whole databases",
        file: SCRIPT_LOCKS,
        good: "_ => run.state.reach = Reach::Everything,",
        bad: "_ => {}",
        places: 1,
    },
    Fault {
        name: "what a script did while it scouted stands",
        file: SCRIPT,
        good: "if run.state.scouts && !matches!(progress, Progress::Everything) {",
        bad: "if run.state.scouts && matches!(progress, Progress::Pause) {",
        places: 1,
    },
    Fault {
        name: "a script that has its shard to itself locks a part of it",
        file: SCRIPT_LOCKS,
        good: "self.hold_everything(run)",
        bad: "self.hold_script(run)",
        places: 1,
    },
    Fault {
        name: "a script is alone on its shard where something is locked",
        file: SCRIPT,
        good: "self.slots.shards() == 1 && self.owner.locks.is_empty()",
        bad: "self.slots.shards() == 1",
        places: 1,
    },
    Fault {
        name: "a script that is run again publishes again",
        file: SCRIPT_CALLS,
        good: "if may_be_undone && id.command().is_replicated() {",
        bad: "if may_be_undone && id.command().is_replicated() && false {",
        places: 1,
    },
];

fn main() -> ExitCode {
    let only = std::env::args().nth(1);
    let root = Path::new("target/mutants");
    if let Err(error) = copy_sources(root) {
        eprintln!("cannot copy the sources to {}: {error}", root.display());
        return ExitCode::FAILURE;
    }
    let mut missed = Vec::new();
    let wanted = |fault: &&Fault| only.as_ref().is_none_or(|only| fault.name.contains(only));
    for fault in FAULTS.iter().filter(wanted) {
        match try_fault(root, fault) {
            Ok(Some(how)) => println!("found   {}: {how}", fault.name),
            Ok(None) => {
                println!("MISSED  {}", fault.name);
                missed.push(fault.name);
            }
            Err(error) => {
                println!("ERROR   {}: {error}", fault.name);
                missed.push(fault.name);
            }
        }
    }
    println!(
        "{} of {} faults found",
        FAULTS.len() - missed.len(),
        FAULTS.len()
    );
    if missed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Copies what the simulator is built from.
fn copy_sources(to: &Path) -> io::Result<()> {
    for part in [
        "protocol",
        "storage",
        "shard/config",
        "shard/engine",
        "shard/lua",
        "tests/simulation",
    ] {
        copy_folder(Path::new(part), &to.join(part))?;
    }
    fs::copy("Cargo.lock", to.join("Cargo.lock"))?;
    let manifest = fs::read_to_string("Cargo.toml")?;
    let members = "members = [\"protocol\", \"storage\", \"shard/config\", \"shard/engine\", \"shard/lua\", \"tests/simulation\"]";
    let lines = manifest.lines().map(|line| {
        if line.starts_with("members = ") {
            members
        } else if line.starts_with("default-members") {
            ""
        } else {
            line
        }
    });
    let lines: Vec<&str> = lines.collect();
    fs::write(to.join("Cargo.toml"), lines.join("\n"))
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_folder(&from, &to)?;
        } else {
            fs::copy(from, to)?;
        }
    }
    Ok(())
}

/// Puts one fault in, lets the simulator look for it, and takes it out. Returns how it was found.
fn try_fault(root: &Path, fault: &Fault) -> io::Result<Option<String>> {
    let path = root.join("shard/engine/src").join(fault.file);
    let sound = fs::read_to_string(&path)?;
    let places = sound.matches(fault.good).count();
    if places != fault.places {
        let what = format!(
            "it has {places} places in the sources, not {}",
            fault.places
        );
        return Err(io::Error::other(what));
    }
    fs::write(&path, sound.replace(fault.good, fault.bad))?;
    let tried = simulate(root);
    fs::write(&path, sound)?;
    tried
}

fn simulate(root: &Path) -> io::Result<Option<String>> {
    let cargo = |args: &[&str]| {
        let mut command = Command::new("cargo");
        command.args(args).current_dir(root);
        command.env("CARGO_TARGET_DIR", "built");
        // What is built once for each fault and runs for a minute at most.
        command.env("CARGO_PROFILE_SIMULATION_OPT_LEVEL", "1");
        // From one fault to the next only a few functions change.
        command.env("CARGO_INCREMENTAL", "1");
        command.output()
    };
    let profile = ["--offline", "--profile", "simulation", "-p", "simulation"];
    let built = cargo(&[&["build"], &profile[..]].concat())?;
    if !built.status.success() {
        let text = String::from_utf8_lossy(&built.stderr).into_owned();
        return Err(io::Error::other(format!("it does not compile\n{text}")));
    }
    let began = Instant::now();
    let run = [
        &["run"],
        &profile[..],
        &["--bin", "simulation", "--", SECONDS],
    ]
    .concat();
    let ran = cargo(&run)?;
    if ran.status.success() {
        return Ok(None);
    }
    let text = [ran.stdout, ran.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let tells = |line: &&str| line.contains("seed") || line.contains("panicked");
    let first = text.lines().find(tells).unwrap_or("no word of how");
    let seconds = began.elapsed().as_secs_f64();
    Ok(Some(format!("{seconds:.1} s, {first}")))
}
