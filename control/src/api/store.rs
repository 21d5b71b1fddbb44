//! `POST /v1/store/accept`: an operator's word that a store which came in the place of the one that
//! was known is to be obeyed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Api;
use super::auth::By;
use super::problem::Problem;
use super::schema::answered;
use super::workspaces::refused;
use crate::feed::{Accepted, accepted_key};
use crate::store::{StoreError, Write};

pub async fn accept(State(api): State<Arc<Api>>, by: By) -> Result<Response, Problem> {
    by.require_unbounded()?;
    let identity = api.store.adopt().await?;
    let accepted = Accepted { v: 1, identity: identity.to_string() };
    let body = serde_json::to_vec(&accepted).map_err(|_| StoreError::Ended)?;
    let write = Write::PutDocument { key: accepted_key(), body, expected: None };
    let detail = format!("the store {identity} is obeyed");
    api.store.write(write, by.author().saying(detail)).await?.map_err(refused)?;
    Ok(Json(json!({ "identity": &*identity })).into_response())
}

pub fn schemas() -> Vec<(&'static str, Value)> {
    let properties = json!({
        "identity": {
            "type": "string",
            "description": "Drawn when the store was made.",
            "examples": ["5f0c2a863e8370e75f0c2a863e8370e7"],
        },
    });
    vec![("AcceptedStore", answered("The store that is obeyed.", properties, &[]))]
}
