//! FUNCTION DUMP and RESTORE: the code of all libraries, each behind the mark that it has in a
//! file, and version and checksum behind.

use super::codes::opcode;
use super::file;
use super::payload::{NotPayload, body_of, seal};
use super::read::Input;
use super::write::Compression;

/// What FUNCTION DUMP answers.
pub fn dump_functions<'a>(
    codes: impl Iterator<Item = &'a [u8]>,
    compression: Compression,
) -> Vec<u8> {
    let mut out = Vec::new();
    codes.for_each(|code| file::function(&mut out, code, compression));
    seal(&mut out);
    out
}

/// Why something in a payload is no library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotFunction {
    /// It is in the form of a release candidate of 7.0.
    PreGa,
    /// It is something else.
    OtherType,
    /// Its code cannot be read.
    Damaged,
}

/// The code of each library in a payload, in its order. After an error nothing more is to be read.
pub struct DumpedFunctions<'a>(Input<'a>);

impl<'a> DumpedFunctions<'a> {
    /// Looks at version and checksum.
    pub fn new(payload: &'a [u8]) -> Result<Self, NotPayload> {
        let body = body_of(payload)?;
        Ok(Self(Input::memory(body)))
    }
}

impl Iterator for DumpedFunctions<'_> {
    type Item = Result<Vec<u8>, NotFunction>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.remaining() == 0 {
            return None;
        }
        let input = &mut self.0;
        Some(match input.byte() {
            Ok(opcode::FUNCTION2) => input.string().map_err(|_| NotFunction::Damaged),
            Ok(opcode::FUNCTION_PRE_GA) => Err(NotFunction::PreGa),
            Ok(_) => Err(NotFunction::OtherType),
            Err(_) => Err(NotFunction::Damaged),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &[u8]) -> Result<Vec<Result<Vec<u8>, NotFunction>>, NotPayload> {
        DumpedFunctions::new(payload).map(Iterator::collect)
    }

    #[test]
    fn what_is_dumped_is_read() {
        let codes: [&[u8]; 3] = [b"#!lua name=a\n", b"", &[b'x'; 20_000]];
        let payload = dump_functions(codes.into_iter(), Compression::Lzf);
        let expected = codes.iter().map(|code| Ok(code.to_vec())).collect();
        assert_eq!(read(&payload), Ok(expected));
        for at in [0, 5, payload.len() - 1] {
            let mut spoilt = payload.clone();
            spoilt[at] ^= 1;
            assert_eq!(read(&spoilt), Err(NotPayload::VersionOrChecksum));
        }
        assert_eq!(read(b"short"), Err(NotPayload::VersionOrChecksum));
    }

    #[test]
    fn what_is_no_library_is_told() {
        for (body, wrong) in [
            (&[opcode::FUNCTION_PRE_GA, 0][..], NotFunction::PreGa),
            (&[0, 1, b'x'], NotFunction::OtherType),
            (&[opcode::FUNCTION2, 9, b'x'], NotFunction::Damaged),
            (&[opcode::FUNCTION2], NotFunction::Damaged),
        ] {
            let mut payload = body.to_vec();
            seal(&mut payload);
            let first = DumpedFunctions::new(&payload).expect("a payload").next();
            assert_eq!(first, Some(Err(wrong)));
        }
    }
}
