//! What ends a script before its time, and that nothing of it is left.

use protocol::reply::Version;

use super::driver::{Driver, settings};
use super::{errors, replies, sandbox};
use crate::machine::{Answer, Call, Chunk, Ending, LogLevel, Settings, Step};
use crate::script::{Script, sha_of};

/// Scripts that do what they can to go on.
const STUBBORN: &[&str] = &[
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "local co = coroutine.wrap(function() while true do end end) co()",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "while true do pcall(redis.call, 'ping') end",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "local function f() pcall(f) f() end while true do pcall(f) end",
    "while true do redis.pcall('ping') end",
    "local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
    "table.sort({1, 2, 3}, function() while true do end end)",
    "string.gsub('x', 'x', function() while true do end end)",
    "load(function() while true do end end)",
    "while true do redis.log(redis.LOG_NOTICE, 'x') end",
    "while true do redis.set_repl(redis.REPL_ALL) end",
    "repeat local f = loadstring('while true do end', '@user_script') pcall(f) until false",
    "for i = 1, 1e18 do local t = {i} end",
];

#[test]
fn no_script_survives_kill_or_giving_up() {
    let mut driver = Driver::new();
    driver.forgets = true;
    for script in STUBBORN {
        driver.ends_at = Some((3, Some(b"ERR Script killed by user with SCRIPT KILL...")));
        let reply = driver.eval(script);
        let killed =
            r"-ERR Script killed by user with SCRIPT KILL... script: SHA, on @user_script:1.\r\n";
        assert_eq!(reply, killed, "{script}");
        assert_eq!(driver.ending, Ending::Failed { counted: false });
        driver.ends_at = Some((2, None));
        driver.eval(script);
        driver.ends_at = None;
        assert_eq!(
            driver.eval("return {#KEYS, redis.call('get', 'x')}"),
            r"*2\r\n:0\r\n$5\r\nvalue\r\n"
        );
    }
}

#[test]
fn a_machine_is_dropped_in_the_midst_of_a_script() {
    for script in STUBBORN {
        let script = Script::parse(script.as_bytes()).expect("no first line");
        let mut driver = Driver::new();
        let args = protocol::args::Args::new(b"", &[], &[]);
        driver.machine.begin(&Call {
            chunk: Chunk::Script(&script),
            keys: args,
            args,
            version: Version::Resp2,
        });
        if !matches!(script.source[..2], [b'l', _]) {
            driver.machine.resume(Answer::Go);
        }
    }
}

#[test]
fn a_call_that_has_begun_may_be_given_up() {
    let mut driver = Driver::new();
    let script = Script::parse(b"return 1").expect("no first line");
    let args = protocol::args::Args::new(b"", &[], &[]);
    driver.machine.begin(&Call {
        chunk: Chunk::Script(&script),
        keys: args,
        args,
        version: Version::Resp2,
    });
    let step = driver.machine.resume(Answer::GiveUp);
    assert!(matches!(
        step,
        Step::Done(Ending::Failed { counted: false })
    ));
    let code = b"#!lua name=lib\nredis.register_function('f', function() end)";
    assert!(driver.machine.load_library(code, 1).is_ok());
    assert!(driver.machine.library_bytes() >= code.len());
    assert_eq!(driver.eval("return 1"), r":1\r\n");
}

#[test]
fn memory_that_is_short_is_an_error() {
    let mut driver = Driver::new();
    driver.forgets = true;
    for script in [
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "return string.rep('x', 1e9)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local s = string.rep('x', 2e7) return {s, s .. 'y'}",
        "local t = {} while true do t[#t + 1] = redis.call('echo', string.rep('x', 1e6) .. #t) end",
        "local t = {} while true do t[#t + 1] = newproxy() end",
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
        "return loadstring('return ' .. string.rep('{', 1e7))",
    ] {
        let reply = driver.eval(script);
        let end = r"not enough memory\r\n";
        assert!(
            reply.ends_with(end) || reply == r"$-1\r\n",
            "{script}: {reply}"
        );
        assert_eq!(driver.eval("return 'well'"), r"$4\r\nwell\r\n");
        assert!(driver.machine.memory_bytes() <= settings().memory_max);
    }
    let caught = "return {pcall(function() local t = {} while true do t[#t + 1] = {} end end)}";
    assert_eq!(
        driver.eval(caught),
        r"*2\r\n$-1\r\n$17\r\nnot enough memory\r\n"
    );
    // Arguments that do not fit.
    let large = "x".repeat(40 << 20);
    let reply = driver.eval_with("return 1", &[], &[&large], Version::Resp2);
    assert_eq!(
        reply,
        r"-ERR Error running script SHA, not enough memory\r\n"
    );
    assert_eq!(driver.eval("return #ARGV"), r":0\r\n");
}

#[test]
fn memory_may_fail_at_any_point() {
    let settings = Settings {
        memory_max: 0,
        ..settings()
    };
    let used = Driver::with(&settings).machine.memory_bytes();
    let script = "local t = {redis.call('get', KEYS[1]), pcall(error, {err = 'x y'})} \
                  redis.log(2, 'a', 5) t[#t + 1] = redis.sha1hex('x') .. tostring(t) \
                  return {t, {map = {a = 1}}, redis.pcall('fail')}";
    let mut whole = 0;
    for more in (0..60_000).step_by(131) {
        let settings = Settings {
            memory_max: used + more,
            ..settings
        };
        let mut driver = Driver::with(&settings);
        for _ in 0..3 {
            let reply = driver.eval_with(script, &["k"], &["v"], Version::Resp3);
            whole += usize::from(reply.starts_with('*'));
        }
    }
    assert!(whole > 0);
}

#[test]
fn stacks_are_bounded() {
    let mut driver = Driver::new();
    let deep = r"-ERR user_script:1: stack overflow script: SHA, on @user_script:1.\r\n";
    assert_eq!(
        driver.eval("local function f() return f() + 1 end return f()"),
        deep
    );
    for script in [
        "local function f() return pcall(f) end return f()",
        "local function f() return (string.gsub('x', 'x', f)) end return f()",
        "local function f() local t = {2, 1} table.sort(t, function() f() return false end) end f()",
        "local t = {} setmetatable(t, {__index = function(_, k) return t[k .. 'x'] end}) return t.a",
        "local function f() return coroutine.wrap(f)() end return f()",
        "local function f() return xpcall(f, f) end return f()",
        "local function f() return load(f) end return f()",
        "local function f() error(setmetatable({}, {__newindex = f})) end f()",
        "return loadstring('return ' .. string.rep('(', 1e5) .. string.rep(')', 1e5))",
        "return loadstring('return ' .. string.rep('{', 300) .. string.rep('}', 300))",
        "return loadstring(string.rep('do ', 300) .. string.rep('end ', 300))",
        "return loadstring(string.rep('return function() ', 250) .. string.rep('end ', 250))",
        "return string.find(string.rep('a', 1e5), string.rep('a?', 4999))",
        "local function f() string.gsub('x', 'x', f) end pcall(f) \
         local function g() return string.gsub('x', 'x', function() g() \
         return string.find(string.rep('a', 1e4), string.rep('a?', 4999)) end) end g()",
    ] {
        driver.ends_at = Some((100, None));
        driver.eval(script);
        assert_eq!(driver.eval("return 'well'"), r"$4\r\nwell\r\n", "{script}");
    }
    let long = "return string.find('a', string.rep('a?', 1e5))";
    let complex = r"-ERR user_script:1: pattern too complex script: SHA, on @user_script:1.\r\n";
    assert_eq!(driver.eval(long), complex);
}

#[test]
fn nothing_is_left_for_the_next_script() {
    let mut driver = Driver::new();
    driver.eval_with(
        "redis.setresp(3) KEYS.x = 1 KEYS[1] = 'y' return 1",
        &["k"],
        &["v"],
        Version::Resp2,
    );
    assert_eq!(driver.machine.version(), Version::Resp3);
    assert_eq!(
        driver.eval("return {#KEYS, #ARGV, tostring(KEYS.x)}"),
        r"*3\r\n:0\r\n:0\r\n$3\r\nnil\r\n"
    );
    assert_eq!(driver.machine.version(), Version::Resp2);
    for _ in 0..2 {
        assert_eq!(driver.eval("setfenv(1, {a = 1}) return a"), r":1\r\n");
        assert_eq!(driver.eval("setfenv(0, {}) return 1"), r":1\r\n");
    }
    driver.eval("collectgarbage('stop')");
    driver.forgets = true;
    for _ in 0..100 {
        driver.eval("for i = 1, 10000 do local t = {} end");
    }
    assert!(driver.machine.memory_bytes() < 8 << 20);
}

#[test]
fn what_scripts_ask_for_comes_to_the_driver() {
    let mut driver = Driver::new();
    driver.eval("redis.log(redis.LOG_WARNING, 'a', 5, {}, 'b') redis.log('0', 'x')");
    assert_eq!(
        driver.logged,
        [
            (LogLevel::Warning, b"a 5 b".to_vec()),
            (LogLevel::Debug, b"x".to_vec())
        ]
    );
    driver.eval("redis.set_repl(redis.REPL_AOF) redis.set_repl(redis.REPL_REPLICA)");
    assert_eq!(driver.propagated, [(true, false), (false, true)]);
    let allowed = "return {redis.acl_check_cmd('get'), redis.acl_check_cmd('flushall', 'x')}";
    assert_eq!(driver.eval(allowed), r"*2\r\n:1\r\n$-1\r\n");
    let unknown =
        r"-ERR Invalid command passed to redis.acl_check_cmd() script: SHA, on @user_script:1.\r\n";
    assert_eq!(driver.eval("return redis.acl_check_cmd('foo')"), unknown);
    driver.eval("redis.call('echo', 'a\\0b', 5, 1.5, -0.0, 2^62, 1e20, 0/0)");
    let command = driver.commands.last().expect("a command").clone();
    let shown: Vec<_> = command
        .iter()
        .map(|part| part.escape_ascii().to_string())
        .collect();
    let expected = [
        "echo",
        r"a\x00b",
        "5",
        "1.5",
        "0",
        "4611686018427387904",
        "1e+20",
        "-nan",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn an_error_of_a_command_is_counted_once() {
    let mut driver = Driver::new();
    let counted = Ending::Failed { counted: true };
    let failed = r"-WRONGTYPE Operation against a key script: SHA, on @user_script:1.\r\n";
    assert_eq!(driver.eval("redis.call('fail')"), failed);
    assert_eq!(driver.ending, counted);
    assert_eq!(
        driver.eval("return redis.pcall('fail')"),
        r"-WRONGTYPE Operation against a key\r\n"
    );
    assert_eq!(driver.ending, counted);
    driver.eval("error('x')");
    assert_eq!(driver.ending, Ending::Failed { counted: false });
    driver.eval("return {redis.pcall('fail')}");
    assert_eq!(driver.ending, Ending::Returned);
}

#[test]
fn replies_become_values() {
    let mut driver = Driver::new();
    for (reply, script, expected) in [
        (":5\\r\\n", "r + 1", r":6\r\n"),
        ("$3\\r\\nabc\\r\\n", "r .. '!'", r"$4\r\nabc!\r\n"),
        ("$-1\\r\\n", "tostring(r)", r"$5\r\nfalse\r\n"),
        ("*-1\\r\\n", "tostring(r)", r"$5\r\nfalse\r\n"),
        ("_\\r\\n", "tostring(r)", r"$3\r\nnil\r\n"),
        ("#t\\r\\n", "tostring(r)", r"$4\r\ntrue\r\n"),
        ("#f\\r\\n", "tostring(r)", r"$5\r\nfalse\r\n"),
        (",1.5\\r\\n", "r.double * 2", r":3\r\n"),
        (",inf\\r\\n", "tostring(r.double)", r"$3\r\ninf\r\n"),
        ("(123\\r\\n", "r.big_number", r"$3\r\n123\r\n"),
        (
            "=7\\r\\ntxt:abc\\r\\n",
            "{r.verbatim_string.format, r.verbatim_string.string}",
            r"*2\r\n$3\r\ntxt\r\n$3\r\nabc\r\n",
        ),
        ("%1\\r\\n$1\\r\\na\\r\\n:1\\r\\n", "r.map.a", r":1\r\n"),
        (
            "~1\\r\\n$1\\r\\na\\r\\n",
            "tostring(r.set.a)",
            r"$4\r\ntrue\r\n",
        ),
        ("|1\\r\\n+k\\r\\n+v\\r\\n:7\\r\\n", "r", r":7\r\n"),
        (
            "*2\\r\\n:1\\r\\n*1\\r\\n+OK\\r\\n",
            "r[2][1].ok",
            r"$2\r\nOK\r\n",
        ),
        ("+OK\\r\\n", "r", r"+OK\r\n"),
    ] {
        let script =
            format!("redis.setresp(3) local r = redis.call('reply', '{reply}') return {script}");
        assert_eq!(driver.eval(&script), expected, "{reply}");
    }
}

#[test]
fn scripts_are_compiled_once_and_forgotten_on_demand() {
    let mut driver = Driver::new();
    let script = Script::parse(b"return 1").expect("no first line");
    assert_eq!(script.sha, sha_of(b"return 1"));
    assert_eq!(driver.machine.compile(&script), Ok(()));
    driver.machine.forget_scripts();
    assert_eq!(driver.machine.compile(&script), Ok(()));
    let broken = Script::parse(b"return (").expect("no first line");
    let error = driver
        .machine
        .compile(&broken)
        .expect_err("it does not compile");
    let expected =
        "ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'";
    assert_eq!(error, expected.as_bytes());
    for number in 0..2500 {
        let reply = driver.eval(&format!("return {number}"));
        assert_eq!(reply, format!(":{number}\\r\\n"));
    }
    assert!(driver.machine.memory_bytes() < 4 << 20);
}

#[test]
fn first_lines_are_read_as_redis_reads_them() {
    let mut driver = Driver::new();
    for (script, expected) in [
        ("#!lua\nreturn 1", r":1\r\n"),
        ("#!lua flags=\nreturn 1", r":1\r\n"),
        ("#!lua flags=no-writes,allow-oom\nreturn 1", r":1\r\n"),
        (
            "#!lua flags=NO-WRITES\nreturn 1",
            r"-ERR Unexpected flag in script shebang: NO-WRITES\r\n",
        ),
        (
            "#!lua name=x\nreturn 1",
            r"-ERR Unknown lua shebang option: name=x\r\n",
        ),
        (
            "#!js\nreturn 1",
            r"-ERR Unexpected engine in script shebang: #!js\r\n",
        ),
        ("#!lua", r"-ERR Invalid script shebang\r\n"),
        (
            "#!lua flags=\"x\nreturn 1",
            r"-ERR Invalid engine in script shebang\r\n",
        ),
        (
            "#!lua\n\nerror('x')",
            r"-ERR user_script:3: x script: SHA, on @user_script:3.\r\n",
        ),
    ] {
        assert_eq!(driver.eval(script), expected, "{script}");
    }
    let script = Script::parse(b"#!lua flags=no-writes,allow-cross-slot-keys\n").expect("flags");
    assert!(script.flags.declared && script.flags.no_writes && script.flags.allow_cross_slot_keys);
    assert!(!script.flags.allow_oom && !script.flags.allow_stale && !script.flags.no_cluster);
}

#[test]
fn replies_are_as_deep_as_redis_s() {
    let mut driver = Driver::new();
    for (depth, end) in [
        (7994, r"*0\r\n"),
        (7995, r"-ERR reached lua stack limit\r\n"),
    ] {
        let script = "local t = {} local u = t for i = 1, DEPTH do u[1] = {} u = u[1] end return t";
        let reply = driver.eval(&script.replace("DEPTH", &depth.to_string()));
        assert_eq!(reply, format!(r"{}{end}", r"*1\r\n".repeat(depth)));
    }
}

#[test]
fn a_script_may_have_to_end_anywhere() {
    let settings = Settings {
        tick_instructions: 1,
        ..settings()
    };
    let mut driver = Driver::with(&settings);
    let scripts = [errors::ERRORS, sandbox::SANDBOX, replies::RESP2];
    for (number, (script, whole)) in scripts.into_iter().flatten().enumerate() {
        // Compilation alone may fail.
        driver.ends_at = None;
        driver.eval(script);
        let ticks = driver.ticks;
        for at in (0..ticks.min(60)).step_by(3) {
            let error: &[u8] = b"ERR ended";
            driver.ends_at = Some((at, (number % 2 == 0).then_some(error)));
            driver.eval(script);
            assert_eq!(
                driver.ending,
                Ending::Failed { counted: false },
                "{script} {whole} {at}"
            );
        }
        driver.ends_at = None;
        assert_eq!(
            driver.eval("return {redis.call('ping')}"),
            r"*1\r\n+PONG\r\n",
            "{script}"
        );
    }
}
