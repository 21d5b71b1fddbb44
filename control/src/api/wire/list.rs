//! Lists of sessions: what is asked for, and a page of them.

use portico_core::domain::Domains;
use portico_core::label::SessionId;
use portico_core::session::Labels;
use serde::Serialize;

use super::super::fields::Fields;
use super::super::problem::Problem;
use super::super::request::page_limit;
use super::{SessionJson, session};
use crate::store::{Page, Query};

#[derive(Serialize)]
pub struct PageJson {
    items: Vec<SessionJson>,
    next_cursor: Option<String>,
}

/// The query of `GET /v1/sessions`.
pub fn query(mut fields: Fields) -> Result<Query, Problem> {
    let query = Query {
        workspace: fields.parsed("workspace"),
        state: fields.parsed("state"),
        after: fields.checked("cursor", |text| {
            SessionId::parse(text).map_err(|_| "is not a next_cursor of a page before")
        }),
        owner: fields.parsed("owner"),
        tool: fields.parsed("tool"),
        labels: fields.checked("labels", sought_labels).unwrap_or_default(),
        within: None,
        items_max: page_limit(&mut fields),
    };
    if fields.complete("is not a parameter of this list") {
        Ok(query)
    } else {
        Err(fields.into_problem())
    }
}

/// `team=imaging,stage=test`: all of them.
fn sought_labels(text: &str) -> Result<Labels, String> {
    let pairs: Option<Vec<_>> = text.split(',').map(|pair| pair.split_once('=')).collect();
    let pairs = pairs.ok_or("must be name=value, several divided by commas")?;
    Labels::of_pairs(pairs).map_err(|error| error.to_string())
}

pub fn page(page: &Page, domains: &Domains) -> PageJson {
    PageJson {
        items: page.items.iter().map(|record| session(record, domains)).collect(),
        next_cursor: page.next.as_ref().map(SessionId::to_string),
    }
}
