//! What the outside has asked to be told of.

/// Something that the outside does when the engine says so; the number is the outside's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TaskId(pub u32);

impl TaskId {
    /// Nobody asks.
    pub const NONE: Self = Self(u32::MAX);
}
