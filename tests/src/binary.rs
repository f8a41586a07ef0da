//! Which binary is tested.
//!
//! Without `PERCORE_BINARY` it is built on first use with the profile of the tests themselves, so that nobody tests yesterday's
//! build: where nothing has changed, cargo says so in a fraction of a second.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The binary under test.
#[derive(Debug, Clone)]
pub struct Binary {
    /// Where it lies, or a name to be found on the `PATH`.
    pub path: PathBuf,
    /// Whether it is Redis itself, testing the tests: it knows neither `--shards` nor `--io-driver`.
    pub is_redis: bool,
}

/// The binary under test, built where needed.
///
/// # Panics
/// Where it cannot be built.
pub fn binary() -> &'static Binary {
    static BINARY: OnceLock<Binary> = OnceLock::new();
    BINARY.get_or_init(|| {
        let path = match std::env::var_os("PERCORE_BINARY") {
            // Tests run in their package's directory, those who set the variable stand at the root.
            Some(path) => at_root(PathBuf::from(path)),
            None => build(),
        };
        let is_redis = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("redis-server"));
        Binary { path, is_redis }
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
}

fn at_root(path: PathBuf) -> PathBuf {
    match path.components().count() {
        1 => path,
        _ => root().join(path),
    }
}

/// `target/<profile>`, where this test was built.
pub(crate) fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let directory = test.ancestors().nth(2);
    directory
        .expect("a test lies in target/<profile>/deps")
        .to_path_buf()
}

/// The Python of the environment that `tests/run` prepares, with redis-py in it.
///
/// # Panics
/// Where there is none.
pub fn python() -> PathBuf {
    let python = profile_directory().with_file_name("venv/bin/python");
    assert!(
        python.exists(),
        "there is no {}: tests/run prepares it",
        python.display()
    );
    python
}

/// The library that stands between a server and its disk, built where needed.
///
/// # Panics
/// Where it cannot be built.
pub fn faults() -> &'static Path {
    static FAULTS: OnceLock<PathBuf> = OnceLock::new();
    FAULTS.get_or_init(|| {
        run_cargo(&["build", "--quiet", "-p", "faults"]);
        profile_directory().join("libfaults.so")
    })
}

fn build() -> PathBuf {
    run_cargo(&["build", "--quiet", "-p", "percore", "--bin", "percore"]);
    profile_directory().join("percore")
}

/// Runs cargo for the profile of the tests themselves.
fn run_cargo(words: &[&str]) {
    let profile = profile_directory();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(words);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("running cargo");
    assert!(status.success(), "cargo {} fails", words.join(" "));
}
