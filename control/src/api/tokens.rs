//! The handlers of `/v1/tokens`. A secret is in the one answer that makes it and nowhere else.

pub mod schema;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portico_core::limits;
use portico_core::record::{DocumentKey, Kind as DocumentKind};
use portico_core::session::{Name, Timestamp};
use serde_json::{Value, json};

use super::Api;
use super::auth::By;
use super::fields::{Fields, Null};
use super::problem::{Kind, Problem};
use super::request::{TextPath, in_path, json_body, name};
use super::wire::rfc3339;
use super::workspaces::refused;
use crate::clock;
use crate::store::{Author, Expected, StoreError, Write};
use crate::token::{OWN_NAME, Scope, Scopes, StoredToken, Token};

type Answer = Result<Response, Problem>;

pub async fn list(State(api): State<Arc<Api>>, by: By) -> Answer {
    by.require_unbounded()?;
    let documents = api.store.documents(DocumentKind::Token).await?;
    let tokens: Result<Vec<_>, _> =
        documents.iter().map(|document| StoredToken::decode(&document.body)).collect();
    let items: Vec<_> = tokens.map_err(StoreError::from)?.iter().map(shown).collect();
    Ok(Json(json!({ "items": items })).into_response())
}

pub async fn create(State(api): State<Arc<Api>>, by: By, request: Request) -> Answer {
    by.require_unbounded()?;
    let body = json_body(request, limits::API_BODY_BYTES_MAX).await?;
    let secret = generate()?;
    let token = read(&body, &secret)?;
    let count = api.store.documents(DocumentKind::Token).await?.len();
    if count >= limits::TOKENS_MAX {
        let detail = format!("there are {count} tokens, as many as there may be: revoke some");
        return Err(Problem::new(Kind::Exists, detail));
    }
    let key = key(&token.name);
    let write = Write::PutDocument { key, body: token.encode(), expected: Some(Expected::Absent) };
    let detail = format!("scopes {:?}", token.scopes);
    api.store.write(write, by.author().saying(detail)).await?.map_err(refused)?;
    let location = HeaderValue::try_from(format!("/v1/tokens/{}", in_path(token.name.as_str())));
    let location = location.map_err(|_| Problem::new(Kind::Internal, "a token's name"))?;
    let body = Json(with_secret(&token, &secret));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response())
}

pub async fn fetch(State(api): State<Arc<Api>>, by: By, path: TextPath) -> Answer {
    by.require_unbounded()?;
    let (token, _) = current(&api, &name(path)?).await?;
    Ok(Json(shown(&token)).into_response())
}

/// A new secret for the same token; the old one is out of force at once.
pub async fn rotate(State(api): State<Arc<Api>>, by: By, path: TextPath) -> Answer {
    by.require_unbounded()?;
    let (mut token, expected) = current(&api, &name(path)?).await?;
    let secret = generate()?;
    token.rotate(&secret, clock::now());
    let (key, body) = (key(&token.name), token.encode());
    let write = Write::PutDocument { key, body, expected: Some(expected) };
    api.store.write(write, by.author().saying("rotated")).await?.map_err(refused)?;
    Ok(Json(with_secret(&token, &secret)).into_response())
}

pub async fn revoke(State(api): State<Arc<Api>>, by: By, path: TextPath) -> Answer {
    by.require_unbounded()?;
    let write = Write::DeleteDocument { key: key(&name(path)?), expected: None };
    api.store.write(write, by.author()).await?.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn current(api: &Api, name: &Name) -> Result<(StoredToken, Expected), Problem> {
    let document = api.store.document(key(name)).await?;
    let document = document.ok_or_else(|| Problem::new(Kind::Unknown, "no token has this name"))?;
    let token = StoredToken::decode(&document.body).map_err(StoreError::from)?;
    Ok((token, Expected::Version(document.version)))
}

pub(super) fn read(body: &[u8], secret: &Token) -> Result<StoredToken, Problem> {
    let now = clock::now();
    let mut fields = Fields::from_json(body, Null::Absent)?;
    for field in ["name", "scopes"] {
        fields.require(field);
    }
    let name = fields.checked("name", |text| match text.parse::<Name>() {
        Ok(_) if text.contains('/') => Err("has a slash".to_owned()),
        // The audit log and idempotency keys tell callers apart by their names.
        Ok(_) if [OWN_NAME, Author::PORTICO].contains(&text) => {
            Err("is the name of what Portico or its settings do".to_owned())
        }
        Ok(name) => Ok(name),
        Err(error) => Err(error.to_string()),
    });
    let scopes = fields.words("scopes", |words| {
        let scopes: Result<Vec<Scope>, _> = words.iter().map(|word| word.parse()).collect();
        match scopes {
            Ok(scopes) if scopes.is_empty() => Err("has no scope".to_owned()),
            Ok(scopes) => Ok(Scopes::of(scopes)),
            Err(error) => Err(format!("has a word that {error}")),
        }
    });
    let workspaces = fields.words("workspaces", |words| {
        let names: Result<BTreeSet<Name>, _> = words.iter().map(|word| word.parse()).collect();
        names.map_err(|error| format!("has a name that {error}"))
    });
    let expires_in = fields.number("expires_in_seconds", |seconds| match seconds {
        1..=limits::LIFESPAN_SECONDS_MAX => Ok(seconds),
        _ => Err(format!("must be 1 to {}", limits::LIFESPAN_SECONDS_MAX)),
    });
    let complete = fields.complete("is not a field of a token");
    let (true, Some(name), Some(scopes)) = (complete, name, scopes) else {
        return Err(fields.into_problem());
    };
    let mut token = StoredToken::new(name, secret, scopes, now);
    token.workspaces = workspaces;
    token.expires_at = expires_in.map(|seconds| Timestamp(now.0 + seconds * 1_000));
    Ok(token)
}

fn generate() -> Result<Token, Problem> {
    Token::generate().map_err(|error| {
        tracing::error!(error = crate::with_causes(&error), "no token can be made");
        Problem::new(Kind::Internal, "this machine gives no random numbers")
    })
}

fn shown(token: &StoredToken) -> Value {
    let names = |names: &BTreeSet<Name>| names.iter().map(Name::to_string).collect::<Vec<_>>();
    json!({
        "name": token.name.as_str(),
        "scopes": token.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(),
        "workspaces": token.workspaces.as_ref().map(names),
        "created_at": rfc3339(token.created_at),
        "rotated_at": token.rotated_at.map(rfc3339),
        "expires_at": token.expires_at.map(rfc3339),
    })
}

fn with_secret(token: &StoredToken, secret: &Token) -> Value {
    let mut shown = shown(token);
    shown["token"] = json!(secret.secret());
    shown
}

fn key(name: &Name) -> DocumentKey {
    DocumentKey { kind: DocumentKind::Token, name: name.clone() }
}
