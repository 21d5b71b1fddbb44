//! What goes on until somebody ends it: the end by Ctrl-C, and the pause before it is tried again.
//! A pause is longer each time, and not at the same moment as that of everybody else whose API went
//! away.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::failure::{Failure, Outcome};
use super::output::note;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// Ctrl-C and SIGTERM are the ordinary end of what has no other.
pub async fn until_asked(work: impl Future<Output = Outcome>) -> Outcome {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::ours)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::ours)?;
    tokio::select! {
        outcome = work => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

pub struct Pauses {
    next: Duration,
}

impl Pauses {
    pub fn new() -> Self {
        Self { next: FIRST }
    }

    /// It went well; the next failure is a first one.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }

    /// After a failure that may be over next time; any other is returned.
    pub async fn after(&mut self, failure: Failure, at_least: Option<Duration>) -> Outcome {
        if !failure.passes() {
            return Err(failure);
        }
        let text = failure.text().unwrap_or_default();
        note(&format!("{text}\nportico: it is tried again"));
        self.pass(at_least.max(failure.retry_after())).await;
        Ok(())
    }

    /// At least `at_least`, which the other side asked for.
    pub async fn pass(&mut self, at_least: Option<Duration>) {
        // Without random numbers it waits for the whole pause.
        let pause = jittered(self.next, getrandom::u32().unwrap_or(u32::MAX));
        self.next = (self.next * 2).min(LONGEST);
        tokio::time::sleep(pause.max(at_least.unwrap_or_default())).await;
    }
}

/// Half of it to all of it.
fn jittered(pause: Duration, random: u32) -> Duration {
    pause.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_between_half_and_all_of_it() {
        assert_eq!(jittered(LONGEST, 0), LONGEST / 2);
        assert_eq!(jittered(LONGEST, u32::MAX), LONGEST);
    }
}
