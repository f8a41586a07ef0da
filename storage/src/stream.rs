//! A stream: its entries and its consumer groups.
//!
//! The two are apart so that a reader of the one can write the other: XREADGROUP walks `log` while
//! it notes deliveries in a group.

use std::collections::BTreeMap;

use crate::stream_group::Group;
use crate::stream_log::{Counts, StreamLog};

/// A group's share of the tree it stands in, besides name and content.
const GROUP_BYTES: usize = 176;

/// A stream: a log of entries by ID, and the consumer groups that read it. Kept in a box: eight
/// bytes where it is stored. See <https://redis.io/docs/latest/develop/data-types/streams/>.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The entries.
    pub log: StreamLog,
    groups: BTreeMap<Box<[u8]>, Group>,
}

impl Stream {
    /// Nothing was ever put in it.
    pub fn is_pristine(&self) -> bool {
        self.groups.is_empty() && self.log.counts() == Counts::default()
    }

    /// The consumer group of this name, if there is one.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// The consumer group of this name, to change, if there is one.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.groups.get_mut(name)
    }

    /// The entries to read and a group to write.
    pub fn log_and_group_mut(&mut self, name: &[u8]) -> Option<(&mut StreamLog, &mut Group)> {
        Some((&mut self.log, self.groups.get_mut(name)?))
    }

    /// How many consumer groups it has.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Every group, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// Adds a group. False, and nothing is done, where there is one of that name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.groups.insert(name.into(), group);
        true
    }

    /// Takes a group out.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Group> {
        self.groups.remove(name)
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Estimated heap bytes, this struct included.
    pub fn memory_bytes(&self) -> usize {
        let groups: usize = self
            .groups
            .iter()
            .map(|(name, group)| name.len() + GROUP_BYTES + group.memory_bytes())
            .sum();
        size_of::<Stream>() + self.log.memory_bytes() + groups
    }

    /// How many blocks freeing it gives back, about.
    pub fn effort_to_free(&self) -> usize {
        let groups: usize = self
            .groups
            .values()
            .map(|group| 1 + group.pending().len() + group.consumer_count())
            .sum();
        self.log.node_count() + groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream_id::{NewId, StreamId};
    use crate::stream_log::StreamLimits;

    #[test]
    fn a_group_is_written_while_the_log_is_read() {
        let mut stream = Stream::default();
        for value in [b"1", b"2", b"3"] {
            let fields = [(&b"f"[..], &value[..])];
            let added =
                stream
                    .log
                    .append(&StreamLimits::default(), NewId::Auto, 9, fields.into_iter());
            assert!(added.is_ok());
        }
        assert!(stream.add_group(b"g", Group::new(StreamId::MIN, Some(0))));
        assert!(!stream.add_group(b"g", Group::new(StreamId::MIN, None)));
        let counts = stream.log.counts();
        let (log, group) = stream.log_and_group_mut(b"g").unwrap();
        let (me, added) = group.ensure_consumer(b"me", 1);
        assert!(added);
        for entry in log.range(StreamId::MIN..=StreamId::MAX).take(2) {
            group.assign(entry.id, me, 1, 1);
            group.advance(entry.id, &counts);
        }
        assert_eq!(group.lag(&counts), Some(1));
        assert_eq!(stream.effort_to_free(), 1 + 1 + 2 + 1);
        assert!(stream.memory_bytes() > 200);
        assert!(stream.remove_group(b"g").is_some());
        assert_eq!(stream.group_count(), 0);
    }
}
