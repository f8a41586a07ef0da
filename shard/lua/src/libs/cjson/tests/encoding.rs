//! Values that become JSON, or cannot.

use super::check;

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
