//! A disk that fails as it is told to, and remembers what would outlast a loss of power.
//!
//! Loaded before the C library (`LD_PRELOAD`), it stands between a server and the calls that write files. It heeds the files under the folder
//! `FAULTS_DATA`; everything else passes.
//!
//! `FAULTS_SAFE` is a folder of its own:
//!
//! ```text
//! control    numbers of four bytes that whoever tests writes: which calls fail, see `Control`
//! safe       lines, in the order in which things became safe:
//!              file ID BYTES                    this many bytes of it
//!              folder PATH NAME=ID NAME=ID ...  what it names; PATH is relative
//!              gone INODE GENERATION            the file has no name any more; the next with this inode has this generation
//! ID         the bytes of a file that are safe, where it has any; the id is its inode and its generation
//! ```
//!
//! A file is safe up to what it had at its last good sync, a name as it was at the last good sync of its folder. A failed sync is as bad as on
//! Linux: what was written before it is forgotten by the disk though the system still shows it, and the next sync says that all is well.
//!
//! Calls through io_uring do not pass here: the server runs with `--io-driver epoll`.

mod real;
mod safe;

use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use safe::Disk;

/// Between two looks how long a sync is to take.
const SLOW_STEP: Duration = Duration::from_millis(5);

/// What is to fail, as whoever tests writes it: in this order in the file.
#[repr(C)]
struct Control {
    /// The error that writing answers; 0 for none. The same below.
    write: AtomicU32,
    sync: AtomicU32,
    rename: AtomicU32,
    /// Syncing a folder.
    folder_sync: AtomicU32,
    /// Only files whose names have this ending: 0 all, 1 `.aof`, 2 `.rdb`, 3 `.manifest` and what becomes it, 4 the log of the first shard.
    which: AtomicU32,
    /// Every so many-th write takes only a half of what it is given; 0 for none.
    short: AtomicU32,
    /// Milliseconds that a sync takes longer.
    slow: AtomicU32,
    /// Calls that have failed.
    failed: AtomicU32,
    writes: AtomicU32,
}

/// What this process has of it; none where it was not asked for.
struct Faults {
    data: PathBuf,
    control: &'static Control,
    disk: Disk,
}

fn faults() -> Option<&'static Faults> {
    static FAULTS: OnceLock<Option<Faults>> = OnceLock::new();
    FAULTS.get_or_init(Faults::begin).as_ref()
}

impl Faults {
    fn begin() -> Option<Faults> {
        let data = PathBuf::from(std::env::var_os("FAULTS_DATA")?);
        let safe = PathBuf::from(std::env::var_os("FAULTS_SAFE")?);
        Some(Faults {
            control: real::map_file(&safe.join("control"), size_of::<Control>())?.cast(),
            disk: Disk::new(data.clone(), safe),
            data,
        })
    }

    /// The path of a file that is heeded.
    fn path_of(&self, fd: c_int) -> Option<PathBuf> {
        let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
        path.starts_with(&self.data).then_some(path)
    }

    /// Whether this call fails, with what.
    fn fails(&self, how: &AtomicU32, path: &Path) -> Option<c_int> {
        let error = how.load(Ordering::Relaxed);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let meant = match self.control.which.load(Ordering::Relaxed) {
            1 => name.ends_with(".aof"),
            2 => name.ends_with(".rdb"),
            3 => name.contains(".manifest"),
            4 => name.ends_with(".0.aof"),
            _ => true,
        };
        if error == 0 || !meant {
            return None;
        }
        self.control.failed.fetch_add(1, Ordering::Relaxed);
        c_int::try_from(error).ok()
    }

    /// How much of a write is taken.
    fn taken(&self, len: usize) -> usize {
        let nth = self.control.writes.fetch_add(1, Ordering::Relaxed);
        let short = self.control.short.load(Ordering::Relaxed);
        if short > 0 && nth.is_multiple_of(short) && len > 1 {
            len / 2
        } else {
            len
        }
    }

    /// A sync takes as long as it is to take longer now, which may change meanwhile.
    fn take_time(&self) {
        let began = Instant::now();
        let longer = || self.control.slow.load(Ordering::Relaxed).into();
        while began.elapsed() < Duration::from_millis(longer()) {
            let left = Duration::from_millis(longer()).saturating_sub(began.elapsed());
            std::thread::sleep(left.min(SLOW_STEP));
        }
    }

    /// `fsync` and `fdatasync` of a heeded file or folder.
    fn sync(&self, fd: c_int, path: &Path, really: impl Fn() -> c_int) -> c_int {
        self.take_time();
        if path.is_dir() {
            if let Some(error) = self.fails(&self.control.folder_sync, path) {
                return real::fail(error);
            }
            let done = really();
            if done == 0 {
                self.disk.folder_is_safe(path);
            }
            return done;
        }
        if let Some(error) = self.fails(&self.control.sync, path) {
            self.disk.forget_unsynced(fd);
            return real::fail(error);
        }
        let done = really();
        if done == 0 {
            self.disk.file_is_safe(fd);
        }
        done
    }
}

macro_rules! heeded {
    ($fd:expr) => {
        faults().and_then(|faults| Some((faults, faults.path_of($fd)?)))
    };
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, len: usize) -> isize {
    let Some((faults, path)) = heeded!(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { (real::calls().write)(fd, bytes, len) };
    };
    if let Some(error) = faults.fails(&faults.control.write, &path) {
        return real::fail(error) as isize;
    }
    let at = real::position(fd);
    faults.disk.is_written(fd, at);
    // SAFETY: as it came, or a part of it.
    unsafe { (real::calls().write)(fd, bytes, faults.taken(len)) }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, len: usize, at: i64) -> isize {
    let Some((faults, path)) = heeded!(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { (real::calls().pwrite64)(fd, bytes, len, at) };
    };
    if let Some(error) = faults.fails(&faults.control.write, &path) {
        return real::fail(error) as isize;
    }
    faults.disk.is_written(fd, at as u64);
    // SAFETY: as it came, or a part of it.
    let done = unsafe { (real::calls().pwrite64)(fd, bytes, faults.taken(len), at) };
    match done >= 0 && real::syncs_writes(fd) {
        true if faults.sync(fd, &path, || 0) != 0 => -1,
        _ => done,
    }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(fd: c_int, bytes: *const c_void, len: usize, at: i64) -> isize {
    // SAFETY: the same call on 64 bits.
    unsafe { pwrite64(fd, bytes, len, at) }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(fd: c_int, len: i64) -> c_int {
    if let Some((faults, _)) = heeded!(fd) {
        faults.disk.is_written(fd, len as u64);
    }
    // SAFETY: passed on as it came.
    unsafe { (real::calls().ftruncate64)(fd, len) }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: passed on as it came.
    let really = || unsafe { (real::calls().fsync)(fd) };
    match heeded!(fd) {
        Some((faults, path)) => faults.sync(fd, &path, really),
        None => really(),
    }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: passed on as it came.
    let really = || unsafe { (real::calls().fdatasync)(fd) };
    match heeded!(fd) {
        Some((faults, path)) => faults.sync(fd, &path, really),
        None => really(),
    }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: a path of the caller's.
    let path = unsafe { real::path(CStr::from_ptr(to)) };
    // SAFETY: passed on as it came.
    let really = || unsafe { (real::calls().rename)(from, to) };
    let Some(faults) = faults().filter(|faults| path.starts_with(&faults.data)) else {
        return really();
    };
    match faults.fails(&faults.control.rename, &path) {
        Some(error) => real::fail(error),
        None => faults.disk.goes(&path, really),
    }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(name: *const c_char) -> c_int {
    // SAFETY: a path of the caller's.
    let path = unsafe { real::path(CStr::from_ptr(name)) };
    // SAFETY: passed on as it came.
    let really = || unsafe { (real::calls().unlink)(name) };
    match faults().filter(|faults| path.starts_with(&faults.data)) {
        Some(faults) => faults.disk.goes(&path, really),
        None => really(),
    }
}
