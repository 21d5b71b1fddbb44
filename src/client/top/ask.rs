//! What `portico top` asks the API for, no more than what is shown needs.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portico_core::session::Timestamp;
use portico_core::usage::Hour;
use serde_json::Value;

use super::super::api::{Api, Call};
use super::super::failure::{Failure, Outcome, Problem};
use super::history::History;
use super::rows::{self, Rows};
use super::view::{Pane, Seen, View};

/// So many sessions are asked for their open connections, one after the other.
pub const OPEN_MAX: usize = 100;
/// What replicas have written down about open connections is not asked for again within this.
const OPEN_FRESH: Duration = Duration::from_secs(5);
/// Sums are of the running hour and at least one before. With more they cost the store more.
const HOURS_MAX: u32 = 3;

/// What the rows are limited to.
pub struct Only {
    pub workspace: Option<String>,
    pub user: Option<String>,
}

pub struct Asker {
    api: Api,
    only: Only,
    history: History,
    started: Instant,
    from: Option<Hour>,
    /// Of a session that is gone: nothing.
    open: HashMap<String, (Instant, [u64; 3])>,
    /// The token may not read sessions.
    is_open_refused: bool,
    seen: Seen,
}

impl Asker {
    pub fn new(api: Api, only: Only, over: Duration) -> Self {
        Self {
            api,
            only,
            history: History::new(over),
            started: Instant::now(),
            from: None,
            open: HashMap::new(),
            is_open_refused: false,
            seen: Seen { rates_are_coming: !over.is_zero(), ..Seen::default() },
        }
    }

    pub fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// Usage, which all panes but that of replicas are made of.
    pub async fn usage(&mut self) -> Outcome {
        let from = self.hour_before(SystemTime::now());
        if self.from != Some(from) {
            self.history.begin_anew();
            self.from = Some(from);
        }
        let from = UNIX_EPOCH + Duration::from_millis(from.begins_at().0);
        let from = humantime::format_rfc3339_seconds(from).to_string();
        let call = || {
            let call = Call::get("/v1/usage", &[]).query("by", "session").query("step", "total");
            let only = [("workspace", &self.only.workspace), ("user", &self.only.user)];
            let given = only.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
            given.fold(call.query("from", &from), |call, (name, value)| call.query(name, value))
        };
        let mut rows = Rows::new();
        let pages = self.api.pages(call, None, None, |page| {
            for item in page.items {
                let item: Value = serde_json::from_str(item.get()).map_err(Failure::ours)?;
                rows::add(&mut rows, &item);
            }
            Ok(())
        });
        pages.await?;
        self.history.add(self.started.elapsed(), rows);
        self.seen.rows = self.history.rows();
        self.seen.rates = self.history.rates();
        self.seen.from = from;
        Ok(())
    }

    /// It stays where it is for some hours: the difference of two answers is of the same sums.
    fn hour_before(&self, now: SystemTime) -> Hour {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let running = Hour::of(Timestamp(since.as_millis() as u64));
        match self.from {
            Some(from) if from <= running && running.0 - from.0 < HOURS_MAX => from,
            _ => Hour(running.0.saturating_sub(1)),
        }
    }

    /// What else the rows that are shown need: open connections, or the replicas.
    pub async fn details(&mut self, view: &View) -> Outcome {
        if view.pane == Pane::Replica {
            let answer = self.api.send(Call::get("/v1/replicas", &[])).await?.json()?;
            self.seen.replicas = answer["items"].as_array().cloned().unwrap_or_default();
        }
        if view.pane == Pane::Session && !self.is_open_refused {
            let sorted = self.seen.sorted(view);
            let shown = &sorted[view.range(sorted.len())];
            let sessions: Vec<_> =
                shown.iter().take(OPEN_MAX).map(|row| row.whose.session.clone()).collect();
            self.open(&sessions).await?;
        }
        Ok(())
    }

    async fn open(&mut self, sessions: &[String]) -> Outcome {
        self.open.retain(|_, (at, _)| at.elapsed() < OPEN_FRESH);
        for session in sessions {
            if self.open.contains_key(session) {
                continue;
            }
            let call = Call::new(hyper::Method::GET, "/v1/sessions", &[session, "activity"]);
            let open = match self.api.send(call).await {
                Ok(answer) => {
                    let activity = answer.json()?;
                    let number = |kind: &str| activity["open"][kind].as_u64().unwrap_or_default();
                    ["requests", "websockets", "upgrades"].map(number)
                }
                Err(Failure::Refused(Problem { status: 404 | 410, .. })) => [0; 3],
                Err(Failure::Refused(Problem { status: 403, .. })) => {
                    self.is_open_refused = true;
                    break;
                }
                Err(failure) => return Err(failure),
            };
            self.open.insert(session.clone(), (Instant::now(), open));
        }
        let open = self.open.iter().map(|(session, (_, open))| (session.clone(), *open));
        self.seen.open = open.collect();
        Ok(())
    }
}
