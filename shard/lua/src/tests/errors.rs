//! Errors, caught and not.

use protocol::reply::Version;

use super::driver::check;

#[test]
fn errors_are_redis_s() {
    check(Version::Resp2, ERRORS);
}

pub const ERRORS: &[(&str, &str)] = &[
    (
        "redis.acl_check_cmd()",
        r"-ERR Please specify at least one argument for this redis lib call script: SHA, on @user_script:1.\r\n",
    ),
    (
        "redis.acl_check_cmd({})",
        r"-ERR Lua redis lib command arguments must be strings or integers script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local s=string.dump(function() end) local a,b=loadstring(s) return b",
        r#"$53\r\n[string \"\x1bLuaQ\"]:1: unexpected symbol near \'char(27)\'\r\n"#,
    ),
    (
        "x x",
        r"-ERR Error compiling script (new function): user_script:1: \'=\' expected near \'x\'\r\n",
    ),
    ("return loadstring('x x')", r"$-1\r\n"),
    (
        "local a,b=loadstring('x x') return b",
        r#"$39\r\n[string \"x x\"]:1: \'=\' expected near \'x\'\r\n"#,
    ),
    (
        "local a,b=loadstring('x x','@foo') return b",
        r"$28\r\nfoo:1: \'=\' expected near \'x\'\r\n",
    ),
    (
        "local a,b=loadstring('x x','=foo') return b",
        r"$28\r\nfoo:1: \'=\' expected near \'x\'\r\n",
    ),
    (
        r"local a,b=loadstring('x x','foo\nbar') return b",
        r#"$42\r\n[string \"foo...\"]:1: \'=\' expected near \'x\'\r\n"#,
    ),
    (
        "local n=0 local a,b=load(function() n=n+1 if n==1 then return 'return ' elseif n==2 then return '7' end end) return a()",
        r":7\r\n",
    ),
    (
        "local n=0 local a,b=load(function() n=n+1 if n<2 then return {} end end) return b",
        r"-ERR user_script:1: reader function must return a string\r\n",
    ),
    (
        r"local n=0 local a,b=load(function() n=n+1 if n<2 then return '\27Lua' end end) return b",
        r"$43\r\n(load):1: unexpected symbol near \'char(27)\'\r\n",
    ),
    (
        "local n=0 local a,b=load(function() error('x') end) return b",
        r"-ERR user_script:1: x\r\n",
    ),
    (
        "local a,b=load(function() return redis.call() end) return type(b)",
        r"$5\r\ntable\r\n",
    ),
    (
        "load(5)",
        r"-ERR user_script:1: bad argument #1 to \'load\' (function expected, got number) script: SHA, on @user_script:1.\r\n",
    ),
    (
        "load()",
        r"-ERR user_script:1: bad argument #1 to \'load\' (function expected, got no value) script: SHA, on @user_script:1.\r\n",
    ),
    (
        "loadstring()",
        r"-ERR user_script:1: bad argument #1 to \'loadstring\' (string expected, got no value) script: SHA, on @user_script:1.\r\n",
    ),
    (
        "loadstring(nil)",
        r"-ERR user_script:1: bad argument #1 to \'loadstring\' (string expected, got nil) script: SHA, on @user_script:1.\r\n",
    ),
    ("loadstring('return 1','x')", r"$-1\r\n"),
    (
        "return loadstring('return x')()",
        r#"-ERR [string \"return x\"]:1: Script attempted to access nonexistent global variable \'x\' script: SHA, on return x:1.\r\n"#,
    ),
    (
        "return loadstring('x=1')()",
        r#"-ERR [string \"x=1\"]:1: Attempt to modify a readonly table script: SHA, on x=1:1.\r\n"#,
    ),
    (
        "redis.sha1hex()",
        r"-ERR wrong number of arguments script: SHA, on @user_script:1.\r\n",
    ),
    (
        "redis.setresp(4)",
        r"-ERR RESP version must be 2 or 3. script: SHA, on @user_script:1.\r\n",
    ),
    (
        "redis.setresp()",
        r"-ERR redis.setresp() requires one argument. script: SHA, on @user_script:1.\r\n",
    ),
    (
        "redis.setresp('x')",
        r"-ERR RESP version must be 2 or 3. script: SHA, on @user_script:1.\r\n",
    ),
    ("redis.setresp('3')", r"$-1\r\n"),
    ("redis.setresp(2.5)", r"$-1\r\n"),
    (
        "redis.setresp(nil)",
        r"-ERR RESP version must be 2 or 3. script: SHA, on @user_script:1.\r\n",
    ),
    (
        "redis.set_repl(9)",
        r"-ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE. script: SHA, on @user_script:1.\r\n",
    ),
    (
        "redis.set_repl()",
        r"-ERR redis.set_repl() requires one argument. script: SHA, on @user_script:1.\r\n",
    ),
    (
        "redis.set_repl(-1)",
        r"-ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE. script: SHA, on @user_script:1.\r\n",
    ),
    ("redis.set_repl('x')", r"$-1\r\n"),
    (
        "redis.log(1)",
        r"-ERR redis.log() requires two arguments or more. script: SHA, on @user_script:1.\r\n",
    ),
    (
        "redis.log('a','b')",
        r"-ERR First argument must be a number (log level). script: SHA, on @user_script:1.\r\n",
    ),
    (
        "redis.log(9,'b')",
        r"-ERR Invalid log level. script: SHA, on @user_script:1.\r\n",
    ),
    (
        "redis.log(-1,'b')",
        r"-ERR Invalid log level. script: SHA, on @user_script:1.\r\n",
    ),
    ("redis.log(1,{})", r"$-1\r\n"),
    ("redis.log(1.5,'x')", r"$-1\r\n"),
    ("redis.log('2','x')", r"$-1\r\n"),
    (
        "local x=nil; return x.y",
        r"-ERR user_script:1: attempt to index local \'x\' (a nil value) script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return nosuch()",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'nosuch\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "setfenv(redis.call,{})",
        r"-ERR user_script:1: \'setfenv\' cannot change environment of given object script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local f=loadstring('return a') setfenv(f,setmetatable({a=5},{__index=_G})) return f()",
        r":5\r\n",
    ),
    ("return pcall(error,{err='x'})", r"$-1\r\n"),
    (
        "return {pcall(error,{err='x'})}",
        r"*2\r\n$-1\r\n$1\r\nx\r\n",
    ),
    ("return {pcall(error,{err=1})}", r"*2\r\n$-1\r\n:1\r\n"),
    ("return {pcall(error,'x')}", r"*2\r\n$-1\r\n$1\r\nx\r\n"),
    (
        "return {pcall(error,'x',2)}",
        r"*2\r\n$-1\r\n$16\r\nuser_script:1: x\r\n",
    ),
    ("return {pcall(error)}", r"*1\r\n$-1\r\n"),
    ("return {pcall(error,nil)}", r"*1\r\n$-1\r\n"),
    (
        "return {pcall(function() return 1,2,3 end)}",
        r"*4\r\n:1\r\n:1\r\n:2\r\n:3\r\n",
    ),
    (
        "return {pcall(function(...) return ... end,1,2,3)}",
        r"*4\r\n:1\r\n:1\r\n:2\r\n:3\r\n",
    ),
    ("return select('#',pcall(error,{}))", r":3\r\n"),
    ("return select('#',pcall(error,{1,2}))", r":3\r\n"),
    (
        "return {pcall()}",
        r"*2\r\n$-1\r\n$31\r\nattempt to call a boolean value\r\n",
    ),
    (
        "return {pcall(pcall)}",
        r"*3\r\n:1\r\n$-1\r\n$31\r\nattempt to call a boolean value\r\n",
    ),
    (
        "return {pcall(pcall,error,'x')}",
        r"*3\r\n:1\r\n$-1\r\n$1\r\nx\r\n",
    ),
    (
        "return {pcall(5)}",
        r"*2\r\n$-1\r\n$30\r\nattempt to call a number value\r\n",
    ),
    (
        "return {pcall(nil)}",
        r"*2\r\n$-1\r\n$27\r\nattempt to call a nil value\r\n",
    ),
    (
        "local ok,e=pcall(redis.call) return e",
        r"$64\r\nERR Please specify at least one argument for this redis lib call\r\n",
    ),
    (
        "return {xpcall(function() redis.call() end, function(e) return e end)}",
        r"*2\r\n$-1\r\n-ERR Please specify at least one argument for this redis lib call\r\n",
    ),
    (
        "return {xpcall(function() redis.call() end, function(e) return e.line end)}",
        r"*1\r\n$-1\r\n",
    ),
    (
        "return {xpcall(function() redis.call() end, function(e) return type(e) end)}",
        r"*2\r\n$-1\r\n$5\r\ntable\r\n",
    ),
    (
        "return {xpcall(function() error('x') end, function(e) return e..'y' end)}",
        r"*2\r\n$-1\r\n$17\r\nuser_script:1: xy\r\n",
    ),
    (
        "return {xpcall(function() error('x') end, function(e) error('z') end)}",
        r"*2\r\n$-1\r\n$23\r\nerror in error handling\r\n",
    ),
    (
        "return {xpcall(function() return 1,2 end, function(e) return e end)}",
        r"*3\r\n:1\r\n:1\r\n:2\r\n",
    ),
    (
        "return {xpcall(5,6)}",
        r"*2\r\n$-1\r\n$23\r\nerror in error handling\r\n",
    ),
    (
        "return {xpcall(function() error('x') end)}",
        r"-ERR user_script:1: bad argument #2 to \'xpcall\' (value expected) script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return {xpcall(function() error('x') end, 5)}",
        r"*2\r\n$-1\r\n$23\r\nerror in error handling\r\n",
    ),
    (
        "return {pcall(string.rep)}",
        r"*2\r\n$-1\r\n$54\r\nbad argument #1 to \'?\' (string expected, got no value)\r\n",
    ),
    (
        "return {pcall(string.rep,'x')}",
        r"*2\r\n$-1\r\n$54\r\nbad argument #2 to \'?\' (number expected, got no value)\r\n",
    ),
    (
        "return {pcall(string.rep,'x',-1)}",
        r"*2\r\n:1\r\n$0\r\n\r\n",
    ),
    (
        "return {pcall(function() redis.x=1 end)}",
        r"*2\r\n$-1\r\n$49\r\nuser_script:1: Attempt to modify a readonly table\r\n",
    ),
    (
        "return {pcall(function() string.x=1 end)}",
        r"*2\r\n$-1\r\n$49\r\nuser_script:1: Attempt to modify a readonly table\r\n",
    ),
    (
        "return {pcall(rawset,string,'x',1)}",
        r"*2\r\n$-1\r\n$34\r\nAttempt to modify a readonly table\r\n",
    ),
    (
        "return {pcall(rawset,{},'x')}",
        r"*2\r\n$-1\r\n$39\r\nbad argument #3 to \'?\' (value expected)\r\n",
    ),
    (
        "return {pcall(rawset,{},nil,1)}",
        r"*2\r\n$-1\r\n$18\r\ntable index is nil\r\n",
    ),
    (
        "return {pcall(rawset,5,1,1)}",
        r"*2\r\n$-1\r\n$51\r\nbad argument #1 to \'?\' (table expected, got number)\r\n",
    ),
    (
        "return {pcall(rawget,5,1)}",
        r"*2\r\n$-1\r\n$51\r\nbad argument #1 to \'?\' (table expected, got number)\r\n",
    ),
    (
        "return {pcall(rawget,{})}",
        r"*2\r\n$-1\r\n$39\r\nbad argument #2 to \'?\' (value expected)\r\n",
    ),
    (
        "return {pcall(setmetatable,string,{})}",
        r"*2\r\n$-1\r\n$34\r\nAttempt to modify a readonly table\r\n",
    ),
    (
        "return {pcall(setmetatable,string,nil)}",
        r"*2\r\n$-1\r\n$34\r\nAttempt to modify a readonly table\r\n",
    ),
    (
        "return {pcall(setmetatable,string)}",
        r"*2\r\n$-1\r\n$46\r\nbad argument #2 to \'?\' (nil or table expected)\r\n",
    ),
    (
        "return {pcall(setmetatable,5,{})}",
        r"*2\r\n$-1\r\n$51\r\nbad argument #1 to \'?\' (table expected, got number)\r\n",
    ),
    (
        "return {pcall(setmetatable,setmetatable({},{__metatable='x'}),{})}",
        r"*2\r\n$-1\r\n$35\r\ncannot change a protected metatable\r\n",
    ),
    (
        "return {pcall(getmetatable)}",
        r"*2\r\n$-1\r\n$39\r\nbad argument #1 to \'?\' (value expected)\r\n",
    ),
    (
        "error('x',2)",
        r"-ERR x script: SHA, on @user_script:1.\r\n",
    ),
    (
        "error('x',0)",
        r"-ERR x script: SHA, on @user_script:1.\r\n",
    ),
    (
        "error('x',1)",
        r"-ERR user_script:1: x script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local function f() error('deep') end f()",
        r"-ERR user_script:1: deep script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local function f() error('deep',2) end f()",
        r"-ERR user_script:1: deep script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return {pcall(string.gsub,'abc','(','x')}",
        r"*3\r\n:1\r\n$7\r\nxaxbxcx\r\n:4\r\n",
    ),
    (
        "return {pcall(string.gsub,'abc','%','x')}",
        r"*2\r\n$-1\r\n$33\r\nmalformed pattern (ends with \'%\')\r\n",
    ),
    (
        "return {pcall(string.find,'abc','[a')}",
        r"*2\r\n$-1\r\n$31\r\nmalformed pattern (missing \']\')\r\n",
    ),
    (
        "return {pcall(string.gsub,'abc','a','%9')}",
        r"*2\r\n$-1\r\n$21\r\ninvalid capture index\r\n",
    ),
    (
        "return {pcall(string.char,256)}",
        r"*2\r\n$-1\r\n$38\r\nbad argument #1 to \'?\' (invalid value)\r\n",
    ),
    (
        "return {pcall(table.concat,{1,{},3})}",
        r"*2\r\n$-1\r\n$54\r\ninvalid value (table) at index 2 in table for \'concat\'\r\n",
    ),
    (
        "return {pcall(table.sort,{3,'a',2})}",
        r"*2\r\n$-1\r\n$37\r\nattempt to compare string with number\r\n",
    ),
    (
        "return {pcall(table.sort,{1,2,3,4,5},function(a,b) return true end)}",
        r"*2\r\n$-1\r\n$34\r\ninvalid order function for sorting\r\n",
    ),
    (
        "return {pcall(table.insert,{1},2,3,4)}",
        r"*2\r\n$-1\r\n$37\r\nwrong number of arguments to \'insert\'\r\n",
    ),
    (
        "return {pcall(table.insert,{1})}",
        r"*2\r\n$-1\r\n$37\r\nwrong number of arguments to \'insert\'\r\n",
    ),
    (
        "return {pcall(table.insert,string)}",
        r"*2\r\n$-1\r\n$37\r\nwrong number of arguments to \'insert\'\r\n",
    ),
    ("return {pcall(table.sort,string)}", r"*1\r\n:1\r\n"),
    (
        "return {pcall(table.setn,{},1)}",
        r"*2\r\n$-1\r\n$18\r\n\'setn\' is obsolete\r\n",
    ),
    (
        "return {pcall(next,{},'x')}",
        r"*2\r\n$-1\r\n$21\r\ninvalid key to \'next\'\r\n",
    ),
    (
        "return {pcall(next)}",
        r"*2\r\n$-1\r\n$53\r\nbad argument #1 to \'?\' (table expected, got no value)\r\n",
    ),
    (
        "return {pcall(next,5)}",
        r"*2\r\n$-1\r\n$51\r\nbad argument #1 to \'?\' (table expected, got number)\r\n",
    ),
    (
        "return {pcall(pairs)}",
        r"*2\r\n$-1\r\n$53\r\nbad argument #1 to \'?\' (table expected, got no value)\r\n",
    ),
    (
        "return {pcall(pairs,nil)}",
        r"*2\r\n$-1\r\n$48\r\nbad argument #1 to \'?\' (table expected, got nil)\r\n",
    ),
    (
        "return {pcall(ipairs)}",
        r"*2\r\n$-1\r\n$53\r\nbad argument #1 to \'?\' (table expected, got no value)\r\n",
    ),
    (
        "return {pcall(unpack,{},1,8000)}",
        r"*2\r\n$-1\r\n$26\r\ntoo many results to unpack\r\n",
    ),
    (
        "return {pcall(unpack)}",
        r"*2\r\n$-1\r\n$53\r\nbad argument #1 to \'?\' (table expected, got no value)\r\n",
    ),
    (
        "return {pcall(unpack,{},'a')}",
        r"*2\r\n$-1\r\n$52\r\nbad argument #2 to \'?\' (number expected, got string)\r\n",
    ),
    (
        "return {pcall(select,0)}",
        r"*2\r\n$-1\r\n$43\r\nbad argument #1 to \'?\' (index out of range)\r\n",
    ),
    (
        "return {pcall(tonumber)}",
        r"*2\r\n$-1\r\n$39\r\nbad argument #1 to \'?\' (value expected)\r\n",
    ),
    (
        "return {pcall(tonumber,'1',99)}",
        r"*2\r\n$-1\r\n$42\r\nbad argument #2 to \'?\' (base out of range)\r\n",
    ),
    (
        "return {pcall(tostring)}",
        r"*2\r\n$-1\r\n$39\r\nbad argument #1 to \'?\' (value expected)\r\n",
    ),
    (
        "return {pcall(type)}",
        r"*2\r\n$-1\r\n$39\r\nbad argument #1 to \'?\' (value expected)\r\n",
    ),
    (
        "return {pcall(assert,false)}",
        r"*2\r\n$-1\r\n$17\r\nassertion failed!\r\n",
    ),
    (
        "return {pcall(assert,false,'msg')}",
        r"*2\r\n$-1\r\n$3\r\nmsg\r\n",
    ),
    (
        "return {pcall(assert,nil,{1})}",
        r"*2\r\n$-1\r\n$51\r\nbad argument #2 to \'?\' (string expected, got table)\r\n",
    ),
    (
        "return {pcall(math.floor,'x')}",
        r"*2\r\n$-1\r\n$52\r\nbad argument #1 to \'?\' (number expected, got string)\r\n",
    ),
    (
        "return {pcall(math.random,0)}",
        r"*2\r\n$-1\r\n$42\r\nbad argument #1 to \'?\' (interval is empty)\r\n",
    ),
    (
        "return {pcall(math.random,1,2,3)}",
        r"*2\r\n$-1\r\n$25\r\nwrong number of arguments\r\n",
    ),
    (
        "return {pcall(math.random,2,1)}",
        r"*2\r\n$-1\r\n$42\r\nbad argument #2 to \'?\' (interval is empty)\r\n",
    ),
    (
        "return {pcall(math.random,'x')}",
        r"*2\r\n$-1\r\n$52\r\nbad argument #1 to \'?\' (number expected, got string)\r\n",
    ),
    (
        "coroutine.wrap(function() error('x') end)()",
        r"-ERR user_script:1: user_script:1: x script: SHA, on @user_script:1.\r\n",
    ),
    (
        "return {pcall(coroutine.yield,1)}",
        r"*2\r\n$-1\r\n$50\r\nattempt to yield across metamethod/C-call boundary\r\n",
    ),
    (
        "return {coroutine.resume(coroutine.create(function() return pcall(coroutine.yield,1) end))}",
        r"*3\r\n:1\r\n$-1\r\n$50\r\nattempt to yield across metamethod/C-call boundary\r\n",
    ),
    (
        "loadfile('x')",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'loadfile\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "local a={} for i=1,100 do a[i]=i end return redis.call('echo',table.concat(a,','))",
        r"$291\r\n1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63,64,65,66,67,68,69,70,71,72,73,74,75,76,77,78,79,80,81,82,83,84,85,86,87,88,89,90,91,92,93,94,95,96,97,98,99,100\r\n",
    ),
    (
        "goto x",
        r"-ERR Error compiling script (new function): user_script:1: \'=\' expected near \'x\'\r\n",
    ),
    (
        "local function f() return pcall(f) end return f()",
        r":1\r\n",
    ),
    (
        "a.b=1",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'a\' script: SHA, on @user_script:1.\r\n",
    ),
    (
        "redis.call=nil",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    ),
];
