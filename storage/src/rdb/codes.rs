//! The numbers that stand for types and for what is no key in an RDB file.

/// How a value is written. The names are Redis's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Type {
    String = 0,
    List = 1,
    Set = 2,
    /// Scores in decimal.
    SortedSet = 3,
    Hash = 4,
    /// Scores in binary.
    SortedSet2 = 5,
    HashZipmap = 9,
    ListZiplist = 10,
    SetIntset = 11,
    SortedSetZiplist = 12,
    HashZiplist = 13,
    /// Nodes are ziplists.
    ListQuicklist = 14,
    Stream1 = 15,
    HashListpack = 16,
    SortedSetListpack = 17,
    /// Nodes are listpacks, or one large element.
    ListQuicklist2 = 18,
    /// With first id, greatest deleted id and entries added.
    Stream2 = 19,
    SetListpack = 20,
    /// With consumers' times of activity.
    Stream3 = 21,
    /// [`Self::HashMetadata`] of 7.4's release candidates: each deadline in full.
    HashMetadataPreGa = 22,
    /// [`Self::HashListpackEx`] of these: without the soonest deadline before it.
    HashListpackExPreGa = 23,
    /// With deadlines of fields.
    HashMetadata = 24,
    HashListpackEx = 25,
}

impl Type {
    /// The type with this code; `None` for those of modules and of versions to come.
    pub fn new(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::String,
            1 => Self::List,
            2 => Self::Set,
            3 => Self::SortedSet,
            4 => Self::Hash,
            5 => Self::SortedSet2,
            9 => Self::HashZipmap,
            10 => Self::ListZiplist,
            11 => Self::SetIntset,
            12 => Self::SortedSetZiplist,
            13 => Self::HashZiplist,
            14 => Self::ListQuicklist,
            15 => Self::Stream1,
            16 => Self::HashListpack,
            17 => Self::SortedSetListpack,
            18 => Self::ListQuicklist2,
            19 => Self::Stream2,
            20 => Self::SetListpack,
            21 => Self::Stream3,
            22 => Self::HashMetadataPreGa,
            23 => Self::HashListpackExPreGa,
            24 => Self::HashMetadata,
            25 => Self::HashListpackEx,
            _ => return None,
        })
    }
}

/// What stands where a key's type could.
pub(super) mod opcode {
    /// Cluster: how many keys a slot has.
    pub const SLOT_INFO: u8 = 244;
    /// A library of functions.
    pub const FUNCTION2: u8 = 245;
    /// A library of functions, as a release candidate of 7.0 wrote it.
    pub const FUNCTION_PRE_GA: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    /// Seconds since the next key's last use.
    pub const IDLE: u8 = 248;
    /// The next key's LFU counter.
    pub const FREQ: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZEDB: u8 = 251;
    pub const EXPIRETIME_MS: u8 = 252;
    pub const EXPIRETIME: u8 = 253;
    pub const SELECTDB: u8 = 254;
    pub const EOF: u8 = 255;
}

/// The low six bits of a string's first byte whose upper two are set.
pub(super) mod special {
    pub const INT8: u8 = 0;
    pub const INT16: u8 = 1;
    pub const INT32: u8 = 2;
    pub const LZF: u8 = 3;
}

/// How a node of [`Type::ListQuicklist2`] is held.
pub(super) mod container {
    pub const PLAIN: u64 = 1;
    pub const PACKED: u64 = 2;
}

/// The greatest length that takes one byte, and two.
pub(super) const LENGTH6_MAX: u64 = (1 << 6) - 1;
pub(super) const LENGTH14_MAX: u64 = (1 << 14) - 1;
pub(super) const LENGTH32: u8 = 0x80;
pub(super) const LENGTH64: u8 = 0x81;
