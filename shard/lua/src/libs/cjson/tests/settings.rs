//! The settings of a table `cjson`.

use super::check;

/// Calls that read and set settings.
const SETTINGS: &[(&str, &str)] = &[
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
];

#[test]
fn gives_and_takes_settings() {
    check(SETTINGS);
}
