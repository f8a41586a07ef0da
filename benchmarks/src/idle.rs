//! `idle`: what connections that say nothing cost, and what a server spends while nobody asks.
//!
//! Each connection asks one PING first, so that the server has accepted it and its buffers have
//! been in use. Memory in the kernel is not counted.

use std::thread;
use std::time::Duration;

use crate::client::Connection;
use crate::report::Table;
use crate::servers::{Selection, Server};
use crate::subject::{REDIS, Subject, kevy, percore};
use crate::{Result, placement};

const SUBJECTS: &[Subject] = &[REDIS, kevy(1), kevy(2), percore(1), percore(2)];
/// Time for a server to shrink buffers that fell idle.
const SETTLE: Duration = Duration::from_secs(5);
/// Files that this program or a server has open besides connections.
const OTHER_FILES: u64 = 100;

/// Opens `connections` to each server and watches it for `watch`, before and after.
pub fn run(selection: &Selection, connections: u64, watch: Duration) -> Result<Vec<Table>> {
    placement::allow_open_files(connections + OTHER_FILES)?;
    let figures = [
        ("bytes/connection", 0),
        ("cpu ms/s alone", 2),
        ("cpu ms/s with them", 2),
    ];
    let title = format!(
        "{connections} idle connections; CPU over {} s",
        watch.as_secs()
    );
    let mut table = Table::new(title, "server", &figures);
    for subject in selection.subjects(SUBJECTS, &mut table)? {
        eprintln!("connecting to {subject}");
        let server = Server::start(selection, subject)?;
        let alone = cpu_ms_per_s(&server, watch)?;
        let before = server.process.resident_bytes()?;
        let held: Vec<Connection> = (0..connections)
            .map(|_| greet(&server))
            .collect::<Result<_>>()?;
        thread::sleep(SETTLE);
        let grown = server.process.resident_bytes()?.saturating_sub(before);
        let with_idle = cpu_ms_per_s(&server, watch)?;
        drop(held);
        table.row(
            &[&subject],
            &[grown as f64 / connections as f64, alone, with_idle],
        );
    }
    Ok(vec![table])
}

fn greet(server: &Server) -> Result<Connection> {
    let mut connection = server.connect()?;
    connection.ask(&[b"PING"])?;
    Ok(connection)
}

/// CPU time of the server while nobody asks: milliseconds a second. The kernel's count has steps of
/// 10 ms.
fn cpu_ms_per_s(server: &Server, watch: Duration) -> Result<f64> {
    let before = server.process.cpu_time()?;
    thread::sleep(watch);
    let spent = server.process.cpu_time()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1000.0 / watch.as_secs_f64())
}
