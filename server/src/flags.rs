//! The command line: `percore [FILE | -] [--name value ...]`, with a flag for each parameter of the table, as `redis-server` takes them.
//!
//! Redis's flags take any number of words (`--save 900 1`, `--bind a b`, `--save ''`), also ones with a leading dash (`--list-max-listpack-size
//! -2`). clap's would take too few or too many. So the words of a flag are joined first, up to the next `--`, and clap sees `--name=words`.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, Command};
use shard::config::{Config, Flag, Kind, Loader, PARAMETERS, Parameter, Section, absent};
use shard::process::{REDIS_VERSION, VERSION};

use crate::Failure;

/// What percore starts with.
#[derive(Debug)]
pub struct Start {
    pub config: Config,
    /// The file's absolute path.
    pub file: Option<String>,
    /// Parameters of Redis that were given and have no meaning here.
    pub passed_over: Vec<String>,
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

/// Reads the command line, without the program's name. `None` where it only asked for help or the version, which is printed.
pub fn read(args: impl Iterator<Item = OsString>) -> Result<Option<Start>, Failure> {
    let args = args
        .map(|arg| {
            arg.into_string()
                .map_err(|arg| Failure(format!("{arg:?} is not UTF-8 text")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let line = Line::group(args)?;
    let matches = match command().try_get_matches_from(line.for_clap()) {
        Ok(matches) => matches,
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
    };
    let mut loader = Loader::new();
    let file = line
        .file
        .as_deref()
        .map(|file| load(&mut loader, file))
        .transpose()?
        .flatten();
    for row in PARAMETERS {
        for value in matches.get_many::<String>(row.name).into_iter().flatten() {
            let words = [value.clone()];
            loader.directive(row.name, &words).map_err(|fault| {
                let shown = if row.is(Flag::Sensitive) {
                    "..."
                } else {
                    value
                };
                Failure(format!("--{} '{shown}': {fault}", row.name))
            })?;
        }
    }
    for (name, words) in &line.absent {
        loader
            .directive(name, words)
            .map_err(|fault| Failure(format!("--{name}: {fault}")))?;
    }
    let (config, passed_over) = loader.finish();
    Ok(Some(Start {
        config,
        file,
        passed_over,
    }))
}

/// Reads the file, or standard input for `-`. Returns the file's absolute path.
fn load(loader: &mut Loader, file: &str) -> Result<Option<String>, Failure> {
    if file == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Failure(format!("cannot read standard input: {error}")))?;
        loader
            .text(&text, "standard input")
            .map_err(|error| Failure(error.to_string()))?;
        return Ok(None);
    }
    let path = Path::new(file);
    loader
        .file(path)
        .map_err(|error| Failure(format!("cannot use the configuration file: {error}")))?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    Ok(Some(absolute.to_string_lossy().into()))
}

/// The words of the command line, each flag's together.
#[derive(Default, PartialEq, Eq, Debug)]
struct Line {
    file: Option<String>,
    flags: Vec<String>,
    /// Redis's flags that percore does not have, with their words.
    absent: Vec<(String, Vec<String>)>,
}

impl Line {
    fn group(args: Vec<String>) -> Result<Self, Failure> {
        let mut line = Self::default();
        let mut rest = args.into_iter().peekable();
        line.file = rest.next_if(|arg| arg == "-" || !arg.starts_with('-'));
        while let Some(flag) = rest.next() {
            let Some(name) = flag.strip_prefix("--") else {
                line.flags.push(flag);
                continue;
            };
            let (name, mut words) = match name.split_once('=') {
                Some((name, word)) => (name.to_owned(), vec![word.to_owned()]),
                None => (name.to_owned(), Vec::new()),
            };
            while let Some(word) = rest.next_if(|word| !word.starts_with("--")) {
                words.push(word);
            }
            line.push(name, words)?;
        }
        Ok(line)
    }

    fn push(&mut self, name: String, words: Vec<String>) -> Result<(), Failure> {
        let Some(row) = Parameter::find(&name) else {
            if absent::find(&name).is_some() {
                self.absent.push((name, words));
            } else {
                self.flags.push(format!("--{name}"));
            }
            return Ok(());
        };
        let name = row.name;
        match words.as_slice() {
            [] if row.kind != Kind::SavePoints => self.flags.push(format!("--{name}")),
            _ if row.kind.takes_several_words() => {
                self.flags.push(format!("--{name}={}", words.join(" ")));
            }
            [word] => self.flags.push(format!("--{name}={word}")),
            _ => {
                return Err(Failure(format!(
                    "--{name} takes one value, not {}; quote a value with spaces, and put the configuration file first",
                    words.len()
                )));
            }
        }
        Ok(())
    }

    fn for_clap(&self) -> impl Iterator<Item = &str> {
        std::iter::once("percore").chain(self.flags.iter().map(String::as_str))
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

/// The flags as clap knows them. The file is taken before clap looks, and stands here for `--help`.
fn command() -> Command {
    let file = Arg::new("FILE").help(
        "A configuration file in the syntax of redis.conf, or - for standard input; it comes first",
    );
    let flags = PARAMETERS.iter().map(|row| {
        let default = row.show(&Config::default());
        let help = match default.is_empty() {
            true => row.help.trim().to_owned(),
            false => format!("{} [default: {default}]", row.help.trim()),
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
            "--oom-score-adj",
            "no",
        ])
        .expect("right");
        let config = start.config;
        assert_eq!(config.get("save").as_deref(), Some("900 1 60 5"));
        assert_eq!(config.bind.0, ["127.0.0.1", "-::1"]);
        assert_eq!(config.maxmemory, 100 << 20);
        assert_eq!(config.requirepass.as_deref(), Some("a b"));
        assert_eq!(config.list_max_listpack_size, -3);
        assert_eq!(config.port, 7000);
        assert_eq!(start.passed_over, ["oom-score-adj"]);
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
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("redis.conf");
        std::fs::write(&path, "port 7000\nhz 20\n").expect("written");
        let path = path.to_str().expect("text");
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
            (&["--tls-port", "1"], "does not have 'tls-port'"),
            (&["-x"], "'-x'"),
            (&["--dir", "/does/not/exist"], "No such file or directory"),
        ] {
            let error = start(args).expect_err("wrong");
            assert!(error.contains(words), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
