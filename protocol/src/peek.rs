//! A glance at the commands behind the one that runs: which keys will be wanted soon.
//!
//! Looking a key up in a large keyspace mostly waits for memory. In a pipeline the next commands
//! stand in the buffer already, so their memory can be on its way meanwhile. A glance gives hints,
//! no answers: whatever it does not understand it leaves to the parser.

use crate::resp::header::short_number;

/// Arguments of a command that a glance still passes over.
const ARGS_MAX: usize = 8;

/// Arguments of a command that a glance shows.
const SHOWN: usize = 4;

/// Walks over the commands of a read buffer.
#[derive(Clone, Copy, Debug)]
pub struct Peek {
    at: usize,
}

/// The first arguments of a command, verb first; those that are not there are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen<'a> {
    args: [&'a [u8]; SHOWN],
}

impl<'a> Seen<'a> {
    /// What `args` begin with.
    #[inline]
    pub fn of(args: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut seen = Self::default();
        for (place, arg) in seen.args.iter_mut().zip(args) {
            *place = arg;
        }
        seen
    }

    /// The first argument behind the verb, which most often is a key.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        self.args[1]
    }

    /// The first member or field that a command on a set, a hash or a sorted set names; of commands
    /// on anything else, nothing that means anything.
    #[inline]
    pub fn element(&self) -> Option<&'a [u8]> {
        let verb = self.args[0];
        let element = match verb.first()? | 0x20 {
            b's' | b'h' => self.args[2],
            // Behind a score.
            b'z' if verb.eq_ignore_ascii_case(b"ZADD") || verb.eq_ignore_ascii_case(b"ZINCRBY") => {
                self.args[3]
            }
            b'z' => self.args[2],
            _ => return None,
        };
        (!element.is_empty()).then_some(element)
    }
}

impl Peek {
    /// A walk that begins with the command at `at`.
    pub fn new(at: usize) -> Self {
        Peek { at }
    }

    /// The next command, if it has an argument. Ends at anything but a whole, short command in
    /// RESP.
    #[inline]
    pub fn next<'a>(&mut self, buf: &'a [u8]) -> Option<Seen<'a>> {
        let (count, mut at) = number(buf, self.at, b'*')?;
        if !(2..=ARGS_MAX).contains(&count) {
            return None;
        }
        let mut seen = Seen::default();
        for index in 0..count {
            let (len, start) = number(buf, at, b'$')?;
            let end = start.checked_add(len)?;
            if let Some(arg) = seen.args.get_mut(index) {
                *arg = buf.get(start..end)?;
            }
            at = end.checked_add(2)?;
        }
        if at > buf.len() {
            return None;
        }
        self.at = at;
        Some(seen)
    }
}

/// The number of a header such as `$16\r\n`, and where what follows it begins.
#[inline]
fn number(buf: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    match buf.get(at) {
        Some(&byte) if byte == mark => short_number(buf, at + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_whole_commands_are_seen() {
        let buf = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$2\r\nbc\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\n";
        let mut peek = Peek::new(0);
        let mut key = || peek.next(buf).map(|seen| seen.key());
        assert_eq!(key(), Some(&b"a"[..]));
        assert_eq!(key(), Some(&b"bc"[..]));
        assert_eq!(key(), None, "PING has no key");
        assert_eq!(key(), None, "not whole");
        for bad in [
            "",
            "*",
            "*x\r\n",
            "PING\r\n",
            "*2\r\n$-1\r\n",
            "*9999999999999\r\n",
        ] {
            assert_eq!(Peek::new(0).next(bad.as_bytes()), None);
        }
    }

    #[test]
    fn elements_stand_behind_keys_and_scores() {
        let element =
            |command: &'static str| Seen::of(command.split(' ').map(str::as_bytes)).element();
        assert_eq!(element("SADD s m"), Some(&b"m"[..]));
        assert_eq!(element("hset h f v"), Some(&b"f"[..]));
        assert_eq!(element("ZADD z 1 m"), Some(&b"m"[..]));
        assert_eq!(element("zscore z m"), Some(&b"m"[..]));
        assert_eq!(element("ZCARD z"), None);
        assert_eq!(element("GET k"), None);
        assert_eq!(element("LPUSH l e"), None);
    }
}
