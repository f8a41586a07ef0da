//! What scripts get, as Redis 7.4 gave it to the same scripts.

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
fn encodes_scalars() {
    check(&[
        (r#"cjson.encode("a")"#, r#""a""#),
        ("cjson.encode(nil)", "null"),
        ("cjson.encode(true)", "true"),
        ("cjson.encode(false)", "false"),
        ("cjson.encode(cjson.null)", "null"),
        ("cjson.encode(1)", "1"),
        ("cjson.encode(-7)", "-7"),
        (r#"cjson.encode(tonumber("-0"))"#, "-0"),
    ]);
}

#[test]
fn encodes_strings() {
    check(&[
        (r#"cjson.encode("")"#, r#""""#),
        (r#"cjson.encode("\"\\/")"#, r#""\"\\\/""#),
        (r#"cjson.encode("\8\9\10\12\13")"#, r#""\b\t\n\f\r""#),
        (
            r#"cjson.encode("\0\1\11\31\32\127")"#,
            r#""\u0000\u0001\u000b\u001f \u007f""#,
        ),
        (
            r#"cjson.encode("\195\169\226\130\172\240\159\152\128")"#,
            r#""é€😀""#,
        ),
        (r#"cjson.encode("\255\128") == "\"\255\128\"""#, "true"),
        (r#"cjson.encode({["a/b\n"]="c"})"#, r#"{"a\/b\n":"c"}"#),
    ]);
}

#[test]
fn encodes_numbers() {
    check(&[
        ("cjson.encode(0.1)", "0.1"),
        ("cjson.encode(1/3)", "0.33333333333333"),
        ("cjson.encode(-2.5)", "-2.5"),
        ("cjson.encode(1e14)", "1e+14"),
        ("cjson.encode(99999999999999)", "99999999999999"),
        ("cjson.encode(99999999999999.5)", "1e+14"),
        ("cjson.encode(123456789012345)", "1.2345678901234e+14"),
        ("cjson.encode(1e15)", "1e+15"),
        ("cjson.encode(2^53)", "9.007199254741e+15"),
        ("cjson.encode(2^63)", "9.2233720368548e+18"),
        ("cjson.encode(1e-4)", "0.0001"),
        ("cjson.encode(1e-5)", "1e-05"),
        (
            "cjson.encode(0.00012345678901234567)",
            "0.00012345678901235",
        ),
        ("cjson.encode(1e100)", "1e+100"),
        (
            "cjson.encode(1.7976931348623157e308)",
            "1.7976931348623e+308",
        ),
        ("cjson.encode(5e-324)", "4.9406564584125e-324"),
        ("cjson.encode(0.1+0.2)", "0.3"),
        ("cjson.encode(1234567.5)", "1234567.5"),
        ("cjson.encode(3.14159265358979)", "3.1415926535898"),
    ]);
}

#[test]
fn encodes_numbers_with_fewer_digits() {
    check(&[
        (
            "cjson.encode_number_precision(1) return cjson.encode({0.5,1.5,2.5,9.5,0.25,15,95})",
            "[0.5,2,2,1e+01,0.2,2e+01,1e+02]",
        ),
        (
            "cjson.encode_number_precision(3) \
             return cjson.encode({1234,999.5,0.0001234,123,-0.00001})",
            "[1.23e+03,1e+03,0.000123,123,-1e-05]",
        ),
        (
            "cjson.encode_number_precision(6) return cjson.encode({1/3,100000,999999.5,1000000})",
            "[0.333333,100000,1e+06,1e+06]",
        ),
    ]);
}

#[test]
fn refuses_numbers_that_json_does_not_have() {
    check(&[
        (
            "cjson.encode(0/0)",
            "user_script:1: Cannot serialise number: must not be NaN or Inf",
        ),
        (
            "cjson.encode(1/0)",
            "user_script:1: Cannot serialise number: must not be NaN or Inf",
        ),
        (
            "cjson.encode({-1/0})",
            "user_script:1: Cannot serialise number: must not be NaN or Inf",
        ),
        (
            "cjson.encode({[1/0]=1})",
            "user_script:1: Cannot serialise number: must not be NaN or Inf",
        ),
        (
            "cjson.encode_invalid_numbers(true) return cjson.encode({0/0,-(0/0),1/0,-1/0})",
            "[nan,nan,inf,-inf]",
        ),
        (
            r#"cjson.encode_invalid_numbers("null") return cjson.encode({0/0,1/0,-1/0,2})"#,
            "[null,null,null,2]",
        ),
    ]);
}

#[test]
fn tells_arrays_from_objects() {
    check(&[
        ("cjson.encode({})", "{}"),
        ("cjson.encode({1,2,3})", "[1,2,3]"),
        ("cjson.encode({{},{{}}})", "[{},[{}]]"),
        ("cjson.encode({a=1})", r#"{"a":1}"#),
        ("cjson.encode({1,2,a=3})", r#"{"1":1,"2":2,"a":3}"#),
        ("cjson.encode({[0]=1})", r#"{"0":1}"#),
        ("cjson.encode({[-1]=1})", r#"{"-1":1}"#),
        ("cjson.encode({[1.5]=1})", r#"{"1.5":1}"#),
        ("cjson.encode({[2]=1})", "[null,1]"),
        ("cjson.encode({1,nil,3})", "[1,null,3]"),
        ("cjson.encode({[2^31]=1})", r#"{"2147483648":1}"#),
        ("cjson.encode({[2^40]=1})", r#"{"1099511627776":1}"#),
        (
            "cjson.encode({[true]=1})",
            "user_script:1: Cannot serialise boolean: table key must be a number or string",
        ),
        (
            "cjson.encode({{[{}]=1}})",
            "user_script:1: Cannot serialise table: table key must be a number or string",
        ),
    ]);
}

#[test]
fn refuses_sparse_arrays() {
    check(&[
        (
            "cjson.encode({[10]=1})",
            "[null,null,null,null,null,null,null,null,null,1]",
        ),
        (
            "cjson.encode({[11]=1})",
            "user_script:1: Cannot serialise table: excessively sparse array",
        ),
        (
            "cjson.encode({1,2,3,4,5,[12]=6})",
            "[1,2,3,4,5,null,null,null,null,null,null,6]",
        ),
        (
            "cjson.encode({1,2,3,4,5,[13]=6})",
            "user_script:1: Cannot serialise table: excessively sparse array",
        ),
        (
            "cjson.encode({[2^31-1]=1})",
            "user_script:1: Cannot serialise table: excessively sparse array",
        ),
        (
            "cjson.encode_sparse_array(true) return cjson.encode({[11]=1})",
            r#"{"11":1}"#,
        ),
        (
            "cjson.encode_sparse_array(nil, 0) return cjson.encode({[12]=1})",
            "[null,null,null,null,null,null,null,null,null,null,null,1]",
        ),
        (
            "cjson.encode_sparse_array(nil, 5, 2) return cjson.encode({[3]=1})",
            "[null,null,1]",
        ),
        (
            "cjson.encode_sparse_array(nil, 2, 2) return cjson.encode({[3]=1})",
            "user_script:1: Cannot serialise table: excessively sparse array",
        ),
    ]);
}

#[test]
fn refuses_what_has_no_json() {
    check(&[
        (
            "cjson.encode(function() end)",
            "user_script:1: Cannot serialise function: type not supported",
        ),
        (
            "cjson.encode({coroutine.create(function() end)})",
            "user_script:1: Cannot serialise thread: type not supported",
        ),
        (
            "cjson.encode({a=cjson.encode})",
            "user_script:1: Cannot serialise function: type not supported",
        ),
        (
            "cjson.encode()",
            "user_script:1: bad argument #1 to 'encode' (expected 1 argument)",
        ),
        (
            "cjson.encode(1, 2)",
            "user_script:1: bad argument #1 to 'encode' (expected 1 argument)",
        ),
        (
            "cjson:encode(1)",
            "user_script:1: calling 'encode' on bad self (expected 1 argument)",
        ),
        (
            "cjson:encode()",
            "user_script:1: Cannot serialise function: type not supported",
        ),
    ]);
}

#[test]
fn limits_the_depth_of_what_it_encodes() {
    check(&[
        (
            "cjson.encode_max_depth(2) return cjson.encode({{1}})",
            "[[1]]",
        ),
        (
            "cjson.encode_max_depth(2) return cjson.encode({{{1}}})",
            "user_script:1: Cannot serialise, excessive nesting (3)",
        ),
        (
            "local t = {} t[1] = t return cjson.encode(t)",
            "user_script:1: Cannot serialise, excessive nesting (1001)",
        ),
        (
            "local t = {} t.a = t return cjson.encode(t)",
            "user_script:1: Cannot serialise, excessive nesting (1001)",
        ),
        (
            "cjson.encode_max_depth(100000) local t = {} t[1] = t return cjson.encode(t)",
            "user_script:1: Cannot serialise, excessive nesting (7998)",
        ),
        (
            "cjson.encode_max_depth(100000) local t = {} t.a = t return cjson.encode(t)",
            "user_script:1: Cannot serialise, excessive nesting (4000)",
        ),
    ]);
}

#[test]
fn decodes_values() {
    check(&[
        (r#"cjson.decode("null") == cjson.null"#, "true"),
        (r#"cjson.decode(" true ")"#, "true"),
        (r#"cjson.decode("false")"#, "false"),
        (r#"cjson.decode("12")"#, "12"),
        ("cjson.decode(12)", "12"),
        (r#"cjson.decode("\"a\"")"#, "a"),
        (r#"#cjson.decode("[1,null,3]")"#, "3"),
        (r#"cjson.decode("[1,[2,{\"a\":[3]}]]")[2][2].a[1]"#, "3"),
        (r#"cjson.decode("{\"a\":1,\"a\":2}").a"#, "2"),
        (r#"next(cjson.decode("{}"))"#, "nil"),
        (r#"next(cjson.decode("[ ]"))"#, "nil"),
        (
            r#"cjson.encode(cjson.decode("\r\n\t { \"x\" : [ ] } "))"#,
            r#"{"x":{}}"#,
        ),
        (r#"cjson.decode("[1]\0junk")[1]"#, "1"),
        (r#"type(next(cjson.decode("{\"1\":2}")))"#, "string"),
    ]);
}

#[test]
fn decodes_strings() {
    check(&[
        (r#"cjson.decode([["\"\\\/"]])"#, r#""\/"#),
        (
            r#"cjson.decode([["\b\f\n\r\t"]]) == "\8\12\10\13\9""#,
            "true",
        ),
        (r#"cjson.decode([["\u00e9\u20AC\ud83d\ude00"]])"#, "é€😀"),
        (r#"#cjson.decode([["a\u0000b"]])"#, "3"),
        (r#"cjson.decode("\"\1\255\"") == "\1\255""#, "true"),
    ]);
}

#[test]
fn decodes_numbers() {
    check(&[
        (r#"cjson.decode("-0")"#, "-0"),
        (r#"cjson.decode("1.")"#, "1"),
        (r#"cjson.decode("-.5")"#, "-0.5"),
        (r#"cjson.decode("1e3")"#, "1000"),
        (r#"cjson.decode("1E+2")"#, "100"),
        (r#"cjson.decode("1e-2")"#, "0.01"),
        (r#"cjson.decode("007")"#, "7"),
        (r#"cjson.decode("+5")"#, "5"),
        (r#"cjson.decode("0x1F")"#, "31"),
        (r#"cjson.decode("-0x.8p+3")"#, "-4"),
        (r#"cjson.decode("0x1p-1074")"#, "4.9406564584125e-324"),
        (r#"cjson.decode("0x1.fffffffffffff8p1023")"#, "inf"),
        (r#"cjson.decode("0x20000000000001")"#, "9.007199254741e+15"),
        (
            r#"cjson.decode("123456789012345678")"#,
            "1.2345678901235e+17",
        ),
        (r#"cjson.decode("1e999")"#, "inf"),
        (r#"cjson.decode("-1e999")"#, "-inf"),
        (r#"cjson.decode("0e99999999999")"#, "0"),
        (r#"cjson.decode("inf")"#, "inf"),
        (r#"cjson.decode("-Infinity")"#, "-inf"),
        (r#"cjson.decode("NaN")"#, "nan"),
        (r#"cjson.decode("-nan")"#, "-nan"),
        (r#"cjson.decode("nan(a_1)")"#, "nan"),
        (
            r#"cjson.decode("-")"#,
            "user_script:1: Expected value but found invalid number at character 1",
        ),
        (
            r#"cjson.decode("+")"#,
            "user_script:1: Expected value but found invalid number at character 1",
        ),
        (
            r#"cjson.decode("- 1")"#,
            "user_script:1: Expected value but found invalid number at character 1",
        ),
        (
            r#"cjson.decode("1e")"#,
            "user_script:1: Expected the end but found invalid token at character 2",
        ),
        (
            r#"cjson.decode("0x")"#,
            "user_script:1: Expected the end but found invalid token at character 2",
        ),
        (
            r#"cjson.decode("nan(")"#,
            "user_script:1: Expected the end but found invalid token at character 4",
        ),
        (
            r#"cjson.decode("infi")"#,
            "user_script:1: Expected the end but found invalid token at character 4",
        ),
        (
            r#"cjson.decode("1.5.5")"#,
            "user_script:1: Expected the end but found invalid token at character 4",
        ),
    ]);
}

#[test]
fn refuses_numbers_that_are_not_json() {
    check(&[
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("1.")"#,
            "1",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("-.5")"#,
            "-0.5",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("0")"#,
            "0",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("01")"#,
            "user_script:1: Expected value but found invalid number at character 1",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("-01")"#,
            "user_script:1: Expected value but found invalid number at character 1",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("0x1")"#,
            "user_script:1: Expected value but found invalid number at character 1",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("+1")"#,
            "user_script:1: Expected value but found invalid token at character 1",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("inf")"#,
            "user_script:1: Expected value but found invalid token at character 1",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("-inf")"#,
            "user_script:1: Expected value but found invalid number at character 1",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("nan")"#,
            "user_script:1: Expected value but found invalid token at character 1",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("Infinity")"#,
            "user_script:1: Expected value but found invalid token at character 1",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("NaN")"#,
            "user_script:1: Expected value but found invalid token at character 1",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("-")"#,
            "user_script:1: Expected value but found invalid number at character 1",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("[1,NaN]")"#,
            "user_script:1: Expected value but found invalid token at character 4",
        ),
        (
            r#"cjson.decode_invalid_numbers(false) return cjson.decode("null")"#,
            "userdata: (nil)",
        ),
    ]);
}

#[test]
fn says_where_a_text_is_wrong() {
    check(&[
        (
            r#"cjson.decode("")"#,
            "user_script:1: Expected value but found T_END at character 1",
        ),
        (
            r#"cjson.decode("  ")"#,
            "user_script:1: Expected value but found T_END at character 3",
        ),
        (
            r#"cjson.decode("a")"#,
            "user_script:1: Expected value but found invalid token at character 1",
        ),
        (
            r#"cjson.decode("tru")"#,
            "user_script:1: Expected value but found invalid token at character 1",
        ),
        (
            r#"cjson.decode("truex")"#,
            "user_script:1: Expected the end but found invalid token at character 5",
        ),
        (
            r#"cjson.decode("[1,2")"#,
            "user_script:1: Expected comma or array end but found T_END at character 5",
        ),
        (
            r#"cjson.decode("[1,]")"#,
            "user_script:1: Expected value but found T_ARR_END at character 4",
        ),
        (
            r#"cjson.decode("[1 2]")"#,
            "user_script:1: Expected comma or array end but found T_NUMBER at character 4",
        ),
        (
            r#"cjson.decode("[}")"#,
            "user_script:1: Expected value but found T_OBJ_END at character 2",
        ),
        (
            r#"cjson.decode("{1:2}")"#,
            "user_script:1: Expected object key string but found T_NUMBER at character 2",
        ),
        (
            r#"cjson.decode("{\"a\"}")"#,
            "user_script:1: Expected colon but found T_OBJ_END at character 5",
        ),
        (
            r#"cjson.decode("{\"a\" 1}")"#,
            "user_script:1: Expected colon but found T_NUMBER at character 6",
        ),
        (
            r#"cjson.decode("{\"a\":}")"#,
            "user_script:1: Expected value but found T_OBJ_END at character 6",
        ),
        (
            r#"cjson.decode("{\"a\":1")"#,
            "user_script:1: Expected comma or object end but found T_END at character 7",
        ),
        (
            r#"cjson.decode("{\"a\":1,}")"#,
            "user_script:1: Expected object key string but found T_OBJ_END at character 8",
        ),
        (
            r#"cjson.decode("{\"a\":1 \"b\"}")"#,
            "user_script:1: Expected comma or object end but found T_STRING at character 8",
        ),
        (
            r#"cjson.decode("1 2")"#,
            "user_script:1: Expected the end but found T_NUMBER at character 3",
        ),
        (
            r#"cjson.decode("[]]")"#,
            "user_script:1: Expected the end but found T_ARR_END at character 3",
        ),
        (
            r#"cjson.decode("[1:2]")"#,
            "user_script:1: Expected comma or array end but found T_COLON at character 3",
        ),
        (
            r#"cjson.decode("{true:1}")"#,
            "user_script:1: Expected object key string but found T_BOOLEAN at character 2",
        ),
        (
            r#"cjson.decode("{null:1}")"#,
            "user_script:1: Expected object key string but found T_NULL at character 2",
        ),
        (
            r#"cjson.decode("\"a")"#,
            "user_script:1: Expected value but found unexpected end of string at character 3",
        ),
        (
            r#"cjson.decode("[\"a\\")"#,
            "user_script:1: Expected value but found invalid escape code at character 4",
        ),
        (
            r#"cjson.decode("\"\\x\"")"#,
            "user_script:1: Expected value but found invalid escape code at character 2",
        ),
        (
            r#"cjson.decode("\"\\u12g4\"")"#,
            "user_script:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (
            r#"cjson.decode("\"\\udc00\"")"#,
            "user_script:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (
            r#"cjson.decode("\"\\ud800x\"")"#,
            "user_script:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (
            r#"cjson.decode("\"\\ud800\\u0041\"")"#,
            "user_script:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (
            r#"cjson.decode("\"a\0b\"")"#,
            "user_script:1: Expected value but found unexpected end of string at character 3",
        ),
        (
            r#"cjson.decode("\0\"a\"")"#,
            "user_script:1: JSON parser does not support UTF-16 or UTF-32",
        ),
        (
            r#"cjson.decode("1\0")"#,
            "user_script:1: JSON parser does not support UTF-16 or UTF-32",
        ),
        (
            "cjson.decode({})",
            "user_script:1: bad argument #1 to 'decode' (string expected, got table)",
        ),
        (
            "cjson.decode()",
            "user_script:1: bad argument #1 to 'decode' (expected 1 argument)",
        ),
    ]);
}

#[test]
fn limits_the_depth_of_what_it_decodes() {
    check(&[
        (
            r#"cjson.decode_max_depth(2) return cjson.encode(cjson.decode("[[1]]"))"#,
            "[[1]]",
        ),
        (
            r#"cjson.decode_max_depth(2) return cjson.decode("[[ [1]]]")"#,
            "user_script:1: Found too many nested data structures (3) at character 4",
        ),
        (
            r#"cjson.decode_max_depth(1) return cjson.decode("{\"a\":{}}")"#,
            "user_script:1: Found too many nested data structures (2) at character 6",
        ),
        (
            r#"cjson.decode(string.rep("[", 1001))"#,
            "user_script:1: Found too many nested data structures (1001) at character 1001",
        ),
        (
            r#"cjson.decode_max_depth(100000) return cjson.decode(string.rep("[", 9000))"#,
            "user_script:1: Found too many nested data structures (7999) at character 7999",
        ),
        (
            r#"cjson.decode_max_depth(100000) return cjson.decode(string.rep("{\"a\":", 9000))"#,
            "user_script:1: Found too many nested data structures (4000) at character 19996",
        ),
    ]);
}

#[test]
fn gives_and_takes_settings() {
    check(&[
        ("join(cjson.encode_sparse_array())", "false 2 10"),
        (
            r#"join(cjson.encode_sparse_array("on", 3, "4"))"#,
            "true 3 4",
        ),
        (
            "join(cjson.encode_sparse_array(nil, nil, -1))",
            "user_script:1: bad argument #1 to 'encode_sparse_array' \
             (expected integer between 0 and 2147483647)",
        ),
        (
            "join(cjson.encode_sparse_array(1, 2, 3, 4))",
            "user_script:1: bad argument #4 to 'encode_sparse_array' (found too many arguments)",
        ),
        ("cjson.encode_max_depth()", "1000"),
        (
            "cjson.encode_max_depth(0)",
            "user_script:1: bad argument #1 to 'encode_max_depth' \
             (expected integer between 1 and 2147483647)",
        ),
        ("cjson.encode_max_depth(1.9)", "1"),
        (
            "cjson.encode_max_depth(2^31)",
            "user_script:1: bad argument #1 to 'encode_max_depth' \
             (expected integer between 1 and 2147483647)",
        ),
        ("cjson.encode_max_depth(2^32 + 5)", "5"),
        (
            r#"cjson.encode_max_depth("x")"#,
            "user_script:1: bad argument #1 to 'encode_max_depth' (number expected, got string)",
        ),
        ("cjson.decode_max_depth()", "1000"),
        (
            "cjson.decode_max_depth(-1)",
            "user_script:1: bad argument #1 to 'decode_max_depth' \
             (expected integer between 1 and 2147483647)",
        ),
        ("cjson.encode_number_precision()", "14"),
        (
            "cjson.encode_number_precision(15)",
            "user_script:1: bad argument #1 to 'encode_number_precision' \
             (expected integer between 1 and 14)",
        ),
        ("cjson.encode_keep_buffer()", "true"),
        (r#"cjson.encode_keep_buffer("off")"#, "false"),
        (
            r#"cjson.encode_keep_buffer("x")"#,
            "user_script:1: bad argument #1 to 'encode_keep_buffer' (invalid option 'x')",
        ),
        (
            "cjson.encode_keep_buffer(true, 1)",
            "user_script:1: bad argument #2 to 'encode_keep_buffer' (found too many arguments)",
        ),
        ("cjson.encode_invalid_numbers()", "false"),
        (r#"cjson.encode_invalid_numbers("null")"#, "null"),
        (
            "cjson.encode_invalid_numbers(1)",
            "user_script:1: bad argument #1 to 'encode_invalid_numbers' (invalid option '1')",
        ),
        (
            "cjson.encode_invalid_numbers({})",
            "user_script:1: bad argument #1 to 'encode_invalid_numbers' \
             (string expected, got table)",
        ),
        ("cjson.decode_invalid_numbers()", "true"),
        (r#"cjson.decode_invalid_numbers("off")"#, "false"),
        (
            "pcall(cjson.encode_max_depth, 0) and 1 or select(2, pcall(cjson.encode_max_depth, 0))",
            "bad argument #1 to '?' (expected integer between 1 and 2147483647)",
        ),
        (
            "local c = cjson.new() c.encode_max_depth(1) \
             return join(c.encode_max_depth(), cjson.encode_max_depth())",
            "1 1000",
        ),
    ]);
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
