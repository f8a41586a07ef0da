//! Passing over a value without building it: a shard that loads a file keeps only what is its own.

use super::codes::{Type, container};
use super::read::{Damage, Input};

/// Passes over a value of that type.
pub(super) fn value(input: &mut Input<'_>, of: Type) -> Result<(), Damage> {
    match of {
        Type::String
        | Type::HashZipmap
        | Type::ListZiplist
        | Type::SetIntset
        | Type::SortedSetZiplist
        | Type::HashZiplist
        | Type::HashListpack
        | Type::SortedSetListpack
        | Type::SetListpack => input.skip_string(),
        Type::List | Type::Set | Type::ListQuicklist => {
            let count = input.count(1)?;
            (0..count).try_for_each(|_| input.skip_string())
        }
        Type::ListQuicklist2 => {
            let count = input.count(2)?;
            for _ in 0..count {
                let held = input.length()?;
                if held != container::PLAIN && held != container::PACKED {
                    return input.damage("a list node of an unknown kind");
                }
                input.skip_string()?;
            }
            Ok(())
        }
        Type::Hash => {
            let count = input.count(2)?;
            (0..2 * count).try_for_each(|_| input.skip_string())
        }
        Type::SortedSet => {
            let count = input.count(2)?;
            for _ in 0..count {
                input.skip_string()?;
                input.f64_text()?;
            }
            Ok(())
        }
        Type::SortedSet2 => {
            let count = input.count(9)?;
            for _ in 0..count {
                input.skip_string()?;
                input.take(8)?;
            }
            Ok(())
        }
        Type::HashMetadata | Type::HashMetadataPreGa => {
            if of == Type::HashMetadata {
                input.take(8)?;
            }
            let count = input.count(3)?;
            for _ in 0..count {
                input.length()?;
                input.skip_string()?;
                input.skip_string()?;
            }
            Ok(())
        }
        Type::HashListpackExPreGa => input.skip_string(),
        Type::HashListpackEx => {
            input.take(8)?;
            input.skip_string()
        }
        Type::Stream1 | Type::Stream2 | Type::Stream3 => stream(input, of),
    }
}

fn stream(input: &mut Input<'_>, of: Type) -> Result<(), Damage> {
    let nodes = input.count(2)?;
    (0..2 * nodes).try_for_each(|_| input.skip_string())?;
    let numbers = if of == Type::Stream1 { 3 } else { 8 };
    (0..numbers).try_for_each(|_| input.length().map(|_| ()))?;
    for _ in 0..input.count(5)? {
        input.skip_string()?;
        let numbers = if of == Type::Stream1 { 2 } else { 3 };
        (0..numbers).try_for_each(|_| input.length().map(|_| ()))?;
        for _ in 0..input.count(25)? {
            input.take(24)?;
            input.length()?;
        }
        for _ in 0..input.count(10)? {
            input.skip_string()?;
            input.take(if of == Type::Stream3 { 16 } else { 8 })?;
            for _ in 0..input.count(16)? {
                input.take(16)?;
            }
        }
    }
    Ok(())
}
