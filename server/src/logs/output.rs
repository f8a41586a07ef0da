//! Where the log's lines go: standard output, or the file that has the path *now*.
//!
//! Whoever rotates logs moves the file away and tells nobody, as Debian's configuration for Redis
//! does, which opens its file for each line. So each line is preceded by a look whether the path
//! still leads to the open file, which costs one system call, and where it does not the file is
//! opened, and made, anew. Where that fails lines go where they went.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where lines go; may change between two of them.
pub struct Output {
    /// `None` for standard output.
    log_file: Mutex<Option<LogFile>>,
    stdout_is_terminal: bool,
}

struct LogFile {
    path: PathBuf,
    open: Arc<File>,
    identity: Identity,
}

/// Tells a file from any other: its device and its number there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Identity(u64, u64);

impl Identity {
    fn of(found: &Metadata) -> Self {
        Self(found.dev(), found.ino())
    }
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let open = OpenOptions::new().create(true).append(true).open(path)?;
        let identity = Identity::of(&open.metadata()?);
        Ok(Self {
            path: path.into(),
            open: Arc::new(open),
            identity,
        })
    }

    /// Whether the path leads to this file still.
    fn is_in_place(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| Identity::of(&found) == self.identity)
    }
}

impl Output {
    /// Lines go to standard output.
    pub fn stdout() -> Self {
        Self {
            log_file: Mutex::new(None),
            stdout_is_terminal: io::stdout().is_terminal(),
        }
    }

    /// From now on lines go to the end of the file at `path`, which is made where there is none.
    pub fn to_file(&self, path: &Path) -> io::Result<()> {
        let opened = LogFile::open(path)?;
        *self.lock() = Some(opened);
        Ok(())
    }

    /// From now on lines go to standard output.
    pub fn to_stdout(&self) {
        *self.lock() = None;
    }

    /// Opens the file at the path anew. False where there is none.
    pub fn reopen(&self) -> io::Result<bool> {
        let mut log_file = self.lock();
        let Some(known) = &mut *log_file else {
            return Ok(false);
        };
        *known = LogFile::open(&known.path)?;
        Ok(true)
    }

    /// Whether somebody looks at the lines on a terminal.
    pub fn is_terminal(&self) -> bool {
        self.stdout_is_terminal && self.lock().is_none()
    }

    /// The file for the next line. `None` for standard output.
    fn current(&self) -> Option<Arc<File>> {
        let mut log_file = self.lock();
        let known = log_file.as_mut()?;
        if !known.is_in_place()
            && let Ok(opened) = LogFile::open(&known.path)
        {
            *known = opened;
        }
        Some(known.open.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<LogFile>> {
        self.log_file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line comes whole, in one call.
impl Write for &Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.current() {
            None => io::stdout().write(line),
            Some(file) => (&*file).write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(output: &Output, line: &str) {
        let mut writer = output;
        let line = format!("{line}\n");
        writer.write_all(line.as_bytes()).expect("written");
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("a file")
    }

    #[test]
    fn a_line_goes_to_the_file_that_has_the_path() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, moved) = (dir.path().join("log"), dir.path().join("log.1"));
        fs::write(&path, "before\n").expect("written");
        let output = Output::stdout();
        output.to_file(&path).expect("opened");
        say(&output, "one");
        fs::rename(&path, &moved).expect("moved");
        say(&output, "two");
        assert_eq!(text(&moved), "before\none\n");
        assert_eq!(text(&path), "two\n");
        // Cut to nothing in its place, as `copytruncate` does, or made by who moved it.
        fs::write(&path, "").expect("written");
        say(&output, "three");
        assert_eq!(text(&path), "three\n");
        fs::rename(&path, &moved).expect("moved");
        fs::write(&path, "made\n").expect("written");
        say(&output, "four");
        assert_eq!(
            (text(&moved), text(&path)),
            ("three\n".into(), "made\nfour\n".into())
        );
    }

    #[test]
    fn where_no_file_can_be_made_lines_go_where_they_went() {
        let dir = tempfile::tempdir().expect("a directory");
        let (folder, away) = (dir.path().join("logs"), dir.path().join("away"));
        fs::create_dir(&folder).expect("made");
        let output = Output::stdout();
        output.to_file(&folder.join("log")).expect("opened");
        fs::rename(&folder, &away).expect("moved");
        say(&output, "one");
        assert!(output.reopen().is_err());
        say(&output, "two");
        assert_eq!(text(&away.join("log")), "one\ntwo\n");
        assert!(output.to_file(&folder.join("other")).is_err());
        fs::create_dir(&folder).expect("made");
        say(&output, "three");
        assert_eq!(text(&folder.join("log")), "three\n");
        assert!(output.reopen().expect("opened"));
        output.to_stdout();
        assert!(!output.reopen().expect("nothing to open"));
    }
}
