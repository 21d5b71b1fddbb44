//! The state of a session, and which may follow which. The platform says what happened; a step that
//! cannot have happened is a message that came late, and must not bring a dead session back.

use std::str::FromStr;

use super::UnknownWord;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Building,
    BuildFailed,
    Starting,
    Running,
    Stopping,
    Stopped,
    Errored,
}

impl State {
    pub const WORDS: &str = "building, buildFailed, starting, running, stopping, stopped, errored";

    pub fn as_str(self) -> &'static str {
        match self {
            State::Building => "building",
            State::BuildFailed => "buildFailed",
            State::Starting => "starting",
            State::Running => "running",
            State::Stopping => "stopping",
            State::Stopped => "stopped",
            State::Errored => "errored",
        }
    }
}

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 7] = [
        State::Building,
        State::BuildFailed,
        State::Starting,
        State::Running,
        State::Stopping,
        State::Stopped,
        State::Errored,
    ];

    /// The states that may follow this one. To stay as it is is no step.
    pub fn followers(self) -> &'static [State] {
        use State::*;
        match self {
            Building => &[BuildFailed, Starting, Running, Stopping, Stopped, Errored],
            BuildFailed => &[Building, Starting, Stopped],
            Starting => &[Running, Stopping, Stopped, Errored],
            Running => &[Stopping, Stopped, Errored],
            Stopping => &[Stopped, Errored],
            // Never straight to running: a late message of the run before would do that.
            Stopped | Errored => &[Building, Starting],
        }
    }

    pub fn may_become(self, next: State) -> bool {
        self == next || self.followers().contains(&next)
    }

    /// Nothing runs and nothing is on its way to.
    pub fn is_over(self) -> bool {
        match self {
            State::BuildFailed | State::Stopped | State::Errored => true,
            State::Building | State::Starting | State::Running | State::Stopping => false,
        }
    }
}

impl FromStr for State {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Ok(match text {
            "building" => State::Building,
            "buildFailed" => State::BuildFailed,
            "starting" => State::Starting,
            "running" => State::Running,
            "stopping" => State::Stopping,
            "stopped" => State::Stopped,
            "errored" => State::Errored,
            _ => return Err(UnknownWord { expected: Self::WORDS }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert!(State::WORDS.split(", ").any(|word| word == state.as_str()));
        }
        assert!("Running".parse::<State>().is_err());
    }

    #[test]
    fn a_dead_session_is_only_brought_back_by_a_new_start() {
        for dead in [State::Stopped, State::Errored, State::BuildFailed] {
            assert!(dead.is_over());
            assert!(!dead.may_become(State::Running) && !dead.may_become(State::Stopping));
            assert!(dead.may_become(State::Starting) && dead.may_become(State::Building));
        }
        assert!(!State::Stopping.may_become(State::Running));
        assert!(State::Running.may_become(State::Running));
        assert!(!State::Running.may_become(State::Building));
    }

    /// Whatever happens, a session can be ended.
    #[test]
    fn every_state_leads_to_stopped() {
        for state in State::ALL {
            let next = state.followers().iter();
            assert!(
                state.may_become(State::Stopped)
                    || next.flat_map(|next| next.followers()).any(|state| *state == State::Stopped),
                "{state:?}"
            );
        }
    }
}
