//! The live view: waits for keys, for the window's size, for time and for the API at once, and
//! draws what there is after each.

use std::future::pending;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep_until;

use super::super::failure::{Failure, Outcome};
use super::ask::Asker;
use super::keys::{self, Effect, Key};
use super::layout::{self, cut, one_line};
use super::rested;
use super::screen::{Line, Screen, Size};
use super::view::{Pane, Row, Seen, View};

/// The header, the titles and the keys.
const LINES_AROUND: usize = 3;

/// A question under way; it brings back who asked.
type Asking = Pin<Box<dyn Future<Output = (Asker, Outcome)>>>;

struct Live {
    seen: Seen,
    view: View,
    limit: Option<usize>,
    /// Why the last refresh has brought nothing.
    failed: Option<String>,
    /// The rows in order, put so once for each answer and each key.
    sorted: Vec<Row>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// With usage, which is only asked for when it is time.
    All,
    Details,
}

pub async fn run(
    mut asker: Asker,
    view: View,
    limit: Option<usize>,
    interval: Duration,
) -> Outcome {
    // What is wrong from the start ends it, as with any other command.
    asker.usage().await?;
    let mut screen = Screen::enter()?;
    let mut live = Live { seen: asker.seen(), view, limit, failed: None, sorted: Vec::new() };
    live.resize(screen.size());
    live.sort();
    let mut resized = signal(SignalKind::window_change()).map_err(Failure::ours)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Failure::ours)?;
    let mut begun = Instant::now();
    let mut due = begun + interval;
    let (mut idle, mut is_stale) = (None, false);
    let mut asking = Some(ask(asker, live.view.clone(), Asked::Details));
    loop {
        let is_due = Instant::now() >= due;
        if let Some(asker) = idle.take_if(|_| is_due || is_stale) {
            let asked = if is_due { Asked::All } else { Asked::Details };
            begun = Instant::now();
            due = if is_due { begun + interval } else { due };
            is_stale = false;
            asking = Some(ask(asker, live.view.clone(), asked));
        }
        let size = screen.size();
        live.resize(size);
        screen.draw(&live.lines(size, SystemTime::now()))?;
        tokio::select! {
            keys = screen.keys() => for key in keys? {
                match live.press(key) {
                    Effect::Nothing => {}
                    Effect::Look => is_stale = true,
                    Effect::Refresh => due = Instant::now(),
                    Effect::Suspend => screen.suspend()?,
                    Effect::Quit => return Ok(()),
                }
            },
            (asker, outcome) = answered(&mut asking) => {
                asking = None;
                live.take(asker.seen(), outcome);
                due = due.max(rested(begun));
                idle = Some(asker);
            }
            () = sleep_until(due.into()), if idle.is_some() => {}
            _ = resized.recv() => {}
            _ = hangup.recv() => return Ok(()),
        }
    }
}

fn ask(mut asker: Asker, view: View, asked: Asked) -> Asking {
    Box::pin(async move {
        let outcome = match asked {
            Asked::All => asker.usage().await,
            Asked::Details => Ok(()),
        };
        let outcome = match outcome {
            Ok(()) => asker.details(&view).await,
            failed => failed,
        };
        (asker, outcome)
    })
}

async fn answered(asking: &mut Option<Asking>) -> (Asker, Outcome) {
    match asking {
        Some(asking) => asking.await,
        None => pending().await,
    }
}

impl Live {
    fn resize(&mut self, size: Size) {
        let rows_max = size.height.saturating_sub(LINES_AROUND);
        self.view.rows_max = rows_max.min(self.limit.unwrap_or(usize::MAX));
    }

    fn sort(&mut self) {
        self.sorted = self.seen.sorted(&self.view);
    }

    fn press(&mut self, key: Key) -> Effect {
        let effect = self.view.press(key, self.seen.length(&self.sorted, &self.view));
        if effect == Effect::Look {
            self.sort();
        }
        effect
    }

    fn take(&mut self, seen: Seen, outcome: Outcome) {
        self.seen = seen;
        self.failed = outcome.err().map(|failure| failure.text().unwrap_or_default());
        self.sort();
    }

    /// No more than the window has.
    fn lines(&self, size: Size, now: SystemTime) -> Vec<Line> {
        let line = |text: &str, inverse| Line { text: cut(text, size.width), inverse };
        let (columns, rows) = self.seen.table(&self.view, &self.sorted, now);
        let mut lines = vec![line(&self.header(), false)];
        let table = layout::lines(columns, &rows, size.width).into_iter().enumerate();
        lines.extend(table.map(|(index, text)| line(&text, index == 0)));
        // The keys stay at the bottom.
        lines.resize_with(size.height.saturating_sub(1).max(1), || line("", false));
        lines.push(line(keys::HINT, false));
        lines.truncate(size.height);
        lines
    }

    /// What is looked at, or why it is old.
    fn header(&self) -> String {
        if let Some(failed) = &self.failed {
            return format!("portico top: {}", one_line(failed));
        }
        let length = self.seen.length(&self.sorted, &self.view);
        let range = self.view.range(length);
        let pane = self.view.pane.word();
        let shown = format!("{pane}s {}-{} of {length}", range.start + 1, range.end);
        let shown = if range.is_empty() { format!("no {pane}s") } else { shown };
        if self.view.pane == Pane::Replica {
            return format!("portico top: {shown}");
        }
        let order = self.view.sort.words();
        let order =
            if self.view.reversed { format!("{order}, reversed") } else { order.to_owned() };
        let rates = match self.seen.over() {
            Some(over) => format!("rates over {:.1}s", over.as_secs_f64()),
            None if self.seen.rates_are_coming => "rates after two changes of the sums".to_owned(),
            None => "no rates".to_owned(),
        };
        let from = self.seen.from.replace(":00:00Z", ":00Z");
        format!("portico top: {shown}, by {order}; {rates}; sums since {from}")
    }
}

#[cfg(test)]
mod tests;
