//! What can happen to a key: the names and classes of Redis's keyspace notifications.

use config::EventClass;

/// One kind of change to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    pub class: EventClass,
    pub name: &'static str,
}

macro_rules! events {
    ($($class:ident { $($constant:ident $name:literal)* })*) => {
        impl Event {
            $($(pub const $constant: Self = Self { class: EventClass::$class, name: $name };)*)*
        }
    };
}

events! {
    Generic {
        DEL "del" EXPIRE "expire" PERSIST "persist" RENAME_FROM "rename_from" RENAME_TO "rename_to" MOVE_FROM "move_from" MOVE_TO "move_to"
        COPY_TO "copy_to" RESTORE "restore" SORT_STORE "sortstore"
    }
    String { SET "set" SETRANGE "setrange" APPEND "append" INCRBY "incrby" INCRBYFLOAT "incrbyfloat" SETBIT "setbit" BITFIELD "setbit" PFADD "pfadd" }
    List { LPUSH "lpush" RPUSH "rpush" LPOP "lpop" RPOP "rpop" LINSERT "linsert" LSET "lset" LREM "lrem" LTRIM "ltrim" }
    Set { SADD "sadd" SREM "srem" SPOP "spop" SINTERSTORE "sinterstore" SUNIONSTORE "sunionstore" SDIFFSTORE "sdiffstore" }
    Hash {
        HSET "hset" HDEL "hdel" HINCRBY "hincrby" HINCRBYFLOAT "hincrbyfloat" HEXPIRE "hexpire" HEXPIRED "hexpired" HPERSIST "hpersist"
    }
    SortedSet {
        ZADD "zadd" ZINCR "zincr" ZREM "zrem" ZREM_BY_RANK "zremrangebyrank" ZREM_BY_SCORE "zremrangebyscore" ZREM_BY_LEX "zremrangebylex"
        ZUNIONSTORE "zunionstore" ZINTERSTORE "zinterstore" ZDIFFSTORE "zdiffstore" ZRANGESTORE "zrangestore" ZPOPMIN "zpopmin"
        ZPOPMAX "zpopmax" GEOSEARCHSTORE "geosearchstore" GEORADIUS_STORE "georadiusstore"
    }
    Stream {
        XADD "xadd" XDEL "xdel" XTRIM "xtrim" XSETID "xsetid" XGROUP_CREATE "xgroup-create" XGROUP_DESTROY "xgroup-destroy"
        XGROUP_SETID "xgroup-setid" XGROUP_CREATECONSUMER "xgroup-createconsumer" XGROUP_DELCONSUMER "xgroup-delconsumer"
    }
    Expired { EXPIRED "expired" }
    Evicted { EVICTED "evicted" }
    New { NEW "new" }
    KeyMiss { KEY_MISS "keymiss" }
}

impl Event {
    /// Whether the key is another one after it: not of a miss, and not of the word that a key is
    /// new, behind which its change is told.
    pub fn is_change(self) -> bool {
        !matches!(self.class, EventClass::New | EventClass::KeyMiss)
    }

    /// Whether it is a change to who watches the key or has it in a cache. As in Redis it is none
    /// what happens to a stream's groups alone.
    pub fn changes_value(self) -> bool {
        let of_groups = [
            Self::XSETID,
            Self::XGROUP_CREATE,
            Self::XGROUP_DESTROY,
            Self::XGROUP_SETID,
            Self::XGROUP_CREATECONSUMER,
            Self::XGROUP_DELCONSUMER,
        ];
        self.is_change() && !(self.class == EventClass::Stream && of_groups.contains(&self))
    }
}
