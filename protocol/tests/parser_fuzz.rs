//! Mutates well-formed and nearly well-formed input for a fixed time, and checks of each mutant
//! that the parser does not panic, never consumes more than there is, makes progress, and finds the
//! same commands whether the input comes whole or in pieces.
//!
//! `PERCORE_FUZZ_SECONDS` is the time to spend (5 by default), `PERCORE_FUZZ_SEED` repeats a run
//! whose seed was printed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::{LargeArg, Limits, Parsed, Parser, ProtocolError};

const CORPUS: &[&[u8]] = &[
    b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
    b"*3\r\n$3\r\nSET\r\n$16\r\n0123456789abcdef\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n",
    b"PING\r\nset \"a b\" 'c\\'d' \"\\x41\\n\"\r\n\r\nget k\n",
    b"*0\r\n*-1\r\n*1\r\n$4\r\nQUIT\r\n",
    b"*2147483647\r\n$536870912\r\n",
    b"*1\r\n$33000\r\nxxxxxxxx",
    b"*11\r\n$1\r\na\r\n",
];
const INTERESTING: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b"*",
    b"$",
    b"0",
    b"-1",
    b"9",
    b"\"",
    b"'",
    b"\\",
    b" ",
    b"\0",
    b"\xff",
    b"*1\r\n$1\r\nx\r\n",
    b"2147483648",
    b"32768",
];
/// Longer mutants are cut: the faults of a parser show in short input.
const INPUT_BYTES_MAX: usize = 200_000;
/// The value of `$len` that the mutation fills in, to reach the large arguments.
const LARGE_LENS: &[usize] = &[32_767, 32_768, 40_000];

type Commands = Vec<Vec<Vec<u8>>>;

/// Feeds `input` in pieces of lengths that `piece` gives.
fn feed(
    input: &[u8],
    limits: &Limits,
    mut piece: impl FnMut() -> usize,
) -> (Commands, Option<ProtocolError>) {
    let (mut parser, mut buf, mut at, mut commands) = (Parser::new(), Vec::new(), 0, Vec::new());
    loop {
        match parser.parse(&buf, limits) {
            Err(error) => return (commands, Some(error)),
            Ok(Parsed::Command { consumed }) => {
                assert!(
                    (1..=buf.len()).contains(&consumed),
                    "progress within the buffer"
                );
                let args = parser.args(&buf[..consumed]);
                assert!(!args.is_empty() && args.iter().len() == args.len());
                commands.push(args.iter().map(<[u8]>::to_vec).collect());
                buf.drain(..consumed);
            }
            Ok(Parsed::Skip { consumed }) => {
                assert!(
                    (1..=buf.len()).contains(&consumed),
                    "progress within the buffer"
                );
                buf.drain(..consumed);
            }
            Ok(Parsed::Incomplete) => {
                if at == input.len() {
                    return (commands, None);
                }
                let end = (at + piece().max(1)).min(input.len());
                buf.extend_from_slice(&input[at..end]);
                at = end;
            }
            Ok(Parsed::Large { have_from, len }) => {
                assert!(have_from <= buf.len() && buf.len() - have_from < len + 2);
                let mut large = LargeArg::begin(len, &buf[have_from..]);
                buf.truncate(have_from);
                while large.missing() > 0 && at < input.len() {
                    let end = (at + piece().clamp(1, large.reserve())).min(input.len());
                    large.buffer().extend_from_slice(&input[at..end]);
                    at = end;
                }
                if large.missing() > 0 {
                    return (commands, None);
                }
                let payload: Bytes = large.finish();
                parser.supply_large(payload);
            }
        }
    }
}

fn mutate(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..random.usize(1..4) {
        input.extend_from_slice(CORPUS[random.usize(..CORPUS.len())]);
    }
    for _ in 0..random.usize(0..6) {
        let at = random.usize(..=input.len());
        match random.u8(..7) {
            0 if at < input.len() => input[at] = random.u8(..),
            1 if at < input.len() => drop(input.remove(at)),
            2 => drop(
                input.splice(
                    at..at,
                    INTERESTING[random.usize(..INTERESTING.len())]
                        .iter()
                        .copied(),
                ),
            ),
            3 => input.truncate(at),
            4 => {
                let end = random.usize(at..=input.len());
                let copy = input[at..end].to_vec();
                drop(input.splice(at..at, copy));
            }
            5 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            _ => {
                let len = LARGE_LENS[random.usize(..LARGE_LENS.len())];
                let mut large = format!("*2\r\n${len}\r\n").into_bytes();
                large.resize(large.len() + len, b'v');
                large.extend_from_slice(b"\r\n$1\r\nz\r\n");
                drop(input.splice(at..at, large));
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

#[test]
fn mutants_parse_alike_whole_and_in_pieces() {
    let variable = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    let time = Duration::from_secs(variable("PERCORE_FUZZ_SECONDS").unwrap_or(5));
    let seed = variable("PERCORE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("PERCORE_FUZZ_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let begin = Instant::now();
    let mut mutants = 0u64;
    while begin.elapsed() < time {
        let input = mutate(&mut random);
        let limits = Limits {
            authenticated: random.u8(..4) > 0,
            ..Limits::default()
        };
        let whole = feed(&input, &limits, || usize::MAX);
        let piece_max = [1, 3, 20, 5000, 40_000][random.usize(..5)].max(input.len() / 2000);
        let pieces = feed(&input, &limits, || random.usize(1..=piece_max));
        assert!(
            whole == pieces,
            "seed {seed}, mutant {mutants}: {}",
            input[..input.len().min(500)].escape_ascii()
        );
        mutants += 1;
    }
    println!("{mutants} mutants");
    assert!(mutants > 0);
}
