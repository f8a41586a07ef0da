//! What a client says about itself: its name, its library's name and version.

use engine::error::Error;
use protocol::strtod::c_string;

/// One word of visible ASCII, as far as C reads it: what stands behind a zero byte is kept and
/// shown to its owner only, as in Redis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute(Box<[u8]>);

impl Attribute {
    /// None where `text` is empty.
    ///
    /// # Errors Where a space, a control character or anything beyond ASCII stands before the first
    /// zero byte. `what` it is begins the error's text.
    pub fn parse(what: &str, text: &[u8]) -> Result<Option<Self>, Error> {
        if !c_string(text).iter().all(u8::is_ascii_graphic) {
            return Err(Error::from_text(format!(
                "ERR {what} cannot contain spaces, newlines or special characters."
            )));
        }
        Ok((!text.is_empty()).then(|| Self(text.into())))
    }

    /// All of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What lines for people show.
    pub fn shown(&self) -> &str {
        std::str::from_utf8(c_string(&self.0)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_visible_word() {
        let parse = |text| Attribute::parse("Client names", text);
        assert_eq!(parse(b""), Ok(None));
        for (text, shown) in [
            (b"a!~".as_slice(), "a!~"),
            (b"\0ab", ""),
            (b"a\0 \xff", "a"),
        ] {
            let name = parse(text).ok().flatten().expect("it is one");
            assert_eq!((name.as_bytes(), name.shown()), (text, shown));
        }
        for refused in [
            b"a b".as_slice(),
            b"a\n",
            "\u{e9}".as_bytes(),
            b"\xff",
            b" \0",
        ] {
            assert!(parse(refused).is_err());
        }
    }
}
