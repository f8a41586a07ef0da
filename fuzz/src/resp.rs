//! The parser of requests.

use bytes::Bytes;
use protocol::{LargeArg, Limits, Parsed, Parser, ProtocolError};

/// What a parser has found: commands, and the error that ended it.
type Found = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Parses bytes as requests: all at once, and in pieces as a socket may bring them.
///
/// # Panics
/// Where the parser makes no progress or passes the end, and where the pieces change what it finds.
pub fn resp(bytes: &[u8]) {
    for authenticated in [true, false] {
        let limits = Limits {
            authenticated,
            ..Limits::default()
        };
        let whole = parse(bytes, &limits, usize::MAX);
        for piece in [1, 7, 4096] {
            assert_eq!(parse(bytes, &limits, piece), whole, "in pieces of {piece}");
        }
    }
}

fn parse(input: &[u8], limits: &Limits, piece: usize) -> Found {
    let (mut parser, mut buffer, mut rest) = (Parser::new(), Vec::new(), input);
    let mut commands = Vec::new();
    let mut take = |most: usize| -> &[u8] {
        let piece = rest.split_off(..most.min(rest.len()));
        piece.unwrap_or_default()
    };
    loop {
        match parser.parse(&buffer, limits) {
            Err(error) => return (commands, Some(error)),
            Ok(Parsed::Command { consumed }) => {
                assert!((1..=buffer.len()).contains(&consumed));
                let args = parser.args(&buffer[..consumed]);
                assert!(!args.is_empty() && args.iter().len() == args.len());
                commands.push(args.iter().map(<[u8]>::to_vec).collect());
                buffer.drain(..consumed);
            }
            Ok(Parsed::Skip { consumed }) => {
                assert!((1..=buffer.len()).contains(&consumed));
                buffer.drain(..consumed);
            }
            Ok(Parsed::Incomplete) => {
                let more = take(piece);
                if more.is_empty() {
                    return (commands, None);
                }
                buffer.extend_from_slice(more);
            }
            Ok(Parsed::Large { have_from, len }) => {
                assert!(have_from <= buffer.len() && buffer.len() - have_from < len + 2);
                let mut large = LargeArg::begin(len, &buffer[have_from..]);
                buffer.truncate(have_from);
                while large.missing() > 0 {
                    let more = take(piece.min(large.reserve()));
                    if more.is_empty() {
                        return (commands, None);
                    }
                    large.buffer().extend_from_slice(more);
                }
                let payload: Bytes = large.finish();
                parser.supply_large(payload);
            }
        }
    }
}
