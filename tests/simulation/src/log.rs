//! What the logs of the shards would bring back.

use engine::engine::Engine;
use protocol::args::OwnedArgs;
use protocol::table::lookup;
use storage::aof::{Reader, Record, TRANSACTION};
use storage::{DbIndex, UnixMillis};

use crate::client::Command;
use crate::model::{Model, digest};

/// All data that comes of the logs, at a time.
///
/// # Errors
/// What is wrong with a log.
pub fn replay(logs: &[&[u8]], now: UnixMillis) -> Result<String, String> {
    let mut engines: Vec<Engine> = Vec::new();
    for log in logs {
        let mut engine = replay_one(log)?.engine;
        engine.now = now;
        engines.push(engine);
    }
    Ok(digest(&engines))
}

fn replay_one(log: &[u8]) -> Result<Model, String> {
    let mut reader = Reader::new(Box::new(log.to_vec()), log.len() as u64, 0);
    let mut player = Model::new(UnixMillis::new(0));
    let mut selected = DbIndex::default();
    loop {
        match reader.read() {
            Ok(Record::End) => return Ok(player),
            Ok(Record::Time(now)) => player.set_now(now),
            Ok(Record::Note) => {}
            Ok(Record::Command) => {
                let words: Vec<&[u8]> = reader.args().collect();
                match words[0] {
                    b"MULTI" | b"EXEC" | TRANSACTION => {}
                    b"SELECT" => selected = player.database(u16::from(words[1] == b"1")),
                    verb => play(&mut player, verb, selected, &words)?,
                }
            }
            Err(stop) => return Err(format!("a log is damaged: {stop:?}")),
        }
    }
}

fn play(player: &mut Model, verb: &[u8], db: DbIndex, words: &[&[u8]]) -> Result<(), String> {
    let args = OwnedArgs::from_parts(words.iter().copied());
    let id = lookup(verb).ok_or("a log has a command that there is not")?;
    let command = Command { id, db, args };
    match player.run(&command) {
        Some(reply) if reply.first() != Some(&b'-') => Ok(()),
        _ => Err(format!("{} in a log does not go", command.text())),
    }
}
