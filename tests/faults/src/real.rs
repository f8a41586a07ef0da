//! The C library's own functions behind ours.

use std::ffi::{CStr, OsStr};
use std::os::raw::{c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

type Write = unsafe extern "C" fn(c_int, *const c_void, usize) -> isize;
type WriteAt = unsafe extern "C" fn(c_int, *const c_void, usize, i64) -> isize;
type Truncate = unsafe extern "C" fn(c_int, i64) -> c_int;
type Sync = unsafe extern "C" fn(c_int) -> c_int;
type Rename = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
type Unlink = unsafe extern "C" fn(*const c_char) -> c_int;

/// The next of each name that the linker finds behind this library.
pub struct Calls {
    pub write: Write,
    pub pwrite64: WriteAt,
    pub ftruncate64: Truncate,
    pub fsync: Sync,
    pub fdatasync: Sync,
    pub rename: Rename,
    pub unlink: Unlink,
}

fn find(name: &CStr) -> *mut c_void {
    // SAFETY: a name that ends.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    assert!(!found.is_null(), "the C library has no {name:?}");
    found
}

pub fn calls() -> &'static Calls {
    static CALLS: OnceLock<Calls> = OnceLock::new();
    // SAFETY: the functions of these names have these types.
    CALLS.get_or_init(|| unsafe {
        Calls {
            write: std::mem::transmute::<*mut c_void, Write>(find(c"write")),
            pwrite64: std::mem::transmute::<*mut c_void, WriteAt>(find(c"pwrite64")),
            ftruncate64: std::mem::transmute::<*mut c_void, Truncate>(find(c"ftruncate64")),
            fsync: std::mem::transmute::<*mut c_void, Sync>(find(c"fsync")),
            fdatasync: std::mem::transmute::<*mut c_void, Sync>(find(c"fdatasync")),
            rename: std::mem::transmute::<*mut c_void, Rename>(find(c"rename")),
            unlink: std::mem::transmute::<*mut c_void, Unlink>(find(c"unlink")),
        }
    })
}

/// Answers as a call that fails with this error.
pub fn fail(error: c_int) -> c_int {
    // SAFETY: this thread's own.
    unsafe { *libc::__errno_location() = error };
    -1
}

/// Whether what is written here is on disk when the call returns.
pub fn syncs_writes(fd: c_int) -> bool {
    // SAFETY: changes nothing.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_DSYNC != 0
}

/// Where the next byte that is written goes.
pub fn position(fd: c_int) -> u64 {
    // SAFETY: moves nothing.
    let at = unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
    u64::try_from(at).unwrap_or(0)
}

/// A path as an absolute one.
pub fn path(name: &CStr) -> PathBuf {
    let path = Path::new(OsStr::from_bytes(name.to_bytes()));
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Something in memory that is a file's bytes.
pub struct Mapped(*mut c_void);

impl Mapped {
    /// As what it is.
    pub fn cast<T>(self) -> &'static T {
        // SAFETY: `map_file` was told how large it is, a page begins at an address for anything, and it is never unmapped.
        unsafe { &*self.0.cast::<T>() }
    }
}

/// Maps the first `len` bytes of a file, shared with whoever else does.
pub fn map_file(path: &Path, len: usize) -> Option<Mapped> {
    let file = std::fs::File::options().read(true).write(true).open(path);
    let file = file.ok()?;
    if file.metadata().ok()?.len() < len as u64 {
        return None;
    }
    let (access, fd) = (
        libc::PROT_READ | libc::PROT_WRITE,
        std::os::fd::AsRawFd::as_raw_fd(&file),
    );
    // SAFETY: a new mapping of a file that is as long.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, fd, 0) };
    (mapped != libc::MAP_FAILED).then_some(Mapped(mapped))
}
