//! Arguments that nobody else may read: passwords, where the slow log and MONITOR repeat a command.

use config::{Flag, Parameter};
use protocol::args::Args;
use protocol::facts::{SecretOption, Secrets};
use protocol::table::CommandId;

/// What stands in a secret's place.
pub const REDACTED: &[u8] = b"(redacted)";

/// The arguments of `command` as others may see them, verb first.
pub fn shown<'a>(command: CommandId, args: &Args<'a>) -> Vec<&'a [u8]> {
    let mut shown: Vec<&[u8]> = args.iter().collect();
    match command.command().secrets {
        Secrets::Nothing => {}
        Secrets::From(at) => from(at, &mut shown).fill(REDACTED),
        Secrets::Options { from: at, options } => hide_options(options, from(at, &mut shown)),
        Secrets::Parameters(at) => hide_values(from(at, &mut shown)),
    }
    shown
}

/// The arguments from `at` on; none where there are fewer.
fn from<'s, 'a>(at: u8, args: &'s mut [&'a [u8]]) -> &'s mut [&'a [u8]] {
    let at = args.len().min(usize::from(at));
    &mut args[at..]
}

/// Hides the values of those of `options` that are secret, also where some are missing.
fn hide_options(options: &[SecretOption], mut words: &mut [&[u8]]) {
    while let Some((word, rest)) = words.split_first_mut() {
        let is = |option: &&SecretOption| word.eq_ignore_ascii_case(option.word.as_bytes());
        let option = options.iter().find(is);
        let values = option.map_or(0, |option| usize::from(option.values).min(rest.len()));
        if option.is_some_and(|option| option.is_secret) {
            rest[..values].fill(REDACTED);
        }
        words = &mut rest[values..];
    }
}

/// Hides the secrets among pairs of parameters and values. Where one has no partner, which words
/// are values cannot be known behind a secret.
fn hide_values(pairs: &mut [&[u8]]) {
    let mut hides_all = false;
    let is_whole = pairs.len().is_multiple_of(2);
    for pair in pairs.chunks_mut(2) {
        if hides_all {
            pair.fill(REDACTED);
        } else if let [name, value] = pair
            && is_secret(name)
        {
            *value = REDACTED;
            hides_all = !is_whole;
        }
    }
}

/// Whether the value of this parameter is nobody's business. That of one that there is not may be a
/// secret under a misspelled name.
fn is_secret(parameter: &[u8]) -> bool {
    let name = std::str::from_utf8(parameter).unwrap_or_default();
    Parameter::find(name).is_none_or(|row| row.is(Flag::Sensitive))
}

#[cfg(test)]
mod tests {
    use protocol::args::OwnedArgs;
    use protocol::table::lookup_full;

    use super::*;

    fn text(name: &str, words: &str) -> String {
        let args = OwnedArgs::from_parts(words.split(' ').map(str::as_bytes));
        let command = lookup_full(name.as_bytes()).expect("a command of the table");
        let shown = shown(command, &args.borrow());
        String::from_utf8(shown.join(&b' ')).expect("text")
    }

    #[test]
    fn secrets_are_not_shown() {
        for (name, words, expected) in [
            ("auth", "AUTH secret", "AUTH (redacted)"),
            ("auth", "AUTH me secret", "AUTH (redacted) (redacted)"),
            (
                "hello",
                "HELLO 3 AUTH me secret SETNAME n",
                "HELLO 3 AUTH (redacted) (redacted) SETNAME n",
            ),
            ("hello", "HELLO 3 auth me", "HELLO 3 auth (redacted)"),
            ("hello", "HELLO 3 AUTH", "HELLO 3 AUTH"),
            ("hello", "HELLO", "HELLO"),
            (
                "hello",
                "HELLO 3 SETNAME auth AUTH me secret",
                "HELLO 3 SETNAME auth AUTH (redacted) (redacted)",
            ),
            (
                "hello",
                "HELLO 3 AUTH me secret AUTH me other",
                "HELLO 3 AUTH (redacted) (redacted) AUTH (redacted) (redacted)",
            ),
            (
                "config|set",
                "CONFIG SET maxmemory 0 REQUIREPASS secret",
                "CONFIG SET maxmemory 0 REQUIREPASS (redacted)",
            ),
            (
                "config|set",
                "CONFIG SET masterauth a masteruser b tls-key-file-pass c tls-client-key-file-pass d hz 5",
                "CONFIG SET masterauth (redacted) masteruser (redacted) tls-key-file-pass (redacted) \
                 tls-client-key-file-pass (redacted) hz 5",
            ),
            (
                "config|set",
                "CONFIG SET requirepas secret hz 5",
                "CONFIG SET requirepas (redacted) hz 5",
            ),
            (
                "config|set",
                "CONFIG SET hz 5 requirepass my secret",
                "CONFIG SET hz 5 requirepass (redacted) (redacted)",
            ),
            (
                "config|set",
                "CONFIG SET hz 5 requirepass",
                "CONFIG SET hz 5 requirepass",
            ),
            ("set", "SET auth secret", "SET auth secret"),
        ] {
            assert_eq!(text(name, words), expected);
        }
    }
}
