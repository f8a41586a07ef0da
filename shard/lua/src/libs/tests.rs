//! The libraries answer as Redis does: `outcomes.txt` has what Redis 7.4 said.

use mlua::{Function, Lua, MultiValue, Result, Value};

use super::{bit, cmsgpack, structs};

/// Lua that writes values as `outcomes.txt` has them. It runs as one line: errors name the first.
const SHOW: &str = r#"
local function show(...)
  local texts = {}
  for i = 1, select('#', ...) do
    local value = select(i, ...)
    if type(value) == 'string' then
      local hex = function(byte) return string.format('\\x%02x', string.byte(byte)) end
      texts[i] = "'" .. string.gsub(value, '[%c\128-\255]', hex) .. "'"
    elseif type(value) == 'table' then
      local fields = {}
      for key, field in pairs(value) do
        fields[#fields + 1] = show(key) .. '=' .. show(field)
      end
      texts[i] = '{' .. table.concat(fields, ', ') .. '}'
    elseif type(value) == 'number' then
      texts[i] = string.format('%.17g', value)
    else
      texts[i] = tostring(value)
    end
  end
  return table.concat(texts, ', ')
end
"#;

/// A machine with the libraries.
fn machine() -> Result<Lua> {
    let lua = Lua::new();
    lua.globals().set("bit", bit::open(&lua)?)?;
    lua.globals().set("cmsgpack", cmsgpack::open(&lua)?)?;
    lua.globals().set("struct", structs::open(&lua)?)?;
    Ok(lua)
}

/// What a script's `pcall` of this text gives: its value, or the error as a string.
fn protected(lua: &Lua, text: &str) -> Result<std::result::Result<Value, Vec<u8>>> {
    let function = lua.load(text).set_name("@user_script").into_function()?;
    let pcall: Function = lua.globals().get("pcall")?;
    let (done, value): (bool, Value) = pcall.call(function)?;
    match value {
        value if done => Ok(Ok(value)),
        Value::String(text) => Ok(Err(text.as_bytes().to_vec())),
        other => panic!("an error that is no string: {other:?}"),
    }
}

/// Runs an expression and writes its values, or its error.
fn outcome(lua: &Lua, expression: &str) -> String {
    let script = format!("{} return show({expression})", SHOW.replace('\n', " "));
    match protected(lua, &script).expect("it compiles") {
        Ok(Value::String(text)) => text.to_string_lossy(),
        Ok(other) => panic!("no text: {other:?}"),
        Err(error) => format!("error: {}", String::from_utf8_lossy(&error)),
    }
}

#[test]
fn every_outcome_is_that_of_redis() -> Result<()> {
    let lua = machine()?;
    let mut lines = include_str!("outcomes.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# ") && !line.starts_with("## "));
    let mut checked = 0;
    while let Some(expression) = lines.next() {
        let expected = lines.next().and_then(|line| line.strip_prefix("    "));
        assert_eq!(
            Some(outcome(&lua, expression).as_str()),
            expected,
            "{expression}"
        );
        checked += 1;
    }
    assert!(checked > 150, "only {checked} outcomes");
    Ok(())
}

#[test]
fn the_bytes_of_an_error_are_kept() -> Result<()> {
    let lua = machine()?;
    let error = protected(&lua, "struct.size('\\200')")?.expect_err("a bad format");
    let expected: &[u8] =
        b"user_script:1: bad argument #1 to 'size' (invalid format option '\xc8')";
    assert_eq!(error, expected);
    Ok(())
}

#[test]
fn not_a_number_is_packed_with_its_bits() -> Result<()> {
    let lua = machine()?;
    let number = "(struct.unpack('<d', '\\1\\2\\3\\4\\5\\6\\248\\255'))";
    assert_eq!(
        outcome(&lua, &format!("cmsgpack.pack({number})")),
        r"'\xcb\xff\xf8\x06\x05\x04\x03\x02\x01'"
    );
    assert_eq!(
        outcome(&lua, &format!("struct.pack('>df', {number}, {number})")),
        r"'\xff\xf8\x06\x05\x04\x03\x02\x01\xff\xc00('"
    );
    assert_eq!(outcome(&lua, &format!("bit.tobit({number})")), "67305985");
    Ok(())
}

#[test]
fn a_table_within_itself_is_packed_to_its_depth() -> Result<()> {
    let lua = machine()?;
    lua.load("circle = {} circle[1] = circle").exec()?;
    let expected = format!("'{}{}'", r"\x91".repeat(16), r"\xc0");
    assert_eq!(outcome(&lua, "cmsgpack.pack(circle)"), expected);
    Ok(())
}

/// Bytes that look random, the same each time.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }

    fn bytes(&mut self, choice: &[u8]) -> Vec<u8> {
        let length = self.below(24);
        (0..length)
            .map(|_| choice[self.below(choice.len())])
            .collect()
    }
}

#[test]
fn any_input_is_unpacked_or_refused() -> Result<()> {
    let lua = machine()?;
    let unpack: Function = lua.load("return cmsgpack.unpack").eval()?;
    let read: Function = lua.load("return struct.unpack").eval()?;
    let pcall: Function = lua.globals().get("pcall")?;
    let bytes: Vec<u8> = (0..=255)
        .chain([0x80, 0x81, 0x82, 0x90, 0x91, 0x92])
        .collect();
    let options = b"><!  bBhHlLTfdxsiIcc0123456789z=";
    let mut noise = Noise(7);
    for _ in 0..20_000 {
        let (input, format) = (noise.bytes(&bytes), noise.bytes(options));
        let position = noise.below(30) as i64 - 5;
        let input = lua.create_string(input)?;
        let format = lua.create_string(format)?;
        for call in [
            (&unpack, vec![Value::String(input.clone())]),
            (
                &read,
                vec![
                    Value::String(format.clone()),
                    Value::String(input.clone()),
                    Value::Integer(position),
                ],
            ),
        ] {
            let (function, arguments) = call;
            let arguments = MultiValue::from_iter(
                [Value::Function(function.clone())]
                    .into_iter()
                    .chain(arguments),
            );
            let results: MultiValue = pcall.call(arguments)?;
            let done = results.front() == Some(&Value::Boolean(true));
            assert!(done || matches!(results.get(1), Some(Value::String(_))));
        }
    }
    Ok(())
}

#[test]
fn what_is_packed_is_unpacked() -> Result<()> {
    let lua = machine()?;
    let values = "1, -1, 0.1, 'text', true, {1, {2, 3}, {a = {}}}, 2^40, -2^40, 1.5";
    let expected = outcome(&lua, values);
    assert_eq!(
        outcome(&lua, &format!("cmsgpack.unpack(cmsgpack.pack({values}))")),
        expected
    );
    Ok(())
}
