//! Files that are to be gone when the process has ended: the Unix socket, and the process id.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

static FILES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// This file goes at the end.
pub fn add(path: PathBuf) {
    FILES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(path);
}

/// This file goes now. Whoever has removed it already is right.
pub fn remove_one(path: &Path) {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    files.retain(|kept| kept != path);
    let _ = fs::remove_file(path);
}

/// Removes them. Whoever has removed one already is right.
pub fn remove() {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    for path in files.drain(..) {
        let _ = fs::remove_file(path);
    }
}

/// Ends the process at once, from any thread: nothing is saved, and no client hears of it.
pub fn exit(status: i32) {
    remove();
    std::process::exit(status);
}
