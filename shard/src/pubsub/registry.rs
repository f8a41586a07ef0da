//! Who subscribes to what, over all shards: for each channel and pattern, how many subscribers it
//! has and on which shards.
//!
//! All shards share it behind one lock, which a subscription takes to write. A publish hardly ever
//! takes it: every change raises a version, and each shard keeps the [`Route`]s of channels that it
//! has published to for as long as the version stays. Then a publish reads one number that nobody
//! writes. While nobody subscribes to anything, it reads one number too.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use engine::slot::ShardId;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use protocol::glob;

use crate::pubsub::{Name, Topic};

/// Routes that a shard keeps; with more it begins anew.
const ROUTES_KEPT_MAX: usize = 1024;

/// Who subscribes to a name, over all shards.
#[derive(Default)]
struct Presence {
    total: usize,
    shards: Vec<(ShardId, usize)>,
}

/// The names of one kind.
type Names = HashMap<Arc<[u8]>, Presence, RandomState>;

/// What all shards share.
#[derive(Default)]
pub struct Registry {
    names: RwLock<[Names; Topic::COUNT]>,
    /// Raised with each change, while the lock is held.
    version: AtomicU64,
    subscriptions: AtomicUsize,
}

/// Where a message to one channel goes.
#[derive(Default)]
pub struct Route {
    /// Subscriptions that it reaches.
    pub total: usize,
    /// The names under which it is wanted: the channel's own comes first.
    pub names: Vec<Name>,
    /// For each shard with subscribers, which of these names they have.
    pub shards: Vec<(ShardId, Vec<usize>)>,
}

impl Route {
    fn add(&mut self, topic: Topic, text: &Arc<[u8]>, presence: &Presence) {
        let at = self.names.len();
        self.names.push(Name {
            topic,
            text: text.clone(),
        });
        self.total += presence.total;
        for (shard, _) in &presence.shards {
            match self.shards.iter_mut().find(|(known, _)| known == shard) {
                Some((_, names)) => names.push(at),
                None => self.shards.push((*shard, vec![at])),
            }
        }
    }
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, [Names; Topic::COUNT]> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more subscriber on `shard`. Returns the name as all keep it, and the version since when
    /// it counts.
    pub fn join(&self, topic: Topic, text: &[u8], shard: ShardId) -> (Arc<[u8]>, u64) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let names = &mut names[topic.index()];
        let kept = match names.get_key_value(text) {
            Some((known, _)) => known.clone(),
            None => text.into(),
        };
        let presence = names.entry(kept.clone()).or_default();
        presence.total += 1;
        match presence.shards.iter_mut().find(|(of, _)| *of == shard) {
            Some((_, count)) => *count += 1,
            None => presence.shards.push((shard, 1)),
        }
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        let before = self.version.fetch_add(1, Ordering::Release);
        (kept, before + 1)
    }

    /// One fewer.
    pub fn leave(&self, topic: Topic, text: &[u8], shard: ShardId) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let names = &mut names[topic.index()];
        let Some(presence) = names.get_mut(text) else {
            return;
        };
        presence.total = presence.total.saturating_sub(1);
        if let Some(at) = presence.shards.iter().position(|(of, _)| *of == shard) {
            presence.shards[at].1 = presence.shards[at].1.saturating_sub(1);
            if presence.shards[at].1 == 0 {
                presence.shards.swap_remove(at);
            }
        }
        if presence.total == 0 {
            names.remove(text);
        }
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Whether there is any subscription.
    #[inline]
    pub fn anybody_subscribes(&self) -> bool {
        self.subscriptions.load(Ordering::Relaxed) > 0
    }

    /// Another number after every change. Who has heard of a change sees it here.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Where a message goes, and the version for which that holds.
    fn route(&self, topic: Topic, channel: &[u8]) -> (u64, Route) {
        let names = self.read();
        let mut route = Route::default();
        if let Some((text, presence)) = names[topic.index()].get_key_value(channel) {
            route.add(topic, text, presence);
        }
        if topic == Topic::Channel {
            for (pattern, presence) in &names[Topic::Pattern.index()] {
                if glob::matches(pattern, channel, false) {
                    route.add(Topic::Pattern, pattern, presence);
                }
            }
        }
        (self.version(), route)
    }

    /// Names of a kind that somebody subscribes to, those that match `pattern` where there is one.
    pub fn active(&self, topic: Topic, pattern: Option<&[u8]>) -> Vec<Arc<[u8]>> {
        let is_wanted = |name: &&Arc<[u8]>| {
            pattern.is_none_or(|pattern| glob::matches(pattern, name.as_ref(), false))
        };
        let names = self.read();
        let active = names[topic.index()].keys().filter(is_wanted);
        active.cloned().collect()
    }

    /// How many names of a kind somebody subscribes to.
    pub fn count(&self, topic: Topic) -> usize {
        self.read()[topic.index()].len()
    }

    /// Subscribers of a name.
    pub fn subscribers(&self, topic: Topic, name: &[u8]) -> usize {
        let names = self.read();
        let presence = names[topic.index()].get(name);
        presence.map_or(0, |presence| presence.total)
    }
}

/// The routes that one shard keeps.
#[derive(Default)]
pub struct Routes {
    version: u64,
    known: [HashMap<Box<[u8]>, Rc<Route>, RandomState>; Topic::COUNT],
}

impl Routes {
    /// Where a message to this channel goes now, and the version for which that holds.
    pub fn find(&mut self, registry: &Registry, topic: Topic, channel: &[u8]) -> (u64, Rc<Route>) {
        let version = registry.version();
        if self.version == version
            && let Some(route) = self.known[topic.index()].get(channel)
        {
            return (version, route.clone());
        }
        let (version, route) = registry.route(topic, channel);
        let route = Rc::new(route);
        if self.version != version || self.known[topic.index()].len() >= ROUTES_KEPT_MAX {
            self.known.iter_mut().for_each(HashMap::clear);
            self.version = version;
        }
        if route.total > 0 {
            self.known[topic.index()].insert(channel.into(), route.clone());
        }
        (version, route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(routes: &mut Routes, registry: &Registry, channel: &[u8]) -> (usize, Vec<usize>) {
        let route = routes.find(registry, Topic::Channel, channel).1;
        let shards = route.shards.iter().map(|(shard, _)| shard.index());
        (route.total, shards.collect())
    }

    #[test]
    fn a_kept_route_is_as_good_as_the_registry() {
        let registry = Registry::default();
        let mut routes = Routes::default();
        let (first, second) = (ShardId::new(0), ShardId::new(1));
        assert!(!registry.anybody_subscribes());
        assert_eq!(reaches(&mut routes, &registry, b"a"), (0, vec![]));
        let (kept, since) = registry.join(Topic::Channel, b"a", second);
        let (same, later) = registry.join(Topic::Channel, b"a", second);
        assert!(Arc::ptr_eq(&kept, &same) && later > since);
        assert_eq!(reaches(&mut routes, &registry, b"a"), (2, vec![1]));
        registry.join(Topic::Pattern, b"[ab]", first);
        registry.join(Topic::ShardChannel, b"a", first);
        assert_eq!(reaches(&mut routes, &registry, b"a"), (3, vec![1, 0]));
        let (_, route) = routes.find(&registry, Topic::Channel, b"a");
        let (_, again) = routes.find(&registry, Topic::Channel, b"a");
        assert!(Rc::ptr_eq(&route, &again));
        assert_eq!(route.names[1].topic, Topic::Pattern);
        registry.leave(Topic::Channel, b"a", second);
        assert_eq!(reaches(&mut routes, &registry, b"a"), (2, vec![1, 0]));
        registry.leave(Topic::Channel, b"a", second);
        assert_eq!(reaches(&mut routes, &registry, b"a"), (1, vec![0]));
        registry.leave(Topic::Pattern, b"[ab]", first);
        assert_eq!(reaches(&mut routes, &registry, b"a"), (0, vec![]));
        assert_eq!(registry.count(Topic::Channel), 0);
        assert_eq!(registry.active(Topic::ShardChannel, Some(b"?")).len(), 1);
        assert!(registry.anybody_subscribes());
    }

    #[test]
    fn few_routes_are_kept() {
        let registry = Registry::default();
        let mut routes = Routes::default();
        registry.join(Topic::Pattern, b"*", ShardId::new(0));
        for at in 0..3 * ROUTES_KEPT_MAX {
            let channel = at.to_string();
            assert_eq!(reaches(&mut routes, &registry, channel.as_bytes()).0, 1);
        }
        assert!(routes.known[0].len() <= ROUTES_KEPT_MAX);
    }
}
