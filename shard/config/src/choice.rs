//! Parameters whose value is one of a few names.

use super::ConfigError;
use super::kind::{Kind, Setting};

macro_rules! choices {
    ($($(#[$doc:meta])* $choice:ident { $($(#[$variant_doc:meta])* $variant:ident $name:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $choice { $($(#[$variant_doc])* $variant),* }

        impl $choice {
            /// The names in the order in which an error lists them.
            pub const NAMES: &'static [&'static str] = &[$($name),*];
            /// What the table says of such a parameter.
            pub(super) const KIND: Kind = Kind::OneOf(Self::NAMES);

            /// The name that files and CONFIG GET show.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }

        impl Setting for $choice {
            fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
                $(if text.eq_ignore_ascii_case($name) {
                    return Ok(Self::$variant);
                })*
                Err(ConfigError::argument(format!("argument(s) must be one of the following: {}", Self::NAMES.join(", "))))
            }

            fn show(&self) -> String {
                self.name().into()
            }
        }
    )*};
}

choices! {
    /// How a shard waits for input and output.
    IoDriver {
        /// io_uring where the kernel has it, else epoll.
        Auto "auto",
        Uring "uring",
        Epoll "epoll",
    }

    /// Whether shards wait for more work, and output for more output, where that saves CPU time.
    IdleMode {
        /// As it was measured to cost least.
        Default "default",
        /// Never: an idle shard parks at once, and output leaves at once.
        Off "off",
    }

    /// How much is logged. Each level holds those after it.
    LogLevel {
        Debug "debug",
        Verbose "verbose",
        Notice "notice",
        Warning "warning",
        Nothing "nothing",
    }

    /// Who started the process and waits for it to be ready.
    Supervised {
        /// Nobody that wants to be told.
        No "no",
        /// systemd, where it says so in the environment.
        Auto "auto",
        Systemd "systemd",
    }

    /// The shape of a line of the log.
    LogFormat {
        Text "text",
        Json "json",
        /// As Redis writes them.
        Redis "redis",
    }

    /// What goes when `maxmemory` is reached.
    MaxmemoryPolicy {
        VolatileLru "volatile-lru",
        VolatileLfu "volatile-lfu",
        VolatileRandom "volatile-random",
        VolatileTtl "volatile-ttl",
        AllkeysLru "allkeys-lru",
        AllkeysLfu "allkeys-lfu",
        AllkeysRandom "allkeys-random",
        Noeviction "noeviction",
    }

    /// Who may use a guarded command or parameter.
    Permission {
        No "no",
        Yes "yes",
        /// Only connections from this machine.
        Local "local",
    }

    /// When the append-only log is forced to disk.
    AppendFsync {
        EverySecond "everysec",
        Always "always",
        No "no",
    }

    /// How thoroughly data that comes with RESTORE is looked over.
    SanitizeDump {
        No "no",
        Yes "yes",
        Clients "clients",
    }

    /// What happens when a replicated command errs.
    PropagationError {
        Ignore "ignore",
        Panic "panic",
        PanicOnReplicas "panic-on-replicas",
    }

    /// What new users may subscribe to.
    AclPubsub {
        AllChannels "allchannels",
        ResetChannels "resetchannels",
    }

    /// Whether clients need a certificate.
    TlsAuth {
        No "no",
        Yes "yes",
        Optional "optional",
    }

    /// How a replica loads a snapshot that comes without a file.
    DisklessLoad {
        Disabled "disabled",
        OnEmptyDb "on-empty-db",
        SwapDb "swapdb",
    }

    /// What clients are told to reach a node by.
    Endpoint {
        Ip "ip",
        Hostname "hostname",
        Unknown "unknown-endpoint",
    }

    /// What syslog takes lines for.
    Facility {
        User "user",
        Local0 "local0",
        Local1 "local1",
        Local2 "local2",
        Local3 "local3",
        Local4 "local4",
        Local5 "local5",
        Local6 "local6",
        Local7 "local7",
    }
}

impl Permission {
    /// Whether a client may, that is `local` or not.
    pub fn allows(self, local: bool) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Local => local,
        }
    }
}

impl MaxmemoryPolicy {
    /// Whether it goes by how keys were used.
    pub fn goes_by_use(self) -> bool {
        matches!(
            self,
            Self::VolatileLru | Self::VolatileLfu | Self::AllkeysLru | Self::AllkeysLfu
        )
    }

    /// Whether only keys with an expiry may go.
    pub fn spares_persistent(self) -> bool {
        matches!(
            self,
            Self::VolatileLru | Self::VolatileLfu | Self::VolatileRandom | Self::VolatileTtl
        )
    }
}
