//! `GET /v1/usage`: what sessions, workspaces and users have used, summed up from the hours in the
//! store. Here is what is asked and how it is answered; `sums` puts the rows together.

pub mod schema;
mod sums;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use portico_core::limits;
use portico_core::session::{Name, Timestamp, UnknownWord};
use portico_core::usage::{Counted, Hour, Rtt};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Api;
use super::auth::By;
use super::problem::{Kind, Mistake, Problem};
use super::request::{page_limit, query};
use super::wire::rfc3339;
use crate::clock;
use crate::store::UsageQuery;
use sums::{Dimension, Group, Step, Sums};

/// What is asked for, its times widened to whole hours.
pub struct Asked {
    query: UsageQuery,
    by: Dimension,
    step: Step,
    cursor: Option<Group>,
    items_max: usize,
    format: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
}

pub async fn read(
    State(api): State<Arc<Api>>,
    by: By,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let accepts_csv = accept.is_some_and(|accept| accept.contains(CSV));
    let asked = asked(&uri, clock::now(), accepts_csv)?;
    if let Some(workspace) = &asked.query.workspace {
        by.require_workspace(workspace)?;
    }
    let sums = Sums { by: asked.by, step: asked.step, query: &asked.query };
    let is_csv = asked.format == Some(Format::Csv);
    let items_max = if is_csv { limits::USAGE_GROUPS_MAX } else { asked.items_max };
    let _turn = turn(&api.usage_reads, limits::USAGE_READ_WAIT).await?;
    let reaches = |workspace: &Name| by.caller.reaches(workspace);
    let page = sums.page(&*api.store, reaches, asked.cursor.as_ref(), items_max).await?;
    let Some(page) = page.filter(|page| !is_csv || page.next.is_none()) else {
        return Err(too_much());
    };
    if is_csv {
        let media_type = format!("{CSV}; charset=utf-8; header=present");
        return Ok(([(header::CONTENT_TYPE, media_type)], csv(&page.items)).into_response());
    }
    let body = json!({
        "from": rfc3339(asked.query.from.begins_at()),
        "to": rfc3339(asked.query.until.begins_at()),
        "by": asked.by.as_str(),
        "step": asked.step.as_str(),
        "items": page.items.iter().map(item).collect::<Vec<_>>(),
        "next_cursor": page.next.map(|group| group.cursor()),
    });
    Ok(Json(body).into_response())
}

/// Who waits keeps a connection and a task, so nobody waits for long.
async fn turn(reads: &Semaphore, wait: Duration) -> Result<SemaphorePermit<'_>, Problem> {
    match tokio::time::timeout(wait, reads.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        // It is never closed.
        Ok(Err(_)) | Err(_) => {
            let detail = "other questions about usage are being answered: try again";
            Err(Problem::new(Kind::Busy, detail))
        }
    }
}

const CSV: &str = "text/csv";

fn too_much() -> Problem {
    let detail = format!(
        "would have more than {} rows: ask for less time, or for one workspace, user or session",
        limits::USAGE_GROUPS_MAX
    );
    let mistakes = vec![Mistake::new("from", detail.clone())];
    Problem::with_mistakes(Kind::InvalidValues, format!("the answer {detail}"), mistakes)
}

/// The times that are not given are the last day.
pub fn asked(uri: &Uri, now: Timestamp, accepts_csv: bool) -> Result<Asked, Problem> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let mut fields = query(uri)?;
    let format = fields.checked("format", |word| match word {
        "json" => Ok(Format::Json),
        "csv" => Ok(Format::Csv),
        _ => Err(UnknownWord { expected: "json, csv" }),
    });
    let format = format.or(accepts_csv.then_some(Format::Csv));
    if format == Some(Format::Csv) {
        for field in ["limit", "cursor"] {
            fields.refuse(field, "is of pages, and CSV is whole");
        }
    }
    let to = fields.checked("to", time).unwrap_or(now);
    let from = fields.checked("from", time);
    let from = from.unwrap_or(Timestamp(to.0.saturating_sub(DAY.as_millis() as u64)));
    if from >= to {
        fields.invalid::<()>("from", "must be before `to`");
    }
    let mut query = UsageQuery::hours(Hour::of(from), Hour::of(Timestamp(to.0.saturating_sub(1))));
    query.until.0 = query.until.0.saturating_add(1);
    query.workspace = fields.parsed("workspace");
    query.user = fields.parsed("user");
    query.session = fields.checked("session", portico_core::label::SessionId::parse);
    let by = fields.parsed("by").unwrap_or(Dimension::Workspace);
    let step = fields.parsed("step").unwrap_or(Step::Total);
    let cursor = fields.checked("cursor", |text| {
        Group::of_cursor(text).ok_or("is not a next_cursor of a page before")
    });
    let items_max = page_limit(&mut fields);
    match fields.complete("is not a parameter of usage") {
        true => Ok(Asked { query, by, step, cursor, items_max, format }),
        false => Err(fields.into_problem()),
    }
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    const WRONG: &str = "must be a time of RFC 3339 in UTC, such as 2026-02-01T09:30:00Z";
    let time = humantime::parse_rfc3339(text).map_err(|_| WRONG)?;
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| WRONG)?;
    Ok(Timestamp(since.as_millis() as u64))
}

/// The names of a row's numbers and the numbers, in the order in which CSV has them.
fn numbers(counted: &Counted) -> [(&'static str, u64); Counted::NUMBERS] {
    let numbers = counted.numbers();
    std::array::from_fn(|index| (schema::NUMBERS[index].0, numbers[index]))
}

fn rtt(counted: &Counted) -> [(&'static str, Option<u64>); 5] {
    let rtt = &counted.rtt;
    let minimum = Some(u64::from(rtt.minimum_us)).filter(|us| *us > 0);
    [
        ("minimum_us", minimum),
        ("p50_us", rtt.quantile_us(0.5)),
        ("p90_us", rtt.quantile_us(0.9)),
        ("p99_us", rtt.quantile_us(0.99)),
        ("samples", Some(rtt.samples())),
    ]
}

/// Up to the last that has a sample: few have one of a second.
fn buckets(rtt: &Rtt) -> &[u64] {
    let used = rtt.buckets.iter().rposition(|bucket| *bucket > 0).map_or(0, |last| last + 1);
    &rtt.buckets[..used]
}

fn item((group, counted): &(Group, Counted)) -> Value {
    let mut item = json!({
        "at": rfc3339(group.at.begins_at()),
        "workspace": group.workspace.as_ref().map(Name::as_str),
        "user": group.user.as_ref().map(Name::as_str),
        "session": group.session.as_ref().map(|session| session.as_str()),
        "rtt": BTreeMap::from(rtt(counted)),
    });
    item["rtt"]["buckets"] = json!(buckets(&counted.rtt));
    for (name, number) in numbers(counted) {
        item[name] = json!(number);
    }
    item
}

/// What a spreadsheet would take for a formula is led by an apostrophe, by which it is text: names
/// are chosen by users.
fn cell(name: &str) -> String {
    match name.starts_with(['=', '+', '-', '@']) {
        true => format!("'{name}"),
        false => name.to_owned(),
    }
}

/// RFC 4180. Nothing is quoted: names have no commas, quotes or line ends.
fn csv(items: &[(Group, Counted)]) -> String {
    let mut text = String::from("at,workspace,user,session");
    let nothing = Counted::default();
    // Writing to a String cannot fail.
    for (name, _) in numbers(&nothing) {
        let _ = write!(text, ",{name}");
    }
    for (name, _) in rtt(&nothing) {
        let _ = write!(text, ",rtt_{name}");
    }
    for (group, counted) in items {
        let name = |name: &Option<Name>| {
            name.as_ref().map_or_else(String::new, |name| cell(name.as_str()))
        };
        let (workspace, user) = (name(&group.workspace), name(&group.user));
        let session = group.session.as_ref().map_or_else(String::new, |id| cell(id.as_str()));
        let _ = write!(text, "\r\n{},{workspace},{user},{session}", rfc3339(group.at.begins_at()));
        for (_, number) in numbers(counted) {
            let _ = write!(text, ",{number}");
        }
        for (_, number) in rtt(counted) {
            let _ = match number {
                Some(number) => write!(text, ",{number}"),
                None => write!(text, ","),
            };
        }
    }
    text + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_a_turn_for_long() {
        let reads = Semaphore::new(1);
        let soon = Duration::from_millis(1);
        let first = turn(&reads, soon).await.unwrap();
        let refused = turn(&reads, soon).await.unwrap_err().into_response();
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], "5");
        drop(first);
        assert!(turn(&reads, soon).await.is_ok());
    }

    #[test]
    fn no_name_is_a_formula() {
        let line = |user: &str| {
            let (at, workspace) = (Hour(490_000), "-1+1".parse().ok());
            let group = Group { at, workspace, user: user.parse().ok(), session: None };
            let text = csv(&[(group, Counted::default())]);
            text.lines().nth(1).unwrap().split(',').skip(1).take(2).collect::<Vec<_>>().join(",")
        };
        assert_eq!(line("=HYPERLINK(1)"), "'-1+1,'=HYPERLINK(1)");
        assert_eq!(line("@ada"), "'-1+1,'@ada");
        assert_eq!(line("+1"), "'-1+1,'+1");
        assert_eq!(line("ada@example.com"), "'-1+1,ada@example.com");
    }
}
