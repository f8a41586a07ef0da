//! What a key can hold besides a string, and how the keyspace finds out which.

use crate::list::List;

/// The type of a value, as TYPE names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    String,
    List,
    Set,
    Hash,
    SortedSet,
    Stream,
}

impl Kind {
    /// The name TYPE answers with.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::Hash => "hash",
            Self::SortedSet => "zset",
            Self::Stream => "stream",
        }
    }

    /// The kind that TYPE and `SCAN TYPE` call `name`.
    pub fn named(name: &[u8]) -> Option<Self> {
        [
            Self::String,
            Self::List,
            Self::Set,
            Self::Hash,
            Self::SortedSet,
            Self::Stream,
        ]
        .into_iter()
        .find(|kind| kind.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// The key holds a value of another type than the command works on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongType;

/// A type of value a key can hold. Every one is registered below, by one line.
pub trait Value: Sized {
    const KIND: Kind;
    /// The value, where the object is of this type.
    fn of(object: &Object) -> Option<&Self>;
    /// The value to change, where the object is of this type.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;
    /// The value as a key holds it.
    fn into_object(self) -> Object;
}

impl Object {
    /// Heap memory of the value, in bytes, as judged by so many of its elements where it is a
    /// table.
    pub fn memory_bytes_by(&self, samples: usize) -> usize {
        match self {
            Self::Hash(hash) => hash.memory_bytes_by(samples),
            Self::Set(set) => set.memory_bytes_by(samples),
            Self::SortedSet(set) => set.memory_bytes_by(samples),
            _ => self.memory_bytes(),
        }
    }

    /// Whether asking for elements ahead is of use: where the value is a large table.
    pub fn is_worth_fetching(&self) -> bool {
        match self {
            Self::Hash(hash) => hash.is_worth_fetching(),
            Self::Set(set) => set.is_worth_fetching(),
            Self::SortedSet(set) => set.is_worth_fetching(),
            Self::List(_) | Self::Stream(_) => false,
        }
    }

    /// Lets what commands need that name these elements be on its way from memory.
    pub fn prefetch<'k>(&self, elements: impl Iterator<Item = &'k [u8]>) {
        match self {
            Self::Hash(hash) => hash.prefetch(elements),
            Self::Set(set) => set.prefetch(elements),
            Self::SortedSet(set) => set.prefetch(elements),
            Self::List(_) | Self::Stream(_) => {}
        }
    }
}

macro_rules! values {
    ($($kind:ident($type:ty))*) => {
        /// A value that is not a string. At most three words, which stand in the key's own block.
        #[derive(Clone)]
        pub enum Object {
            $($kind($type),)*
        }

        impl Object {
            /// The type of this value.
            pub fn kind(&self) -> Kind {
                match *self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            /// What OBJECT ENCODING answers.
            pub fn encoding(&self) -> &'static str {
                match *self {
                    $(Self::$kind(ref value) => value.encoding(),)*
                }
            }

            /// Heap memory of the value, in bytes.
            pub fn memory_bytes(&self) -> usize {
                match *self {
                    $(Self::$kind(ref value) => value.memory_bytes(),)*
                }
            }

            /// How many frees it takes to drop the value, about.
            pub fn effort_to_free(&self) -> usize {
                match *self {
                    $(Self::$kind(ref value) => value.effort_to_free(),)*
                }
            }
        }

        $(impl Value for $type {
            const KIND: Kind = Kind::$kind;

            #[allow(irrefutable_let_patterns)]
            fn of(object: &Object) -> Option<&Self> {
                if let Object::$kind(value) = object { Some(value) } else { None }
            }

            #[allow(irrefutable_let_patterns)]
            fn of_mut(object: &mut Object) -> Option<&mut Self> {
                if let Object::$kind(value) = object { Some(value) } else { None }
            }

            fn into_object(self) -> Object {
                Object::$kind(self)
            }
        })*
    };
}

values! {
    Hash(crate::hash::Hash)
    Set(crate::set::Set)
    List(List)
    SortedSet(crate::sorted_set::SortedSet)
    Stream(Box<crate::stream::Stream>)
}

const _: () = assert!(size_of::<Object>() <= 24 && align_of::<Object>() <= 8);
