//! Which of a shard's connections hear of every change to a key with some prefix.

use std::collections::BTreeMap;

use bytes::Bytes;
use engine::header::ClientToken;

/// The clients in broadcast mode among one shard's connections.
#[derive(Default)]
pub struct Audience {
    clients: BTreeMap<Bytes, Vec<ClientToken>>,
}

impl Audience {
    /// A client wants to hear of a prefix.
    pub fn join(&mut self, prefix: Bytes, client: ClientToken) {
        let clients = self.clients.entry(prefix).or_default();
        if !clients.contains(&client) {
            clients.push(client);
        }
    }

    /// A client does not want to any more. Returns whether it was the last one.
    pub fn leave(&mut self, prefix: &Bytes, client: ClientToken) -> bool {
        let Some(clients) = self.clients.get_mut(prefix) else {
            return false;
        };
        clients.retain(|other| *other != client);
        let is_last = clients.is_empty();
        if is_last {
            self.clients.remove(prefix);
        }
        is_last
    }

    /// Who wants to hear of a prefix.
    pub fn of(&self, prefix: &Bytes) -> Vec<ClientToken> {
        self.clients.get(prefix).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_client_of_a_prefix_is_noticed() {
        let mut audience = Audience::default();
        let client = |index| ClientToken {
            index,
            generation: 1,
        };
        let prefix = Bytes::from_static(b"p");
        audience.join(prefix.clone(), client(1));
        audience.join(prefix.clone(), client(1));
        audience.join(prefix.clone(), client(2));
        assert_eq!(audience.of(&prefix), [client(1), client(2)]);
        assert!(!audience.leave(&prefix, client(1)));
        assert!(audience.leave(&prefix, client(2)));
        assert!(!audience.leave(&prefix, client(2)));
        assert!(audience.of(&prefix).is_empty());
    }
}
