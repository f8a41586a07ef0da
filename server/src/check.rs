//! `percore check [DIR | FILE] [--name value ...]`: tells what is in the data files.

use std::ffi::OsString;
use std::iter::Peekable;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use persistence::check::{Report, Verdict, check, check_file};
use persistence::disk::Disk;
use persistence::file_system::FileSystem;

use crate::Failure;
use crate::flags;

const HELP: &str = "\
Tells what is in the data files, and whether a start could load them. Changes nothing.

Usage: percore check [DIR | FILE] [--name value ...]

  DIR     the directory of a server's data; without it, that of --dir, or else this one.
          Its snapshot is read (--dbfilename) and its append-only log (--appenddirname),
          percore's own or one that Redis wrote.
  FILE    one snapshot, or one file of an append-only log

Other flags are those of the server; the ones that matter are --dir, --dbfilename,
--appenddirname, --appendfilename and --databases.

Ends with 0 where all of it can be loaded, and with 1 where something is damaged or nothing is there.

Examples:
  percore check /var/lib/redis
  percore check dump.rdb
  percore check /data --appenddirname log";

/// Checks what the arguments behind `check` name, and prints what was found.
pub fn run(args: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let mut args = args.peekable();
    if args
        .peek()
        .is_some_and(|word| word == "--help" || word == "-h")
    {
        println!("{HELP}");
        return Ok(());
    }
    let named = path(&mut args);
    let file = named.clone().filter(|path| !path.is_dir());
    let dir = named.filter(|path| path.is_dir());
    let dir = dir.map(|dir| [OsString::from("--dir"), dir.into()]);
    let Some(start) = flags::read(dir.into_iter().flatten().chain(args))? else {
        return Ok(());
    };
    let disk: Arc<dyn Disk> = Arc::new(FileSystem);
    let report = match file {
        None => check(&disk, &start.config, SystemTime::now()),
        Some(file) => check_file(&disk, &file, &start.config, SystemTime::now())
            .map_err(|error| Failure(format!("{}: {error}", file.display())))?,
    };
    print!("{}", report.text);
    verdict(&report)
}

/// The directory or file that is named first.
fn path<I: Iterator<Item = OsString>>(args: &mut Peekable<I>) -> Option<PathBuf> {
    args.next_if(|word| !word.as_encoded_bytes().starts_with(b"-"))
        .map(PathBuf::from)
}

fn verdict(report: &Report) -> Result<(), Failure> {
    let why = match report.verdict {
        Verdict::Good => return Ok(()),
        Verdict::Damaged => {
            "there is damage; see above. Restore these files from a copy, or move them away, a log with its folder, to start without their data"
        }
        Verdict::Nothing => {
            "there is no data to check; name the directory that the server has as --dir, or a file"
        }
    };
    Err(Failure(why.into()))
}
