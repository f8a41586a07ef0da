//! The scripts that clients of the world run. Those with the same name in EVAL are meant: see
//! [`crate::draw::Draw::command`].

/// A script, and the name by which it is meant here.
pub struct NamedScript {
    pub name: &'static str,
    pub text: &'static str,
    /// How many keys it takes, where it touches no others; and the kinds of these keys.
    pub keys: Option<&'static str>,
}

/// Runs each of its arguments as a command, whose words have commas between them, and returns all
/// replies as a text. An error goes on to the next, but ends the script where the first word is
/// `!`. Whatever comes in no order is sorted; DBSIZE counts keys that have expired unseen.
const RUN: &str = "
local unordered = {KEYS = true, SORT = true}
local function show(reply, sorts)
  if type(reply) ~= 'table' then return tostring(reply) end
  if reply.err then return 'err ' .. reply.err end
  if reply.ok then return reply.ok end
  local all = {}
  for i, each in ipairs(reply) do all[i] = show(each) end
  if sorts then table.sort(all) end
  return '{' .. table.concat(all, ' ') .. '}'
end
local out = {}
for i, line in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(line, '[^,]+') do words[#words + 1] = word end
  local call = redis.pcall
  if words[1] == '!' then
    call = redis.call
    table.remove(words, 1)
  end
  local reply = call(unpack(words))
  if words[1] == 'DBSIZE' then reply = 'some' end
  out[i] = show(reply, unordered[words[1]])
end
return table.concat(out, ';')";

/// Goes from string to string, from `ARGV[1]` on in `ARGV[2]` steps: which is the next, the last
/// one says. Each gets longer by `ARGV[3]`.
const FOLLOW: &str = "
local key, out = ARGV[1], {}
for i = 1, tonumber(ARGV[2]) do
  local value = redis.call('GET', key)
  out[i] = key .. '=' .. tostring(value)
  redis.call('SET', key, string.sub(value or 'w', -40) .. ARGV[3])
  local sum = i
  for at = 1, #(value or '') do sum = sum + string.byte(value, at) end
  key = 's' .. (sum % 5)
end
return table.concat(out, ';')";

/// Like FOLLOW, but writes only in the end: it may be killed for long.
const LOOK: &str = "
local key, out = ARGV[1], {}
for i = 1, tonumber(ARGV[2]) do
  local value = redis.call('GET', key)
  out[i] = key .. '=' .. tostring(value)
  local sum = i
  for at = 1, #(value or '') do sum = sum + string.byte(value, at) end
  for spin = 1, 100 do sum = sum + spin % 2 end
  key = 's' .. (sum % 5)
end
redis.call('SET', key, ARGV[3])
return table.concat(out, ';')";

/// All of them.
pub const SCRIPTS: &[NamedScript] = &[
    script("run", RUN, None),
    script("follow", FOLLOW, None),
    script("look", LOOK, None),
    script(
        "size",
        "redis.call('SET', KEYS[1], ARGV[1]) return #redis.call('KEYS', '*')",
        None,
    ),
    script(
        "plainappend",
        "redis.call('APPEND', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])",
        Some("s"),
    ),
    script(
        "plainset",
        "local v = redis.call('GET', KEYS[1]) or 'none'
        for spin = 1, 100 do local x = spin end
        redis.call('SET', KEYS[2], string.sub(v, -40) .. ARGV[1])
        for spin = 1, 100 do local x = spin end
        redis.call('INCR', KEYS[3])
        return v",
        Some("ssn"),
    ),
    script(
        "plainmove",
        "local from, to = KEYS[1], KEYS[2]
        for spin = 1, 100 do local x = spin end
        redis.call('RPUSH', to, ARGV[1])
        return redis.call('LMOVE', from, to, 'LEFT', 'RIGHT')",
        Some("ll"),
    ),
    script(
        "plaincopy",
        "redis.call('APPEND', KEYS[1], ARGV[1])
        return redis.call('COPY', KEYS[1], KEYS[2], 'DB', '1', 'REPLACE')",
        Some("ss"),
    ),
    script(
        "plainpush",
        "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LLEN', KEYS[1])",
        Some("l"),
    ),
    script(
        "plaindel",
        "local n = 0
        for i = 1, #KEYS do n = n + redis.call('DEL', KEYS[i]) end
        return n",
        Some("ssl"),
    ),
    script(
        "plainerror",
        "redis.call('SET', KEYS[1], ARGV[1])
        for spin = 1, 100 do local x = spin end
        redis.pcall('LPUSH', KEYS[1], 'x')
        return redis.call('LPUSH', KEYS[1], 'x')",
        Some("s"),
    ),
    script(
        "plainincr",
        "for spin = 1, 100 do local x = spin end
        local n = redis.call('INCR', KEYS[1])
        for spin = 1, 100 do local x = spin end
        return n",
        Some("n"),
    ),
];

const fn script(name: &'static str, text: &'static str, keys: Option<&'static str>) -> NamedScript {
    NamedScript { name, text, keys }
}

/// A library with those that touch any keys as functions.
pub fn library() -> String {
    let any = SCRIPTS.iter().filter(|script| script.keys.is_none());
    let functions = any.map(|NamedScript { name, text, .. }| {
        format!("redis.register_function('{name}', function(KEYS, ARGV)\n{text}\nend)\n")
    });
    format!("#!lua name=world\n{}", functions.collect::<String>())
}

/// The script of this name.
pub fn named(name: &str) -> Option<&'static NamedScript> {
    SCRIPTS.iter().find(|script| script.name == name)
}

/// The name of a script, by its text or its SHA1.
pub fn name_of(text: &[u8]) -> Option<&'static str> {
    let is_it = |script: &&NamedScript| {
        script.text.as_bytes() == text || lua::script::sha_of(script.text.as_bytes()) == text
    };
    Some(SCRIPTS.iter().find(is_it)?.name)
}
