use proptest::prelude::*;

use super::*;
use crate::args::OwnedArgs;

/// What a connection makes of `input`, read in pieces that end at `cuts`, following the contract of
/// [`Parsed::Large`].
fn feed(
    input: &[u8],
    cuts: &[usize],
    limits: &Limits,
) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let (mut parser, mut buf, mut commands) = (Parser::new(), Vec::new(), Vec::new());
    let mut at = 0;
    for &cut in cuts.iter().chain([&input.len()]) {
        // A large argument may have been read beyond this cut.
        buf.extend_from_slice(&input[at.min(cut)..cut]);
        at = at.max(cut);
        loop {
            match parser.parse(&buf, limits) {
                Err(error) => return (commands, Some(error)),
                Ok(Parsed::Incomplete) => break,
                Ok(Parsed::Skip { consumed }) => {
                    assert!(consumed > 0 && consumed <= buf.len());
                    buf.drain(..consumed);
                }
                Ok(Parsed::Command { consumed }) => {
                    assert!(consumed > 0 && consumed <= buf.len());
                    commands.push(
                        parser
                            .args(&buf[..consumed])
                            .iter()
                            .map(<[u8]>::to_vec)
                            .collect(),
                    );
                    buf.drain(..consumed);
                }
                Ok(Parsed::Large { have_from, len }) => {
                    let mut large = LargeArg::begin(len, &buf[have_from..]);
                    buf.truncate(have_from);
                    // The rest of the argument is read past the cut, exactly.
                    let missing = large.missing();
                    if input.len() - at < missing {
                        return (commands, None);
                    }
                    while large.missing() > 0 {
                        let room = large.reserve();
                        assert!(room > 0 && room <= large.missing());
                        large.buffer().extend_from_slice(&input[at..at + room]);
                        at += room;
                    }
                    parser.supply_large(large.finish());
                }
            }
        }
    }
    (commands, None)
}

fn whole(input: &[u8]) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    feed(input, &[], &Limits::default())
}

fn encode(command: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    OwnedArgs::from_parts(command.iter().map(Vec::as_slice))
        .borrow()
        .encode_into(&mut out);
    out
}

#[track_caller]
fn fails(input: &[u8], text: &str) {
    assert_eq!(
        whole(input).1.expect("an error").to_string(),
        format!("Protocol error: {text}")
    );
}

#[track_caller]
fn runs(input: &[u8], commands: &[&[&[u8]]]) {
    let (got, error) = whole(input);
    assert_eq!(error, None);
    assert_eq!(got, commands);
}

/// Asked from a Redis server, input by input.
#[test]
fn refuses_what_redis_refuses() {
    fails(b"*abc\r\n", "invalid multibulk length");
    fails(b"*\r\n", "invalid multibulk length");
    fails(b"*+1\r\n", "invalid multibulk length");
    fails(b"*01\r\n", "invalid multibulk length");
    fails(b"*-0\r\n", "invalid multibulk length");
    fails(b"* 1\r\n", "invalid multibulk length");
    fails(b"*1 \r\n", "invalid multibulk length");
    fails(b"*1\n$4\r\n", "invalid multibulk length");
    fails(b"*2147483648\r\n", "invalid multibulk length");
    fails(b"*99999999999999999999\r\n", "invalid multibulk length");
    fails(b"*1\r\n$-1\r\n", "invalid bulk length");
    fails(b"*1\r\n$+1\r\n", "invalid bulk length");
    fails(b"*1\r\n$00\r\n", "invalid bulk length");
    fails(b"*1\r\n$\r\n", "invalid bulk length");
    fails(b"*1\r\n$536870913\r\n", "invalid bulk length");
    fails(b"*3\r\n$0\r\n\r\n$-5\r\n", "invalid bulk length");
    fails(b"*1\r\nx\r\n", "expected '$', got 'x'");
    fails(b"*2\r\n$4\r\nECHO\r\n:5\r\n", "expected '$', got ':'");
    fails(b"*1\r\n\r\n", "expected '$', got ' '");
    fails(b"echo \"a\r\n", "unbalanced quotes in request");
    fails(
        &[b"*".as_slice(), &[b'1'; 65537]].concat(),
        "too big mbulk count string",
    );
    fails(
        &[b"*1\r\n$".as_slice(), &[b'1'; 65537]].concat(),
        "too big bulk count string",
    );
    fails(&[b'a'; 65537], "too big inline request");
    fails(
        &[&[b'a'; 65537], b"\n".as_slice()].concat(),
        "too big inline request",
    );
    fails(
        &[b"*".as_slice(), &[b'1'; 65537], b"\r\n"].concat(),
        "too big mbulk count string",
    );
    fails(
        &[b"a\0\r\n".as_slice(), &[b'a'; 65534]].concat(),
        "too big inline request",
    );
    assert_eq!(
        ProtocolError::ExpectedBulk(0xff).text(),
        b"Protocol error: expected '$', got '\xff'"
    );
}

#[test]
fn runs_what_redis_runs() {
    runs(b"*-1\r\nPING\r\n", &[&[b"PING"]]);
    runs(b"*-10\r\n*0\r\nPING\n", &[&[b"PING"]]);
    runs(b"\r\n\n  \r\nPING a\r\r\n", &[&[b"PING", b"a"]]);
    runs(b"*1\rX$4\rYPINGxx*1\r\n$0\r\n\r\n", &[&[b"PING"], &[b""]]);
    runs(b"*2147483647\r\n", &[]);
    runs(b"*1\r", &[]);
    runs(&[b'a'; 65536], &[]);
    let long = [&[b'a'; 65535][..], b"\r\n"].concat();
    runs(&long, &[&[&long[..65535]]]);
    // A command typed by hand between others leaves nothing behind.
    runs(
        b"*1\r\n$1\r\na\r\nb 'c'\r\n*1\r\n$1\r\nd\r\n",
        &[&[b"a"], &[b"b", b"c"], &[b"d"]],
    );
}

#[test]
fn holds_strangers_to_small_commands() {
    let limits = Limits {
        authenticated: false,
        ..Limits::default()
    };
    let fails = |input: &[u8]| feed(input, &[], &limits).1;
    assert_eq!(
        fails(b"*11\r\n"),
        Some(ProtocolError::UnauthenticatedMultibulkLength)
    );
    assert_eq!(
        fails(b"*10\r\n$16385\r\n"),
        Some(ProtocolError::UnauthenticatedBulkLength)
    );
    assert_eq!(fails(b"*10\r\n$16384\r\n"), None);
    assert_eq!(
        fails(b"*10\r\n$536870913\r\n"),
        Some(ProtocolError::InvalidBulkLength)
    );
}

#[test]
fn holds_everyone_to_the_query_limit() {
    let limits = Limits {
        query_len_max: 100_000,
        ..Limits::default()
    };
    assert_eq!(
        feed(b"*2\r\n$100000\r\n", &[], &limits).1,
        Some(ProtocolError::QueryTooLong)
    );
    let mut input = b"*2\r\n$60000\r\n".to_vec();
    input.extend_from_slice(&[b'x'; 60002]);
    input.extend_from_slice(b"$40000\r\n");
    for cuts in [vec![], vec![20]] {
        assert_eq!(
            feed(&input, &cuts, &limits).1,
            Some(ProtocolError::QueryTooLong),
            "{cuts:?}"
        );
    }
}

#[test]
fn a_large_argument_is_moved_out_of_the_read_buffer() {
    let big = vec![b'v'; LARGE_ARG_BYTES * 100];
    let command = vec![
        b"SET".to_vec(),
        b"k".to_vec(),
        big,
        b"EX".to_vec(),
        b"9".to_vec(),
    ];
    let input = [encode(&command), b"PING\r\n".to_vec()].concat();
    let payload_at = memchr::memchr(b'v', &input).unwrap();
    let payload_end = payload_at + LARGE_ARG_BYTES * 100;
    for cut in [
        4,
        payload_at - 1,
        payload_at,
        payload_at + 1,
        payload_end - 1,
        payload_end,
        payload_end + 1,
        payload_end + 2,
        input.len() - 3,
    ] {
        let (commands, error) = feed(&input, &[cut], &Limits::default());
        assert_eq!(error, None);
        assert!(
            commands == [command.clone(), vec![b"PING".to_vec()]],
            "cut at {cut}"
        );
    }
    let mut parser = Parser::new();
    let limits = Limits::default();
    assert_eq!(
        parser.parse(&input[..payload_at], &limits),
        Ok(Parsed::Large {
            have_from: payload_at,
            len: LARGE_ARG_BYTES * 100
        })
    );
    assert_eq!(
        parser.parse(&input[..payload_at], &limits),
        Ok(Parsed::Large {
            have_from: payload_at,
            len: LARGE_ARG_BYTES * 100
        })
    );
    let payload = Bytes::copy_from_slice(&input[payload_at..payload_end + 2]);
    let at = payload.as_ptr();
    parser.supply_large(payload);
    let rest = [&input[..payload_at], &input[payload_end + 2..]].concat();
    let Ok(Parsed::Command { consumed }) = parser.parse(&rest, &limits) else {
        panic!("whole")
    };
    assert_eq!(rest.len() - consumed, 6);
    let args = parser.args(&rest[..consumed]);
    assert_eq!(args.to_bytes(2).as_ptr(), at);
    assert_eq!((args.len(), &args[4]), (5, &b"9"[..]));
}

#[test]
fn a_promise_allocates_nothing() {
    let mut parser = Parser::new();
    let limits = Limits::default();
    let input = b"*2147483647\r\n$536870912\r\n";
    let Ok(Parsed::Large { have_from, len }) = parser.parse(input, &limits) else {
        panic!("large")
    };
    assert_eq!((have_from, len), (input.len(), 512 * 1024 * 1024));
    assert!(parser.memory_bytes() < 1024);
    let mut large = LargeArg::begin(len, &[]);
    assert!(large.reserve() <= LargeArg::STEP_BYTES);
    assert!(large.buffer().capacity() <= LargeArg::STEP_BYTES);
}

#[test]
fn a_parser_forgets_a_huge_command() {
    let mut parser = Parser::new();
    let limits = Limits::default();
    let huge = encode(&vec![b"x".to_vec(); 100_000]);
    assert_eq!(
        parser.parse(&huge, &limits),
        Ok(Parsed::Command {
            consumed: huge.len()
        })
    );
    assert_eq!(parser.args(&huge).len(), 100_000);
    assert!(!huge.is_empty() && parser.is_between_commands());
    parser.parse(b"*1\r\n$4\r\nPI", &limits).unwrap();
    assert!(parser.memory_bytes() < 8 * 1024 && !parser.is_between_commands());
}

#[test]
fn every_cut_gives_the_same_commands() {
    let input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n0123456789\r\n\r\nGET \"k\\x41\"\r\n*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n*bad\r\n";
    let expected = whole(input);
    assert_eq!(expected.0.len(), 4);
    assert_eq!(expected.1, Some(ProtocolError::InvalidMultibulkLength));
    for first in 0..input.len() {
        for second in first..input.len() {
            assert_eq!(
                feed(input, &[first, second], &Limits::default()),
                expected,
                "cut at {first} and {second}"
            );
        }
    }
    let every: Vec<usize> = (0..input.len()).collect();
    assert_eq!(feed(input, &every, &Limits::default()), expected);
}

proptest! {
    #[test]
    fn commands_round_trip(
        commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..12), 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let input: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(feed(&input, &cuts, &Limits::default()), (commands, None));
    }

    #[test]
    fn arbitrary_bytes_never_panic(input in "[*$0-9\r\na-c\"'\\\\x -]{0,80}", cut in any::<prop::sample::Index>()) {
        let input = input.as_bytes();
        let cut = cut.index(input.len() + 1);
        prop_assert_eq!(feed(input, &[cut], &Limits::default()), whole(input));
    }
}

#[test]
fn a_command_held_back_is_found_again_with_its_large_arguments() {
    let len = LARGE_ARG_BYTES;
    let header = format!("*2\r\n$4\r\nECHO\r\n${len}\r\n").into_bytes();
    let mut parser = Parser::default();
    let limits = Limits::default();
    assert!(matches!(
        parser.parse(&header, &limits),
        Ok(Parsed::Large { .. })
    ));
    parser.supply_large(vec![b'x'; len + 2].into());
    let input = [&header[..], b"PING\r\n"].concat();
    for _ in 0..3 {
        let Ok(Parsed::Command { consumed }) = parser.parse(&input, &limits) else {
            panic!("no command");
        };
        assert_eq!(consumed, header.len());
        let args = parser.args(&input[..consumed]);
        assert_eq!((args.len(), args[1].len()), (2, len));
        parser.hold_back(consumed);
    }
    assert!(parser.parse(&input, &limits).is_ok());
    let rest = &input[header.len()..];
    assert_eq!(
        parser.parse(rest, &limits),
        Ok(Parsed::Command {
            consumed: rest.len()
        })
    );
}

/// What follows such a line is part of it, as Redis has it: a TLS hello on a plain port runs
/// nothing that it may happen to spell.
#[test]
fn an_inline_command_with_a_zero_byte_never_ends() {
    for line in [
        &b"PING\0\r\n"[..],
        b"\0PING\r\n",
        b"ECHO \"a\0b\"\r\n",
        b"\x16\x03\x01\x00\xf1\n",
    ] {
        let input = [line, b"PING\r\n"].concat();
        let before = [b"ECHO a\r\n", &*input].concat();
        for cut in 0..=input.len() {
            let limits = Limits::default();
            assert_eq!(feed(&input, &[cut], &limits), (vec![], None));
            assert_eq!(feed(&before, &[cut], &limits).0.len(), 1);
        }
    }
}
