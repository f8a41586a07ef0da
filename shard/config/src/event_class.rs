//! The classes of Redis's keyspace notifications.

/// The class of an event, as `notify-keyspace-events` selects it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventClass {
    /// `g`: commands that are not of one type.
    Generic,
    /// `$`
    String,
    /// `l`
    List,
    /// `s`
    Set,
    /// `h`
    Hash,
    /// `z`
    SortedSet,
    /// `t`
    Stream,
    /// `x`
    Expired,
    /// `e`
    Evicted,
    /// `n`
    New,
    /// `m`
    KeyMiss,
}
