//! `daemonize yes`: percore goes to the background.
//!
//! The program is started a second time with the same words, and the first one ends. The
//! environment tells the second that it is the one to stay. A fork would do as well only while
//! there is one thread, and has no safe form in Rust.

use std::process::{Command, Stdio};

use config::Config;

use crate::Failure;

/// Set for the one that stays.
const STAYS: &str = "PERCORE_DETACHED";

/// Whether this process is in the background, without anybody who reads what it prints.
pub fn is_detached() -> bool {
    std::env::var_os(STAYS).is_some()
}

/// Begins the process that stays, if one is wanted and this is not it. Returns whether this one is
/// to end.
pub fn detach(config: &Config) -> Result<bool, Failure> {
    if !config.daemonize {
        return Ok(false);
    }
    if is_detached() {
        // It fails only for who leads a session already.
        let _ = rustix::process::setsid();
        return Ok(false);
    }
    let words = || std::env::args_os().skip(1);
    if words().any(|word| word == "-") {
        return Err(Failure(
            "'daemonize yes' goes with a configuration file that can be read twice: not with standard input".into(),
        ));
    }
    let program = std::env::current_exe();
    let begun = program.and_then(|program| {
        Command::new(program)
            .args(words())
            .env(STAYS, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    });
    match begun {
        Ok(_) => Ok(true),
        Err(error) => Err(Failure(format!("cannot go to the background: {error}"))),
    }
}
