//! Replies on the wire, RESP2 and RESP3.
//!
//! [`Scan`] finds where a reply ends without looking twice at a byte, however it is cut. [`Value`] is the same reply as a tree, for the
//! tests that care what it says and not how it is written.

use std::fmt;

/// Finds the end of one reply in bytes that arrive in pieces.
///
/// No stack is needed: it is enough to count how many replies are still owed, as an aggregate owes one for each element.
#[derive(Debug)]
pub struct Scan {
    position: usize,
    owed: usize,
}

impl Default for Scan {
    fn default() -> Self {
        Scan {
            position: 0,
            owed: 1,
        }
    }
}

impl Scan {
    /// The length of the reply that `bytes` begins with, or `None` where it is not whole yet. Call it with the same bytes and more.
    ///
    /// # Panics
    /// Where the bytes are no reply.
    pub fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        while self.owed > 0 {
            let rest = bytes.get(self.position..)?;
            let line_end = line_end(rest)?;
            let line = &rest[1..line_end];
            let after = line_end + 2;
            match rest[0] {
                b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {
                    self.position += after;
                    self.owed -= 1;
                }
                b'$' | b'=' | b'!' => {
                    let whole = match length(line) {
                        Some(length) => after + length + 2,
                        None => after,
                    };
                    if rest.len() < whole {
                        return None;
                    }
                    self.position += whole;
                    self.owed -= 1;
                }
                b'*' | b'~' | b'>' => self.aggregate(after, length(line).unwrap_or(0)),
                b'%' => self.aggregate(after, 2 * length(line).unwrap_or(0)),
                // An attribute comes before the reply it describes, which is still owed.
                b'|' => self.aggregate(after, 2 * length(line).unwrap_or(0) + 1),
                other => panic!(
                    "a reply cannot begin with {:?}: {}",
                    other as char,
                    show(rest)
                ),
            }
        }
        Some(self.position)
    }

    fn aggregate(&mut self, header: usize, elements: usize) {
        self.position += header;
        self.owed = self.owed - 1 + elements;
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n")
}

/// A length in a header; `None` for the nulls of RESP2.
fn length(line: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(line).expect("a length is ASCII");
    match text {
        "-1" => None,
        _ => Some(
            text.parse()
                .unwrap_or_else(|_| panic!("not a length: {text:?}")),
        ),
    }
}

/// One reply as a tree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `+`
    Simple(Vec<u8>),
    /// `-` and `!`
    Error(Vec<u8>),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`, `*-1` and `_`
    Null(&'static str),
    /// `,`, as text: equal only where written alike
    Double(Vec<u8>),
    /// `#`
    Boolean(bool),
    /// `(`
    Big(Vec<u8>),
    /// `=`, with its three letters and colon
    Verbatim(Vec<u8>),
    /// `*`
    Array(Vec<Value>),
    /// `~`
    Set(Vec<Value>),
    /// `%`
    Map(Vec<(Value, Value)>),
    /// `>`
    Push(Vec<Value>),
}

impl Value {
    /// The reply in `bytes`, which holds exactly one.
    ///
    /// # Panics
    /// Where it does not.
    pub fn parse(bytes: &[u8]) -> Value {
        let mut reader = Reader { bytes };
        let value = reader.value();
        assert!(
            reader.bytes.is_empty(),
            "bytes after a reply: {}",
            show(reader.bytes)
        );
        value
    }

    /// The elements of an array, set or push; those of a map key after value. `None` for all else.
    pub fn elements(&self) -> Option<Vec<Value>> {
        match self {
            Value::Array(all) | Value::Set(all) | Value::Push(all) => Some(all.clone()),
            Value::Map(pairs) => Some(
                pairs
                    .iter()
                    .flat_map(|(key, value)| [key.clone(), value.clone()])
                    .collect(),
            ),
            _ => None,
        }
    }

    /// The bytes of a string of any kind.
    ///
    /// # Panics
    /// Where it is none.
    pub fn text(&self) -> &[u8] {
        match self {
            Value::Simple(text) | Value::Bulk(text) | Value::Verbatim(text) => text,
            other => panic!("not a string: {other:?}"),
        }
    }

    /// An integer, also one written as a string.
    ///
    /// # Panics
    /// Where it is none.
    pub fn integer(&self) -> i64 {
        match self {
            Value::Integer(number) => *number,
            other => std::str::from_utf8(other.text())
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or_else(|| panic!("not a number: {other:?}")),
        }
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Simple(text) => write!(f, "+{}", show(text)),
            Value::Error(text) => write!(f, "-{}", show(text)),
            Value::Integer(number) => write!(f, ":{number}"),
            Value::Bulk(text) => write!(f, "${}", show(text)),
            Value::Null(written) => write!(f, "null({written})"),
            Value::Double(text) => write!(f, ",{}", show(text)),
            Value::Boolean(truth) => write!(f, "#{truth}"),
            Value::Big(text) => write!(f, "({}", show(text)),
            Value::Verbatim(text) => write!(f, "={}", show(text)),
            Value::Array(all) => write!(f, "*{all:?}"),
            Value::Set(all) => write!(f, "~{all:?}"),
            Value::Map(pairs) => write!(f, "%{pairs:?}"),
            Value::Push(all) => write!(f, ">{all:?}"),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        taken.to_vec()
    }

    fn line(&mut self) -> Vec<u8> {
        let line = self.take(line_end(self.bytes).expect("a whole line"));
        self.take(2);
        line
    }

    fn blob(&mut self) -> Option<Vec<u8>> {
        let length = length(&self.line())?;
        let blob = self.take(length);
        assert_eq!(self.take(2), b"\r\n", "the end of a bulk string");
        Some(blob)
    }

    fn array(&mut self) -> Option<Vec<Value>> {
        let length = length(&self.line())?;
        Some((0..length).map(|_| self.value()).collect())
    }

    fn value(&mut self) -> Value {
        let kind = self.take(1)[0];
        match kind {
            b'+' => Value::Simple(self.line()),
            b'-' => Value::Error(self.line()),
            b'!' => Value::Error(self.blob().expect("an error is not null")),
            b':' => Value::Integer(
                std::str::from_utf8(&self.line())
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .expect("an integer"),
            ),
            b'$' => self.blob().map_or(Value::Null("$-1"), Value::Bulk),
            b'_' => {
                self.line();
                Value::Null("_")
            }
            b',' => Value::Double(self.line()),
            b'#' => Value::Boolean(self.line() == b"t"),
            b'(' => Value::Big(self.line()),
            b'=' => Value::Verbatim(self.blob().expect("verbatim text is not null")),
            b'*' => self.array().map_or(Value::Null("*-1"), Value::Array),
            b'~' => Value::Set(self.array().unwrap_or_default()),
            b'>' => Value::Push(self.array().unwrap_or_default()),
            b'%' => {
                let length = length(&self.line()).unwrap_or(0);
                Value::Map((0..length).map(|_| (self.value(), self.value())).collect())
            }
            other => panic!("a value cannot begin with {:?}", other as char),
        }
    }
}

/// Bytes for people: escaped, and cut where long.
pub fn show(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 400;
    let head = &bytes[..bytes.len().min(SHOWN_MAX)];
    let more = match bytes.len() - head.len() {
        0 => String::new(),
        more => format!("... and {more} bytes"),
    };
    format!("\"{}\"{more}", head.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &[u8] =
        b"%2\r\n$1\r\na\r\n*2\r\n:1\r\n*-1\r\n+b\r\n|1\r\n+k\r\n#t\r\n~1\r\n$-1\r\n";

    #[test]
    fn the_end_is_found_at_every_cut() {
        for cut in 0..NESTED.len() {
            let mut scan = Scan::default();
            assert_eq!(scan.end(&NESTED[..cut]), None, "cut at {cut}");
            let more = [NESTED, b"+next\r\n"].concat();
            assert_eq!(scan.end(&more), Some(NESTED.len()), "cut at {cut}");
        }
    }

    #[test]
    fn values_are_trees() {
        let value = Value::parse(b"*3\r\n:-7\r\n$3\r\na\r\n\r\n%1\r\n+k\r\n,1.5\r\n");
        assert_eq!(
            value,
            Value::Array(vec![
                Value::Integer(-7),
                Value::Bulk(b"a\r\n".to_vec()),
                Value::Map(vec![(
                    Value::Simple(b"k".to_vec()),
                    Value::Double(b"1.5".to_vec())
                )]),
            ])
        );
    }
}
