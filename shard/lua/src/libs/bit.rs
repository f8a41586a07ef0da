//! `bit`: operations on the low 32 bits of numbers (LuaBitOp). Results are signed.

use mlua::{Lua, MultiValue, Result, Table, Value};

use super::arguments::{Arguments, register};

/// The library's table.
pub fn open(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    register(lua, &library, "tobit", |call| result(bits(call, 1)?))?;
    register(lua, &library, "bnot", |call| result(!bits(call, 1)?))?;
    register(lua, &library, "band", |call| {
        fold(call, |left, right| left & right)
    })?;
    register(lua, &library, "bor", |call| {
        fold(call, |left, right| left | right)
    })?;
    register(lua, &library, "bxor", |call| {
        fold(call, |left, right| left ^ right)
    })?;
    register(lua, &library, "lshift", |call| {
        shift(call, |bits, by| bits << by)
    })?;
    register(lua, &library, "rshift", |call| {
        shift(call, |bits, by| bits >> by)
    })?;
    register(lua, &library, "arshift", |call| {
        shift(call, |bits, by| (bits.cast_signed() >> by).cast_unsigned())
    })?;
    register(lua, &library, "rol", |call| shift(call, u32::rotate_left))?;
    register(lua, &library, "ror", |call| shift(call, u32::rotate_right))?;
    register(lua, &library, "bswap", |call| {
        result(bits(call, 1)?.swap_bytes())
    })?;
    register(lua, &library, "tohex", tohex)?;
    Ok(library)
}

/// The low 32 bits of an argument, which is rounded to the nearest integer.
fn bits(call: &Arguments<'_>, index: usize) -> Result<u32> {
    // The sum's mantissa ends at the units: its low bits are those of the rounded number.
    const SHIFT: f64 = ((1_u64 << 52) + (1_u64 << 51)) as f64;
    Ok((call.number(index)? + SHIFT).to_bits() as u32)
}

fn result(bits: u32) -> Result<MultiValue> {
    Ok(MultiValue::from_iter([Value::Integer(
        bits.cast_signed().into(),
    )]))
}

/// All arguments as one. The first is looked at first, then the last: so errors name them.
fn fold(call: &Arguments<'_>, operation: fn(u32, u32) -> u32) -> Result<MultiValue> {
    let mut folded = bits(call, 1)?;
    for index in (2..=call.count()).rev() {
        folded = operation(folded, bits(call, index)?);
    }
    result(folded)
}

/// The first argument shifted by the low five bits of the second.
fn shift(call: &Arguments<'_>, operation: fn(u32, u32) -> u32) -> Result<MultiValue> {
    let shifted = bits(call, 1)?;
    result(operation(shifted, bits(call, 2)? & 31))
}

/// `tohex(x [, n])`: the low `n` digits, at most eight. Capitals where `n` is negative.
fn tohex(call: &Arguments<'_>) -> Result<MultiValue> {
    let shown = bits(call, 1)?;
    let digits = if call.count() < 2 {
        8
    } else {
        bits(call, 2)?.cast_signed()
    };
    let text = if digits < 0 {
        format!("{shown:08X}")
    } else {
        format!("{shown:08x}")
    };
    let count = digits.unsigned_abs().min(8) as usize;
    let text = call.lua().create_string(&text[8 - count..])?;
    Ok(MultiValue::from_iter([Value::String(text)]))
}
