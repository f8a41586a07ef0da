//! What scripts find, and may do.

use protocol::reply::Version;

use super::driver::check;

#[test]
fn functions_are_lua_s_and_tables_read_only() {
    check(Version::Resp2, SANDBOX);
}

pub const SANDBOX: &[(&str, &str)] = &[
    (
        "local x = ",
        r"-ERR Error compiling script (new function): user_script:1: unexpected symbol near \'<eof>\'\r\n",
    ),
    (
        "return redis.sha1hex('')",
        r"$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n",
    ),
    (
        "return redis.sha1hex(nil)",
        r"$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n",
    ),
    (
        "return redis.sha1hex({})",
        r"$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n",
    ),
    (
        "return redis.sha1hex(12)",
        r"$40\r\n7b52009b64fd0a2a49e6d8a939753077792b0554\r\n",
    ),
    (
        "return redis.sha1hex('a','b')",
        r"-ERR wrong number of arguments script: SHA, on @user_script:1.\r\n",
    ),
    ("return redis.breakpoint()", r"$-1\r\n"),
    ("return redis.debug('x')", r"$-1\r\n"),
    ("return redis.replicate_commands()", r":1\r\n"),
    (
        "local x={} return x.y.z",
        r"-ERR user_script:1: attempt to index field \'y\' (a nil value) script: SHA, on @user_script:1.\r\n",
    ),
    ("return KEYS", r"*0\r\n"),
    ("return ARGV", r"*0\r\n"),
    (
        "KEYS=1",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    ("KEYS[1]='x' return KEYS[1]", r"$1\r\nx\r\n"),
    ("return tostring(getfenv(0)==_G)", r"$4\r\ntrue\r\n"),
    ("return tostring(getfenv(1)==_G)", r"$4\r\ntrue\r\n"),
    ("return tostring(getfenv()==_G)", r"$4\r\ntrue\r\n"),
    (
        "return tostring(getfenv(print)==_G)",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'print\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return tostring(getfenv(redis.call)==_G)",
        r"$4\r\ntrue\r\n",
    ),
    (
        "setfenv(2,{})",
        r"-ERR user_script:1: bad argument #1 to \'setfenv\' (invalid level) script: SHA, on @user_script:1.\r\n",
    ),
    (
        "setfenv(5,{})",
        r"-ERR user_script:1: bad argument #1 to \'setfenv\' (invalid level) script: SHA, on @user_script:1.\r\n",
    ),
    (
        "setfenv(function() end, 1)",
        r"-ERR user_script:1: bad argument #2 to \'setfenv\' (table expected, got number) script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local f=setfenv(function() return a end,{a=3}) return f()",
        r":3\r\n",
    ),
    ("return collectgarbage('count')>0", r":1\r\n"),
    ("return collectgarbage('collect')", r":0\r\n"),
    (
        "return collectgarbage('foo')",
        r"-ERR user_script:1: bad argument #1 to \'collectgarbage\' (invalid option \'foo\') script: SHA, on @user_script:1.\r\n",
    ),
    ("return type(rawget(_G,'redis'))", r"$5\r\ntable\r\n"),
    ("return type(rawget(string,'rep'))", r"$8\r\nfunction\r\n"),
    ("return tostring(rawequal(_G,_G))", r"$4\r\ntrue\r\n"),
    (
        "return tostring(rawequal(string,rawget(_G,'string')))",
        r"$4\r\ntrue\r\n",
    ),
    (
        "return tostring(getmetatable(setmetatable({},{__metatable='x'})))",
        r"$1\r\nx\r\n",
    ),
    ("return tostring(getmetatable(5))", r"$3\r\nnil\r\n"),
    ("return tostring(getmetatable({}))", r"$3\r\nnil\r\n"),
    ("return tostring(getmetatable(redis))", r"$3\r\nnil\r\n"),
    (
        "return tostring(getmetatable(getmetatable(_G)))",
        r"$3\r\nnil\r\n",
    ),
    (
        "getmetatable(_G).x=1",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "getmetatable(_G).__index=1",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return tostring(getmetatable('').__index==string)",
        r"$4\r\ntrue\r\n",
    ),
    ("return #redis + #string", r":0\r\n"),
    ("return {true,false}", r"*2\r\n:1\r\n$-1\r\n"),
    ("return redis.call('ping').ok", r"$4\r\nPONG\r\n"),
    ("return tostring(redis.call('ping').err)", r"$3\r\nnil\r\n"),
    ("return redis.call('echo','')", r"$0\r\n\r\n"),
    (r"return redis.call('echo','a\0b')", r"$3\r\na\x00b\r\n"),
    (
        "local function f() local x = nil .. 'a' end f()",
        r"-ERR user_script:1: attempt to concatenate a nil value script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return #5",
        r"-ERR user_script:1: attempt to get length of a number value script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local a=5 a()",
        r"-ERR user_script:1: attempt to call local \'a\' (a number value) script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local a={} a.b.c()",
        r"-ERR user_script:1: attempt to index field \'b\' (a nil value) script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local a={} a:b()",
        r"-ERR user_script:1: attempt to call method \'b\' (a nil value) script: SHA, on @user_script:1.\r\n",
    ),
    (
        r#"("x")()"#,
        r"-ERR user_script:1: attempt to call a string value script: SHA, on @user_script:1.\r\n",
    ),
    (
        "for i='a',2 do end",
        r"-ERR user_script:1: \'for\' initial value must be a number script: SHA, on @user_script:1.\r\n",
    ),
    ("for i=1,10,0 do break end return 1", r":1\r\n"),
    (
        "return -{}",
        r"-ERR user_script:1: attempt to perform arithmetic on a table value script: SHA, on @user_script:1.\r\n",
    ),
    ("return tostring(string.find('hello','l'))", r"$1\r\n3\r\n"),
    (
        "return {string.find('hello','(l)(l)')}",
        r"*4\r\n:3\r\n:4\r\n$1\r\nl\r\n$1\r\nl\r\n",
    ),
    (
        "return {string.match('key=val','(%w+)=(%w+)')}",
        r"*2\r\n$3\r\nkey\r\n$3\r\nval\r\n",
    ),
    (
        "return {string.gsub('hello','l','L')}",
        r"*2\r\n$5\r\nheLLo\r\n:2\r\n",
    ),
    (
        "return {string.gsub('hello','l',{l='X'})}",
        r"*2\r\n$5\r\nheXXo\r\n:2\r\n",
    ),
    (
        "return {string.gsub('hello','l',function(c) return c..'!' end)}",
        r"*2\r\n$7\r\nhel!l!o\r\n:2\r\n",
    ),
    (
        "return {string.gsub('hello','l',redis)}",
        r"*2\r\n$5\r\nhello\r\n:2\r\n",
    ),
    (
        "return {string.gsub('abc','%w','%0%0')}",
        r"*2\r\n$6\r\naabbcc\r\n:3\r\n",
    ),
    (
        "local o={} for w in string.gmatch('one two','%a+') do o[#o+1]=w end return o",
        r"*2\r\n$3\r\none\r\n$3\r\ntwo\r\n",
    ),
    (
        "local o={} for w in string.gfind('one two','%a+') do o[#o+1]=w end return o",
        r"*2\r\n$3\r\none\r\n$3\r\ntwo\r\n",
    ),
    (
        "return {string.byte('abc',1,3)}",
        r"*3\r\n:97\r\n:98\r\n:99\r\n",
    ),
    ("return table.concat({1,2,3},',')", r"$5\r\n1,2,3\r\n"),
    ("return table.concat({},',')", r"$0\r\n\r\n"),
    (
        "local t={3,1,2} table.sort(t) return t",
        r"*3\r\n:1\r\n:2\r\n:3\r\n",
    ),
    (
        "local t={3,1,2} table.sort(t,function(a,b) return a>b end) return t",
        r"*3\r\n:3\r\n:2\r\n:1\r\n",
    ),
    (
        "local t={1,2,3} table.insert(t,1,0) table.insert(t,4) return t",
        r"*5\r\n:0\r\n:1\r\n:2\r\n:3\r\n:4\r\n",
    ),
    (
        "local t={1,2,3} return {table.remove(t),table.remove(t,1),#t}",
        r"*3\r\n:3\r\n:1\r\n:1\r\n",
    ),
    ("return {table.remove(string)}", r"*0\r\n"),
    ("return table.getn({1,2,3})", r":3\r\n"),
    ("return table.maxn({1,2,[10]=3})", r":10\r\n"),
    ("return table.maxn(redis)", r":0\r\n"),
    (
        "local n=0 table.foreach(os,function(k,v) n=n+1 end) return n",
        r":1\r\n",
    ),
    (
        "local o={} table.foreachi({1,2},function(i,v) o[i]=v*2 end) return o",
        r"*2\r\n:2\r\n:4\r\n",
    ),
    (
        "local n=0 for k,v in pairs(os) do n=n+1 end return n",
        r":1\r\n",
    ),
    (
        "local n=0 for k,v in next,math do n=n+1 end return n",
        r":31\r\n",
    ),
    (
        "local n=0 for k,v in pairs(string) do n=n+1 end return n",
        r":15\r\n",
    ),
    (
        "local n=0 for k,v in pairs(table) do n=n+1 end return n",
        r":9\r\n",
    ),
    (
        "local n=0 for k,v in pairs(redis) do n=n+1 end return n",
        r":23\r\n",
    ),
    (
        "local n=0 for k,v in pairs(coroutine) do n=n+1 end return n",
        r":6\r\n",
    ),
    ("return type(next(os))", r"$6\r\nstring\r\n"),
    (
        "local o={} for i,v in ipairs({1,2,nil,4}) do o[i]=v end return o",
        r"*2\r\n:1\r\n:2\r\n",
    ),
    (
        "local n=0 for i,v in ipairs(redis) do n=n+1 end return n",
        r":0\r\n",
    ),
    ("return {unpack({1,2,3})}", r"*3\r\n:1\r\n:2\r\n:3\r\n"),
    ("return {unpack({1,2,3},2)}", r"*2\r\n:2\r\n:3\r\n"),
    ("return {unpack({1,2,3},2,3)}", r"*2\r\n:2\r\n:3\r\n"),
    ("return select('#',unpack({1,nil,3}))", r":3\r\n"),
    (
        "return {select(2,'a','b','c')}",
        r"*2\r\n$1\r\nb\r\n$1\r\nc\r\n",
    ),
    ("return select(-1,'a','b')", r"$1\r\nb\r\n"),
    (
        "return {tonumber('10'),tonumber('0x1f'),tonumber('z',36),tonumber('8',8) or 'nil',tonumber('1e3'),tonumber(' 5 ')}",
        r"*6\r\n:10\r\n:31\r\n:35\r\n$3\r\nnil\r\n:1000\r\n:5\r\n",
    ),
    (
        "return tostring(nil)..tostring(true)..tostring(12.5)..tostring('x')",
        r"$12\r\nniltrue12.5x\r\n",
    ),
    (
        "return tostring(setmetatable({},{__tostring=function() return 'mine' end}))",
        r"$4\r\nmine\r\n",
    ),
    (
        "return type(5)..type('x')..type({})..type(nil)..type(print==nil)",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'print\' script: SHA, on @user_script:1.\r\n",
    ),
    ("return {assert(1,2,3)}", r"*3\r\n:1\r\n:2\r\n:3\r\n"),
    (
        "assert(false)",
        r"-ERR user_script:1: assertion failed! script: SHA, on @user_script:1.\r\n",
    ),
    (
        "assert(false,'boom')",
        r"-ERR user_script:1: boom script: SHA, on @user_script:1.\r\n",
    ),
    ("return _VERSION", r"$7\r\nLua 5.1\r\n"),
    (
        "return math.floor(3.7)..math.ceil(3.2)..math.max(1,5,3)..math.min(4,2)..math.abs(-3)",
        r"$5\r\n34523\r\n",
    ),
    (
        "return math.sqrt(16)..math.pow(2,10)..math.fmod(7,3)..math.mod(7,3)",
        r"$7\r\n4102411\r\n",
    ),
    (
        "return tostring(math.pi)..tostring(math.huge)",
        r"$18\r\n3.1415926535898inf\r\n",
    ),
    (
        "return {math.modf(3.7),math.frexp(8),math.ldexp(1,4)}",
        r"*3\r\n:3\r\n:0\r\n:16\r\n",
    ),
    (
        "math.random(0)",
        r"-ERR user_script:1: bad argument #1 to \'random\' (interval is empty) script: SHA, on @user_script:1.\r\n",
    ),
    (
        "math.random(1,2,3)",
        r"-ERR user_script:1: wrong number of arguments script: SHA, on @user_script:1.\r\n",
    ),
    (
        "math.randomseed()",
        r"-ERR user_script:1: bad argument #1 to \'randomseed\' (number expected, got no value) script: SHA, on @user_script:1.\r\n",
    ),
    ("return os.time", r"$-1\r\n"),
    ("return type(os)", r"$5\r\ntable\r\n"),
    (
        "local co=coroutine.create(function(a) local b=coroutine.yield(a+1) return b*2 end) local x,y=coroutine.resume(co,1) local z,w=coroutine.resume(co,10) return {y,w,coroutine.status(co)}",
        r"*3\r\n:2\r\n:20\r\n$4\r\ndead\r\n",
    ),
    (
        "return {coroutine.resume(coroutine.create(function() return redis.call('ping') end))}",
        r"*2\r\n:1\r\n+PONG\r\n",
    ),
    (
        "coroutine.wrap(function() x=1 end)()",
        r"-ERR user_script:1: user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "coroutine.yield(1)",
        r"-ERR attempt to yield across metamethod/C-call boundary script: SHA, on @user_script:1.\r\n",
    ),
    ("return tostring(coroutine.running())", r"$3\r\nnil\r\n"),
    (
        "return {coroutine.resume(coroutine.create(function() return getfenv(0)==_G end))}",
        r"*2\r\n:1\r\n:1\r\n",
    ),
    (
        "print(1)",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'print\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "dofile('x')",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'dofile\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "require('x')",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'require\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "module('x')",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'module\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "debug.getinfo(1)",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'debug\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "io.open('x')",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'io\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "package.path=1",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'package\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return package",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'package\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return debug",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'debug\' script: SHA, on @user_script:1.\r\n",
    ),
    ("return redis.REDIS_VERSION", r"$5\r\n7.4.1\r\n"),
    ("return redis.REDIS_VERSION_NUM", r":459777\r\n"),
    (
        "return {redis.LOG_DEBUG,redis.LOG_VERBOSE,redis.LOG_NOTICE,redis.LOG_WARNING,redis.REPL_NONE,redis.REPL_AOF,redis.REPL_SLAVE,redis.REPL_REPLICA,redis.REPL_ALL}",
        r"*9\r\n:0\r\n:1\r\n:2\r\n:3\r\n:0\r\n:1\r\n:2\r\n:2\r\n:3\r\n",
    ),
    ("return redis.call('echo', 1.5)", r"$3\r\n1.5\r\n"),
    ("return redis.call('echo', 1e20)", r"$5\r\n1e+20\r\n"),
    ("return redis.call('echo', 3)", r"$1\r\n3\r\n"),
    (
        "return redis.call('echo', 1e15)",
        r"$16\r\n1000000000000000\r\n",
    ),
    (
        "return redis.call('echo', 1e18)",
        r"$19\r\n1000000000000000000\r\n",
    ),
    (
        "return redis.call('echo', 4611686018427387904)",
        r"$19\r\n4611686018427387904\r\n",
    ),
    ("return redis.call('echo', 5e18)", r"$5\r\n5e+18\r\n"),
    ("return redis.call('echo', -5e18)", r"$6\r\n-5e+18\r\n"),
    ("return redis.call('echo', -0.0)", r"$1\r\n0\r\n"),
    ("return redis.call('echo', 0/0)", r"$4\r\n-nan\r\n"),
    ("return redis.call('echo', -(0/0))", r"$3\r\nnan\r\n"),
    ("return redis.call('echo', 1/0)", r"$3\r\ninf\r\n"),
    ("return redis.call('echo', -1/0)", r"$4\r\n-inf\r\n"),
    ("return redis.call('echo', 0.1)", r"$3\r\n0.1\r\n"),
    ("return redis.call('echo', 1e-10)", r"$5\r\n1e-10\r\n"),
    (
        "return redis.call('echo', 123456.789e3)",
        r"$9\r\n123456789\r\n",
    ),
    (
        "return redis.call('echo', 2^53+1)",
        r"$16\r\n9007199254740992\r\n",
    ),
    (
        "return redis.call('echo', true)",
        r"-ERR Lua redis lib command arguments must be strings or integers script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return redis.call('echo', redis)",
        r"-ERR Lua redis lib command arguments must be strings or integers script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return redis.call('echo', function() end)",
        r"-ERR Lua redis lib command arguments must be strings or integers script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local t={} for i=1,50 do t[i]={i,tostring(i)} end return t",
        r"*50\r\n*2\r\n:1\r\n$1\r\n1\r\n*2\r\n:2\r\n$1\r\n2\r\n*2\r\n:3\r\n$1\r\n3\r\n*2\r\n:4\r\n$1\r\n4\r\n*2\r\n:5\r\n$1\r\n5\r\n*2\r\n:6\r\n$1\r\n6\r\n*2\r\n:7\r\n$1\r\n7\r\n*2\r\n:8\r\n$1\r\n8\r\n*2\r\n:9\r\n$1\r\n9\r\n*2\r\n:10\r\n$2\r\n10\r\n*2\r\n:11\r\n$2\r\n11\r\n*2\r\n:12\r\n$2\r\n12\r\n*2\r\n:13\r\n$2\r\n13\r\n*2\r\n:14\r\n$2\r\n14\r\n*2\r\n:15\r\n$2\r\n15\r\n*2\r\n:16\r\n$2\r\n16\r\n*2\r\n:17\r\n$2\r\n17\r\n*2\r\n:18\r\n$2\r\n18\r\n*2\r\n:19\r\n$2\r\n19\r\n*2\r\n:20\r\n$2\r\n20\r\n*2\r\n:21\r\n$2\r\n21\r\n*2\r\n:22\r\n$2\r\n22\r\n*2\r\n:23\r\n$2\r\n23\r\n*2\r\n:24\r\n$2\r\n24\r\n*2\r\n:25\r\n$2\r\n25\r\n*2\r\n:26\r\n$2\r\n26\r\n*2\r\n:27\r\n$2\r\n27\r\n*2\r\n:28\r\n$2\r\n28\r\n*2\r\n:29\r\n$2\r\n29\r\n*2\r\n:30\r\n$2\r\n30\r\n*2\r\n:31\r\n$2\r\n31\r\n*2\r\n:32\r\n$2\r\n32\r\n*2\r\n:33\r\n$2\r\n33\r\n*2\r\n:34\r\n$2\r\n34\r\n*2\r\n:35\r\n$2\r\n35\r\n*2\r\n:36\r\n$2\r\n36\r\n*2\r\n:37\r\n$2\r\n37\r\n*2\r\n:38\r\n$2\r\n38\r\n*2\r\n:39\r\n$2\r\n39\r\n*2\r\n:40\r\n$2\r\n40\r\n*2\r\n:41\r\n$2\r\n41\r\n*2\r\n:42\r\n$2\r\n42\r\n*2\r\n:43\r\n$2\r\n43\r\n*2\r\n:44\r\n$2\r\n44\r\n*2\r\n:45\r\n$2\r\n45\r\n*2\r\n:46\r\n$2\r\n46\r\n*2\r\n:47\r\n$2\r\n47\r\n*2\r\n:48\r\n$2\r\n48\r\n*2\r\n:49\r\n$2\r\n49\r\n*2\r\n:50\r\n$2\r\n50\r\n",
    ),
    ("#!lua", r"-ERR Invalid script shebang\r\n"),
    ("return", r"$-1\r\n"),
    ("return {redis}", r"*1\r\n*0\r\n"),
    (
        "local function f(n) if n==0 then return 0 end return 1+f(n-1) end return f(1000)",
        r":1000\r\n",
    ),
    (
        "local function f() return f()+1 end return f()",
        r"-ERR user_script:1: stack overflow script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local t=setmetatable({},{}) getmetatable(t).__index=t return t.x",
        r"-ERR user_script:1: loop in gettable script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local s='x' for i=1,100 do s=s..'y' end return s",
        r"$101\r\nxyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n",
    ),
    ("--[[ comment ]] return 1", r":1\r\n"),
    (
        "y]]",
        r"-ERR Error compiling script (new function): user_script:1: \'=\' expected near \']\'\r\n",
    ),
    (
        "if x then",
        r"-ERR Error compiling script (new function): user_script:1: \'end\' expected near \'<eof>\'\r\n",
    ),
    (
        "local x <const> = 1",
        r"-ERR Error compiling script (new function): user_script:1: unexpected symbol near \'<\'\r\n",
    ),
    ("while true do break end return 2", r":2\r\n"),
    ("repeat local z=1 until z==1 return 3", r":3\r\n"),
    (
        "redis['call']=1",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "_G.x=1",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "_G['redis']=1",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "string.rep=1",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "math.random=1",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    ("KEYS.x=1 return KEYS.x", r":1\r\n"),
    (
        "local r=redis r.x=1",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "for k,v in pairs(_G) do _G[k]=nil end",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "rawset(redis,'call',1)",
        r"-ERR Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "table.insert(redis,'x')",
        r"-ERR Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "table.insert(redis,1,'x')",
        r"-ERR Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "setmetatable(redis,{__index={}})",
        r"-ERR Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "cjson=1",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return tostring(1e15)..tostring(1e14)..tostring(123456789012345678)",
        r"$29\r\n1e+151e+141.2345678901235e+17\r\n",
    ),
    ("return not nil", r":1\r\n"),
    (
        "local t={} t[nil]=1",
        r"-ERR user_script:1: table index is nil script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local t={} t[0/0]=1",
        r"-ERR user_script:1: table index is NaN script: SHA, on @user_script:1.\r\n",
    ),
    ("return #'abc'", r":3\r\n"),
    ("return #{1,2,3,nil,5}>=3", r":1\r\n"),
    ("return next", r"$-1\r\n"),
    ("return {f=1}", r"*0\r\n"),
    ("return {[0]=1}", r"*0\r\n"),
    ("return {[1.5]=1,'x'}", r"*1\r\n$1\r\nx\r\n"),
];
