//! JSON to a Lua value.

use std::cell::Cell;
use std::ffi::{CStr, c_int};

use super::stack::{Job, Stack};
use super::{Fault, Settings, number};

/// The most bytes that are kept for the next call.
const SPARE_MAX: usize = 64 << 10;

/// Slots of Lua's stack that a container takes: itself, a key and a value.
const OBJECT_SLOTS: c_int = 3;
const ARRAY_SLOTS: c_int = 2;

/// A container that is being read.
#[derive(Debug)]
enum Level {
    Array { read: c_int },
    Object,
}

/// The smallest piece of a text that has a meaning.
#[derive(Clone, Copy, Debug)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Colon,
    Comma,
    /// The bytes of the text from one to the other.
    Plain(usize, usize),
    /// What [`Decoder::unescaped`] holds.
    Unescaped,
    Number(f64),
    Boolean(bool),
    Null,
    /// The text is over, or a zero byte ends it.
    End,
    /// There is none.
    Invalid(&'static CStr),
}

impl Token {
    /// As error texts name it.
    fn name(self) -> &'static CStr {
        match self {
            Token::ObjectBegin => c"T_OBJ_BEGIN",
            Token::ObjectEnd => c"T_OBJ_END",
            Token::ArrayBegin => c"T_ARR_BEGIN",
            Token::ArrayEnd => c"T_ARR_END",
            Token::Colon => c"T_COLON",
            Token::Comma => c"T_COMMA",
            Token::Plain(..) | Token::Unescaped => c"T_STRING",
            Token::Number(_) => c"T_NUMBER",
            Token::Boolean(_) => c"T_BOOLEAN",
            Token::Null => c"T_NULL",
            Token::End => c"T_END",
            Token::Invalid(why) => why,
        }
    }
}

/// What one call writes into.
#[derive(Default)]
struct Buffers {
    unescaped: Vec<u8>,
    levels: Vec<Level>,
}

thread_local! {
    /// Those of the last call, empty: most need no new memory.
    static SPARE: Cell<Option<Buffers>> = const { Cell::new(None) };
}

/// Reads one text.
pub struct Decoder<'a> {
    settings: Settings,
    text: &'a [u8],
    /// What is read next.
    at: usize,
    /// Where the last token begins; an invalid one, where it is invalid.
    token_at: usize,
    /// The last string, where it had escapes.
    unescaped: Vec<u8>,
    /// The containers that are being read, the innermost last.
    levels: Vec<Level>,
}

impl<'a> Decoder<'a> {
    pub fn new(settings: Settings, text: &'a [u8]) -> Self {
        let Buffers { unescaped, levels } = SPARE.take().unwrap_or_default();
        Decoder {
            settings,
            text,
            at: 0,
            token_at: 0,
            unescaped,
            levels,
        }
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        let mut unescaped = std::mem::take(&mut self.unescaped);
        let mut levels = std::mem::take(&mut self.levels);
        let level_max = SPARE_MAX / size_of::<Level>();
        if unescaped.capacity() <= SPARE_MAX && levels.capacity() <= level_max {
            unescaped.clear();
            levels.clear();
            SPARE.set(Some(Buffers { unescaped, levels }));
        }
    }
}

impl Job for Decoder<'_> {
    fn run(&mut self, stack: &mut Stack) -> Result<(), Fault> {
        if let [0, _, ..] | [_, 0, ..] = self.text {
            return Err(Fault::Utf16);
        }
        let mut token = self.next();
        loop {
            if let Some(first) = self.begin(stack, token)? {
                token = first;
            } else if let Some(following) = self.advance(stack)? {
                token = following;
            } else {
                return Ok(());
            }
        }
    }
}

/// Values.
impl Decoder<'_> {
    /// Puts the value that begins with this token, or the container of which it is the beginning,
    /// and then gives the token with which the first value in it begins.
    fn begin(&mut self, stack: &mut Stack, token: Token) -> Result<Option<Token>, Fault> {
        match token {
            Token::Plain(..) | Token::Unescaped => self.push_string(stack, token),
            Token::Number(value) => stack.push_number(value),
            Token::Boolean(value) => stack.push_boolean(value),
            Token::Null => stack.push_null_pointer(),
            Token::ObjectBegin => {
                self.descend(stack, OBJECT_SLOTS)?;
                stack.push_table();
                let first = self.next();
                if !matches!(first, Token::ObjectEnd) {
                    self.levels.push(Level::Object);
                    return self.member(stack, first).map(Some);
                }
            }
            Token::ArrayBegin => {
                self.descend(stack, ARRAY_SLOTS)?;
                stack.push_table();
                let first = self.next();
                if !matches!(first, Token::ArrayEnd) {
                    self.levels.push(Level::Array { read: 0 });
                    return Ok(Some(first));
                }
            }
            _ => return Err(self.expected(c"value", token)),
        }
        Ok(None)
    }

    /// Puts the value on top into the container below it, ends the containers that end with it,
    /// and gives the token with which the next value begins; none at the end of all.
    fn advance(&mut self, stack: &mut Stack) -> Result<Option<Token>, Fault> {
        while let Some(level) = self.levels.last_mut() {
            match level {
                Level::Array { read } => {
                    *read += 1;
                    stack.set_item(*read);
                    match self.next() {
                        Token::ArrayEnd => {}
                        Token::Comma => return Ok(Some(self.next())),
                        token => return Err(self.expected(c"comma or array end", token)),
                    }
                }
                Level::Object => {
                    stack.set_member();
                    match self.next() {
                        Token::ObjectEnd => {}
                        Token::Comma => {
                            let key = self.next();
                            return self.member(stack, key).map(Some);
                        }
                        token => return Err(self.expected(c"comma or object end", token)),
                    }
                }
            }
            self.levels.pop();
        }
        match self.next() {
            Token::End => Ok(None),
            token => Err(self.expected(c"the end", token)),
        }
    }

    /// Puts a member's key and gives the token with which its value begins.
    fn member(&mut self, stack: &mut Stack, key: Token) -> Result<Token, Fault> {
        if !matches!(key, Token::Plain(..) | Token::Unescaped) {
            return Err(self.expected(c"object key string", key));
        }
        self.push_string(stack, key);
        match self.next() {
            Token::Colon => Ok(self.next()),
            token => Err(self.expected(c"colon", token)),
        }
    }

    fn push_string(&self, stack: &mut Stack, token: Token) {
        match token {
            Token::Plain(from, to) => stack.push_text(&self.text[from..to]),
            _ => stack.push_text(&self.unescaped),
        }
    }

    fn descend(&self, stack: &mut Stack, slots: c_int) -> Result<(), Fault> {
        let depth = self.levels.len() + 1;
        if depth > self.settings.decode_max_depth as usize || !stack.room(slots) {
            let at = self.at;
            return Err(Fault::TooNested { depth, at });
        }
        Ok(())
    }

    fn expected(&self, wanted: &'static CStr, found: Token) -> Fault {
        Fault::Expected {
            wanted,
            found: found.name(),
            at: self.token_at,
        }
    }
}

/// Tokens.
impl Decoder<'_> {
    /// A byte of the text, or the zero behind it.
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Token {
        let mut first = self.byte(self.at);
        while matches!(first, b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
            first = self.byte(self.at);
        }
        self.token_at = self.at;
        match first {
            b'{' => self.skip(1, Token::ObjectBegin),
            b'}' => self.skip(1, Token::ObjectEnd),
            b'[' => self.skip(1, Token::ArrayBegin),
            b']' => self.skip(1, Token::ArrayEnd),
            b':' => self.skip(1, Token::Colon),
            b',' => self.skip(1, Token::Comma),
            0 => Token::End,
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => {
                if self.settings.decode_invalid_numbers == 0 && self.is_invalid_number() {
                    self.invalid(c"invalid number")
                } else {
                    self.number()
                }
            }
            b't' if self.rest().starts_with(b"true") => self.skip(4, Token::Boolean(true)),
            b'f' if self.rest().starts_with(b"false") => self.skip(5, Token::Boolean(false)),
            b'n' if self.rest().starts_with(b"null") => self.skip(4, Token::Null),
            b'+' | b'i' | b'I' | b'n' | b'N'
                if self.settings.decode_invalid_numbers != 0 && self.is_invalid_number() =>
            {
                self.number()
            }
            _ => self.invalid(c"invalid token"),
        }
    }

    fn skip(&mut self, bytes: usize, token: Token) -> Token {
        self.at += bytes;
        token
    }

    fn invalid(&mut self, why: &'static CStr) -> Token {
        self.token_at = self.at;
        Token::Invalid(why)
    }

    /// Whether what stands here is a number to C and not to JSON: it has a plus sign or leading
    /// zeros, is hexadecimal, NaN or infinite.
    fn is_invalid_number(&self) -> bool {
        let text = self.rest();
        if text.first() == Some(&b'+') {
            return true;
        }
        match text.strip_prefix(b"-").unwrap_or(text) {
            [b'0', second, ..] => matches!(second, b'x' | b'X' | b'0'..=b'9'),
            text => {
                number::starts_with_word(text, b"inf") || number::starts_with_word(text, b"nan")
            }
        }
    }

    fn number(&mut self) -> Token {
        match number::parse_prefix(self.rest()) {
            Some((value, length)) => self.skip(length, Token::Number(value)),
            None => self.invalid(c"invalid number"),
        }
    }

    /// The string whose quote stands here.
    fn string(&mut self) -> Token {
        self.at += 1;
        let from = self.at;
        self.skip_plain();
        if self.byte(self.at) == b'"' {
            return self.skip(1, Token::Plain(from, self.at));
        }
        self.unescaped.clear();
        let mut from = from;
        loop {
            self.unescaped.extend_from_slice(&self.text[from..self.at]);
            match self.byte(self.at) {
                b'"' => return self.skip(1, Token::Unescaped),
                b'\\' => {
                    if let Err(why) = self.escape() {
                        return self.invalid(why);
                    }
                }
                _ => return self.invalid(c"unexpected end of string"),
            }
            from = self.at;
            self.skip_plain();
        }
    }

    /// Goes on to the next byte of a string that does not stand for itself.
    fn skip_plain(&mut self) {
        let end = self
            .rest()
            .iter()
            .position(|it| matches!(it, b'"' | b'\\' | 0));
        self.at = end.map_or(self.text.len(), |end| self.at + end);
    }

    /// Appends what the escape that stands here means, and goes on behind it.
    fn escape(&mut self) -> Result<(), &'static CStr> {
        let byte = match self.byte(self.at + 1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            b'u' => {
                let (code, length) = self.code_point().ok_or(c"invalid unicode escape code")?;
                let mut utf8 = [0; 4];
                let utf8 = code.encode_utf8(&mut utf8);
                self.unescaped.extend_from_slice(utf8.as_bytes());
                self.at += length;
                return Ok(());
            }
            _ => return Err(c"invalid escape code"),
        };
        self.unescaped.push(byte);
        self.at += 2;
        Ok(())
    }

    /// The code point that stands here as one "\u", or two for what lies beyond 16 bits, and the
    /// length of that.
    fn code_point(&self) -> Option<(char, usize)> {
        let first = self.four_digits(self.at + 2)?;
        if !(0xd800..0xe000).contains(&first) {
            return Some((char::from_u32(first)?, 6));
        }
        if first >= 0xdc00 || self.byte(self.at + 6) != b'\\' || self.byte(self.at + 7) != b'u' {
            return None;
        }
        let second = self.four_digits(self.at + 8)?;
        if !(0xdc00..0xe000).contains(&second) {
            return None;
        }
        let code = 0x10000 + ((first & 0x3ff) << 10 | second & 0x3ff);
        Some((char::from_u32(code)?, 12))
    }

    fn four_digits(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        digits.iter().try_fold(0, |value, &digit| {
            Some(value << 4 | (digit as char).to_digit(16)?)
        })
    }
}
