//! One connection of the simulated world.

use engine::blocking::waiting::BlockedId;
use engine::header::{Caller, ClientToken, Header, ReplyTo};
use engine::slot::ShardId;
use engine::watch::Watched;
use protocol::args::OwnedArgs;
use protocol::reply::Version;
use protocol::table::CommandId;
use storage::DbIndex;

use crate::model::ModelWatch;
use crate::scripts;

/// One command of a client.
#[derive(Clone)]
pub struct Command {
    pub id: CommandId,
    pub db: DbIndex,
    pub args: OwnedArgs,
}

impl Command {
    /// For people.
    pub fn text(&self) -> String {
        let args = self.args.borrow();
        let words: Vec<String> = args
            .iter()
            .map(|arg| match scripts::name_of(arg) {
                Some(name) => name.into(),
                None => arg.escape_ascii().to_string(),
            })
            .collect();
        format!("{}> {}", self.db.number(), words.join(" "))
    }
}

/// What a client asks for at once.
#[derive(Clone)]
pub enum Ask {
    Command(Command),
    /// MULTI, commands, EXEC.
    Exec(Vec<Command>),
    /// WATCH of keys of one database.
    Watch(DbIndex, Vec<Vec<u8>>),
    /// SCRIPT KILL, on all shards at once.
    Kill,
}

/// What has happened to the scripts of a call.
#[derive(Clone, Default)]
pub struct Fate {
    /// Those that were killed, by their places in EXEC.
    pub killed: Vec<usize>,
    /// What they have called of the outside.
    pub called: Vec<Vec<u8>>,
}

/// What has become of it.
pub struct Call {
    pub ask: Ask,
    /// What the model answered when it took effect.
    pub expected: Option<Vec<u8>>,
    /// Shards that have still to answer a WATCH.
    pub missing: usize,
    pub fate: Fate,
}

/// Where its blocked command waits.
#[derive(Clone, Copy)]
pub enum BlockedAt {
    Owner(ShardId),
    BlockedId(BlockedId),
}

/// A connection.
pub struct Client {
    /// `CLIENT ID`, never used again.
    pub id: u64,
    pub home: ShardId,
    pub token: ClientToken,
    pub seq: u32,
    pub db: DbIndex,
    pub call: Option<Call>,
    pub blocked: Option<BlockedAt>,
    /// What it watches, with what the model noted at the same instant.
    pub watched: Vec<(Watched, ModelWatch)>,
    /// It is asked to write in its blocked command's stead that its time is up.
    pub may_time_out: bool,
}

impl Client {
    /// One that has just come.
    pub fn new(id: u64, index: usize, home: ShardId, db: DbIndex) -> Self {
        Self {
            id,
            home,
            token: ClientToken {
                index: index as u32,
                generation: id as u32,
            },
            seq: 0,
            db,
            call: None,
            blocked: None,
            watched: Vec::new(),
            may_time_out: false,
        }
    }

    /// Where its reply goes.
    pub fn reply_to(&self) -> ReplyTo {
        ReplyTo {
            client: self.token,
            seq: self.seq,
        }
    }

    /// What travels with a command of it.
    pub fn header(&self, command: &Command) -> Header {
        Header {
            command: command.id,
            db: command.db,
            version: Version::Resp2,
            caller: Caller {
                client_id: self.id,
                home: self.home,
                index: self.token.index,
                no_touch: false,
                tracks: false,
                in_script: false,
                reads_all_keys: true,
            },
        }
    }
}
