//! A glance at the commands behind the one that runs: which keys will be wanted soon.
//!
//! Looking a key up in a large keyspace mostly waits for memory. In a pipeline the next commands stand in the buffer already, so their memory
//! can be on its way meanwhile. A glance gives hints, no answers: whatever it does not understand it leaves to the parser.

/// Arguments of a command that a glance still passes over.
const ARGS_MAX: usize = 8;

/// Walks over the commands of a read buffer.
#[derive(Clone, Copy, Debug)]
pub struct Peek {
    at: usize,
}

impl Peek {
    /// A walk that begins with the command at `at`.
    pub fn new(at: usize) -> Self {
        Peek { at }
    }

    /// The first argument of the next command, which most often is its key. Ends at anything but a whole, short command in RESP.
    #[inline]
    pub fn next_key<'a>(&mut self, buf: &'a [u8]) -> Option<&'a [u8]> {
        let (count, mut at) = number(buf, self.at, b'*')?;
        if count > ARGS_MAX {
            return None;
        }
        let mut key = None;
        for index in 0..count {
            let (len, start) = number(buf, at, b'$')?;
            let end = start.checked_add(len)?;
            if index == 1 {
                key = buf.get(start..end);
            }
            at = end.checked_add(2)?;
        }
        if at > buf.len() {
            return None;
        }
        self.at = at;
        key
    }
}

/// The number of a header such as `$16\r\n`, and what follows it.
#[inline]
fn number(buf: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    /// Digits of a number that a glance reads.
    const DIGITS_MAX: usize = 6;
    let header = buf.get(at..)?;
    if *header.first()? != mark {
        return None;
    }
    let mut value = 0;
    for (index, &byte) in header.iter().enumerate().skip(1).take(DIGITS_MAX + 1) {
        match byte {
            b'0'..=b'9' => value = value * 10 + usize::from(byte - b'0'),
            b'\r' => return Some((value, at + index + 2)),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_whole_commands_are_seen() {
        let buf = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$2\r\nbc\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\n";
        let mut peek = Peek::new(0);
        assert_eq!(peek.next_key(buf), Some(&b"a"[..]));
        assert_eq!(peek.next_key(buf), Some(&b"bc"[..]));
        assert_eq!(peek.next_key(buf), None, "PING has no key");
        assert_eq!(peek.next_key(buf), None, "not whole");
        for bad in [
            "",
            "*",
            "*x\r\n",
            "PING\r\n",
            "*2\r\n$-1\r\n",
            "*9999999999999\r\n",
        ] {
            assert_eq!(Peek::new(0).next_key(bad.as_bytes()), None);
        }
    }
}
