//! Whether that is right.

use engine::header::ReplyTo;
use protocol::command::Flags;
use storage::UnixMillis;

use super::text::text_of;
use super::{Checked, World};
use crate::client::{Ask, Client, Command};
use crate::log;
use crate::model::{KILLED, ModelWatch};

impl World {
    /// The data is the model's, and nothing is left of what was under way.
    pub(super) fn check_end(&mut self) -> Checked {
        for shard in &self.shards {
            let engine = &shard.engine;
            if !engine.owner.locks.is_empty() || !engine.coordinator.is_idle() {
                return Err(format!("shard {:?} is not idle in the end", engine.id));
            }
            if !engine.has_no_scripts() || !shard.paused.is_empty() || shard.busy > 0 {
                return Err(format!("shard {:?} has scripts in the end", engine.id));
            }
            if !engine.effects.waits.is_empty() || !shard.tasks.is_empty() {
                return Err(format!("shard {:?} has waiters in the end", engine.id));
            }
        }
        if self.size.logged {
            self.check_logs()?;
        }
        let (real, model) = (self.digest(), self.model.digest());
        if real != model {
            return Err(format!("the data is not the model's: {real} and {model}"));
        }
        Ok(())
    }

    /// Nothing has taken anything from the logs: all data is in them.
    fn check_logs(&self) -> Checked {
        let journals = self.shards.iter().map(|it| &it.engine.effects.journal);
        let logs: Vec<&[u8]> = journals.map(|it| it.waiting()).collect();
        let (logged, model) = (
            log::replay(&logs, UnixMillis::new(self.now))?,
            self.model.digest(),
        );
        if logged == model {
            Ok(())
        } else {
            Err(format!(
                "the logs have not the model's data: {logged} and {model}"
            ))
        }
    }

    /// What a client has asked takes effect: at this instant the model does it, too.
    pub(super) fn took_effect(&mut self, id: u64) -> Checked {
        let at = self.clients.iter().position(|it| it.id == id);
        let call = match at {
            Some(at) => self.clients[at].call.as_ref(),
            None => self.gone.get(&id).and_then(|it| it.call.as_ref()),
        };
        let Some(call) = call else {
            return Err(format!(
                "client {id} has asked for nothing that could take effect"
            ));
        };
        let (ask, fate) = (call.ask.clone(), call.fate.clone());
        if call.expected.is_some() {
            return match ask {
                Ask::Exec(_) => Ok(()),
                _ => Err(format!(
                    "{} of client {id} took effect twice",
                    text_of(&ask)
                )),
            };
        }
        let reply = match &ask {
            Ask::Command(_) if !fate.killed.is_empty() => KILLED.to_vec(),
            Ask::Command(command) => self.model.run(command).ok_or_else(|| {
                format!(
                    "{} of client {id} took effect, and the model's would wait",
                    text_of(&ask)
                )
            })?,
            Ask::Exec(commands) => {
                let watched: Vec<ModelWatch> = match at {
                    Some(at) => &self.clients[at],
                    None => &self.gone[&id],
                }
                .watched
                .iter()
                .map(|it| it.1.clone())
                .collect();
                if !watched.iter().all(|it| self.model.is_unchanged(it)) {
                    return Err(format!("EXEC of client {id} ran on a key that had changed"));
                }
                self.model.exec(commands, &fate.killed)
            }
            Ask::Watch(..) | Ask::Kill => return Err("no command of the engine".into()),
        };
        let called = self.model.take_called();
        if fate.killed.is_empty() && called != fate.called {
            self.note_other_calls(&ask, &fate.called, &called)?;
        }
        self.tell(|| {
            let text = text_of(&ask);
            format!("client {id}: {text} takes effect, {}", reply.escape_ascii())
        });
        let client = match at {
            Some(at) => Some(&mut self.clients[at]),
            None => self.gone.get_mut(&id),
        };
        if let Some(Client {
            call: Some(call), ..
        }) = client
        {
            call.expected = Some(reply);
        }
        Ok(())
    }

    /// A script has called the outside otherwise than the model's.
    fn note_other_calls(&mut self, ask: &Ask, called: &[Vec<u8>], expected: &[Vec<u8>]) -> Checked {
        let publishes = |calls: &[Vec<u8>]| {
            let is_one = |call: &&Vec<u8>| call.windows(7).any(|it| it == b"PUBLISH");
            calls.iter().filter(is_one).count()
        };
        // What is published is heard at once: that happens once.
        if called.ends_with(expected) && publishes(called) == publishes(expected) {
            // It was run again.
            self.counts.repeated_calls += called.len() - expected.len();
            return Ok(());
        }
        let text = |calls: &[Vec<u8>]| calls.concat().escape_ascii().to_string();
        let (called, expected) = (text(called), text(expected));
        Err(format!("{} calls {called}, not {expected}", text_of(ask)))
    }

    /// A reply is home.
    pub(super) fn answer(&mut self, to: ReplyTo, reply: Vec<u8>) -> Checked {
        let Some(at) = self.clients.iter().position(|it| it.token == to.client) else {
            return Ok(());
        };
        let client = &mut self.clients[at];
        let id = client.id;
        if client.seq != to.seq {
            return Err(format!("client {id} is answered twice"));
        }
        let Some(call) = client.call.take() else {
            return Err(format!("client {id} is answered twice"));
        };
        client.blocked = None;
        let may_time_out = std::mem::take(&mut client.may_time_out);
        let watched = match call.ask {
            Ask::Exec(_) => std::mem::take(&mut client.watched),
            _ => Vec::new(),
        };
        let ask = text_of(&call.ask);
        let shown = reply.escape_ascii().to_string();
        self.tell(|| format!("client {id}: {ask} is answered {shown}"));
        let is_exec = matches!(call.ask, Ask::Exec(_));
        match call.expected {
            Some(expected) if same(&call.ask, &expected, &reply) => {}
            Some(expected) => {
                let expected = expected.escape_ascii();
                return Err(format!(
                    "client {id}: {ask} is answered {shown}, not {expected}"
                ));
            }
            None if is_exec && reply == b"*-1\r\n" => {
                let mut model = watched.iter().map(|it| it.1.clone());
                if model.all(|it| self.model.is_unchanged(&it)) {
                    return Err(format!(
                        "client {id}: {ask} is refused, and nothing has changed"
                    ));
                }
            }
            None if may_time_out && reply == b"*-1\r\n" => {}
            None => {
                return Err(format!(
                    "client {id}: {ask} is answered {shown} and has not happened"
                ));
            }
        }
        for (_, model) in watched {
            self.model.unwatch(model);
        }
        Ok(())
    }

    /// Nothing is on its way: whoever is not blocked has its reply, and whoever is has nothing to
    /// be served with.
    pub(super) fn check_blocked(&mut self) -> Checked {
        for at in 0..self.clients.len() {
            let client = &self.clients[at];
            let Some(call) = &client.call else {
                continue;
            };
            let ask = call.ask.clone();
            let (id, is_blocked) = (client.id, client.blocked.is_some());
            let blocks = match &ask {
                Ask::Command(command) => command.id.command().flags.contains(Flags::BLOCKING),
                _ => false,
            };
            if !blocks || !is_blocked {
                return Err(format!("client {id} is never answered: {}", text_of(&ask)));
            }
            if let Ask::Command(command) = &ask
                && self.model.run(command).is_some()
            {
                let text = text_of(&ask);
                return Err(format!("client {id} sleeps, though {text} could be served"));
            }
        }
        Ok(())
    }
}

/// Whether a reply is the one that was to be expected. Sets and sorts without an order may differ.
fn same(ask: &Ask, expected: &[u8], reply: &[u8]) -> bool {
    let is_unordered = match ask {
        Ask::Command(command) => is_unordered(command),
        Ask::Exec(commands) => commands.iter().any(is_unordered),
        Ask::Watch(..) | Ask::Kill => false,
    };
    if !is_unordered {
        return expected == reply || *expected == *without_places(reply);
    }
    let sorted = |reply: &[u8]| {
        let mut bytes = without_places(reply);
        bytes.sort_unstable();
        bytes
    };
    sorted(expected) == sorted(reply)
}

/// A reply without the lines in which scripts were killed.
fn without_places(reply: &[u8]) -> Vec<u8> {
    let killed = KILLED.trim_ascii_end();
    let (mut left, mut cut) = (reply, Vec::new());
    while let Some(at) = left.windows(killed.len()).position(|it| it == killed) {
        cut.extend_from_slice(&left[..at + killed.len()]);
        left = &left[at + killed.len()..];
        let end = left.windows(2).position(|it| it == b"\r\n");
        left = &left[end.unwrap_or_default()..];
    }
    cut.extend_from_slice(left);
    cut
}

fn is_unordered(command: &Command) -> bool {
    matches!(command.id.command().name, "sort" | "keys")
}
