//! Something of the platform that is fetched once for all and kept. One fetch at a time: whoever
//! needs its result waits for it, and who is content with what is there waits for nobody. While
//! fetches fail, what is there goes on being used, and the platform is asked only after a pause.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use portico_core::limits;
use portico_core::session::Timestamp;
use tokio::sync::Mutex;

use super::OidcError;

pub struct Kept<T> {
    value: ArcSwapOption<Fetched<T>>,
    /// Held while fetching. None: the last fetch brought something.
    failure: Mutex<Option<Failure>>,
}

struct Fetched<T> {
    value: Arc<T>,
    at: Timestamp,
}

struct Failure {
    error: OidcError,
    at: Timestamp,
    pause: Duration,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { value: ArcSwapOption::empty(), failure: Mutex::new(None) }
    }
}

impl<T> Kept<T> {
    /// What is kept if it is no older than `age_max`, else what `fetch` brings, else what is kept.
    pub async fn value<F>(
        &self,
        now: Timestamp,
        age_max: Duration,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<T>, OidcError>
    where
        F: Future<Output = Result<T, OidcError>>,
    {
        if let Some(fresh) = self.fresh(now, age_max) {
            return Ok(fresh);
        }
        let mut failure = self.failure.lock().await;
        // Somebody else may have fetched it meanwhile.
        if let Some(fresh) = self.fresh(now, age_max) {
            return Ok(fresh);
        }
        let error = match &*failure {
            Some(last) if apart(now, last.at) < last.pause => last.error.clone(),
            Some(_) | None => match fetch().await {
                Ok(value) => {
                    let value = Arc::new(value);
                    self.value.store(Some(Arc::new(Fetched { value: value.clone(), at: now })));
                    *failure = None;
                    return Ok(value);
                }
                Err(error) => {
                    *failure = Some(Failure::after(failure.take(), error.clone(), now));
                    error
                }
            },
        };
        self.value.load().as_ref().map(|kept| kept.value.clone()).ok_or(error)
    }

    /// The same, but what is older than `age_max` is no answer: for who wants to know if it can
    /// be fetched at all.
    pub async fn newest<F>(
        &self,
        now: Timestamp,
        age_max: Duration,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<T>, OidcError>
    where
        F: Future<Output = Result<T, OidcError>>,
    {
        let value = self.value(now, age_max, fetch).await?;
        match (&*self.failure.lock().await, self.fresh(now, age_max)) {
            (Some(last), None) => Err(last.error.clone()),
            (Some(_) | None, _) => Ok(value),
        }
    }

    fn fresh(&self, now: Timestamp, age_max: Duration) -> Option<Arc<T>> {
        let kept = self.value.load();
        kept.as_ref().filter(|kept| apart(now, kept.at) <= age_max).map(|kept| kept.value.clone())
    }
}

impl Failure {
    fn after(last: Option<Self>, error: OidcError, at: Timestamp) -> Self {
        let error_and_causes = crate::with_causes(&error);
        tracing::warn!(error = %error_and_causes, "the platform's sign-in cannot be used");
        let pause = last.map_or(limits::OIDC_RETRY_MIN, |last| last.pause * 2);
        Self { error, at, pause: pause.min(limits::OIDC_RETRY_MAX) }
    }
}

/// Either may be the earlier one: callers took the time before they waited for each other, and a
/// clock may have been set.
fn apart(one: Timestamp, other: Timestamp) -> Duration {
    Duration::from_millis(one.0.abs_diff(other.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::Step;

    const TTL: Duration = Duration::from_secs(3_600);

    async fn ask(kept: &Kept<u32>, at_ms: u64, result: Option<u32>) -> (Option<u32>, bool) {
        let mut fetched = false;
        let value = kept.value(Timestamp(at_ms), TTL, || {
            fetched = true;
            let failed = OidcError::Status { step: Step::Keys, status: 500 };
            std::future::ready(result.ok_or(failed))
        });
        let value = value.await.ok().map(|value| *value);
        (value, fetched)
    }

    #[tokio::test]
    async fn what_is_fetched_is_kept_and_outlives_a_platform_that_fails() {
        let kept = Kept::default();
        assert_eq!(ask(&kept, 0, Some(1)).await, (Some(1), true));
        assert_eq!(ask(&kept, 3_600_000, Some(2)).await, (Some(1), false));
        assert_eq!(ask(&kept, 3_600_001, None).await, (Some(1), true));
        assert_eq!(ask(&kept, 3_600_500, Some(2)).await, (Some(1), false), "it rests");
        assert_eq!(ask(&kept, 3_601_001, Some(2)).await, (Some(2), true));
    }

    #[tokio::test]
    async fn who_is_content_with_what_is_there_waits_for_no_fetch() {
        let kept = Kept::default();
        ask(&kept, 0, Some(1)).await;
        let newer = kept.value(Timestamp(11_000), Duration::from_secs(10), std::future::pending);
        let asked = async { (ask(&kept, 11_000, None).await, ask(&kept, 12_000, None).await) };
        tokio::select! {
            biased;
            _ = newer => panic!("the fetch ends never"),
            both = asked => assert_eq!(both, ((Some(1), false), (Some(1), false))),
        }
    }

    #[tokio::test]
    async fn pauses_double_up_to_a_bound_and_a_success_ends_them() {
        let kept = Kept::default();
        let mut now = 0;
        for pause in [1, 2, 4, 5, 5] {
            assert_eq!(ask(&kept, now, None).await, (None, true));
            assert_eq!(ask(&kept, now + pause * 1_000 - 1, Some(1)).await, (None, false));
            now += pause * 1_000;
        }
        assert_eq!(ask(&kept, now, Some(1)).await, (Some(1), true));
    }
}
