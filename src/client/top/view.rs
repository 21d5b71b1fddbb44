//! What is looked at, in which order, and how it reads: from counts to the cells of a table. Keys
//! change it; it asks nothing and draws nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use portico_core::usage::Counted;
use serde_json::Value;

use super::super::table::cell;
use super::super::usage::{milliseconds, part, size};
use super::columns;
use super::history::Rates;
use super::layout::Column;
use super::rows::{Dimension, Rows, Whose};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pane {
    Session,
    Workspace,
    User,
    Replica,
}

/// In the order of the keys that go from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    Name,
    Requests,
    In,
    Out,
    /// In and out together
    Bytes,
    Rtt,
    Retransmits,
}

#[derive(Debug, Clone)]
pub struct View {
    pub pane: Pane,
    pub sort: Sort,
    pub reversed: bool,
    /// How many rows are above those that are shown.
    pub skipped: usize,
    /// How many are shown.
    pub rows_max: usize,
}

/// What the API last said.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub rows: Arc<Rows>,
    pub rates: Option<Arc<Rates>>,
    /// Where they are not told yet, they will be.
    pub rates_are_coming: bool,
    /// From when the rows count, as the API writes it.
    pub from: String,
    /// Open connections: requests, WebSockets and others, of the sessions that were asked for.
    pub open: HashMap<String, [u64; 3]>,
    pub replicas: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub whose: Whose,
    /// How many sessions it is of.
    pub sessions: usize,
    pub total: Counted,
    /// Within the time of the rates; none where they are not known yet.
    pub came: Option<Counted>,
}

impl Pane {
    pub fn dimension(self) -> Option<Dimension> {
        match self {
            Self::Session => Some(Dimension::Session),
            Self::Workspace => Some(Dimension::Workspace),
            Self::User => Some(Dimension::User),
            Self::Replica => None,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Workspace => "workspace",
            Self::User => "user",
            Self::Replica => "replica",
        }
    }

    pub fn next(self) -> Self {
        after(self)
    }
}

impl Sort {
    pub fn next(self) -> Self {
        after(self)
    }

    pub fn previous(self) -> Self {
        let all = Self::value_variants();
        let before = all.iter().zip(all.iter().cycle().skip(1)).find(|(_, next)| **next == self);
        before.map_or(self, |(before, _)| *before)
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Requests => "requests",
            Self::In => "bytes in",
            Self::Out => "bytes out",
            Self::Bytes => "bytes in and out",
            Self::Rtt => "RTT",
            Self::Retransmits => "retransmits",
        }
    }

    fn number(self, counted: &Counted) -> u64 {
        match self {
            Self::Name => 0,
            Self::Requests => counted.requests,
            Self::In => counted.bytes_in,
            Self::Out => counted.bytes_out,
            Self::Bytes => counted.bytes_in.saturating_add(counted.bytes_out),
            Self::Rtt => counted.rtt.quantile_us(0.5).unwrap_or_default(),
            Self::Retransmits => counted.retransmits,
        }
    }
}

/// The one that is declared after it, and the first after the last.
fn after<T: ValueEnum + PartialEq + Copy>(one: T) -> T {
    let mut all = T::value_variants().iter().cycle().skip_while(|each| **each != one);
    all.nth(1).copied().unwrap_or(one)
}

impl Seen {
    pub fn over(&self) -> Option<Duration> {
        self.rates.as_ref().map(|rates| rates.over)
    }

    /// All rows of a pane, in its order. Of replicas there are none here.
    pub fn sorted(&self, view: &View) -> Vec<Row> {
        let Some(dimension) = view.pane.dimension() else { return Vec::new() };
        let mut groups = BTreeMap::<Whose, Row>::new();
        for (whose, counted) in &*self.rows {
            let whose = dimension.of(whose);
            let row = groups.entry(whose).or_insert_with_key(|whose| Row {
                whose: whose.clone(),
                sessions: 0,
                total: Counted::default(),
                came: self.rates.is_some().then(Counted::default),
            });
            row.sessions += 1;
            row.total += *counted;
        }
        for (whose, counted) in self.rates.iter().flat_map(|rates| &rates.came) {
            if let Some(row) = groups.get_mut(&dimension.of(whose)) {
                *row.came.get_or_insert_default() += *counted;
            }
        }
        let mut rows: Vec<_> = groups.into_values().collect();
        let number = |row: &Row, sort: Sort| sort.number(row.came.as_ref().unwrap_or(&row.total));
        // Stable: those that are alike stay in the order of their names.
        rows.sort_by_cached_key(|row| {
            let total = Sort::Bytes.number(&row.total);
            let bytes = if view.sort == Sort::Name { 0 } else { total };
            std::cmp::Reverse((number(row, view.sort), bytes))
        });
        if view.reversed {
            rows.reverse();
        }
        rows
    }

    /// How many rows a pane has.
    pub fn length(&self, sorted: &[Row], view: &View) -> usize {
        if view.pane == Pane::Replica { self.replicas.len() } else { sorted.len() }
    }

    pub fn table(&self, view: &View, sorted: &[Row], now: SystemTime) -> Table {
        let columns = columns::of(view.pane);
        let shown = |length: usize| view.range(length);
        let rows = if view.pane == Pane::Replica {
            let replicas = &self.replicas[shown(self.replicas.len())];
            replicas.iter().map(|replica| columns::replica(replica, now)).collect()
        } else {
            sorted[shown(sorted.len())].iter().map(|row| self.cells(view.pane, row)).collect()
        };
        (columns, rows)
    }

    fn cells(&self, pane: Pane, Row { whose, sessions, total, came }: &Row) -> Vec<String> {
        let mut cells = match pane {
            Pane::Session => {
                let open = self.open.get(&whose.session).map(|open| open.iter().sum::<u64>());
                let names = [&whose.session, &whose.workspace, &whose.user].map(String::clone);
                let mut cells = names.to_vec();
                cells.push(cell(&Value::from(open)));
                cells
            }
            Pane::Workspace => vec![whose.workspace.clone(), sessions.to_string()],
            Pane::User | Pane::Replica => vec![whose.user.clone(), sessions.to_string()],
        };
        let per_second = |number: fn(&Counted) -> u64| {
            let (came, over) = (came.as_ref()?, self.over()?.as_secs_f64());
            Some(number(came) as f64 / over.max(f64::MIN_POSITIVE))
        };
        let dash = || "-".to_owned();
        let decimal = |rate: Option<f64>| rate.map_or_else(dash, |rate| format!("{rate:.1}"));
        let bytes = |rate: Option<f64>| rate.map_or_else(dash, |rate| size(rate as u64));
        let latest = came.as_ref().unwrap_or(total);
        let rtt = |part| milliseconds(&Value::from(latest.rtt.quantile_us(part)));
        cells.extend([
            decimal(per_second(|came| came.requests)),
            bytes(per_second(|came| came.bytes_in)),
            bytes(per_second(|came| came.bytes_out)),
            rtt(0.5),
            rtt(0.9),
            decimal(per_second(|came| came.retransmits)),
            part(latest.retransmits, latest.segments_out),
            size(total.bytes_in),
            size(total.bytes_out),
        ]);
        cells
    }
}

/// Its columns and the cells of its rows.
pub type Table = (&'static [Column], Vec<Vec<String>>);

impl View {
    /// Which rows are shown of so many; the last ones stay in sight.
    pub fn range(&self, length: usize) -> std::ops::Range<usize> {
        let from = self.skipped.min(length.saturating_sub(self.rows_max));
        from..length.min(from.saturating_add(self.rows_max))
    }
}

#[cfg(test)]
mod tests;
