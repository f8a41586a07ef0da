//! What scripts get, as Redis 7.4 gave it to the same scripts.

mod decoding;
mod encoding;
mod settings;

use std::thread;

use mlua::{Function, Lua, Value};

use super::open;

/// What a script returns, as text; or its error.
fn run(script: &str) -> String {
    let lua = Lua::new();
    lua.globals().set("cjson", open(&lua).unwrap()).unwrap();
    let join = "function join(...) local all = {...} for i = 1, select('#', ...) do \
                all[i] = tostring(all[i]) end return table.concat(all, ' ') end";
    lua.load(join).exec().unwrap();
    let returns = script.contains("return ");
    let script = if returns {
        script.to_owned()
    } else {
        format!("return {script}")
    };
    let script = lua.load(script).set_name("@user_script");
    let call: Function = lua
        .load("return tostring(select(2, pcall(...)))")
        .into_function()
        .unwrap();
    call.call(script.into_function().unwrap()).unwrap()
}

fn check(outcomes: &[(&str, &str)]) {
    for (script, outcome) in outcomes {
        assert_eq!(run(script), *outcome, "{script}");
    }
}

#[test]
fn is_a_table_with_its_members() {
    check(&[
        (
            "local names = {} for name in pairs(cjson) do names[#names + 1] = name end \
             return table.concat(names, ' ')",
            "_NAME encode decode_max_depth _VERSION decode_invalid_numbers encode_keep_buffer null \
             encode_number_precision new encode_max_depth \
             encode_invalid_numbers decode encode_sparse_array",
        ),
        (
            "join(cjson._NAME, cjson._VERSION, type(cjson.null))",
            "cjson 2.1.0 userdata",
        ),
        (
            "cjson.safe == nil and cjson.array_mt == nil and cjson.empty_array == nil",
            "true",
        ),
        ("getmetatable(cjson) == nil", "true"),
        ("pcall(string.dump, cjson.encode) == false", "true"),
        (
            "select(2, pcall(cjson.encode, cjson.encode))",
            "Cannot serialise function: type not supported",
        ),
        (
            r#"select(2, pcall(cjson.decode, "x"))"#,
            "Expected value but found invalid token at character 1",
        ),
        (
            "select(2, pcall(cjson.decode))",
            "bad argument #1 to '?' (expected 1 argument)",
        ),
    ]);
}

#[test]
fn an_error_is_a_string_of_a_script() {
    assert_eq!(
        run("type(select(2, pcall(cjson.decode, '')))"),
        "string",
        "not an object of mlua's"
    );
}

#[test]
fn nests_deep_on_a_small_stack() {
    let deep = "cjson.decode_max_depth(10000) cjson.encode_max_depth(10000) \
                local text = string.rep('[', 7000) .. string.rep(']', 7000) \
                return cjson.encode(cjson.decode(text)) == \
                string.rep('[', 6999) .. '{}' .. string.rep(']', 6999)";
    let small = thread::Builder::new().stack_size(128 << 10);
    let outcome = small.spawn(move || run(deep)).unwrap().join().unwrap();
    assert_eq!(outcome, "true");
}

#[test]
fn survives_the_end_of_memory() {
    let lua = Lua::new();
    let cjson = open(&lua).unwrap();
    let (encode, decode): (Function, Function) =
        (cjson.get("encode").unwrap(), cjson.get("decode").unwrap());
    let numbers = format!("[{}1]", "1,".repeat(100_000));
    let text = lua.create_string("x".repeat(4 << 20)).unwrap();
    lua.set_memory_limit(lua.used_memory() + (1 << 20)).unwrap();
    assert!(decode.call::<Value>(numbers.as_str()).is_err());
    assert!(encode.call::<Value>(text.clone()).is_err());
    lua.set_memory_limit(0).unwrap();
    assert!(decode.call::<Value>(numbers.as_str()).is_ok());
    assert!(encode.call::<Value>(text).is_ok());
}
