//! The patterns of SORT: `BY weight_*` and `GET user_*->name` name a key, or a field of one, with
//! an element in place of the star.

use storage::Hash;

use crate::context::Context;

/// What BY and GET say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// Without a `*`: no key at all.
    Nothing,
    /// A key: the element between two texts; of a hash there, one field.
    Key {
        before: &'a [u8],
        after: &'a [u8],
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Self {
        if text == b"#" {
            return Self::Element;
        }
        let Some(star) = memchr::memchr(b'*', text) else {
            return Self::Nothing;
        };
        let (before, after) = (&text[..star], &text[star + 1..]);
        match memchr::memmem::find(after, b"->") {
            // An arrow with nothing behind it belongs to the key.
            Some(arrow) if arrow + 2 < after.len() => Self::Key {
                before,
                after: &after[..arrow],
                field: Some(&after[arrow + 2..]),
            },
            _ => Self::Key {
                before,
                after,
                field: None,
            },
        }
    }

    /// The key it names for `element`; empty unless it is [`Pattern::Key`].
    pub(crate) fn key(self, element: &[u8]) -> Vec<u8> {
        match self {
            Self::Key { before, after, .. } => [before, element, after].concat(),
            Self::Element | Self::Nothing => Vec::new(),
        }
    }

    /// The text it stands for. None where there is no such key or field, or it is of another type.
    pub(crate) fn find(self, ctx: &mut Context<'_>, element: &[u8]) -> Option<Vec<u8>> {
        let field = match self {
            Self::Element => return Some(element.to_vec()),
            Self::Nothing => return None,
            Self::Key { field, .. } => field,
        };
        let now = ctx.now;
        let entry = ctx.read(&self.key(element))?;
        match field {
            None => entry.as_string().ok().map(|text| text.to_vec()),
            Some(field) => {
                let hash = entry.get::<Hash>().ok()?;
                hash.get(field, now).map(|value| value.to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_redis_means() {
        let key = |before, after, field| Pattern::Key {
            before,
            after,
            field,
        };
        let cases: [(&[u8], Pattern<'_>); 7] = [
            (b"#", Pattern::Element),
            (b"##", Pattern::Nothing),
            (b"nosort", Pattern::Nothing),
            (b"a_*", key(b"a_", b"", None)),
            (b"a*b*", key(b"a", b"b*", None)),
            (b"a*b->c->d", key(b"a", b"b", Some(b"c->d"))),
            (b"a->b*->", key(b"a->b", b"->", None)),
        ];
        for (text, pattern) in cases {
            assert_eq!(Pattern::parse(text), pattern, "{}", text.escape_ascii());
        }
    }
}
