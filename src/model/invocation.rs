//! An invocation's status and the moves it may make.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Invalid;

/// Where one run of an agent stands. `stalled` is not among them: it is derived from silence, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Announced, not started.
    Pending,
    /// At work.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended by someone's wish.
    Cancelled,
    /// Nobody has heard from it for too long.
    Lost,
}

impl Status {
    /// All of them, in the order in which they are listed to users.
    pub const ALL: [Self; 6] = [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Cancelled, Self::Lost];

    /// The status as written in JSON and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }

    /// Whether the run has reached an end that nothing changes any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether the run is over as far as anyone knows: final, or lost.
    pub fn is_over(self) -> bool {
        self.is_final() || self == Self::Lost
    }

    /// Whether an invocation in this status may be said to be in `next`. Staying is always allowed; final statuses allow nothing else;
    /// `lost` allows everything but `pending`, because its agent may come back; nothing else goes backwards.
    pub fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (from, to) if from == to => true,
            (from, _) if from.is_final() => false,
            (_, to) => to != Self::Pending,
        }
    }

    /// The status after any activity that is not itself a `status`: a sign of life starts a pending run and revives a lost one.
    pub fn after_sign_of_life(self) -> Self {
        match self {
            Self::Pending | Self::Lost => Self::Running,
            other => other,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Invalid::new("a status is pending, running, completed, failed, cancelled or lost"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Status::*, *};

    #[test]
    fn the_moves_are_exactly_these() {
        let moves: Vec<_> = Status::ALL
            .into_iter()
            .flat_map(|from| Status::ALL.into_iter().map(move |to| (from, to)))
            .filter(|(from, to)| from != to && from.may_become(*to))
            .collect();
        let expected = [
            (Pending, Running),
            (Pending, Completed),
            (Pending, Failed),
            (Pending, Cancelled),
            (Pending, Lost),
            (Running, Completed),
            (Running, Failed),
            (Running, Cancelled),
            (Running, Lost),
            (Lost, Running),
            (Lost, Completed),
            (Lost, Failed),
            (Lost, Cancelled),
        ];
        assert_eq!(moves, expected);
    }

    #[test]
    fn a_sign_of_life_never_reopens_a_final_status() {
        for status in [Completed, Failed, Cancelled] {
            assert_eq!(status.after_sign_of_life(), status);
        }
        assert_eq!(Lost.after_sign_of_life(), Running);
        assert_eq!(Pending.after_sign_of_life(), Running);
    }
}
