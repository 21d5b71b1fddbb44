//! How long a session may be without data, and whether it has been. When data was last seen is told
//! by whoever asks.

use super::lifespan::words;
use super::{Session, State, Timestamp};
use crate::limits;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    pub timeout_seconds: u64,
    /// When the session was created, took another state or was given this timeout: it is as good
    /// as data.
    pub counts_from: Timestamp,
    /// When it was found to have had no data for the timeout; none while it is in use.
    pub since: Option<Timestamp>,
}

/// What becomes of a session without data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnIdle {
    /// It is marked, for the platform to decide.
    Tell,
    /// It is marked and stopping.
    Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not idle before this.
    Busy {
        until: Timestamp,
    },
    Idle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 0 (never) or {min} to {max} seconds",
    min = limits::IDLE_TIMEOUT_SECONDS_MIN,
    max = limits::IDLE_TIMEOUT_SECONDS_MAX
)]
pub struct IdleError;

impl Idle {
    /// 0 is never, as with lifespans.
    pub fn starting(now: Timestamp, timeout_seconds: u64) -> Result<Option<Self>, IdleError> {
        match timeout_seconds {
            0 => Ok(None),
            limits::IDLE_TIMEOUT_SECONDS_MIN..=limits::IDLE_TIMEOUT_SECONDS_MAX => {
                Ok(Some(Self { timeout_seconds, counts_from: now, since: None }))
            }
            _ => Err(IdleError),
        }
    }

    /// Data may have been seen that has not been told yet, for as long as `limits::ACTIVITY_LAG`.
    pub fn judge(&self, data_at: Option<Timestamp>, now: Timestamp) -> Verdict {
        let last = self.counts_from.max(data_at.unwrap_or(self.counts_from));
        let timeout = std::time::Duration::from_secs(self.timeout_seconds);
        let until = last.plus(timeout).plus(limits::ACTIVITY_LAG);
        if until > now { Verdict::Busy { until } } else { Verdict::Idle }
    }
}

impl Session {
    /// The same session marked as idle or as in use again, where it is not marked so. `data_at` is
    /// when either side last had something to say.
    pub fn judged(
        &self,
        data_at: Option<Timestamp>,
        now: Timestamp,
        on_idle: OnIdle,
    ) -> Option<Session> {
        let idle = self.idle.filter(|_| self.state == State::Running)?;
        // As every change: not older than the one before, also by a clock that was set back.
        let changed_at = now.max(Timestamp(self.changed_at.0 + 1));
        let with =
            |since| Session { idle: Some(Idle { since, ..idle }), changed_at, ..self.clone() };
        match (idle.judge(data_at, now), idle.since) {
            (Verdict::Idle, None) => {
                let mut session = with(Some(changed_at));
                if on_idle == OnIdle::Stop {
                    let reason = format!("nobody has used it for {}", words(idle.timeout_seconds));
                    (session.state, session.reason) = (State::Stopping, Some(reason));
                }
                Some(session)
            }
            (Verdict::Busy { .. }, Some(_)) => Some(with(None)),
            (Verdict::Idle, Some(_)) | (Verdict::Busy { .. }, None) => None,
        }
    }

    /// Another state has the whole of the timeout before it.
    pub fn restart_idle(&mut self, now: Timestamp) {
        if let Some(idle) = &mut self.idle {
            (idle.counts_from, idle.since) = (now, None);
        }
    }

    /// Whether it was found idle with its last change, and not before.
    pub fn has_become_idle(&self) -> bool {
        self.idle.is_some_and(|idle| idle.since == Some(self.changed_at))
    }
}

#[cfg(test)]
mod tests {
    use crate::label::SessionId;

    use super::*;

    const LAG: u64 = limits::ACTIVITY_LAG.as_millis() as u64;

    fn session() -> Session {
        let id = SessionId::parse("one").unwrap();
        let (workspace, owner) = ("genomics".parse().unwrap(), "ada".parse().unwrap());
        let upstream = "http://10.0.0.7:8888".parse().unwrap();
        let tool = "jupyter".parse().unwrap();
        let created = Timestamp(10_000);
        let session = Session::new(id, workspace, owner, tool, upstream, created);
        Session { idle: Idle::starting(created, 60).unwrap(), ..session }
    }

    #[test]
    fn zero_is_never_and_what_is_too_short_or_too_long_is_refused() {
        let now = Timestamp(1);
        assert_eq!(Idle::starting(now, 0), Ok(None));
        let bounds = [limits::IDLE_TIMEOUT_SECONDS_MIN, limits::IDLE_TIMEOUT_SECONDS_MAX];
        for seconds in bounds {
            assert!(Idle::starting(now, seconds).unwrap().is_some());
        }
        for seconds in [1, bounds[0] - 1, bounds[1] + 1, u64::MAX] {
            assert_eq!(Idle::starting(now, seconds), Err(IdleError));
        }
    }

    #[test]
    fn it_is_idle_after_its_timeout_and_in_use_with_the_next_data() {
        let session = session();
        let data = Some(Timestamp(30_000));
        let at = |ms: u64| Timestamp(ms + LAG);
        assert_eq!(session.judged(None, at(69_999), OnIdle::Tell), None);
        assert_eq!(session.judged(data, at(89_999), OnIdle::Tell), None);
        let old = Some(Timestamp(1));
        assert!(session.judged(old, at(69_999), OnIdle::Tell).is_none(), "counted from creation");
        let idle = session.judged(data, at(90_000), OnIdle::Tell).unwrap();
        assert_eq!((idle.idle.unwrap().since, idle.changed_at), (Some(at(90_000)), at(90_000)));
        assert!(idle.has_become_idle() && idle.state == State::Running);
        assert_eq!(idle.judged(data, at(95_000), OnIdle::Stop), None, "told once");
        let used = idle.judged(Some(at(95_000)), at(96_000), OnIdle::Tell).unwrap();
        assert_eq!((used.idle.unwrap().since, used.has_become_idle()), (None, false));
        assert_eq!(used.idle.unwrap().counts_from, session.created_at);
    }

    #[test]
    fn one_that_is_stopped_says_why_and_one_that_does_not_run_is_left_alone() {
        let late = Timestamp(10_000_000);
        let stopped = session().judged(None, late, OnIdle::Stop).unwrap();
        assert_eq!(stopped.state, State::Stopping);
        assert_eq!(stopped.reason.as_deref(), Some("nobody has used it for 1 minute"));
        assert_eq!(stopped.judged(None, late, OnIdle::Stop), None);
        let starting = Session { state: State::Starting, ..session() };
        assert_eq!(starting.judged(None, late, OnIdle::Stop), None);
        let never = Session { idle: None, ..session() };
        assert_eq!(never.judged(None, late, OnIdle::Stop), None);
    }
}
