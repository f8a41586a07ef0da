//! What rustls goes by, made of the `tls-` parameters and the files that they name.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Config, TlsAuth};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, SupportedCipherSuite, version};

use crate::tls::sessions::Sessions;
use crate::tls::{ciphers, pem};

/// Tickets that a client of TLS 1.3 gets, each for one connection. Clients that pool connections
/// use them up at once; OpenSSL sends as many.
const TICKETS: usize = 2;

/// Why the parameters cannot be gone by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unusable {
    /// The one to blame.
    pub parameter: &'static str,
    pub why: String,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.parameter, self.why)
    }
}

impl std::error::Error for Unusable {}

fn unusable(parameter: &'static str) -> impl Fn(String) -> Unusable {
    move |why| Unusable { parameter, why }
}

/// Of a parameter that names a file.
fn in_file(parameter: &'static str, path: &Path) -> impl Fn(String) -> Unusable {
    move |why| unusable(parameter)(format!("'{}': {why}", path.display()))
}

/// Reads all files that `config` names. The file system is asked, which may take its time.
pub fn read(config: &Config) -> Result<Arc<ServerConfig>, Unusable> {
    let versions = match &config.tls_protocols {
        Some(words) => ciphers::versions(words).map_err(unusable("tls-protocols"))?,
        None => vec![&version::TLS13, &version::TLS12],
    };
    let provider = Arc::new(CryptoProvider {
        cipher_suites: suites(config)?,
        ..ring::default_provider()
    });
    let certified = certified(config, &provider)?;
    let verifier = verifier(config, &provider)?;
    let mut settings = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| unusable("tls-protocols")(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    settings.ignore_client_order = config.tls_prefer_server_ciphers;
    settings.send_tls13_tickets = TICKETS;
    settings.session_storage = if config.tls_session_caching {
        let (size, timeout_s) = (
            config.tls_session_cache_size,
            config.tls_session_cache_timeout_s,
        );
        Arc::new(Sessions::new(size, timeout_s))
    } else {
        settings.send_tls13_tickets = 0;
        Arc::new(NoServerSessionStorage {})
    };
    Ok(Arc::new(settings))
}

/// The suites of both versions, each in its order of preference.
fn suites(config: &Config) -> Result<Vec<SupportedCipherSuite>, Unusable> {
    let mut suites = match &config.tls_ciphersuites {
        Some(list) => ciphers::tls13(list).map_err(unusable("tls-ciphersuites"))?,
        None => ciphers::all(&version::TLS13).collect(),
    };
    match &config.tls_ciphers {
        Some(list) => suites.extend(ciphers::tls12(list).map_err(unusable("tls-ciphers"))?),
        None => suites.extend(ciphers::all(&version::TLS12)),
    }
    Ok(suites)
}

/// The server's certificate and its key.
fn certified(config: &Config, provider: &CryptoProvider) -> Result<CertifiedKey, Unusable> {
    const CERTIFICATE: &str = "tls-cert-file";
    const KEY: &str = "tls-key-file";
    let path = |path: &Option<PathBuf>, parameter| {
        let missing = || unusable(parameter)("TLS needs it, and it is not set".into());
        path.as_ref()
            .map(|path| config.dir.join(path))
            .ok_or_else(missing)
    };
    let certificate_path = path(&config.tls_cert_file, CERTIFICATE)?;
    let key_path = path(&config.tls_key_file, KEY)?;
    let certificates =
        pem::certificates(&certificate_path).map_err(in_file(CERTIFICATE, &certificate_path))?;
    let key = pem::private_key(&key_path).map_err(in_file(KEY, &key_path))?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        let why = "percore has no use for this key; there are RSA of 2048 to 8192 bits, ECDSA on P-256 and P-384, and Ed25519";
        in_file(KEY, &key_path)(why.into())
    })?;
    // The library's own comparison reads the certificate, and refuses those of version 1, which
    // OpenSSL makes where nobody asks for an extension.
    let is_of_key = key.public_key().is_none_or(|public| {
        let certificate: &[u8] = &certificates[0];
        memchr::memmem::find(certificate, &public).is_some()
    });
    if !is_of_key {
        let why = format!(
            "it is not the key of the certificate in '{}'",
            certificate_path.display()
        );
        return Err(in_file(KEY, &key_path)(why));
    }
    Ok(CertifiedKey::new(certificates, key))
}

/// Who looks at clients' certificates.
fn verifier(
    config: &Config,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Unusable> {
    const FILE: &str = "tls-ca-cert-file";
    const DIR: &str = "tls-ca-cert-dir";
    let mut roots = RootCertStore::empty();
    let mut add = |found: Vec<CertificateDer<'static>>, parameter, path: &Path| {
        // The store of a whole system may have one that is odd.
        match roots.add_parsable_certificates(found) {
            (0, _) => Err(in_file(parameter, path)(
                "no authority in it can be used".into(),
            )),
            _ => Ok(()),
        }
    };
    if let Some(path) = &config.tls_ca_cert_file {
        let path = config.dir.join(path);
        let found = pem::certificates(&path).map_err(in_file(FILE, &path))?;
        add(found, FILE, &path)?;
    }
    if let Some(path) = &config.tls_ca_cert_dir {
        let path = config.dir.join(path);
        let found = pem::certificates_below(&path).map_err(in_file(DIR, &path))?;
        add(found, DIR, &path)?;
    }
    if config.tls_auth_clients == TlsAuth::No {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    if roots.is_empty() {
        return Err(unusable(FILE)(
            "clients' certificates are verified by it or by tls-ca-cert-dir, and neither is set; \
             tls-auth-clients no asks for no certificate"
                .into(),
        ));
    }
    // Without a list of the authorities' names: some clients show no certificate where they find
    // none that fits, and the list of a whole system is larger than the rest of the handshake.
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .clear_root_hint_subjects();
    let builder = if config.tls_auth_clients == TlsAuth::Optional {
        builder.allow_unauthenticated()
    } else {
        builder
    };
    let built = builder.build();
    built.map_err(|error| unusable(FILE)(error.to_string()))
}
