//! TLS as a test needs it: certificates that it makes for itself, and a client that may be as
//! awkward as it likes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, Stream, SupportedProtocolVersion, version,
};

use crate::server::{Options, Server, free_port};

/// An authority that signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    /// A new one, which nobody knows.
    ///
    /// # Panics
    /// Where there is no randomness.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Authority { issuer }
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Signs a new certificate, for a server on this machine or a client.
    pub fn issue(&self, name: &str) -> Identity {
        self.issue_for(name, Ipv4Addr::LOCALHOST)
    }

    /// Signs one for a server at this address.
    ///
    /// # Panics
    /// Where there is no randomness.
    pub fn issue_for(&self, name: &str, address: Ipv4Addr) -> Identity {
        let names = vec!["localhost".to_owned(), address.to_string()];
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        for purpose in [
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ] {
            params.insert_extended_key_usage(purpose);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client that trusts this authority, and shows a certificate if it has one.
    pub fn client(&self, identity: Option<&Identity>) -> Arc<ClientConfig> {
        self.client_of(identity, &[&version::TLS12, &version::TLS13])
    }

    /// A client that speaks only some versions.
    ///
    /// # Panics
    /// Where the certificates are none.
    pub fn client_of(
        &self,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
                builder
                    .with_client_auth_cert(
                        vec![certificate.expect("a certificate")],
                        key.expect("a key"),
                    )
                    .expect("a certificate and its key")
            }
        };
        // A test says when a session may be resumed.
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

/// A server with a TLS port, beside the plain one.
pub struct TlsServer {
    pub server: Server,
    pub address: SocketAddr,
    pub authority: Authority,
}

impl TlsServer {
    /// Starts one whose certificate is signed by an authority that signs clients' certificates,
    /// too; it asks for none unless `flags` say so.
    pub fn start(options: Options) -> TlsServer {
        let authority = Authority::new("the authority");
        let identity = authority.issue("the server");
        let port = free_port();
        let options = Options {
            flags: [
                format!("--tls-port {port} --tls-auth-clients no"),
                "--tls-cert-file server.crt --tls-key-file server.key".to_owned(),
                "--tls-ca-cert-file ca.crt".to_owned(),
            ]
            .iter()
            .flat_map(|words| words.split_whitespace().map(str::to_owned))
            .chain(options.flags)
            .collect(),
            ..options
        };
        let options = options
            .file("server.crt", identity.certificate.as_bytes())
            .file("server.key", identity.key.as_bytes())
            .file("ca.crt", authority.pem().as_bytes());
        TlsServer {
            server: Server::start(options),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            authority,
        }
    }

    /// A new connection, without a certificate.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn connect(&self) -> crate::Wire {
        let client = self.authority.client(None);
        crate::Wire::connect_tls(self.address, &client).expect("a handshake")
    }

    /// Lays a file into the server's directory.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.server.directory().join(name), text).expect("writing a file");
    }
}

/// A client's end of TLS over a socket that counts.
#[derive(Debug)]
pub struct Encrypted {
    pub rustls: ClientConnection,
    pub socket: Counting,
}

impl Encrypted {
    /// Connects, and says nothing yet.
    ///
    /// # Errors
    /// Where nobody listens.
    pub fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> io::Result<Encrypted> {
        let name = ServerName::from(address.ip());
        let rustls = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Ok(Encrypted {
            rustls,
            socket: Counting {
                socket,
                records: 0,
                header: Vec::new(),
                rest_of_record: 0,
                step: usize::MAX,
            },
        })
    }

    /// Does the handshake, up to where the client is content. A server that is not says so in place
    /// of its first record.
    ///
    /// # Errors
    /// Where one side refuses the other.
    pub fn shake_hands(&mut self) -> io::Result<()> {
        while self.rustls.is_handshaking() {
            self.rustls.complete_io(&mut self.socket)?;
        }
        Ok(())
    }
}

impl Read for Encrypted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Stream::new(&mut self.rustls, &mut self.socket).read(buffer)
    }
}

impl Write for Encrypted {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Stream::new(&mut self.rustls, &mut self.socket).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Stream::new(&mut self.rustls, &mut self.socket).flush()
    }
}

/// A socket that counts the records which come, and may move a few bytes at a time.
#[derive(Debug)]
pub struct Counting {
    socket: TcpStream,
    /// Records that have begun to come.
    pub records: usize,
    header: Vec<u8>,
    rest_of_record: usize,
    /// Bytes that a read or a write moves at the most.
    pub step: usize,
}

impl Counting {
    /// How long reads and writes wait from now on.
    ///
    /// # Errors
    /// Where the socket refuses.
    pub fn time_limit(&self, limit: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(limit))?;
        self.socket.set_write_timeout(Some(limit))
    }

    /// Closes the sending half, without a word.
    ///
    /// # Errors
    /// Where it is closed already.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn count(&mut self, mut bytes: &[u8]) {
        const HEADER_BYTES: usize = 5;
        while !bytes.is_empty() {
            let passed = if self.rest_of_record > 0 {
                let passed = bytes.len().min(self.rest_of_record);
                self.rest_of_record -= passed;
                passed
            } else {
                let passed = bytes.len().min(HEADER_BYTES - self.header.len());
                self.header.extend_from_slice(&bytes[..passed]);
                if let [_, _, _, high, low] = self.header[..] {
                    self.rest_of_record = usize::from(u16::from_be_bytes([high, low]));
                    self.records += 1;
                    self.header.clear();
                }
                passed
            };
            bytes = &bytes[passed..];
        }
    }
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.step);
        let count = self.socket.read(&mut buffer[..room])?;
        self.count(&buffer[..count]);
        Ok(count)
    }
}

impl Write for Counting {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.write(&buffer[..buffer.len().min(self.step)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
