//! A source file as lines, with what is code told from what is comment or text.

use std::ops::Range;

/// A line of a source.
pub struct Line {
    /// As it stands there.
    pub text: String,
    /// Without comments, and with blanks in place of what is in quotes.
    pub code: String,
    /// Whether a comment is on it, or part of one.
    pub has_comment: bool,
}

/// A source file.
pub struct Source {
    lines: Vec<Line>,
}

/// What a character belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Code,
    LineComment,
    /// So many deep.
    BlockComment(usize),
    /// A string, raw with so many hashes.
    Text(Option<usize>),
}

impl Source {
    /// Tells code from comments.
    pub fn read(text: &str) -> Source {
        let mut within = Within::Code;
        let lines = text.lines().map(|line| {
            if within == Within::LineComment {
                within = Within::Code;
            }
            read_line(line, &mut within)
        });
        Source {
            lines: lines.collect(),
        }
    }

    /// All lines, in order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The numbers of the lines that each function takes, from `fn` to its closing brace.
    pub fn functions(&self) -> Vec<Range<usize>> {
        let mut functions = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            for (column, _) in line.code.match_indices("fn ") {
                let before = line.code[..column].chars().next_back();
                let name = line.code[column + 3..].chars().next();
                let is_function = before.is_none_or(|it| !is_word(it)) && name.is_some_and(is_word);
                if is_function && let Some(end) = self.end_of_body(at, column) {
                    functions.push(at + 1..end + 2);
                }
            }
        }
        functions
    }

    /// The index of the line where the body of the function ends that begins here; `None` where it
    /// has no body.
    fn end_of_body(&self, line: usize, column: usize) -> Option<usize> {
        let (mut braces, mut others) = (0usize, 0usize);
        for (at, it) in self.lines.iter().enumerate().skip(line) {
            let from = if at == line { column } else { 0 };
            for character in it.code[from..].chars() {
                match character {
                    '{' => braces += 1,
                    '}' => {
                        braces = braces.saturating_sub(1);
                        if braces == 0 {
                            return Some(at);
                        }
                    }
                    '(' | '[' if braces == 0 => others += 1,
                    ')' | ']' if braces == 0 => others = others.saturating_sub(1),
                    ';' if braces == 0 && others == 0 => return None,
                    _ => {}
                }
            }
        }
        None
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn read_line(line: &str, within: &mut Within) -> Line {
    let mut code = String::with_capacity(line.len());
    let mut has_comment = *within != Within::Code && !matches!(*within, Within::Text(_));
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        let (taken, next) = match *within {
            Within::Code => step_in_code(rest, &code),
            Within::LineComment => (rest.len(), Within::LineComment),
            Within::BlockComment(depth) if rest.starts_with("/*") => {
                (2, Within::BlockComment(depth + 1))
            }
            Within::BlockComment(1) if rest.starts_with("*/") => (2, Within::Code),
            Within::BlockComment(depth) if rest.starts_with("*/") => {
                (2, Within::BlockComment(depth - 1))
            }
            Within::Text(None) if character == '\\' => {
                let escaped = rest[1..].chars().next().map_or(0, char::len_utf8);
                (1 + escaped, Within::Text(None))
            }
            Within::Text(None) if character == '"' => (1, Within::Code),
            Within::Text(Some(hashes)) if ends_raw(rest, hashes) => (1 + hashes, Within::Code),
            other => (character.len_utf8(), other),
        };
        let is_code = *within == Within::Code && next == Within::Code;
        has_comment |= matches!(next, Within::LineComment | Within::BlockComment(_));
        if is_code && taken == character.len_utf8() {
            code.push(character);
        } else {
            code.extend(std::iter::repeat_n(' ', taken));
        }
        *within = next;
        rest = &rest[taken..];
    }
    Line {
        text: line.to_owned(),
        code,
        has_comment,
    }
}

/// How many bytes the next thing in code takes, and what follows it.
fn step_in_code(rest: &str, before: &str) -> (usize, Within) {
    if rest.starts_with("//") {
        return (rest.len(), Within::LineComment);
    }
    if rest.starts_with("/*") {
        return (2, Within::BlockComment(1));
    }
    if rest.starts_with('"') {
        return (1, Within::Text(None));
    }
    if !before.chars().next_back().is_some_and(is_word)
        && let Some(raw) = rest.strip_prefix('r').or_else(|| rest.strip_prefix("br"))
    {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return (
                rest.len() - raw.len() + hashes + 1,
                Within::Text(Some(hashes)),
            );
        }
    }
    if let Some(quoted) = rest.strip_prefix('\'') {
        return (1 + character_len(quoted), Within::Code);
    }
    let len = rest.chars().next().map_or(0, char::len_utf8);
    (len, Within::Code)
}

/// The bytes behind the quote that belong to a character literal; none where it is a lifetime's.
fn character_len(quoted: &str) -> usize {
    let mut characters = quoted.char_indices();
    match characters.next() {
        Some((_, '\\')) => {
            characters.next();
            characters
                .find(|(_, character)| *character == '\'')
                .map_or(0, |(at, _)| at + 1)
        }
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

fn ends_raw(rest: &str, hashes: usize) -> bool {
    let behind = rest.strip_prefix('"');
    behind.is_some_and(|it| it.len() - it.trim_start_matches('#').len() >= hashes)
}

#[test]
fn what_is_in_quotes_or_comments_is_no_code() {
    let source = Source::read(
        "let a = \"{ // \\\" fn b\"; // fn c {\nlet d = '{'; /* {\n } */ let e: &'a str = r#\"\" {\"#;\n",
    );
    let code: Vec<&str> = source
        .lines()
        .iter()
        .map(|line| line.code.trim_end())
        .collect();
    assert!(
        code[0].starts_with("let a =") && code[0].ends_with(';'),
        "{code:?}"
    );
    assert!(
        code.iter()
            .all(|line| !line.contains('{') && !line.contains('}')),
        "{code:?}"
    );
    assert!(
        code[2].ends_with(';') && code[2].contains("&'a str"),
        "{code:?}"
    );
    let comments: Vec<bool> = source.lines().iter().map(|line| line.has_comment).collect();
    assert_eq!(comments, [true, true, true]);
}

#[test]
fn a_function_ends_with_its_brace() {
    let source = Source::read(
        "trait T {\n    fn without(&self, a: [u8; 2]);\n    fn with() {\n        {\n        }\n    }\n}\n",
    );
    let functions = source.functions();
    assert_eq!((functions.len(), functions[0].clone()), (1, 3..7));
}
