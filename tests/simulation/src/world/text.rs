//! What happens, for people.

use engine::message::Message;

use crate::client::{Ask, Command};

pub(super) fn text_of(ask: &Ask) -> String {
    match ask {
        Ask::Command(command) => command.text(),
        Ask::Exec(commands) => {
            let texts: Vec<String> = commands.iter().map(Command::text).collect();
            format!("EXEC [{}]", texts.join(", "))
        }
        Ask::Kill => "SCRIPT KILL".into(),
        Ask::Watch(db, keys) => {
            let keys: Vec<String> = keys
                .iter()
                .map(|it| it.escape_ascii().to_string())
                .collect();
            format!("{}> WATCH {}", db.number(), keys.join(" "))
        }
    }
}

pub(super) fn name_of(message: &Message) -> &'static str {
    match message {
        Message::Resume(_) => "resume",
        Message::Lock(request) if request.wait => "lock, waiting",
        Message::Lock(_) => "lock",
        Message::Granted(_) => "granted",
        Message::Refused(_) => "refused",
        Message::Command(_) => "command",
        Message::Script(_) => "script",
        Message::Exec(_) => "exec",
        Message::Claim(_) => "claim",
        Message::Release(_) => "release",
        Message::Told(_) => "told",
        Message::EndWait(_) => "end wait",
        Message::WaitEnded(..) => "wait ended",
        Message::Leave(_) => "leave",
        Message::FenceFrom(..) | Message::FenceAt(..) | Message::FencePassed(_) => "fence",
        Message::Unwatch(_) => "unwatch",
        Message::PayDebt => "pay debt",
    }
}
