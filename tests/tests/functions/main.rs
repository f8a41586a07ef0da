//! Libraries of functions: FUNCTION beside Redis, in RESP2 and RESP3; that all shards have them at
//! once; and that they outlive the process.

mod everywhere;
mod files;
mod replies;
mod running;

use tests::reply::Value;
use tests::wire::Wire;

/// A library with these functions, each of which returns its name.
fn library(name: &str, functions: &[&str]) -> String {
    let register = |function: &&str| {
        format!("redis.register_function('{function}', function() return '{function}' end)\n")
    };
    let functions: String = functions.iter().map(register).collect();
    format!("#!lua name={name}\n{functions}")
}

/// Loads a library, in the place of one of its name if there is one.
fn load(wire: &mut Wire, name: &str, functions: &[&str]) {
    let loaded = wire.command(&["FUNCTION", "LOAD", "REPLACE", &library(name, functions)]);
    assert_eq!(loaded.text(), name.as_bytes());
}

/// The names of all libraries, in order.
fn names(wire: &mut Wire) -> Vec<String> {
    let list = wire.ask("FUNCTION LIST");
    let name = |library: &Value| {
        let name = elements(library).swap_remove(1);
        String::from_utf8_lossy(name.text()).into_owned()
    };
    let mut names: Vec<String> = elements(&list).iter().map(name).collect();
    names.sort();
    names
}

fn elements(value: &Value) -> Vec<Value> {
    value.elements().expect("an array")
}
