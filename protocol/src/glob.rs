//! Patterns as KEYS, SCAN and PSUBSCRIBE take them: `*`, `?`, `[abc]`, `[^a-z]`, and `\` before a
//! byte that is to mean itself.
//!
//! Of several stars only the last one passed needs to be tried again: whatever an earlier one could
//! match, a later one reaches too. So a match costs at most the pattern's length times the text's,
//! where plain recursion takes exponential time.
//!
//! Edge cases as in Redis: a class that is not closed ends with the pattern; a range may be written
//! backwards; a `\` at the pattern's end means itself; `[]` matches nothing, and `[^]` any byte.

/// True where the whole of `text` matches `pattern`. With `ignore_case` ASCII letters match in
/// either case.
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let (mut rest, mut at) = (pattern, 0);
    // The pattern behind the last star, and where in the text that star's match ends so far.
    let mut star: Option<(&[u8], usize)> = None;
    loop {
        if let [b'*', behind @ ..] = rest {
            if behind.is_empty() {
                return true;
            }
            star = Some((behind, at));
            rest = behind;
            continue;
        }
        let step = match text.get(at) {
            None if rest.is_empty() => return true,
            // More text would be needed, and giving the star more leaves less.
            None => return false,
            Some(&byte) => match_one(rest, byte, ignore_case),
        };
        match (step, star) {
            (Some(behind), _) => {
                rest = behind;
                at += 1;
            }
            (None, Some((behind, end))) => {
                rest = behind;
                at = end + 1;
                star = Some((behind, at));
            }
            (None, None) => return false,
        }
    }
}

/// What is left of `pattern`, which does not begin with a star, when its first element matches
/// `byte`.
fn match_one(pattern: &[u8], byte: u8, ignore_case: bool) -> Option<&[u8]> {
    let (found, rest) = match pattern {
        [] => return None,
        [b'?', rest @ ..] => (true, rest),
        [b'[', class @ ..] => match_class(class, byte, ignore_case),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            (fold(*literal, ignore_case) == fold(byte, ignore_case), rest)
        }
    };
    found.then_some(rest)
}

/// Whether `byte` is in the class that `class` begins with, behind its bracket, and what follows
/// the class.
fn match_class(class: &[u8], byte: u8, ignore_case: bool) -> (bool, &[u8]) {
    let (negated, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let byte = fold(byte, ignore_case);
    let mut found = false;
    loop {
        rest = match rest {
            [b'\\', literal, rest @ ..] => {
                found |= fold(*literal, ignore_case) == byte;
                rest
            }
            [b']', rest @ ..] => return (found != negated, rest),
            [] => return (found != negated, rest),
            [from, b'-', to, rest @ ..] => {
                let (from, to) = (*from.min(to), *from.max(to));
                let (from, to) = (fold(from, ignore_case), fold(to, ignore_case));
                found |= (from..=to).contains(&byte);
                rest
            }
            [literal, rest @ ..] => {
                found |= fold(*literal, ignore_case) == byte;
                rest
            }
        };
    }
}

fn fold(byte: u8, ignore_case: bool) -> u8 {
    if ignore_case {
        byte.to_ascii_lowercase()
    } else {
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(pattern: &str, hits: &[&str], misses: &[&str]) {
        for text in hits {
            assert!(
                matches(pattern.as_bytes(), text.as_bytes(), false),
                "{pattern} should match {text}"
            );
        }
        for text in misses {
            assert!(
                !matches(pattern.as_bytes(), text.as_bytes(), false),
                "{pattern} should not match {text}"
            );
        }
    }

    #[test]
    fn stars_and_marks() {
        check("", &[""], &["a"]);
        check("*", &["", "a", "abc"], &[]);
        check("h?llo", &["hello", "hallo"], &["hllo", "heello", "hell"]);
        check(
            "h*llo",
            &["hllo", "heeeello", "hllollo"],
            &["hell", "hllox"],
        );
        check("**a*", &["a", "ba", "bab"], &["", "b"]);
        check("*ab*ab", &["abab", "xababab"], &["ab", "abba"]);
        check("?*", &["a", "ab"], &[""]);
    }

    #[test]
    fn classes() {
        check("h[ae]llo", &["hello", "hallo"], &["hillo", "h[ae]llo"]);
        check("h[^e]llo", &["hallo", "h^llo"], &["hello", "hllo"]);
        check("[a-c]", &["a", "b", "c"], &["d", "-", ""]);
        check("[c-a]", &["a", "b", "c"], &["d"]);
        check("[^a-c]x", &["dx"], &["ax"]);
        check("[a-]", &["a"], &["b"]);
        check("[\\]a]", &["]", "a"], &["\\"]);
        check("[]", &[], &["", "]"]);
        check("[^]", &["a"], &[""]);
        check("[ab", &["a", "b"], &["[ab", "c"]);
        check("*[0-9]*", &["a1b"], &["ab"]);
    }

    #[test]
    fn escapes() {
        check("\\*", &["*"], &["a", "\\*"]);
        check("a\\?", &["a?"], &["ab"]);
        check("a\\", &["a\\"], &["a"]);
        check("\\[a]", &["[a]"], &["a"]);
    }

    #[test]
    fn either_case() {
        assert!(matches(b"HeL[K-M]o*", b"hELLO", true));
        assert!(!matches(b"HeLLo", b"hELLO", false));
        assert!(matches(b"*", &[0xff, 0], true));
        assert!(!matches(b"\xc4", b"\xe4", true));
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = b"a*".repeat(200);
        let text = [b"a".repeat(2000), b"b".to_vec()].concat();
        assert!(matches(&pattern, &text, false));
        assert!(!matches(&[&pattern[..], b"c"].concat(), &text, false));
    }

    /// The plain recursive meaning, to compare with.
    fn recursive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| recursive(rest, &text[skip..])),
            ([], []) => true,
            (_, [byte, text @ ..]) => {
                match_one(pattern, *byte, false).is_some_and(|rest| recursive(rest, text))
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_recursion(pattern in "[ab*?\\[\\]^\\\\-]{0,10}", text in "[ab\\[-]{0,10}") {
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), false), recursive(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
