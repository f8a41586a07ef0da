//! Certificates and keys from PEM files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use config::kind::plain;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The largest file that is read. The authorities that browsers know take a quarter of a megabyte.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Files of a directory of authorities.
const FILES_MAX: usize = 4_096;

/// The certificates of a file, in their order: at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = certificates_of(&read(path)?)?;
    if found.is_empty() {
        return Err("there is no certificate in it; it must be PEM".into());
    }
    Ok(found)
}

/// The private key of a file. One that is encrypted is refused: reading it takes fifteen crates
/// more, for a password that stands beside it.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(path)?;
    if is_encrypted(&text) {
        return Err(format!(
            "the key is encrypted, which percore cannot read, with tls-key-file-pass either; write one \
             that is not: openssl pkey -in {} -out FILE",
            path.display()
        ));
    }
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| format!("there is no private key in it: {error}"))
}

/// The certificates of all files of a directory. What is no certificate is passed over.
pub fn certificates_below(dir: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let entries = fs::read_dir(dir).map_err(|error| plain(&error))?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(|error| plain(&error))?;
    if paths.len() > FILES_MAX {
        return Err(format!("there are more than {FILES_MAX} files in it"));
    }
    paths.sort_unstable();
    let mut found: Vec<CertificateDer<'static>> = Vec::new();
    for path in paths.iter().filter(|path| path.is_file()) {
        let certificates = read(path).and_then(|text| certificates_of(&text));
        // A file has its own name there, and one by its hash.
        for certificate in certificates.unwrap_or_default() {
            if !found.contains(&certificate) {
                found.push(certificate);
            }
        }
    }
    if found.is_empty() {
        return Err("there is no certificate in it".into());
    }
    Ok(found)
}

fn certificates_of(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("it is not whole: {error}"))
}

/// Whether a key is encrypted: as PKCS#8, or in the way that OpenSSL had before.
fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| plain(&error))?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(|error| plain(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}
