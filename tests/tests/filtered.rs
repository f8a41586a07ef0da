//! Under a filter of system calls that kills: what only makes things better is done without.

use std::collections::BTreeMap;
use std::thread;

use libc::c_long;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use tests::binary::binary;
use tests::server::{START_TIME_MAX, eventually};
use tests::{FEW_SHARDS, Options, SHARDS, Server};

/// What the unit that Debian ships for Redis kills with `SystemCallFilter=~ @privileged
/// @resources`, as far as a server could come to call it.
const DEBIAN: &[c_long] = &[
    libc::SYS_ioprio_set,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_set_mempolicy,
    libc::SYS_setpriority,
    libc::SYS_setrlimit,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_bpf,
    libc::SYS_capset,
    libc::SYS_chroot,
    libc::SYS_fanotify_init,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setgroups,
    libc::SYS_setresuid,
    libc::SYS_setreuid,
    libc::SYS_setuid,
    libc::SYS_setfsuid,
    libc::SYS_vhangup,
];

/// What service managers that do not know io_uring kill besides.
const RINGS: &[c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

fn filter(killed: &[&[c_long]]) -> BpfProgram {
    let rules: BTreeMap<i64, _> = killed
        .concat()
        .into_iter()
        .map(|call| (call, Vec::new()))
        .collect();
    let arch = std::env::consts::ARCH.try_into().expect("a known machine");
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::KillProcess,
        arch,
    );
    filter
        .expect("a filter")
        .try_into()
        .expect("a filter that compiles")
}

/// Serves, writes all its files and ends, under such a filter.
fn lives_under(killed: &'static [&[c_long]], shards: u16, flags: &str, on_epoll: bool) {
    // What builds it is not under the filter.
    binary();
    let options = Options::shards(shards).save("3600 1000000").flags(flags);
    // A filter holds for the thread that calls for it, and for what that starts.
    let filtered = thread::spawn(move || {
        apply_filter(&filter(killed)).expect("a kernel with filters");
        let mut server = Server::start(options);
        let mut wire = server.connect();
        assert_eq!(wire.ask("SET key value").text(), b"OK");
        for words in ["BGSAVE", "BGREWRITEAOF"] {
            assert!(!wire.ask(words).is_error(), "{words}");
            eventually("its end", START_TIME_MAX, || {
                wire.figure("rdb_bgsave_in_progress") + wire.figure("aof_rewrite_in_progress") == 0
            });
        }
        if on_epoll {
            assert_eq!(wire.info("server").text("multiplexing_api"), "epoll");
        }
        wire.send(b"SHUTDOWN\r\n");
        assert_eq!(wire.until_closed(), b"");
        assert_eq!(server.wait().code(), Some(0));
    });
    filtered.join().expect("a server that lives");
}

#[test]
fn it_lives_under_debians_filter() {
    for shards in SHARDS {
        let flags = "--appendonly yes";
        lives_under(&[DEBIAN], shards, flags, false);
        lives_under(
            &[DEBIAN],
            shards,
            &format!("{flags} --io-driver epoll"),
            true,
        );
    }
}

#[test]
fn it_lives_where_rings_are_killed() {
    for shards in FEW_SHARDS {
        lives_under(&[DEBIAN, RINGS], shards, "--appendonly yes", true);
        lives_under(&[RINGS], shards, "--daemonize no", true);
    }
}
