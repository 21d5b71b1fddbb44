//! Every operation of the API, in the order in which its document tells them.

mod sessions;
mod access;
mod usage;
mod operators;
mod documents;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::operation::Operation;
use super::{events, problem, quotas, replicas, store, templates, tokens, wire, workspaces};

pub fn all() -> Vec<Operation> {
    let parts = [sessions::all(), access::all(), usage::all(), operators::all(), documents::all()];
    parts.into_iter().flatten().collect()
}

/// The schemas that operations name, each beside the code that reads or writes it.
pub fn schemas() -> Vec<(&'static str, Value)> {
    let schemas = [
        wire::schema::all(),
        wire::schema::bulk(),
        super::tickets::schemas(),
        super::connections::schemas(),
        super::activity::schemas(),
        super::usage::schema::all(),
        super::access::schema::all(),
        workspaces::schema::all(),
        templates::schema::all(),
        tokens::schema::all(),
        replicas::schemas(),
        quotas::schemas(),
        store::schemas(),
        events::schema::all(),
        problem::schemas(),
    ];
    schemas.into_iter().flatten().collect()
}
