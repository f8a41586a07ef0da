//! Why a connection ended, for the log's "connection closed".

/// Who ended a connection, or what made the server close it. What the socket itself reports is not
/// here: it is an error with its own text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The client closed its side.
    ClientLeft,
    /// QUIT.
    Quit,
    /// CLIENT KILL.
    Killed,
    /// Its user has gone, or may not hear any more what it subscribes to.
    Revoked,
    /// It is a replica's, which is to ask again.
    Replication,
    /// It has been idle for longer than `timeout`.
    Idle,
    /// It has more output unread than `client-output-buffer-limit` allows.
    OutputLimit,
    /// It has sent more of a command, or of a transaction, than `client-query-buffer-limit` allows.
    InputLimit,
    /// What it sent is no command.
    ProtocolError,
    /// It was among the largest when all together went beyond `maxmemory-clients`.
    ClientMemory,
    /// It was slow with its TLS handshake while too many were under way.
    TooManyHandshakes,
    /// The server stops.
    Shutdown,
}

impl CloseReason {
    /// For people; a parameter's name where it is one that did it.
    pub fn text(self) -> &'static str {
        match self {
            Self::ClientLeft => "closed by the client",
            Self::Quit => "QUIT",
            Self::Killed => "CLIENT KILL",
            Self::Revoked => "its user's permissions were taken away",
            Self::Replication => "replication",
            Self::Idle => "timeout",
            Self::OutputLimit => "client-output-buffer-limit",
            Self::InputLimit => "client-query-buffer-limit",
            Self::ProtocolError => "protocol error",
            Self::ClientMemory => "maxmemory-clients",
            Self::TooManyHandshakes => "too many TLS handshakes",
            Self::Shutdown => "shutdown",
        }
    }
}
