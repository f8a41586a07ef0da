//! Commands as they are written: an array of bulk strings, `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`. So a
//! client sends them, and so a log keeps them.

use super::header::{self, LINE_END};

/// Appends the command that `parts` make, the verb first.
#[inline]
pub fn command<'a>(out: &mut Vec<u8>, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
    header::write_len(out, b'*', parts.len());
    for part in parts {
        header::write_len(out, b'$', part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(LINE_END);
    }
}

/// Appends the command that came as the bytes `sent`, in which its `parts` lie. What is appended is
/// what [`command`] would write; where `sent` is that already, it is copied in one piece.
#[inline]
pub fn command_as_sent<'a>(
    out: &mut Vec<u8>,
    sent: &[u8],
    parts: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
) {
    if is_as_written(sent, parts.clone()) {
        out.extend_from_slice(sent);
    } else {
        command(out, parts);
    }
}

/// True where `sent` is what [`command`] writes of `parts`, byte for byte. False where there are a
/// hundred parts, or a part has a hundred bytes: there it does not matter how it is copied.
#[inline]
fn is_as_written<'a>(sent: &[u8], parts: impl ExactSizeIterator<Item = &'a [u8]>) -> bool {
    let Some(mut rest) = header::strip(sent, b'*', parts.len()) else {
        return false;
    };
    for part in parts {
        let text = header::strip(rest, b'$', part.len());
        // The very bytes, which need no comparing.
        let Some(text) = text.filter(|text| std::ptr::eq(text.as_ptr(), part.as_ptr())) else {
            return false;
        };
        let behind = text.get(part.len()..);
        let Some(next) = behind.and_then(|behind| behind.strip_prefix(LINE_END)) else {
            return false;
        };
        rest = next;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_copied_whole_only_where_it_is_canonical() {
        let of = |sent: &[u8], places: &[(usize, usize)]| {
            let parts: Vec<&[u8]> = places.iter().map(|&(from, to)| &sent[from..to]).collect();
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            command_as_sent(&mut fast, sent, parts.iter().copied());
            command(&mut slow, parts.iter().copied());
            assert_eq!(fast, slow, "{:?}", sent.escape_ascii().to_string());
            is_as_written(sent, parts.into_iter())
        };
        assert!(of(b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n", &[(8, 11), (17, 18)]));
        assert!(of(
            b"*2\r\n$3\r\nDEL\r\n$11\r\nhello world\r\n",
            &[(8, 11), (18, 29)]
        ));
        // Fewer parts than were sent, other lengths, inline, more behind it, a number in other
        // digits, another order, a line that ends otherwise.
        assert!(!of(b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n", &[(8, 11)]));
        assert!(!of(
            b"*2\r\n$3\r\nDEL\r\n$2\r\nkk\r\n",
            &[(8, 11), (17, 18)]
        ));
        assert!(!of(b"DEL k\r\n", &[(0, 3), (4, 5)]));
        assert!(!of(b"*1\r\n$3\r\nDEL\r\n*", &[(8, 11)]));
        assert!(!of(b"*1\r\n$03\r\nDEL\r\n", &[(9, 12)]));
        assert!(!of(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", &[(15, 16), (8, 9)]));
        assert!(!of(b"*1\r\n$3\r\nDEL\n\n", &[(8, 11)]));
    }
}
