//! The file of users: read at the start and by ACL LOAD, written by ACL SAVE.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use fastrand::Rng;
use tests::binary::binary;
use tests::reply::show;
use tests::{FEW_SHARDS, Options, Oracle, Reference, SEVERAL_SHARDS, Server, Wire, server};

use crate::draw;

/// The file's name, and the flag that says so.
const FILE: &str = "users.acl";
const FLAG: &str = "--aclfile users.acl";

/// One who may always ask, whatever becomes of `default`.
const ADMIN: &str = "user admin on nopass +@all ~* &*\n";

/// Files that are read.
const GOOD: [&str; 12] = [
    "",
    "\n\n  \nuser bob on\n\n",
    "user bob on nopass ~* +@all",
    "user bob\n",
    "  user bob on   \nuser ann  on\n",
    "user bob on\r\nuser ann on\r\n",
    "user bob on >secret %R~a &b (+get ~a) ( +set ~b ) +select|0\n",
    "user bob on (+get  ~a)\n",
    "user a(b on\nuser \"x\n",
    "user default off\n",
    "user default on >secret ~a* +@all -get\nuser bob on >secret",
    "user bob +@all -@dangerous +config|get -client|kill\nuser cy reset\n",
];

/// Files that are not, each with what is said about it.
const BAD: [(&str, &[&str]); 12] = [
    (
        "# users\nuser bob on\n",
        &["users.acl:1", "should start with user"],
    ),
    (
        "user bob on\n\tuser\tann\ton\n",
        &["users.acl:2", "should start with user"],
    ),
    (
        "\n\nUSER bob on\n",
        &["users.acl:3", "should start with user"],
    ),
    ("user\n", &["users.acl:1", "should start with user"]),
    (
        "user bob on\nuser bob off\n",
        &["Duplicate user 'bob'", "line 2"],
    ),
    (
        "user default on\nuser default on\n",
        &["Duplicate user 'default'", "line 2"],
    ),
    ("user bob nosuch\n", &["users.acl:1", "Syntax error"]),
    ("user bob \"on\"\n", &["users.acl:1", "Syntax error"]),
    (
        "user bob #abc\n",
        &["users.acl:1", "must be exactly 64 characters"],
    ),
    ("user bob <nosuch\n", &["users.acl:1", "does not exist"]),
    (
        "user bob on +nosuch\nuser ann ~* ~a\nx\n",
        &[
            "'+nosuch': Unknown command",
            "users.acl:2: Adding a pattern",
            "users.acl:3 should",
        ],
    ),
    (
        "user bob on (+nosuch)\nuser cy ((+get))\n",
        &["'(+nosuch)'", "users.acl:2: Syntax"],
    ),
];

/// Starts a program that is to end at once, in a folder with these files. Returns its exit status
/// and all that it says.
pub fn ended(program: &Path, flags: &[&str], files: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (name, contents) in files {
        std::fs::write(folder.path().join(name), contents).expect("writing a file");
    }
    let mut child = Command::new(program)
        .args(flags)
        .args(["--port", &server::free_port().to_string()])
        .args(["--bind", "127.0.0.1", "--save", ""])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting a server");
    if server::wait(&mut child).is_none() {
        // It may end by itself at last.
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("what it said");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code(), said)
}

/// What LIST says to one who may ask.
fn list(server: &Server) -> String {
    let mut wire = server.connect();
    wire.ask("AUTH admin x");
    wire.send_words("ACL LIST");
    show(&wire.reply())
}

#[test]
fn a_file_is_read_at_the_start() {
    for file in GOOD {
        let text = format!("{ADMIN}{file}");
        let options = |shards| {
            let options = Options::shards(shards).flags(FLAG);
            options.file(FILE, text.as_bytes())
        };
        let expected = list(&Oracle::start_with(options(1)));
        for shards in FEW_SHARDS {
            let found = list(&Server::start(options(shards)));
            assert_eq!(found, expected, "{shards} shards, {file:?}");
        }
    }
}

#[test]
fn a_bad_file_ends_the_start() {
    let reference = Reference::Redis74.path();
    for program in [reference.as_path(), binary().path.as_path()] {
        for (file, words) in BAD {
            let (code, said) = ended(program, &["--aclfile", FILE], &[(FILE, file)]);
            assert_eq!(code, Some(1), "{file:?}: {said}");
            for word in words {
                assert!(
                    said.contains(word),
                    "{}: {file:?}: {said}",
                    program.display()
                );
            }
        }
        let (code, said) = ended(program, &["--aclfile", "nowhere"], &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("opening file 'nowhere': No such file"),
            "{said}"
        );
    }
}

#[test]
fn a_bad_file_that_is_loaded_changes_nothing() {
    let options = |shards| {
        let text = format!("{ADMIN}user bob on >one ~a\n");
        Options::shards(shards)
            .flags(FLAG)
            .file(FILE, text.as_bytes())
    };
    let hear = |server: &Server| {
        let mut wire = server.connect();
        let path = server.directory().join(FILE);
        let mut heard = Vec::new();
        for (file, _) in BAD {
            std::fs::write(&path, file).expect("writing a file");
            wire.send_words("ACL LOAD");
            heard.push((file, show(&wire.reply()), list(server)));
        }
        for file in GOOD {
            std::fs::write(&path, format!("{ADMIN}{file}")).expect("writing a file");
            let mut admin = server.connect();
            admin.ask("AUTH admin x");
            admin.send_words("ACL LOAD");
            heard.push((file, show(&admin.reply()), list(server)));
        }
        std::fs::remove_file(&path).expect("removing a file");
        let mut admin = server.connect();
        admin.ask("AUTH admin x");
        admin.send_words("ACL LOAD");
        heard.push(("none", show(&admin.reply()), list(server)));
        heard
    };
    let expected = hear(&Oracle::start_with(options(1)));
    for shards in FEW_SHARDS {
        let found = hear(&Server::start(options(shards)));
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(found, expected, "{shards} shards");
        }
    }
}

/// Changes of some users, of which many fail.
fn change_users(wire: &mut Wire, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    for _ in 0..150 {
        let user = format!("u{}", rng.u8(..9));
        let mut words = vec!["ACL".to_owned(), "SETUSER".to_owned(), user];
        words.extend(draw::change(&mut rng));
        wire.command(&words);
    }
}

/// What is saved, and what is said when it is read again: Redis may save what it does not read.
#[test]
fn a_saved_file_is_that_of_redis() {
    let saved = |server: &mut Server, seed: u64| {
        let mut wire = server.connect();
        change_users(&mut wire, seed);
        assert_eq!(wire.ask("ACL SAVE").text(), b"OK");
        let path = server.directory().join(FILE);
        let saved = std::fs::read_to_string(&path).expect("a file");
        let before = wire.ask("ACL LIST");
        let loaded = wire.ask("ACL LOAD");
        assert_eq!(wire.ask("ACL LIST"), before);
        if !loaded.is_error() {
            server.kill_and_restart();
            assert_eq!(
                server.connect().ask("ACL LIST"),
                before,
                "read at the start"
            );
        }
        let entries = std::fs::read_dir(server.directory()).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names: Vec<_> = names
            .filter(|name| name.to_string_lossy().contains("acl"))
            .collect();
        assert_eq!(names, [FILE], "nothing else is left there");
        (saved, loaded)
    };
    let options = |shards| Options::shards(shards).flags(FLAG).file(FILE, b"");
    for seed in 0..4 {
        let expected = saved(&mut Oracle::start_with(options(1)), seed);
        for shards in FEW_SHARDS {
            let found = saved(&mut Server::start(options(shards)), seed);
            assert_eq!(found, expected, "{shards} shards");
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_is_told() {
    let flags = "--aclfile folder/users.acl";
    let options = |shards| {
        let options = Options::shards(shards).flags(flags);
        options.file("folder/users.acl", b"user bob on\n")
    };
    let hear = |server: &Server| {
        let mut wire = server.connect();
        wire.ask("ACL SETUSER ann");
        let folder = server.directory().join("folder");
        std::fs::remove_dir_all(&folder).expect("removing a folder");
        let mut heard = Vec::new();
        for ask in ["ACL SAVE", "ACL LOAD", "ACL LIST"] {
            wire.send_words(ask);
            heard.push(show(&wire.reply()));
        }
        // A folder of the file's own name is not taken for it.
        std::fs::create_dir_all(folder.join(FILE)).expect("making a folder");
        wire.send_words("ACL SAVE");
        heard.push(show(&wire.reply()));
        std::fs::remove_dir(folder.join(FILE)).expect("removing a folder");
        wire.send_words("ACL SAVE");
        heard.push(show(&wire.reply()));
        heard
    };
    let expected = hear(&Oracle::start_with(options(1)));
    for shards in FEW_SHARDS {
        let found = hear(&Server::start(options(shards)));
        assert_eq!(found, expected, "{shards} shards");
    }
}

/// Whoever saves, the file is whole, and has at least what there was when that was answered.
#[test]
fn saves_at_once_leave_a_whole_file() {
    const SAVERS: usize = 6;
    const SAVES: usize = 15;
    for shards in SEVERAL_SHARDS {
        let options = Options::shards(shards).flags(FLAG).file(FILE, b"");
        let mut server = Server::start(options);
        thread::scope(|scope| {
            for saver in 0..SAVERS {
                let server = &server;
                scope.spawn(move || {
                    let mut wire = server.connect();
                    for save in 0..SAVES {
                        wire.ask(&format!("ACL SETUSER u:{saver}:{save} on"));
                        assert_eq!(wire.ask("ACL SAVE").text(), b"OK");
                        let path = server.directory().join(FILE);
                        let saved = std::fs::read_to_string(path).expect("a file");
                        let line = format!("user u:{saver}:{save} on ");
                        assert!(saved.contains(&line), "{shards} shards: no {line}");
                        assert!(saved.ends_with("+@all\n") || saved.ends_with("-@all\n"));
                    }
                });
            }
        });
        // Passwords are in it: who could not read it cannot now.
        let path = server.directory().join(FILE);
        let own = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, own).expect("a mode");
        assert_eq!(server.connect().ask("ACL SAVE").text(), b"OK");
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{shards} shards");
        server.kill_and_restart();
        let users = server.connect().ask("ACL USERS").elements();
        let count = users.expect("a list").len();
        assert_eq!(count, 1 + SAVERS * SAVES, "{shards} shards");
    }
}

/// Users are in their file, and nowhere else.
#[test]
fn neither_snapshot_nor_log_has_users() {
    for shards in FEW_SHARDS {
        let mut server = Server::start(Options::shards(shards).flags("--appendonly yes"));
        let mut wire = server.connect();
        wire.ask("ACL SETUSER bob on nopass +@all ~*");
        wire.ask("ACL SETUSER default -config");
        wire.ask("SET k v");
        wire.ask("SAVE");
        server.kill_and_restart();
        let mut wire = server.connect();
        assert_eq!(wire.ask("GET k").text(), b"v", "{shards} shards");
        let users = wire.ask("ACL LIST").elements().expect("a list");
        assert_eq!(users.len(), 1, "{shards} shards: {users:?}");
        let default = "user default on nopass sanitize-payload ~* &* +@all";
        assert_eq!(users[0].text(), default.as_bytes(), "{shards} shards");
    }
}
