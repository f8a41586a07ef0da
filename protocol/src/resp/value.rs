//! A whole reply as a tree, for those who care what it says and not how it is written.

use std::fmt;

use super::element::{self, Element, Malformed, Reason};
use super::scan::Scan;

/// One reply.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `+`: a status.
    Simple(Vec<u8>),
    /// `-` or `!`: an error with its code.
    Error(Vec<u8>),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`, `*-1` or `_`, as it was written.
    Null(&'static str),
    /// `,`, as text: equal only where written alike.
    Double(Vec<u8>),
    /// `#`
    Boolean(bool),
    /// `(`: the digits.
    Big(Vec<u8>),
    /// `=`, with its three letters and colon.
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
    /// The reply in `bytes`, which hold exactly one. Attributes describe what they precede and are
    /// passed over.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are no reply, not a whole one, more than one, or one beyond
    /// the usual [`Bounds`](super::Bounds).
    pub fn read(bytes: &[u8]) -> Result<Value, Malformed> {
        // This bounds the depth, and so the recursion below.
        match Scan::default().end(bytes)? {
            None => Err(Malformed::new(bytes.len(), Reason::Cut)),
            Some(end) if end < bytes.len() => Err(Malformed::new(end, Reason::MoreBehind)),
            Some(_) => Reader { bytes }.value(),
        }
    }

    /// The reply in `bytes`, which hold exactly one: for those who have looked for its end already.
    ///
    /// # Panics
    /// Where [`Value::read`] gives an error.
    pub fn parse(bytes: &[u8]) -> Value {
        Value::read(bytes).unwrap_or_else(|error| panic!("{error} in {}", show(bytes)))
    }

    /// The elements of an array, set or push; those of a map key after value. None of all else.
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
    /// Where it is no string.
    pub fn text(&self) -> &[u8] {
        match self {
            Value::Simple(text) | Value::Bulk(text) | Value::Verbatim(text) => text,
            other => panic!("not a string: {other:?}"),
        }
    }

    /// An integer, also one written as a string.
    ///
    /// # Panics
    /// Where it is no integer.
    pub fn integer(&self) -> i64 {
        match self {
            Value::Integer(number) => *number,
            other => std::str::from_utf8(other.text())
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or_else(|| panic!("not a number: {other:?}")),
        }
    }

    /// True of an error.
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

/// Bytes for people: escaped, in quotes, and cut where long.
pub fn show(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 400;
    let head = &bytes[..bytes.len().min(SHOWN_MAX)];
    let more = match bytes.len() - head.len() {
        0 => String::new(),
        more => format!("... and {more} bytes"),
    };
    format!("\"{}\"{more}", head.escape_ascii())
}

/// Takes values off the front of a reply whose end has been found.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Value, Malformed> {
        let cut = Malformed::new(0, Reason::Cut);
        let (element, len) = element::first(self.bytes).ok_or(cut)?;
        self.bytes = &self.bytes[len..];
        Ok(match element {
            Element::Simple(text) => Value::Simple(text.to_vec()),
            Element::Error(text) => Value::Error(text.to_vec()),
            Element::Integer(number) => Value::Integer(number),
            Element::Bulk(text) => Value::Bulk(text.to_vec()),
            Element::Null(written) => Value::Null(written),
            Element::Double(text) => Value::Double(text.to_vec()),
            Element::Boolean(truth) => Value::Boolean(truth),
            Element::BigNumber(digits) => Value::Big(digits.to_vec()),
            Element::Verbatim(text) => Value::Verbatim(text.to_vec()),
            Element::Array(len) => Value::Array(self.values(len)?),
            Element::Set(len) => Value::Set(self.values(len)?),
            Element::Push(len) => Value::Push(self.values(len)?),
            Element::Map(pairs) => Value::Map(self.pairs(pairs)?),
            Element::Attribute(pairs) => {
                self.pairs(pairs)?;
                self.value()?
            }
        })
    }

    fn values(&mut self, len: usize) -> Result<Vec<Value>, Malformed> {
        (0..len).map(|_| self.value()).collect()
    }

    fn pairs(&mut self, pairs: usize) -> Result<Vec<(Value, Value)>, Malformed> {
        (0..pairs)
            .map(|_| Ok((self.value()?, self.value()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reply::{Reply, Version};

    #[test]
    fn values_are_trees() {
        let value =
            Value::parse(b"*3\r\n:-7\r\n$3\r\na\r\n\r\n|1\r\n+k\r\n#t\r\n%1\r\n+k\r\n,1.5\r\n");
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

    #[test]
    fn bytes_hold_exactly_one() {
        let error = |bytes: &[u8]| Value::read(bytes).unwrap_err();
        assert_eq!(error(b"*1\r\n"), Malformed::new(4, Reason::Cut));
        assert_eq!(
            error(b":1\r\n:2\r\n"),
            Malformed::new(4, Reason::MoreBehind)
        );
        assert_eq!(error(b"*1\r\n?"), Malformed::new(4, Reason::Kind(b'?')));
        let deep = b"*1\r\n".repeat(100_000);
        assert_eq!(error(&deep).reason, Reason::TooDeep);
    }

    fn write(value: &Value, reply: &mut Reply<'_>) {
        match value {
            Value::Simple(text) => reply.simple(&String::from_utf8_lossy(text)),
            Value::Error(text) => reply.error(text),
            Value::Integer(number) => reply.integer(*number),
            Value::Bulk(text) => reply.bulk(text),
            Value::Null(_) => reply.null(),
            Value::Double(text) => reply.double(String::from_utf8_lossy(text).parse().unwrap()),
            Value::Boolean(truth) => reply.boolean(*truth),
            Value::Big(digits) => reply.big_number(&String::from_utf8_lossy(digits)),
            Value::Verbatim(text) => reply.verbatim("txt", &text[4..]),
            Value::Array(all) => {
                reply.array(all.len());
                all.iter().for_each(|value| write(value, reply));
            }
            Value::Set(all) => {
                reply.set(all.len());
                all.iter().for_each(|value| write(value, reply));
            }
            Value::Push(all) => {
                reply.push(all.len());
                all.iter().for_each(|value| write(value, reply));
            }
            Value::Map(pairs) => {
                reply.map(pairs.len());
                for (key, value) in pairs {
                    write(key, reply);
                    write(value, reply);
                }
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..200);
        let leaf = prop_oneof![
            "[ -~]{0,20}".prop_map(|text| Value::Simple(text.into_bytes())),
            "[ -~]{0,20}".prop_map(|text| Value::Error(text.into_bytes())),
            any::<i64>().prop_map(Value::Integer),
            bytes().prop_map(Value::Bulk),
            Just(Value::Null("_")),
            (-1000i64..1000).prop_map(|n| Value::Double(n.to_string().into_bytes())),
            any::<bool>().prop_map(Value::Boolean),
            "[1-9][0-9]{0,40}".prop_map(|digits| Value::Big(digits.into_bytes())),
            bytes().prop_map(|text| Value::Verbatim([b"txt:", &text[..]].concat())),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let values = || prop::collection::vec(inner.clone(), 0..6);
            prop_oneof![
                values().prop_map(Value::Array),
                values().prop_map(Value::Set),
                values().prop_map(Value::Push),
                prop::collection::vec((inner.clone(), inner.clone()), 0..6).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in any_value(), cut in any::<prop::sample::Index>()) {
            let mut out = Vec::new();
            write(&value, &mut Reply::new(&mut out, Version::Resp3));
            prop_assert_eq!(Value::read(&out), Ok(value.clone()));
            let mut scan = Scan::default();
            prop_assert_eq!(scan.end(&out[..cut.index(out.len())]), Ok(None));
            prop_assert_eq!(scan.end(&out), Ok(Some(out.len())));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Value::read(&bytes);
        }

        #[test]
        fn no_changed_byte_makes_it_panic(
            value in any_value(), at in any::<prop::sample::Index>(), byte in any::<u8>()
        ) {
            let mut out = Vec::new();
            write(&value, &mut Reply::new(&mut out, Version::Resp3));
            let at = at.index(out.len());
            out[at] = byte;
            let _ = Value::read(&out);
        }
    }
}
