//! Texts that become values, or are no JSON.

use super::check;

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

/// Texts that are no JSON, and what is said of them.
const WRONG_TEXTS: &[(&str, &str)] = &[
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
];

#[test]
fn says_where_a_text_is_wrong() {
    check(WRONG_TEXTS);
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
