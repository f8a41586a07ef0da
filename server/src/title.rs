//! What the list of processes shows of this one: a title in place of the words of the command line,
//! which may hold a password.
//!
//! The kernel shows the memory in which it put these words when it started the program. They are
//! written over through `/proc/self/mem`, as far as that memory goes: a title that is longer is
//! cut. Nothing in the process reads them any more, and what does gets other text, and no other
//! memory.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use config::title::Process;
use config::{Config, Flag, PARAMETERS};
use tracing::warn;

/// The longest command line that is written over.
const BYTES_MAX: u64 = 2 << 20;

/// Stands in the place of each byte of a secret.
const HIDDEN: u8 = b'*';

/// The memory that the kernel shows.
pub struct Title {
    /// None where it cannot be had.
    memory: Option<Range<u64>>,
    name: String,
    file: Option<String>,
}

impl Title {
    /// Shows the title that the configuration asks for. Where it asks for none, only secrets are
    /// hidden. `file` is the configuration file.
    pub fn take(config: &Config, file: Option<&str>) -> Self {
        let memory = memory().ok();
        let name = std::env::args_os().next().unwrap_or_default();
        let title = Self {
            memory,
            name: name.to_string_lossy().into(),
            file: file.map(String::from),
        };
        if !config.set_proc_title {
            title.hide_secrets();
        } else if title.show(config).is_none() {
            warn_of_secrets();
        }
        title
    }

    /// The title by this configuration.
    pub fn text(&self, config: &Config) -> String {
        let process = Process {
            title: &self.name,
            config_file: self.file.as_deref(),
        };
        config.proc_title_template.fill(process, config)
    }

    /// Shows the title anew, where one is shown. `None` where that cannot be done.
    pub fn show(&self, config: &Config) -> Option<()> {
        if !config.set_proc_title {
            return Some(());
        }
        let text = self.text(config);
        let memory = self.memory.as_ref()?;
        let room = usize::try_from(memory.end - memory.start).ok()?;
        let mut bytes = text.into_bytes();
        // The last byte ends the text: without it the kernel shows what lies behind, too.
        bytes.resize(room - 1, 0);
        bytes.push(0);
        write(memory, &bytes).ok()
    }

    fn hide_secrets(&self) {
        let hidden = self.memory.as_ref().map_or(Ok(()), |memory| {
            let mut bytes = fs::read("/proc/self/cmdline")?;
            let room = memory.end - memory.start;
            if hide(&mut bytes) && bytes.len() as u64 <= room {
                write(memory, &bytes)?;
            }
            io::Result::Ok(())
        });
        if self.memory.is_none() || hidden.is_err() {
            warn_of_secrets();
        }
    }
}

/// Says that a password can be seen, where there is one.
fn warn_of_secrets() {
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into())
        .collect();
    if hide(&mut words.join("\0").into_bytes()) {
        warn!(
            "the list of processes shows a password of the command line, because /proc/self/mem cannot be written; use a configuration file"
        );
    }
}

/// Where the kernel put the words of the command line.
fn memory() -> io::Result<Range<u64>> {
    // Fields 48 and 49 of proc_pid_stat(5); the name in brackets, the second one, may hold blanks.
    const STATE: usize = 3;
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut fields = fields.split_ascii_whitespace().skip(48 - STATE);
    let mut address = || fields.next()?.parse::<u64>().ok();
    match (address(), address()) {
        (Some(start), Some(end)) if start > 0 && end > start && end - start < BYTES_MAX => {
            Ok(start..end)
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Writes these bytes, which fit, over the beginning of that memory.
fn write(memory: &Range<u64>, bytes: &[u8]) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .open("/proc/self/mem")?
        .write_all_at(bytes, memory.start)
}

/// Hides the values of secret parameters among words that NULs part. Whether there were any.
fn hide(words: &mut [u8]) -> bool {
    let mut hidden = false;
    // The next word is a value, whatever it looks like; those behind it are as long as they do not
    // begin a flag.
    let (mut first, mut more) = (false, false);
    for word in words.split_mut(|byte| *byte == 0) {
        let begins = word.starts_with(b"--") && !first;
        let secret_from = if begins {
            secret_from(word)
        } else {
            (first || more).then_some(0)
        };
        if begins {
            first = secret_from.is_some_and(|from| from == word.len());
            more = secret_from.is_some();
        } else {
            first = false;
        }
        if let Some(from) = secret_from.filter(|from| *from < word.len()) {
            word[from..].fill(HIDDEN);
            hidden = true;
        }
    }
    hidden
}

/// Where a secret may begin in a word like `--requirepass`, `--requirepass=secret` or
/// `--requirepass secret`. `None` where it is another flag.
fn secret_from(word: &[u8]) -> Option<usize> {
    let end = word
        .iter()
        .position(|byte| *byte == b'=' || byte.is_ascii_whitespace())
        .unwrap_or(word.len());
    let name = &word[2..end];
    PARAMETERS
        .iter()
        .filter(|row| row.is(Flag::Sensitive))
        .any(|row| {
            row.names()
                .any(|known| known.as_bytes().eq_ignore_ascii_case(name))
        })
        .then(|| word.len().min(end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_nothing_else() {
        for (line, expected) in [
            (
                "percore --port 1 --requirepass secret --hz 5",
                "percore --port 1 --requirepass ****** --hz 5",
            ),
            (
                "percore --RequirePass --secret",
                "percore --RequirePass ********",
            ),
            (
                "percore --masterauth=ab --hz 5",
                "percore --masterauth=** --hz 5",
            ),
            (
                "percore --requirepass a b --hz 5",
                "percore --requirepass * * --hz 5",
            ),
            ("percore --requirepass", "percore --requirepass"),
            (
                "percore --requirepassive secret",
                "percore --requirepassive secret",
            ),
        ] {
            let mut words = line.replace(' ', "\0").into_bytes();
            let hidden = hide(&mut words);
            let text = String::from_utf8(words).expect("text").replace('\0', " ");
            assert_eq!(text, expected);
            assert_eq!(hidden, line != expected, "{line}");
        }
        let mut words = b"percore\0--requirepass a b\0".to_vec();
        assert!(hide(&mut words));
        assert_eq!(words, b"percore\0--requirepass ***\0");
    }

    #[test]
    fn the_command_line_lies_where_the_kernel_says() {
        let memory = memory().expect("a place");
        let shown = fs::read("/proc/self/cmdline").expect("readable");
        assert_eq!(memory.end - memory.start, shown.len() as u64);
    }
}
