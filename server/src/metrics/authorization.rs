//! `Authorization`: the password that a scraper gives, as `Basic` with a user or as `Bearer`.

/// The password in a header's value. `None` where there is none, or for a user whom percore does
/// not have.
pub fn password(value: &[u8]) -> Option<Vec<u8>> {
    let blank = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, credentials) = (&value[..blank], value[blank..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(credentials.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = from_base64(credentials)?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    matches!(user, b"" | b"default").then(|| password.to_vec())
}

fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|digit| *digit != b'=');
    let digits = &text[..end.map_or(0, |last| last + 1)];
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0u32);
    for digit in digits {
        held = held << 6 | sextet(*digit)?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemes_give_a_password() {
        for (value, expected) in [
            ("Bearer secret", Some("secret")),
            ("bearer   a b ", Some("a b")),
            ("Basic ZGVmYXVsdDpzZWNyZXQ=", Some("secret")),
            ("basic OmE6Yg==", Some("a:b")),
            ("Basic OmE6Yg", Some("a:b")),
            ("Basic Ym9iOnNlY3JldA==", None),
            ("Basic c2VjcmV0", None),
            ("Basic &", None),
            ("Basic ", None),
            ("Basic", None),
            ("Digest x", None),
            ("", None),
        ] {
            let found = password(value.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{value}");
        }
    }
}
