//! Libraries of functions.

use std::sync::Arc;

use super::driver::Driver;
use crate::library::Library;
use crate::script::ScriptFlags;

fn load(driver: &mut Driver, code: &str) -> Arc<Library> {
    load_as(driver, code, 1).expect("it loads")
}

fn load_as(driver: &mut Driver, code: &str, generation: u64) -> Result<Arc<Library>, String> {
    let loaded = driver.machine.load_library(code.as_bytes(), generation);
    loaded.map_err(|error| error.escape_ascii().to_string())
}

#[test]
fn what_is_registered_is_known_and_runs() {
    let mut driver = Driver::new();
    let code = "#!lua name=lib\nlocal n = 0\n\
                redis.register_function('count', function() n = n + 1 return n end)\n\
                redis.register_function{function_name='show', description='shows',\n\
                callback=function(keys, args) return {keys, args} end,\n\
                flags={'no-writes', 'ALLOW-STALE'}}\n";
    let library = load(&mut driver, code);
    assert_eq!(library.name, b"lib");
    assert_eq!(&*library.code, code.as_bytes());
    let [count, show] = &library.functions[..] else {
        panic!("two functions");
    };
    assert_eq!(
        (&count.name[..], &count.description),
        (&b"count"[..], &None)
    );
    assert_eq!(show.description.as_deref(), Some(&b"shows"[..]));
    let declared = ScriptFlags {
        declared: true,
        ..ScriptFlags::default()
    };
    assert_eq!(count.flags, declared);
    assert_eq!(
        show.flags,
        ScriptFlags {
            no_writes: true,
            allow_stale: true,
            ..declared
        }
    );
    assert_eq!(driver.fcall(&library, "count"), r":1\r\n");
    assert_eq!(driver.fcall(&library, "count"), r":2\r\n");
    let shown = r"*2\r\n*1\r\n$1\r\nk\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n";
    assert_eq!(driver.fcall(&library, "show"), shown);
    assert_eq!(
        driver.fcall(&library, "nope"),
        r"-ERR Function not found\r\n"
    );
}

#[test]
fn a_machine_loads_what_another_has_loaded() {
    let code = "#!lua name=l\nredis.register_function('f', function() return 'one' end)";
    let library = load(&mut Driver::new(), code);
    let mut driver = Driver::new();
    assert_eq!(driver.fcall(&library, "f"), r"$3\r\none\r\n");
    let newer = code.replace("one", "two");
    let newer = load_as(&mut Driver::new(), &newer, 2).expect("it loads");
    assert_eq!(driver.fcall(&newer, "f"), r"$3\r\ntwo\r\n");
    assert_eq!(driver.fcall(&library, "f"), r"$3\r\none\r\n");
}

#[test]
fn libraries_are_refused_as_redis_refuses_them() {
    let mut driver = Driver::new();
    for (code, expected) in REFUSED {
        let refused = load_as(&mut driver, code, 1).expect_err(code);
        assert_eq!(&refused, expected, "{code}");
    }
    for (body, expected) in NOT_REGISTERED {
        let code = format!("#!lua name=l\n{body}");
        let refused = load_as(&mut driver, &code, 1).expect_err(body);
        let expected = format!("ERR Error registering functions: ERR {expected}");
        assert_eq!(refused, expected, "{body}");
    }
    assert_eq!(driver.eval("return redis.call('ping')"), r"+PONG\r\n");
}

const REFUSED: &[(&str, &str)] = &[
    ("x", "ERR Missing library metadata"),
    ("#!lua name=x", "ERR Invalid library metadata"),
    ("#!lua\nx", "ERR Library name was not given"),
    ("#!js name=x\nx", r"ERR Engine \'js\' not found"),
    (
        "#!lua name=a name=b\nx",
        "ERR Invalid metadata value, name argument was given multiple times",
    ),
    ("#!lua foo=b\nx", "ERR Invalid metadata value given: foo=b"),
    (
        "#!js name=a-b\nx",
        "ERR Library names can only contain letters, numbers, or underscores(_) and must be at \
         least one character long",
    ),
    ("#!lua name=\"a\nx", "ERR Invalid library metadata"),
    (
        "#!LUA NAME=a\nx",
        r"ERR Error compiling function: user_function:2: \'=\' expected near \'<eof>\'",
    ),
    ("#!lua name=l\n", "ERR No functions registered"),
];

const NOT_REGISTERED: &[(&str, &str)] = &[
    (
        "redis.call('get','x')",
        r"user_function:2: Script attempted to access nonexistent global variable \'call\'",
    ),
    (
        "local x = pairs",
        r"user_function:2: Script attempted to access nonexistent global variable \'pairs\'",
    ),
    ("x=1", "user_function:2: Attempt to modify a readonly table"),
    (
        "redis.log=1",
        "user_function:2: Attempt to modify a readonly table",
    ),
    (
        "redis.log(1)",
        "redis.log() requires two arguments or more.",
    ),
    ("while true do end", "FUNCTION LOAD timeout"),
    (
        "redis.register_function()",
        "wrong number of arguments to redis.register_function",
    ),
    (
        "redis.register_function(1)",
        "calling redis.register_function with a single argument is only applicable to Lua table \
         (representing named arguments).",
    ),
    (
        "redis.register_function('f',2)",
        "second argument to redis.register_function must be a function",
    ),
    (
        "redis.register_function({},function() end)",
        "first argument to redis.register_function must be a string",
    ),
    (
        "redis.register_function('a-b',function() end)",
        "Library names can only contain letters, numbers, or underscores(_) and must be at least \
         one character long",
    ),
    (
        "local f = function() end redis.register_function('f',f) redis.register_function('f',f)",
        "Function already exists in the library",
    ),
    (
        "redis.register_function{}",
        "redis.register_function must get a function name argument",
    ),
    (
        "redis.register_function{function_name='f'}",
        "redis.register_function must get a callback argument",
    ),
    (
        "redis.register_function{1}",
        "unknown argument given to redis.register_function",
    ),
    (
        "redis.register_function{function_name='f',callback=function() end,flags={'x'}}",
        "unknown flag given",
    ),
    (
        "redis.register_function{function_name='f',callback=function() end,flags=1}",
        "flags argument to redis.register_function must be a table representing function flags",
    ),
];

#[test]
fn functions_see_their_own_globals() {
    let mut driver = Driver::new();
    let code = "#!lua name=l\nlocal r = redis.register_function\n\
                r('keys', function() return KEYS end)\n\
                r('set', function() x = 1 end)\n\
                r('late', function() r('x', function() end) end)\n\
                r('no', function() return redis.breakpoint == nil and redis.call('ping') end)\n\
                r('fail', function() error('x') end)\n\
                r('env', function() return getfenv(1) == _G end)\n";
    let library = load(&mut driver, code);
    let ask = |driver: &mut Driver, name: &str| driver.fcall(&library, name);
    let keys = r"-ERR user_function:3: Script attempted to access nonexistent global variable \'KEYS\' script: keys, on @user_function:3.\r\n";
    assert_eq!(ask(&mut driver, "keys"), keys);
    let set = r"-ERR user_function:4: Attempt to modify a readonly table script: set, on @user_function:4.\r\n";
    assert_eq!(ask(&mut driver, "set"), set);
    let late = r"-ERR redis.register_function can only be called on FUNCTION LOAD command script: late, on @user_function:5.\r\n";
    assert_eq!(ask(&mut driver, "late"), late);
    assert_eq!(ask(&mut driver, "no"), r"+PONG\r\n");
    let fail = r"-ERR user_function:7: x script: fail, on @user_function:7.\r\n";
    assert_eq!(ask(&mut driver, "fail"), fail);
    assert_eq!(ask(&mut driver, "env"), r"$-1\r\n");
    assert_eq!(driver.eval("return #KEYS"), r":0\r\n");
}
