//! The faults by name.

/// Between whom a proxy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// A hub and Redis.
    Redis,
    /// A hub and Postgres.
    Postgres,
    /// Viewers, publishers over HTTP, and a hub.
    Clients,
}

/// What a proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// What the server sends is swallowed.
    Deaf,
    /// What the client sends is swallowed.
    Mute,
    /// The server's end is closed, the client is not told.
    HalfOpen,
    /// RST to both ends.
    Reset,
    /// Connections end by chance.
    Loss,
    /// Everything comes later.
    Delay,
    /// Little gets through at a time.
    Narrow,
}

/// What is done to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `kill -9` of a hub, and a start soon after.
    KillHub,
    /// SIGSTOP of a hub and, after a while, SIGCONT: it believes to own what others have taken over.
    FreezeHub,
    /// SIGTERM and a start, one hub after the other.
    RollingRestart,
    /// A node joins and leaves again in order.
    AddAndRemoveHub,
    /// The wall clock of one hub is elsewhere for a while.
    JumpClock,
    /// `kill -9` of Redis, and a start with nothing in it.
    KillRedis,
    /// SIGSTOP of Redis and, after a while, SIGCONT.
    FreezeRedis,
    /// `CLIENT KILL` of connections to Redis.
    KillClients,
    /// `CLIENT PAUSE`.
    PauseClients,
    /// The list of members is deleted, several times in a row.
    FlapMembers,
    /// Postgres stopped without a checkpoint, and started again.
    RestartPostgres,
    /// `pg_terminate_backend` of hubs' connections.
    EndBackends,
    /// Somebody else takes every connection that Postgres has to give.
    TakeConnections,
    /// Somebody else locks rows against the order in which hubs do.
    Deadlock,
    /// A task is deleted with everything below it while it is written and watched, and made again.
    DeleteTask,
    /// Something between two of them.
    Link(Line, Trouble),
}

impl Kind {
    /// What is done once in each round, one after the other.
    pub const ROUND: [Self; 13] = [
        Self::KillHub,
        Self::FreezeHub,
        Self::RollingRestart,
        Self::AddAndRemoveHub,
        Self::KillRedis,
        Self::Link(Line::Redis, Trouble::Deaf),
        Self::Link(Line::Redis, Trouble::Mute),
        Self::RestartPostgres,
        Self::KillClients,
        Self::PauseClients,
        Self::EndBackends,
        Self::Link(Line::Redis, Trouble::Reset),
        Self::Link(Line::Postgres, Trouble::Reset),
    ];

    /// Whether it needs a Postgres; SQLite takes one node only.
    pub fn needs_postgres(self) -> bool {
        match self {
            Self::RestartPostgres | Self::AddAndRemoveHub | Self::EndBackends | Self::TakeConnections | Self::Deadlock => true,
            Self::Link(line, _) => line == Line::Postgres,
            _ => false,
        }
    }

    /// Whether it is done to one node.
    pub fn names_a_hub(self) -> bool {
        matches!(self, Self::KillHub | Self::FreezeHub | Self::Link(..))
    }

    /// Whether a node may fail by it with what it has heard.
    pub fn takes_a_hub(self) -> bool {
        matches!(self, Self::KillHub | Self::FreezeHub)
    }

    /// Whether a node leaves in order by it.
    pub fn has_a_hub_leave(self) -> bool {
        matches!(self, Self::RollingRestart | Self::AddAndRemoveHub)
    }

    /// Whether a node may have nothing stored for seconds by it.
    pub fn keeps_the_store_away(self) -> bool {
        matches!(self, Self::RestartPostgres | Self::TakeConnections | Self::Link(Line::Postgres, _))
    }

    /// Whether messages that Redis has counted may go down with it.
    pub fn takes_what_redis_counted(self) -> bool {
        match self {
            Self::KillRedis | Self::FreezeRedis | Self::KillClients | Self::FlapMembers => true,
            Self::Link(Line::Redis, trouble) => !matches!(trouble, Trouble::Delay | Trouble::Narrow),
            _ => false,
        }
    }

    /// What it is called in what is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillHub => "hub killed",
            Self::FreezeHub => "hub frozen",
            Self::RollingRestart => "rolling restart",
            Self::AddAndRemoveHub => "hub added and removed",
            Self::JumpClock => "clock jumped",
            Self::KillRedis => "redis killed",
            Self::FreezeRedis => "redis frozen",
            Self::KillClients => "redis clients killed",
            Self::PauseClients => "redis clients paused",
            Self::FlapMembers => "members deleted",
            Self::RestartPostgres => "postgres restarted",
            Self::EndBackends => "postgres backends ended",
            Self::TakeConnections => "postgres connections taken",
            Self::Deadlock => "postgres deadlock",
            Self::DeleteTask => "task deleted",
            Self::Link(line, trouble) => link_name(line, trouble),
        }
    }
}

fn link_name(line: Line, trouble: Trouble) -> &'static str {
    let [deaf, mute, half_open, reset, loss, delay, narrow] = match line {
        Line::Redis => [
            "redis link deaf",
            "redis link mute",
            "redis link half-open",
            "redis link reset",
            "redis link lossy",
            "redis link slow",
            "redis link narrow",
        ],
        Line::Postgres => [
            "postgres link deaf",
            "postgres link mute",
            "postgres link half-open",
            "postgres link reset",
            "postgres link lossy",
            "postgres link slow",
            "postgres link narrow",
        ],
        Line::Clients => [
            "clients' link deaf",
            "clients' link mute",
            "clients' link half-open",
            "clients' link reset",
            "clients' link lossy",
            "clients' link slow",
            "clients' link narrow",
        ],
    };
    match trouble {
        Trouble::Deaf => deaf,
        Trouble::Mute => mute,
        Trouble::HalfOpen => half_open,
        Trouble::Reset => reset,
        Trouble::Loss => loss,
        Trouble::Delay => delay,
        Trouble::Narrow => narrow,
    }
}
