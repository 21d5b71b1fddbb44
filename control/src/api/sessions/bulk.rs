//! Many sessions in one request: each is created or deleted by itself, and each has its own answer,
//! so that one that is refused does not hold up the others.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use portico_core::label::SessionId;
use portico_core::limits;
use serde_json::{Value, json};

use super::super::Api;
use super::super::auth::By;
use super::super::fields::{Fields, Null};
use super::super::problem::Problem;
use super::super::request::{Wanted, json_body};
use super::super::wire::{self, Draft};
use super::{Answer, insert, remove};
use crate::store::Conflict;

/// `{"create": [session, …], "delete": [id, …]}`; what is to be deleted goes first.
pub async fn bulk(State(api): State<Arc<Api>>, by: By, request: Request) -> Answer {
    let body = json_body(request, limits::BULK_BODY_BYTES_MAX).await?;
    let Items { create, delete } = read(&body)?;
    // All at once: the store takes what waits into one commit.
    let deletions = delete.into_iter().map(|id| {
        let (api, by) = (api.clone(), by.clone());
        tokio::spawn(async move { answer(delete_one(&api, &by, &id).await) })
    });
    let deleted = all(deletions.collect()).await;
    let creations = create.into_iter().map(|draft| {
        let (api, by) = (api.clone(), by.clone());
        tokio::spawn(async move { answer(create_one(&api, &by, &draft).await) })
    });
    let created = all(creations.collect()).await;
    Ok(answered(created, deleted))
}

/// Not yet looked at.
pub struct Items {
    create: Vec<Value>,
    delete: Vec<Value>,
}

pub fn read(body: &[u8]) -> Result<Items, Problem> {
    let mut fields = Fields::from_json(body, Null::Absent)?;
    let create = fields.items("create", limits::BULK_ITEMS_MAX).unwrap_or_default();
    let delete = fields.items("delete", limits::BULK_ITEMS_MAX).unwrap_or_default();
    match fields.complete("is not a field of a bulk request") {
        true => Ok(Items { create, delete }),
        false => Err(fields.into_problem()),
    }
}

fn answered(created: Vec<Value>, deleted: Vec<Value>) -> Response {
    Json(json!({ "created": created, "deleted": deleted })).into_response()
}

async fn all(tasks: Vec<tokio::task::JoinHandle<Value>>) -> Vec<Value> {
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        answers.push(task.await.unwrap_or_else(|_| {
            let problem = super::internal("it failed in an unexpected way");
            answer(Err(problem))
        }));
    }
    answers
}

/// `{"status": 201, "session": …}`, `{"status": 204}` or `{"status": 4xx, "problem": …}`.
fn answer(outcome: Result<Value, Problem>) -> Value {
    outcome.unwrap_or_else(
        |problem| json!({ "status": problem.status().as_u16(), "problem": problem.json() }),
    )
}

async fn create_one(api: &Api, by: &By, draft: &Value) -> Result<Value, Problem> {
    let draft = Draft::parse(draft.to_string().as_bytes(), &api.settings)?;
    let inserted = insert::insert(api, by, &draft, None).await?;
    let session = wire::session(&inserted.record, &api.settings.domains);
    Ok(json!({ "status": 201, "session": session }))
}

async fn delete_one(api: &Api, by: &By, id: &Value) -> Result<Value, Problem> {
    let id = id.as_str().and_then(|text| SessionId::parse(text).ok()).ok_or(Conflict::Missing)?;
    remove(api, by, id, &Wanted::Any).await?;
    Ok(json!({ "status": 204 }))
}
