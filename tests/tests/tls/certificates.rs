//! Certificates, versions and ciphers: who comes in, what is refused and why, and how all of it
//! changes while connections are open.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind, version};
use tests::binary::binary;
use tests::reply::Value;
use tests::server::{eventually, free_port};
use tests::tls::{Authority, TlsServer};
use tests::{Options, Oracle, SHARDS, Wire};

const TIME_MAX: Duration = Duration::from_secs(60);

const NOT_UPDATED: &str = "Unable to update TLS configuration. Check server logs.";

/// CONFIG SET's refusal.
fn refused(parameter: &str, why: &str) -> Value {
    let text =
        format!("ERR CONFIG SET failed (possibly related to argument '{parameter}') - {why}");
    Value::Error(text.into())
}

/// Whether the server answers such a client. With TLS 1.3 a client hears only behind its own
/// handshake that the server has refused it.
fn lets_in(tls: &TlsServer, client: &Arc<ClientConfig>) -> bool {
    let Ok(mut wire) = Wire::connect_tls(tls.address, client) else {
        return false;
    };
    let sent = wire.try_send(b"PING\r\n");
    let reply = sent.and_then(|()| wire.try_reply());
    reply.is_ok_and(|reply| reply.as_deref() == Some(b"+PONG\r\n"))
}

#[test]
fn clients_show_certificates_where_they_must() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let mut control = tls.server.connect();
        let stranger = Authority::new("nobody").issue("a client");
        let known = tls.authority.issue("a client");
        for versions in [[&version::TLS12], [&version::TLS13]] {
            let client = |identity| tls.authority.client_of(identity, &versions);
            for (asks, none, known_to_it, not) in [
                ("no", true, true, true),
                ("optional", true, true, false),
                ("yes", false, true, false),
            ] {
                control.ask(&format!("CONFIG SET tls-auth-clients {asks}"));
                assert_eq!(lets_in(&tls, &client(None)), none, "{asks}");
                assert_eq!(lets_in(&tls, &client(Some(&known))), known_to_it, "{asks}");
                assert_eq!(lets_in(&tls, &client(Some(&stranger))), not, "{asks}");
            }
        }
        let log = tls.server.log();
        assert!(log.contains("Error accepting a client connection"), "{log}");
        // A directory of authorities does as a file does.
        std::fs::create_dir(tls.server.directory().join("authorities")).expect("a directory");
        tls.write("authorities/some.pem", &tls.authority.pem());
        tls.write("authorities/README", "not a certificate");
        let set = ["CONFIG", "SET", "tls-ca-cert-file", "", "tls-ca-cert-dir"];
        let reply = control.command(&[&set[..], &["authorities"]].concat());
        assert_eq!(reply.text(), b"OK");
        assert!(lets_in(&tls, &tls.authority.client(Some(&known))));
        assert!(!lets_in(&tls, &tls.authority.client(Some(&stranger))));
    }
}

#[test]
fn certificates_are_renewed_while_connections_are_open() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards));
        let mut old = tls.connect();
        let mut control = tls.server.connect();
        let renewed = Authority::new("another authority");
        let identity = renewed.issue("the server");
        // Nothing is seen before CONFIG SET says so: neither half of a change.
        tls.write("server.crt", &identity.certificate);
        assert!(lets_in(&tls, &tls.authority.client(None)));
        let set = "CONFIG SET tls-cert-file server.crt tls-key-file server.key";
        let reply = control.ask(set);
        assert_eq!(reply, refused("tls-cert-file", NOT_UPDATED));
        assert!(tls.server.log().contains("not the key of the certificate"));
        assert!(lets_in(&tls, &tls.authority.client(None)));
        tls.write("server.key", &identity.key);
        assert_eq!(control.ask(set).text(), b"OK");
        assert!(lets_in(&tls, &renewed.client(None)));
        assert!(!lets_in(&tls, &tls.authority.client(None)));
        assert_eq!(old.ask("PING").text(), b"PONG");
    }
}

/// What CONFIG SET refuses, and what the log says of it.
const OF_NO_USE: &[(&str, &str)] = &[
    (
        "tls-cert-file nothere",
        "nothere': No such file or directory",
    ),
    ("tls-cert-file text", "there is no certificate in it"),
    ("tls-key-file text", "there is no private key in it"),
    ("tls-key-file encrypted.key", "the key is encrypted"),
    (
        "tls-ca-cert-file nothere",
        "nothere': No such file or directory",
    ),
    (
        "tls-ca-cert-dir nothere",
        "nothere': No such file or directory",
    ),
    ("tls-protocols TLSv1.1", "percore has no TLSv1.1"),
    (
        "tls-ciphers AES128-SHA",
        "percore has no cipher 'AES128-SHA'",
    ),
    (
        "tls-ciphersuites nonsense",
        "percore has no cipher 'nonsense'",
    ),
];

/// Redis with the files of a server, and TLS on.
fn oracle_beside(tls: &TlsServer) -> Oracle {
    let names = [
        "server.crt",
        "server.key",
        "ca.crt",
        "encrypted.key",
        "text",
    ];
    let options = names.into_iter().fold(Options::shards(1), |options, name| {
        let text = std::fs::read(tls.server.directory().join(name)).expect("a file");
        options.file(name, &text)
    });
    let flags = format!("--tls-port {} --tls-auth-clients no", free_port());
    let named = "--tls-cert-file server.crt --tls-key-file server.key";
    Oracle::start_with(options.flags(&flags).flags(named))
}

#[test]
fn what_is_of_no_use_changes_nothing_and_the_log_says_why() {
    let tls = TlsServer::start(Options::shards(2));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
    tls.write("encrypted.key", encrypted);
    tls.write("text", "no PEM at all");
    let mut control = tls.server.connect();
    let oracle = oracle_beside(&tls);
    let mut right = oracle.connect();
    for &(words, why) in OF_NO_USE {
        let parameter = words.split(' ').next().expect("a word");
        let before = control.ask(&format!("CONFIG GET {parameter}"));
        let set = format!("CONFIG SET hz 33 {words}");
        let reply = control.ask(&set);
        // OpenSSL has old versions and ciphers, and looks into a directory only when it must.
        let is_taken = ["tls-protocols", "tls-ciphers", "tls-ca-cert-dir"].contains(&parameter);
        if !is_taken {
            assert_eq!(reply, right.ask(&set), "{words}");
        }
        assert_eq!(reply, refused(parameter, NOT_UPDATED), "{words}");
        assert!(
            tls.server.log().contains(why),
            "{why}: {}",
            tls.server.log()
        );
        assert_eq!(control.ask(&format!("CONFIG GET {parameter}")), before);
        assert!(lets_in(&tls, &tls.authority.client(None)));
    }
    assert_eq!(
        control.ask("CONFIG GET hz").elements().expect("two")[1].text(),
        b"10"
    );
    let why =
        "argument must be 'no': percore uses all cores of one machine; it is not part of a cluster";
    let reply = control.ask("CONFIG SET tls-cluster yes");
    assert_eq!(reply, refused("tls-cluster", why));
}

#[test]
fn a_server_without_a_certificate_does_not_start() {
    for (flags, why) in [
        ("", "tls-cert-file: TLS needs it"),
        ("--tls-cert-file nothere", "tls-key-file: TLS needs it"),
        (
            "--tls-cert-file nothere --tls-key-file nothere",
            "nothere': No such file",
        ),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let port = free_port().to_string();
        let output = Command::new(&binary().path)
            .args(["--port", "0", "--tls-port", &port, "--shards", "1", "--dir"])
            .arg(dir.path())
            .args(flags.split_whitespace())
            .output()
            .expect("running it");
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            text.contains("Failed to configure TLS") && text.contains(why),
            "{text}"
        );
    }
}

#[test]
fn the_port_moves_while_the_server_runs() {
    for shards in SHARDS {
        let mut tls = TlsServer::start(Options::shards(shards));
        let client = tls.authority.client(None);
        let mut open = tls.connect();
        let (before, plain, next) = (tls.address.port(), tls.server.port(), free_port());
        // Over TLS, as the plain port may go, too.
        let reply = open.ask(&format!("CONFIG SET tls-port {plain}"));
        let words = "Unable to listen on this port. Check server logs.";
        assert_eq!(reply, refused("tls-port", words));
        assert!(lets_in(&tls, &client));
        assert_eq!(
            open.ask(&format!("CONFIG SET tls-port {next}")).text(),
            b"OK"
        );
        eventually("nobody listens there any more", TIME_MAX, || {
            Wire::connect(tls.address).is_err()
        });
        tls.address.set_port(next);
        assert!(lets_in(&tls, &client));
        // The two change places.
        let set = format!("CONFIG SET tls-port {plain} port {next}");
        assert_eq!(open.ask(&set).text(), b"OK");
        tls.address.set_port(plain);
        assert!(lets_in(&tls, &client));
        let mut wire = Wire::connect(([127, 0, 0, 1], next).into()).expect("it listens");
        assert_eq!(wire.ask("PING").text(), b"PONG");
        assert_eq!(open.ask("CONFIG SET tls-port 0").text(), b"OK");
        eventually("nobody listens there any more", TIME_MAX, || {
            Wire::connect(tls.address).is_err()
        });
        // What is named while there is no TLS is read once there is.
        assert_eq!(wire.ask("CONFIG SET tls-cert-file nothere").text(), b"OK");
        let reply = wire.ask(&format!("CONFIG SET tls-port {before}"));
        assert_eq!(reply, refused("tls-port", NOT_UPDATED));
        let set = format!("CONFIG SET tls-port {before} tls-cert-file server.crt port 0");
        assert_eq!(wire.ask(&set).text(), b"OK");
        tls.address.set_port(before);
        assert!(lets_in(&tls, &client));
        assert_eq!(open.ask("PING").text(), b"PONG");
    }
}

#[test]
fn parameters_are_shown_as_redis_shows_them() {
    let tls = TlsServer::start(Options::shards(2));
    let mut wire = tls.connect();
    for (name, value) in [
        ("tls-cert-file", "server.crt"),
        ("tls-key-file-pass", ""),
        ("tls-auth-clients", "no"),
        ("tls-session-cache-size", "20480"),
        ("tls-session-cache-timeout", "300"),
        ("tls-session-caching", "yes"),
        ("tls-prefer-server-ciphers", "no"),
        ("tls-protocols", ""),
        ("tls-cluster", "no"),
        ("tls-replication", "no"),
    ] {
        let pair = wire.ask(&format!("CONFIG GET {name}"));
        let pair = pair.elements().expect("a pair");
        assert_eq!(pair[1].text(), value.as_bytes(), "{name}");
    }
}

#[test]
fn versions_and_ciphers_are_those_that_are_named() {
    let tls = TlsServer::start(Options::shards(2));
    let mut control = tls.server.connect();
    let chosen = |versions: &[&'static rustls::SupportedProtocolVersion]| {
        let client = tls.authority.client_of(None, versions);
        let mut wire = Wire::connect_tls(tls.address, &client).ok()?;
        let suite = wire.encrypted().rustls.negotiated_cipher_suite()?.suite();
        Some(format!("{suite:?}"))
    };
    let mut set = |words: &str| assert_eq!(control.ask(words).text(), b"OK", "{words}");
    let (old, new) = ([&version::TLS12], [&version::TLS13]);
    assert!(chosen(&old).is_some() && chosen(&new).is_some());
    set("CONFIG SET tls-protocols TLSv1.3");
    assert!(chosen(&old).is_none() && chosen(&new).is_some());
    set("CONFIG SET tls-protocols TLSv1.2");
    assert!(chosen(&old).is_some() && chosen(&new).is_none());
    set(
        r#"CONFIG SET tls-protocols "tlsv1.2 TLSv1.3" tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256"#,
    );
    let suite = chosen(&new).expect("agreed");
    assert!(suite.contains("CHACHA20"), "{suite}");
    set("CONFIG SET tls-ciphers ECDHE-ECDSA-AES128-GCM-SHA256");
    let suite = chosen(&old).expect("agreed");
    assert!(suite.contains("AES_128_GCM"), "{suite}");
    // The certificate's key is of another kind.
    set("CONFIG SET tls-ciphers ECDHE-RSA-AES128-GCM-SHA256");
    assert!(chosen(&old).is_none());
    // The client prefers the stronger one.
    let both = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384";
    set(&format!("CONFIG SET tls-ciphers {both}"));
    assert!(chosen(&old).expect("agreed").contains("AES_256"));
    set("CONFIG SET tls-prefer-server-ciphers yes");
    assert!(chosen(&old).expect("agreed").contains("CHACHA20"));
}

#[test]
fn sessions_are_resumed_where_that_is_allowed() {
    for shards in SHARDS {
        let tls = TlsServer::start(Options::shards(shards).flags("--tls-auth-clients yes"));
        let identity = tls.authority.issue("a client");
        let mut control = tls.server.connect();
        for versions in [[&version::TLS12], [&version::TLS13]] {
            let client = tls.authority.client_of(Some(&identity), &versions);
            let mut client = Arc::unwrap_or_clone(client);
            client.resumption = Resumption::in_memory_sessions(8);
            let client = Arc::new(client);
            let kind = || {
                let mut wire = Wire::connect_tls(tls.address, &client).expect("a handshake");
                assert_eq!(wire.ask("PING").text(), b"PONG");
                wire.encrypted()
                    .rustls
                    .handshake_kind()
                    .expect("it is over")
            };
            assert_eq!(kind(), HandshakeKind::Full);
            for _ in 0..5 {
                assert_eq!(kind(), HandshakeKind::Resumed);
            }
            // Whoever was let in by what held before is looked at anew.
            control.ask("CONFIG SET tls-ca-cert-file ca.crt");
            assert_eq!(kind(), HandshakeKind::Full);
            assert_eq!(kind(), HandshakeKind::Resumed);
            control.ask("CONFIG SET tls-session-caching no");
            assert_eq!(kind(), HandshakeKind::Full);
            assert_eq!(kind(), HandshakeKind::Full);
            control.ask("CONFIG SET tls-session-caching yes");
        }
    }
}
