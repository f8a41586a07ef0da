//! The command line: `percore [FILE | -] [--name value ...]`, with a flag for each parameter of the
//! table, as `redis-server` takes them.
//!
//! Redis makes a line of a configuration file of each flag and the words behind it. So does this:
//! any number of words (`--save 900 1`, `--bind a b`, `--save ''`), a value that looks like a flag
//! (`--requirepass --secret`), both in one word (`"--maxmemory 700mb"`). What is no parameter goes
//! to clap, which prints help and the version and knows what is spelled nearly so.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, Command};
use config::file::{INCLUDE, RENAME, words};
use config::user_lines::USER;
use config::{Config, Flag, Loader, PARAMETERS, Parameter, Section, absent};
use shard::process::{REDIS_VERSION, VERSION};

use crate::Failure;

/// What percore starts with.
#[derive(Debug)]
pub struct Start {
    pub config: Config,
    /// The file's absolute path.
    pub file: Option<String>,
    /// Parameters of Redis that were given and have no effect here.
    pub without_effect: Vec<String>,
}

const ABOUT: &str = "A drop-in Redis that uses every core.";

const EXAMPLES: &str = "\
Examples:
  percore                                  port 6379, a shard on each core
  percore --port 7000 --save ''            another port, no snapshots
  percore --maxmemory 100mb --maxmemory-policy allkeys-lru
                                           a cache
  percore --bind 127.0.0.1 -::1 --requirepass secret
                                           this machine only, with a password
  percore redis.conf --loglevel verbose    a file, and a flag that wins over it
  echo 'port 7000' | percore -             the file from standard input
  percore --appendonly yes --appendfsync always
                                           nothing that was answered is ever lost
  percore --port 0 --tls-port 6379 --tls-cert-file server.crt --tls-key-file server.key --tls-auth-clients no
                                           TLS only, for clients with or without a certificate
  percore check /var/lib/percore           what is in the data files there, and whether it is whole
  percore --port 0 --unixsocket /run/percore.sock --unixsocketperm 770
                                           no network at all

Every parameter that CONFIG GET shows is a flag of the same name. Bytes may have a unit: 1k is 1000, 1kb 1024; m, mb, g, gb alike.
Parameters of Redis that mean nothing here are accepted, too.
-h shows the flags that matter most, --help all of them. Then connect with: redis-cli -p 6379";

/// Flags that `-h` shows.
const ESSENTIAL: &[&str] = &[
    "bind",
    "port",
    "unixsocket",
    "tls-port",
    "tls-cert-file",
    "tls-key-file",
    "tls-auth-clients",
    "tls-ca-cert-file",
    "shards",
    "threads",
    "io-driver",
    "loglevel",
    "logfile",
    "log-format",
    "requirepass",
    "maxclients",
    "maxmemory",
    "maxmemory-policy",
    "save",
    "appendonly",
    "appendfsync",
    "dir",
    "dbfilename",
];

/// Reads the command line, without the program's name. `None` where it only asked for help or the
/// version, which is printed.
pub fn read(args: impl Iterator<Item = OsString>) -> Result<Option<Start>, Failure> {
    let args = args
        .map(|arg| {
            arg.into_string()
                .map_err(|arg| Failure(format!("{arg:?} is not UTF-8 text")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let line = Line::group(args)?;
    match command().try_get_matches_from(line.for_clap()) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            // Without the program's name in front, which clap would put there.
            let _ = writeln!(std::io::stdout(), "{}", version());
            return Ok(None);
        }
        Err(error) if !error.use_stderr() => {
            // Who closed the pipe has read enough.
            let _ = error.print();
            return Ok(None);
        }
        Err(error) => return Err(explain(&error)),
    }
    let mut loader = Loader::new();
    let file = line.file.as_deref();
    let file = file.map(|file| load(&mut loader, file)).transpose()?;
    if line.stdin {
        load_stdin(&mut loader)?;
    }
    for (name, words) in &line.directives {
        apply(&mut loader, name, words)?;
    }
    let (config, mut without_effect) = loader.finish();
    without_effect.extend(config.without_effect().into_iter().map(String::from));
    Ok(Some(Start {
        config,
        file,
        without_effect,
    }))
}

/// Gives one parameter the words that stood behind its flag.
fn apply(loader: &mut Loader, name: &str, words: &[String]) -> Result<(), Failure> {
    let row = Parameter::find(name);
    let several = row.is_none_or(|row| row.kind.takes_several_words());
    match words {
        [] if row.is_some() => {
            return Err(Failure(format!(
                "'--{name}' needs a value; 'percore --help' says which"
            )));
        }
        [_, _, ..] if !several => {
            return Err(Failure(format!(
                "--{name} takes one value, not {}; quote a value with spaces, and put the configuration file first",
                words.len()
            )));
        }
        _ => {}
    }
    loader.directive(name, words).map_err(|fault| {
        let shown = if row.is_some_and(|row| row.is(Flag::Sensitive)) {
            "...".into()
        } else {
            words.join(" ")
        };
        Failure(format!("--{name} '{shown}': {fault}"))
    })
}

/// Reads the file. Returns its absolute path.
fn load(loader: &mut Loader, file: &str) -> Result<String, Failure> {
    let path = Path::new(file);
    loader
        .file(path)
        .map_err(|error| Failure(format!("cannot use the configuration file: {error}")))?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    Ok(absolute.to_string_lossy().into())
}

fn load_stdin(loader: &mut Loader) -> Result<(), Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure(format!("cannot read standard input: {error}")))?;
    loader
        .text(&text, "standard input")
        .map_err(|error| Failure(error.to_string()))
}

/// The words of the command line, each flag's together.
#[derive(Default, PartialEq, Eq, Debug)]
struct Line {
    file: Option<String>,
    /// Whether standard input is read, too, behind the file.
    stdin: bool,
    /// Parameters and their words, in order.
    directives: Vec<(String, Vec<String>)>,
    /// What is no parameter.
    others: Vec<String>,
}

impl Line {
    fn group(args: Vec<String>) -> Result<Self, Failure> {
        let mut line = Self::default();
        let mut rest = args.into_iter().peekable();
        line.stdin = rest.next_if(|arg| arg == "-").is_some();
        if !line.stdin {
            line.file = rest.next_if(|arg| !arg.starts_with('-'));
        }
        while let Some(arg) = rest.next() {
            if arg == "-" && rest.peek().is_none() {
                line.stdin = true;
            } else if let Some(flag) = arg.strip_prefix("--") {
                let (name, mut words) = split(flag)?;
                let is_last = |word: &String| word == "-";
                // Who makes a command line of a list may leave this one empty.
                let saves = name.eq_ignore_ascii_case("save");
                let ends_empty = saves && rest.peek().is_none_or(|word| word.starts_with("--"));
                if ends_empty && words.is_empty() {
                    words.push(String::new());
                } else if words.is_empty() && takes_a_value(&name) {
                    words.extend(rest.next_if(|word| !is_last(word)));
                }
                while let Some(word) =
                    rest.next_if(|word| !word.starts_with("--") && !is_last(word))
                {
                    words.push(word);
                }
                line.push(name, words);
            } else if arg.starts_with('-') {
                line.others.push(arg);
            } else {
                return Err(Failure(format!(
                    "'{arg}' belongs to no flag; one configuration file can be given, and it comes first"
                )));
            }
        }
        Ok(line)
    }

    fn push(&mut self, name: String, words: Vec<String>) {
        if takes_a_value(&name) {
            self.directives.push((name, words))
        } else {
            self.others.push(format!("--{name}"))
        }
    }

    fn for_clap(&self) -> impl Iterator<Item = &str> {
        std::iter::once("percore").chain(self.others.iter().map(String::as_str))
    }
}

/// Redis's form: tools start a server only once they have read a number behind ` v=`. It is that of
/// the Redis whose commands these are.
fn version() -> String {
    format!(
        "Redis server v={REDIS_VERSION} sha=00000000:0 malloc=mimalloc bits={} build=0 percore={VERSION}",
        usize::BITS
    )
}

/// The name of a flag, and the words that stand in one with it: `name`, `name=value`, `name value`.
fn split(flag: &str) -> Result<(String, Vec<String>), Failure> {
    let blank = |text: &str| text.contains(char::is_whitespace);
    if let Some((name, value)) = flag.split_once('=').filter(|(name, _)| !blank(name)) {
        return Ok((name.into(), vec![value.into()]));
    }
    let unbalanced = || {
        let name = flag.split_whitespace().next().unwrap_or_default();
        Failure(format!("--{name}: there is a quote without its other end"))
    };
    let mut words = words(flag).ok_or_else(unbalanced)?.into_iter();
    Ok((words.next().unwrap_or_default(), words.collect()))
}

/// Whether a configuration file may hold a line that begins so.
fn takes_a_value(name: &str) -> bool {
    Parameter::find(name).is_some()
        || absent::find(name).is_some()
        || [INCLUDE, RENAME, USER]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
}

/// The flags as clap knows them. The file is taken before clap looks, and stands here for `--help`.
fn command() -> Command {
    let file = Arg::new("FILE").help(
        "A configuration file in the syntax of redis.conf, or - for standard input; it comes first",
    );
    let flags = PARAMETERS.iter().map(|row| {
        let default = row.show(&Config::default());
        let help = if default.is_empty() {
            row.help.trim().to_owned()
        } else {
            format!("{} [default: {default}]", row.help.trim())
        };
        Arg::new(row.name)
            .long(row.name)
            .aliases(row.aliases.iter().copied())
            .value_name(row.kind.placeholder())
            .help(help)
            .help_heading(row.section.heading())
            .num_args(1)
            .action(ArgAction::Append)
            .hide(row.is(Flag::Hidden) || row.section == Section::Compatibility)
            .hide_short_help(!ESSENTIAL.contains(&row.name))
    });
    Command::new("percore")
        .about(ABOUT)
        .version(version())
        .override_usage(
            "percore [FILE | -] [--name value ...]\n       percore check [DIR | FILE] [--name value ...]",
        )
        .after_help(EXAMPLES)
        .after_long_help(format!("{EXAMPLES}\n\n{}", without_effect()))
        .arg(
            Arg::new("version")
                .short('v')
                .short_alias('V')
                .long("version")
                .help("Print the version")
                .action(ArgAction::Version),
        )
        .disable_version_flag(true)
        .arg(file)
        .args(flags)
}

/// The parameters that percore takes from Redis and only keeps.
fn without_effect() -> String {
    const COLUMNS: usize = 100;
    let mut text =
        String::from("Accepted from Redis, kept and shown by CONFIG GET, without effect here:\n ");
    let mut column = 0;
    for row in PARAMETERS {
        if !row.is(Flag::Inert) || row.is(Flag::Hidden) {
            continue;
        }
        if column + row.name.len() > COLUMNS {
            text.push_str("\n ");
            column = 0;
        }
        column += row.name.len() + 1;
        text.push(' ');
        text.push_str(row.name);
    }
    text
}

/// clap's error as one line.
fn explain(error: &clap::Error) -> Failure {
    let context = |kind| error.get(kind).map(ToString::to_string);
    let flag = context(ContextKind::InvalidArg).unwrap_or_default();
    let flag = flag.split(['=', ' ']).next().unwrap_or_default();
    Failure(match error.kind() {
        ErrorKind::UnknownArgument => match context(ContextKind::SuggestedArg) {
            Some(near) => format!(
                "there is no flag '{flag}'; did you mean '{near}'? 'percore --help' lists all"
            ),
            None => format!("there is no flag '{flag}'; 'percore --help' lists all"),
        },
        ErrorKind::InvalidValue | ErrorKind::NoEquals | ErrorKind::TooFewValues => {
            format!("'{flag}' needs a value; 'percore --help' says which")
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            format!(
                "{}; see 'percore --help'",
                line.trim_start_matches("error: ")
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(args: &[&str]) -> Result<Start, String> {
        read(args.iter().map(OsString::from))
            .map(|start| start.expect("not help"))
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_flags_are_sound() {
        command().debug_assert();
        let help = command().render_long_help().to_string();
        for row in PARAMETERS {
            let hidden = row.is(Flag::Hidden) || row.section == Section::Compatibility;
            assert_eq!(
                help.contains(&format!("--{} <", row.name)),
                !hidden,
                "{}",
                row.name
            );
        }
        for name in ESSENTIAL {
            assert!(Parameter::find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn words_go_to_the_flag_before_them() {
        let start = start(&[
            "--save",
            "900",
            "1",
            "--save",
            "60",
            "5",
            "--bind",
            "127.0.0.1",
            "-::1",
            "--maxmemory=100mb",
            "--requirepass",
            "a b",
            "--list-max-ziplist-size",
            "-3",
            "--PORT",
            "7000",
            "--io-threads",
            "4",
        ])
        .expect("right");
        let config = start.config;
        assert_eq!(config.get("save").as_deref(), Some("900 1 60 5"));
        assert_eq!(config.bind.0, ["127.0.0.1", "-::1"]);
        assert_eq!(config.maxmemory, 100 << 20);
        assert_eq!(config.requirepass.as_deref(), Some("a b"));
        assert_eq!(config.list_max_listpack_size, -3);
        assert_eq!(config.port, 7000);
        assert_eq!(start.without_effect, ["io-threads"]);
        assert_eq!(start.file, None);
    }

    #[test]
    fn no_snapshots_is_said_with_an_empty_word() {
        for args in [&["--save", ""][..], &["--save"], &["--save="]] {
            let config = start(args).expect("right").config;
            assert!(config.save.0.is_empty());
        }
    }

    #[test]
    fn values_may_look_like_flags_and_stand_in_one_word_with_them() {
        let config = start(&[
            "--requirepass",
            "--secret",
            "--maxmemory 700mb",
            "--bind 127.0.0.1",
            "-::1",
            "--save",
            "--logfile",
            "--a=b",
            "--masterauth=a b",
            "--dbfilename \"a b\"",
        ])
        .expect("right")
        .config;
        assert_eq!(config.requirepass.as_deref(), Some("--secret"));
        assert_eq!(config.maxmemory, 700 << 20);
        assert_eq!(config.bind.0, ["127.0.0.1", "-::1"]);
        assert!(config.save.0.is_empty());
        assert_eq!(config.get("logfile").as_deref(), Some("--a=b"));
        assert_eq!(config.masterauth.as_deref(), Some("a b"));
        assert_eq!(config.dbfilename, "a b");
    }

    #[test]
    fn standard_input_is_the_first_word_or_the_last() {
        let group = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned());
            Line::group(words.collect()).expect("right")
        };
        let first = group(&["-", "--port", "1"]);
        assert!(first.stdin && first.file.is_none());
        let last = group(&["a.conf", "--port", "1", "-"]);
        assert!(last.stdin);
        assert_eq!(last.file.as_deref(), Some("a.conf"));
        assert_eq!(last.directives, [("port".into(), vec!["1".into()])]);
    }

    #[test]
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("redis.conf");
        std::fs::write(&path, "port 7000\nhz 20\n").expect("written");
        let path = path.to_str().expect("text");
        let config = start(&["--include", path]).expect("right").config;
        assert_eq!(config.port, 7000);
        let start = start(&[path, "--port", "7001"]).expect("right");
        assert_eq!((start.config.port, start.config.hz), (7001, 20));
        assert_eq!(start.file.as_deref(), Some(path));
    }

    #[test]
    fn what_is_wrong_is_one_line_that_says_what_to_do() {
        for (args, words) in [
            (
                &["--port", "x"][..],
                "--port 'x': argument couldn't be parsed into an integer",
            ),
            (&["--port", "1", "2"], "--port takes one value, not 2"),
            (&["--port"], "'--port' needs a value"),
            (&["--prot", "1"], "did you mean '--port'?"),
            (
                &["--nonsense-of-mine"],
                "there is no flag '--nonsense-of-mine'",
            ),
            (
                &["/does/not/exist.conf"],
                "/does/not/exist.conf: No such file or directory",
            ),
            (&["--tls-cluster", "yes"], "not part of a cluster"),
            (
                &["--user", "a", "foo"],
                "Error in user declaration 'a': Syntax error",
            ),
            (&["a.conf", "b.conf"], "'b.conf' belongs to no flag"),
            (&["--maxmemory 1mb 2mb"], "takes one value, not 2"),
            (&["--requirepass \"a"], "--requirepass: there is a quote"),
            (&["--rename-command", "nonsense", "x"], "No such command"),
            (&["-x"], "'-x'"),
            (&["--dir", "/does/not/exist"], "No such file or directory"),
        ] {
            let error = start(args).expect_err("wrong");
            assert!(error.contains(words), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
