//! How long a session may live, and until when that is.

use super::{Session, State, Timestamp};
use crate::limits;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifespan {
    pub seconds: u64,
    pub ends_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 0 (unlimited) or 1 to {max} seconds", max = limits::LIFESPAN_SECONDS_MAX)]
pub struct LifespanError;

impl Lifespan {
    /// From now on. 0 is unlimited, as in today's workspaces.
    pub fn starting(now: Timestamp, seconds: u64) -> Result<Option<Self>, LifespanError> {
        match seconds {
            0 => Ok(None),
            1..=limits::LIFESPAN_SECONDS_MAX => {
                Ok(Some(Self { seconds, ends_at: after(now, seconds) }))
            }
            _ => Err(LifespanError),
        }
    }
}

impl Session {
    /// The same session with its life ended, when its time is over.
    pub fn expired(&self, now: Timestamp) -> Option<Session> {
        let lifespan = self.lifespan.filter(|lifespan| lifespan.ends_at <= now)?;
        if self.state.is_over() {
            return None;
        }
        let reason = format!("its lifespan of {} has ended", words(lifespan.seconds));
        let changed_at = now.max(self.changed_at);
        Some(Session { state: State::Stopped, reason: Some(reason), changed_at, ..self.clone() })
    }

    /// A new run has the whole of its lifespan before it.
    pub fn restart_lifespan(&mut self, now: Timestamp) {
        if let Some(lifespan) = &mut self.lifespan {
            lifespan.ends_at = after(now, lifespan.seconds);
        }
    }
}

fn after(Timestamp(now): Timestamp, seconds: u64) -> Timestamp {
    Timestamp(now.saturating_add(seconds.saturating_mul(1_000)))
}

/// In the largest unit that divides it.
pub(super) fn words(seconds: u64) -> String {
    let (count, unit) = match seconds {
        s if s % 86_400 == 0 => (s / 86_400, "day"),
        s if s % 3_600 == 0 => (s / 3_600, "hour"),
        s if s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_unlimited_and_too_much_is_refused() {
        let now = Timestamp(1_000);
        assert_eq!(Lifespan::starting(now, 0), Ok(None));
        let hour = Lifespan { seconds: 3_600, ends_at: Timestamp(3_601_000) };
        assert_eq!(Lifespan::starting(now, 3_600), Ok(Some(hour)));
        assert_eq!(Lifespan::starting(now, limits::LIFESPAN_SECONDS_MAX + 1), Err(LifespanError));
    }

    #[test]
    fn time_is_told_in_words() {
        for (seconds, text) in
            [(86_400, "1 day"), (28_800, "8 hours"), (5_400, "90 minutes"), (61, "61 seconds")]
        {
            assert_eq!(words(seconds), text);
        }
    }
}
