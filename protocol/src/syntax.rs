//! The arguments of a command in one line, and what `COMMAND DOCS` tells of them.
//!
//! ```text
//! key value [NX|XX] [GET] [EX seconds|PX milliseconds] (score member)... [GET pattern]...
//! ```
//!
//! * A word in small letters is an argument, its type known by its name, or written behind a colon
//!   (`min:double`).
//! * Any other word is a token that stands for itself; followed by an argument or a group it
//!   introduces that.
//! * `[ ]` holds what may be left out, `( )` groups, `|` parts alternatives, and `...` follows what
//!   may be repeated. Behind a bracket that begins with a token, the token is repeated too.
//!
//! Only the table's own lines are parsed, which the tests cover; a line that is malformed loses
//! what is behind the fault.

/// The kind of an argument, as `COMMAND DOCS` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    /// A token alone.
    PureToken,
    /// Alternatives.
    OneOf,
    /// A sequence.
    Block,
}

impl Kind {
    /// Its name in `COMMAND DOCS`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Key => "key",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::PureToken => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }

    /// The kind that an argument's name stands for.
    fn of_name(name: &str) -> Kind {
        match name {
            "key" | "key1" | "key2" | "newkey" | "destkey" | "sourcekey" | "source"
            | "destination" | "src" | "dst" => Kind::Key,
            "longitude" | "latitude" | "radius" | "width" | "height" | "timeout" | "score" => {
                Kind::Double
            }
            "bit" | "bits" | "client-id" | "count" | "cursor" | "db" | "decrement"
            | "destination-db" | "end" | "entries_added" | "entries_read" | "frequency"
            | "increment" | "index" | "index1" | "index2" | "len" | "limit" | "maxage"
            | "milliseconds" | "ms" | "num-matches" | "numfields" | "numkeys" | "numlocal"
            | "numreplicas" | "offset" | "port" | "protover" | "rank" | "seconds" | "start"
            | "stop" | "ttl" | "version" | "weight" => Kind::Integer,
            "pattern" => Kind::Pattern,
            "unix-time-seconds" | "unix-time-milliseconds" => Kind::UnixTime,
            _ => Kind::String,
        }
    }

    /// The kind written behind a colon.
    fn written(text: &str) -> Option<Kind> {
        [Kind::String, Kind::Integer, Kind::Double]
            .into_iter()
            .find(|kind| kind.name() == text)
    }
}

/// One argument, or a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// In small letters; of a group, that of its first member.
    pub name: String,
    pub kind: Kind,
    /// The word that introduces it, or that it is.
    pub token: Option<&'static str>,
    pub optional: bool,
    pub multiple: bool,
    /// With `multiple`: the token is repeated each time.
    pub multiple_token: bool,
    /// The members of a group.
    pub arguments: Vec<Argument>,
}

impl Argument {
    fn group(kind: Kind, arguments: Vec<Argument>) -> Argument {
        let name = arguments
            .first()
            .map(|first| first.name.clone())
            .unwrap_or_default();
        Argument {
            name,
            kind,
            token: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            arguments,
        }
    }

    fn leaf(name: String, kind: Kind, token: Option<&'static str>) -> Argument {
        Argument {
            name,
            kind,
            token,
            optional: false,
            multiple: false,
            multiple_token: false,
            arguments: Vec::new(),
        }
    }
}

/// The arguments that `syntax` describes.
pub fn arguments(syntax: &'static str) -> Vec<Argument> {
    let mut rest = syntax;
    sequence(&mut rest)
}

/// Items up to the end, a bar or a closing bracket.
fn sequence(rest: &mut &'static str) -> Vec<Argument> {
    let mut items: Vec<Argument> = Vec::new();
    // Set while the last item is a token to which the next may belong.
    let mut introduces = false;
    loop {
        *rest = rest.trim_start_matches(' ');
        let Some(first) = rest.chars().next() else {
            return items;
        };
        let mut item = match first {
            '|' | ']' | ')' => return items,
            '[' => {
                let mut item = bracketed(rest);
                item.optional = true;
                introduces = false;
                item
            }
            '(' => bracketed(rest),
            _ => word(rest),
        };
        let repeated = rest.strip_prefix("...");
        if let Some(behind) = repeated {
            *rest = behind;
            item.multiple = true;
            item.multiple_token =
                item.optional && item.token.is_some() && item.kind != Kind::PureToken;
        }
        let is_token = item.kind == Kind::PureToken && !item.optional;
        match items.last_mut() {
            Some(token) if introduces && !is_token => {
                item.token = token.token;
                *token = item;
            }
            _ => items.push(item),
        }
        introduces = is_token;
    }
}

/// What stands in brackets of either kind.
fn bracketed(rest: &mut &'static str) -> Argument {
    *rest = &rest[1..];
    let mut alternatives = Vec::new();
    loop {
        let mut items = sequence(rest);
        alternatives.push(if items.len() == 1 {
            items.remove(0)
        } else {
            Argument::group(Kind::Block, items)
        });
        let end = rest.chars().next();
        *rest = rest.get(1..).unwrap_or_default();
        if end != Some('|') {
            break;
        }
    }
    if alternatives.len() == 1 {
        alternatives.remove(0)
    } else {
        Argument::group(Kind::OneOf, alternatives)
    }
}

/// An argument or a token.
fn word(rest: &mut &'static str) -> Argument {
    let end = rest
        .find([' ', '|', ']', ')', '[', '('])
        .unwrap_or(rest.len());
    let end = rest[..end].find("...").unwrap_or(end);
    let (word, behind) = rest.split_at(end);
    *rest = behind;
    if !word.starts_with(|first: char| first.is_ascii_lowercase()) {
        let token = word.trim_matches('"');
        return Argument::leaf(token.to_ascii_lowercase(), Kind::PureToken, Some(token));
    }
    match word
        .split_once(':')
        .and_then(|(name, kind)| Some((name, Kind::written(kind)?)))
    {
        Some((name, kind)) => Argument::leaf(name.to_owned(), kind, None),
        None => Argument::leaf(word.to_owned(), Kind::of_name(word), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An argument in one line, so that a test can compare the whole tree.
    fn show(argument: &Argument) -> String {
        let mut text = argument
            .token
            .map(|token| format!("{token}="))
            .unwrap_or_default();
        match argument.kind {
            Kind::OneOf | Kind::Block => {
                let parts: Vec<String> = argument.arguments.iter().map(show).collect();
                text += &format!("{}({})", argument.kind.name(), parts.join(" "));
            }
            Kind::PureToken => {}
            _ => text += &format!("{}:{}", argument.name, argument.kind.name()),
        }
        for (set, mark) in [
            (argument.optional, "?"),
            (argument.multiple, "+"),
            (argument.multiple_token, "!"),
        ] {
            if set {
                text += mark;
            }
        }
        text
    }

    #[track_caller]
    fn check(syntax: &'static str, expected: &str) {
        assert_eq!(
            arguments(syntax)
                .iter()
                .map(show)
                .collect::<Vec<_>>()
                .join(" "),
            expected
        );
    }

    #[test]
    fn builds_the_tree() {
        check("", "");
        check("key value", "key:key value:string");
        check(
            "key min:double ip:port",
            "key:key min:double ip:port:string",
        );
        check("key [NX|XX] [GET]", "key:key oneof(NX= XX=)? GET=?");
        check(
            "[EX seconds|KEEPTTL]",
            "oneof(EX=seconds:integer KEEPTTL=)?",
        );
        check("(field value)...", "block(field:string value:string)+");
        check("STREAMS key... id...", "STREAMS=key:key+ id:string+");
        check(
            "[LIMIT offset count]",
            "block(LIMIT=offset:integer count:integer)?",
        );
        check(
            "[GET pattern]... [ASC|DESC]",
            "GET=pattern:pattern?+! oneof(ASC= DESC=)?",
        );
        check("[WEIGHTS weight...]", "WEIGHTS=weight:integer?+");
        check("[COUNT count [ANY]]", "block(COUNT=count:integer ANY=?)?");
        check("[channel]...", "channel:string?+");
        check(
            "(MAXLEN|MINID) [=|~] threshold",
            "oneof(MAXLEN= MINID=) oneof(== ~=)? threshold:string",
        );
        check("[AGGREGATE (SUM|MIN)]", "AGGREGATE=oneof(SUM= MIN=)?");
        check("(key|\"\") db", "oneof(key:key =) db:integer");
        check(
            "(*|id) (LEFT|RIGHT)",
            "oneof(*= id:string) oneof(LEFT= RIGHT=)",
        );
        check("[NX] [CH]", "NX=? CH=?");
    }

    #[test]
    fn every_row_is_well_formed() {
        for id in crate::table::CommandId::all() {
            let command = id.command();
            let mut rest = command.syntax;
            let parsed = sequence(&mut rest);
            assert_eq!(rest, "", "{}: {}", command.name, command.syntax);
            let count = |open| command.syntax.matches(open).count();
            assert_eq!(
                (count('['), count('(')),
                (count(']'), count(')')),
                "{}",
                command.name
            );
            assert_eq!(parsed.is_empty(), command.syntax.is_empty());
            let mut stack = parsed;
            while let Some(argument) = stack.pop() {
                let group = matches!(argument.kind, Kind::OneOf | Kind::Block);
                assert_eq!(
                    group,
                    argument.arguments.len() > 1,
                    "{}: {argument:?}",
                    command.name
                );
                assert!(
                    group || !argument.name.contains(' '),
                    "{}: {argument:?}",
                    command.name
                );
                stack.extend(argument.arguments);
            }
        }
    }
}
