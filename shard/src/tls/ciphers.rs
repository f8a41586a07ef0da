//! Versions and cipher suites by the names that OpenSSL, and so `redis.conf`, gives them.
//!
//! rustls has the suites that are recommended, and no others. A name that it has not is refused, as
//! an operator who names it may rely on it. The lists that people copy, as `DEFAULT:!MEDIUM`, mean
//! all that there is.

use rustls::crypto::ring::{ALL_CIPHER_SUITES, cipher_suite};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// The suites of TLS 1.2, by OpenSSL's names.
const TLS12: [(&str, SupportedCipherSuite); 6] = [
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
];

/// The suites of TLS 1.3.
const TLS13: [(&str, SupportedCipherSuite); 3] = [
    (
        "TLS_AES_256_GCM_SHA384",
        cipher_suite::TLS13_AES_256_GCM_SHA384,
    ),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_AES_128_GCM_SHA256",
        cipher_suite::TLS13_AES_128_GCM_SHA256,
    ),
];

/// Words of OpenSSL for classes that hold all suites of [`TLS12`].
const CLASSES_OF_ALL: &[&str] = &["DEFAULT", "ALL", "HIGH", "COMPLEMENTOFDEFAULT", "ECDHE"];

/// Words for classes that hold none of them, and so may be excluded.
const CLASSES_OF_NONE: &[&str] = &[
    "LOW", "MEDIUM", "EXP", "EXPORT", "NULL", "eNULL", "aNULL", "ADH", "AECDH", "MD5", "RC2",
    "RC4", "DES", "3DES", "IDEA", "SEED", "CAMELLIA", "ARIA", "PSK", "SRP", "DSS", "aDSS", "SHA",
    "SHA1", "kRSA", "SSLv2", "SSLv3", "TLSv1",
];

/// The versions that `words` names, with blanks between.
pub fn versions(words: &str) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let mut found = Vec::new();
    for word in words.split_whitespace() {
        let version = match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => &version::TLS12,
            "tlsv1.3" => &version::TLS13,
            "tlsv1" | "tlsv1.1" => {
                return Err(format!(
                    "percore has no {word}, which is not safe any more; there are TLSv1.2 and TLSv1.3"
                ));
            }
            _ => {
                return Err(format!(
                    "'{word}' is no version; there are TLSv1.2 and TLSv1.3"
                ));
            }
        };
        if !found.contains(&version) {
            found.push(version);
        }
    }
    if found.is_empty() {
        return Err("it names no version; there are TLSv1.2 and TLSv1.3".into());
    }
    Ok(found)
}

/// The suites of TLS 1.2 that a list in OpenSSL's form leaves, in its order.
pub fn tls12(list: &str) -> Result<Vec<SupportedCipherSuite>, String> {
    let mut chosen: Vec<SupportedCipherSuite> = Vec::new();
    let mut excluded: Vec<SupportedCipherSuite> = Vec::new();
    for word in list.split([':', ',', ' ']).filter(|word| !word.is_empty()) {
        let one = |name: &str| TLS12.iter().find(|(known, _)| *known == name);
        if let Some(name) = word.strip_prefix('!').or_else(|| word.strip_prefix('-')) {
            match one(name) {
                Some((_, suite)) if word.starts_with('!') => excluded.push(*suite),
                Some((_, suite)) => chosen.retain(|it| it != suite),
                None if CLASSES_OF_NONE.contains(&name) => {}
                None => return Err(unknown(word, &TLS12)),
            }
        } else if CLASSES_OF_ALL.contains(&word) {
            TLS12.iter().for_each(|(_, suite)| add(&mut chosen, *suite));
        } else if word == "@STRENGTH" {
            chosen.sort_by_key(|suite| TLS12.iter().position(|(_, known)| known == suite));
        } else {
            let (_, suite) = one(word).ok_or_else(|| unknown(word, &TLS12))?;
            add(&mut chosen, *suite);
        }
    }
    chosen.retain(|suite| !excluded.contains(suite));
    not_empty(chosen)
}

/// The suites of TLS 1.3 that `list` names, with colons between, in its order.
pub fn tls13(list: &str) -> Result<Vec<SupportedCipherSuite>, String> {
    let mut chosen = Vec::new();
    for word in list.split(':').filter(|word| !word.is_empty()) {
        let one = TLS13.iter().find(|(known, _)| *known == word);
        let (_, suite) = one.ok_or_else(|| unknown(word, &TLS13))?;
        add(&mut chosen, *suite);
    }
    not_empty(chosen)
}

/// All suites of one version, the strongest first.
pub fn all(of: &'static SupportedProtocolVersion) -> impl Iterator<Item = SupportedCipherSuite> {
    let suites = ALL_CIPHER_SUITES.iter();
    suites.copied().filter(move |suite| suite.version() == of)
}

fn add(chosen: &mut Vec<SupportedCipherSuite>, suite: SupportedCipherSuite) {
    if !chosen.contains(&suite) {
        chosen.push(suite);
    }
}

fn not_empty(chosen: Vec<SupportedCipherSuite>) -> Result<Vec<SupportedCipherSuite>, String> {
    if chosen.is_empty() {
        return Err("it leaves no cipher".into());
    }
    Ok(chosen)
}

fn unknown(word: &str, known: &[(&str, SupportedCipherSuite)]) -> String {
    let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    format!(
        "percore has no cipher '{word}'; there are {}",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_named_as_in_redis() {
        assert_eq!(versions("tlsv1.3 TLSv1.2").expect("known").len(), 2);
        assert_eq!(versions("TLSv1.3").expect("known"), [&version::TLS13]);
        for (words, part) in [
            ("TLSv1.1 TLSv1.2", "no TLSv1.1"),
            ("TLSv9", "'TLSv9'"),
            (" ", "no version"),
        ] {
            let why = versions(words).expect_err("refused");
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn lists_of_ciphers_are_those_of_openssl() {
        for all in ["DEFAULT:!MEDIUM", "HIGH:!aNULL:!MD5", "ALL:@STRENGTH"] {
            assert_eq!(tls12(all).expect("known").len(), TLS12.len(), "{all}");
        }
        let ordered = tls12("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384");
        assert_eq!(ordered.expect("known"), [TLS12[5].1, TLS12[1].1]);
        let without = tls12("DEFAULT:!ECDHE-RSA-AES128-GCM-SHA256").expect("known");
        assert_eq!(without.len(), TLS12.len() - 1);
        for (list, part) in [
            ("ECDHE-RSA-AES128-SHA256", "'ECDHE-RSA-AES128-SHA256'"),
            ("DEFAULT:!AES128", "'!AES128'"),
            ("!MEDIUM", "leaves no cipher"),
            ("", "leaves no cipher"),
        ] {
            let why = tls12(list).expect_err("refused");
            assert!(why.contains(part), "{why}");
        }
        assert_eq!(
            tls13("TLS_AES_128_GCM_SHA256").expect("known"),
            [TLS13[2].1]
        );
        let why = tls13("TLS_AES_128_CCM_SHA256").expect_err("refused");
        assert!(why.contains("'TLS_AES_128_CCM_SHA256'"), "{why}");
    }
}
