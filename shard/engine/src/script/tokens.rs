//! Lua's words, as far as a look at a script's text needs them.

/// One word or sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Token<'a> {
    /// A name, or a word of the language.
    Name(&'a [u8]),
    /// A string without escapes: what stands between its quotes.
    Text(&'a [u8]),
    /// Any other string, or a number.
    Value,
    /// A sign of one byte, or the first byte of `==`, `~=`, `<=`, `>=` as 'c' for a comparison, of
    /// `..` as '+', of `...` as '*'.
    Sign(u8),
}

/// All of a script's words, without its comments. Nothing where a string or comment does not end.
pub fn tokens(text: &[u8]) -> Option<Vec<Token<'_>>> {
    let mut found = Vec::new();
    let mut at = 0;
    if text.starts_with(b"#") {
        at = end_of_line(text, 0);
    }
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        let begin = at;
        match byte {
            b if b.is_ascii_whitespace() || b == 0x0b => at += 1,
            b'-' if rest.starts_with(b"--") => {
                at = match long_bracket(&text[at + 2..]) {
                    Some((_, end)) => at + 2 + end?,
                    None => end_of_line(text, at),
                };
            }
            b if b.is_ascii_alphabetic() || b == b'_' => {
                let len = rest.iter().take_while(|b| is_of_name(**b)).count();
                at += len;
                found.push(Token::Name(&text[begin..at]));
            }
            b if b.is_ascii_digit()
                || (b == b'.' && rest.get(1).is_some_and(u8::is_ascii_digit)) =>
            {
                // `1e-5`, `0x1F`, `3..2` is no number of Lua's either.
                let mut last = 0;
                let goes_on = |b: &&u8| {
                    let goes_on = is_of_name(**b)
                        || **b == b'.'
                        || (matches!(**b, b'+' | b'-') && matches!(last, b'e' | b'E'));
                    last = **b;
                    goes_on
                };
                at += rest.iter().take_while(goes_on).count();
                found.push(Token::Value);
            }
            b'"' | b'\'' => {
                let (token, len) = short_string(rest)?;
                found.push(token);
                at += len;
            }
            b'[' => match long_bracket(rest) {
                Some((_, end)) => {
                    found.push(Token::Value);
                    at += end?;
                }
                None => {
                    found.push(Token::Sign(b'['));
                    at += 1;
                }
            },
            _ => {
                let (sign, len) = match rest {
                    [b'=' | b'~' | b'<' | b'>', b'=', ..] => (b'c', 2),
                    [b'.', b'.', b'.', ..] => (b'*', 3),
                    [b'.', b'.', ..] => (b'+', 2),
                    _ => (byte, 1),
                };
                found.push(Token::Sign(sign));
                at += len;
            }
        }
    }
    Some(found)
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn end_of_line(text: &[u8], from: usize) -> usize {
    memchr::memchr2(b'\n', b'\r', &text[from..]).map_or(text.len(), |at| from + at)
}

/// Where `text` begins with `[[` or `[==[`: how many signs stand between, and where the string
/// behind it ends, if it does.
fn long_bracket(text: &[u8]) -> Option<(usize, Option<usize>)> {
    let level = text
        .strip_prefix(b"[")?
        .iter()
        .take_while(|b| **b == b'=')
        .count();
    if text.get(1 + level) != Some(&b'[') {
        return None;
    }
    let mut close = vec![b']'];
    close.resize(1 + level, b'=');
    close.push(b']');
    let begin = 2 + level;
    let end = memchr::memmem::find(&text[begin..], &close);
    Some((level, end.map(|at| begin + at + close.len())))
}

/// A string in quotes at the begin of `text`, and its length with them.
fn short_string(text: &[u8]) -> Option<(Token<'_>, usize)> {
    let quote = text[0];
    let mut at = 1;
    let mut is_plain = true;
    loop {
        match *text.get(at)? {
            b'\\' => {
                is_plain = false;
                at += 2;
            }
            b'\n' => return None,
            b if b == quote => break,
            _ => at += 1,
        }
    }
    let token = if is_plain {
        Token::Text(&text[1..at])
    } else {
        Token::Value
    };
    Some((token, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_signs_and_strings() {
        let text = b"#!lua\nlocal a='x' --c\n--[[ long\n]] b = \"\\n\"..[[y]] ~= 1e-5 a.b ...";
        let found = tokens(text).expect("it ends");
        let name = |text: &'static str| Token::Name(text.as_bytes());
        let expected = [
            name("local"),
            name("a"),
            Token::Sign(b'='),
            Token::Text(b"x"),
            name("b"),
            Token::Sign(b'='),
            Token::Value,
            Token::Sign(b'+'),
            Token::Value,
            Token::Sign(b'c'),
            Token::Value,
            name("a"),
            Token::Sign(b'.'),
            name("b"),
            Token::Sign(b'*'),
        ];
        assert_eq!(found, expected);
        assert!(tokens(b"x = 'y").is_none() && tokens(b"--[[ y").is_none());
    }
}
