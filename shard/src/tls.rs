//! TLS: what a listener of `tls-port` speaks in front of RESP.
//!
//! [`settings`] makes what rustls goes by of the `tls-` parameters and their files, all of it or
//! nothing; [`ciphers`] knows the names that OpenSSL gives to versions and suites, [`pem`] reads
//! the files, [`sessions`] remembers sessions that may be resumed. [`handshake`] makes a
//! connection of a socket, and [`stream`] is its two directions.
//!
//! Connections keep the settings that they began with. New settings are for new connections.

pub mod ciphers;
pub mod handshake;
pub mod pem;
pub mod sessions;
pub mod settings;
pub mod stream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use config::Config;
use engine::header::ClientToken;
use rustls::ServerConfig;

use self::settings::Unusable;

/// Handshakes under way on one shard. Beyond it the oldest is given up: where all are slow, it is
/// the one that has stalled for longest.
const HANDSHAKES_MAX: usize = 512;

/// The settings in force, for all shards.
#[derive(Default)]
pub struct InForce(Mutex<Option<Arc<ServerConfig>>>);

impl InForce {
    /// Reads what `config` names, where it asks for TLS at all. Nothing changes.
    pub fn read(config: &Config) -> Result<Option<Arc<ServerConfig>>, Unusable> {
        let wanted = config.tls_port != 0;
        wanted.then(|| settings::read(config)).transpose()
    }

    /// New connections go by `settings` from now on, once their shards know. Returns what they went
    /// by.
    pub fn replace(&self, settings: Option<Arc<ServerConfig>>) -> Option<Arc<ServerConfig>> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, settings)
    }

    fn current(&self) -> Option<Arc<ServerConfig>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What a shard knows of TLS.
#[derive(Default)]
pub struct Tls {
    /// What its next handshake goes by.
    settings: Option<Arc<ServerConfig>>,
    /// Clients whose handshakes are under way, by their ids, which grow.
    under_way: BTreeMap<u64, ClientToken>,
}

impl Tls {
    /// Goes by the settings in force.
    pub fn adopt(&mut self, in_force: &InForce) {
        self.settings = in_force.current();
    }

    /// What a handshake goes by that begins now. `None` where there is no TLS.
    pub fn settings(&self) -> Option<Arc<ServerConfig>> {
        self.settings.clone()
    }

    /// A handshake begins. Returns the client whose handshake is to be given up for it, if any.
    pub fn begin(&mut self, id: u64, client: ClientToken) -> Option<ClientToken> {
        self.under_way.insert(id, client);
        let oldest = (self.under_way.len() > HANDSHAKES_MAX).then(|| self.under_way.pop_first());
        oldest.flatten().map(|(_, client)| client)
    }

    /// A handshake is over, however it ended.
    pub fn end(&mut self, id: u64) {
        self.under_way.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_handshake_is_given_up_where_there_are_too_many() {
        let mut tls = Tls::default();
        let token = |id: u64| ClientToken {
            index: id as u32,
            generation: id as u32,
        };
        for id in 0..HANDSHAKES_MAX as u64 {
            assert_eq!(tls.begin(id, token(id)), None);
        }
        tls.end(0);
        assert_eq!(tls.begin(1_000, token(1_000)), None);
        assert_eq!(tls.begin(1_001, token(1_001)), Some(token(1)));
        assert_eq!(tls.begin(1_002, token(1_002)), Some(token(2)));
    }
}
